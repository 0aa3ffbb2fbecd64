//! A block: one mapped file of whole frames of one format, and its chunks as the log keeps them. How it gets onto disk is
//! in `block_writer.rs`.
//!
//! ```text
//!   0              published              capacity
//!   │ chunk │ chunk │ ‥ not yet in the file ‥ │
//!   └ in the file, never changes ┘
//! ```

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use audio::{Format, Time};
use bytes::Bytes;

use crate::{
    Position, SegmentSeq,
    index::{Entry, Header},
    segments::{SegmentMark, Step},
};

/// A row of positions with their bytes. Whoever holds it can read on, evicted or not.
#[derive(Debug)]
pub(crate) struct Block {
    header: Header,
    /// The whole mapping. Beyond `published` it must not be touched.
    bytes: Bytes,
    published: AtomicUsize,
    /// The file, if it has no name by which another process could open it.
    memory: Option<Arc<File>>,
}

/// A block in the log, with its chunks.
#[derive(Debug)]
pub(crate) struct Slot {
    pub block: Arc<Block>,
    /// Never empty, and in order of time and offset.
    pub chunks: Vec<Entry>,
    /// Sum of the chunks' spans.
    pub span_us: u64,
    /// True if it has files in the stream's directory.
    pub named: bool,
}

impl Block {
    /// A block whose first `published` bytes can be read.
    pub fn new(header: Header, bytes: Bytes, published: usize) -> Self {
        assert!(published <= bytes.len(), "published bytes are mapped");
        Block { header, bytes, published: AtomicUsize::new(published), memory: None }
    }

    /// The same, mapped from an anonymous file.
    pub fn in_memory(header: Header, bytes: Bytes, published: usize, file: Arc<File>) -> Self {
        Block { memory: Some(file), ..Block::new(header, bytes, published) }
    }

    /// The anonymous file that it is mapped from, if it is.
    pub fn memory(&self) -> Option<&File> {
        self.memory.as_deref()
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn start(&self) -> Position {
        self.header.position
    }

    pub fn format(&self) -> Format {
        self.header.format
    }

    /// Position after the last published byte.
    pub fn end(&self) -> Position {
        self.start().plus(self.published_bytes() as u64)
    }

    /// Bytes that can be read.
    pub fn published_bytes(&self) -> usize {
        // Pairs with `publish`: whoever sees the length sees the bytes.
        self.published.load(Ordering::Acquire)
    }

    /// Bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the bytes up to `published` readable: they are in the file and will not change.
    pub fn publish(&self, published: usize) {
        debug_assert!(published >= self.published_bytes() && published <= self.capacity());
        self.published.store(published, Ordering::Release);
    }

    /// The bytes at `from..to`, without what is not published.
    pub fn slice(&self, from: Position, to: Position) -> Bytes {
        let published = self.published_bytes();
        let offset = |place: Position| {
            usize::try_from(place.since(self.start())).map_or(published, |o| o.min(published))
        };
        let (from, to) = (offset(from), offset(to));
        self.bytes.slice(from.min(to)..to)
    }
}

impl Slot {
    pub fn new(block: Arc<Block>, chunks: Vec<Entry>, named: bool) -> Self {
        assert!(!chunks.is_empty(), "a block enters the log with its first chunk");
        let span_us = chunks.iter().map(|chunk| u64::from(chunk.span_us)).sum();
        Slot { block, chunks, span_us, named }
    }

    pub fn push(&mut self, chunk: Entry) {
        self.span_us += u64::from(chunk.span_us);
        self.chunks.push(chunk);
    }

    /// Position after its last chunk.
    pub fn end(&self) -> Position {
        self.block.end()
    }

    pub fn bytes(&self) -> u64 {
        self.block.published_bytes() as u64
    }

    /// Instant of its first sample.
    pub fn start_time(&self) -> Time {
        self.chunks[0].time
    }

    /// End of its last chunk in time.
    pub fn end_time(&self) -> Time {
        self.chunks[self.chunks.len() - 1].end()
    }

    /// The segments that start in it. The header's number is that of its first chunk, start of a segment or not.
    pub fn segment_marks(&self) -> impl Iterator<Item = SegmentMark> + '_ {
        let mut seq = self.block.header.numbers.segment.0;
        self.chunks.iter().enumerate().filter(|(_, chunk)| chunk.starts_segment()).map(move |(nth, chunk)| {
            seq += u64::from(nth > 0);
            SegmentMark { seq: SegmentSeq(seq), time: chunk.time }
        })
    }

    /// What the numbers of the chunk after number `nth` follow from.
    pub fn step(&self, nth: usize) -> Step {
        let chunk = &self.chunks[nth];
        Step {
            format: self.block.format(),
            samples: chunk.samples,
            starts_segment: chunk.starts_segment(),
            discontinuity: chunk.discontinuity(),
        }
    }

    /// Where chunk number `nth` starts; the block's end for the one after the last.
    pub fn position_of(&self, nth: usize) -> Position {
        self.chunks
            .get(nth)
            .map_or_else(|| self.end(), |chunk| self.block.start().plus(u64::from(chunk.offset)))
    }

    /// Number of the chunk that holds `position`, which lies within the block.
    pub fn chunk_at(&self, position: Position) -> usize {
        let offset = position.since(self.block.start());
        self.chunks.partition_point(|chunk| u64::from(chunk.offset) <= offset).saturating_sub(1)
    }
}
