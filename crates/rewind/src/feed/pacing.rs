//! How far a feed may go by now. Arithmetic on times and positions; no bytes.
//!
//! ```text
//!       due          horizon = now − lag               live edge
//!   ─────┼───────────────┼─────────────────────────────────┼
//!        └ end of the last chunk that has ended by then
//! ```
//!
//! The horizon moves with the clock, not with the live edge: a feed that lags plays on when the source is gone. Where
//! the audio has a gap, the horizon leaps over it, so that a player that has its burst in hand hears no pause.

use audio::Time;
use serde::{Deserialize, Serialize};

use super::request::{Pace, Request, Start, micros};
use crate::{Edge, Located, Log, Position, log::Shared};

/// What decides how far a feed may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pacing {
    /// To the live edge.
    Live,
    /// To the horizon.
    Lagging(Lagging),
    /// To the end, at once.
    Unpaced,
}

/// A feed that lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lagging {
    /// The horizon is so many microseconds before the clock.
    pub lag_us: i64,
    /// A gap is leapt over as far as the horizon stays so many microseconds before the live edge.
    pub keep_us: i64,
    /// Up to here it may go, gaps before it are dealt with.
    pub due: Position,
    /// Instant at which the audio before `due` ends.
    pub due_time: Time,
    /// More is due no earlier than this, by the clock: until then the log need not be asked.
    pub idle_until: Time,
}

impl Pacing {
    /// The pacing of a feed for `request` that starts with `first` at the moment `now`.
    pub(super) fn new(request: &Request, first: Located, edge: Edge, now: Time) -> Self {
        let burst_us = micros(request.burst);
        let horizon = first.time.plus_micros(burst_us);
        if request.pace == Pace::Unpaced {
            return Pacing::Unpaced;
        }
        if horizon >= edge.time {
            return Pacing::Live;
        }
        let keep_us = match request.start {
            Start::Delay(distance) => micros(distance).saturating_sub(burst_us).max(0),
            _ => 0,
        };
        Pacing::Lagging(Lagging {
            lag_us: now.micros_since(horizon),
            keep_us,
            due: first.position,
            due_time: first.time,
            idle_until: Time(i64::MIN),
        })
    }

    /// Position up to which audio is due by `now`.
    pub(super) fn due(&mut self, log: &Log, now: Time) -> Position {
        match self {
            Pacing::Live => log.edge().position,
            Pacing::Unpaced => Position(u64::MAX),
            Pacing::Lagging(lagging) if now < lagging.idle_until => lagging.due,
            Pacing::Lagging(lagging) => match log.ask(|shared| lagging.go_on(shared, now)) {
                Distance::Kept => lagging.due,
                Distance::UsedUp => {
                    *self = Pacing::Live;
                    log.edge().position
                }
            },
        }
    }
}

/// Whether a feed that lags still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distance {
    Kept,
    /// A gap took all of it: the feed is live.
    UsedUp,
}

impl Lagging {
    fn horizon(&self, now: Time) -> Time {
        now.plus_micros(self.lag_us.saturating_neg())
    }

    /// Walks over the chunks that have become due: mostly a few, of a burst all.
    fn go_on(&mut self, shared: &Shared, now: Time) -> Distance {
        self.idle_until = Time(i64::MIN);
        let Some(first) = shared.slot_at(self.due) else { return Distance::Kept };
        let mut nth = shared.blocks[first].chunk_at(self.due);
        for slot in shared.blocks.range(first..) {
            for chunk in &slot.chunks[nth..] {
                // A block that was evicted had come to its time: its rest is for those who still hold it.
                self.due = self.due.max(slot.position_of(nth));
                if self.leap(chunk.time, shared.edge.time, now) == Distance::UsedUp {
                    return Distance::UsedUp;
                }
                if chunk.end() > self.horizon(now) {
                    self.idle_until = chunk.end().plus_micros(self.lag_us);
                    return Distance::Kept;
                }
                nth += 1;
                self.due = slot.position_of(nth);
                self.due_time = chunk.end();
            }
            nth = 0;
        }
        Distance::Kept
    }

    /// If there is a gap before the next audio, which starts at `next`, the lag shrinks by it.
    fn leap(&mut self, next: Time, edge: Time, now: Time) -> Distance {
        let gap_us = next.micros_since(self.due_time);
        if gap_us <= 0 {
            return Distance::Kept;
        }
        let room_us = edge.micros_since(self.horizon(now)).saturating_sub(self.keep_us);
        self.lag_us -= gap_us.min(room_us.max(0));
        self.due_time = next;
        if gap_us >= room_us && self.keep_us == 0 { Distance::UsedUp } else { Distance::Kept }
    }
}
