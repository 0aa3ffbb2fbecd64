//! Giving a log to the next process, which goes on with it: the same audio, positions and numbers, nothing copied. How
//! descriptors and plain data get there is not here.
//!
//! Blocks with names are found by their names, under the lock that both processes share. Those in memory are handed over
//! as descriptors, with their indexes as index files have them. The block that is being written is finished by that.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use audio::Time;
use serde::{Deserialize, Serialize};
use wire::icy::Metadata;

use crate::{
    Config, Log, OpenError, Position, Recovery, Writer,
    block::Slot,
    index::{ChunkRecord, Header, Record},
    log::Shared,
    recover::{self, Mode},
    segments::{Numbers, Step},
    store::{Store, memory_file},
};

/// Bytes of the indexes of all blocks in memory at most: some years of audio.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// A log as it is given to another process.
#[derive(Debug)]
pub struct Handed {
    /// What can be said in plain data.
    pub state: HandedState,
    /// The lock on the stream's directory, the file with the indexes, and the audio of each block in memory.
    pub files: Vec<File>,
}

/// What is to be known of a log that is handed over, besides its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedState {
    /// Whether the first file is a lock.
    has_lock: bool,
    /// Bytes of the index of each block in memory.
    index_bytes: Vec<u64>,
    /// Where the next chunk starts.
    position: Position,
    /// What its numbers follow from.
    last: Option<(Numbers, Step)>,
    /// End of the last chunk.
    last_end: Option<Time>,
    /// Metadata as set last, and when.
    metadata: (Metadata, Time),
}

/// A block in memory that was handed over.
#[derive(Debug)]
pub(crate) struct HandedBlock {
    pub index: Vec<u8>,
    pub audio: File,
}

impl HandedBlock {
    /// Its position, if it can be read.
    pub fn position(&self) -> Option<Position> {
        Header::position(&self.index)
    }
}

impl Writer {
    /// The log for another process to go on with. This one must not write until it is known that the other one will not.
    ///
    /// # Errors
    /// What the system says when no files in memory can be had.
    pub fn hand(&self) -> io::Result<Handed> {
        let lock = self.store.share_lock()?;
        let mut state = HandedState {
            has_lock: lock.is_some(),
            index_bytes: Vec::new(),
            position: self.log().edge().position,
            last: self.last,
            last_end: self.last_end,
            metadata: self.log().ask(|shared| {
                let current = shared.titles.current();
                (current.metadata.clone(), current.time)
            }),
        };
        let mut indexes = memory_file("rewind-indexes")?;
        let mut audio = Vec::new();
        let blocks = self.log().ask(|shared| {
            let blocks = shared.blocks.iter().filter(|slot| !slot.named);
            blocks
                .map(|slot| (index_of(self.key(), slot, shared), Arc::clone(&slot.block)))
                .collect::<Vec<_>>()
        });
        for (index, block) in blocks {
            indexes.write_all(&index)?;
            state.index_bytes.push(index.len() as u64);
            audio.push(match block.memory() {
                Some(file) => file.try_clone()?,
                None => {
                    let file = memory_file("rewind-block")?;
                    file.write_all_at(&block.slice(block.start(), block.end()), 0)?;
                    file
                }
            });
        }
        Ok(Handed { state, files: lock.into_iter().chain([indexes]).chain(audio).collect() })
    }
}

impl Log {
    /// Goes on with a log that another process has handed over. Nothing is evicted before the first chunk is written.
    ///
    /// # Errors
    /// As [`Log::open`], and when the files do not fit what the state says of them.
    pub fn take_over(
        config: Config,
        handed: Handed,
        now: Time,
    ) -> Result<(Writer, Arc<Log>, Recovery), OpenError> {
        let Handed { state, files } = handed;
        let mut files = files.into_iter();
        let lock = if state.has_lock { files.next() } else { None };
        let store = Store::take_over(config.dir.as_deref(), &config.key, lock)?;
        let blocks = read_blocks(&state, files).map_err(|source| OpenError::Handed { source })?;
        let recovered = recover::recover(&config.key, store.directory(), blocks, Mode::TakeOver, now)?;
        let (mut writer, report) = Writer::new(config, store, recovered, now);
        writer.last = state.last.or(writer.last);
        writer.last_end = writer.last_end.max(state.last_end);
        let log = Arc::clone(writer.log());
        log.change(|shared| {
            shared.edge.position = shared.edge.position.max(state.position);
            shared.edge.time = writer.last_end.unwrap_or(shared.edge.time);
        });
        let (metadata, at) = state.metadata;
        writer.set_metadata(metadata, at);
        Ok((writer, log, report))
    }
}

fn read_blocks(
    state: &HandedState,
    mut files: impl ExactSizeIterator<Item = File>,
) -> io::Result<Vec<HandedBlock>> {
    let unfit = || io::Error::other("files that were handed over are not those that were told of");
    if files.len() != state.index_bytes.len() + 1 || state.index_bytes.iter().sum::<u64>() > INDEX_BYTES_MAX {
        return Err(unfit());
    }
    let mut indexes = files.next().ok_or_else(unfit)?;
    indexes.seek(SeekFrom::Start(0))?;
    let blocks = state.index_bytes.iter().zip(files).map(|(&bytes, audio)| {
        let mut index = vec![0; bytes as usize];
        indexes.read_exact(&mut index)?;
        Ok(HandedBlock { index, audio })
    });
    blocks.collect()
}

/// The index of a block in memory, as an index file has it.
fn index_of(key: &str, slot: &Slot, shared: &Shared) -> Vec<u8> {
    let header = slot.block.header();
    let mut index = header.encode(key);
    let mut on = None;
    for (nth, entry) in slot.chunks.iter().enumerate() {
        let position = slot.position_of(nth);
        let title = shared.titles.at(position);
        if on.replace(title).is_none_or(|on| !Arc::ptr_eq(on, title)) {
            index.extend(Record::encode_metadata(&title.metadata, title.time));
        }
        let record = ChunkRecord {
            time: entry.time,
            len: slot.position_of(nth + 1).since(position) as u32,
            span_us: entry.span_us,
            samples: entry.samples,
            starts_segment: entry.starts_segment(),
            discontinuity: entry.discontinuity(),
            // Nobody reads it: the audio is in memory.
            audio_crc: 0,
        };
        index.extend(record.encode());
    }
    index
}
