//! Finding a log again in its directory: which records to believe, cutting torn tails, and where positions and numbers go
//! on. Audio is mapped, not read, but for the newest blocks: start-up takes milliseconds for hours of audio.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use audio::{Codec, Time};
use bytes::Bytes;

use crate::{
    OpenError, Position,
    block::{Block, Slot},
    handoff::HandedBlock,
    index::{ChunkRecord, Entry, Header, HeaderRead, Record},
    log::{Edge, Shared},
    map,
    segments::{Numbers, SegmentMark, Step},
    store::{Directory, INDEX_EXTENSION},
    titles::{MetaEntry, Titles},
};

/// Audio of this many newest blocks is compared with its checksums. A killed process harms none; a power failure takes
/// what was not written back, about the last half minute, which lies in one block or across two.
const BLOCKS_VERIFIED: usize = 2;
/// A longer index is not read: a full block of the shortest frames stays below.
const INDEX_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Digits of a position in a file's name.
const NAME_DIGITS: usize = 20;
/// No log gets as far in its life; a file that is named so by mistake must not make it start there.
const POSITION_MAX: u64 = 1 << 62;
const CODECS: [Codec; 2] = [Codec::Mp3, Codec::Aac];

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Blocks with audio.
    pub blocks: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Bytes of audio in them.
    pub bytes: u64,
    /// Bytes of audio that were cut off or dropped: torn or damaged.
    pub cut_bytes: u64,
    /// What was cut, dropped or left alone, and why: one line each.
    pub notes: Vec<String>,
}

/// A log as its directory tells it.
pub(crate) struct Recovered {
    pub shared: Shared,
    pub last: Option<(Numbers, Step)>,
    pub report: Recovery,
}

/// What lies in the directory under one position.
#[derive(Default)]
struct Names {
    index: bool,
    audio: Vec<Codec>,
}

/// What the records of one index come to.
struct Scan {
    header: Header,
    chunks: Vec<Entry>,
    titles: Vec<(u64, Arc<MetaEntry>)>,
    /// Bytes of audio in `chunks`.
    audio_bytes: u64,
    /// Bytes of audio that the index tells of, there or not.
    claimed_bytes: u64,
    /// Length of the index up to the last record that is believed.
    index_bytes: u64,
    /// End of the last chunk, of this block or the one before.
    last_end: Option<Time>,
    last: Option<(Numbers, Step)>,
    last_segment: Option<SegmentMark>,
}

struct Recoverer<'a> {
    key: &'a str,
    recovered: Recovered,
    /// End of the last chunk found so far.
    last_end: Option<Time>,
}

/// Reads what `directory` holds; without one, or when it is empty, the log starts at `now`.
pub(crate) fn recover(
    key: &str,
    directory: Option<&Directory>,
    handed: Vec<HandedBlock>,
    now: Time,
) -> Result<Recovered, OpenError> {
    let edge = Edge { position: Position(0), time: now };
    let titles = Titles::new(now);
    let shared = Shared {
        blocks: VecDeque::new(),
        titles,
        edge,
        bytes: 0,
        span_us: 0,
        last_segment: None,
        segment_us: i64::MAX,
    };
    let mut recovered = Recovered { shared, last: None, report: Recovery::default() };
    let found = match directory {
        Some(directory) => {
            list(&directory.path).map_err(|source| OpenError::Io { path: directory.path.clone(), source })?
        }
        None => BTreeMap::new(),
    };
    let mut newest = found.iter().rev().filter(|(_, names)| names.index).map(|(position, _)| *position);
    let verified_from = newest.nth(BLOCKS_VERIFIED - 1).unwrap_or(0);
    let mut recoverer = Recoverer { key, recovered, last_end: None };
    let mut handed = handed.into_iter().peekable();
    for (position, names) in &found {
        while let Some(block) = handed.next_if(|block| block.position().is_some_and(|it| it.0 < *position)) {
            recoverer.take_handed(block);
        }
        if let Some(directory) = directory {
            recoverer.take(directory, Position(*position), names, *position >= verified_from);
        }
    }
    handed.for_each(|block| recoverer.take_handed(block));
    recovered = recoverer.recovered;
    let edge = &mut recovered.shared.edge;
    if edge.position == Position(0) {
        edge.position = Position::FRESH;
    }
    Ok(recovered)
}

/// The positions that files are named after, oldest first. Other files are none of ours.
fn list(path: &Path) -> io::Result<BTreeMap<u64, Names>> {
    let mut found: BTreeMap<u64, Names> = BTreeMap::new();
    for file in fs::read_dir(path)? {
        let name = PathBuf::from(file?.file_name());
        let stem = name.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == NAME_DIGITS);
        let Some(position) = stem.and_then(|stem| stem.parse().ok()) else { continue };
        if position > POSITION_MAX {
            continue;
        }
        let extension = name.extension().and_then(|extension| extension.to_str());
        if extension == Some(INDEX_EXTENSION) {
            found.entry(position).or_default().index = true;
        } else if let Some(codec) = CODECS.iter().find(|codec| Some(codec.extension()) == extension) {
            found.entry(position).or_default().audio.push(*codec);
        }
    }
    Ok(found)
}

impl Recoverer<'_> {
    /// Takes the block at `position` into the log, or as much of it as can be believed.
    fn take(&mut self, directory: &Directory, position: Position, names: &Names, verify: bool) {
        if !names.index {
            return self.drop_files(directory, position, names, "audio without an index");
        }
        let index = match read_index(&directory.index_path(position)) {
            Ok(index) => index,
            Err(error) => return self.leave(directory, position, names, &error.to_string()),
        };
        let (header, header_bytes) = match Header::decode(&index, self.key) {
            HeaderRead::Ours(header, bytes) if header.position == position => (header, bytes),
            HeaderRead::Foreign => {
                return self.leave(
                    directory,
                    position,
                    names,
                    "written for another stream or by another version",
                );
            }
            HeaderRead::Ours(..) | HeaderRead::Damaged => {
                return self.drop_files(directory, position, names, "damaged index header");
            }
        };
        if position < self.recovered.shared.edge.position {
            return self.drop_files(directory, position, names, "overlaps the block before");
        }
        let audio_path = directory.audio_path(position, header.format.codec);
        let audio = match map_audio(&audio_path) {
            Ok(audio) => audio,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.drop_files(directory, position, names, "index without audio");
            }
            Err(error) => return self.leave(directory, position, names, &error.to_string()),
        };
        let mut scan = Scan::new(header, header_bytes as u64, self.last_end);
        scan.believe(&index[header_bytes..], &audio, verify);
        self.cut(directory, &audio_path, &scan, audio.len() as u64, index.len() as u64);
        self.enter(scan, |header, bytes| (Block::new(header, audio, bytes), true));
    }

    /// A block in memory that another process handed over: its audio is as its index says, nothing was torn.
    fn take_handed(&mut self, block: HandedBlock) {
        let HeaderRead::Ours(header, header_bytes) = Header::decode(&block.index, self.key) else {
            return self.note("a block that was handed over has no index".to_owned());
        };
        if header.position < self.recovered.shared.edge.position {
            return self.note(format!("{:020}: handed over, but overlaps the block before", header.position));
        }
        let audio = match map_file(&block.audio) {
            Ok(audio) => audio,
            Err(error) => return self.note(format!("{:020}: handed over, but {error}", header.position)),
        };
        let mut scan = Scan::new(header, header_bytes as u64, self.last_end);
        scan.believe(&block.index[header_bytes..], &audio, false);
        self.enter(scan, |header, bytes| {
            (Block::in_memory(header, audio, bytes, Arc::new(block.audio)), false)
        });
    }

    /// Adds what was found of a block to the log.
    fn enter(&mut self, scan: Scan, block: impl FnOnce(Header, usize) -> (Block, bool)) {
        let Recovered { shared, last, report } = &mut self.recovered;
        let header = scan.header;
        for (offset, title) in scan.titles {
            shared.titles.set(header.position.plus(offset), title);
        }
        *last = scan.last.or(*last);
        shared.last_segment = scan.last_segment.or(shared.last_segment);
        if !scan.chunks.is_empty() {
            report.blocks += 1;
            report.chunks += scan.chunks.len() as u64;
            report.bytes += scan.audio_bytes;
            let (block, named) = block(header, scan.audio_bytes as usize);
            let slot = Slot::new(Arc::new(block), scan.chunks, named);
            self.last_end = Some(slot.end_time());
            shared.push_block(slot);
        }
        // What an index told of was heard: its positions are not used again, even if the audio is lost.
        self.reserve(header.position.plus(scan.claimed_bytes));
    }

    /// Cuts the files of a block to what is believed, and deletes them if that is nothing.
    fn cut(
        &mut self,
        directory: &Directory,
        audio_path: &Path,
        scan: &Scan,
        audio_bytes: u64,
        index_bytes: u64,
    ) {
        let (audio_cut, index_cut) = (audio_bytes - scan.audio_bytes, index_bytes - scan.index_bytes);
        if audio_cut == 0 && index_cut == 0 && !scan.chunks.is_empty() {
            return;
        }
        let position = scan.header.position;
        self.recovered.report.cut_bytes += audio_cut;
        self.note(format!("{position:020}: cut {audio_cut} bytes of audio, {index_cut} of its index"));
        let index_path = directory.index_path(position);
        let done = if scan.chunks.is_empty() {
            fs::remove_file(&index_path).and_then(|()| fs::remove_file(audio_path))
        } else {
            shorten(audio_path, scan.audio_bytes).and_then(|()| shorten(&index_path, scan.index_bytes))
        };
        if let Err(error) = done {
            self.note(format!("{position:020}: could not be cut: {error}"));
        }
    }

    /// Deletes files that hold nothing that can be believed.
    fn drop_files(&mut self, directory: &Directory, position: Position, names: &Names, why: &str) {
        self.note(format!("{position:020}: dropped: {why}"));
        if names.index {
            let _ = fs::remove_file(directory.index_path(position));
        }
        for codec in &names.audio {
            let path = directory.audio_path(position, *codec);
            let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            self.recovered.report.cut_bytes += bytes;
            self.reserve(position.plus(bytes));
            let _ = fs::remove_file(path);
        }
    }

    /// Leaves files alone that may mean something to somebody else; new blocks are not put in their place.
    fn leave(&mut self, directory: &Directory, position: Position, names: &Names, why: &str) {
        self.note(format!("{position:020}: left alone: {why}"));
        self.reserve(position.plus(1));
        for codec in &names.audio {
            let path = directory.audio_path(position, *codec);
            let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
            self.reserve(position.plus(bytes));
        }
    }

    /// The log goes on at `position` or later.
    fn reserve(&mut self, position: Position) {
        let edge = &mut self.recovered.shared.edge;
        edge.position = edge.position.max(position);
    }

    fn note(&mut self, note: String) {
        self.recovered.report.notes.push(note);
    }
}

impl Scan {
    fn new(header: Header, header_bytes: u64, last_end: Option<Time>) -> Self {
        Scan {
            header,
            chunks: Vec::new(),
            titles: Vec::new(),
            audio_bytes: 0,
            claimed_bytes: 0,
            index_bytes: header_bytes,
            last_end,
            last: None,
            last_segment: None,
        }
    }

    /// Believes records one after the other, as long as they are whole, in order, and their audio is there.
    fn believe(&mut self, mut records: &[u8], audio: &Bytes, verify: bool) {
        let mut whole = true;
        while let Some((record, len)) = Record::decode(records) {
            records = &records[len..];
            match record {
                Record::Chunk(chunk) => {
                    self.number(&chunk);
                    whole = whole && self.is_there(&chunk, audio, verify);
                    if whole {
                        self.push(&chunk);
                    }
                    self.claimed_bytes += u64::from(chunk.len);
                }
                Record::Metadata(metadata, time) if whole => {
                    self.titles.push((self.audio_bytes, MetaEntry::new(metadata, time)));
                }
                Record::Metadata(..) => {}
            }
            if whole {
                self.index_bytes += len as u64;
            }
        }
    }

    /// True if `chunk` follows the one before in time, and its audio is there, and is what was written where that is to be
    /// verified.
    fn is_there(&self, chunk: &ChunkRecord, audio: &Bytes, verify: bool) -> bool {
        let (Ok(_), Ok(start)) = (u32::try_from(self.audio_bytes), usize::try_from(self.audio_bytes)) else {
            return false;
        };
        let Some(data) = audio.get(start..start.saturating_add(chunk.len as usize)) else { return false };
        self.last_end.is_none_or(|end| chunk.time >= end)
            && !data.is_empty()
            && (!verify || crc32fast::hash(data) == chunk.audio_crc)
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

fn read_index(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > INDEX_BYTES_MAX {
        return Err(io::Error::other(format!("index of {bytes} bytes, expected at most {INDEX_BYTES_MAX}")));
    }
    fs::read(path)
}

/// The audio file as it is; no bytes if it is empty.
fn map_audio(path: &Path) -> io::Result<Bytes> {
    map_file(&File::open(path)?)
}

fn map_file(file: &File) -> io::Result<Bytes> {
    match usize::try_from(file.metadata()?.len()).map_err(io::Error::other)? {
        0 => Ok(Bytes::new()),
        bytes => map::map(file, bytes),
    }
}

fn shorten(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > bytes { file.set_len(bytes) } else { Ok(()) }
}
