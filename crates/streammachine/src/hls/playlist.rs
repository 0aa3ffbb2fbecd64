//! Media playlists of one stream: which segments each shows, and the finished texts, shared by all who ask for the same.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use audio::{Codec, Time};
use axum::http::HeaderValue;
use parking_lot::Mutex;
use rewind::{LATE_US, Log, Position, Segment, Span};
use wire::hls::{Container, HlsQuery, MediaHead, Report, SKIP_TARGETS, Shape, write_report};

use crate::base::clock::{self, iso};
use crate::hls::SHORT_WINDOW;
use crate::hls::coding::Coded;
use crate::hls::dateranges::{self, FEW_TITLES, RANGES_MAX};
use crate::hls::lines::{Lines, map_uri};
use crate::hls::parts::{self, Progress};
use crate::stream::Stream;
use crate::stream::programs::Listed;

/// Fewer segments than this are no live playlist.
const SEGMENTS_MIN: usize = 3;
/// Segments leave a live playlist only while so many target durations remain (RFC 8216 section 6.2.2).
const REMAINING_TARGETS: u64 = 3;
/// Segments that leave the playlist will be there for so many target durations at least: its own length, and the up to
/// four that the shortest playlist lasts.
const LASTING_TARGETS: u32 = 5;
/// Part of the rewind buffer that is kept back for that at most.
const LASTING_PART: u32 = 4;
/// Bytes of finished texts that are kept in each container, their compressed forms included; a text with all of a day is
/// 800 kB.
const TEXTS_BYTES_MAX: usize = 8 << 20;
/// Finished texts in each container: players ask for a few forms, whoever asks for thousands gains nothing.
const TEXTS_MAX: usize = 256;

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
    pub text: Coded,
    /// Whether nothing will be added.
    pub is_closed: bool,
    /// Instant of its first sample.
    pub start: HeaderValue,
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

/// What a playlist tells besides segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// How far the other variants of a group are; only beside parts.
    pub reports: Vec<Report>,
}

/// What has a name in a stream.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    programs: &'a Listed,
    /// Where its titles are; none if they are programmes.
    titles: Option<&'a Log>,
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
    /// Bound on the length of a segment, as set.
    target: Duration,
    /// What was in the log when the lines were last looked after, and the bounds that they were held to.
    followed: Option<(Option<Span>, Duration, u64)>,
    lines: Lines,
    texts: HashMap<Text, Arc<Playlist>>,
}

/// What a text depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Text {
    first: u64,
    end: u64,
    /// Place of the last byte: tells audio apart that has the same numbers after a loss.
    end_position: u64,
    is_closed: bool,
    can_block: bool,
    skip: bool,
    start_us: Option<u64>,
    /// Parts of the segment that grows, if parts are listed.
    growing_parts: Option<u64>,
    reports: Vec<Report>,
    /// Version of the programmes.
    programs: u64,
    /// The newest of the titles that are told.
    newest_title: Position,
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

impl Playlists {
    /// None yet, of segments of at most `target`.
    pub fn new(target: Duration) -> Self {
        let [packed, fmp4, ts] = [Container::Packed, Container::Fmp4, Container::Ts].map(|container| {
            let lines = Lines::new(container);
            let texts = HashMap::new();
            Mutex::new(State { container, target, followed: None, lines, texts })
        });
        Playlists { packed, fmp4, ts }
    }

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
        extras: Extras,
        now: Time,
    ) -> Result<Arc<Playlist>, Missing> {
        let programs = stream.programs().list(now);
        let titles = (!stream.config().programs_from_metadata).then(|| &**stream.log());
        let named = Named { programs: &programs, titles };
        let mut state = self.state(query.container).lock();
        state.follow(stream);
        let selected = state.select(query, rule, now)?;
        let text = state.key(&selected, query, extras, named);
        Ok(state.text(text, &selected.range, stream.key(), named))
    }

    /// How far those in `container` are; none while there is no audio.
    pub fn progress(&self, stream: &Stream, container: Container) -> Option<Progress> {
        let mut state = self.state(container).lock();
        state.follow(stream);
        state.lines.progress()
    }

    /// For how long at most the playlist that `query` asks for goes on growing; none where it does not, or not any more.
    pub fn open_for(&self, stream: &Stream, query: &HlsQuery, rule: &Rule, now: Time) -> Option<Duration> {
        match query.shape {
            Shape::Live { .. } | Shape::Since(_) => Some(Duration::MAX),
            Shape::Delay { .. } => None,
            Shape::Between(_, end) => {
                let mut state = self.state(query.container).lock();
                state.follow(stream);
                state.open_for(clock::time(end), rule.target, now)
            }
        }
    }

    /// Bound on the length of a segment, those of earlier runs included.
    pub fn target(&self, stream: &Stream, container: Container) -> Duration {
        let mut state = self.state(container).lock();
        state.follow(stream);
        Duration::from_secs(state.target_s())
    }

    /// What the segments shown by `rule` are made of: for the multivariant playlist.
    pub fn shown(&self, stream: &Stream, rule: &Rule) -> Vec<Segment> {
        let mut state = self.packed.lock();
        state.follow(stream);
        let from = state.window_start(state.lines.len(), rule.window);
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
        let margin = (self.target * LASTING_TARGETS).min(config.seconds / LASTING_PART);
        let margin_us = margin.as_micros() as i64;
        let first = stream.log().first_lasting_segment(keep_us, config.bytes_max(), margin_us);
        self.lines.follow(stream.log(), stream.key(), first);
    }

    /// Segments of an earlier run may be longer than is set now.
    fn target_s(&self) -> u64 {
        let set_s = self.target.as_secs() + u64::from(self.target.subsec_nanos() > 0);
        set_s.max((self.lines.longest_us() + 500_000) / 1_000_000)
    }

    /// The first segment of the `window` before number `end`, which is no shorter than a live playlist must be. Gaps are
    /// no audio.
    fn window_start(&self, end: usize, window: Option<Duration>) -> usize {
        let Some(window) = window else { return 0 };
        let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let micros = micros.max(REMAINING_TARGETS * self.target_s() * 1_000_000);
        self.lines.reaching_back(end, micros).min(end.saturating_sub(SEGMENTS_MIN))
    }

    /// For how long at most a window that ends at `end` goes on growing: until its audio is there, or would be late.
    fn open_for(&self, end: Time, target: Duration, now: Time) -> Option<Duration> {
        let is_reached = self.lines.last().is_some_and(|last| last.end_time >= end);
        let late_us = LATE_US + 2 * target.as_micros() as i64;
        let left_us = u64::try_from(end.plus_micros(late_us).micros_since(now)).unwrap_or(0);
        (!is_reached && left_us > 0).then(|| Duration::from_micros(left_us))
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
                let is_there = self.is_there(start);
                if query.strict && !is_there {
                    return Err(outside);
                }
                let from = self.growing_from(start);
                let start = is_there.then_some(start);
                Ok(Selected { range: from..lines.len(), is_closed: false, start, grows: true })
            }
            Shape::Between(start, end) => {
                let (start, end) = (clock::time(start), clock::time(end));
                let is_closed = self.open_for(end, rule.target, now).is_none();
                let is_there = self.is_there(start);
                // A programme that begins just now is in the segment that grows, or in none yet.
                let is_growing = !is_closed && start <= now;
                let from = if is_growing { self.growing_from(start) } else { lines.ending_after(start) };
                let range = from..lines.starting_from(end);
                if range.is_empty() || (query.strict && !is_there) {
                    return Err(outside);
                }
                let start = Some(start).filter(|_| is_there && !is_closed);
                Ok(Selected { range, is_closed, start, grows: !is_closed })
            }
        }
    }

    /// Whether audio of `time` is there, that of the segment that grows included.
    fn is_there(&self, time: Time) -> bool {
        let newest = self.lines.growing().or_else(|| self.lines.last());
        let is_before = |oldest: &Segment| oldest.time <= time;
        self.lines.get(0).is_some_and(is_before) && newest.is_some_and(|newest| time < newest.end_time)
    }

    /// The first segment of a playlist that starts at `start` and grows: one that starts just now is as long as a live
    /// playlist must be, and tells where to start.
    fn growing_from(&self, start: Time) -> usize {
        self.lines.ending_after(start).min(self.window_start(self.lines.len(), Some(Duration::ZERO)))
    }

    /// The `window` before number `end`, and no less than a live playlist needs.
    fn live(&self, end: usize, window: Option<Duration>) -> Result<Selected, Missing> {
        if end < SEGMENTS_MIN {
            return Err(Missing::NoData);
        }
        let from = self.window_start(end, window);
        Ok(Selected { range: from..end, is_closed: false, start: None, grows: false })
    }

    /// What the text of `selected` depends on.
    fn key(&self, selected: &Selected, query: &HlsQuery, extras: Extras, named: Named<'_>) -> Text {
        let (lines, range) = (&self.lines, &selected.range);
        let shown = (lines.get(range.start), lines.get(range.end - 1));
        let (Some(first), Some(last)) = shown else { unreachable!("a selection is never empty") };
        let growing_parts = lists_parts(query).then(|| lines.growing().map_or(0, parts::grown));
        let growing = lines.growing().filter(|_| growing_parts.is_some_and(|parts| parts > 0));
        let end = growing.unwrap_or(last).end;
        Text {
            first: lines.media_sequence(range.start),
            end: last.seq.0,
            end_position: last.end.0,
            is_closed: selected.is_closed,
            can_block: selected.grows,
            skip: query.skip,
            start_us: selected.start.map(|start| start.micros_since(first.time).max(0) as u64),
            growing_parts,
            reports: extras.reports,
            programs: named.programs.version,
            newest_title: named.titles.map_or(Position(0), |log| dateranges::newest_title(log, end)),
        }
    }

    fn text(&mut self, text: Text, range: &Range<usize>, key: &str, named: Named<'_>) -> Arc<Playlist> {
        if let Some(known) = self.texts.get(&text) {
            return Arc::clone(known);
        }
        let playlist = Arc::new(self.render(&text, range, key, named));
        // Counted anew, since compressed forms are made when they are asked for.
        let kept: usize = self.texts.values().map(|playlist| playlist.text.bytes()).sum();
        if kept + playlist.text.bytes() > TEXTS_BYTES_MAX || self.texts.len() >= TEXTS_MAX {
            self.texts.clear();
        }
        self.texts.insert(text, Arc::clone(&playlist));
        playlist
    }

    /// Writes a playlist of the stream `key`.
    fn render(&self, text: &Text, range: &Range<usize>, key: &str, named: Named<'_>) -> Playlist {
        let lines = &self.lines;
        let (first, last) = (lines.get(range.start), lines.get(range.end - 1));
        let (Some(first), Some(last)) = (first, last) else { unreachable!("a selection is never empty") };
        let target_s = self.target_s();
        let recent = lines.reaching_back(range.end, SKIP_TARGETS * target_s * 1_000_000).max(range.start);
        let skipped = if text.skip && text.can_block { recent - range.start } else { 0 };
        let head = MediaHead {
            target_s,
            first: text.first,
            discontinuities: lines.discontinuities_before(range.start),
            // The first frames of a segment of MP3 need some of the bytes before.
            is_independent: first.format.codec == Codec::Aac,
            is_closed: text.is_closed,
            can_block: text.can_block,
            part_target: text.growing_parts.map(|_| parts::TARGET),
            skipped,
            start_us: text.start_us,
        };
        let mut out = head.encode();
        let mut ranges = dateranges::lines(named.programs, first.time, last.end_time);
        if let Some(log) = named.titles {
            let is_long = last.end_time.micros_since(first.time) > SHORT_WINDOW.as_micros() as i64;
            let max = if is_long && !text.is_closed { FEW_TITLES } else { RANGES_MAX };
            ranges += &dateranges::title_lines(log, first.start, text.newest_title, max);
        }
        out.push_str(&ranges);
        let shown = range.start + skipped..range.end;
        if let (Container::Fmp4, Some(next)) = (self.container, lines.get(shown.start))
            && !lines.has_map(shown.start)
        {
            out.push_str(&format!("#EXT-X-MAP:URI=\"{}\"\n", map_uri(key, &next.format)));
        }
        match text.growing_parts {
            Some(_) => parts::write(&mut out, lines, shown, target_s, key),
            None => out.push_str(lines.text(shown)),
        }
        text.reports.iter().for_each(|report| write_report(&mut out, report));
        if text.is_closed {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        let etag = text.etag(skipped, target_s) + &dateranges::tag(&ranges);
        let start_us = text.start_us.map_or(0, |start_us| start_us as i64);
        Playlist {
            text: Coded::new(out, &etag),
            is_closed: text.is_closed,
            start: header_value(&iso(first.time.plus_micros(start_us))),
        }
    }
}

impl Text {
    /// Changes with all that the text depends on.
    fn etag(&self, skipped: usize, target_s: u64) -> String {
        let Text { first, end, end_position, .. } = self;
        let kind = u8::from(self.is_closed) + 2 * u8::from(self.can_block);
        let start_us = self.start_us.unwrap_or(0);
        let mut etag = format!("{first}-{end}-{end_position:x}-{kind}-{skipped}-{start_us}-{target_s}");
        let reported = self.reports.iter().flat_map(|report| [report.segment, report.part]);
        for number in self.growing_parts.into_iter().chain(reported) {
            etag.push_str(&format!("-{number}"));
        }
        etag
    }
}

/// Whether the playlist that `query` asks for lists parts: those that end where the stream does. Other containers than
/// fragmented MP4 would let players stall (packed MP3) or gain nothing.
pub fn lists_parts(query: &HlsQuery) -> bool {
    let follows = matches!(query.shape, Shape::Live { .. } | Shape::Since(_));
    query.container == Container::Fmp4 && query.parts && follows
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and dates are plain text")
}

#[cfg(test)]
mod tests;
