//! A stream's segments as lines of playlists: each written once, when the segment is whole, and kept in one text, so that
//! any playlist is a head and a slice of it.

use std::collections::VecDeque;
use std::ops::Range;

use audio::{Codec, Format, Time};
use rewind::{Log, Segment, SegmentList, SegmentSeq};
use wire::hls::{Container, Entry, Init, write_end, write_start};

use crate::base::clock::timestamp;
use crate::hls::parts::{self, Progress};

/// Segments taken from the log under one lock.
const BATCH: usize = 256;
/// Text of forgotten segments is let go when it is more than this and more than what is kept.
const SLACK_BYTES: usize = 64 * 1024;

/// What a playlist needs to know of a segment besides its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The segment.
    pub segment: Segment,
    /// How much audio there was before it in the life of the text, in microseconds: without the gaps.
    audio_us: u64,
    /// How often a line said that the audio does not continue, in the life of the text up to and including its own.
    discontinuities: u64,
    /// Where its lines start in the life of the text.
    at: u64,
    /// Bytes of the lines before its parts.
    start_bytes: usize,
    /// Whether they name its initialisation segment.
    has_map: bool,
}

/// The lines of a stream's lasting segments in one container, in order.
#[derive(Debug, Default)]
pub struct Lines {
    container: Container,
    lines: VecDeque<Line>,
    text: String,
    /// Where the text starts in its life.
    text_start: u64,
    /// The segment that grows behind them, as far as it is there.
    growing: Option<Segment>,
    /// Number of that one, or of the one that comes.
    next: SegmentSeq,
}

/// What a segment's name ends in.
pub fn extension(container: Container, codec: Codec) -> &'static str {
    match (container, codec) {
        (Container::Packed, Codec::Mp3) => "mp3",
        (Container::Packed, Codec::Aac) => "aac",
        (Container::Fmp4, _) => "m4s",
        (Container::Ts, _) => "ts",
    }
}

/// The address of the initialisation segment that `format` needs in fragmented MP4.
pub fn map_uri(key: &str, format: &Format) -> String {
    let Format { profile, sample_rate_hz, channels, .. } = *format;
    format!("/{key}/ts/{}", Init { profile, sample_rate_hz, channels }.file_name())
}

impl Lines {
    /// Lines of segments in `container`; none yet.
    pub fn new(container: Container) -> Self {
        Lines { container, ..Lines::default() }
    }

    /// Takes over what the log of the stream `key` has got since, and forgets the segments before `first`.
    pub fn follow(&mut self, log: &Log, key: &str, first: Option<SegmentSeq>) {
        let Some(first) = first else {
            *self = Lines::new(self.container);
            return;
        };
        // Older audio was put behind the oldest, or all was cleared: what was known is not what is there.
        let is_other = self.lines.front().is_some_and(|line| first < line.segment.seq)
            || self.lines.back().is_some_and(|line| log.segment(line.segment.seq) != Some(line.segment));
        if is_other {
            *self = Lines::new(self.container);
        }
        while self.lines.front().is_some_and(|line| line.segment.seq < first) {
            self.lines.pop_front();
        }
        loop {
            let from = self.lines.back().map_or(first, |line| SegmentSeq(line.segment.seq.0 + 1));
            let SegmentList { whole, growing, next } = log.list_segments(from, BATCH);
            whole.iter().for_each(|segment| self.push(*segment, key));
            (self.growing, self.next) = (growing, next);
            if whole.len() < BATCH {
                break;
            }
        }
        self.trim();
    }

    fn push(&mut self, segment: Segment, key: &str) {
        let ending = extension(self.container, segment.format.codec);
        let uri = format!("/{key}/ts/{}.{ending}", segment.seq);
        let map = self.needs_map(&segment, key).then(|| map_uri(key, &segment.format));
        let (at, has_map) = (self.text.len(), map.is_some());
        let entry = Entry {
            discontinuity: segment.discontinuity,
            time: timestamp(segment.time),
            length: (segment.samples, segment.format.sample_rate_hz),
            uri: &uri,
            map: map.as_deref(),
        };
        write_start(&mut self.text, &entry);
        let start_bytes = self.text.len() - at;
        write_end(&mut self.text, &entry);
        let at = self.text_start + at as u64;
        let before = self.lines.back();
        let audio_us = before.map_or(0, |line| line.audio_us + line.segment.duration_us());
        let discontinuities =
            before.map_or(0, |line| line.discontinuities) + u64::from(segment.discontinuity);
        self.lines.push_back(Line { segment, audio_us, discontinuities, at, start_bytes, has_map });
    }

    /// Whether the initialisation segment must be named before `segment`, which follows the last line.
    pub fn needs_map(&self, segment: &Segment, key: &str) -> bool {
        let is_alike = |last: &Segment| map_uri(key, &last.format) == map_uri(key, &segment.format);
        self.container == Container::Fmp4 && !self.last().is_some_and(is_alike)
    }

    /// Lets go of the text of forgotten segments, now and then: that moves what is kept.
    fn trim(&mut self) {
        let kept =
            self.lines.front().map_or(self.text.len() as u64, |line| line.at - self.text_start) as usize;
        if kept > SLACK_BYTES && kept > self.text.len() / 2 {
            self.text.drain(..kept);
            self.text_start += kept as u64;
        }
    }

    /// Microseconds of the longest segment; 0 without any.
    pub fn longest_us(&self) -> u64 {
        self.lines.iter().map(|line| line.segment.duration_us()).max().unwrap_or(0)
    }

    /// How many segments.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Segment number `nth` of them.
    pub fn get(&self, nth: usize) -> Option<&Segment> {
        self.lines.get(nth).map(|line| &line.segment)
    }

    /// Whether the lines of number `nth` name the initialisation segment.
    pub fn has_map(&self, nth: usize) -> bool {
        self.lines.get(nth).is_some_and(|line| line.has_map)
    }

    /// The newest segment.
    pub fn last(&self) -> Option<&Segment> {
        self.lines.back().map(|line| &line.segment)
    }

    /// The segment that grows, as far as it is there.
    pub fn growing(&self) -> Option<&Segment> {
        self.growing.as_ref()
    }

    /// Number of the segment that grows, or of the one that comes.
    pub fn next(&self) -> SegmentSeq {
        self.next
    }

    /// The number that number `nth` has in playlists, where numbers only count: its own, if none was lost behind it.
    pub fn media_sequence(&self, nth: usize) -> u64 {
        self.next.0.saturating_sub((self.len() - nth) as u64)
    }

    /// Discontinuities before number `nth`, so that those told from there on lead to that of the newest segment.
    pub fn discontinuities_before(&self, nth: usize) -> u64 {
        let (Some(line), Some(last)) = (self.lines.get(nth), self.lines.back()) else { return 0 };
        let told = last.discontinuities - line.discontinuities + u64::from(line.segment.discontinuity);
        last.segment.discontinuity_seq.saturating_sub(told)
    }

    /// How far they are.
    pub fn progress(&self) -> Option<Progress> {
        self.growing().or_else(|| self.last())?;
        let whole = self.next.0.saturating_sub(1);
        let whole_parts = self.last().filter(|last| last.seq.0 == whole).map_or(0, parts::count);
        Some(Progress { whole, whole_parts, growing_parts: self.growing.as_ref().map_or(0, parts::grown) })
    }

    /// The segments in `range`.
    pub fn segments(&self, range: Range<usize>) -> impl Iterator<Item = &Segment> {
        self.lines.range(range).map(|line| &line.segment)
    }

    /// The lines of the segments in `range`.
    pub fn text(&self, range: Range<usize>) -> &str {
        let at = |nth: usize| {
            self.lines.get(nth).map_or(self.text.len(), |line| (line.at - self.text_start) as usize)
        };
        &self.text[at(range.start)..at(range.end)]
    }

    /// The lines of number `nth` that stand before its parts, and those behind them.
    pub fn halves(&self, nth: usize) -> (&str, &str) {
        let start_bytes = self.lines.get(nth).map_or(0, |line| line.start_bytes);
        self.text(nth..nth + 1).split_at(start_bytes)
    }

    /// Number of the first segment that ends after `time`.
    pub fn ending_after(&self, time: Time) -> usize {
        self.lines.partition_point(|line| line.segment.end_time <= time)
    }

    /// How much audio the segments in `range` have, in microseconds.
    pub fn audio_us(&self, range: Range<usize>) -> u64 {
        let until = |nth: usize| {
            let line = nth.checked_sub(1).and_then(|nth| self.lines.get(nth));
            line.map_or_else(
                || self.lines.front().map_or(0, |first| first.audio_us),
                |line| line.audio_us + line.segment.duration_us(),
            )
        };
        until(range.end).saturating_sub(until(range.start))
    }

    /// Number of the first segment of as few before number `end` as have `micros` of audio; 0 if all of them have less.
    pub fn reaching_back(&self, end: usize, micros: u64) -> usize {
        let skipped = self.audio_us(0..end).saturating_sub(micros);
        let first_us = self.lines.front().map_or(0, |first| first.audio_us);
        self.lines.partition_point(|line| line.audio_us + line.segment.duration_us() - first_us <= skipped)
    }

    /// Number of the first segment that starts at `time` or later.
    pub fn starting_from(&self, time: Time) -> usize {
        self.lines.partition_point(|line| line.segment.time < time)
    }
}
