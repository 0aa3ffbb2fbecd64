//! One writer and many readers at once: every byte exact, in order, and none before it is there.

use std::sync::atomic::{AtomicBool, Ordering};

use rewind::{Log, Position};

use crate::common::{chunk, content, open};

const CHUNKS: u64 = 2_000;
const CHUNK_BYTES: usize = 1_500;

/// Reads to the end, and checks each byte against what was written at its position.
fn follow(log: &Log, done: &AtomicBool, truth: &[u8]) {
    let mut cursor = log.cursor(Position::FRESH).cursor;
    loop {
        let finished = done.load(Ordering::Acquire);
        let edge = log.edge();
        while let Some(run) = cursor.next(log, edge.position) {
            let at = run.position.since(Position::FRESH) as usize;
            assert!(run.data == truth[at..at + run.data.len()], "wrong bytes at {at}");
        }
        assert_eq!(cursor.position(), edge.position, "up to the edge there are bytes");
        let horizon = log.position_at_or_before(edge.time);
        assert!(horizon >= edge.position, "the edge never goes back");
        if finished {
            return;
        }
    }
}

#[test]
fn readers_see_every_byte_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let truth: Vec<u8> = (0..CHUNKS).flat_map(|number| content(number, CHUNK_BYTES)).collect();
    for place in [None, Some(dir.path())] {
        let (mut writer, log, _) = open(place);
        writer.set_keep(std::time::Duration::from_secs(CHUNKS), u64::MAX);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| follow(&log, &done, &truth));
            }
            for number in 0..CHUNKS {
                writer.append(&chunk(number, CHUNK_BYTES));
            }
            done.store(true, Ordering::Release);
        });
        assert!(log.usage().blocks > 5, "the test crosses blocks");
        assert_eq!(log.edge().position.since(Position::FRESH) as usize, truth.len());
    }
}

#[test]
fn readers_who_are_overtaken_by_eviction_get_true_bytes_of_later_places() {
    let truth: Vec<u8> = (0..CHUNKS).flat_map(|number| content(number, CHUNK_BYTES)).collect();
    let (mut writer, log, _) = open(None);
    writer.set_keep(std::time::Duration::from_secs(1), u64::MAX);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut cursor = log.cursor(Position(0)).cursor;
                let mut last = Position(0);
                while !done.load(Ordering::Acquire) {
                    // A little at a time, so that the writer gets ahead.
                    let upto = cursor.position().plus(100);
                    if let Some(run) = cursor.next(&log, upto) {
                        let at = run.position.since(Position::FRESH) as usize;
                        assert!(run.data == truth[at..at + run.data.len()], "wrong bytes at {at}");
                        assert!(run.position >= last, "never back");
                        last = run.position;
                    }
                }
            });
        }
        for number in 0..CHUNKS {
            writer.append(&chunk(number, CHUNK_BYTES));
        }
        done.store(true, Ordering::Release);
    });
}
