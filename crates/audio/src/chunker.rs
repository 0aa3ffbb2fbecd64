//! placeholder
use std::time::Duration;
use crate::{Batch, Chunk, Mono, Now, Time};
/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub struct ChunkConfig {
    /// Audio in a chunk: at most this much, but at least a frame.
    pub chunk: Duration,
    /// Segment duration: chunks are also cut at its multiples in stream time.
    pub segment: Duration,
}
/// Placeholder.
#[derive(Debug)]
pub struct Chunker;
impl Chunker {
    /// A chunker; `resume_after` is the end of what the log already holds.
    pub fn new(_config: ChunkConfig, _resume_after: Option<Time>) -> Self { Chunker }
    /// A new source took over.
    pub fn source_started(&mut self, _now: Now, _out: &mut Vec<Chunk>) {}
    /// Frames arrived.
    pub fn push(&mut self, _batch: &Batch, _now: Now, _out: &mut Vec<Chunk>) {}
    /// Time went by.
    pub fn poll(&mut self, _now: Now, _out: &mut Vec<Chunk>) {}
    /// The source ended: all that is held is dated and given.
    pub fn finish(&mut self, _now: Now, _out: &mut Vec<Chunk>) {}
    /// When `poll` wants to be called.
    pub fn deadline(&self) -> Option<Mono> { None }
    /// How far the audio runs ahead of real time, by the monotonic clock.
    pub fn ahead(&self, _now: Now) -> Duration { Duration::ZERO }
}
