//! The time line of a stream: audio counted exactly, dated from its arrival, held to the wall clock by slewing.
//!
//! Pure arithmetic on what it is told; it reads no clock. Cutting chunks belongs to the chunker.
//!
//! Two questions are answered here. [`Arrivals`]: when did the first audio of an epoch begin, given that sources
//! start with a burst? [`Timeline`]: at which wall-clock time does each later sample lie, given that the encoder's
//! clock drifts, the network delays, and the host's wall clock steps?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Batch, Format, Mono, Now, Time};

/// The arrival of an epoch's first audio is measured over this long, and this much audio is wanted in hand.
const SETTLE: Duration = Duration::from_millis(250);
/// Audio that arrives faster than so many times real time is a burst that has not passed yet.
const SPEED_MAX: u32 = 2;
/// Audio is dated after this long even if the burst goes on: listeners wait for it.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// Audio missing for longer, or a time line further behind the wall clock, is a gap; anything less is slewed away.
pub(crate) const GAP_US_MAX: i64 = 2_000_000;

/// The time line's lead is the largest seen in the last one to two of these: networks delay audio, never hasten it.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// A lead within this is left alone: it is noise, and nobody hears it.
const DEAD_BAND_US: i64 = 20_000;
/// Correction per microsecond of lead, in billionths: 5 ppm per ms, so an error decays with a time constant of 200 s.
const GAIN_PPB_PER_US: i64 = 5;
/// The drift is learned with this time constant, four times that of the gain: critically damped. Without it a 1 % drift
/// would hold the time line 2 s off.
const LEARN_US: i64 = 800_000_000;
/// Spans are stretched or shrunk by at most 2 %.
const CORRECTION_PPB_MAX: i64 = 20_000_000;
const BILLION: i128 = 1_000_000_000;

/// A moment of the monotonic clock as a signed number, so that it can lie before the clock's start.
pub(crate) fn signed_us(mono: Mono) -> i64 {
    mono.0 as i64
}

/// What the wall clock shows beyond the monotonic one.
pub(crate) fn clock_offset_us(now: Now) -> i64 {
    now.wall.0.saturating_sub(signed_us(now.mono))
}

/// Audio counted in samples, so that no rounding adds up however long it runs and however it is split.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct MediaClock {
    /// Audio of earlier sample rates.
    before_us: u64,
    /// Format whose samples are counted; none before the first.
    format: Option<Format>,
    samples: u64,
}

impl MediaClock {
    fn count(&mut self, format: &Format, samples: u64) {
        if self.format.is_some_and(|counted| counted.sample_rate_hz != format.sample_rate_hz) {
            self.before_us = self.us();
            self.samples = 0;
        }
        self.format = Some(*format);
        self.samples += samples;
    }

    fn us(&self) -> u64 {
        self.before_us + self.format.map_or(0, |format| format.micros(self.samples))
    }
}

/// The first audio of an epoch, watched as it arrives until its burst has passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    media: MediaClock,
    first: Mono,
    last: Mono,
    /// When the measuring of the arrival's speed began, and the audio in hand then.
    window: (Mono, u64),
    start_us: i64,
}

impl Arrivals {
    /// Nothing has arrived, but is about to.
    pub(crate) fn new(now: Mono) -> Self {
        Arrivals {
            media: MediaClock::default(),
            first: now,
            last: now,
            window: (now, 0),
            start_us: signed_us(now),
        }
    }

    /// `batch` arrives.
    pub(crate) fn add(&mut self, batch: &Batch, now: Mono) {
        self.media.count(&batch.format, batch.samples());
        self.last = now;
        self.start_us = self.start_us.min(signed_us(now) - self.media_us());
    }

    /// True if it is time to date the audio: enough has come and the burst has passed, or all patience is used up.
    pub(crate) fn have_settled(&mut self, now: Mono) -> bool {
        if now.since(self.first) >= GATHER_MAX {
            return true;
        }
        let (since, media_us) = self.window;
        let elapsed = now.since(since);
        if elapsed < SETTLE {
            return false;
        }
        self.window = (now, self.media.us());
        let arrived = Duration::from_micros(self.media.us() - media_us);
        arrived <= elapsed * SPEED_MAX && Duration::from_micros(self.media.us()) >= SETTLE
    }

    /// When to ask again.
    pub(crate) fn deadline(&self) -> Mono {
        self.window.0.plus(SETTLE).min(self.first.plus(GATHER_MAX))
    }

    /// When the audio began, in microseconds of the monotonic clock: the latest moment for which none of it would
    /// lie in the future at its arrival.
    pub(crate) fn start_us(&self) -> i64 {
        self.start_us
    }

    /// Audio in hand.
    pub(crate) fn media_us(&self) -> i64 {
        self.media.us() as i64
    }

    /// When the newest of it arrived.
    pub(crate) fn last(&self) -> Mono {
        self.last
    }
}

/// The largest of the values seen in the last one to two half windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Peak {
    since: Mono,
    newer: i64,
    older: i64,
}

impl Peak {
    fn new(value: i64, now: Mono) -> Self {
        Peak { since: now, newer: value, older: value }
    }

    fn see(&mut self, value: i64, now: Mono) {
        if now.since(self.since) >= HALF_WINDOW {
            *self = Peak { since: now, newer: value, older: self.newer };
        } else {
            self.newer = self.newer.max(value);
        }
    }

    fn max(&self) -> i64 {
        self.newer.max(self.older)
    }

    fn shift(&mut self, by: i64) {
        self.newer = self.newer.saturating_add(by);
        self.older = self.older.saturating_add(by);
    }
}

/// Places an epoch's samples on the wall clock.
///
/// A sample's time is the anchor, plus the exact duration of the audio before it, plus the slewing so far. Time never
/// goes back: where the time line leads the wall clock (the host's clock was set back, or audio came faster than real
/// time) it is followed by slewing alone, at 2 % at most, however far; where it lags beyond [`GAP_US_MAX`] it jumps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Timeline {
    anchor: Time,
    media: MediaClock,
    /// Sum of audio times correction, in billionths of a microsecond.
    slewed: i128,
    correction_ppb: i64,
    /// How much faster than real time the source is found to run.
    drift_ppb: i64,
    /// End of the time line against the monotonic clock, at the arrivals that were least delayed. The wall clock's
    /// offset is added when the lead is asked for, so a step of that clock is seen at once and the window stays true.
    peak: Peak,
    corrected_at: Mono,
}

impl Timeline {
    /// A time line whose first sample is at `start`, and which will lead the wall clock by `lead_us` (negative: lag)
    /// once all audio in hand is counted.
    pub(crate) fn new(start: Time, lead_us: i64, now: Now) -> Self {
        Timeline {
            anchor: start,
            media: MediaClock::default(),
            slewed: 0,
            correction_ppb: 0,
            drift_ppb: 0,
            peak: Peak::new(lead_us.saturating_add(clock_offset_us(now)), now.mono),
            corrected_at: now.mono,
        }
    }

    /// Time of the sample after the last one counted.
    pub(crate) fn end(&self) -> Time {
        let slewed_us = self.slewed.div_euclid(BILLION) as i64;
        self.anchor.plus_micros(self.media.us() as i64).plus_micros(slewed_us)
    }

    /// Counts samples that have arrived by now; microseconds of stream time that they cover.
    pub(crate) fn advance(&mut self, format: &Format, samples: u32, now: Now) -> i64 {
        let (start, before_us) = (self.end(), self.media.us());
        self.media.count(format, u64::from(samples));
        let media_us = self.media.us() - before_us;
        self.slewed += i128::from(media_us) * i128::from(self.correction_ppb);
        let end = self.end();
        self.peak.see(end.0.saturating_sub(signed_us(now.mono)), now.mono);
        end.micros_since(start)
    }

    /// Compares the time line with the wall clock and sets the slewing of the audio that follows; true if it had to
    /// jump forward instead.
    pub(crate) fn correct(&mut self, now: Now) -> bool {
        let mut lead_us = self.peak.max().saturating_sub(clock_offset_us(now));
        let jumps = lead_us < -GAP_US_MAX;
        if jumps {
            self.anchor = self.anchor.plus_micros(lead_us.saturating_neg());
            self.peak.shift(lead_us.saturating_neg());
            lead_us = 0;
        }
        let beyond_us = lead_us - lead_us.clamp(-DEAD_BAND_US, DEAD_BAND_US);
        let wanted_ppb = beyond_us.saturating_mul(GAIN_PPB_PER_US);
        // A larger lead was not made by drift, which is corrected long before; learning from it would overshoot.
        if lead_us <= GAP_US_MAX {
            let elapsed_us = now.mono.since(self.corrected_at).as_micros() as i64;
            let learned_ppb = wanted_ppb.saturating_mul(elapsed_us) / LEARN_US;
            self.drift_ppb = limit_ppb(self.drift_ppb.saturating_add(learned_ppb));
        }
        self.corrected_at = now.mono;
        self.correction_ppb = -limit_ppb(wanted_ppb.saturating_add(self.drift_ppb));
        jumps
    }
}

fn limit_ppb(ppb: i64) -> i64 {
    ppb.clamp(-CORRECTION_PPB_MAX, CORRECTION_PPB_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    const FORMAT: Format =
        Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 128 };

    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000), wall: Time::from_millis(ms as i64) }
    }

    #[test]
    fn audio_counted_at_several_rates_adds_up() {
        let mut media = MediaClock::default();
        for (sample_rate_hz, samples, us) in
            [(48_000, 1, 20), (48_000, 2, 62), (8_000, 1, 187), (48_000, 1, 207)]
        {
            media.count(&Format { sample_rate_hz, ..FORMAT }, samples);
            assert_eq!(media.us(), us);
        }
    }

    #[test]
    fn a_peak_is_remembered_for_one_to_two_half_windows() {
        let mut peak = Peak::new(0, Mono(0));
        peak.see(9, at(4_999).mono);
        peak.see(1, at(5_000).mono);
        peak.see(2, at(9_999).mono);
        assert_eq!(peak.max(), 9);
        peak.see(1, at(10_000).mono);
        assert_eq!(peak.max(), 2);
    }

    #[test]
    fn a_lead_within_the_dead_band_is_left_alone_and_a_larger_one_is_corrected_by_5_ppm_per_ms() {
        for (lead_us, correction_ppb) in [
            (20_000, 0),
            (-20_000, 0),
            (20_001, -5),
            (-20_001, 5),
            (1_020_000, -5_000_000),
            (4_019_999, -19_999_995),
            (4_020_001, -20_000_000),
            (i64::MAX, -20_000_000),
        ] {
            let mut timeline = Timeline::new(Time(0), lead_us, at(0));
            assert!(!timeline.correct(at(0)));
            assert_eq!(timeline.correction_ppb, correction_ppb, "lead of {lead_us} us");
        }
    }

    #[test]
    fn a_lead_that_no_drift_makes_teaches_no_drift() {
        for (lead_us, drift_ppb) in [(2_000_000, 123_750), (2_000_001, 0)] {
            let mut timeline = Timeline::new(Time(0), lead_us, at(0));
            timeline.correct(at(10_000));
            assert_eq!(timeline.drift_ppb, drift_ppb);
            timeline.correct(at(10_000));
            assert_eq!(timeline.drift_ppb, drift_ppb, "no time went by");
        }
    }

    #[test]
    fn a_lag_beyond_the_bound_is_jumped_over_whatever_the_network_delays_then() {
        let table = [(2_000_000, false, 0), (2_000_001, true, 2_000_001)];
        for (lag_us, jumps, end_us) in table {
            let mut timeline = Timeline::new(Time(0), -lag_us, at(0));
            assert_eq!(timeline.correct(at(0)), jumps);
            assert_eq!(timeline.end(), Time(end_us));
        }
        let late = |ms| Now { wall: at(ms).wall.plus_micros(3_600_000_000), ..at(ms) };
        let mut timeline = Timeline::new(Time(0), 0, at(0));
        assert!(timeline.correct(late(0)));
        timeline.advance(&FORMAT, 480, late(800));
        assert!(!timeline.correct(late(800)));
        assert_eq!(timeline.correction_ppb, 0);
    }
}
