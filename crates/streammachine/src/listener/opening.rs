//! Opens a feed for what a listener asks, and tells what it was given.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use audio::Time;
use rewind::{Clamp, Feed, LATE_US, Pace, Request};
use wire::listen::{ListenQuery, Start};
use wire::range::{self, RangeAnswer};

use crate::base::clock::{self, Clock, iso};
use crate::stream::Stream;

/// A feed at the start of what a listener is given.
#[derive(Debug)]
pub struct Opened {
    /// The feed.
    pub feed: Feed,
    /// Bytes of audio and metadata in all, where the span is finite and known.
    pub content_length: Option<u64>,
    /// Whether its bytes are the same for whoever asks the same again, so that parts of them can be asked for.
    pub has_parts: bool,
    /// The part that is given, if not all.
    pub part: Option<Part>,
    /// When the first frame was on air; none before there is any audio.
    pub content_start: Option<Time>,
    /// How far behind the live edge it is.
    pub behind: Duration,
    /// Audio bytes between two blocks of metadata.
    pub metaint: Option<NonZeroU32>,
}

/// A part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
    /// Bytes of the whole span.
    pub length: u64,
}

/// Why a listener is not given what it asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It insists on an instant that is not in the rewind buffer.
    #[error("{asked} is outside the rewind buffer, which holds {} to {}", iso(*oldest), iso(*edge))]
    Outside {
        /// What was asked for.
        asked: String,
        /// The oldest instant there is.
        oldest: Time,
        /// The newest.
        edge: Time,
    },
    /// It asks for a span between two instants of which nothing is there.
    #[error("there is no audio between {} and {}: the rewind buffer holds {} to {}", iso(*start), iso(*end), iso(*oldest), iso(*edge))]
    Nothing {
        /// Where the span starts.
        start: Time,
        /// Where it ends.
        end: Time,
        /// The oldest instant there is.
        oldest: Time,
        /// The newest.
        edge: Time,
    },
    /// It insists on an instant, or asks for a span of the past, and there is no audio at all.
    #[error("the rewind buffer is empty")]
    Empty,
    /// The part that it asks for is beyond the span.
    #[error("the span has {length} bytes")]
    Beyond {
        /// Bytes of the span.
        length: u64,
    },
}

/// Opens `stream` as `query` asks; with metadata if `icy`, and with `burst` of audio at once.
///
/// # Errors
/// What is asked for is not there.
pub fn open(
    stream: &Arc<Stream>,
    query: &ListenQuery,
    icy: bool,
    burst: Duration,
    clock: &Clock,
) -> Result<Opened, Refused> {
    let config = stream.config();
    let now = clock.steady();
    let mut request = request(stream, query, burst, now);
    // A span is a file; nobody looks for titles in it.
    if icy && request.pace == Pace::Live {
        request.metaint = NonZeroU32::new(config.meta_interval);
    }
    let feed = Feed::open(stream.log(), &request, now);
    if query.strict
        && let Some(clamp) = feed.clamped()
    {
        return Err(outside(stream, query, clamp));
    }
    if let (Some(0), Start::At(start), Some(end), None) =
        (feed.content_length(), query.start, query.end, query.pump)
    {
        return Err(nothing(stream, clock::time(start), clock::time(end)));
    }
    Ok(Opened {
        content_length: feed.content_length(),
        // Between two instants of the past there is always the same, as long as it is kept.
        has_parts: request.pace == Pace::Unpaced
            && query.pump.is_none()
            && query.program.is_none()
            && feed.clamped().is_none(),
        part: None,
        // An empty `pump` is answered as the original does; a span from instant to instant never gets here empty.
        content_start: feed.first().filter(|_| feed.content_length() != Some(0)),
        behind: feed.behind(),
        metaint: request.metaint,
        feed,
    })
}

fn request(stream: &Stream, query: &ListenQuery, burst: Duration, now: Time) -> Request {
    let edge = stream.log().edge().time;
    if let Some(pump) = query.pump {
        let from = pump.from.unwrap_or(pump.length);
        let start = back(edge, from);
        let end = start.plus_micros(pump.length.as_micros() as i64);
        return Request {
            start: rewind::Start::At(start),
            end: Some(end.min(edge)),
            burst,
            pace: Pace::Unpaced,
            metaint: None,
        };
    }
    let end = query.end.map(clock::time);
    // Without a source the edge stands still, and what would have been on air until the end will not come.
    let is_past = |end: Time| end <= edge || end.plus_micros(LATE_US) <= now;
    Request {
        start: match query.start {
            Start::Live => rewind::Start::Live,
            Start::Offset(offset) => rewind::Start::Behind(offset),
            Start::Delay(delay) => rewind::Start::Delay(delay),
            Start::At(instant) => rewind::Start::At(clock::time(instant)),
        },
        end,
        burst,
        // What lies in the past is given as fast as it is taken; what is still to come can only be waited for.
        pace: if end.is_some_and(is_past) { Pace::Unpaced } else { Pace::Live },
        metaint: None,
    }
}

impl Opened {
    /// Leaves only what a `Range` header asks for, where parts can be asked for at all.
    pub fn narrow(&mut self, range: Option<&str>) -> Result<(), Refused> {
        let Some(length) = self.content_length.filter(|_| self.has_parts) else { return Ok(()) };
        match range::parse(range, length) {
            RangeAnswer::Whole => {}
            RangeAnswer::Unsatisfiable => return Err(Refused::Beyond { length }),
            RangeAnswer::Part { start, end } if self.feed.narrow(start..end) => {
                self.content_length = Some(end - start);
                self.part = Some(Part { start, end, length });
            }
            RangeAnswer::Part { .. } => {}
        }
        Ok(())
    }
}

fn back(edge: Time, duration: Duration) -> Time {
    edge.plus_micros(-i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

fn outside(stream: &Stream, query: &ListenQuery, clamp: Clamp) -> Refused {
    let Some(span) = stream.log().span() else { return Refused::Empty };
    let asked = match (&query.start, clamp) {
        (Start::At(instant), _) => iso(clock::time(*instant)),
        (_, Clamp::Oldest) => "an instant before the oldest audio".to_owned(),
        (_, Clamp::Edge) => "an instant after the live edge".to_owned(),
    };
    Refused::Outside { asked, oldest: span.start, edge: span.end }
}

fn nothing(stream: &Stream, start: Time, end: Time) -> Refused {
    let Some(span) = stream.log().span() else { return Refused::Empty };
    Refused::Nothing { start, end, oldest: span.start, edge: span.end }
}
