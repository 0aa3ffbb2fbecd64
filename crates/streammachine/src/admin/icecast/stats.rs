//! What Icecast's statistics say of the server and of each source, gathered once and told in three forms: JSON, XML and
//! lines. A source, to them, is a stream with a source on air.

use std::sync::Arc;

use audio::Time;
use jiff::fmt::strtime;
use serde_json::{Map, Value, json};

use super::xml::Xml;
use crate::admin::Admin;
use crate::base::clock::timestamp;
use crate::listener::answer::content_type;
use crate::listener::roster::Counts;
use crate::source::{Origin, Source};
use crate::stream::Stream;

/// What panels look for at the start, and what it is.
pub const SERVER_ID: &str = concat!("Icecast 2.4.4 (StreamMachine ", env!("CARGO_PKG_VERSION"), ")");
/// Icecast's own defaults: nothing is configured that would say more.
const ADMIN: &str = "icemaster@localhost";
const LOCATION: &str = "Earth";
/// Names in JSON that are the operator's business.
const PRIVATE: [&str; 7] = [
    "max_listeners",
    "public",
    "slow_listeners",
    "source_ip",
    "total_bytes_read",
    "total_bytes_sent",
    "user_agent",
];

/// A stream that is on air.
#[derive(Debug)]
pub struct OnAir {
    /// The stream.
    pub stream: Arc<Stream>,
    /// The source that is heard.
    pub source: Arc<Source>,
    /// Who listens.
    pub counts: Counts,
}

/// A fact: its name and value.
pub type Fact = (&'static str, Datum);

/// A value, which JSON tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// A text, also one that looks like a number.
    Text(String),
    /// A number.
    Number(u64),
}

impl std::fmt::Display for Datum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Datum::Text(text) => f.write_str(text),
            Datum::Number(number) => number.fmt(f),
        }
    }
}

impl From<&Datum> for Value {
    fn from(datum: &Datum) -> Value {
        match datum {
            Datum::Text(text) => json!(text),
            Datum::Number(number) => json!(number),
        }
    }
}

fn text(value: impl Into<String>) -> Datum {
    Datum::Text(value.into())
}

impl OnAir {
    /// The stream, if a source is on air there.
    pub fn find(admin: &Admin, stream: Arc<Stream>) -> Option<Self> {
        let source = stream.mount().on_air()?;
        let counts = admin.roster.count(&stream);
        Some(OnAir { stream, source, counts })
    }

    /// All that are on air, in the order of their keys.
    pub fn all(admin: &Admin) -> Vec<Self> {
        admin.streams.all().into_iter().filter_map(|stream| OnAir::find(admin, stream)).collect()
    }

    /// The one that a parameter `mount` names: `/KEY`, with or without the slash.
    pub fn named(admin: &Admin, mount: &str) -> Option<Self> {
        let stream = admin.streams.find(mount.strip_prefix('/').unwrap_or(mount))?;
        OnAir::find(admin, stream)
    }

    /// Its name as Icecast has names: `/KEY`.
    pub fn mount(&self) -> String {
        format!("/{}", self.stream.key())
    }

    /// Seconds for which its source has been connected.
    pub fn connected_s(&self, admin: &Admin) -> u64 {
        let micros = admin.clock.now().wall.micros_since(self.source.connected_at);
        u64::try_from(micros).unwrap_or(0) / 1_000_000
    }

    /// Media type of its audio.
    pub fn media_type(&self) -> String {
        content_type(&self.stream.config(), self.stream.log().format()).to_owned()
    }

    /// Bit rate in kbit/s; none before there is audio, and where it varies.
    pub fn bitrate_kbps(&self) -> Option<u64> {
        let format = self.stream.log().format()?;
        (format.bitrate_kbps > 0).then(|| u64::from(format.bitrate_kbps))
    }

    /// What is told of it, in the order of the names; `base` is the server's address as the client knows it.
    pub fn facts(&self, base: &str) -> Vec<Fact> {
        let (config, log) = (self.stream.config(), self.stream.log());
        let station = self.stream.station();
        let or = |told: Option<String>, default: &str| text(told.unwrap_or_else(|| default.to_owned()));
        let (source_ip, agent) = match &self.source.origin {
            Origin::Icecast { peer, agent } | Origin::Shoutcast { peer, agent } => {
                (peer.ip().to_string(), wire::metadata::clean(agent))
            }
            Origin::File(_) | Origin::Programme | Origin::Proxy(_) => {
                ("127.0.0.1".to_owned(), "StreamMachine".to_owned())
            }
        };
        let listenurl = base.to_owned() + &wire::path::encode_target(&self.mount(), &[]);
        let mut facts = self.format_facts();
        facts.extend([
            ("genre", or(station.genre, "various")),
            ("listener_peak", Datum::Number(self.counts.peak as u64)),
            ("listeners", Datum::Number(self.counts.listeners as u64)),
            ("listenurl", text(listenurl)),
            ("max_listeners", text("unlimited")),
            ("public", Datum::Number(u64::from(config.public))),
            ("server_description", or(station.description, "Unspecified description")),
            ("server_name", or(station.name, self.stream.key())),
            ("server_type", text(self.media_type())),
            ("slow_listeners", Datum::Number(self.stream.slow_listeners())),
            ("source_ip", text(source_ip)),
            ("stream_start", text(date(self.source.connected_at))),
            ("stream_start_iso8601", text(iso8601(self.source.connected_at))),
            ("total_bytes_read", Datum::Number(self.source.audio_bytes())),
            ("total_bytes_sent", Datum::Number(self.stream.sent_bytes())),
            ("user_agent", text(agent)),
        ]);
        let title = log.metadata().title;
        facts.extend((!title.is_empty()).then(|| ("title", text(title))));
        facts.extend(station.url.map(|url| ("server_url", text(url))));
        facts.sort_unstable_by_key(|(name, _)| *name);
        facts
    }

    fn format_facts(&self) -> Vec<Fact> {
        let Some(format) = self.stream.log().format() else { return Vec::new() };
        let (rate, channels) = (u64::from(format.sample_rate_hz), u64::from(format.channels));
        let mut facts =
            vec![("ice-channels", Datum::Number(channels)), ("ice-samplerate", Datum::Number(rate))];
        let mut info = format!("ice-samplerate={rate};ice-channels={channels}");
        if let Some(kbps) = self.bitrate_kbps() {
            facts.extend([("bitrate", Datum::Number(kbps)), ("ice-bitrate", Datum::Number(kbps))]);
            info = format!("ice-samplerate={rate};ice-bitrate={kbps};ice-channels={channels}");
        }
        facts.push(("audio_info", text(info)));
        facts
    }
}

/// The host of `http://HOST:PORT`.
fn host_of(base: &str) -> &str {
    let authority = base.split_once("://").map_or(base, |(_, authority)| authority);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What is told of the server, in the order of the names.
pub fn server_facts(admin: &Admin, on_air: &[OnAir], base: &str) -> Vec<Fact> {
    let sum = |count: fn(&OnAir) -> u64| on_air.iter().map(count).sum::<u64>();
    let listeners = sum(|it| it.counts.listeners as u64);
    let came = sum(|it| it.counts.total);
    let sources = on_air.len() as u64;
    let clients = sum(|it| u64::from(!it.source.is_fallback()));
    let number = Datum::Number;
    vec![
        ("admin", text(ADMIN)),
        ("client_connections", number(came)),
        ("clients", number(listeners + clients)),
        ("connections", number(came + clients)),
        ("file_connections", number(0)),
        ("host", text(host_of(base))),
        ("listener_connections", number(came)),
        ("listeners", number(listeners)),
        ("location", text(LOCATION)),
        ("server_id", text(SERVER_ID)),
        ("server_start", text(date(admin.started))),
        ("server_start_iso8601", text(iso8601(admin.started))),
        ("source_client_connections", number(clients)),
        ("source_relay_connections", number(0)),
        ("source_total_connections", number(sources)),
        ("sources", number(sources)),
        ("stats", number(0)),
        ("stats_connections", number(0)),
    ]
}

/// `status-json.xsl`: an object for one source, a list for several, `dummy` for none.
pub fn status_json(admin: &Admin, shown: &[OnAir], base: &str) -> Value {
    const SHOWN: [&str; 6] =
        ["admin", "host", "location", "server_id", "server_start", "server_start_iso8601"];
    let mut stats = Map::new();
    for (name, value) in &server_facts(admin, &[], base) {
        if SHOWN.contains(name) {
            stats.insert((*name).to_owned(), value.into());
        }
    }
    let mut sources: Vec<Value> = shown.iter().map(|it| source_json(it, base)).collect();
    match sources.len() {
        0 => stats.insert("dummy".to_owned(), Value::Null),
        1 => stats.insert("source".to_owned(), sources.remove(0)),
        _ => stats.insert("source".to_owned(), Value::Array(sources)),
    };
    json!({ "icestats": stats })
}

fn source_json(on_air: &OnAir, base: &str) -> Value {
    let facts = on_air.facts(base);
    let shown = facts.iter().filter(|(name, _)| !PRIVATE.contains(name));
    let mut source: Map<String, Value> =
        shown.map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    source.insert("dummy".to_owned(), Value::Null);
    Value::Object(source)
}

/// `/admin/stats`: the server, and the sources that are `shown`.
pub fn stats_xml(admin: &Admin, all: &[OnAir], shown: &[&OnAir], base: &str) -> Xml {
    let mut xml = Xml::new("icestats");
    for (name, value) in server_facts(admin, all, base) {
        xml.text(name, value);
    }
    for on_air in shown {
        xml.begin("source", &[("mount", &on_air.mount())]);
        for (name, value) in on_air.facts(base) {
            xml.text(name, value);
        }
        xml.end();
    }
    xml
}

/// `/admin/listmounts`: the sources in short.
pub fn list_mounts(admin: &Admin, xml: &mut Xml, shown: &[OnAir]) {
    for on_air in shown {
        xml.begin("source", &[("mount", &on_air.mount())]);
        xml.text("fallback", "");
        xml.text("listeners", on_air.counts.listeners);
        xml.text("Connected", on_air.connected_s(admin));
        xml.text("content-type", on_air.media_type());
        xml.end();
    }
}

/// An instant as RFC 5322 writes it, in UTC.
fn date(time: Time) -> String {
    format_time("%a, %d %b %Y %H:%M:%S +0000", time)
}

/// An instant as ISO 8601 writes it, in UTC.
fn iso8601(time: Time) -> String {
    format_time("%Y-%m-%dT%H:%M:%S+0000", time)
}

fn format_time(form: &str, time: Time) -> String {
    strtime::format(form, timestamp(time)).expect("these forms need no more than an instant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_icecast_writes_them() {
        let time = Time::from_millis(1_795_408_705_408);
        assert_eq!(date(time), "Mon, 23 Nov 2026 04:38:25 +0000");
        assert_eq!(iso8601(time), "2026-11-23T04:38:25+0000");
    }

    #[test]
    fn the_host_is_named_without_its_port() {
        for (base, host) in [
            ("http://radio.example:8000", "radio.example"),
            ("https://radio.example", "radio.example"),
            ("http://[::1]:8000", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(host_of(base), host);
        }
    }

    #[test]
    fn texts_stay_texts_in_json() {
        assert_eq!(Value::from(&text("1984")), json!("1984"));
        assert_eq!(Value::from(&Datum::Number(1984)), json!(1984));
    }
}
