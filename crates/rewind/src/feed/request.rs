//! What a listener asks of a log, and where that is: the place it starts at, and whether that is what it asked for. How
//! it goes on from there is the pacing's matter.

use std::{num::NonZeroU32, time::Duration};

use audio::Time;

use crate::{Clamp, Edge, Located, Log, Position, Span};

/// What a listener asks of a log.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where it starts.
    pub start: Start,
    /// Where it ends: before the first frame that starts at this instant or later.
    pub end: Option<Time>,
    /// Audio that is sent at once.
    pub burst: Duration,
    /// How fast the rest follows.
    pub pace: Pace,
    /// Audio bytes between two blocks of metadata; none without.
    pub metaint: Option<NonZeroU32>,
}

/// Where a feed starts. Distances are those of the first frame, in time, gaps included; a player that begins at once
/// hears at that distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The burst ends at the live edge.
    Live,
    /// So long before the live edge. What is beyond the burst is kept back, and a gap in the audio shortens it.
    Behind(Duration),
    /// So long before the live edge, and it stays so: a gap is waited out, as live listeners wait.
    Delay(Duration),
    /// The first frame that starts at this instant or later; live if it lies beyond the live edge.
    At(Time),
    /// A place where a frame starts.
    Position(Position),
}

/// How fast a feed gives what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The burst at once, then at the pace of time.
    Live,
    /// As fast as it is taken; ends at `end`, or at the live edge as it is when the feed is opened.
    Unpaced,
}

/// Where a feed is placed for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placing {
    /// Its first frame; the live edge if there is none yet.
    pub first: Located,
    /// Set if what was asked for is not in the log.
    pub clamped: Option<Clamp>,
}

impl Request {
    /// Where the feed starts in `log`, whose live edge was `edge` a moment ago.
    pub(super) fn place(&self, log: &Log, edge: Edge) -> Placing {
        let Some(span) = log.span() else {
            let clamped = (self.start != Start::Live).then_some(Clamp::Edge);
            return Placing { first: Located { position: edge.position, time: edge.time }, clamped };
        };
        let instant = match self.start {
            Start::Live => return Placing { first: self.last_burst(log, edge), clamped: None },
            Start::Position(position) => return place_at(log, position, edge),
            Start::Behind(distance) | Start::Delay(distance) => edge.time.plus_micros(-micros(distance)),
            Start::At(instant) => instant,
        };
        self.place_in(log, instant, span, edge)
    }

    fn place_in(&self, log: &Log, instant: Time, span: Span, edge: Edge) -> Placing {
        if instant < span.start {
            return Placing { first: log.position_of_time(instant), clamped: Some(Clamp::Oldest) };
        }
        if instant <= edge.time {
            return Placing { first: log.position_of_time(instant), clamped: None };
        }
        let first = match self.pace {
            Pace::Live => self.last_burst(log, edge),
            // A span that has not begun has no audio.
            Pace::Unpaced => Located { position: edge.position, time: edge.time },
        };
        Placing { first, clamped: Some(Clamp::Edge) }
    }

    /// Where the burst of a live listener starts.
    fn last_burst(&self, log: &Log, edge: Edge) -> Located {
        log.position_of_time(edge.time.plus_micros(-micros(self.burst)))
    }
}

fn place_at(log: &Log, position: Position, edge: Edge) -> Placing {
    let placed = log.cursor(position);
    let time = log.time_of(placed.position).unwrap_or(edge.time);
    Placing { first: Located { position: placed.position, time }, clamped: placed.clamped }
}

/// `duration` in whole microseconds, saturating.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
