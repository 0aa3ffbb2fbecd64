//! Looking at a directory: everything is told, nothing is changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rewind::{Fault, Log, Outcome, Position, StreamDirectory, find_streams};
use wire::icy::Metadata;

use crate::common::{AAC, chunk, chunks, open, seconds};

/// Bytes of an index header of the stream `test`, and of it and a chunk's record.
const HEADER_BYTES: u64 = 64;
const SECOND_RECORD: usize = 96;
/// Bytes of the record of the title `two`, which ends the first block's index.
const TITLE_BYTES: u64 = 23;
/// Files of the first block, and of the second, which starts 300 bytes later.
const FIRST: u64 = Position::FRESH.0;
const SECOND: u64 = FIRST + 300;

fn path_of(dir: &Path, position: u64, extension: &str) -> PathBuf {
    dir.join("test").join(format!("{position:020}.{extension}"))
}

/// Two blocks of three chunks, the second in another format and with a title.
fn two_blocks(dir: &Path) {
    let (mut writer, ..) = open(Some(dir));
    for number in 0..3 {
        writer.append(&chunk(number, 100));
    }
    writer.set_metadata(Metadata { title: "two".into(), url: String::new() }, seconds(3));
    for number in 3..6 {
        writer.append(&audio::Chunk { format: AAC, discontinuity: number == 3, ..chunk(number, 100) });
    }
}

/// All files with their bytes.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(dir.join("test")).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

fn append(path: &Path, more: &[u8]) {
    let bytes = [fs::read(path).unwrap(), more.to_vec()].concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_look_finds_what_opening_finds_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    two_blocks(dir.path());
    fs::write(dir.path().join("test/notes.txt"), b"not ours").unwrap();
    let before = snapshot(dir.path());
    let look = Log::look(dir.path(), "test").unwrap();
    assert_eq!((look.holder, look.recovery.findings.as_slice()), (None, [].as_slice()));
    assert_eq!(look.recovery.others, ["notes.txt"]);
    assert_eq!((look.recovery.blocks, look.recovery.chunks, look.recovery.bytes), (2, 6, 600));
    assert_eq!(look.log.metadata().title, "two");
    assert_eq!(snapshot(dir.path()), before);
    let (_, log, _) = open(Some(dir.path()));
    assert_eq!(chunks(&look.log), chunks(&log));
}

/// What is done to a directory; the block that has the fault, the fault, what becomes of it, and chunks that are left.
type Case = (fn(&Path), u64, Fault, Outcome, u64);

#[track_caller]
fn check((harm, position, fault, outcome, chunks_left): Case) {
    let dir = tempfile::tempdir().unwrap();
    two_blocks(dir.path());
    harm(dir.path());
    let before = snapshot(dir.path());
    let look = Log::look(dir.path(), "test").unwrap();
    let [found] = look.recovery.findings.as_slice() else {
        panic!("{fault:?}: {:?}", look.recovery.findings)
    };
    assert_eq!((found.position.0, &found.fault, found.outcome), (position, &fault, outcome));
    assert_eq!(look.recovery.chunks, chunks_left, "{fault:?}");
    assert_eq!(snapshot(dir.path()), before, "{fault:?}");

    let (_, log, recovery) = open(Some(dir.path()));
    assert_eq!(recovery, look.recovery);
    assert_eq!(chunks(&log), chunks(&look.log), "{fault:?}");
    if outcome == Outcome::LeftAlone {
        assert_eq!(snapshot(dir.path()), before, "{fault:?}: nothing is destroyed");
    } else {
        assert_eq!(Log::look(dir.path(), "test").unwrap().recovery.findings, []);
    }
}

fn cut_to(audio_bytes: u64, index_bytes: u64) -> Outcome {
    Outcome::Cut { audio_bytes, index_bytes }
}

fn with_empty_index(dir: &Path) {
    cut(&path_of(dir, SECOND, "idx"), HEADER_BYTES);
}

fn with_empty_block(dir: &Path) {
    with_empty_index(dir);
    cut(&path_of(dir, SECOND, "aac"), 0);
}

fn with_index_of_another_stream(dir: &Path) {
    let other = rewind::Config { key: "else".into(), ..crate::common::config(Some(dir)) };
    Log::open(other, seconds(0)).unwrap().0.append(&chunk(0, 100));
    fs::copy(dir.join("else").join(format!("{FIRST:020}.idx")), path_of(dir, FIRST, "idx")).unwrap();
}

#[test]
fn a_block_is_cut_where_it_is_torn_or_damaged() {
    // Behind the first of three chunks: two records and the title's.
    let behind = 64 + TITLE_BYTES;
    let cases: [Case; 9] = [
        (
            |dir| append(&path_of(dir, SECOND, "aac"), b"torn"),
            SECOND,
            Fault::AudioBeyondIndex,
            cut_to(4, 0),
            6,
        ),
        (|dir| append(&path_of(dir, SECOND, "idx"), &[1; 31]), SECOND, Fault::TornRecord, cut_to(0, 31), 6),
        (|dir| append(&path_of(dir, SECOND, "idx"), &[2; 15]), SECOND, Fault::TornRecord, cut_to(0, 15), 6),
        (|dir| append(&path_of(dir, FIRST, "idx"), &[9; 40]), FIRST, Fault::DamagedRecord, cut_to(0, 40), 6),
        (
            |dir| flip(&path_of(dir, FIRST, "idx"), SECOND_RECORD + 9),
            FIRST,
            Fault::DamagedRecord,
            cut_to(200, behind),
            4,
        ),
        (|dir| cut(&path_of(dir, FIRST, "mp3"), 250), FIRST, Fault::ShortAudio, cut_to(50, behind - 32), 5),
        (|dir| flip(&path_of(dir, FIRST, "mp3"), 120), FIRST, Fault::DamagedAudio, cut_to(200, behind), 4),
        (with_empty_index, SECOND, Fault::AudioBeyondIndex, cut_to(300, 0), 3),
        (with_empty_block, SECOND, Fault::Empty, cut_to(0, 0), 3),
    ];
    cases.into_iter().for_each(check);
}

#[test]
fn a_block_that_cannot_be_read_is_dropped_and_one_of_others_left_alone() {
    let [dropped, left] = [Outcome::Dropped, Outcome::LeftAlone];
    let cases: [Case; 5] = [
        (|dir| fs::remove_file(path_of(dir, FIRST, "idx")).unwrap(), FIRST, Fault::NoIndex, dropped, 3),
        (|dir| fs::remove_file(path_of(dir, FIRST, "mp3")).unwrap(), FIRST, Fault::NoAudio, dropped, 3),
        (|dir| flip(&path_of(dir, FIRST, "idx"), 20), FIRST, Fault::DamagedHeader, dropped, 3),
        (|dir| flip(&path_of(dir, FIRST, "idx"), 4), FIRST, Fault::OtherVersion, left, 3),
        (with_index_of_another_stream, FIRST, Fault::OtherStream, left, 3),
    ];
    cases.into_iter().for_each(check);
}

#[test]
fn a_look_verifies_the_oldest_block_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, ..) = open(Some(dir.path()));
    for number in 0..6 {
        writer.append(&chunk(number, 100_000));
    }
    drop(writer);
    flip(&path_of(dir.path(), FIRST, "mp3"), 7);
    let look = Log::look(dir.path(), "test").unwrap();
    assert_eq!(look.recovery.findings[0].fault, Fault::DamagedAudio);
    assert_eq!(look.recovery.chunks, 4);
}

#[test]
fn beside_a_writer_its_unfinished_end_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    two_blocks(dir.path());
    let (writer, ..) = open(Some(dir.path()));
    append(&path_of(dir.path(), SECOND, "aac"), b"being written");
    append(&path_of(dir.path(), SECOND, "idx"), &[1; 8]);
    fs::write(path_of(dir.path(), SECOND + 999, "aac"), b"about to get an index").unwrap();
    let look = Log::look(dir.path(), "test").unwrap();
    assert_eq!(look.holder, Some(std::process::id()));
    assert_eq!((look.recovery.findings.as_slice(), look.recovery.chunks), ([].as_slice(), 6));
    // What is not at the end is damage all the same.
    append(&path_of(dir.path(), FIRST, "mp3"), b"left");
    let look = Log::look(dir.path(), "test").unwrap();
    assert_eq!(look.recovery.findings[0].fault, Fault::AudioBeyondIndex);
    drop(writer);
    let look = Log::look(dir.path(), "test").unwrap();
    assert_eq!((look.holder, look.recovery.findings.len()), (None, 3));
}

#[test]
fn a_look_takes_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    two_blocks(dir.path());
    let look = Log::look(dir.path(), "test").unwrap();
    let (mut writer, ..) = open(Some(dir.path()));
    writer.append(&chunk(6, 100));
    // What was found is not taken away by eviction.
    writer.clear();
    let found = chunks(&look.log);
    assert_eq!((found.len(), &found[5].data), (6, &chunk(5, 100).data));
}

#[test]
fn streams_are_found_by_their_directory_or_by_the_one_around() {
    let dir = tempfile::tempdir().unwrap();
    two_blocks(dir.path());
    fs::remove_file(dir.path().join("test/lock")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let found = [StreamDirectory { dir: dir.path().canonicalize().unwrap(), key: "test".into() }];
    assert_eq!(find_streams(dir.path()).unwrap(), found);
    assert_eq!(find_streams(&dir.path().join("test")).unwrap(), found);
    assert_eq!(find_streams(&dir.path().join("empty")).unwrap(), []);
    assert!(find_streams(&dir.path().join("file")).is_err());
    assert!(Log::look(dir.path(), "nowhere").is_err());
    assert!(!dir.path().join("nowhere").exists(), "a look makes no directory");
}
