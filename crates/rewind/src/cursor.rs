//! A listener's place in the log. It holds the block it reads, so that eviction never takes the audio from under it; what
//! is sent when, and framing, is the feed's part.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Log, Position, block::Block};

/// A place in a log: small, cloned freely, and moved on by reading.
#[derive(Clone, Debug)]
pub struct Cursor {
    position: Position,
    /// The block last read, evicted or not; others are looked up when its end is reached.
    block: Option<Arc<Block>>,
}

/// Where a cursor could be placed.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The cursor.
    pub cursor: Cursor,
    /// Its position.
    pub position: Position,
    /// Set if the position asked for is not in the log.
    pub clamped: Option<Clamp>,
}

/// The end of the log that was given in place of what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clamp {
    /// The oldest audio, or the next one after a gap in the positions.
    Oldest,
    /// The live edge.
    Edge,
}

/// Bytes in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they start. If that is not where the cursor was, the audio between is gone: it jumped.
    pub position: Position,
    /// The bytes, never empty: a slice of the mapped block.
    pub data: Bytes,
}

impl Log {
    /// A cursor at `position`, or at the nearest place that is in the log.
    pub fn cursor(&self, position: Position) -> Placed {
        self.ask(|shared| {
            let block = shared.slot_at(position).map(|slot| shared.blocks[slot].block.clone());
            let nearest = block.as_ref().map_or(shared.edge.position, |block| position.max(block.start()));
            let clamped = match position.cmp(&nearest) {
                std::cmp::Ordering::Less => Some(Clamp::Oldest),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(Clamp::Edge),
            };
            Placed { cursor: Cursor { position: nearest, block }, position: nearest, clamped }
        })
    }
}

impl Cursor {
    /// Where it stands: the next byte it gives.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The bytes from here up to `upto`, at most to the end of the block, and moves behind them; none if there are none
    /// yet. No copy and no allocation; the log is only asked where a block ends.
    pub fn next(&mut self, log: &Log, upto: Position) -> Option<Run> {
        let run = self.peek(log, upto)?;
        self.position = run.position.plus(run.data.len() as u64);
        Some(run)
    }

    /// What [`Cursor::next`] gives, without moving; it takes hold of the block in which the bytes lie.
    pub fn peek(&mut self, log: &Log, upto: Position) -> Option<Run> {
        if self.position >= upto {
            return None;
        }
        if !self
            .block
            .as_ref()
            .is_some_and(|block| block.start() <= self.position && self.position < block.end())
        {
            self.block = Some(log.block_at(self.position)?);
        }
        let block = self.block.as_ref()?;
        // Later than where it stands if the audio between is gone; perhaps beyond `upto`, and then nothing is due yet.
        let (position, end) = (self.position.max(block.start()), block.end().min(upto));
        (position < end).then(|| Run { position, data: block.slice(position, end) })
    }

    /// Moves on by `bytes`, which were peeked, or read with a copy of this cursor.
    pub fn advance(&mut self, bytes: u64) {
        self.position = self.position.plus(bytes);
    }
}
