//! Frames as they leave the parser: whole, in order, with their length and their samples.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Format;

/// One whole frame: the smallest unit a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Bytes of the frame, header and CRC included; at most 8,191 (ADTS) or 16,384 (free format).
    pub len: u32,
    /// Samples per channel that the frame decodes to; at most 4,096 (ADTS with four raw blocks).
    pub samples: u32,
}

/// Whole frames of one format that were found in one go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What all of them are. A format that does not continue the one before starts a new epoch.
    pub format: Format,
    /// Their bytes, one after the other, nothing between them.
    pub data: Bytes,
    /// Their lengths and samples, in order; the lengths sum up to `data.len()`.
    pub frames: Vec<Frame>,
}

impl Batch {
    /// Samples per channel in all frames.
    pub fn samples(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.samples)).sum()
    }
}
