//! Where a feed ends, and what was promised about the bytes up to there.

use std::ops::Range;

use audio::Time;
use serde::{Deserialize, Serialize};

use super::request::{Pace, Request};
use crate::{Edge, Located, Log, Position};

/// An end that is so long past is not waited for any more: the audio up to there would be in the log by now.
pub const LATE_US: i64 = 10_000_000;

/// Where a feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Never.
    Never,
    /// Before the first frame that starts at this instant or later; the log has not come so far yet.
    Later(Time),
    /// Here.
    Here(Position),
    /// Here, after this many bytes of audio more, or else it breaks off.
    Promised {
        /// Where.
        position: Position,
        /// Bytes of audio until there.
        left_bytes: u64,
    },
    /// It has broken off: promised audio is gone.
    Broken,
}

impl End {
    /// The end of a feed for `request` that starts with `first`. It is promised if it is in the log already.
    pub(super) fn new(request: &Request, first: Located, edge: Edge, log: &Log) -> Self {
        let position = match (request.end, request.pace) {
            (Some(end), _) if end <= edge.time => log.position_of_time(end).position,
            (_, Pace::Unpaced) => edge.position,
            (Some(end), Pace::Live) => return End::Later(end),
            (None, Pace::Live) => return End::Never,
        };
        End::Promised { position, left_bytes: log.bytes_between(first.position, position) }
    }

    /// The end's place, once it is known.
    pub(super) fn place(&self) -> Option<Position> {
        match *self {
            End::Here(position) | End::Promised { position, .. } => Some(position),
            End::Never | End::Later(_) | End::Broken => None,
        }
    }

    /// Finds the place of an end that was still to come, as soon as the audio has come so far, or will not come.
    pub(super) fn settle(&mut self, log: &Log, now: Time) {
        let End::Later(end) = *self else { return };
        let edge = log.edge();
        if edge.time >= end {
            *self = End::Here(log.position_of_time(end).position);
        } else if now >= end.plus_micros(LATE_US) {
            *self = End::Here(edge.position);
        }
    }

    /// Leaves of a promised span, which starts at `start`, the bytes of `part`; where those begin. None without a promise
    /// of so many.
    pub(super) fn narrow(&mut self, log: &Log, start: Position, part: &Range<u64>) -> Option<Position> {
        let End::Promised { left_bytes, .. } = *self else { return None };
        if part.start >= part.end || part.end > left_bytes {
            return None;
        }
        let (first, position) = (log.behind(start, part.start), log.behind(start, part.end));
        *self = End::Promised { position, left_bytes: part.end - part.start };
        Some(first)
    }

    /// The audio before `position` is gone unsent. That is no harm if a span has all its bytes nevertheless: positions
    /// have gaps where a damaged block was dropped.
    pub(super) fn jump(&mut self, log: &Log, to: Position) {
        if let End::Promised { position, left_bytes } = *self
            && log.bytes_between(to, position) != left_bytes
        {
            *self = End::Broken;
        }
    }

    /// Counts `bytes` of audio that were sent.
    pub(super) fn consume(&mut self, bytes: u64) {
        if let End::Promised { left_bytes, .. } = self {
            *left_bytes -= bytes;
        }
    }
}

impl Log {
    /// Where a reader stands that has read `bytes` of the log from `from` on.
    fn behind(&self, from: Position, bytes: u64) -> Position {
        self.ask(|shared| {
            let mut left = bytes;
            let mut place = from;
            for slot in shared.blocks.iter().filter(|slot| slot.end() > from) {
                place = place.max(slot.block.start());
                let step = left.min(slot.end().since(place));
                (place, left) = (place.plus(step), left - step);
                if left == 0 {
                    break;
                }
            }
            place
        })
    }

    /// Bytes of audio that the log holds from `from` up to `to`.
    pub(super) fn bytes_between(&self, from: Position, to: Position) -> u64 {
        self.ask(|shared| {
            let overlap = |start: Position, end: Position| end.min(to).since(start.max(from));
            shared.blocks.iter().map(|slot| overlap(slot.block.start(), slot.end())).sum()
        })
    }
}
