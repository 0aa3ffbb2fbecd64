//! Finding a log again in its directory: taking up its blocks, cutting torn tails, and where positions and numbers go
//! on. Audio is mapped, not read, but for the newest blocks: start-up takes milliseconds for hours of audio. A directory
//! that is only looked at stays as it is, and all of its audio is verified.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io, mem,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use audio::{Codec, Time};
use bytes::Bytes;

use crate::{
    Fault, Finding, OpenError, Outcome, Position,
    block::{Block, Slot},
    handoff::HandedBlock,
    index::{CHUNK_RECORD_BYTES, Header, HeaderRead},
    kept_edge::{self, KeptEdge},
    log::{Edge, Shared},
    map,
    scan::{Audio, Scan},
    segments::{Numbers, Step},
    store::{Directory, INDEX_EXTENSION, LOCK_NAME},
    titles::Titles,
};

/// Audio of this many newest blocks is compared with its checksums. A killed process harms none; a power failure takes
/// what was not written back, about the last half minute, which lies in one block or across two.
const BLOCKS_VERIFIED: usize = 2;
/// A longer index is not read: a full block of the shortest frames stays below.
const INDEX_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Digits of a position in a file's name.
const NAME_DIGITS: usize = 20;
/// No log gets as far in its life; a file that is named so by mistake must not make it start there.
pub(crate) const POSITION_MAX: u64 = 1 << 62;
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
    /// What was cut, dropped or left alone, and why.
    pub findings: Vec<Finding>,
    /// Names of files that are none of ours, as far as they are readable text; they are left alone.
    pub others: Vec<String>,
}

/// A log as its directory tells it.
pub(crate) struct Recovered {
    pub shared: Shared,
    pub last: Option<(Numbers, Step)>,
    pub report: Recovery,
}

/// What is done about a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is ours: what cannot be believed is cut off or deleted.
    Mend,
    /// It is ours to be, but nothing is changed yet: the other process may go on.
    TakeOver,
    /// Nothing is changed.
    Look,
    /// Nothing is changed by us, but somebody else has it: what is missing may just have gone, and what is torn at its end
    /// is being written.
    LookBeside,
}

/// What lies in the directory under one position.
#[derive(Default)]
struct Names {
    index: bool,
    audio: Vec<Codec>,
}

/// What a directory holds, by name.
struct Listing {
    /// By position, oldest first.
    blocks: BTreeMap<u64, Names>,
    others: Vec<String>,
}

/// A file that is to be cut to so many bytes, or deleted, and the position of its block.
struct Mend {
    position: Position,
    path: PathBuf,
    bytes: Option<u64>,
}

struct Recoverer<'a> {
    key: &'a str,
    /// None where all is in memory.
    directory: Option<&'a Directory>,
    mode: Mode,
    /// Position of the newest block that has an index.
    newest: Position,
    recovered: Recovered,
    mends: Vec<Mend>,
    /// End of the last chunk found so far.
    last_end: Option<Time>,
}

/// Reads what `directory` holds, and what another process has `handed` over; without either the log starts at `now`.
pub(crate) fn recover(
    key: &str,
    directory: Option<&Directory>,
    handed: Vec<HandedBlock>,
    mode: Mode,
    now: Time,
) -> Result<Recovered, OpenError> {
    let shared = Shared {
        blocks: VecDeque::new(),
        titles: Titles::new(now),
        edge: Edge { position: Position(0), time: now },
        bytes: 0,
        span_us: 0,
        last_segment: None,
        segment_us: i64::MAX,
    };
    let mut recovered = Recovered { shared, last: None, report: Recovery::default() };
    let Listing { blocks, others } = match directory {
        Some(directory) => {
            list(&directory.path).map_err(|source| OpenError::Io { path: directory.path.clone(), source })?
        }
        None => Listing { blocks: BTreeMap::new(), others: Vec::new() },
    };
    recovered.report.others = others;
    let mut newest = blocks.iter().rev().filter(|(_, names)| names.index).map(|(position, _)| *position);
    let verified_from = match mode {
        Mode::Mend | Mode::TakeOver => newest.clone().nth(BLOCKS_VERIFIED - 1).unwrap_or(0),
        Mode::Look | Mode::LookBeside => 0,
    };
    let newest = Position(newest.next().unwrap_or(0));
    let mut recoverer =
        Recoverer { key, directory, mode, newest, recovered, mends: Vec::new(), last_end: None };
    let mut handed = handed.into_iter().peekable();
    for (position, names) in &blocks {
        while let Some(block) = handed.next_if(|block| block.position().is_some_and(|it| it.0 < *position)) {
            recoverer.take_handed(block)?;
        }
        recoverer.take(Position(*position), names, *position >= verified_from);
    }
    handed.try_for_each(|block| recoverer.take_handed(block))?;
    if let Some(kept) = directory.and_then(|directory| KeptEdge::read(&directory.path)) {
        recoverer.go_on_after(kept);
    }
    if recoverer.recovered.shared.edge.position == Position(0) {
        recoverer.reserve(Position::FRESH);
    }
    recoverer.mend();
    Ok(recoverer.recovered)
}

/// The files in the directory at `path`. Only those named after positions are ours.
fn list(path: &Path) -> io::Result<Listing> {
    let mut listing = Listing { blocks: BTreeMap::new(), others: Vec::new() };
    for file in fs::read_dir(path)? {
        let name = PathBuf::from(file?.file_name());
        let stem = name.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == NAME_DIGITS);
        let position = stem.and_then(|stem| stem.parse().ok()).filter(|position| *position <= POSITION_MAX);
        let extension = name.extension().and_then(|extension| extension.to_str());
        let codec = CODECS.into_iter().find(|codec| Some(codec.extension()) == extension);
        match (position, codec) {
            (Some(position), _) if extension == Some(INDEX_EXTENSION) => {
                listing.blocks.entry(position).or_default().index = true;
            }
            (Some(position), Some(codec)) => listing.blocks.entry(position).or_default().audio.push(codec),
            _ if [LOCK_NAME, kept_edge::NAME, kept_edge::NEW_NAME]
                .map(OsStr::new)
                .contains(&name.as_os_str()) => {}
            _ => listing.others.push(name.display().to_string()),
        }
    }
    listing.others.sort();
    Ok(listing)
}

/// True if the directory at `path` is or was one of a stream.
pub(crate) fn holds_blocks(path: &Path) -> io::Result<bool> {
    Ok(path.join(LOCK_NAME).is_file() || !list(path)?.blocks.is_empty())
}

impl<'a> Recoverer<'a> {
    /// Takes the block at `position` into the log, or as much of it as can be believed.
    fn take(&mut self, position: Position, names: &Names, verify: bool) {
        if !names.index {
            return self.drop_files(position, names, Fault::NoIndex);
        }
        let index = match read_index(&self.directory().index_path(position)) {
            Ok(index) => index,
            Err(error) if self.has_gone(&error) => return,
            Err(error) => return self.leave(position, names, Fault::System(error.to_string())),
        };
        let (header, header_bytes) = match Header::decode(&index, self.key) {
            HeaderRead::Ours(header, bytes) if header.position == position => (header, bytes),
            HeaderRead::OtherVersion => return self.leave(position, names, Fault::OtherVersion),
            HeaderRead::OtherStream => return self.leave(position, names, Fault::OtherStream),
            HeaderRead::Ours(..) | HeaderRead::Damaged => {
                self.skip_numbers(index.len() as u64);
                return self.drop_files(position, names, Fault::DamagedHeader);
            }
        };
        if position < self.recovered.shared.edge.position {
            return self.drop_files(position, names, Fault::Overlap);
        }
        let audio_path = self.directory().audio_path(position, header.format.codec);
        let audio = match open_audio(&audio_path) {
            Ok(audio) => audio,
            Err(error) if self.has_gone(&error) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut scan = Scan::new(header, header_bytes as u64, self.last_end);
                scan.believe(&index[header_bytes..], &NoAudio, false);
                self.claim(&scan);
                return self.drop_files(position, names, Fault::NoAudio);
            }
            Err(error) => return self.leave(position, names, Fault::System(error.to_string())),
        };
        let mut scan = Scan::new(header, header_bytes as u64, self.last_end);
        scan.believe(&index[header_bytes..], &audio, verify);
        if let Some(fault) = scan.fault.take() {
            self.cut(audio_path, &scan, fault, audio.bytes - scan.audio_bytes, index.len() as u64);
        }
        // No more is mapped than is believed: nobody cuts that off.
        match map_audio(&audio, scan.audio_bytes) {
            Ok(mapped) => self.enter(scan, |header, bytes| (Block::new(header, mapped, bytes), true)),
            Err(error) => self.leave(position, names, Fault::System(error.to_string())),
        }
    }

    /// A block in memory that another process handed over: its audio is as its index says.
    fn take_handed(&mut self, block: HandedBlock) -> Result<(), OpenError> {
        let failed = |source| OpenError::Handed { source };
        let HeaderRead::Ours(header, header_bytes) = Header::decode(&block.index, self.key) else {
            return Err(failed(io::Error::other("a block's index is not one of this stream")));
        };
        let bytes = block.audio.metadata().map_err(failed)?.len();
        let audio = AudioFile { file: block.audio, bytes };
        let mut scan = Scan::new(header, header_bytes as u64, self.last_end);
        scan.believe(&block.index[header_bytes..], &audio, false);
        let mapped = map_audio(&audio, scan.audio_bytes).map_err(failed)?;
        let file = Arc::new(audio.file);
        self.enter(scan, |header, bytes| (Block::in_memory(header, mapped, bytes, file), false));
        Ok(())
    }

    fn directory(&self) -> &'a Directory {
        self.directory.expect("files are found in a directory only")
    }

    /// Adds what was found of a block to the log.
    fn enter(&mut self, mut scan: Scan, block: impl FnOnce(Header, usize) -> (Block, bool)) {
        let header = scan.header;
        let Recovered { shared, report, .. } = &mut self.recovered;
        for (offset, title) in mem::take(&mut scan.titles) {
            shared.titles.set(header.position.plus(offset), title);
        }
        if !scan.chunks.is_empty() {
            report.blocks += 1;
            report.chunks += scan.chunks.len() as u64;
            report.bytes += scan.audio_bytes;
            let (block, named) = block(header, scan.audio_bytes as usize);
            let slot = Slot::new(Arc::new(block), mem::take(&mut scan.chunks), named);
            self.last_end = Some(slot.end_time());
            shared.push_block(slot);
        }
        self.claim(&scan);
    }

    /// What an index told of was heard: its positions and numbers are not used again, even if the audio is lost.
    fn claim(&mut self, scan: &Scan) {
        let Recovered { shared, last, .. } = &mut self.recovered;
        let header = &scan.header;
        let first = Step { format: header.format, samples: 0, starts_segment: false, discontinuity: false };
        let unread = (scan.unread_bytes > 0).then_some((header.numbers, first));
        *last = scan.last.or(unread).or(*last);
        shared.last_segment = scan.last_segment.or(shared.last_segment);
        self.reserve(header.position.plus(scan.claimed_bytes));
        self.skip_numbers(scan.unread_bytes);
    }

    /// Goes on behind what was written down before an index was cut.
    fn go_on_after(&mut self, kept: KeptEdge) {
        self.reserve(kept.position);
        let Recovered { shared, last, .. } = &mut self.recovered;
        let Some((least, step)) = kept.last else { return };
        let (numbers, _) = last.get_or_insert((least, step));
        numbers.segment = numbers.segment.max(least.segment);
        numbers.discontinuity_seq = numbers.discontinuity_seq.max(least.discontinuity_seq);
        if let Some(mark) = &mut shared.last_segment {
            mark.seq = numbers.segment;
        }
    }

    /// Has the files of a block cut to what is believed, and deleted if that is nothing.
    fn cut(&mut self, audio_path: PathBuf, scan: &Scan, fault: Fault, audio_bytes: u64, index_len: u64) {
        let position = scan.header.position;
        let index_bytes = index_len - scan.index_bytes;
        if !self.note(position, fault, Outcome::Cut { audio_bytes, index_bytes }) {
            return;
        }
        self.recovered.report.cut_bytes += audio_bytes;
        let index_path = self.directory().index_path(position);
        let files = if scan.chunks.is_empty() {
            [(index_path, None), (audio_path, None)]
        } else {
            [(audio_path, Some(scan.audio_bytes)), (index_path, Some(scan.index_bytes))]
        };
        self.mends.extend(files.map(|(path, bytes)| Mend { position, path, bytes }));
    }

    /// Has files deleted that hold nothing that can be believed.
    fn drop_files(&mut self, position: Position, names: &Names, fault: Fault) {
        if !self.note(position, fault, Outcome::Dropped) {
            return;
        }
        if names.index {
            let path = self.directory().index_path(position);
            self.mends.push(Mend { position, path, bytes: None });
        }
        for codec in &names.audio {
            let path = self.directory().audio_path(position, *codec);
            let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            self.recovered.report.cut_bytes += bytes;
            self.reserve(position.plus(bytes));
            self.mends.push(Mend { position, path, bytes: None });
        }
    }

    /// Cuts and deletes what is to be. First it is written down where positions and numbers go on: what is cut told of it.
    fn mend(&mut self) {
        let mends = mem::take(&mut self.mends);
        if self.mode != Mode::Mend || mends.is_empty() {
            return;
        }
        let kept = KeptEdge { position: self.recovered.shared.edge.position, last: self.recovered.last };
        let written = kept.write(&self.directory().path).map_err(|error| error.to_string());
        for Mend { position, path, bytes } in mends {
            let done = written.clone().and_then(|()| {
                let done = bytes.map_or_else(|| fs::remove_file(&path), |bytes| shorten(&path, bytes));
                done.map_err(|error| error.to_string())
            });
            if let Err(error) = done {
                let fault = Fault::System(format!("could not be cut: {error}"));
                self.note(position, fault, Outcome::LeftAlone);
            }
        }
    }

    /// Leaves files alone that may mean something to somebody else; new blocks are not put in their place.
    fn leave(&mut self, position: Position, names: &Names, fault: Fault) {
        self.note(position, fault, Outcome::LeftAlone);
        self.reserve(position.plus(1));
        for codec in &names.audio {
            let path = self.directory().audio_path(position, *codec);
            let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
            self.reserve(position.plus(bytes));
        }
    }

    /// The log goes on at `position` or later.
    fn reserve(&mut self, position: Position) {
        let edge = &mut self.recovered.shared.edge;
        edge.position = edge.position.max(position);
    }

    /// Goes on behind the numbers of chunks whose records, of so many bytes, cannot be read: each may have begun a segment.
    fn skip_numbers(&mut self, record_bytes: u64) {
        let chunks = record_bytes.div_ceil(CHUNK_RECORD_BYTES as u64);
        let Recovered { shared, last, .. } = &mut self.recovered;
        let Some((numbers, _)) = last else { return };
        numbers.segment.0 += chunks;
        numbers.discontinuity_seq += chunks;
        if let Some(mark) = &mut shared.last_segment {
            mark.seq = numbers.segment;
        }
    }

    /// Notes a fault; false if it is none, but somebody at work.
    fn note(&mut self, position: Position, fault: Fault, outcome: Outcome) -> bool {
        let at_work = match fault {
            Fault::AudioBeyondIndex
            | Fault::TornRecord
            | Fault::Empty
            | Fault::NoIndex
            | Fault::DamagedHeader => position >= self.newest,
            _ => false,
        };
        if self.mode == Mode::LookBeside && at_work {
            return false;
        }
        self.recovered.report.findings.push(Finding { position, fault, outcome });
        true
    }

    /// True if `error` says that a file was evicted since the directory was listed.
    fn has_gone(&self, error: &io::Error) -> bool {
        self.mode == Mode::LookBeside && error.kind() == io::ErrorKind::NotFound
    }
}

/// A block's audio file and its length when it was opened.
struct AudioFile {
    file: File,
    bytes: u64,
}

/// Read, not mapped: whoever has the directory may make the file shorter, and touching a mapping beyond its end would end
/// the process.
impl Audio for AudioFile {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read(&self, start: u64, len: u32) -> Option<Bytes> {
        let mut data = vec![0; len as usize];
        self.file.read_exact_at(&mut data, start).ok()?;
        Some(data.into())
    }
}

/// The audio of a block that has lost it.
struct NoAudio;

impl Audio for NoAudio {
    fn len(&self) -> u64 {
        0
    }

    fn read(&self, _: u64, _: u32) -> Option<Bytes> {
        None
    }
}

fn open_audio(path: &Path) -> io::Result<AudioFile> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok(AudioFile { file, bytes })
}

/// The first `bytes` of the file; nothing is mapped for none.
fn map_audio(audio: &AudioFile, bytes: u64) -> io::Result<Bytes> {
    match usize::try_from(bytes).map_err(io::Error::other)? {
        0 => Ok(Bytes::new()),
        bytes => map::map(&audio.file, bytes),
    }
}

fn read_index(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > INDEX_BYTES_MAX {
        return Err(io::Error::other(format!("index of {bytes} bytes, expected at most {INDEX_BYTES_MAX}")));
    }
    fs::read(path)
}

fn shorten(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > bytes { file.set_len(bytes) } else { Ok(()) }
}
