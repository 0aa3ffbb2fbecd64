//! Media playlists of one stream: which segments each shows, and the finished texts, shared by all who ask for the same.

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audio::{Codec, Time};
use axum::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use rewind::{LATE_US, Segment, Span};
use wire::hls::{Container, HlsQuery, MediaHead, SKIP_TARGETS, Shape};

use crate::base::clock::{self, iso};
use crate::hls::dateranges;
use crate::hls::lines::{Lines, map_uri};
use crate::stream::Stream;
use crate::stream::programs::Listed;

/// Fewer segments than this are no live playlist.
const SEGMENTS_MIN: usize = 3;
/// Playlists of at least so many target durations can be had without their old part.
const SKIP_FROM_TARGETS: u64 = 2 * SKIP_TARGETS;
/// Finished texts that are kept.
const TEXTS_MAX: usize = 128;
/// More saves little and takes three times as long.
const GZIP_LEVEL: u32 = 4;

/// How long playlists are, by default and by client.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Bound on the length of a segment.
    pub target: Duration,
    /// How much of the past this client is shown, unless it asks for something else; none is all.
    pub window: Option<Duration>,
}

/// A finished playlist.
#[derive(Debug)]
pub struct Playlist {
    /// The text.
    pub text: Bytes,
    /// Changes when the text does.
    pub etag: HeaderValue,
    /// That of the compressed text.
    pub gzip_etag: HeaderValue,
    /// Whether nothing will be added.
    pub is_closed: bool,
    /// Instant of its first sample.
    pub start: HeaderValue,
    gzip: OnceLock<Bytes>,
}

/// Why there is no playlist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Not enough audio yet.
    #[error("No data.")]
    NoData,
    /// Nothing of the window is there.
    #[error("nothing of that time is in the rewind buffer, which holds {} to {}", iso(*oldest), iso(*newest))]
    Outside {
        /// The oldest instant there is.
        oldest: Time,
        /// The newest.
        newest: Time,
    },
}

/// The playlists of one stream.
#[derive(Debug)]
pub struct Playlists {
    packed: Mutex<State>,
    fmp4: Mutex<State>,
    ts: Mutex<State>,
}

/// Those in one container.
#[derive(Debug)]
struct State {
    container: Container,
    /// What was in the log when the lines were last looked after, and the bounds that they were held to.
    followed: Option<(Option<Span>, Duration, u64)>,
    lines: Lines,
    texts: HashMap<Text, Arc<Playlist>>,
}

/// What a text depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Text {
    first: u64,
    end: u64,
    /// Place of the last byte: tells audio apart that has the same numbers after a loss.
    end_position: u64,
    is_closed: bool,
    can_block: bool,
    skip: bool,
    start_us: Option<u64>,
    /// Version of the programmes.
    programs: u64,
}

/// Which segments are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selected {
    range: Range<usize>,
    is_closed: bool,
    /// Where to start, if the playlist says so.
    start: Option<Time>,
    /// Whether it grows with the stream, so that the next segment can be waited for.
    grows: bool,
}

impl Playlist {
    /// The text, compressed; made when it is first asked for.
    pub fn gzip(&self) -> &Bytes {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            // Writing to memory cannot fail.
            let _ = encoder.write_all(&self.text);
            encoder.finish().unwrap_or_default().into()
        })
    }
}

impl Default for Playlists {
    fn default() -> Self {
        let [packed, fmp4, ts] = [Container::Packed, Container::Fmp4, Container::Ts].map(|container| {
            let lines = Lines::new(container);
            Mutex::new(State { container, followed: None, lines, texts: HashMap::new() })
        });
        Playlists { packed, fmp4, ts }
    }
}

impl Playlists {
    fn state(&self, container: Container) -> &Mutex<State> {
        match container {
            Container::Packed => &self.packed,
            Container::Fmp4 => &self.fmp4,
            Container::Ts => &self.ts,
        }
    }

    /// The playlist that `query` asks of `stream`.
    pub fn get(
        &self,
        stream: &Stream,
        query: &HlsQuery,
        rule: &Rule,
        now: Time,
    ) -> Result<Arc<Playlist>, Missing> {
        let programs = stream.programs().list(now);
        let mut state = self.state(query.container).lock();
        state.follow(stream);
        let selected = state.select(query, rule, now)?;
        Ok(state.text(&selected, query.skip, rule, stream.key(), &programs))
    }

    /// Number of the newest segment.
    pub fn last(&self, stream: &Stream) -> Option<u64> {
        let mut state = self.packed.lock();
        state.follow(stream);
        state.lines.last().map(|segment| segment.seq.0)
    }

    /// What the segments shown by `rule` are made of: for the multivariant playlist.
    pub fn shown(&self, stream: &Stream, rule: &Rule) -> Vec<Segment> {
        let mut state = self.packed.lock();
        state.follow(stream);
        let from = state.lines.last().map_or(0, |last| state.window_start(last.end_time, rule.window));
        state.lines.segments(from..state.lines.len()).copied().collect()
    }
}

impl State {
    fn follow(&mut self, stream: &Stream) {
        let config = stream.config();
        let now = Some((stream.log().span(), config.seconds, config.bytes_max()));
        if self.followed == now {
            return;
        }
        self.followed = now;
        let keep_us = i64::try_from(config.seconds.as_micros()).unwrap_or(i64::MAX);
        let first = stream.log().first_lasting_segment(keep_us, config.bytes_max());
        self.lines.follow(stream.log(), stream.key(), first);
    }

    fn window_start(&self, end: Time, window: Option<Duration>) -> usize {
        let Some(window) = window else { return 0 };
        let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        self.lines.ending_after(Time(end.0.saturating_sub(micros)))
    }

    fn select(&self, query: &HlsQuery, rule: &Rule, now: Time) -> Result<Selected, Missing> {
        let lines = &self.lines;
        let (Some(first), Some(last)) = (lines.get(0), lines.last()) else { return Err(Missing::NoData) };
        let outside = Missing::Outside { oldest: first.time, newest: last.end_time };
        match query.shape {
            Shape::Live { window } => {
                let selected = self.live(lines.len(), window.or(rule.window))?;
                Ok(Selected { grows: true, ..selected })
            }
            Shape::Delay { delay, window } => {
                let delay_us = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
                let end = lines.ending_after(Time(now.0.saturating_sub(delay_us)));
                self.live(end, window.or(rule.window))
            }
            Shape::Since(start) => {
                let start = clock::time(start);
                let from = lines.ending_after(start);
                let is_there = start >= first.time && from < lines.len();
                if query.strict && !is_there {
                    return Err(outside);
                }
                // One that starts just now is as long as a live playlist must be, and tells where to start.
                let from = from.min(lines.len().saturating_sub(SEGMENTS_MIN));
                let start = is_there.then_some(start);
                Ok(Selected { range: from..lines.len(), is_closed: false, start, grows: true })
            }
            Shape::Between(start, end) => {
                let (start, end) = (clock::time(start), clock::time(end));
                let range = lines.ending_after(start)..lines.starting_from(end);
                if range.is_empty() || (query.strict && start < first.time) {
                    return Err(outside);
                }
                let late_us = LATE_US + 2 * rule.target.as_micros() as i64;
                let is_closed = last.end_time >= end || now >= end.plus_micros(late_us);
                let start = (start >= first.time).then_some(start);
                Ok(Selected { range, is_closed, start: start.filter(|_| !is_closed), grows: !is_closed })
            }
        }
    }

    /// The `window` before number `end`, and no less than a live playlist needs.
    fn live(&self, end: usize, window: Option<Duration>) -> Result<Selected, Missing> {
        let last = end.checked_sub(1).and_then(|nth| self.lines.get(nth)).ok_or(Missing::NoData)?;
        if end < SEGMENTS_MIN {
            return Err(Missing::NoData);
        }
        let from = self.window_start(last.end_time, window).min(end - SEGMENTS_MIN);
        Ok(Selected { range: from..end, is_closed: false, start: None, grows: false })
    }

    fn text(
        &mut self,
        selected: &Selected,
        skip: bool,
        rule: &Rule,
        key: &str,
        programs: &Listed,
    ) -> Arc<Playlist> {
        let (lines, range) = (&self.lines, &selected.range);
        let shown = (lines.get(range.start), lines.get(range.end - 1));
        let (Some(first), Some(last)) = shown else { unreachable!("a selection is never empty") };
        let start_us = selected.start.map(|start| start.micros_since(first.time).max(0) as u64);
        let text = Text {
            first: first.seq.0,
            end: last.seq.0,
            end_position: last.end.0,
            is_closed: selected.is_closed,
            can_block: selected.grows,
            skip,
            start_us,
            programs: programs.version,
        };
        if let Some(known) = self.texts.get(&text) {
            return Arc::clone(known);
        }
        let has_map = self.container == Container::Fmp4;
        let playlist = Arc::new(render(lines, &text, range, rule, has_map.then_some(key), programs));
        if self.texts.len() >= TEXTS_MAX {
            self.texts.clear();
        }
        self.texts.insert(text, Arc::clone(&playlist));
        playlist
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and dates are plain text")
}

/// Writes a playlist; with the initialisation segment of its first one where `mapped` names the stream.
fn render(
    lines: &Lines,
    text: &Text,
    range: &Range<usize>,
    rule: &Rule,
    mapped: Option<&str>,
    programs: &Listed,
) -> Playlist {
    let (first, last) = (lines.get(range.start), lines.get(range.end - 1));
    let (Some(first), Some(last)) = (first, last) else { unreachable!("a selection is never empty") };
    // Segments of an earlier run may be longer than is set now.
    let set_s = rule.target.as_secs() + u64::from(rule.target.subsec_nanos() > 0);
    let target_s = set_s.max((lines.longest_us() + 500_000) / 1_000_000);
    let skip_us = (SKIP_TARGETS * target_s * 1_000_000) as i64;
    let length_us = last.end_time.micros_since(first.time);
    let can_skip = text.can_block && length_us > (SKIP_FROM_TARGETS * target_s * 1_000_000) as i64;
    let recent = lines.ending_after(last.end_time.plus_micros(-skip_us)).max(range.start);
    let skipped = if text.skip && can_skip { recent - range.start } else { 0 };
    let head = MediaHead {
        target_s,
        first: first.seq.0,
        discontinuities: first.discontinuity_seq - u64::from(first.discontinuity),
        // The first frames of a segment of MP3 need some of the bytes before.
        is_independent: first.format.codec == Codec::Aac,
        is_closed: text.is_closed,
        can_block: text.can_block,
        can_skip,
        skipped,
        start_us: text.start_us,
    };
    let mut out = head.encode();
    let ranges = dateranges::lines(programs, first.time, last.end_time);
    out.push_str(&ranges);
    let rest = lines.text(range.start + skipped..range.end);
    if let (Some(key), Some(next)) = (mapped, lines.get(range.start + skipped))
        && !lines.has_map(range.start + skipped)
    {
        out.push_str(&format!("#EXT-X-MAP:URI=\"{}\"\n", map_uri(key, &next.format)));
    }
    out.push_str(rest);
    if text.is_closed {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    let start_us = text.start_us.map_or(0, |start_us| start_us as i64);
    let Text { first: first_seq, end, end_position, .. } = text;
    let kind = u8::from(text.is_closed) + 2 * u8::from(text.can_block);
    let etag = format!(
        "{first_seq}-{end}-{end_position:x}-{kind}-{skipped}-{start_us}-{target_s}{}",
        dateranges::tag(&ranges)
    );
    Playlist {
        text: out.into(),
        etag: header_value(&format!("\"{etag}\"")),
        gzip_etag: header_value(&format!("\"z{etag}\"")),
        is_closed: text.is_closed,
        start: header_value(&iso(first.time.plus_micros(start_us))),
        gzip: OnceLock::new(),
    }
}
