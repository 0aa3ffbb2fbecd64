//! Writing one block: audio first, then its index record; whoever calls then publishes it. Killed in between, the audio
//! without a record is a torn tail that recovery cuts. When to start and end blocks is decided in `writer.rs`.

use std::{io, os::unix::fs::FileExt, sync::Arc};

use audio::Chunk;
use bytes::Bytes;

use crate::{
    block::{Block, Slot},
    index::{ChunkRecord, Entry, Header, Record},
    store::{Files, Place, Store, Target},
    titles::MetaEntry,
};

/// The block that is being written.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    block: Arc<Block>,
    target: Target,
    audio_bytes: usize,
    /// Bytes of the index; 0 without one.
    index_bytes: u64,
}

impl BlockWriter {
    /// Makes a block and writes what is in force at its start; one in memory keeps its file open for a handoff if
    /// `keeps_file`. A failure leaves nothing behind.
    pub fn create(
        store: &Store,
        place: Place,
        header: Header,
        capacity: usize,
        title: &MetaEntry,
        keeps_file: bool,
    ) -> io::Result<Self> {
        let Files { target, bytes } = store.create(place, &header, capacity)?;
        let (block, index_bytes) = match &target {
            Target::Memory(file) if keeps_file => (Block::in_memory(header, bytes, 0, file.clone()), 0),
            Target::Memory(_) => (Block::new(header, bytes, 0), 0),
            Target::Directory { files, .. } => (Block::new(header, bytes, 0), files.header_bytes),
        };
        let block = Arc::new(block);
        let mut writer = BlockWriter { block, target, audio_bytes: 0, index_bytes };
        if title.metadata != Default::default() {
            writer.write_title(title).inspect_err(|_| store.remove(&header))?;
        }
        Ok(writer)
    }

    /// True if `chunk` fits: it is of the block's format, and there is room.
    pub fn takes(&self, chunk: &Chunk) -> bool {
        self.block.format() == chunk.format && chunk.data.len() <= self.block.capacity() - self.audio_bytes
    }

    /// Writes a chunk that fits. After a failure the block must be given up.
    pub fn write(&mut self, data: &Bytes, record: &ChunkRecord) -> io::Result<Entry> {
        let offset = self.audio_bytes;
        self.append(data, record.encode())?;
        self.audio_bytes += data.len();
        Ok(record.entry(offset as u32))
    }

    /// Writes metadata that is in force from the next chunk on. After a failure the block must be given up.
    pub fn write_title(&mut self, title: &MetaEntry) -> io::Result<()> {
        self.append(&Bytes::new(), Record::encode_metadata(&title.metadata, title.time))
    }

    /// Bytes of audio written.
    pub fn audio_bytes(&self) -> usize {
        self.audio_bytes
    }

    /// Publishes all that is written, as a block of the log with these chunks.
    pub fn publish(&self, chunks: Vec<Entry>) -> Slot {
        self.block.publish(self.audio_bytes);
        Slot::new(self.block.clone(), chunks, matches!(self.target, Target::Directory { .. }))
    }

    /// Ends the block after a failure: what a torn or late write leaves in a file is cut off if the system lets us, or else
    /// at the next start. What is published stays.
    pub fn give_up(self) {
        if let Target::Directory { disk, files } = self.target {
            let (audio_bytes, index_bytes) = (self.audio_bytes as u64, self.index_bytes);
            disk.tell(move || {
                let _ = files.audio.set_len(audio_bytes);
                let _ = files.index.set_len(index_bytes);
            });
        }
    }

    /// Writes audio and then its record, each at its end.
    fn append(&mut self, data: &Bytes, record: Vec<u8>) -> io::Result<()> {
        let audio_bytes = self.audio_bytes as u64;
        match &self.target {
            Target::Memory(audio) => audio.write_all_at(data, audio_bytes),
            Target::Directory { disk, files } => {
                let (files, data, index_bytes) = (files.clone(), data.clone(), self.index_bytes);
                let record_bytes = record.len() as u64;
                let write = move || {
                    files.audio.write_all_at(&data, audio_bytes)?;
                    files.index.write_all_at(&record, index_bytes)
                };
                // What is written too late is cut off when the block is given up.
                disk.ask(write, drop)?;
                self.index_bytes += record_bytes;
                Ok(())
            }
        }
    }
}
