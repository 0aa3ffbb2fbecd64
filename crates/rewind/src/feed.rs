//! The one way out of the rewind buffer: a cursor, its pacing, and metadata framing where asked for.
//!
//! ```text
//!   fill ──▶ pieces ──▶ one vectored write ──▶ consume as many bytes as were taken ──▶ fill …
//! ```
//!
//! [`Feed::fill`] tells what to send now and moves nothing; [`Feed::consume`] moves on by what was sent, wherever that cut
//! it. So a socket that takes half of a metadata block needs no queue. Pieces are slices of the mapped blocks and shared
//! metadata blocks: nothing is copied, and nothing allocated once a [`Pieces`] exists.
//!
//! `now` is the caller's steady time: wall time at its start plus monotonic time since, so that a step of the host's
//! clock neither stalls nor floods anybody. Sockets, and waiting for more, are the caller's part.

mod end;
mod icy;
mod pacing;
mod pieces;
mod request;

use std::{ops::Range, sync::Arc, time::Duration};

use audio::Time;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Clamp, Cursor, Log, Position};

pub use end::{End, LATE_US};
pub use icy::Framing;
pub use pacing::{Lagging, Pacing};
pub use pieces::{PIECES_MAX, Pieces};
pub use request::{Pace, Request, Start};

use pieces::Kind;

/// What `fill` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There are pieces to send.
    Ready,
    /// Nothing is due yet.
    Wait,
    /// All was sent.
    End,
    /// Audio of a promised length is gone: the connection must break off. It stays so.
    Broken,
}

/// A listener's way through a log. Small: thousands of them are held.
#[derive(Debug)]
pub struct Feed {
    log: Arc<Log>,
    cursor: Cursor,
    pacing: Pacing,
    end: End,
    framing: Option<Framing>,
    /// Sent before more audio, and not counted as audio.
    front: Bytes,
    first: Option<Time>,
    clamped: Option<Clamp>,
    jumps: u32,
}

/// A feed as plain data: what another process needs to go on with it, to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// The next byte of audio to send.
    pub position: Position,
    /// How far it may go; its times are those of the steady time that `fill` was given.
    pub pacing: Pacing,
    /// Where it ends.
    pub end: End,
    /// Its metadata framing, if it has any.
    pub framing: Option<Framing>,
    /// Bytes to send before more audio: what is left of the prefix, or of a metadata block.
    pub front: Bytes,
    /// Instant of its first frame.
    pub first: Option<Time>,
    /// Set if the start asked for was not in the log.
    pub clamped: Option<Clamp>,
    /// How often it went on with later audio.
    pub jumps: u32,
}

impl Feed {
    /// Opens a feed as `request` asks, or as near to it as the log allows.
    pub fn open(log: &Arc<Log>, request: &Request, now: Time) -> Feed {
        let edge = log.edge();
        let placing = request.place(log, edge);
        let first = placing.first;
        let state = FeedState {
            position: first.position,
            pacing: Pacing::new(request, first, edge, now),
            end: End::new(request, first, edge, log),
            framing: request.metaint.map(Framing::new),
            front: Bytes::new(),
            first: (first.position < log.edge().position).then_some(first.time),
            clamped: placing.clamped,
            jumps: 0,
        };
        Feed::resume(log, state)
    }

    /// Goes on with a feed of another process, in the same log.
    pub fn resume(log: &Arc<Log>, state: FeedState) -> Feed {
        let placed = log.cursor(state.position);
        let mut feed = Feed {
            log: log.clone(),
            cursor: placed.cursor,
            pacing: state.pacing,
            end: state.end,
            framing: state.framing,
            front: state.front,
            first: state.first,
            clamped: state.clamped,
            jumps: state.jumps,
        };
        if placed.position != state.position {
            feed.note_jump();
        }
        feed
    }

    /// The feed as plain data.
    pub fn state(&self) -> FeedState {
        FeedState {
            position: self.position(),
            pacing: self.pacing,
            end: self.end,
            framing: self.framing,
            front: self.front.clone(),
            first: self.first,
            clamped: self.clamped,
            jumps: self.jumps,
        }
    }

    /// Bytes to send before the audio; they are not counted as audio. To be set before the first `fill`.
    pub fn prefix(&mut self, prefix: Bytes) {
        self.front = prefix;
    }

    /// Instant of the first frame; none if there was no audio for it yet when the feed was opened.
    pub fn first(&self) -> Option<Time> {
        self.first
    }

    /// How far the first frame is behind the live edge now; zero without one.
    pub fn behind(&self) -> Duration {
        let distance_us = self.first.map_or(0, |first| self.log.edge().time.micros_since(first));
        Duration::from_micros(distance_us.max(0) as u64)
    }

    /// Set if the start asked for was not in the log.
    pub fn clamped(&self) -> Option<Clamp> {
        self.clamped
    }

    /// Bytes from here to the end, blocks of metadata included, the prefix not; none if the end was still to come when
    /// the feed was opened. It gives exactly these, or is `Broken`.
    pub fn content_length(&self) -> Option<u64> {
        let End::Promised { position, left_bytes } = self.end else { return None };
        let blocks = |framing: &Framing| framing.blocks_bytes(&self.log, self.position(), position);
        Some(left_bytes + self.framing.as_ref().map_or(0, blocks))
    }

    /// Leaves only the bytes `part` of what was promised; to be called before the first `fill`. False, and nothing is
    /// changed, if there is no such promise, or blocks of metadata are part of it.
    pub fn narrow(&mut self, part: Range<u64>) -> bool {
        if self.framing.is_some() {
            return false;
        }
        let Some(first) = self.end.narrow(&self.log, self.position(), &part) else { return false };
        self.cursor = self.log.cursor(first).cursor;
        true
    }

    /// True if it ends by itself, now or later.
    pub fn has_end(&self) -> bool {
        self.end != End::Never
    }

    /// True if it is sent as fast as it is taken.
    pub fn is_unpaced(&self) -> bool {
        self.pacing == Pacing::Unpaced
    }

    /// Where it stands: the next byte of audio to send.
    pub fn position(&self) -> Position {
        self.cursor.position()
    }

    /// How often audio was gone before it was sent, so that it went on with the next there was.
    pub fn jumps(&self) -> u32 {
        self.jumps
    }

    /// Bytes that are due by `now`, not yet consumed, and in the log, without blocks of metadata.
    pub fn due_bytes(&self, now: Time) -> u64 {
        let (mut pacing, mut end) = (self.pacing, self.end);
        let due = pacing.due(&self.log, now);
        end.settle(&self.log, now);
        let due = end.place().map_or(due, |end| end.min(due));
        self.log.bytes_between(self.position(), due) + self.front.len() as u64
    }

    /// Goes on with the live audio of `log` from its live edge, with the metadata framing of this connection. False, and
    /// nothing changes, while something of the old log is due: only then is the last thing sent a whole frame; and false
    /// for a feed that has an end.
    pub fn switch(&mut self, log: &Arc<Log>, now: Time) -> bool {
        if self.has_end() || self.due_bytes(now) > 0 {
            return false;
        }
        let edge = log.edge();
        self.cursor = log.cursor(edge.position).cursor;
        self.log = log.clone();
        self.pacing = Pacing::Live;
        true
    }

    /// Puts into `pieces` what should be sent by `now`, and moves nothing. It is at most `audio_max` bytes of audio, but at
    /// least one, and what goes before and between them.
    pub fn fill(&mut self, now: Time, audio_max: usize, pieces: &mut Pieces) -> Turn {
        pieces.clear();
        pieces.push(self.front.clone(), Kind::Front);
        let turn = self.fill_audio(now, audio_max, pieces);
        if pieces.is_empty() { turn } else { Turn::Ready }
    }

    /// Moves on by `bytes` that were sent of `pieces`, which the last `fill` made.
    pub fn consume(&mut self, pieces: &Pieces, bytes: usize) {
        assert!(bytes <= pieces.len_bytes(), "{bytes} bytes were sent of {}", pieces.len_bytes());
        let mut left = bytes;
        for piece in pieces.iter() {
            let sent = left.min(piece.data.len());
            if sent == 0 {
                return;
            }
            left -= sent;
            match (piece.kind, &mut self.framing) {
                (Kind::Audio, framing) => {
                    self.cursor.advance(sent as u64);
                    self.end.consume(sent as u64);
                    framing.iter_mut().for_each(|framing| framing.audio_sent(sent));
                }
                (Kind::Front, _) => self.front = piece.data.slice(sent..),
                (Kind::Block(mark), framing) => {
                    framing.iter_mut().for_each(|framing| framing.block_sent(mark));
                    self.front = piece.data.slice(sent..);
                }
            }
        }
    }

    /// Adds audio and metadata from one block of the log, up to what is due. That they are of one block is why audio that
    /// is filled is there until it is consumed: the cursor holds the block.
    fn fill_audio(&mut self, now: Time, audio_max: usize, pieces: &mut Pieces) -> Turn {
        let due = self.pacing.due(&self.log, now);
        // Asked later than what is due: audio behind the end is never taken for due.
        self.end.settle(&self.log, now);
        let due = self.end.place().map_or(due, |end| end.min(due));
        if self.position() >= due {
            return self.rest();
        }
        let next = self.cursor.peek(&self.log, Position(u64::MAX));
        let place = next.as_ref().map_or(due, |run| run.position);
        if place != self.position() {
            self.cursor.advance(place.since(self.position()));
            self.note_jump();
        }
        let Some(mut run) = next.filter(|_| place < due && self.end != End::Broken) else {
            return self.rest();
        };
        run.data
            .truncate(usize::try_from(due.since(place)).map_or(audio_max, |due| due.min(audio_max)).max(1));
        match self.framing {
            None => pieces.push(run.data, Kind::Audio),
            Some(framing) => {
                let is_promised = matches!(self.end, End::Promised { .. });
                if framing.frame(&self.log, &run, is_promised, pieces).is_err() {
                    self.end = End::Broken;
                    return Turn::Broken;
                }
            }
        }
        Turn::Ready
    }

    /// What there is to do where nothing is due.
    fn rest(&self) -> Turn {
        match self.end {
            End::Broken => Turn::Broken,
            end if end.place().is_some_and(|end| self.position() >= end) => Turn::End,
            _ => Turn::Wait,
        }
    }

    /// Counts that audio before the cursor is gone unsent.
    fn note_jump(&mut self) {
        self.jumps += 1;
        self.end.jump(&self.log, self.position());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_small() {
        assert!(size_of::<Feed>() <= 200, "{} bytes", size_of::<Feed>());
    }
}
