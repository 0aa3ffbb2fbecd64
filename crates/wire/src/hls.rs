//! HTTP Live Streaming as text: what a request for a playlist asks, and the tags of playlists (RFC 8216 and its second
//! edition). Which segments are listed is not decided here.

pub mod daterange;
mod parts;
mod path;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::listen::{ListenQuery, QueryError, Start};
use crate::path::Query;

pub use parts::{Report, write_hint, write_part, write_report};
pub use path::{HlsPath, Init};

/// Longest closed window: a player may fetch all of it at once.
pub const CLOSED_MAX: Duration = Duration::from_secs(6 * 3600);

/// What frames are wrapped in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Container {
    /// Nothing: they follow a time stamp.
    #[default]
    Packed,
    /// Fragmented MP4, for AAC.
    Fmp4,
    /// An MPEG transport stream, for players that take nothing else.
    Ts,
}

/// Which part of the past a playlist shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Up to the live edge; so much of the past, or as much as is the rule.
    Live {
        /// How much.
        window: Option<Duration>,
    },
    /// The same, so far behind.
    Delay {
        /// How far.
        delay: Duration,
        /// How much.
        window: Option<Duration>,
    },
    /// From an instant on, growing.
    Since(Timestamp),
    /// Between two instants.
    Between(Timestamp, Timestamp),
}

/// What the query of a playlist asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsQuery {
    /// Which part of the past.
    pub shape: Shape,
    /// What the segments are wrapped in.
    pub container: Container,
    /// Whether the instants mean others tomorrow, so that the client is sent to those they mean now.
    pub is_relative: bool,
    /// Whether an instant that is not there is an error.
    pub strict: bool,
    /// The listening session that it belongs to.
    pub session_id: Option<String>,
    /// What the player is, in place of its header.
    pub ua: Option<String>,
    /// `_HLS_msn`: to be answered when this segment is there.
    pub blocks_for: Option<u64>,
    /// `_HLS_part`: when this part of it is there, or anything later.
    pub blocks_for_part: Option<u64>,
    /// Whether parts of segments are listed where there can be any.
    pub parts: bool,
    /// `_HLS_skip`: old segments may be left out.
    pub skip: bool,
}

/// Why a query cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HlsQueryError {
    /// What raw audio would refuse too.
    #[error(transparent)]
    Listen(#[from] QueryError),
    /// `window` is no number of seconds.
    #[error("window must be a number of seconds, 1 or more")]
    Window,
    /// `container` is none that there is.
    #[error("container must be packed, fmp4 or ts")]
    Container,
    /// `parts` is neither yes nor no.
    #[error("parts must be yes or no")]
    Parts,
    /// A closed window that is too long.
    #[error("a closed window may last {} s at most", CLOSED_MAX.as_secs())]
    TooLong,
    /// A reload that waits for nothing that can come.
    #[error("_HLS_msn must be a segment number, and _HLS_part needs it")]
    Blocking,
}

impl HlsQuery {
    /// Reads a query: the parameters of raw audio, `window`, those of HTTP Live Streaming, and the names that AWS
    /// MediaPackage has for the same things.
    ///
    /// # Errors
    /// What means nothing.
    pub fn decode(query: &Query, now: Timestamp, zone: &TimeZone) -> Result<Self, HlsQueryError> {
        let query = query.clone().and(media_package(query));
        let asked = ListenQuery::decode(&query, now, zone)?;
        let window =
            query.get("window").map(|text| seconds(text).ok_or(HlsQueryError::Window)).transpose()?;
        let is_relative = ["start", "end"]
            .iter()
            .any(|name| query.get(name).is_some_and(|text| !crate::instant::is_absolute(text)));
        let ago = |offset: Duration| now.checked_sub(offset).unwrap_or(Timestamp::MIN);
        let (shape, is_relative) = match (asked.start, asked.end) {
            (Start::Live, _) => (Shape::Live { window }, false),
            (Start::Offset(offset), _) => (Shape::Since(ago(offset)), true),
            (Start::Delay(delay), _) => (Shape::Delay { delay, window }, false),
            (Start::At(start), None) => (Shape::Since(start), is_relative),
            (Start::At(start), Some(end)) => (Shape::Between(start, end), is_relative),
        };
        if let Shape::Between(start, end) = shape
            && end.duration_since(start).unsigned_abs() > CLOSED_MAX
        {
            return Err(HlsQueryError::TooLong);
        }
        let number = |name| query.get(name).map(|text| text.parse().map_err(|_| HlsQueryError::Blocking));
        let blocks_for: Option<u64> = number("_HLS_msn").transpose()?;
        let blocks_for_part: Option<u64> = number("_HLS_part").transpose()?;
        if blocks_for_part.is_some() && blocks_for.is_none() {
            return Err(HlsQueryError::Blocking);
        }
        let parts = match query.get("parts") {
            None | Some("yes") => true,
            Some("no") => false,
            Some(_) => return Err(HlsQueryError::Parts),
        };
        let container = match query.get("container") {
            None | Some("packed") => Container::Packed,
            Some("fmp4") => Container::Fmp4,
            Some("ts") => Container::Ts,
            Some(_) => return Err(HlsQueryError::Container),
        };
        let skip = matches!(query.get("_HLS_skip"), Some("YES" | "v2"));
        let (strict, session_id, ua) = (asked.strict, asked.session_id, asked.ua);
        Ok(HlsQuery {
            shape,
            container,
            is_relative,
            strict,
            session_id,
            ua,
            blocks_for,
            blocks_for_part,
            parts,
            skip,
        })
    }
}

/// MediaPackage's parameters under our names. Those of `aws.manifestsettings` come as `name:value`, between semicolons.
fn media_package(query: &Query) -> Vec<(String, String)> {
    let ours = |name: &str| match name {
        "time_delay" => Some("delay"),
        "manifest_window_seconds" => Some("window"),
        "start" => Some("start"),
        "end" => Some("end"),
        _ => None,
    };
    let settings = query.get("aws.manifestsettings").unwrap_or_default();
    let settings = settings.split([';', ',']).filter_map(|setting| setting.trim().split_once(':'));
    query
        .pairs()
        .chain(settings)
        .filter_map(|(name, value)| Some((ours(name)?.to_owned(), value.to_owned())))
        .collect()
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(1e9)))
}

/// One segment in a media playlist.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Whether it does not continue the one before.
    pub discontinuity: bool,
    /// Instant of its first sample.
    pub time: Timestamp,
    /// Samples and samples per second.
    pub length: (u64, u32),
    /// Where it is.
    pub uri: &'a str,
    /// Its initialisation segment, if that is another than that of the segment before.
    pub map: Option<&'a str>,
}

/// Appends the lines that stand before a segment's parts.
pub fn write_start(out: &mut String, entry: &Entry<'_>) {
    if entry.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if let Some(map) = entry.map {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{map}\"");
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{:.3}", entry.time);
}

/// Appends the lines that stand behind them, when the segment is whole.
pub fn write_end(out: &mut String, entry: &Entry<'_>) {
    let micros = u128::from(entry.length.0) * 1_000_000 / u128::from(entry.length.1.max(1));
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let _ = writeln!(out, "#EXTINF:{seconds}.{micros:06},\n{}", entry.uri);
}

/// The head of a media playlist.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MediaHead {
    /// Bound on the seconds of a segment, the same for ever.
    pub target_s: u64,
    /// Number of the first segment.
    pub first: u64,
    /// Discontinuities before it.
    pub discontinuities: u64,
    /// Whether every segment decodes by itself.
    pub is_independent: bool,
    /// Whether nothing will change any more.
    pub is_closed: bool,
    /// Whether a request may wait for a segment, and old ones may be left out on request.
    pub can_block: bool,
    /// Bound on the length of a part, if parts are listed.
    pub part_target: Option<Duration>,
    /// How many are left out in this one.
    pub skipped: usize,
    /// Where to start, in microseconds from the first segment on.
    pub start_us: Option<u64>,
}

/// Segments further than so many target durations from the end may be left out.
pub const SKIP_TARGETS: u64 = 6;

impl MediaHead {
    /// The head as text.
    pub fn encode(&self) -> String {
        let version = if self.skipped > 0 { 9 } else { 6 };
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.target_s, self.first, self.discontinuities
        );
        if self.is_independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if self.is_closed {
            out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n");
        }
        if self.can_block {
            out.push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES");
            // All variants of a group must say the same, however long each is.
            let _ = write!(out, ",CAN-SKIP-UNTIL={}.0", SKIP_TARGETS * self.target_s);
            if let Some(target) = self.part_target {
                parts::write_hold_back(&mut out, target);
            }
            out.push('\n');
        }
        if let Some(target) = self.part_target {
            parts::write_part_target(&mut out, target);
        }
        if let Some(start) = self.start_us {
            let (seconds, micros) = (start / 1_000_000, start % 1_000_000);
            let _ = writeln!(out, "#EXT-X-START:TIME-OFFSET={seconds}.{micros:06},PRECISE=YES");
        }
        if self.skipped > 0 {
            let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", self.skipped);
        }
        out
    }
}

/// One variant in a multivariant playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Bits per second of the largest segment.
    pub bandwidth: u64,
    /// Bits per second of all of them.
    pub average: Option<u64>,
    /// As RFC 6381 names them.
    pub codecs: String,
    /// What a person would call it.
    pub name: String,
    /// Its media playlist.
    pub uri: String,
}

/// A multivariant playlist.
pub fn multivariant(variants: &[Variant]) -> String {
    let mut out = "#EXTM3U\n#EXT-X-VERSION:6\n".to_owned();
    for variant in variants {
        let quoted = |text: &str| crate::metadata::clean(text).replace('"', "'");
        let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={}", variant.bandwidth);
        if let Some(average) = variant.average {
            let _ = write!(out, ",AVERAGE-BANDWIDTH={average}");
        }
        let _ = writeln!(
            out,
            ",CODECS=\"{}\",NAME=\"{}\"\n{}",
            quoted(&variant.codecs),
            quoted(&variant.name),
            variant.uri
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T10:30:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn decode(text: &str) -> Result<HlsQuery, HlsQueryError> {
        HlsQuery::decode(&Query::decode(text).unwrap(), at(NOW), &TimeZone::UTC)
    }

    #[test]
    fn an_initialisation_segment_is_named_before_the_date() {
        let mut out = String::new();
        let entry = Entry {
            discontinuity: true,
            time: at(NOW),
            length: (1, 1),
            uri: "/test/ts/1.m4s",
            map: Some("/test/ts/init-2-44100-2.mp4"),
        };
        write_start(&mut out, &entry);
        let start = "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"/test/ts/init-2-44100-2.mp4\"\n#EXT-X-PROGRAM";
        assert!(out.starts_with(start), "{out}");
        assert_eq!(decode("container=ts").unwrap().container, Container::Ts);
        assert_eq!(decode("container=mkv"), Err(HlsQueryError::Container));
    }

    #[test]
    fn a_query_says_which_part_of_the_past_is_shown() {
        let nine = at("2026-11-23T09:00:00Z");
        let ten = at("2026-11-23T10:00:00Z");
        let second = Duration::from_secs(1);
        for (text, shape, is_relative) in [
            ("", Shape::Live { window: None }, false),
            ("window=600", Shape::Live { window: Some(600 * second) }, false),
            ("delay=60&window=600", Shape::Delay { delay: 60 * second, window: Some(600 * second) }, false),
            ("start=2026-11-23T09:00:00Z", Shape::Since(nine), false),
            ("start=09:00", Shape::Since(nine), true),
            ("offset=5400", Shape::Since(nine), true),
            ("start=09:00&end=10:00", Shape::Between(nine, ten), true),
            ("start=1795424400&duration=3600", Shape::Between(nine, ten), false),
            ("time_delay=60", Shape::Delay { delay: 60 * second, window: None }, false),
            ("manifest_window_seconds=600", Shape::Live { window: Some(600 * second) }, false),
            (
                "aws.manifestsettings=start:2026-11-23T09:00:00Z;end:2026-11-23T10:00:00Z",
                Shape::Between(nine, ten),
                false,
            ),
            ("aws.manifestsettings=start:1795424400", Shape::Since(nine), false),
            (
                "aws.manifestsettings=time_delay:60;manifest_window_seconds:600",
                Shape::Delay { delay: 60 * second, window: Some(600 * second) },
                false,
            ),
        ] {
            let query = decode(text).unwrap();
            assert_eq!((query.shape, query.is_relative), (shape, is_relative), "{text}");
        }
        let query = decode("_HLS_msn=7&_HLS_part=1&_HLS_skip=YES&session_id=a&ua=b&strict=1").unwrap();
        assert_eq!((query.blocks_for, query.skip, query.strict), (Some(7), true, true));
        assert_eq!((query.blocks_for_part, query.parts), (Some(1), true));
        assert!(!decode("parts=no").unwrap().parts);
        assert_eq!((query.session_id.as_deref(), query.ua.as_deref()), (Some("a"), Some("b")));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for (text, error) in [
            ("window=0", HlsQueryError::Window),
            ("window=x", HlsQueryError::Window),
            ("start=1795424400&duration=21601", HlsQueryError::TooLong),
            ("_HLS_part=1", HlsQueryError::Blocking),
            ("_HLS_msn=x", HlsQueryError::Blocking),
            ("_HLS_msn=1&_HLS_part=x", HlsQueryError::Blocking),
            ("parts=1", HlsQueryError::Parts),
            ("_HLS_msn=-1", HlsQueryError::Blocking),
            ("delay=x", HlsQueryError::Listen(QueryError::Seconds { name: "delay" })),
        ] {
            assert_eq!(decode(text), Err(error), "{text}");
        }
        assert!(decode("start=1795424400&duration=21600").is_ok());
    }

    #[test]
    fn a_segment_has_its_date_before_its_length() {
        let mut out = String::new();
        let entry = Entry {
            discontinuity: true,
            time: at("2026-11-23T04:38:25.408999Z"),
            length: (440_064, 44_100),
            uri: "/test/ts/2.mp3",
            map: None,
        };
        for entry in [entry, Entry { discontinuity: false, length: (480_000, 48_000), ..entry }] {
            write_start(&mut out, &entry);
            write_end(&mut out, &entry);
        }
        assert_eq!(
            out,
            "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:38:25.408Z\n#EXTINF:9.978775,\n\
             /test/ts/2.mp3\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:38:25.408Z\n#EXTINF:10.000000,\n/test/ts/2.mp3\n"
        );
    }

    #[test]
    fn heads_say_only_what_is_so() {
        let plain = MediaHead { target_s: 10, first: 2, discontinuities: 1, ..MediaHead::default() };
        let start = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:2\n\
                     #EXT-X-DISCONTINUITY-SEQUENCE:1\n";
        assert_eq!(plain.encode(), start);
        let closed = MediaHead { is_closed: true, is_independent: true, ..plain };
        let lines = "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-PLAYLIST-TYPE:VOD\n";
        assert_eq!(closed.encode(), start.to_owned() + lines);
        let delta = MediaHead { can_block: true, skipped: 30, ..plain };
        let lines = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=60.0\n\
                     #EXT-X-SKIP:SKIPPED-SEGMENTS=30\n";
        assert_eq!(delta.encode(), start.replace("VERSION:6", "VERSION:9") + lines);
        let low = MediaHead { can_block: true, part_target: Some(Duration::from_secs(1)), ..plain };
        let lines = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=60.0,PART-HOLD-BACK=3.000\n\
                     #EXT-X-PART-INF:PART-TARGET=1.000\n";
        assert_eq!(low.encode(), start.to_owned() + lines);
        let since = MediaHead { start_us: Some(3_500_000), ..plain };
        assert_eq!(since.encode(), start.to_owned() + "#EXT-X-START:TIME-OFFSET=3.500000,PRECISE=YES\n");
    }

    #[test]
    fn variants_are_quoted() {
        let variant = Variant {
            bandwidth: 140_800,
            average: Some(128_000),
            codecs: "mp4a.40.34".to_owned(),
            name: "The \"best\"\nradio".to_owned(),
            uri: "/test.m3u8?session_id=1".to_owned(),
        };
        assert_eq!(
            multivariant(&[variant]),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=140800,AVERAGE-BANDWIDTH=128000,\
             CODECS=\"mp4a.40.34\",NAME=\"The 'best' radio\"\n/test.m3u8?session_id=1\n"
        );
    }
}
