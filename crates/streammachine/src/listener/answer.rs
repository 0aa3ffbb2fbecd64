//! The response head of audio: what players of thirty years need to hear.

use audio::{Codec, Format};
use bytes::Bytes;
use wire::metadata::clean;

use crate::base::clock::iso;
use crate::base::cors::{Cors, Header};
use crate::config::{StationFacts, StreamConfig};
use crate::listener::opening::Opened;
use crate::stream::Stream;

/// Headers of an answer with audio of `stream`, `given` what was opened.
pub fn headers(stream: &Stream, given: &Opened, cors: &Cors, origin: Option<&str>) -> Vec<Header> {
    let config = stream.config();
    let format = stream.log().format();
    let mut headers = vec![
        ("content-type", content_type(&config, format).to_owned()),
        ("accept-ranges", if given.has_parts { "bytes" } else { "none" }.to_owned()),
        ("cache-control", "no-cache, no-store".to_owned()),
        ("expires", "Mon, 26 Jul 1997 05:00:00 GMT".to_owned()),
        ("pragma", "no-cache".to_owned()),
        ("server", "StreamMachine".to_owned()),
        ("x-powered-by", "StreamMachine".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ];
    headers.extend(cors.headers(origin));
    if !given.feed.has_end() {
        station(&mut headers, stream, &config);
    }
    encoding(&mut headers, format);
    if let Some(length) = given.content_length {
        headers.push(("content-length", length.to_string()));
    }
    if let Some(part) = given.part {
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, part.length);
        headers.push(("content-range", range));
    }
    if let Some(metaint) = given.metaint {
        headers.push(("icy-metaint", metaint.to_string()));
    }
    if let Some(start) = given.content_start {
        headers.push(("x-content-start", iso(start)));
        headers.push(("x-content-behind", format!("{:.3}", given.behind.as_secs_f64())));
    }
    headers
}

/// The headers that say whose stream it is. `icy-name` is there whatever was asked for: VLC asks for titles only then. A
/// span has none of them: VLC takes whatever has `icy-name` for a stream without an end, and asks for
/// the span again and again, a thousand times a second.
fn station(headers: &mut Vec<Header>, stream: &Stream, config: &StreamConfig) {
    let (station, metadata) = (stream.station(), stream.log().metadata());
    // Without a name and an address of the station: those of what is played, as the original has them.
    let played = |text: &str| Some(clean(text)).filter(|text| !text.is_empty());
    let name = station.name.or_else(|| played(&metadata.title));
    headers.push(("icy-name", name.unwrap_or_else(|| stream.key().to_owned())));
    let texts = [
        ("icy-genre", station.genre),
        ("icy-url", station.url.or_else(|| played(&metadata.url))),
        ("icy-description", station.description),
    ];
    headers.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text?))));
    headers.push(("icy-pub", if config.public { "1" } else { "0" }.to_owned()));
    facts(headers, &config.facts);
}

/// The headers that say how the audio is encoded.
fn encoding(headers: &mut Vec<Header>, format: Option<Format>) {
    if let Some(format) = format {
        if format.bitrate_kbps > 0 {
            headers.push(("icy-br", format.bitrate_kbps.to_string()));
        }
        headers.push(("ice-audio-info", audio_info(format)));
    }
}

/// What Icecast calls the audio information of a format: `ice-samplerate=44100;ice-channels=2;ice-bitrate=128`.
pub fn audio_info(format: Format) -> String {
    let info = format!("ice-samplerate={};ice-channels={}", format.sample_rate_hz, format.channels);
    match format.bitrate_kbps {
        0 => info,
        kbps => format!("{info};ice-bitrate={kbps}"),
    }
}

/// The headers of Radio-Browser's second version, without those that are not set. One of the names is misspelt there.
fn facts(headers: &mut Vec<Header>, facts: &StationFacts) {
    let first = headers.len();
    let flag = |on: bool| on.then(|| "1".to_owned());
    let text = |text: &Option<String>| text.as_deref().map(clean);
    let languages = facts.language_codes.join(",");
    let all = [
        ("icy-index-metadata", flag(facts.index_metadata)),
        ("icy-do-not-index", flag(facts.do_not_index)),
        ("icy-main-stream-url", text(&facts.main_stream_url)),
        ("icy-logo", text(&facts.logo_url)),
        ("icy-country-code", text(&facts.country_code)),
        ("icy-country-subdivison-code", text(&facts.country_subdivision_code)),
        ("icy-language-codes", (!languages.is_empty()).then_some(languages)),
    ];
    headers.extend(all.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if headers.len() > first {
        headers.insert(first, ("icy-version", "2".to_owned()));
    }
}

/// The media type of a stream: as configured, else of its audio, else of what it is expected to be.
pub fn content_type(config: &StreamConfig, format: Option<Format>) -> &str {
    if let Some(configured) = &config.content_type {
        return configured;
    }
    match format.map_or(config.format, |format| format.codec) {
        Codec::Mp3 => "audio/mpeg",
        Codec::Aac => "audio/aacp",
    }
}

/// A response head as bytes. Values hold no control characters: they come from [`clean`], from a parsed head, or from us.
pub fn encode(status: &str, http10: bool, headers: &[Header]) -> Bytes {
    let mut head = String::with_capacity(1024);
    head.push_str(if http10 { "HTTP/1.0 " } else { "HTTP/1.1 " });
    head.push_str(status);
    head.push_str("\r\n");
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("connection: close\r\n\r\n");
    head.into()
}
