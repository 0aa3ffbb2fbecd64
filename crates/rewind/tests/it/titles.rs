//! Metadata along the positions: where it changes, what stays after eviction and after a restart.

use std::{sync::Arc, time::Duration};

use rewind::{Log, Position};
use wire::icy::{Metadata, encode_block};

use crate::common::{START, chunk, open, seconds};

fn title(title: &str) -> Metadata {
    Metadata { title: title.into(), url: String::new() }
}

fn title_at(log: &Log, position: Position) -> String {
    log.metadata_at(position).metadata.title.clone()
}

#[test]
fn a_title_is_in_force_from_the_next_chunk_on() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(0, 100));
    writer.set_metadata(title("first"), seconds(1));
    writer.append(&chunk(1, 100));
    writer.append(&chunk(2, 100));
    writer.set_metadata(title("second"), seconds(3));
    let change = Position::FRESH.plus(100);
    for (position, wanted) in [(0, ""), (99, ""), (100, "first"), (299, "first"), (300, "second")] {
        assert_eq!(title_at(&log, Position::FRESH.plus(position)), wanted, "at {position}");
    }
    assert_eq!(log.metadata(), title("second"));
    let (position, entry) = log.metadata_after(Position::FRESH).unwrap();
    assert_eq!((position, &entry.metadata, entry.time), (change, &title("first"), seconds(1)));
    assert_eq!(entry.block, encode_block(&title("first")));
    assert!(Arc::ptr_eq(&entry, &log.metadata_at(change)), "all listeners share one block");
    assert_eq!(log.metadata_after(change).unwrap().0, Position::FRESH.plus(300));
    assert_eq!(log.metadata_after(Position::FRESH.plus(300)), None);
}

#[test]
fn changes_between_two_places_are_the_latest_of_those_within() {
    let (mut writer, log, _) = open(None);
    for number in 0..5 {
        writer.append(&chunk(number, 100));
        writer.set_metadata(title(&number.to_string()), seconds(number as i64 + 1));
    }
    let at = |bytes| Position::FRESH.plus(bytes);
    for (start, end, max, expected) in [
        (0, 501, 9, &[100_u64, 200, 300, 400, 500][..]),
        (0, 500, 9, &[100, 200, 300, 400]),
        (100, 300, 9, &[200]),
        (99, 301, 2, &[200, 300]),
        (0, 501, 0, &[]),
        (300, 100, 9, &[]),
        (500, 900, 9, &[]),
    ] {
        let found = log.metadata_between(at(start), at(end), max);
        let places: Vec<u64> = found.iter().map(|(position, _)| position.since(at(0))).collect();
        assert_eq!(places, expected, "{start} to {end}, {max} at most");
        assert!(found.iter().all(|(position, entry)| Arc::ptr_eq(entry, &log.metadata_at(*position))));
    }
}

#[test]
fn saying_the_same_again_is_no_change() {
    let (mut writer, log, _) = open(None);
    writer.set_metadata(title("same"), seconds(0));
    writer.append(&chunk(0, 100));
    writer.set_metadata(title("same"), seconds(1));
    assert_eq!(log.metadata_after(Position::FRESH), None);
    assert_eq!(log.metadata_at(Position::FRESH).time, seconds(0));
}

#[test]
fn of_two_titles_at_one_place_the_last_counts() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(0, 100));
    writer.set_metadata(title("wrong"), seconds(1));
    writer.set_metadata(title("right"), seconds(1));
    assert_eq!(title_at(&log, log.edge().position), "right");
    writer.set_metadata(title(""), seconds(1));
    assert_eq!(log.metadata_after(Position::FRESH), None, "back to what it was: no change");
}

#[test]
fn the_title_of_the_oldest_audio_survives_eviction_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    writer.set_metadata(title("old"), START);
    writer.append(&chunk(0, 150_000));
    writer.set_metadata(title("long"), seconds(1));
    for number in 1..8 {
        writer.append(&chunk(number, 150_000));
    }
    writer.set_metadata(title("läst"), seconds(8));
    writer.set_keep(Duration::from_secs(3), u64::MAX);
    let check = |log: &Log| {
        let first = log.span().unwrap().first;
        assert_eq!(first, Position::FRESH.plus(4 * 150_000));
        assert_eq!((title_at(log, first), log.metadata_at(first).time), ("long".into(), seconds(1)));
        let (position, last) = log.metadata_after(first).unwrap();
        assert_eq!((position, &last.metadata, last.time), (log.edge().position, &title("läst"), seconds(8)));
        assert_eq!(log.metadata(), title("läst"));
    };
    check(&log);
    drop(writer);
    check(&open(Some(dir.path())).1);
}

#[test]
fn the_last_titles_are_told_newest_first() {
    let (mut writer, log, _) = open(None);
    for (number, name) in ["first", "second", "third"].into_iter().enumerate() {
        writer.set_metadata(title(name), seconds(number as i64));
        writer.append(&chunk(number as u64, 100));
    }
    let told = |max| -> Vec<String> {
        log.metadata_history(max).iter().map(|entry| entry.metadata.title.clone()).collect()
    };
    assert_eq!(told(2), ["third", "second"]);
    assert_eq!(told(100), ["third", "second", "first", ""]);
    assert_eq!(log.metadata_history(1)[0].time, seconds(2));
}
