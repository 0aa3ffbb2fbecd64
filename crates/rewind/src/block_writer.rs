//! Writing one block: audio first, then its index record; whoever calls then publishes it. Killed in between, the audio
//! without a record is a torn tail that recovery cuts. When to start and end blocks is decided in `writer.rs`.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use audio::Chunk;

use crate::{
    block::{Block, Slot},
    index::{ChunkRecord, Entry, Header, Record},
    store::{Files, IndexFile, Place, Store},
    titles::MetaEntry,
};

/// The block that is being written.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    block: Arc<Block>,
    audio: Arc<File>,
    audio_bytes: usize,
    index: Option<IndexFile>,
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
        let Files { audio, index, bytes } = store.create(place, &header, capacity)?;
        let block = match &index {
            None if keeps_file => Block::in_memory(header, bytes, 0, Arc::clone(&audio)),
            _ => Block::new(header, bytes, 0),
        };
        let block = Arc::new(block);
        let mut writer = BlockWriter { block, audio, audio_bytes: 0, index };
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
    pub fn write(&mut self, data: &[u8], record: &ChunkRecord) -> io::Result<Entry> {
        let offset = self.audio_bytes;
        self.audio.write_all_at(data, offset as u64)?;
        self.append_to_index(&record.encode())?;
        self.audio_bytes += data.len();
        Ok(record.entry(offset as u32))
    }

    /// Writes metadata that is in force from the next chunk on. After a failure the block must be given up.
    pub fn write_title(&mut self, title: &MetaEntry) -> io::Result<()> {
        self.append_to_index(&Record::encode_metadata(&title.metadata, title.time))
    }

    /// Bytes of audio written.
    pub fn audio_bytes(&self) -> usize {
        self.audio_bytes
    }

    /// Publishes all that is written, as a block of the log with these chunks.
    pub fn publish(&self, chunks: Vec<Entry>) -> Slot {
        self.block.publish(self.audio_bytes);
        Slot::new(self.block.clone(), chunks, self.index.is_some())
    }

    /// Ends the block after a failure: what a torn write has left in a file is cut off if the system lets us, or else at
    /// the next start. What is published stays.
    pub fn give_up(self) {
        if let Some(index) = self.index {
            let _ = self.audio.set_len(self.audio_bytes as u64);
            let _ = index.file.set_len(index.bytes);
        }
    }

    fn append_to_index(&mut self, record: &[u8]) -> io::Result<()> {
        if let Some(index) = &mut self.index {
            index.file.write_all_at(record, index.bytes)?;
            index.bytes += record.len() as u64;
        }
        Ok(())
    }
}
