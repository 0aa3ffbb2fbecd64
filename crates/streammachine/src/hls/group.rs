//! Multivariant playlists: the streams of a group as variants of one programme.

use std::sync::Arc;

use audio::{Codec, Format, container};
use rewind::Segment;
use wire::hls::{Container, Variant};
use wire::path::encode_target;

use crate::hls::Hls;
use crate::stream::Stream;

/// What is told in place of a bandwidth while there is nothing to measure, in bits per second.
const BANDWIDTH_UNKNOWN: u64 = 192_000;
/// What a segment of a transport stream has besides its audio at most: tables, and stuffing up to a multiple of 16 packets.
const TS_BYTES: u64 = 4096;
/// Part of the largest segment that is added to its bandwidth, in percent.
const MARGIN_PERCENT: u64 = 10;

/// The streams of the group `name`, or the one stream of that key.
pub fn members(streams: &[Arc<Stream>], name: &str) -> Vec<Arc<Stream>> {
    let in_group = |stream: &&Arc<Stream>| stream.config().group.as_deref() == Some(name);
    let members: Vec<_> = streams.iter().filter(in_group).cloned().collect();
    if members.is_empty() {
        return streams.iter().filter(|stream| stream.key() == name).cloned().collect();
    }
    members
}

/// `members` as variants in `container`, from the lowest bandwidth on, without those that it cannot hold.
pub fn variants(
    hls: &Hls,
    members: &[Arc<Stream>],
    container: Container,
    agent: &str,
    pairs: &[(String, String)],
) -> Vec<Variant> {
    let codec = |stream: &Stream| stream.log().format().map_or(stream.config().format, |format| format.codec);
    let fits = |stream: &&Arc<Stream>| container != Container::Fmp4 || codec(stream) == Codec::Aac;
    let mut variants: Vec<_> =
        members.iter().filter(fits).map(|stream| variant(hls, stream, container, agent, pairs)).collect();
    variants.sort_by_key(|variant| variant.bandwidth);
    variants
}

fn variant(
    hls: &Hls,
    stream: &Stream,
    container: Container,
    agent: &str,
    pairs: &[(String, String)],
) -> Variant {
    let config = stream.config();
    let segments = hls.of(stream).playlists.shown(stream, &hls.rule(agent));
    let (peak, average) = measure(&segments, container);
    let format = stream.log().format();
    let known = format.map_or(0, |format| u64::from(format.bitrate_kbps) * 1000);
    let told = [config.bandwidth, peak, known, BANDWIDTH_UNKNOWN];
    Variant {
        bandwidth: told.into_iter().find(|&bandwidth| bandwidth > 0).unwrap_or(BANDWIDTH_UNKNOWN),
        average: (average > 0).then_some(average),
        codecs: config.codec.clone().unwrap_or_else(|| codecs(config.format, format)),
        name: config.name.clone().unwrap_or_else(|| stream.key().to_owned()),
        uri: encode_target(&format!("/{}.m3u8", stream.key()), pairs),
    }
}

/// Bits per second of the largest segment with a margin, and of all of them; 0 without any.
fn measure(segments: &[Segment], container: Container) -> (u64, u64) {
    // A transport stream has headers in each packet, and fills up its packets.
    let wrapped = |segment: &Segment| match container {
        Container::Packed | Container::Fmp4 => segment.bytes(),
        Container::Ts => segment.bytes() + segment.bytes() / 16 + TS_BYTES,
    };
    let rate = |bytes: u64, micros: u64| (bytes * 8_000_000).checked_div(micros).unwrap_or(0);
    let peak = segments.iter().map(|segment| rate(wrapped(segment), segment.duration_us())).max();
    let bytes = segments.iter().map(wrapped).sum();
    let micros = segments.iter().map(Segment::duration_us).sum();
    (peak.unwrap_or(0) * (100 + MARGIN_PERCENT) / 100, rate(bytes, micros))
}

/// The codec as RFC 6381 names it: of the audio, else of what is expected.
fn codecs(expected: Codec, format: Option<Format>) -> String {
    let usual = if expected == Codec::Mp3 { "mp4a.40.34" } else { "mp4a.40.2" };
    format.and_then(|format| container::codecs(&format)).unwrap_or_else(|| usual.to_owned())
}
