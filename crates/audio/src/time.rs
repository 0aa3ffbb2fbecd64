//! The two clocks, as numbers: wall-clock instants and monotonic moments. Nothing here reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A wall-clock instant: microseconds since the Unix epoch, UTC, no leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

/// A moment on the host's monotonic clock: microseconds since an arbitrary start, never stepping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The monotonic clock: durations come from it.
    pub mono: Mono,
    /// The wall clock: labels come from it.
    pub wall: Time,
}

impl Time {
    /// Whole milliseconds since the Unix epoch, rounded down.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// An instant from milliseconds since the Unix epoch.
    pub fn from_millis(ms: i64) -> Self {
        Time(ms.saturating_mul(1_000))
    }

    /// Microseconds from `earlier` to `self`; negative when `self` is the earlier one.
    pub fn micros_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `self` moved by a signed number of microseconds, saturating.
    pub fn plus_micros(self, micros: i64) -> Self {
        Time(self.0.saturating_add(micros))
    }
}

impl Mono {
    /// Time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self` and `duration` later, saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Mono(self.0.saturating_add(duration.as_micros() as u64))
    }
}
