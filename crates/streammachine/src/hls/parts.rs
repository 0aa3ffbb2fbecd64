//! Parts of segments, for low latency. They follow from the log alone: from the start of a segment on, each part holds as
//! many frames as fit into [`TARGET`], and the last one what is left. Chunks are as long, so a part is there as soon as it
//! can be; where a chunk was cut short, a part ends within the next one.
//!
//! ```text
//!   chunks │      │      │   │      │      ‥
//!   parts  │   0  │   1  │   2  │   3  │   ‥ the next one is hinted at
//! ```

use std::ops::Range;
use std::time::Duration;

use audio::{Codec, Format};
use rewind::{Log, Segment, SegmentList, SegmentSeq};
use wire::hls::{Entry, write_hint, write_part, write_start};

use crate::base::clock::timestamp;
use crate::hls::lines::{Lines, map_uri};

/// Bound on the length of a part. Players keep three of them behind live. hls.js, told to keep 2 s, plays 2.1 s behind with
/// 1.2 s in its buffer; by default it is as late as its start was, 2.6 to 4 s. This is a whole number of frames at most of
/// AAC's rates, and frames fill 85 % of it at all but 7350 Hz. A segment of two seconds has four (11,025 Hz: five): of half a
/// second it would have a fifth with the last frame or two.
pub const TARGET: Duration = Duration::from_millis(512);
/// Parts are listed of segments that end less than so many target durations before the playlist does.
const LISTED_TARGETS: u64 = 3;
/// Samples of a frame of AAC at the rate of its core.
const FRAME_SAMPLES: u64 = 1024;
/// A reload may wait for the part so many after the newest: three seconds of them (the Advance Part Limit, RFC 8216bis
/// section 6.2.5.2).
const AHEAD: u64 = 3_000u64.div_ceil(TARGET.as_millis() as u64);

/// How far a playlist is. The segment that grows follows the newest whole one, which may be lost.
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
    let SegmentList { whole, growing, next } = log.list_segments(seq, 1);
    match (whole.first(), growing) {
        (Some(segment), _) if segment.seq == seq && part < count(segment) => Place::There(*segment),
        (None, Some(segment)) if segment.seq == seq && part < grown(&segment) => Place::There(segment),
        (None, growing) if seq == next && is_next(log, growing, part) => Place::Next,
        _ => Place::Missing,
    }
}

/// Whether the part is the next of the segment that grows, or else the first of the one that comes.
fn is_next(log: &Log, growing: Option<Segment>, part: u64) -> bool {
    let format = growing.map(|growing| growing.format).or_else(|| log.format());
    format.is_some_and(|format| format.codec == Codec::Aac) && part == growing.as_ref().map_or(0, grown)
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
    let growing_us =
        lines.growing().map_or(0, |growing| growing.format.micros(grown(growing) * full(&growing.format)));
    let listed_us = (LISTED_TARGETS * target_s * 1_000_000).saturating_sub(growing_us);
    let listed = lines.reaching_back(range.end, listed_us).clamp(range.start, range.end);
    out.push_str(lines.text(range.start..listed));
    for nth in listed..range.end {
        let (Some(segment), (start, end)) = (lines.get(nth), lines.halves(nth)) else { break };
        out.push_str(start);
        write_parts(out, segment, count(segment), key);
        out.push_str(end);
    }
    if let Some(growing) = lines.growing() {
        let parts = grown(growing);
        if parts > 0 {
            let map = lines.needs_map(growing, key).then(|| map_uri(key, &growing.format));
            let (discontinuity, time) = (growing.discontinuity, timestamp(growing.time));
            write_start(out, &Entry { discontinuity, time, length: (0, 1), uri: "", map: map.as_deref() });
            write_parts(out, growing, parts, key);
        }
    }
    if let Some((seq, part)) = next(lines) {
        write_hint(out, &uri(key, seq, part));
    }
}

/// The part that comes next; none where it is no AAC.
fn next(lines: &Lines) -> Option<(SegmentSeq, u64)> {
    let (last, next) = match lines.growing() {
        Some(growing) => (growing, (growing.seq, grown(growing))),
        None => lines.last().map(|last| (last, (lines.next(), 0)))?,
    };
    (last.format.codec == Codec::Aac).then_some(next)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use audio::{Chunk, Time};
    use bytes::Bytes;
    use rewind::{Config, Writer};
    use wire::hls::Container;

    use super::*;

    const AAC: Format =
        Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 0 };
    const SECOND_US: i64 = 1_000_000;
    /// A frame at 48 kHz.
    const FRAME_US: i64 = 21_333;

    /// A log of segments of two seconds.
    fn log() -> (Writer, Arc<Log>) {
        let (keep, segment) = (Duration::from_secs(3600), Duration::from_secs(2));
        let config = Config { key: "a".to_owned(), dir: None, keep, bytes_max: u64::MAX, segment };
        let (writer, log, _) = Log::open(config, Time(0)).unwrap();
        (writer, log)
    }

    /// Writes a chunk of so many frames behind the last; a segment starts with it if it is in another one.
    fn write_frames(writer: &mut Writer, frames: u32, discontinuity: bool) {
        let (last, time) = (writer.log().segments(), writer.log().edge().time);
        let two_s = |time: Time| time.0 / (2 * SECOND_US);
        let is_other = last.is_none_or(|last| two_s(last.last_time) != two_s(time));
        writer.append(&Chunk {
            format: AAC,
            time,
            span_us: frames * FRAME_US as u32,
            samples: frames * 1024,
            starts_segment: is_other || discontinuity,
            discontinuity,
            data: Bytes::from(vec![0; frames as usize]),
        });
    }

    fn growing(log: &Log) -> Segment {
        log.list_segments(SegmentSeq(0), 100).growing.unwrap()
    }

    #[test]
    fn parts_fill_most_of_their_target_at_any_rate() {
        let rates =
            [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000];
        for rate in rates {
            let samples = full(&Format { sample_rate_hz: rate, ..AAC });
            let target = 512 * u64::from(rate) / 1000;
            assert!(samples.is_multiple_of(1024) && samples <= target, "{rate}");
            assert!(samples + 1024 > target && samples * 100 >= 85 * target, "{rate}");
            // Frames of a segment of two seconds, which may end up to one later than that.
            let segment = (2 * u64::from(rate)).div_ceil(1024) * 1024;
            assert_eq!(segment.div_ceil(samples), if rate == 11_025 { 5 } else { 4 }, "{rate}");
        }
    }

    #[test]
    fn a_part_is_there_with_the_chunk_that_completes_it_and_stays_what_it_is() {
        let (mut writer, log) = log();
        let mut known: Vec<Range<u64>> = Vec::new();
        // 24 frames are a part. A stall has cut the second chunk short.
        let mut seen = Vec::new();
        for frames in [24, 7, 24, 24, 14] {
            write_frames(&mut writer, frames, false);
            let segment = growing(&log);
            seen.push(grown(&segment));
            let parts: Vec<_> = (0..grown(&segment)).map(|part| samples(&segment, part)).collect();
            assert!(parts.starts_with(&known), "{parts:?} after {known:?}");
            known = parts;
        }
        assert_eq!(seen, [1, 1, 2, 3, 3]);
        assert_eq!(known, [0, 24, 48].map(|first| first * 1024..(first + 24) * 1024));
        // 94 frames are beyond two seconds: the segment is over, and has a short part more.
        write_frames(&mut writer, 1, false);
        let SegmentList { whole, growing, .. } = log.list_segments(SegmentSeq(0), 100);
        assert_eq!((whole.len(), growing, count(&whole[0])), (1, None, 4));
        assert_eq!(samples(&whole[0], 3), 72 * 1024..94 * 1024);
    }

    #[test]
    fn a_part_is_looked_up_by_its_number() {
        let (mut writer, log) = log();
        for frames in [23; 10] {
            write_frames(&mut writer, frames, false);
        }
        let SegmentList { whole, growing, .. } = log.list_segments(SegmentSeq(0), 100);
        let (last, now) = (whole[whole.len() - 1], growing.unwrap());
        let place = |seq: SegmentSeq, part| find(&log, seq, part);
        assert_eq!(place(last.seq, count(&last) - 1), Place::There(last));
        assert_eq!(place(last.seq, count(&last)), Place::Missing);
        assert_eq!(place(now.seq, grown(&now)), Place::Next);
        assert_eq!(place(now.seq, grown(&now) + 1), Place::Missing);
        assert_eq!(place(SegmentSeq(now.seq.0 + 1), 0), Place::Missing);
        assert_eq!(place(SegmentSeq(u64::MAX), u64::MAX), Place::Missing);
        // An early end: what was to come does not.
        write_frames(&mut writer, 1, true);
        assert_eq!(place(now.seq, count(&now)), Place::Missing);
        // A segment that is over: the first part of the next one comes.
        while let Some(segment) = log.list_segments(SegmentSeq(0), 100).growing {
            assert_eq!(place(SegmentSeq(segment.seq.0 + 1), 0), Place::Missing);
            write_frames(&mut writer, 23, false);
        }
        let last = log.segments().unwrap().last;
        assert_eq!(place(SegmentSeq(last.0 + 1), 0), Place::Next);
        assert_eq!(place(SegmentSeq(last.0 + 1), 1), Place::Missing);
    }

    #[test]
    fn a_reload_is_answered_when_the_part_or_anything_later_is_there() {
        let at = |growing_parts| Progress { whole: 7, whole_parts: 4, growing_parts };
        for (growing_parts, segment, part, has, is_far) in [
            (0, 6, Some(99), true, false),
            (0, 7, Some(3), true, false),
            (0, 7, Some(4), false, false),
            (1, 7, Some(4), true, false),
            (0, 8, Some(0), false, false),
            (1, 8, Some(0), true, false),
            (1, 8, Some(6), false, false),
            (1, 8, Some(7), false, true),
            (1, 9, Some(5), false, false),
            (1, 9, Some(6), false, true),
            (1, 8, Some(u64::MAX), false, true),
            (9, 8, None, false, false),
            (0, 7, None, true, false),
        ] {
            let progress = at(growing_parts);
            assert_eq!(progress.has(segment, part), has, "{segment} {part:?} at {progress:?}");
            let far = part.is_some_and(|part| progress.is_far(segment, part));
            assert_eq!(far, is_far, "{segment} {part:?} at {progress:?}");
        }
        assert_eq!((at(0).newest(), at(2).newest()), (Some((7, 3)), Some((8, 1))));
        assert_eq!(Progress::default().newest(), None);
    }

    #[test]
    fn lines_of_parts_stand_between_date_and_length() {
        let (mut writer, log) = log();
        for nth in 0..12 {
            write_frames(&mut writer, 23, nth == 0 || nth == 10);
        }
        let mut lines = Lines::new(Container::Fmp4);
        lines.follow(&log, "a", Some(SegmentSeq(0)));
        assert_eq!(lines.len(), 3);
        let mut out = String::new();
        write(&mut out, &lines, 1..3, 1, "a");
        assert_eq!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:02.453Z\n\
             #EXT-X-PART:DURATION=0.512000,URI=\"/a/ts/1.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.512000,URI=\"/a/ts/1.1.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.512000,URI=\"/a/ts/1.2.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.426666,URI=\"/a/ts/1.3.m4s\",INDEPENDENT=YES\n\
             #EXTINF:1.962666,\n/a/ts/1.m4s\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.415Z\n\
             #EXT-X-PART:DURATION=0.490666,URI=\"/a/ts/2.0.m4s\",INDEPENDENT=YES\n\
             #EXTINF:0.490666,\n/a/ts/2.m4s\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.906Z\n\
             #EXT-X-PART:DURATION=0.512000,URI=\"/a/ts/3.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/a/ts/3.1.m4s\"\n"
        );
    }
}
