//! The pages of SHOUTcast servers that widgets and encoders read. All are public. A stream's `sid` is its place among all
//! streams in the order of their keys, from 1; without one, the stream that is served at `/`, else the first.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Map, Value, json};
use wire::metadata::escape_markup;
use wire::path::Query;

use super::answers::{text, xml};
use super::stats::{Datum, OnAir, SERVER_ID};
use super::xml::Xml;
use crate::admin::Admin;
use crate::listener::roster::Counts;
use crate::stream::Stream;

/// The pages.
pub const PAGES: [&str; 5] = ["/7.html", "/stats", "/statistics", "/currentsong", "/played"];
/// Titles of `/played`.
const PLAYED_MAX: usize = 20;
/// Longest name of a function that JSON is wrapped in.
const CALLBACK_MAX: usize = 64;

/// The answer, if `path` is one of these pages.
pub fn answer(admin: &Admin, path: &str, query: &Query) -> Option<Response> {
    if !PAGES.contains(&path) {
        return None;
    }
    let stream = find(admin, query);
    let stream = stream.as_deref();
    Some(match path {
        "/7.html" => seven(admin, stream),
        "/stats" => stats(admin, stream, query),
        "/statistics" => statistics(admin, query),
        "/currentsong" => text("text/plain; charset=utf-8", stream.map(title).unwrap_or_default()),
        "/played" => played(stream, query),
        _ => return None,
    })
}

fn find(admin: &Admin, query: &Query) -> Option<Arc<Stream>> {
    match query.get("sid") {
        None => admin.streams.find_root().or_else(|| admin.streams.all().into_iter().next()),
        Some(sid) => {
            // The number that encoders log in with, where one is set; else the place among all streams.
            let number: u16 = sid.trim().parse().ok()?;
            let mut streams = admin.streams.all();
            let is_set = |stream: &Arc<Stream>| stream.mount().config().sid == Some(number);
            let place = streams.iter().position(is_set).or_else(|| usize::from(number).checked_sub(1))?;
            (place < streams.len()).then(|| streams.swap_remove(place))
        }
    }
}

fn title(stream: &Stream) -> String {
    stream.log().metadata().title
}

/// `/7.html`: listeners, status, peak, maximum, addresses, bit rate, title.
fn seven(admin: &Admin, stream: Option<&Stream>) -> Response {
    let facts = facts(admin, stream);
    let get = |wanted: &str| {
        let found = facts.iter().find(|(name, _)| *name == wanted);
        found.map_or(String::new(), |(_, value)| value.to_string())
    };
    let names =
        ["CURRENTLISTENERS", "STREAMSTATUS", "PEAKLISTENERS", "MAXLISTENERS", "UNIQUELISTENERS", "BITRATE"];
    let values: Vec<String> = names.iter().map(|name| get(name)).collect();
    let title = escape_markup(&get("SONGTITLE"));
    let page = format!(
        "<HTML><meta http-equiv=\"Pragma\" content=\"no-cache\"></head><body>{},{title}</body></html>",
        values.join(",")
    );
    text("text/html; charset=utf-8", page)
}

fn stats(admin: &Admin, stream: Option<&Stream>, query: &Query) -> Response {
    let facts = facts(admin, stream);
    if wants_json(query) {
        return json_text(&Value::Object(lower(&facts)), query);
    }
    let mut document = Xml::new("SHOUTCASTSERVER");
    facts.into_iter().for_each(|(name, value)| document.text(name, value));
    xml(document)
}

/// `/statistics`: all streams.
fn statistics(admin: &Admin, query: &Query) -> Response {
    let streams = admin.streams.all();
    let all: Vec<_> = streams.iter().map(|stream| facts(admin, Some(stream))).collect();
    let counts = streams.iter().map(|stream| admin.roster.count(stream));
    let sum = counts.fold(Counts::default(), |sum, it| Counts {
        listeners: sum.listeners + it.listeners,
        peak: sum.peak + it.peak,
        addresses: sum.addresses + it.addresses,
        average: sum.average.max(it.average),
        ..sum
    });
    let active = streams.iter().filter(|stream| stream.mount().on_air().is_some()).count();
    let mut totals = vec![
        ("TOTALSTREAMS", Datum::Number(streams.len() as u64)),
        ("ACTIVESTREAMS", Datum::Number(active as u64)),
    ];
    totals.extend(audience(admin, &sum));
    totals.push(("VERSION", Datum::Text(SERVER_ID.to_owned())));
    if wants_json(query) {
        let mut shown = lower(&totals);
        let numbered = all.iter().zip(1..).map(|(facts, sid)| {
            let mut stream = lower(facts);
            stream.insert("id".to_owned(), json!(sid));
            Value::Object(stream)
        });
        shown.insert("streams".to_owned(), numbered.collect());
        return json_text(&Value::Object(shown), query);
    }
    let mut document = Xml::new("SHOUTCASTSERVER");
    document.begin("STREAMSTATS", &[]);
    totals.into_iter().for_each(|(name, value)| document.text(name, value));
    for (facts, sid) in all.into_iter().zip(1..) {
        document.begin("STREAM", &[("id", &i32::to_string(&sid))]);
        facts.into_iter().for_each(|(name, value)| document.text(name, value));
        document.end();
    }
    xml(document)
}

/// `/played`: the last titles, newest first.
fn played(stream: Option<&Stream>, query: &Query) -> Response {
    let entries = stream.map(|stream| stream.log().metadata_history(PLAYED_MAX)).unwrap_or_default();
    let songs =
        entries.iter().map(|entry| (entry.time.0.div_euclid(1_000_000), entry.metadata.title.as_str()));
    let songs = songs.filter(|(_, title)| !title.is_empty());
    if wants_json(query) || query.get("type") == Some("json") {
        let list = songs.map(|(at, title)| json!({"playedat": at, "title": title})).collect();
        return json_text(&list, query);
    }
    if query.get("type") == Some("xml") {
        let mut document = Xml::new("SHOUTCASTSERVER");
        document.begin("SONGHISTORY", &[]);
        for (at, title) in songs {
            document.begin("SONG", &[]);
            document.text("PLAYEDAT", at);
            document.text("TITLE", title);
            document.end();
        }
        return xml(document);
    }
    let row = |(at, title): (i64, &str)| {
        let instant = jiff::Timestamp::from_second(at).unwrap_or_default();
        format!("<tr><td>{instant}</td><td>{}</td></tr>", escape_markup(title))
    };
    let rows: String = songs.map(row).collect();
    let page = format!(
        "<html><head><title>Song History</title></head><body><table><tr><td>Played @</td><td><b>Song Title</b></td>\
         </tr>{rows}</table></body></html>"
    );
    text("text/html; charset=utf-8", page)
}

/// What `/stats` says of a stream; of none, that nothing is there.
fn facts(admin: &Admin, stream: Option<&Stream>) -> Vec<(&'static str, Datum)> {
    let on_air = stream.and_then(|stream| OnAir::find(admin, admin.streams.find(stream.key())?));
    let counts = stream.map(|stream| admin.roster.count(stream)).unwrap_or_default();
    let station = stream.map(Stream::station).unwrap_or_default();
    let key = stream.map_or("", Stream::key);
    let format = stream.and_then(|stream| stream.log().format());
    let number = |value: Option<u64>| Datum::Number(value.unwrap_or(0));
    let media_type = on_air.as_ref().map(OnAir::media_type).unwrap_or_default();
    let is_fallback = on_air.as_ref().is_some_and(|it| it.source.is_fallback());
    let mut facts = audience(admin, &counts).to_vec();
    facts.extend([
        ("SERVERGENRE", Datum::Text(station.genre.unwrap_or_default())),
        ("SERVERURL", Datum::Text(station.url.unwrap_or_default())),
        ("SERVERTITLE", Datum::Text(station.name.unwrap_or_else(|| key.to_owned()))),
        ("SONGTITLE", Datum::Text(stream.map(title).unwrap_or_default())),
        ("STREAMHITS", Datum::Number(counts.total)),
        ("STREAMSTATUS", Datum::Number(u64::from(on_air.is_some()))),
        ("BACKUPSTATUS", Datum::Number(u64::from(is_fallback))),
        ("STREAMLISTED", Datum::Number(u64::from(stream.is_some_and(|it| it.config().public)))),
        ("STREAMPATH", Datum::Text(format!("/{key}"))),
        ("STREAMUPTIME", number(on_air.as_ref().map(|it| it.connected_s(admin)))),
        ("BITRATE", number(on_air.as_ref().and_then(OnAir::bitrate_kbps))),
        ("SAMPLERATE", number(format.map(|format| u64::from(format.sample_rate_hz)))),
        ("CONTENT", Datum::Text(media_type)),
        ("VERSION", Datum::Text(SERVER_ID.to_owned())),
    ]);
    facts
}

fn audience(admin: &Admin, counts: &Counts) -> [(&'static str, Datum); 5] {
    [
        ("CURRENTLISTENERS", Datum::Number(counts.listeners as u64)),
        ("PEAKLISTENERS", Datum::Number(counts.peak as u64)),
        ("MAXLISTENERS", Datum::Number(admin.audience.seats() as u64)),
        ("UNIQUELISTENERS", Datum::Number(counts.addresses as u64)),
        ("AVERAGETIME", Datum::Number(counts.average.as_secs())),
    ]
}

fn wants_json(query: &Query) -> bool {
    query.get("json") == Some("1")
}

fn lower(facts: &[(&'static str, Datum)]) -> Map<String, Value> {
    facts.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.into())).collect()
}

/// JSON, as a call of the function that `callback` names, for pages of times before CORS.
fn json_text(value: &Value, query: &Query) -> Response {
    let is_name = |name: &&str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte);
        (1..=CALLBACK_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
    };
    match query.get("callback").filter(is_name) {
        Some(name) => text("text/javascript; charset=utf-8", format!("{name}({value})")),
        None => text("application/json; charset=utf-8", value.to_string()),
    }
}
