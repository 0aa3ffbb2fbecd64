//! The one writer of a log: appends, sets titles, evicts. Audio is never refused: what cannot be written to the directory
//! goes into memory, and the directory is tried again with the next block. Crash safety is by order, without `fsync`:
//! a killed process loses at most the chunk being written; a power failure also what the system had not yet written back.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use audio::{Chunk, Time};
use wire::icy::Metadata;

use crate::{
    Log, OpenError, Position, Recovery,
    block::{Block, Slot},
    block_writer::BlockWriter,
    index::{ChunkRecord, Entry, Header},
    recover::{self, Mode, Recovered},
    segments::{Numbers, SegmentMark, Step},
    store::{Place, Store},
    titles::MetaEntry,
};

/// A full buffer is cut into about this many blocks, so that eviction by whole blocks keeps at most 1 % too much.
const BLOCKS_PER_BUFFER: u64 = 128;
/// Smaller blocks would cost more in records and mappings than they give.
const BLOCK_BYTES_MIN: u64 = 256 * 1024;
/// Larger blocks would be dropped in lumps that are hours of audio.
const BLOCK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Blocks in memory whose files stay open; what is beyond is copied when it is handed to another process. A full buffer
/// has fewer, unless its format never rests.
const FILES_MAX: usize = 160;
/// A block in memory for want of the directory is so much smaller: when it is full the directory is tried again. A whole
/// buffer of them is well below the bound of blocks.
const SPARE_BLOCKS_PER_BLOCK: usize = 8;

/// What a log is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The stream's key: its directory's name, and a mark in its files.
    pub key: String,
    /// Where the streams' directories are; none keeps all in memory.
    pub dir: Option<PathBuf>,
    /// How long audio is kept.
    pub keep: Duration,
    /// Most bytes of audio that are kept, beyond the block being written.
    pub bytes_max: u64,
    /// Segment duration, by whose multiples a log without a past starts numbering.
    pub segment: Duration,
}

/// Where a chunk was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of its first byte.
    pub position: Position,
}

/// Whether audio is where the configuration wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is.
    Good,
    /// It goes into memory instead, and is lost with the process; without a directory, from memory files into pieces of
    /// memory, which costs more of it.
    Degraded {
        /// What the system said last.
        reason: String,
        /// Since when, in the stream's time.
        since: Time,
    },
}

impl Health {
    /// What is wrong, if anything is.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Health::Good => None,
            Health::Degraded { reason, .. } => Some(reason),
        }
    }
}

/// The writing end of a log; there is one.
#[derive(Debug)]
pub struct Writer {
    key: String,
    log: Arc<Log>,
    pub(crate) store: Store,
    pub(crate) keep: Duration,
    pub(crate) bytes_max: u64,
    pub(crate) segment: Duration,
    opened: Time,
    current: Option<BlockWriter>,
    /// The last chunk written: what the next one's numbers follow from.
    pub(crate) last: Option<(Numbers, Step)>,
    pub(crate) last_end: Option<Time>,
    health: Health,
}

impl Log {
    /// Opens the log: recovers what its directory holds, if it has one. `now` dates an empty log.
    pub fn open(config: Config, now: Time) -> Result<(Writer, Arc<Log>, Recovery), OpenError> {
        let store = Store::open(config.dir.as_deref(), &config.key)?;
        let recovered = recover::recover(&config.key, store.directory(), Vec::new(), Mode::Mend, now)?;
        let (mut writer, report) = Writer::new(config, store, recovered, now);
        writer.evict();
        let log = Arc::clone(&writer.log);
        Ok((writer, log, report))
    }
}

impl Writer {
    pub(crate) fn new(config: Config, store: Store, recovered: Recovered, now: Time) -> (Self, Recovery) {
        let Recovered { mut shared, last, report } = recovered;
        shared.segment_us = i64::try_from(config.segment.as_micros()).unwrap_or(i64::MAX).max(1);
        let last_end = shared.blocks.back().map(Slot::end_time);
        let writer = Writer {
            key: config.key,
            log: Log::new(shared),
            store,
            keep: config.keep,
            bytes_max: config.bytes_max,
            segment: config.segment,
            opened: now,
            current: None,
            last,
            last_end,
            health: Health::Good,
        };
        (writer, report)
    }

    /// The stream's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The log's shared side.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// End of the last chunk ever written; what a chunker continues after.
    pub fn last_end(&self) -> Option<Time> {
        self.last_end
    }

    /// True if its audio should be in a directory; in memory files otherwise.
    pub fn has_directory(&self) -> bool {
        self.store.directory().is_some()
    }

    /// Whether audio is where it should be; becomes good again with the next block that is.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Appends a chunk and evicts what has become too old or too much. A chunk that would overlap the one before is dated
    /// to its end; an empty one is ignored.
    pub fn append(&mut self, chunk: &Chunk) -> Appended {
        let position = self.log.edge().position;
        if chunk.data.is_empty() {
            return Appended { position };
        }
        let record = record_of(chunk, self.last_end);
        let step = record.step(chunk.format);
        let numbers = match &self.last {
            Some((numbers, last)) => numbers.following(last, &step),
            None => Numbers::first(record.time, self.segment.as_micros() as u64, self.opened),
        };
        self.store_chunk(chunk, &record, Header { position, format: chunk.format, numbers });
        self.last = Some((numbers, step));
        self.last_end = Some(record.entry(0).end());
        self.evict();
        Appended { position }
    }

    /// Metadata that is in force from the next chunk on.
    pub fn set_metadata(&mut self, metadata: Metadata, at: Time) {
        let title = MetaEntry::new(metadata, at);
        let changed = self.log.change(|shared| shared.titles.set(shared.edge.position, title.clone()));
        if let (true, Some(mut current)) = (changed, self.current.take()) {
            match current.write_title(&title) {
                Ok(()) => self.current = Some(current),
                Err(error) => self.give_up(current, &error, at),
            }
        }
    }

    /// Keeps this much from now on.
    pub fn set_keep(&mut self, keep: Duration, bytes_max: u64) {
        self.keep = keep;
        self.bytes_max = bytes_max;
        self.evict();
    }

    /// Drops all audio. Positions, numbers and the title go on.
    pub fn clear(&mut self) {
        self.current = None;
        let gone = self.log.change(|shared| shared.clear());
        self.remove(&gone);
    }

    /// Puts a chunk into the current block, or a new one in the best place that takes it.
    fn store_chunk(&mut self, chunk: &Chunk, record: &ChunkRecord, header: Header) {
        let mark =
            record.starts_segment.then_some(SegmentMark { seq: header.numbers.segment, time: record.time });
        let mut places = self.store.places();
        if let Some(mut current) = self.current.take_if(|current| current.takes(chunk)) {
            match current.write(&chunk.data, record) {
                Ok(entry) => return self.publish(current, entry, mark),
                Err(error) => self.give_up(current, &error, record.time),
            }
            places = &[Place::Memory];
        }
        let slot = places.iter().find_map(|place| self.start_block(*place, chunk, record, header));
        // When not even memory files can be had, the chunk itself is the block: nothing is lost.
        let slot = slot.unwrap_or_else(|| {
            self.current = None;
            let block = Arc::new(Block::new(header, chunk.data.clone(), chunk.data.len()));
            Slot::new(block, vec![record.entry(0)], false)
        });
        self.log.change(|shared| {
            shared.push_block(slot);
            shared.last_segment = mark.or(shared.last_segment);
        });
    }

    fn publish(&mut self, current: BlockWriter, entry: Entry, mark: Option<SegmentMark>) {
        self.log.change(|shared| {
            shared.push_chunk(entry, current.audio_bytes());
            shared.last_segment = mark.or(shared.last_segment);
        });
        self.current = Some(current);
    }

    /// A new block in `place` with its first chunk; none if it cannot be made there.
    fn start_block(
        &mut self,
        place: Place,
        chunk: &Chunk,
        record: &ChunkRecord,
        header: Header,
    ) -> Option<Slot> {
        match self.create_block(place, chunk, record, header) {
            Ok((writer, entry)) => {
                if place == self.store.places()[0] {
                    self.health = Health::Good;
                }
                let slot = writer.publish(vec![entry]);
                self.current = Some(writer);
                Some(slot)
            }
            Err(error) => {
                self.degrade(&error, record.time);
                None
            }
        }
    }

    fn create_block(
        &self,
        place: Place,
        chunk: &Chunk,
        record: &ChunkRecord,
        header: Header,
    ) -> io::Result<(BlockWriter, Entry)> {
        let title = self.log.metadata_at(header.position);
        let capacity = match place == self.store.places()[0] {
            true => self.block_bytes(chunk),
            false => self.spare_block_bytes(chunk),
        };
        let keeps_file = self.log.usage().blocks < FILES_MAX;
        let mut writer = BlockWriter::create(&self.store, place, header, capacity, &title, keeps_file)?;
        match writer.write(&chunk.data, record) {
            Ok(entry) => Ok((writer, entry)),
            Err(error) => {
                if place == Place::Directory {
                    self.store.remove(&header);
                }
                Err(error)
            }
        }
    }

    /// Capacity of a block that starts with `chunk`.
    pub(crate) fn block_bytes(&self, chunk: &Chunk) -> usize {
        block_bytes(self.keep, self.bytes_max, chunk)
    }

    fn spare_block_bytes(&self, chunk: &Chunk) -> usize {
        let bytes = self.block_bytes(chunk) / SPARE_BLOCKS_PER_BLOCK;
        bytes.max(BLOCK_BYTES_MIN as usize).max(chunk.data.len())
    }

    /// Ends a block that could not be written to; its next chunk goes into memory.
    fn give_up(&mut self, current: BlockWriter, error: &io::Error, at: Time) {
        current.give_up();
        self.degrade(error, at);
    }

    fn degrade(&mut self, error: &io::Error, at: Time) {
        let since = match &self.health {
            Health::Good => at,
            Health::Degraded { since, .. } => *since,
        };
        self.health = Health::Degraded { reason: error.to_string(), since };
    }

    pub(crate) fn evict(&mut self) {
        let keep_us = i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX);
        let gone = self.log.change(|shared| shared.evict(keep_us, self.bytes_max));
        self.remove(&gone);
    }

    fn remove(&self, gone: &[Slot]) {
        for slot in gone.iter().filter(|slot| slot.named) {
            self.store.remove(slot.block.header());
        }
    }
}

/// What the index tells about `chunk`, which starts no earlier than `last_end`.
pub(crate) fn record_of(chunk: &Chunk, last_end: Option<Time>) -> ChunkRecord {
    ChunkRecord {
        time: last_end.map_or(chunk.time, |end| chunk.time.max(end)),
        len: u32::try_from(chunk.data.len()).expect("a chunk is a moment of audio, far below 4 GiB"),
        span_us: chunk.span_us,
        samples: chunk.samples,
        starts_segment: chunk.starts_segment,
        discontinuity: chunk.discontinuity,
        audio_crc: crc32fast::hash(&chunk.data),
    }
}

/// Capacity of a block that starts with `chunk`, from the bytes that such audio needs for the time that is kept.
fn block_bytes(keep: Duration, bytes_max: u64, chunk: &Chunk) -> usize {
    let chunk_bytes = chunk.data.len() as u128;
    let chunk_us = u128::from(chunk.format.micros(u64::from(chunk.samples)).max(1));
    let buffer_bytes = (keep.as_micros().saturating_mul(chunk_bytes) / chunk_us).min(u128::from(bytes_max));
    let block_bytes = (buffer_bytes / u128::from(BLOCKS_PER_BUFFER)) as u64;
    let wanted = block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) as usize;
    wanted.max(chunk.data.len())
}

#[cfg(test)]
mod tests;
