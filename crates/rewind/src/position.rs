//! Places and numbers in the life of a log, as types. What they count is given by the writer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A byte place in the stream's life: grows for ever, the same on every node and after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub u64);

/// Number of a segment in the stream's life, counted from the Unix epoch divided by the segment duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentSeq(pub u64);

impl Position {
    /// Where a fresh log starts: there is room below for older audio that is loaded later (a TiB: four years of
    /// 64 kbit/s).
    pub const FRESH: Position = Position(1 << 40);

    /// The place `bytes` further on.
    pub fn plus(self, bytes: u64) -> Self {
        Position(self.0.saturating_add(bytes))
    }

    /// Bytes from `earlier` to `self`, 0 if `earlier` is the later one.
    pub fn since(self, earlier: Position) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SegmentSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
