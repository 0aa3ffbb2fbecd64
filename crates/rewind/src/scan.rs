//! Reading the records of one block's index: which of them to believe, and why not the rest. Files are opened, cut and
//! deleted in `recover.rs`.

use std::sync::Arc;

use audio::Time;
use bytes::Bytes;

use crate::{
    Fault,
    index::{CHUNK_RECORD_BYTES, ChunkRecord, Entry, Header, Record},
    segments::{Numbers, SegmentMark, Step},
    titles::MetaEntry,
};

/// What the records of one index come to.
pub(crate) struct Scan {
    pub header: Header,
    pub chunks: Vec<Entry>,
    pub titles: Vec<(u64, Arc<MetaEntry>)>,
    /// Bytes of audio in `chunks`.
    pub audio_bytes: u64,
    /// Bytes of audio that the index tells of, there or not; all there are where it cannot be read to its end.
    pub claimed_bytes: u64,
    /// Bytes of records that may have been whole once and cannot be read.
    pub unread_bytes: u64,
    /// Length of the index up to the last record that is believed.
    pub index_bytes: u64,
    /// End of the last chunk, of this block or the one before.
    pub last_end: Option<Time>,
    pub last: Option<(Numbers, Step)>,
    pub last_segment: Option<SegmentMark>,
    /// Why what follows is not believed.
    pub fault: Option<Fault>,
}

/// The audio of a block, as far as a scan looks at it.
pub(crate) trait Audio {
    /// Bytes that are there.
    fn len(&self) -> u64;
    /// The `len` bytes from `start` on, which are there.
    fn read(&self, start: u64, len: u32) -> Option<Bytes>;
}

impl Scan {
    pub fn new(header: Header, header_bytes: u64, last_end: Option<Time>) -> Self {
        Scan {
            header,
            chunks: Vec::new(),
            titles: Vec::new(),
            audio_bytes: 0,
            claimed_bytes: 0,
            unread_bytes: 0,
            index_bytes: header_bytes,
            last_end,
            last: None,
            last_segment: None,
            fault: None,
        }
    }

    /// Believes records one after the other, as long as they are whole, in order, and their audio is there.
    pub fn believe(&mut self, mut records: &[u8], audio: &impl Audio, verify: bool) {
        while let Some((record, len)) = Record::decode(records) {
            records = &records[len..];
            match record {
                Record::Chunk(chunk) => {
                    self.number(&chunk);
                    self.fault = self.fault.take().or_else(|| self.fault_of(&chunk, audio, verify));
                    if self.fault.is_none() {
                        self.push(&chunk);
                    }
                    self.claimed_bytes += u64::from(chunk.len);
                }
                Record::Metadata(metadata, time) if self.fault.is_none() => {
                    self.titles.push((self.audio_bytes, MetaEntry::new(metadata, time)));
                }
                Record::Metadata(..) => {}
            }
            if self.fault.is_none() {
                self.index_bytes += len as u64;
            }
        }
        // One torn record is of a chunk that nobody has heard.
        if records.len() >= CHUNK_RECORD_BYTES || (!records.is_empty() && !Record::is_torn(records)) {
            self.unread_bytes = records.len() as u64;
            self.claimed_bytes = self.claimed_bytes.max(audio.len());
        }
        self.fault = self.fault.take().or_else(|| self.fault_behind(records, audio));
    }

    /// What is wrong with `chunk`: it must follow the one before in time, and its audio must be there, and be what was
    /// written where that is to be verified.
    fn fault_of(&self, chunk: &ChunkRecord, audio: &impl Audio, verify: bool) -> Option<Fault> {
        if chunk.len == 0 || u32::try_from(self.audio_bytes).is_err() {
            return Some(Fault::DamagedRecord);
        }
        if self.last_end.is_some_and(|end| chunk.time < end) {
            return Some(Fault::OutOfOrder);
        }
        if self.audio_bytes + u64::from(chunk.len) > audio.len() {
            return Some(Fault::ShortAudio);
        }
        if !verify {
            return None;
        }
        let read = audio.read(self.audio_bytes, chunk.len);
        let is_true = read.is_some_and(|data| crc32fast::hash(&data) == chunk.audio_crc);
        (!is_true).then_some(Fault::DamagedAudio)
    }

    /// What is wrong behind the last record, where `rest` could not be read as one.
    fn fault_behind(&self, rest: &[u8], audio: &impl Audio) -> Option<Fault> {
        if !rest.is_empty() {
            return Some(if Record::is_torn(rest) { Fault::TornRecord } else { Fault::DamagedRecord });
        }
        if audio.len() > self.audio_bytes {
            return Some(Fault::AudioBeyondIndex);
        }
        self.chunks.is_empty().then_some(Fault::Empty)
    }

    fn push(&mut self, chunk: &ChunkRecord) {
        let entry = chunk.entry(self.audio_bytes as u32);
        self.last_end = Some(entry.end());
        self.audio_bytes += u64::from(chunk.len);
        self.chunks.push(entry);
    }

    /// Numbers go on from every chunk that was written, even if its audio is lost.
    fn number(&mut self, chunk: &ChunkRecord) {
        let step = chunk.step(self.header.format);
        let numbers = match &self.last {
            Some((numbers, last)) => numbers.following(last, &step),
            None => self.header.numbers,
        };
        if chunk.starts_segment {
            self.last_segment = Some(SegmentMark { seq: numbers.segment, time: chunk.time });
        }
        self.last = Some((numbers, step));
    }
}
