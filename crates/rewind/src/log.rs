//! The log as its readers share it: the row of blocks, the titles, and where the live edge is. Every question is answered
//! under a short lock, from memory, without touching audio. Who changes it is the one writer (`writer.rs`).

use std::{collections::VecDeque, sync::Arc};

use audio::{Format, Time};
use parking_lot::RwLock;
use wire::icy::Metadata;

use crate::{
    Position, Segments,
    block::{Block, Slot},
    index::Entry,
    segments::SegmentMark,
    titles::{MetaEntry, Titles},
};

/// Blocks of a log at most; the oldest goes when there are more. Beyond it a source whose format never rests would use
/// up the process's mappings (65,530 by default); in quiet operation a full buffer has about 128.
pub(crate) const BLOCKS_MAX: usize = 4_096;

/// The live edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where the next chunk will start.
    pub position: Position,
    /// End of the last chunk; of a log that never had one, when it was opened.
    pub time: Time,
}

/// What is kept: from the oldest chunk to the live edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Instant of the oldest sample.
    pub start: Time,
    /// End of the newest chunk.
    pub end: Time,
    /// Position of the oldest byte.
    pub first: Position,
    /// Position after the newest byte.
    pub end_position: Position,
    /// Bytes of audio.
    pub bytes: u64,
    /// Audio in it, without the gaps, in microseconds.
    pub duration_us: u64,
}

/// What a log costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Blocks, each with a mapping of its own.
    pub blocks: usize,
    /// Bytes of audio.
    pub audio_bytes: u64,
    /// Bytes of memory for chunk entries, block records and the list of titles, unused capacity included.
    pub index_bytes: u64,
}

/// The shared side of one stream's rewind buffer; `Arc<Log>` is what readers hold.
#[derive(Debug)]
pub struct Log {
    shared: RwLock<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// In order of position and time; positions and time may have gaps, never overlaps.
    pub blocks: VecDeque<Slot>,
    pub titles: Titles,
    pub edge: Edge,
    pub bytes: u64,
    pub span_us: u64,
    /// The segment that started last.
    pub last_segment: Option<SegmentMark>,
    /// Segment duration, at whose multiples chunks are cut.
    pub segment_us: i64,
}

impl Log {
    pub(crate) fn new(shared: Shared) -> Arc<Self> {
        Arc::new(Log { shared: RwLock::new(shared) })
    }

    /// Answers from the shared state; nothing slow belongs into `question`.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Shared) -> T) -> T {
        question(&self.shared.read())
    }

    /// Changes the shared state; only the writer does.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        change(&mut self.shared.write())
    }

    /// The live edge.
    pub fn edge(&self) -> Edge {
        self.ask(|shared| shared.edge)
    }

    /// What is kept; none while there is no audio.
    pub fn span(&self) -> Option<Span> {
        self.ask(|shared| {
            let (first, last) = (shared.blocks.front()?, shared.blocks.back()?);
            Some(Span {
                start: first.start_time(),
                end: last.end_time(),
                first: first.block.start(),
                end_position: last.end(),
                bytes: shared.bytes,
                duration_us: shared.span_us,
            })
        })
    }

    /// Format of the newest chunk.
    pub fn format(&self) -> Option<Format> {
        self.ask(|shared| shared.blocks.back().map(|slot| slot.block.format()))
    }

    /// Metadata as set last.
    pub fn metadata(&self) -> Metadata {
        self.ask(|shared| shared.titles.current().metadata.clone())
    }

    /// Metadata in force at `position`; the oldest known for places before it.
    pub fn metadata_at(&self, position: Position) -> Arc<MetaEntry> {
        self.ask(|shared| shared.titles.at(position).clone())
    }

    /// The first change of the metadata beyond `position`, and where it takes force.
    pub fn metadata_after(&self, position: Position) -> Option<(Position, Arc<MetaEntry>)> {
        self.ask(|shared| shared.titles.after(position))
    }

    /// The latest `max` changes of the metadata beyond `start` and before `end`, each with the place from which it is in
    /// force, in order. Where audio has followed they do not change any more, and a chunk has one at most: at its start.
    pub fn metadata_between(
        &self,
        start: Position,
        end: Position,
        max: usize,
    ) -> Vec<(Position, Arc<MetaEntry>)> {
        self.ask(|shared| shared.titles.between(start, end, max))
    }

    /// The metadata that was set last and up to `max - 1` times before, newest first, as far as the log reaches back.
    pub fn metadata_history(&self, max: usize) -> Vec<Arc<MetaEntry>> {
        self.ask(|shared| shared.titles.last(max))
    }

    /// The last `max` changes of the metadata, oldest first, each with the instant from which it is in force: where its
    /// audio was dated before it was told, that of the audio.
    pub fn metadata_changes(&self, max: usize) -> Vec<(Time, Arc<MetaEntry>)> {
        let (changes, first) = self.ask(|shared| {
            (shared.titles.changes(max), shared.blocks.front().map_or(Position(0), |slot| slot.block.start()))
        });
        let in_force = |(position, entry): (Position, Arc<MetaEntry>)| {
            let audio = self.time_of(position.max(first));
            (audio.map_or(entry.time, |audio| audio.min(entry.time)), entry)
        };
        changes.into_iter().map(in_force).collect()
    }

    /// The segments that start within the buffer; none while no segment does.
    pub fn segments(&self) -> Option<Segments> {
        self.ask(|shared| {
            let (first, last) = (shared.first_segment()?, shared.last_segment?);
            Some(Segments {
                count: last.seq.0.saturating_sub(first.seq.0) + 1,
                first: first.seq,
                first_time: first.time,
                last: last.seq,
                last_time: last.time,
            })
        })
    }

    /// What the log costs.
    pub fn usage(&self) -> Usage {
        self.ask(|shared| Usage {
            blocks: shared.blocks.len(),
            audio_bytes: shared.bytes,
            index_bytes: shared.index_bytes() as u64,
        })
    }

    /// Position of the chunk at `time`, or of the next one if there is no audio then; the live edge if there is none.
    pub fn find(&self, time: Time) -> Position {
        self.ask(|shared| match shared.first_ending_after(time) {
            Some((slot, nth)) => shared.blocks[slot].position_of(nth),
            None => shared.edge.position,
        })
    }

    /// End of the last whole chunk that has ended by `time`; the oldest position if none has.
    ///
    /// This is the horizon of a listener who lags: O(log n), no allocation.
    pub fn position_at_or_before(&self, time: Time) -> Position {
        self.ask(|shared| match shared.first_ending_after(time) {
            // The chunk before may lie in another block, with a gap between: its end is what is meant.
            Some((slot, 0)) => match slot.checked_sub(1) {
                Some(before) => shared.blocks[before].end(),
                None => shared.blocks[0].block.start(),
            },
            Some((slot, nth)) => shared.blocks[slot].position_of(nth),
            None => shared.edge.position,
        })
    }

    /// The block that holds `position`, or the next one.
    pub(crate) fn block_at(&self, position: Position) -> Option<Arc<Block>> {
        self.ask(|shared| shared.slot_at(position).map(|slot| shared.blocks[slot].block.clone()))
    }
}

impl Shared {
    /// Number of the block that holds `position`, or of the next one.
    pub fn slot_at(&self, position: Position) -> Option<usize> {
        let slot = self.blocks.partition_point(|slot| slot.end() <= position);
        (slot < self.blocks.len()).then_some(slot)
    }

    /// Block and number of the first chunk that ends after `time`; ends never decrease.
    fn first_ending_after(&self, time: Time) -> Option<(usize, usize)> {
        let slot = self.blocks.partition_point(|slot| slot.end_time() <= time);
        let chunks = &self.blocks.get(slot)?.chunks;
        Some((slot, chunks.partition_point(|chunk| chunk.end() <= time)))
    }

    fn first_segment(&self) -> Option<SegmentMark> {
        self.blocks.iter().find_map(|slot| slot.segment_marks().next())
    }

    fn index_bytes(&self) -> usize {
        let chunks: usize = self.blocks.iter().map(|slot| slot.chunks.capacity() * size_of::<Entry>()).sum();
        let blocks = self.blocks.capacity() * size_of::<Slot>() + self.blocks.len() * size_of::<Block>();
        chunks + blocks + self.titles.list_bytes()
    }

    /// Adds a block at the live edge.
    pub fn push_block(&mut self, slot: Slot) {
        if let Some(finished) = self.blocks.back_mut() {
            finished.chunks.shrink_to_fit();
        }
        self.bytes += slot.bytes();
        self.span_us += slot.span_us;
        self.edge = Edge { position: slot.end(), time: slot.end_time() };
        self.blocks.push_back(slot);
    }

    /// Publishes one more chunk of the last block, which then ends at `published` bytes.
    pub fn push_chunk(&mut self, chunk: Entry, published: usize) {
        let Some(slot) = self.blocks.back_mut() else { return };
        slot.push(chunk);
        slot.block.publish(published);
        self.bytes += (published as u64).saturating_sub(u64::from(chunk.offset));
        self.span_us += u64::from(chunk.span_us);
        self.edge = Edge { position: slot.end(), time: slot.end_time() };
    }

    /// Puts older blocks, in order, before the oldest one, which starts at `first`; `titles` are theirs.
    pub fn prepend(&mut self, older: Vec<Slot>, titles: Vec<(Position, Arc<MetaEntry>)>, first: Position) {
        let was_empty = self.blocks.is_empty();
        for slot in older.into_iter().rev() {
            self.bytes += slot.bytes();
            self.span_us += slot.span_us;
            self.blocks.push_front(slot);
        }
        self.titles.prepend(titles, first);
        if let (true, Some(newest)) = (was_empty, self.blocks.back()) {
            self.edge.time = newest.end_time();
            self.last_segment = newest.segment_marks().last();
        }
    }

    /// Takes away whole blocks from the old end: those that ended more than `keep_us` before the live edge, and as many
    /// as exceed `bytes_max` or the number of blocks; never the newest one.
    pub fn evict(&mut self, keep_us: i64, bytes_max: u64) -> Vec<Slot> {
        let oldest = self.edge.time.plus_micros(-keep_us);
        let mut evicted = Vec::new();
        while self.blocks.len() > 1
            && (self.blocks[0].end_time() < oldest
                || self.bytes > bytes_max
                || self.blocks.len() > BLOCKS_MAX)
        {
            let Some(slot) = self.blocks.pop_front() else { break };
            self.bytes -= slot.bytes();
            self.span_us -= slot.span_us;
            evicted.push(slot);
        }
        if let (false, Some(first)) = (evicted.is_empty(), self.blocks.front()) {
            self.titles.trim(first.block.start());
        }
        evicted
    }

    /// Takes away everything; positions, numbers and the title go on.
    pub fn clear(&mut self) -> Vec<Slot> {
        self.bytes = 0;
        self.span_us = 0;
        self.last_segment = None;
        self.titles.trim(self.edge.position);
        self.blocks.drain(..).collect()
    }
}
