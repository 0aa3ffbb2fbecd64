//! A chunk: some whole frames with their place in time; the unit of storage and of replication.

use bytes::Bytes;

use crate::{Format, Time};

/// Whole frames, dated, ready for the rewind log.
///
/// Chunks of one stream never overlap: a chunk's `time + span_us` is at most the next one's `time`, and equal to
/// it unless the next one is a discontinuity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Format of all its frames.
    pub format: Format,
    /// Instant of its first sample.
    pub time: Time,
    /// Microseconds of stream time it covers: its media duration, slewed towards the wall clock.
    pub span_us: u32,
    /// Samples per channel it decodes to: its exact media duration.
    pub samples: u32,
    /// True if its first frame is the first at or after a multiple of the segment duration, or a discontinuity.
    pub starts_segment: bool,
    /// True if it does not continue the chunk before: a gap in time, another source, another format.
    pub discontinuity: bool,
    /// The frames' bytes.
    pub data: Bytes,
}
