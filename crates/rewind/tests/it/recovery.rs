//! Opening a directory again: whole, torn at every byte, damaged at every byte, and with files that do not belong.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use rewind::{ChunkRef, Clamp, Config, Log, OpenError, Position, Recovery, SegmentSeq};
use wire::icy::Metadata;

use crate::common::{
    AAC, MP3, START, chunk, chunks, config, expected, files, flip, open, read_from, seconds,
};

/// Bytes of an index header of the stream `test`, and of a chunk's record.
const HEADER_BYTES: usize = 64;
const RECORD_BYTES: usize = 32;

fn path_of(dir: &Path, extension: &str) -> PathBuf {
    dir.join("test").join(format!("{:020}.{extension}", Position::FRESH.0))
}

/// A log of one block with six small chunks and a title in between, closed.
fn small(dir: &Path) -> Vec<ChunkRef> {
    let (mut writer, log, _) = open(Some(dir));
    for number in 0..6 {
        if number == 3 {
            writer.set_metadata(Metadata { title: "a title".into(), url: "http://a/".into() }, seconds(3));
        }
        writer.append(&chunk(number, 20 + number as usize));
    }
    chunks(&log)
}

/// What a recovery says of its findings.
fn told(recovery: &Recovery) -> Vec<String> {
    recovery.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_log_goes_on_where_it_was_over_several_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = Vec::new();
    let mut position = Position::FRESH;
    for round in 0..4 {
        let (mut writer, log, recovery) = open(Some(dir.path()));
        assert_eq!((recovery.chunks, recovery.cut_bytes), (round * 10, 0));
        assert_eq!(recovery.findings, []);
        assert_eq!(chunks(&log), wanted);
        assert_eq!(log.edge().position, position);
        for number in round * 10..(round + 1) * 10 {
            let chunk = chunk(number, 60_000);
            writer.append(&chunk);
            wanted.push(expected(&chunk, position));
            position = position.plus(60_000);
        }
        assert_eq!(chunks(&log), wanted);
        let segments = log.segments().unwrap();
        assert_eq!(segments.first, SegmentSeq(START.0 as u64 / 10_000_000));
        assert_eq!((segments.count, segments.last_time), (round + 1, seconds(round as i64 * 10)));
    }
    let (writer, log, recovery) = open(Some(dir.path()));
    assert_eq!((recovery.chunks, recovery.bytes), (40, 40 * 60_000));
    assert_eq!(recovery.blocks, log.usage().blocks as u64);
    assert_eq!(writer.last_end(), Some(seconds(40)));
    assert_eq!(log.edge().time, seconds(40));
    assert_eq!(log.segments().unwrap().count, 4);
}

#[test]
fn block_files_hold_the_audio_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    writer.append(&chunk(0, 100));
    writer.append(&audio::Chunk { format: AAC, ..chunk(1, 50) });
    let first = Position::FRESH.0;
    let names = ["idx", "mp3"].map(|end| format!("{first:020}.{end}"));
    let more = ["aac", "idx"].map(|end| format!("{:020}.{end}", first + 100));
    assert_eq!(files(dir.path()), [names, more].concat());
    assert_eq!(fs::read(path_of(dir.path(), "mp3")).unwrap(), chunk(0, 100).data);
    drop((writer, log));
    assert_eq!(chunks(&open(Some(dir.path())).1).len(), 2);
}

#[test]
fn what_is_too_old_when_opened_is_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, ..) = open(Some(dir.path()));
    for number in 0..12 {
        writer.append(&chunk(number, 64 * 1024));
    }
    drop(writer);
    let keep = std::time::Duration::from_secs(3);
    let (_, log, recovery) = Log::open(Config { keep, ..config(Some(dir.path())) }, START).unwrap();
    assert_eq!((recovery.chunks, chunks(&log).len(), files(dir.path()).len()), (12, 4, 2));
}

/// Opens a log that was harmed and checks that it holds a run of the true chunks from the first on; gives how many.
fn check_prefix(dir: &Path, truth: &[ChunkRef], what: &str) -> usize {
    let (mut writer, log, _) = open(Some(dir));
    let found = chunks(&log);
    assert!(truth.starts_with(&found), "{what}: {found:?}");
    let bytes: Vec<u8> = found.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
    assert_eq!(read_from(&log, Position::FRESH), bytes, "{what}");
    if !found.is_empty() {
        assert_eq!(fs::read(path_of(dir, "mp3")).unwrap(), bytes, "{what}: the file is cut at a whole chunk");
    }
    // It goes on, and once more opened nothing is left to mend.
    let next = chunk(100, 10);
    let position = writer.append(&next).position;
    drop((writer, log));
    let (_, log, recovery) = open(Some(dir));
    assert_eq!(recovery.findings, [], "{what}");
    let mut wanted = found.clone();
    wanted.push(expected(&next, position));
    assert_eq!(chunks(&log), wanted, "{what}");
    found.len()
}

/// Runs `harm` on a fresh copy of a small log's file for each of its bytes.
fn at_every_byte(
    extension: &str,
    harm: impl Fn(&mut Vec<u8>, usize),
    check: impl Fn(&Path, &[ChunkRef], usize),
) {
    let dir = tempfile::tempdir().unwrap();
    let truth = small(dir.path());
    let names = files(dir.path());
    let intact = fs::read(path_of(dir.path(), extension)).unwrap();
    for at in 0..intact.len() {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("test")).unwrap();
        for name in &names {
            fs::copy(dir.path().join("test").join(name), copy.path().join("test").join(name)).unwrap();
        }
        let mut bytes = intact.clone();
        harm(&mut bytes, at);
        fs::write(path_of(copy.path(), extension), bytes).unwrap();
        check(copy.path(), &truth, at);
    }
}

#[test]
fn audio_torn_at_any_byte_keeps_the_chunks_before() {
    at_every_byte("mp3", Vec::truncate, |dir, truth, at| {
        let whole = truth.iter().filter(|chunk| chunk.end().since(Position::FRESH) <= at as u64).count();
        assert_eq!(check_prefix(dir, truth, &format!("audio cut at {at}")), whole);
    });
}

#[test]
fn an_index_torn_at_any_byte_keeps_the_chunks_before() {
    at_every_byte("idx", Vec::truncate, |dir, truth, at| {
        // Three chunks, the title, three chunks.
        let title_bytes = 16 + "a title".len() + "http://a/".len() + 4;
        let records = at.saturating_sub(HEADER_BYTES);
        let whole = match records / RECORD_BYTES {
            0..=2 => records / RECORD_BYTES,
            _ => 3 + records.saturating_sub(3 * RECORD_BYTES + title_bytes) / RECORD_BYTES,
        };
        assert_eq!(check_prefix(dir, truth, &format!("index cut at {at}")), whole);
    });
}

#[test]
fn a_flipped_bit_of_audio_ends_the_log_before_it() {
    at_every_byte(
        "mp3",
        |bytes, at| bytes[at] ^= 1 << (at % 8),
        |dir, truth, at| {
            let whole = truth.iter().filter(|chunk| chunk.end().since(Position::FRESH) <= at as u64).count();
            assert_eq!(check_prefix(dir, truth, &format!("audio flipped at {at}")), whole);
        },
    );
}

#[test]
fn a_flipped_bit_of_an_index_ends_the_log_before_it() {
    at_every_byte(
        "idx",
        |bytes, at| bytes[at] ^= 1 << (at % 8),
        |dir, truth, at| {
            if at == 4 {
                // Another version: not ours to touch.
                let before = files(dir);
                let (_, log, recovery) = open(Some(dir));
                assert_eq!((chunks(&log), recovery.findings.len(), files(dir)), (vec![], 1, before));
                assert!(log.edge().position > Position::FRESH, "its place is not used again");
            } else {
                let found = check_prefix(dir, truth, &format!("index flipped at {at}"));
                assert!(found < 6);
            }
        },
    );
}

#[test]
fn positions_and_numbers_that_were_heard_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    writer.append(&chunk(0, 100));
    writer.append(&chunk(10, 100));
    let (edge, segments) = (log.edge(), log.segments().unwrap());
    drop((writer, log));
    let audio = fs::OpenOptions::new().write(true).open(path_of(dir.path(), "mp3")).unwrap();
    audio.set_len(150).unwrap();

    let (mut writer, log, recovery) = open(Some(dir.path()));
    assert_eq!((recovery.chunks, recovery.cut_bytes), (1, 50));
    assert_eq!(writer.append(&chunk(20, 100)).position, edge.position);
    assert_eq!(log.segments().unwrap().last, SegmentSeq(segments.last.0 + 1));
    // Who stood in what is lost goes on behind it.
    let mut reader = log.cursor(Position::FRESH.plus(100)).cursor;
    assert_eq!(reader.position(), edge.position);
    assert_eq!(reader.next(&log, log.edge().position).unwrap().data, chunk(20, 100).data);
}

#[test]
fn the_newest_two_blocks_are_verified_and_a_hole_is_read_across() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    for number in 0..6 {
        writer.append(&chunk(number, 100_000));
    }
    assert_eq!(log.usage().blocks, 3);
    let (truth, edge) = (chunks(&log), log.edge());
    drop((writer, log));
    flip(dir.path(), truth[2].position, "mp3", 150_000);

    let (_, log, recovery) = open(Some(dir.path()));
    assert_eq!((recovery.chunks, recovery.cut_bytes), (5, 100_000));
    let kept = [&truth[..3], &truth[4..]].concat();
    assert_eq!(chunks(&log), kept);
    assert_eq!(log.edge(), edge);
    let all: Vec<u8> = kept.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
    assert_eq!(read_from(&log, Position::FRESH), all);
    let in_hole = log.cursor(truth[3].position.plus(7));
    assert_eq!((in_hole.position, in_hole.clamped), (truth[4].position, Some(Clamp::Oldest)));
    assert_eq!(log.find(seconds(3)), truth[4].position);
    assert_eq!(log.time_of(truth[3].position), None);
    assert_eq!(log.position_at_or_before(seconds(4)), truth[2].end());
}

#[test]
fn an_index_of_monstrous_length_is_not_read() {
    const BYTES_MAX: u64 = 128 * 1024 * 1024;
    for (bytes, left) in [(BYTES_MAX, 0), (BYTES_MAX + 1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(Some(dir.path())));
        fs::File::create(path_of(dir.path(), "idx")).unwrap().set_len(bytes).unwrap();
        let (_, _, recovery) = open(Some(dir.path()));
        assert_eq!(files(dir.path()).len(), left, "{:?}", recovery.findings);
    }
}

#[test]
fn files_without_their_other_half_are_dropped_and_others_left() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let stream = dir.path().join("test");
    let name = |position: u64, end: &str| stream.join(format!("{position:020}.{end}"));
    fs::write(name(5, "mp3"), b"audio without an index").unwrap();
    fs::write(name(6, "idx"), fs::read(path_of(dir.path(), "idx")).unwrap()).unwrap();
    fs::write(name(7, "idx"), b"").unwrap();
    fs::write(name(8, "txt"), b"not ours").unwrap();
    fs::write(name((1 << 62) + 1, "mp3"), b"not ours").unwrap();
    fs::write(stream.join("notes.mp3"), b"not ours").unwrap();
    fs::write(stream.join("5.mp3"), b"not ours").unwrap();
    let (_, log, recovery) = open(Some(dir.path()));
    assert_eq!(chunks(&log).len(), 6);
    assert_eq!(
        told(&recovery),
        [
            "00000000000000000005: dropped: audio without an index",
            "00000000000000000006: dropped: damaged index header",
            "00000000000000000007: dropped: damaged index header",
        ]
    );
    assert_eq!(recovery.cut_bytes, 22);
    let first = format!("{:020}", Position::FRESH.0);
    let far = "04611686018427387905.mp3".to_owned();
    let left = ["00000000000000000008.txt".into(), format!("{first}.idx"), format!("{first}.mp3"), far];
    assert_eq!(files(dir.path()), [&left[..], &["5.mp3".into(), "notes.mp3".into()]].concat());
    assert_eq!(log.edge().position, log.span().unwrap().end_position);
}

#[test]
fn a_new_log_never_starts_where_dropped_audio_was() {
    let first = Position::FRESH.0;
    // Up to 2^62 a name is a position.
    for (position, edge) in [(first, first + 9), (1 << 62, (1 << 62) + 9), ((1 << 62) + 1, first)] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(Some(dir.path())));
        fs::write(dir.path().join("test").join(format!("{position:020}.mp3")), b"leftovers").unwrap();
        assert_eq!(open(Some(dir.path())).1.edge().position, Position(edge));
    }
}

#[test]
fn an_index_without_audio_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    fs::remove_file(path_of(dir.path(), "mp3")).unwrap();
    let (_, log, recovery) = open(Some(dir.path()));
    assert_eq!((chunks(&log), files(dir.path())), (vec![], vec![]));
    assert_eq!(told(&recovery), [format!("{:020}: dropped: index without audio", Position::FRESH.0)]);
}

#[test]
fn a_block_of_another_stream_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    fs::rename(dir.path().join("test"), dir.path().join("other")).unwrap();
    let other = Config { key: "other".into(), ..config(Some(dir.path())) };
    let (mut writer, log, recovery) = Log::open(other, START).unwrap();
    assert_eq!((chunks(&log), recovery.findings.len()), (vec![], 1));
    writer.append(&chunk(0, 10));
    assert_eq!(writer.health().problem(), None, "its place is not used");
    assert_eq!(fs::read_dir(dir.path().join("other")).unwrap().count(), 5);
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, log, _) = open(Some(dir.path()));
    let refused = Log::open(config(Some(dir.path())), START);
    assert!(matches!(refused, Err(OpenError::Locked { path }) if path == dir.path().join("test")));
    drop(writer);
    open(Some(dir.path()));
    drop(log);
}

#[test]
fn a_key_that_is_no_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = "k".repeat(65);
    for key in ["", ".", "..", ".hidden", "a/b", "a b", "ä", "a\0", &long] {
        let refused = Log::open(Config { key: key.into(), ..config(Some(dir.path())) }, START);
        assert!(matches!(refused, Err(OpenError::Key { .. })), "{key:?}");
    }
    Log::open(Config { key: "k".repeat(64), ..config(Some(dir.path())) }, START).unwrap();
}

#[test]
fn a_directory_that_cannot_be_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let refused = Log::open(config(Some(&file)), START);
    assert!(matches!(refused, Err(OpenError::Io { path, .. }) if path == file.join("test")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any bytes in place of any part of both files: never a panic, never audio that was not written.
    #[test]
    fn garbage_never_becomes_audio(
        in_index in any::<bool>(),
        at in 0.0..1.0,
        garbage in proptest::collection::vec(any::<u8>(), 1..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let truth = small(dir.path());
        let path = path_of(dir.path(), if in_index { "idx" } else { "mp3" });
        let mut bytes = fs::read(&path).unwrap();
        let at = (bytes.len() as f64 * at) as usize;
        let end = (at + garbage.len()).min(bytes.len());
        bytes.splice(at..end, garbage);
        fs::write(&path, bytes).unwrap();
        let (_, log, _) = open(Some(dir.path()));
        prop_assert!(truth.starts_with(&chunks(&log)));
    }
}

/// A log of two blocks, whose chunks each begin a segment, closed: where the second starts, the edge and the newest number.
fn two_blocks(dir: &Path) -> (Position, Position, SegmentSeq) {
    let (mut writer, log, _) = open(Some(dir));
    for number in 0..16 {
        let format = if number < 8 { AAC } else { MP3 };
        writer.append(&audio::Chunk { format, starts_segment: true, ..chunk(number, 100) });
    }
    (chunks(&log)[8].position, log.edge().position, log.segments().unwrap().last)
}

/// Opens a harmed log of two blocks several times before it goes on: neither positions nor numbers are given again.
fn check_goes_on(dir: &Path, edge: Position, newest: SegmentSeq, what: &str) {
    for time in 0..3 {
        let (_, log, recovery) = open(Some(dir));
        assert_eq!(recovery.findings.is_empty(), time > 0, "{what}: {:?}", recovery.findings);
        assert!(log.edge().position >= edge, "{what}, opened {time} times before");
    }
    let (mut writer, log, _) = open(Some(dir));
    let position =
        writer.append(&audio::Chunk { starts_segment: true, discontinuity: true, ..chunk(60, 100) }).position;
    let next = log.segments().unwrap().last;
    assert!(position >= edge && next > newest && next.0 < newest.0 + 20, "{what}: {next} after {newest}");
}

#[test]
fn numbers_that_a_damaged_index_told_of_are_not_used_again() {
    // The second index is damaged in its header and in every record.
    let places = std::iter::once(20).chain((0..8).map(|nth| HEADER_BYTES + nth * RECORD_BYTES + 9));
    for at in places {
        let dir = tempfile::tempdir().unwrap();
        let (block, edge, newest) = two_blocks(dir.path());
        flip(dir.path(), block, "idx", at);
        check_goes_on(dir.path(), edge, newest, &format!("damaged at {at}"));
    }
}

#[test]
fn numbers_of_audio_that_is_lost_are_not_used_again() {
    for at in (0..800).step_by(100) {
        let dir = tempfile::tempdir().unwrap();
        let (block, edge, newest) = two_blocks(dir.path());
        flip(dir.path(), block, "mp3", at);
        check_goes_on(dir.path(), edge, newest, &format!("audio damaged at {at}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let (block, edge, newest) = two_blocks(dir.path());
    fs::remove_file(dir.path().join("test").join(format!("{:020}.mp3", block.0))).unwrap();
    check_goes_on(dir.path(), edge, newest, "audio gone");
}

#[test]
fn numbers_of_a_log_that_lost_all_are_not_used_again() {
    for (extension, at) in [("mp3", 0), ("idx", HEADER_BYTES + 9)] {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, log, _) = open(Some(dir.path()));
        // Far more segments than the clock has counted by then.
        for number in 0..50 {
            writer.append(&audio::Chunk { starts_segment: true, ..chunk(number, 100) });
        }
        let (edge, newest) = (log.edge().position, log.segments().unwrap().last);
        drop((writer, log));
        flip(dir.path(), Position::FRESH, extension, at);
        check_goes_on(dir.path(), edge, newest, extension);
        assert_eq!(chunks(&open(Some(dir.path())).1).len(), 1);
    }
}

#[test]
fn a_damaged_edge_file_is_no_obstacle() {
    for text in
        ["", "{", "{\"position\":-1,\"last\":null}", "{\"position\":18446744073709551615,\"last\":null}"]
    {
        let dir = tempfile::tempdir().unwrap();
        let truth = small(dir.path());
        fs::write(dir.path().join("test/edge.json"), text).unwrap();
        let (mut writer, log, recovery) = open(Some(dir.path()));
        assert_eq!((recovery.findings, recovery.others), (vec![], Vec::<String>::new()));
        let position = writer.append(&chunk(100, 10)).position;
        assert_eq!(position, truth[5].end(), "{text}");
        assert_eq!(chunks(&log).len(), 7);
    }
}
