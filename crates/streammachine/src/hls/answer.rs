//! Requests for playlists, segments and parts, and their answers.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::container::fmp4::init_segment;
use audio::{Codec, Format};
use axum::body::Body;
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::iter;
use jiff::tz::TimeZone;
use rewind::{Segment, SegmentSeq};
use uuid::Uuid;
use wire::hls::{Container, HlsPath, HlsQuery, Init, Report, Shape, multivariant};
use wire::path::{Query, encode_target};
use wire::range::{self, RangeAnswer};

use crate::base::clock::{self, Clock};
use crate::base::gate::Elsewhere;
use crate::hls::coding::Coding;
use crate::hls::hold::{self, NoWait, Reload};
use crate::hls::lines::extension;
use crate::hls::playlist::{Extras, Playlist, lists_parts};
use crate::hls::segment::SegmentBody;
use crate::hls::sessions::Player;
use crate::hls::{Hls, group, parts, program};
use crate::listener::roster::Who;
use crate::stream::Stream;
use crate::stream::registry::Registry;

const NO_MP3_IN_FMP4: &str = "no player takes MP3 in fragmented MP4; use container=ts or none\n";
/// Players of Apple's name their session in every request.
const SESSION_HEADER: &str = "x-playback-session-id";
const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// Playlists that do not change any more may be kept so long: their segments are evicted some day.
const CLOSED_MAX_AGE_S: u64 = 60;
const INIT_LIFE_S: u64 = 86_400;

/// What answers need of the server.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Playlists.
    pub hls: &'a Hls,
    /// All streams.
    pub streams: &'a Registry,
    /// The host's clocks.
    pub clock: &'a Clock,
    /// Zone of times of day without one.
    pub zone: &'a TimeZone,
}

/// A request, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Decoded path.
    pub path: &'a str,
    /// The query.
    pub query: &'a Query,
    /// `GET` or `HEAD`.
    pub method: &'a Method,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub who: Who<'a>,
    /// The address that counts against bounds: behind a proxy the one it saw itself, since whoever asks can make up the rest.
    pub client: IpAddr,
}

impl Asked<'_> {
    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What the player is: what it says in its address counts more, since pages cannot set the header.
    fn agent(&self) -> &str {
        self.query.get("ua").or(self.who.agent).unwrap_or_default()
    }

    fn player(&self) -> Player<'_> {
        let session = self.header(SESSION_HEADER).or_else(|| self.query.get("session_id"));
        Player { ip: self.who.ip, agent: self.agent(), session }
    }

    fn has_etag(&self, etag: &str) -> bool {
        let list = self.header(header::IF_NONE_MATCH).unwrap_or_default();
        let mut known = list.split(',').map(|one| one.trim().trim_start_matches("W/"));
        known.any(|one| one == "*" || one == etag)
    }
}

/// The answer, if the path is one of HTTP Live Streaming and its stream exists.
pub async fn answer(context: &Context<'_>, asked: &Asked<'_>) -> Option<Response> {
    let path = HlsPath::decode(asked.path)?;
    if let Some(response) = program::redirect(context, asked, &path) {
        return Some(response);
    }
    let (stream, response) = match path {
        HlsPath::Media(key) => {
            let stream = context.streams.find(&key)?;
            let response = match decode(context, asked, Some(&stream)) {
                Ok(query) => media(context, asked, &stream, &query).await,
                Err(response) => *response,
            };
            (stream, response)
        }
        HlsPath::Group(name) => {
            return Some(match decode(context, asked, None) {
                Ok(query) => group(context, asked, &name, &query)?,
                Err(response) => *response,
            });
        }
        HlsPath::Init { key, init } => {
            context.streams.find(&key)?;
            return Some(initialisation(asked, &init));
        }
        HlsPath::Segment { key, seq, extension } => {
            let stream = context.streams.find(&key)?;
            let response = segment(context, asked, &stream, SegmentSeq(seq), &extension);
            (stream, response)
        }
        HlsPath::Part { key, seq, part } => {
            let stream = context.streams.find(&key)?;
            let waited = hold::part(context.hls, &stream, (SegmentSeq(seq), part), asked.client).await;
            let found = match waited {
                Ok(found) => found,
                Err(NoWait::Full) => return Some(unavailable("too many requests wait already\n")),
                Err(NoWait::Elsewhere) => return Some(elsewhere()),
            };
            let read = |segment: &Segment| SegmentBody::read_part(stream.log(), segment, part);
            let body = found.map(|segment| (segment, read));
            let response = audio(context, asked, &stream, body, &format!("{part}.m4s"));
            (stream, response)
        }
    };
    let is_fetched = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if is_fetched && *asked.method == Method::GET {
        context.hls.of(&stream).sessions.note(&asked.player(), context.clock.mono());
    }
    Some(response)
}

/// Reads the query; an error or a redirect where it cannot be answered as it is.
fn decode(
    context: &Context<'_>,
    asked: &Asked<'_>,
    stream: Option<&Stream>,
) -> Result<HlsQuery, Box<Response>> {
    let config = stream.map(Stream::config);
    let zone = config.as_ref().and_then(|config| config.timezone.as_ref()).unwrap_or(context.zone);
    let now = clock::timestamp(context.clock.now().wall);
    let query = HlsQuery::decode(asked.query, now, zone)
        .map_err(|error| Box::new((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()))?;
    if query.is_relative {
        let location = canonical(asked, &query);
        let text = format!("The playlist of that instant is at {location}\n");
        let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
        return Err(Box::new((StatusCode::FOUND, headers, text).into_response()));
    }
    Ok(query)
}

/// The target that means the same instants tomorrow.
fn canonical(asked: &Asked<'_>, query: &HlsQuery) -> String {
    let mut pairs = Vec::new();
    let mut push = |name: &str, instant: jiff::Timestamp| {
        pairs.push((name.to_owned(), instant.as_second().to_string()));
    };
    match query.shape {
        Shape::Since(start) => push("start", start),
        Shape::Between(start, end) => {
            push("start", start);
            push("end", end);
        }
        Shape::Live { .. } | Shape::Delay { .. } => {}
    }
    let replaced = ["start", "end", "duration", "tz", "fold", "offset", "aws.manifestsettings"];
    let others = asked.query.pairs().filter(|(name, _)| !replaced.contains(name));
    pairs.extend(others.map(|(name, value)| (name.to_owned(), value.to_owned())));
    encode_target(asked.path, &pairs)
}

async fn media(context: &Context<'_>, asked: &Asked<'_>, stream: &Arc<Stream>, query: &HlsQuery) -> Response {
    let is_mp3 = stream.log().format().is_some_and(|format| format.codec == Codec::Mp3);
    if query.container == Container::Fmp4 && is_mp3 {
        return (StatusCode::BAD_REQUEST, NO_MP3_IN_FMP4).into_response();
    }
    let rule = context.hls.rule(asked.agent());
    let reload = hold::reload(context.hls, stream, query, asked.client, || {
        context.hls.of(stream).playlists.open_for(stream, query, &rule, context.clock.now().wall)
    });
    let reload = reload.await;
    match reload {
        Reload::AsItIs | Reload::There => {}
        Reload::TooLate => return unavailable("the segment has not come\n"),
        Reload::Elsewhere => return elsewhere(),
        Reload::TooFar(last) => {
            let text = format!("that is too far ahead of segment {last}, the newest\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    }
    let reports = if lists_parts(query) { reports(context, stream) } else { Vec::new() };
    // It may have waited.
    let now = context.clock.now().wall;
    match context.hls.of(stream).playlists.get(stream, query, &rule, Extras { reports }, now) {
        Ok(playlist) => {
            // What is shown depends on the player only if it says so in its header.
            let varies = context.hls.depends_on_agent() && query.ua.is_none();
            let freshness = if lists_parts(query) { parts::TARGET } else { rule.target / 2 };
            playlist_response(asked, &playlist, (freshness, rule.target), reload, varies)
        }
        Err(missing) => {
            let age = format!("max-age={}", rule.target.as_secs().max(1));
            (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, age)], format!("{missing}\n")).into_response()
        }
    }
}

fn unavailable(reason: &'static str) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, reason).into_response()
}

fn elsewhere() -> Response {
    let mut response = unavailable("another process has taken over\n");
    response.extensions_mut().insert(Elsewhere);
    response
}

/// A playlist that is good for `freshness`, or for six times the `target` where it is the answer to a reload that waited.
fn playlist_response(
    asked: &Asked<'_>,
    playlist: &Playlist,
    (freshness, target): (Duration, Duration),
    reload: Reload,
    varies: bool,
) -> Response {
    let max_age = match (playlist.is_closed, reload) {
        (true, _) => CLOSED_MAX_AGE_S,
        (false, Reload::There) => 6 * target.as_secs().max(1),
        (false, _) => freshness.as_secs().max(1),
    };
    let coding = Coding::choose(asked.header(header::ACCEPT_ENCODING).unwrap_or_default());
    let etag = playlist.text.etag(coding);
    let mut headers = HeaderMap::with_capacity(16);
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    headers.insert(header::ETAG, etag.clone());
    let vary = if varies { "Accept-Encoding, User-Agent" } else { "Accept-Encoding" };
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    if etag.to_str().is_ok_and(|etag| asked.has_etag(etag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PLAYLIST_TYPE));
    headers.insert(header::HeaderName::from_static("x-content-start"), playlist.start.clone());
    if let Some(name) = coding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    (headers, playlist.text.body(coding).clone()).into_response()
}

fn group(context: &Context<'_>, asked: &Asked<'_>, name: &str, query: &HlsQuery) -> Option<Response> {
    let replaced = ["session_id", "_HLS_msn", "_HLS_part", "_HLS_skip"];
    let mut pairs: Vec<(String, String)> = asked
        .query
        .pairs()
        .filter(|(name, _)| !replaced.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // A player that names its session in a header does so in every request.
    if asked.header(SESSION_HEADER).is_none() {
        let session = query.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        pairs.push(("session_id".to_owned(), session));
    }
    let streams = context.streams.all();
    let members = group::members(&streams, name);
    if members.is_empty() {
        return None;
    }
    let variants = group::variants(context.hls, &members, query.container, asked.agent(), &pairs);
    if variants.is_empty() {
        return Some((StatusCode::BAD_REQUEST, NO_MP3_IN_FMP4).into_response());
    }
    let headers = [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, "private, no-store")];
    Some((headers, multivariant(&variants)).into_response())
}

/// How far the other streams of the group are that `stream` is in, whether or not this player knows of them.
fn reports(context: &Context<'_>, stream: &Stream) -> Vec<Report> {
    let config = stream.config();
    let Some(name) = config.group.as_deref() else { return Vec::new() };
    let others = group::members(&context.streams.all(), name);
    let others = others.iter().filter(|other| other.id() != stream.id());
    let mut reports: Vec<Report> = others
        .filter_map(|other| {
            let (segment, part) =
                context.hls.of(other).playlists.progress(other, Container::Fmp4)?.newest()?;
            Some(Report { uri: format!("/{}.m3u8", other.key()), segment, part })
        })
        .collect();
    reports.sort_by(|one, other| one.uri.cmp(&other.uri));
    reports
}

fn segment(
    context: &Context<'_>,
    asked: &Asked<'_>,
    stream: &Stream,
    seq: SegmentSeq,
    ending: &str,
) -> Response {
    let log = stream.log();
    let found = log.segment(seq).and_then(|segment| {
        let all = [Container::Packed, Container::Fmp4, Container::Ts];
        let container = all.into_iter().find(|it| extension(*it, segment.format.codec) == ending)?;
        Some((segment, move |segment: &Segment| SegmentBody::read(log, segment, container)))
    });
    audio(context, asked, stream, found, ending)
}

/// How much longer `segment` is kept, in seconds: until it is too old, or there is too much behind it.
fn life_s(stream: &Stream, segment: &Segment, clock: &Clock) -> u64 {
    let config = stream.config();
    let age_us = clock.now().wall.micros_since(segment.end_time).max(0) as u64;
    let by_time = config.seconds.saturating_sub(Duration::from_micros(age_us));
    let by_bytes = stream.log().span().map_or(Duration::ZERO, |span| {
        let left = config.bytes_max().saturating_sub(span.end_position.since(segment.start));
        let micros = u128::from(left) * u128::from(span.duration_us) / u128::from(span.bytes.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    });
    by_time.min(by_bytes).as_secs().max(1)
}

/// Audio of the segment that was `found`, with what reads its body, under an address that ends in `ending`.
fn audio(
    context: &Context<'_>,
    asked: &Asked<'_>,
    stream: &Stream,
    found: Option<(Segment, impl FnOnce(&Segment) -> Option<SegmentBody>)>,
    ending: &str,
) -> Response {
    let Some((segment, read)) = found else { return missing() };
    let etag = format!("\"{:x}-{}-{ending}\"", segment.start.0, segment.seq);
    let lasting = Lasting {
        etag: &etag,
        life_s: life_s(stream, &segment, context.clock),
        media_type: media_type(ending),
    };
    let is_packed = ending == extension(Container::Packed, segment.format.codec);
    let read = || match is_packed {
        true => read(&segment),
        false => context.hls.of(stream).bodies.get(&etag, || read(&segment)),
    };
    lasting.answer(asked, read, |bytes| stream.sent(bytes)).unwrap_or_else(missing)
}

/// What is never another under its address.
struct Lasting<'a> {
    etag: &'a str,
    /// How long it may be kept, in seconds.
    life_s: u64,
    media_type: &'static str,
}

impl Lasting<'_> {
    /// The body that `read` gives, whole or the part that is asked for, if the player has it not; `sent` is told of its
    /// bytes. None if there is no body.
    fn answer(
        &self,
        asked: &Asked<'_>,
        read: impl FnOnce() -> Option<SegmentBody>,
        sent: impl FnOnce(usize),
    ) -> Option<Response> {
        let mut headers = HeaderMap::new();
        let mut put = |name: header::HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(header::CACHE_CONTROL, &format!("public, max-age={}, immutable", self.life_s));
        put(header::ETAG, self.etag);
        put(header::ACCEPT_RANGES, "bytes");
        if asked.has_etag(self.etag) {
            return Some((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let body = read()?;
        let length = body.len();
        put(header::CONTENT_TYPE, self.media_type);
        let is_same = asked.header(header::IF_RANGE).is_none_or(|same| same == self.etag);
        let range = asked.header(header::RANGE).filter(|_| is_same && *asked.method == Method::GET);
        let (status, start, end) = match range::parse(range, length) {
            RangeAnswer::Whole => (StatusCode::OK, 0, length),
            RangeAnswer::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
            RangeAnswer::Unsatisfiable => {
                put(header::CONTENT_RANGE, &format!("bytes */{length}"));
                return Some((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
            }
        };
        if status == StatusCode::PARTIAL_CONTENT {
            put(header::CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1));
        }
        put(header::CONTENT_LENGTH, &(end - start).to_string());
        if *asked.method == Method::HEAD {
            return Some((status, headers, Body::empty()).into_response());
        }
        sent((end - start) as usize);
        let pieces = body.slice(start, end).into_iter().map(Ok::<_, io::Error>);
        Some((status, headers, Body::from_stream(iter(pieces))).into_response())
    }
}

fn media_type(ending: &str) -> &'static str {
    match ending.rsplit('.').next().unwrap_or_default() {
        "aac" => "audio/aac",
        "m4s" => "audio/mp4",
        "ts" => "video/mp2t",
        _ => "audio/mpeg",
    }
}

/// The initialisation segment; it depends on its name alone.
fn initialisation(asked: &Asked<'_>, init: &Init) -> Response {
    let Init { profile, sample_rate_hz, channels } = *init;
    let format = Format { codec: Codec::Aac, profile, sample_rate_hz, channels, bitrate_kbps: 0 };
    let body = match init_segment(&format) {
        Ok(body) => Bytes::from(body),
        Err(error) => return (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    };
    let etag = format!("\"{}\"", init.file_name());
    let lasting = Lasting { etag: &etag, life_s: INIT_LIFE_S, media_type: "audio/mp4" };
    lasting.answer(asked, || Some(body.into()), |_| ()).unwrap_or_else(missing)
}

/// One that is still to come must be seen when it is there.
fn missing() -> Response {
    let headers = [(header::CACHE_CONTROL, "max-age=1")];
    (StatusCode::NOT_FOUND, headers, "Segment not found.\n").into_response()
}
