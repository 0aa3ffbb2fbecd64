//! The numbers that HLS shows: segment, discontinuity and time stamp of each chunk. They are given once, when a chunk
//! is written, and follow from those of the chunk before; block headers keep them. What a playlist does with them is
//! not here.

use audio::{Format, Time};
use serde::{Deserialize, Serialize};

use crate::SegmentSeq;

/// Ticks of MPEG time stamps per second.
const PTS_HZ: u128 = 90_000;
/// A log without a past counts its discontinuities from the hours since this instant, 2020-01-01, so that a restart that
/// has lost everything does not count back by much. No finer, and no earlier: hls.js counts up to the number at each reload
/// of a playlist, and minutes since 1970 took it a second.
const DISCONTINUITIES_FROM_US: i64 = 1_577_836_800_000_000;
const DISCONTINUITY_US: i64 = 3_600_000_000;

/// Where a segment starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMark {
    pub seq: SegmentSeq,
    pub time: Time,
}

/// The segments that start within the rewind buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How many; the last one is still growing.
    pub count: u64,
    /// Number of the oldest.
    pub first: SegmentSeq,
    /// Instant of its first sample.
    pub first_time: Time,
    /// Number of the newest.
    pub last: SegmentSeq,
    /// Instant of its first sample.
    pub last_time: Time,
}

/// The numbers of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// The segment it lies in.
    pub segment: SegmentSeq,
    /// Discontinuities up to and including its own.
    pub discontinuity_seq: u64,
    /// Time stamp of its epoch's start in 90 kHz ticks; wraps at 2^64, which 2^33 divides.
    pub pts_base: u64,
    /// Samples of its epoch before it.
    pub samples_before: u64,
}

/// What the numbers of the next chunk follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub format: Format,
    pub samples: u32,
    pub starts_segment: bool,
    pub discontinuity: bool,
}

impl Numbers {
    /// Numbers of the first chunk of a log without a past. All count from the Unix epoch: a log that has lost its past
    /// goes on upwards, and streams that begin at the same instant have the same time stamps.
    pub fn first(time: Time, segment_us: u64, now: Time) -> Self {
        let since_epoch_us = u64::try_from(time.0).unwrap_or(0);
        Numbers {
            segment: SegmentSeq(since_epoch_us / segment_us.max(1)),
            discontinuity_seq: u64::try_from((now.0 - DISCONTINUITIES_FROM_US) / DISCONTINUITY_US)
                .unwrap_or(0),
            pts_base: (u128::from(since_epoch_us) * PTS_HZ / 1_000_000) as u64,
            samples_before: 0,
        }
    }

    /// Time stamp of the chunk's first sample at `rate_hz`, in 90 kHz ticks, exact: rounded down once.
    pub fn pts(&self, rate_hz: u32) -> u64 {
        let ticks = u128::from(self.samples_before) * PTS_HZ / u128::from(rate_hz.max(1));
        self.pts_base.wrapping_add(ticks as u64)
    }

    /// Numbers of the chunk `next` that is written after the chunk `this`, whose numbers these are. A new epoch starts
    /// where the format does not continue; an outage alone does not disturb the time stamps.
    pub fn following(&self, this: &Step, next: &Step) -> Self {
        let end = Numbers { samples_before: self.samples_before + u64::from(this.samples), ..*self };
        let (pts_base, samples_before) = if this.format.continues_as(&next.format) {
            (end.pts_base, end.samples_before)
        } else {
            (end.pts(this.format.sample_rate_hz), 0)
        };
        Numbers {
            segment: SegmentSeq(self.segment.0 + u64::from(next.starts_segment)),
            discontinuity_seq: self.discontinuity_seq + u64::from(next.discontinuity),
            pts_base,
            samples_before,
        }
    }

    /// Numbers for the first of some older chunks, so that `self` are those of the chunk after them; `counted` are what
    /// that chunk gets when the first older one starts from zero. None if there is no room below.
    pub fn before(&self, rate_hz: u32, counted: &Numbers) -> Option<Self> {
        Some(Numbers {
            segment: SegmentSeq(self.segment.0.checked_sub(counted.segment.0)?),
            discontinuity_seq: self.discontinuity_seq.checked_sub(counted.discontinuity_seq)?,
            pts_base: self.pts(rate_hz).wrapping_sub(counted.pts(rate_hz)),
            samples_before: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use audio::Codec;

    use super::*;

    const SLOW: Format =
        Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 22_050, channels: 1, bitrate_kbps: 32 };
    const FAST: Format = Format { sample_rate_hz: 44_100, ..SLOW };
    const FIRST: Numbers =
        Numbers { segment: SegmentSeq(10), discontinuity_seq: 20, pts_base: 0, samples_before: 0 };

    fn step(format: Format, samples: u32) -> Step {
        Step { format, samples, starts_segment: false, discontinuity: false }
    }

    #[test]
    fn a_log_without_a_past_counts_from_the_clock() {
        let now = Time(DISCONTINUITIES_FROM_US + 2 * DISCONTINUITY_US - 1);
        let numbers = Numbers::first(Time(99_999_999), 10_000_000, now);
        assert_eq!((numbers.segment, numbers.discontinuity_seq), (SegmentSeq(9), 1));
        assert_eq!(numbers.pts(44_100), 99_999_999 * 9 / 100);
        let far = Numbers::first(Time(0), 1, Time(now.0 + 100 * 8_766 * DISCONTINUITY_US));
        assert!(
            far.discontinuity_seq < 1_000_000,
            "a player can count so far in no time, in a hundred years too"
        );
        let before_1970 = Numbers::first(Time(-1), 10_000_000, Time(-1));
        assert_eq!((before_1970.segment, before_1970.discontinuity_seq), (SegmentSeq(0), 0));
        assert_eq!(before_1970.pts(44_100), 0);
    }

    #[test]
    fn each_mark_counts_one() {
        let plain = step(SLOW, 576);
        let segment = Step { starts_segment: true, ..plain };
        let break_ = Step { starts_segment: true, discontinuity: true, ..plain };
        for (next, wanted) in [(plain, (10, 20)), (segment, (11, 20)), (break_, (11, 21))] {
            let numbers = FIRST.following(&plain, &next);
            assert_eq!((numbers.segment.0, numbers.discontinuity_seq), wanted);
        }
    }

    #[test]
    fn time_stamps_never_drift() {
        // A day of frames of 576 samples at 22,050 Hz: each lasts 2,351.02 ticks.
        let mut numbers = FIRST;
        for _ in 0..3_307_500 {
            numbers = numbers.following(&step(SLOW, 576), &step(SLOW, 576));
        }
        assert_eq!(numbers.pts(22_050), 86_400 * 90_000);
    }

    #[test]
    fn another_rate_starts_an_epoch_where_the_last_one_ended() {
        let numbers = FIRST.following(&step(SLOW, 22_050), &step(FAST, 44_100));
        assert_eq!((numbers.pts_base, numbers.samples_before), (90_000, 0));
        let numbers = numbers.following(&step(FAST, 44_100), &step(FAST, 1));
        assert_eq!((numbers.pts_base, numbers.samples_before), (90_000, 44_100));
        assert_eq!(numbers.pts(44_100), 180_000);
        let other_bitrate = step(Format { bitrate_kbps: 0, ..FAST }, 1);
        assert_eq!(numbers.following(&step(FAST, 1), &other_bitrate).pts_base, 90_000, "no epoch");
    }

    #[test]
    fn older_audio_leads_to_the_numbers_that_were_given() {
        let zero = Numbers { segment: SegmentSeq(0), discontinuity_seq: 0, pts_base: 0, samples_before: 0 };
        let (older, live) =
            (step(SLOW, 22_050), Step { starts_segment: true, discontinuity: true, ..step(FAST, 1) });
        let before = FIRST.before(44_100, &zero.following(&older, &live)).unwrap();
        assert_eq!((before.segment.0, before.discontinuity_seq), (9, 19));
        let led_to = before.following(&older, &live);
        assert_eq!((led_to.segment, led_to.discontinuity_seq), (FIRST.segment, FIRST.discontinuity_seq));
        assert_eq!(led_to.pts(44_100), FIRST.pts(44_100), "across the wrap at zero");
    }

    #[test]
    fn there_may_be_no_room_below() {
        let counted =
            |segment, discontinuity_seq| Numbers { segment: SegmentSeq(segment), discontinuity_seq, ..FIRST };
        assert!(FIRST.before(44_100, &counted(10, 20)).is_some());
        assert!(FIRST.before(44_100, &counted(11, 20)).is_none());
        assert!(FIRST.before(44_100, &counted(10, 21)).is_none());
    }
}
