//! A directory that cannot be written to: the audio goes on in memory, and back to the directory when that is well again.

use std::{env, fs, path::Path, process::Command};

use rewind::{Health, Log, Writer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{AAC, MP3, chunk, chunks, files, open, seconds};

const DIR_VARIABLE: &str = "REWIND_LIMITED_DIR";

/// Appends a chunk in the other format than the one before: it needs a new block.
fn append_in_new_block(writer: &mut Writer, number: u64) {
    let format = if number.is_multiple_of(2) { MP3 } else { AAC };
    writer.append(&audio::Chunk { format, ..chunk(number, 1_000) });
}

fn check_all(log: &Log, count: u64) {
    let found = chunks(log);
    assert_eq!(found.len() as u64, count);
    for (number, found) in found.iter().enumerate() {
        assert_eq!(found.data, chunk(number as u64, 1_000).data, "chunk {number}");
    }
}

#[test]
fn without_its_directory_a_log_goes_on_in_memory_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    append_in_new_block(&mut writer, 0);
    assert_eq!(writer.health(), &Health::Good);
    fs::remove_dir_all(dir.path().join("test")).unwrap();
    append_in_new_block(&mut writer, 1);
    append_in_new_block(&mut writer, 2);
    let Health::Degraded { since, .. } = writer.health() else { panic!("{:?}", writer.health()) };
    assert_eq!(*since, seconds(1), "since the first that failed");
    assert!(writer.health().problem().unwrap().contains("No such file"), "{:?}", writer.health());
    check_all(&log, 3);

    fs::create_dir(dir.path().join("test")).unwrap();
    append_in_new_block(&mut writer, 3);
    assert_eq!(writer.health(), &Health::Good);
    assert_eq!(files(dir.path()).len(), 2);
    check_all(&log, 4);
}

#[test]
fn a_place_that_is_taken_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    let taken = dir.path().join("test").join(format!("{:020}.mp3", log.edge().position.0));
    fs::write(&taken, b"somebody else's").unwrap();
    append_in_new_block(&mut writer, 0);
    assert!(writer.health().problem().is_some());
    check_all(&log, 1);
    writer.clear();
    assert_eq!(fs::read(&taken).unwrap(), b"somebody else's");
}

fn limit_files_to(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
}

#[test]
#[ignore = "the child of the test below: its files may not grow"]
fn child_with_limited_files() {
    let dir = env::var_os(DIR_VARIABLE).expect("started by its parent");
    let (mut writer, log, _) = open(Some(Path::new(&dir)));
    let append = |writer: &mut Writer, number| {
        writer.append(&chunk(number, 1_000));
        check_all(&log, number + 1);
    };
    (0..3).for_each(|number| append(&mut writer, number));
    limit_files_to(Some(4_500));
    append(&mut writer, 3);
    assert_eq!(writer.health(), &Health::Good);
    // The fifth chunk is torn after 500 bytes and goes into memory, with the next ones.
    append(&mut writer, 4);
    assert!(matches!(writer.health(), Health::Degraded { since, .. } if *since == seconds(4)));
    let first = Path::new(&dir).join("test").join(&files(Path::new(&dir))[1]);
    assert_eq!(fs::metadata(&first).unwrap().len(), 4_000, "the torn part is cut off");
    (5..8).for_each(|number| append(&mut writer, number));
    assert_eq!(log.usage().blocks, 2);

    // Not even memory files: each chunk is its own block.
    limit_files_to(Some(0));
    (8..12).for_each(|number| append(&mut writer, number));
    assert_eq!(log.usage().blocks, 6);
    assert!(writer.health().problem().is_some());

    limit_files_to(None);
    append(&mut writer, 12);
    assert_eq!(writer.health(), &Health::Good);
    assert_eq!(files(Path::new(&dir)).len(), 4);
}

#[test]
fn full_files_never_lose_a_chunk() {
    let dir = tempfile::tempdir().unwrap();
    // The signal of the limit is ignored before the child starts, as there is no safe way for it to do so itself.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(env::current_exe().unwrap())
        .args(["degraded::child_with_limited_files", "--exact", "--ignored"])
        .env(DIR_VARIABLE, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    // What had to stay in memory is gone with the process; what is in the files is true.
    let (_, log, recovery) = open(Some(dir.path()));
    let numbers: Vec<i64> =
        chunks(&log).iter().map(|chunk| chunk.time.micros_since(seconds(0)) / 1_000_000).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 12]);
    assert_eq!(recovery.findings, []);
    for (found, number) in chunks(&log).iter().zip(numbers) {
        assert_eq!(found.data, chunk(number as u64, 1_000).data);
    }
}
