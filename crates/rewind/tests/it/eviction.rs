//! What is dropped when, and who goes on reading it.

use std::time::Duration;

use rewind::{Config, Log, Position};

use crate::common::{AAC, MP3, START, chunk, config, files, open, seconds};

/// Four of them fill a block.
const QUARTER_BYTES: usize = 64 * 1024;

#[test]
fn whole_blocks_go_when_their_end_is_older_than_is_kept() {
    // The block of the seconds 0 to 4 ends 8 s before the edge at 12, and more than that at 13.
    for (chunks, first) in [(12, 0), (13, 4)] {
        let keep = Duration::from_secs(8);
        let (mut writer, log, _) = Log::open(Config { keep, ..config(None) }, START).unwrap();
        (0..chunks).for_each(|number| {
            writer.append(&chunk(number, QUARTER_BYTES));
        });
        let span = log.span().unwrap();
        assert_eq!((span.start, span.end), (seconds(first), seconds(chunks as i64)));
        assert_eq!(span.bytes, (chunks - first as u64) * QUARTER_BYTES as u64);
        assert_eq!(span.duration_us, (chunks - first as u64) * 1_000_000);
        assert_eq!(span.first, Position::FRESH.plus(first as u64 * QUARTER_BYTES as u64));
    }
}

#[test]
fn whole_blocks_go_when_there_are_too_many_bytes() {
    for (bytes_max, first) in [(12 * QUARTER_BYTES, 0), (12 * QUARTER_BYTES - 1, 4)] {
        let (mut writer, log, _) =
            Log::open(Config { bytes_max: bytes_max as u64, ..config(None) }, START).unwrap();
        (0..12).for_each(|number| {
            writer.append(&chunk(number, QUARTER_BYTES));
        });
        assert_eq!(log.span().unwrap().start, seconds(first), "at most {bytes_max} bytes");
    }
}

#[test]
fn the_newest_block_stays_whatever_is_kept() {
    let (mut writer, log, _) =
        Log::open(Config { keep: Duration::ZERO, bytes_max: 0, ..config(None) }, START).unwrap();
    writer.append(&chunk(0, 100));
    writer.append(&chunk(1, 100));
    assert_eq!(log.span().unwrap().bytes, 200);
}

#[test]
fn keeping_less_drops_at_once() {
    let (mut writer, log, _) = open(None);
    (0..12).for_each(|number| {
        writer.append(&chunk(number, QUARTER_BYTES));
    });
    writer.set_keep(Duration::from_secs(3), u64::MAX);
    assert_eq!(log.span().unwrap().start, seconds(8));
    writer.set_keep(Duration::from_secs(100), 0);
    assert_eq!(log.span().unwrap().start, seconds(8), "the newest block");
}

#[test]
fn a_format_that_never_rests_cannot_use_up_the_mappings() {
    let keep = Duration::from_secs(100_000);
    let (mut writer, log, _) = Log::open(Config { keep, ..config(None) }, START).unwrap();
    for number in 0..4_100 {
        let format = if number % 2 == 0 { MP3 } else { AAC };
        writer.append(&audio::Chunk { format, ..chunk(number, 1) });
    }
    assert_eq!(log.usage().blocks, 4_096);
    assert_eq!(log.span().unwrap().start, seconds(4));
}

#[test]
fn evicted_files_are_deleted_and_their_readers_read_on_and_then_jump() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    (0..12).for_each(|number| {
        writer.append(&chunk(number, QUARTER_BYTES));
    });
    assert_eq!(files(dir.path()).len(), 6);
    let mut reader = log.cursor(Position::FRESH).cursor;
    assert_eq!(reader.next(&log, Position::FRESH.plus(1)).unwrap().data, chunk(0, 1).data);

    writer.set_keep(Duration::from_secs(3), u64::MAX);
    assert_eq!(files(dir.path()), ["00000001099512152064.idx", "00000001099512152064.mp3"]);
    let rest = reader.next(&log, log.edge().position).unwrap();
    let block: Vec<u8> = (0..4).flat_map(|number| chunk(number, QUARTER_BYTES).data).collect();
    assert_eq!(rest.position, Position::FRESH.plus(1));
    assert_eq!(rest.data, block[1..], "the whole of the evicted block");
    let jumped = reader.next(&log, log.edge().position).unwrap();
    assert_eq!(jumped.position, Position::FRESH.plus(8 * QUARTER_BYTES as u64), "the oldest that is left");
    assert_eq!(jumped.data[..QUARTER_BYTES], chunk(8, QUARTER_BYTES).data);
}

#[test]
fn eight_hours_cost_less_than_two_percent_beyond_the_audio() {
    const CHUNKS: u64 = 8 * 3_600 * 2;
    const CHUNK_BYTES: usize = 4_000;
    const PAGE_BYTES: u64 = 4_096;
    let keep = Duration::from_secs(8 * 3_600);
    let (mut writer, log, _) = Log::open(Config { keep, ..config(None) }, START).unwrap();
    let template = chunk(0, CHUNK_BYTES);
    for number in 0..CHUNKS {
        let time = START.plus_micros(number as i64 * 500_000);
        writer.append(&audio::Chunk { time, span_us: 500_000, samples: 22_050, ..template.clone() });
    }
    let usage = log.usage();
    assert_eq!(usage.audio_bytes, CHUNKS * CHUNK_BYTES as u64, "nothing is evicted yet");
    assert!((100..=150).contains(&usage.blocks), "{} blocks", usage.blocks);
    let beyond = usage.index_bytes + usage.blocks as u64 * PAGE_BYTES;
    let percent = beyond as f64 * 100.0 / usage.audio_bytes as f64;
    assert!(percent <= 1.0, "{beyond} bytes beyond the audio, {percent:.2} %");
}
