//! Parts of segments, for low latency. They follow from the log alone: from the start of a segment on, each part holds as
//! many frames as fit into a second, and the last one what is left. Two chunks of half a second are one part, so it is
//! there as soon as the second of them is written; where a chunk was cut short, a part ends within the next one.
//!
//! ```text
//!   chunks │      │      │      │      │   │      │      ‥
//!   parts  │      0      │      1      │     2       │  ‥ the next one is hinted at
//! ```

use std::ops::Range;
use std::time::Duration;

use audio::{Codec, Format};
use rewind::{Log, Segment, SegmentSeq};
use wire::hls::{Entry, write_hint, write_part, write_start};

use crate::base::clock::timestamp;
use crate::hls::lines::{Lines, map_uri};

/// Bound on the length of a part. Half of it would halve what players are behind (three parts) and double the requests,
/// two a second of each listener already; and at any rate that AAC has, the frames that fit fill more than 85 % of it.
pub const TARGET: Duration = Duration::from_secs(1);
/// Parts are listed of segments that end less than so many target durations before the playlist does.
const LISTED_TARGETS: u64 = 3;
/// Samples of a frame of AAC at the rate of its core.
const FRAME_SAMPLES: u64 = 1024;
/// A reload may wait for the part so many after the newest (the Advance Part Limit, RFC 8216bis section 6.2.5.2).
const AHEAD: u64 = 3;

/// How far a playlist is. The segment that grows follows the newest whole one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of the newest whole segment.
    pub whole: u64,
    /// Its parts.
    pub whole_parts: u64,
    /// Parts of the segment that grows.
    pub growing_parts: u64,
}

/// Where a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this segment.
    There(Segment),
    /// It comes next.
    Next,
    /// Nowhere, now and perhaps for ever.
    Missing,
}

/// Samples of a part that is not the last.
fn full(format: &Format) -> u64 {
    let fitting = TARGET.as_micros() as u64 * u64::from(format.sample_rate_hz) / 1_000_000;
    (fitting / FRAME_SAMPLES).max(1) * FRAME_SAMPLES
}

/// How many parts a whole `segment` has.
pub fn count(segment: &Segment) -> u64 {
    if segment.format.codec == Codec::Aac { segment.samples.div_ceil(full(&segment.format)) } else { 0 }
}

/// How many parts of a `segment` that grows are there.
pub fn grown(segment: &Segment) -> u64 {
    if segment.format.codec == Codec::Aac { segment.samples / full(&segment.format) } else { 0 }
}

/// Which of the segment's samples are those of `part`.
pub fn samples(segment: &Segment, part: u64) -> Range<u64> {
    let full = full(&segment.format);
    part * full..((part + 1) * full).min(segment.samples)
}

/// Looks up `part` of the segment `seq`.
pub fn find(log: &Log, seq: SegmentSeq, part: u64) -> Place {
    let (whole, growing) = log.segments_with_growing(seq, 1);
    match (whole.first(), growing) {
        (Some(segment), _) if segment.seq == seq && part < count(segment) => Place::There(*segment),
        (None, Some(segment)) if segment.seq == seq && part < grown(&segment) => Place::There(segment),
        (None, growing) if is_next(log, growing, seq, part) => Place::Next,
        _ => Place::Missing,
    }
}

/// Whether the part is the next of the segment that grows, or else the first of the one that comes.
fn is_next(log: &Log, growing: Option<Segment>, seq: SegmentSeq, part: u64) -> bool {
    let is_aac = |segment: &Segment| segment.format.codec == Codec::Aac;
    match growing {
        Some(growing) => growing.seq == seq && is_aac(&growing) && part == grown(&growing),
        None => {
            let before = seq.0.checked_sub(1).and_then(|seq| log.segment(SegmentSeq(seq)));
            part == 0 && before.is_some_and(|before| is_aac(&before))
        }
    }
}

impl Progress {
    /// Whether the playlist has `segment`, or its `part` if one is named, or anything later. A part that the segment turns
    /// out not to have is the first of the next one.
    pub fn has(&self, segment: u64, part: Option<u64>) -> bool {
        match (part, segment.checked_sub(self.whole)) {
            (_, None) | (None, Some(0)) => true,
            (Some(part), Some(0)) => part < self.whole_parts || self.growing_parts > 0,
            (Some(part), Some(1)) => part < self.growing_parts,
            _ => false,
        }
    }

    /// Whether that `part` is too far ahead to wait for.
    pub fn is_far(&self, segment: u64, part: u64) -> bool {
        match segment.checked_sub(self.whole) {
            None | Some(0) => false,
            Some(1) => part >= self.growing_parts.saturating_add(AHEAD),
            Some(_) => part >= AHEAD,
        }
    }

    /// Segment and number of the newest part.
    pub fn newest(&self) -> Option<(u64, u64)> {
        match self.growing_parts.checked_sub(1) {
            Some(part) => Some((self.whole + 1, part)),
            None => Some((self.whole, self.whole_parts.checked_sub(1)?)),
        }
    }
}

/// Appends the lines of the segments in `range`, the last of `lines`, with the parts of the newest of them and of the
/// segment that grows, and the hint at the next one.
pub fn write(out: &mut String, lines: &Lines, range: Range<usize>, target_s: u64, key: &str) {
    let growing_us = lines
        .growing()
        .map_or(0, |growing| growing.format.micros(grown(growing) * full(&growing.format)) as i64);
    let listed_us = (LISTED_TARGETS * target_s * 1_000_000) as i64;
    let newest = lines.last().map(|last| last.end_time.plus_micros(growing_us - listed_us));
    let listed =
        newest.map_or(range.start, |newest| lines.ending_after(newest)).clamp(range.start, range.end);
    out.push_str(lines.text(range.start..listed));
    for nth in listed..range.end {
        let (Some(segment), (start, end)) = (lines.get(nth), lines.halves(nth)) else { break };
        out.push_str(start);
        write_parts(out, segment, count(segment), key);
        out.push_str(end);
    }
    let Some(growing) = lines.growing() else {
        return match lines.last().filter(|last| last.format.codec == Codec::Aac) {
            Some(last) => write_hint(out, &uri(key, SegmentSeq(last.seq.0 + 1), 0)),
            None => (),
        };
    };
    let parts = grown(growing);
    if parts > 0 {
        let map = lines.needs_map(growing, key).then(|| map_uri(key, &growing.format));
        let (discontinuity, time) = (growing.discontinuity, timestamp(growing.time));
        write_start(out, &Entry { discontinuity, time, length: (0, 1), uri: "", map: map.as_deref() });
        write_parts(out, growing, parts, key);
    }
    if growing.format.codec == Codec::Aac {
        write_hint(out, &uri(key, growing.seq, parts));
    }
}

fn write_parts(out: &mut String, segment: &Segment, parts: u64, key: &str) {
    for part in 0..parts {
        let samples = samples(segment, part);
        let rate_hz = segment.format.sample_rate_hz;
        write_part(out, samples.end - samples.start, rate_hz, &uri(key, segment.seq, part));
    }
}

fn uri(key: &str, seq: SegmentSeq, part: u64) -> String {
    format!("/{key}/ts/{seq}.{part}.m4s")
}
