//! Media time against real time: how far what was read runs ahead of what could have been played.

use std::time::Duration;

use audio::{Batch, Mono};
use serde::{Deserialize, Serialize};

/// Sums up media time since a start. Exact: samples are counted per rate, never rounded before the sum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    started: Mono,
    media_us: u64,
    rate_hz: u32,
    samples: u64,
}

impl Pace {
    /// Counts from `now`.
    pub fn start(now: Mono) -> Self {
        Pace { started: now, media_us: 0, rate_hz: 1, samples: 0 }
    }

    /// Counts a batch.
    pub fn add(&mut self, batch: &Batch) {
        self.add_samples(batch.samples(), batch.format.sample_rate_hz);
    }

    /// Counts `samples` at a rate.
    pub fn add_samples(&mut self, samples: u64, rate_hz: u32) {
        if rate_hz != self.rate_hz {
            self.media_us = self.media().as_micros() as u64;
            self.samples = 0;
            self.rate_hz = rate_hz.max(1);
        }
        self.samples += samples;
    }

    /// Media time counted so far.
    pub fn media(&self) -> Duration {
        let run_us = u128::from(self.samples) * 1_000_000 / u128::from(self.rate_hz);
        Duration::from_micros(self.media_us + run_us as u64)
    }

    /// How far the media time is ahead of real time; zero when it is behind.
    pub fn ahead(&self, now: Mono) -> Duration {
        self.media().saturating_sub(now.since(self.started))
    }

    /// Forgets that real time has overtaken the media time, so that a pause is not made up for by a rush.
    pub fn forgive(&mut self, now: Mono) {
        if now.since(self.started) > self.media() {
            *self = Pace::start(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    #[test]
    fn a_burst_is_ahead_until_time_has_caught_up() {
        let mut pace = Pace::start(Mono(5 * S));
        pace.add_samples(441_000, 44_100);
        assert_eq!(pace.ahead(Mono(5 * S)), Duration::from_secs(10));
        assert_eq!(pace.ahead(Mono(12 * S)), Duration::from_secs(3));
        assert_eq!(pace.ahead(Mono(99 * S)), Duration::ZERO);
    }

    #[test]
    fn a_change_of_rate_keeps_what_was_counted() {
        let mut pace = Pace::start(Mono(0));
        pace.add_samples(44_100, 44_100);
        pace.add_samples(24_000, 48_000);
        assert_eq!(pace.media(), Duration::from_millis(1_500));
    }

    #[test]
    fn a_pause_is_forgiven() {
        let mut pace = Pace::start(Mono(0));
        pace.add_samples(44_100, 44_100);
        pace.forgive(Mono(30 * S));
        pace.add_samples(44_100, 44_100);
        assert_eq!(pace.ahead(Mono(30 * S)), Duration::from_secs(1));
    }
}
