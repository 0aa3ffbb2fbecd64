//! The one way out of the rewind buffer: a cursor, its pacing, and ICY framing where asked for.
//!
//! ```text
//!        start           due at now            live edge
//!          │ burst, at once │ at the pace of time │
//!   ───────┼────────────────┼─────────────────────┼
//!          └ first frame    └ horizon = now − lag
//! ```
//!
//! `fill` tells what to send now and moves nothing; `consume` moves on by what was sent, wherever that cut it. So a
//! socket that takes half of a metadata block needs no queue. Pieces are slices of the mapped blocks and shared metadata
//! blocks: nothing is copied, and nothing allocated once a [`Pieces`] has its size.
//!
//! `now` is the caller's steady time: wall time at its start plus monotonic time since, so that a step of the host's
//! clock neither stalls nor floods anybody.

mod icy;
mod pieces;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use audio::Time;
use bytes::Bytes;

use crate::{Clamp, Cursor, Located, Log, Position};
use icy::Icy;
pub use pieces::Pieces;
use pieces::{Kind, Piece};

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

/// Where a feed starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the live edge: the burst ends there.
    Live,
    /// So long before the live edge. A gap in the audio shortens the distance.
    Behind(Duration),
    /// So long before the live edge, and the distance stays: a gap is waited out.
    Delay(Duration),
    /// At the first whole frame that starts at this instant or later.
    At(Time),
}

/// How fast a feed gives what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the pace of time, after the burst.
    Live,
    /// As fast as it is taken; ends at `end`, or at the live edge as it is when the feed is opened.
    Unpaced,
}

/// What `fill` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There are pieces to send.
    Ready,
    /// Nothing is due yet.
    Wait,
    /// All was sent.
    End,
    /// Audio of a span with a promised length is gone.
    Broken,
}

/// What decides how far a feed may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pacing {
    /// To the live edge.
    Live,
    /// To the chunks that have ended so many microseconds ago; negative while the burst reaches beyond the live edge.
    Lagging { lag_us: i64, gaps: Gaps },
    /// To the end, at once.
    Unpaced,
}

/// What becomes of a gap in the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gaps {
    /// The next audio follows at once, and the lag shrinks.
    Skipped,
    /// It lasts as long as it did.
    Waited,
}

/// Where a feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Never.
    Never,
    /// At an instant that is still to come.
    Later(Time),
    /// Here.
    Here(Position),
}

/// A listener's way through a log. Small: thousands of them are held.
#[derive(Debug)]
pub struct Feed {
    log: Arc<Log>,
    cursor: Cursor,
    pacing: Pacing,
    end: End,
    /// Sent before any audio, and not counted as audio.
    prefix: Bytes,
    icy: Option<Icy>,
    start: Located,
    clamped: Option<Clamp>,
    jumps: u32,
}

impl Feed {
    /// Opens a feed as `request` asks, or as near to it as the log allows.
    pub fn open(log: &Arc<Log>, request: &Request, now: Time) -> Feed {
        let edge = log.edge();
        let asked = match request.start {
            Start::Live => before(edge.time, request.burst),
            Start::Behind(distance) | Start::Delay(distance) => before(edge.time, distance),
            Start::At(time) => time,
        };
        let (start, clamped) = locate(log, asked, request);
        let horizon = start.time.plus_micros(micros(request.burst));
        let lagging = |gaps| Pacing::Lagging { lag_us: now.micros_since(horizon), gaps };
        let pacing = match (request.pace, request.start) {
            (Pace::Unpaced, _) => Pacing::Unpaced,
            (Pace::Live, Start::Live) => Pacing::Live,
            (Pace::Live, _) if clamped == Some(Clamp::Edge) => Pacing::Live,
            (Pace::Live, Start::Delay(_)) => lagging(Gaps::Waited),
            (Pace::Live, Start::Behind(_) | Start::At(_)) => lagging(Gaps::Skipped),
        };
        let end = match (request.end, pacing) {
            (Some(end), _) if end <= edge.time => End::Here(log.position_of_time(end).position),
            (_, Pacing::Unpaced) => End::Here(edge.position),
            (Some(end), _) => End::Later(end),
            (None, _) => End::Never,
        };
        Feed {
            cursor: log.cursor(start.position).cursor,
            log: log.clone(),
            pacing,
            end,
            prefix: Bytes::new(),
            icy: request.metaint.map(Icy::new),
            start,
            clamped,
            jumps: 0,
        }
    }

    /// Bytes to send before the audio.
    pub fn prefix(&mut self, prefix: Bytes) {
        self.prefix = prefix;
    }

    /// Instant of the first frame; none if there is no audio yet.
    pub fn first(&self) -> Option<Time> {
        (self.start.position < self.log.edge().position).then_some(self.start.time)
    }

    /// How far the first frame is behind the live edge.
    pub fn behind(&self) -> Duration {
        let micros = self.log.edge().time.micros_since(self.start.time);
        Duration::from_micros(micros.max(0) as u64)
    }

    /// Set if the start asked for is not in the log.
    pub fn clamped(&self) -> Option<Clamp> {
        self.clamped
    }

    /// Bytes of an unpaced feed, from its start to its end; it has no metadata.
    pub fn content_length(&self) -> Option<u64> {
        match (self.pacing, self.end) {
            (Pacing::Unpaced, End::Here(end)) => Some(end.0.saturating_sub(self.start.position.0)),
            _ => None,
        }
    }

    /// True if it is sent as fast as it is taken.
    pub fn is_unpaced(&self) -> bool {
        self.pacing == Pacing::Unpaced
    }

    /// Where it stands: the next byte of audio to send.
    pub fn position(&self) -> Position {
        self.cursor.position()
    }

    /// How often audio was gone before it was sent, so that it went on with the oldest there was.
    pub fn jumps(&self) -> u32 {
        self.jumps
    }

    /// Bytes of audio that are due by `now` and not yet consumed.
    pub fn due_bytes(&self, now: Time) -> u64 {
        self.due(now).0.saturating_sub(self.position().0)
    }

    /// Puts into `pieces` what should be sent by `now`, at most `bytes_max` bytes of audio; moves nothing.
    pub fn fill(&mut self, now: Time, bytes_max: usize, pieces: &mut Pieces) -> Turn {
        pieces.clear();
        if !self.prefix.is_empty() {
            pieces.push(self.prefix.clone(), Kind::Prefix);
        }
        self.settle_end();
        if matches!(self.end, End::Here(end) if self.position() >= end) {
            return if pieces.is_empty() { Turn::End } else { Turn::Ready };
        }
        let broken = self.fill_audio(now, bytes_max, pieces);
        if pieces.is_empty() && !broken && self.skip_gap(now) {
            self.fill_audio(now, bytes_max, pieces);
        }
        match (pieces.is_empty(), broken) {
            (false, _) => Turn::Ready,
            (true, true) => Turn::Broken,
            (true, false) => Turn::Wait,
        }
    }

    /// Moves on by `bytes` that were sent of `pieces`, which the last `fill` made.
    pub fn consume(&mut self, pieces: &Pieces, mut bytes: usize) {
        for piece in pieces.iter() {
            let sent = bytes.min(piece.data.len());
            if sent == 0 {
                return;
            }
            bytes -= sent;
            self.consume_piece(piece, sent);
        }
    }

    fn consume_piece(&mut self, piece: &Piece, sent: usize) {
        match &piece.kind {
            Kind::Prefix => {
                let _ = self.prefix.split_to(sent);
                if self.prefix.is_empty() {
                    self.prefix = Bytes::new();
                }
            }
            Kind::Audio(position) => {
                self.jumps += u32::from(*position != self.position());
                self.cursor = piece_end(&self.cursor, &self.log, *position, sent);
                if let Some(icy) = &mut self.icy {
                    icy.audio_sent(sent);
                }
            }
            Kind::Metadata(entry) => {
                if let Some(icy) = &mut self.icy {
                    icy.block_sent(&piece.data, sent, entry);
                }
            }
        }
    }

    /// Audio and metadata up to what is due. True if promised audio is gone.
    fn fill_audio(&self, now: Time, bytes_max: usize, pieces: &mut Pieces) -> bool {
        let due = self.due(now);
        let mut cursor = self.cursor.clone();
        let mut icy = self.icy.clone();
        let mut left = bytes_max as u64;
        if let Some((block, entry)) = icy.as_mut().and_then(Icy::take_rest) {
            pieces.push(block, Kind::Metadata(entry));
        }
        while left > 0 && cursor.position() < due && !pieces.is_full() {
            let mut limit = cursor.position().plus(left).min(due);
            if let Some(icy) = &mut icy {
                if let Some((block, entry)) = icy.block_before(&self.log, cursor.position()) {
                    pieces.push(block, Kind::Metadata(entry));
                    continue;
                }
                limit = limit.min(cursor.position().plus(icy.audio_left()));
            }
            let expected = cursor.position();
            let Some(run) = cursor.next(&self.log, limit) else { break };
            if run.position != expected && self.is_unpaced() {
                return true;
            }
            left -= run.data.len() as u64;
            if let Some(icy) = &mut icy {
                icy.audio_sent(run.data.len());
            }
            pieces.push(run.data, Kind::Audio(run.position));
        }
        false
    }

    /// Position up to which audio is due.
    fn due(&self, now: Time) -> Position {
        let edge = self.log.edge().position;
        let due = match self.pacing {
            Pacing::Live => edge,
            Pacing::Lagging { lag_us, .. } => {
                self.log.position_at_or_before(now.plus_micros(-lag_us)).min(edge)
            }
            Pacing::Unpaced => Position(u64::MAX),
        };
        match self.end {
            End::Here(end) => due.min(end),
            End::Never | End::Later(_) => due,
        }
    }

    /// An end that was still to come has a place as soon as the audio has reached it.
    fn settle_end(&mut self) {
        if let End::Later(end) = self.end
            && self.log.edge().time >= end
        {
            self.end = End::Here(self.log.position_of_time(end).position);
        }
    }

    /// Where nothing is due because the audio has a gap, or because what was next is gone, goes on with the next audio
    /// at once: true if that changed anything.
    fn skip_gap(&mut self, now: Time) -> bool {
        let Pacing::Lagging { lag_us, gaps } = self.pacing else { return false };
        let Some(next) = self.log.chunks(self.position()).next() else { return false };
        let wait_us = next.time.micros_since(now.plus_micros(-lag_us));
        let is_gone = next.position > self.position();
        if wait_us <= 0 || (gaps == Gaps::Waited && !is_gone) {
            return false;
        }
        self.pacing = Pacing::Lagging { lag_us: lag_us - wait_us, gaps };
        true
    }
}

/// `cursor` behind the `sent` bytes from `position` on. It reads them once more, which costs little, and so takes hold of
/// the block that it stands in now.
fn piece_end(cursor: &Cursor, log: &Log, position: Position, sent: usize) -> Cursor {
    let mut moved = if position == cursor.position() { cursor.clone() } else { log.cursor(position).cursor };
    let upto = position.plus(sent as u64);
    moved.next(log, upto);
    moved.advance(upto.0.saturating_sub(moved.position().0));
    moved
}

/// The first frame to give for `asked`, and whether that is not what was asked.
fn locate(log: &Log, asked: Time, request: &Request) -> (Located, Option<Clamp>) {
    let (edge, span) = (log.edge(), log.span());
    let Some(span) = span else { return (Located { position: edge.position, time: edge.time }, None) };
    let is_instant = matches!(request.start, Start::At(_));
    if is_instant && asked >= edge.time {
        let start = match request.pace {
            Pace::Live => log.position_of_time(before(edge.time, request.burst)),
            Pace::Unpaced => Located { position: edge.position, time: edge.time },
        };
        return (start, Some(Clamp::Edge));
    }
    let clamped = (asked < span.start && request.start != Start::Live).then_some(Clamp::Oldest);
    (log.position_of_time(asked), clamped)
}

fn before(time: Time, distance: Duration) -> Time {
    time.plus_micros(-micros(distance))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
