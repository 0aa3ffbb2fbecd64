//! Where a log goes on at least: written down before an index that told of it is cut or deleted, and read at each later
//! start.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    Position,
    recover::POSITION_MAX,
    segments::{Numbers, Step},
};

/// Its file in a stream's directory.
pub(crate) const NAME: &str = "edge.json";
/// What the file is called while it is written.
pub(crate) const NEW_NAME: &str = "edge.json.new";
/// No more is read.
const BYTES_MAX: u64 = 4 * 1024;

/// Positions and numbers that are not to be given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptEdge {
    /// The next chunk starts there or later.
    pub position: Position,
    /// What its numbers follow from at least, as far as that is known.
    pub last: Option<(Numbers, Step)>,
}

impl KeptEdge {
    /// Reads it from a stream's directory; none where it is missing or damaged: no log gets as far as `POSITION_MAX`.
    pub fn read(directory: &Path) -> Option<Self> {
        let mut text = Vec::new();
        File::open(directory.join(NAME)).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
        let kept: KeptEdge = serde_json::from_slice(&text).ok()?;
        let numbers = kept.last.map_or(0, |(last, _)| last.segment.0.max(last.discontinuity_seq));
        (kept.position.0.max(numbers) <= POSITION_MAX).then_some(kept)
    }

    /// Writes it in place of the one before.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let new = directory.join(NEW_NAME);
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, directory.join(NAME))
    }
}
