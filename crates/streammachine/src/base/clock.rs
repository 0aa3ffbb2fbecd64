//! The only place that reads the host's clocks. Everything behind it takes times as values.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use audio::{Mono, Now, Time};

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
    fn steady_time_starts_at_the_wall_clock_and_never_steps() {
        let clock = Clock::start();
        let first = clock.steady();
        assert!((clock.now().wall.0 - first.0).abs() < 5_000_000);
        assert!(clock.steady() >= first);
    }
}
