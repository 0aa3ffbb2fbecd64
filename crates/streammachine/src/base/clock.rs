//! The only place that reads the host's clocks. Everything behind it takes times as values.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audio::{Mono, Now, Time};
use serde::{Deserialize, Serialize};

/// A clock as another process on this host can go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// What the host's monotonic clock showed at its start, in microseconds.
    started_us: u64,
    started_wall: Time,
}

/// Both clocks of the host, with the moment at which they were first read.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_wall: Time,
}

impl Clock {
    /// A clock that counts from now.
    pub fn start() -> Self {
        Clock { started: Instant::now(), started_wall: wall() }
    }

    /// Goes on with the clock of another process: moments and steady times mean the same in both.
    pub fn resume(state: ClockState) -> Self {
        let age = Duration::from_micros(host_mono_us().saturating_sub(state.started_us));
        let now = Instant::now();
        Clock { started: now.checked_sub(age).unwrap_or(now), started_wall: state.started_wall }
    }

    /// The clock for another process.
    pub fn state(&self) -> ClockState {
        ClockState {
            started_us: host_mono_us().saturating_sub(self.mono().0),
            started_wall: self.started_wall,
        }
    }

    /// Both clocks, read once.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// The monotonic clock alone.
    pub fn mono(&self) -> Mono {
        Mono(self.started.elapsed().as_micros() as u64)
    }

    /// Wall time as it would be had nobody set the host's clock since the start: what paces listeners, so that an
    /// NTP step neither stalls nor floods them.
    pub fn steady(&self) -> Time {
        self.started_wall.plus_micros(self.mono().0 as i64)
    }
}

/// The clock behind [`Instant`], which all processes of the host share.
fn host_mono_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000 + (now.tv_nsec as u64) / 1_000
}

fn wall() -> Time {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    };
    Time(micros)
}

/// `time` as a `jiff` timestamp, clamped to the years that jiff knows.
pub fn timestamp(time: Time) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(time.0).unwrap_or(if time.0 < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

/// A `jiff` timestamp as a time, rounded down to the microsecond.
pub fn time(timestamp: jiff::Timestamp) -> Time {
    Time(timestamp.as_microsecond())
}

/// ISO 8601 with milliseconds and `Z`, as every answer writes instants.
pub fn iso(time: Time) -> String {
    format!("{:.3}", timestamp(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_with_milliseconds() {
        assert_eq!(iso(Time::from_millis(1_795_408_705_408)), "2026-11-23T04:38:25.408Z");
        assert_eq!(iso(Time(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_clock_goes_on_in_another_process() {
        let clock = Clock::start();
        let before = (clock.mono(), clock.steady());
        let state = serde_json::to_string(&clock.state()).unwrap();
        let resumed = Clock::resume(serde_json::from_str(&state).unwrap());
        let between = (resumed.mono(), resumed.steady());
        // Microseconds are rounded twice.
        let after = (Mono(clock.mono().0 + 2), clock.steady().plus_micros(2));
        assert!(before.0.0 <= between.0.0 + 2 && between.0 <= after.0, "{before:?} {between:?} {after:?}");
        assert!(before.1.0 <= between.1.0 + 2 && between.1 <= after.1, "{before:?} {between:?} {after:?}");
    }

    #[test]
    fn steady_time_starts_at_the_wall_clock_and_never_steps() {
        let clock = Clock::start();
        let first = clock.steady();
        assert!((clock.now().wall.0 - first.0).abs() < 5_000_000);
        assert!(clock.steady() >= first);
    }
}
