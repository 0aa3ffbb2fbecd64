//! What readers see: chunks, positions of times, cursors, segments.

use audio::Time;
use rewind::{Clamp, Located, Position, SegmentSeq};

use crate::common::read_from;
use crate::common::{AAC, BLOCK_BYTES, MP3, START, chunk, chunks, end_of, expected, framed, open, seconds};

#[test]
fn an_empty_log_has_an_edge_and_nothing_else() {
    let (writer, log, recovery) = open(None);
    assert_eq!(recovery, Default::default());
    assert_eq!((log.edge().position, log.edge().time), (Position::FRESH, START));
    assert_eq!((log.span(), log.format(), log.segments(), writer.last_end()), (None, None, None, None));
    assert_eq!(log.find(START), Position::FRESH);
    assert_eq!(log.position_at_or_before(START), Position::FRESH);
    assert_eq!(log.position_of_time(START), Located { position: Position::FRESH, time: START });
    assert_eq!(log.time_of(Position(7)), None);
    let mut placed = log.cursor(Position(7));
    assert_eq!((placed.position, placed.clamped), (Position::FRESH, Some(Clamp::Oldest)));
    assert_eq!(placed.cursor.next(&log, Position(u64::MAX)), None);
}

#[test]
fn chunks_come_back_as_they_were_appended() {
    let dir = tempfile::tempdir().unwrap();
    for place in [None, Some(dir.path())] {
        let (mut writer, log, _) = open(place);
        let mut wanted = Vec::new();
        let mut position = Position::FRESH;
        for number in 0..20 {
            let chunk = chunk(number, 1 + 40_000 * number as usize % 100_000);
            assert_eq!(writer.append(&chunk).position, position);
            wanted.push(expected(&chunk, position));
            position = position.plus(chunk.data.len() as u64);
        }
        assert_eq!(chunks(&log), wanted);
        assert!(log.usage().blocks > 2, "the test crosses blocks");
        let all: Vec<u8> = wanted.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
        assert_eq!(read_from(&log, Position::FRESH), all);
        let span = log.span().unwrap();
        assert_eq!((span.start, span.end, span.duration_us), (START, seconds(20), 20_000_000));
        assert_eq!(
            (span.first, span.end_position, span.bytes),
            (Position::FRESH, position, all.len() as u64)
        );
        assert_eq!((log.edge().position, log.edge().time), (position, seconds(20)));
        assert_eq!(writer.last_end(), Some(seconds(20)));
    }
}

#[test]
fn an_empty_chunk_changes_nothing() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(0, 0));
    assert_eq!((log.span(), log.edge().position), (None, Position::FRESH));
}

#[test]
fn a_chunk_may_be_larger_than_a_block() {
    let (mut writer, log, _) = open(None);
    let big = chunk(0, BLOCK_BYTES + 1);
    writer.append(&big);
    writer.append(&chunk(1, 10));
    assert_eq!(chunks(&log)[0].data, big.data);
    assert_eq!(log.usage().blocks, 2);
}

#[test]
fn a_block_takes_chunks_to_its_last_byte() {
    for (last, blocks) in [(BLOCK_BYTES - 1_000, 1), (BLOCK_BYTES - 999, 2)] {
        let (mut writer, log, _) = open(None);
        writer.append(&chunk(0, 1_000));
        writer.append(&chunk(1, last));
        assert_eq!(log.usage().blocks, blocks, "second chunk of {last} bytes");
    }
}

#[test]
fn every_format_gets_blocks_of_its_own() {
    let (mut writer, log, _) = open(None);
    let formats = [MP3, AAC, AAC, MP3];
    for (number, format) in formats.into_iter().enumerate() {
        writer.append(&audio::Chunk { format, ..chunk(number as u64, 10) });
    }
    assert_eq!(log.usage().blocks, 3);
    assert_eq!(chunks(&log).iter().map(|chunk| chunk.format).collect::<Vec<_>>(), formats);
    assert_eq!(log.format(), Some(MP3));
}

#[test]
fn a_chunk_that_would_overlap_is_dated_to_the_end_of_the_one_before() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(5, 10));
    writer.append(&chunk(3, 10));
    assert_eq!(chunks(&log)[1].time, seconds(6));
    assert_eq!(log.edge().time, seconds(7));
}

/// Ten seconds, a gap of a minute, ten seconds; in chunks of a second with 100 bytes each.
fn with_gap() -> (rewind::Writer, std::sync::Arc<rewind::Log>) {
    let (mut writer, log, _) = open(None);
    (0..10).chain(70..80).for_each(|number| {
        writer.append(&chunk(number, 100));
    });
    (writer, log)
}

#[test]
fn a_time_is_found_in_its_chunk_or_after_the_gap() {
    let (_writer, log) = with_gap();
    let cases = [
        (Time(i64::MIN), 0),
        (START, 0),
        (seconds(1).plus_micros(-1), 0),
        (seconds(1), 1),
        (seconds(10).plus_micros(-1), 9),
        (seconds(10), 10),
        (seconds(40), 10),
        (seconds(71), 11),
        (seconds(80).plus_micros(-1), 19),
        (seconds(80), 20),
        (Time(i64::MAX), 20),
    ];
    for (time, chunks_before) in cases {
        assert_eq!(log.find(time), Position::FRESH.plus(100 * chunks_before), "{time:?}");
    }
}

#[test]
fn the_horizon_is_the_end_of_the_last_chunk_that_is_over() {
    let (_writer, log) = with_gap();
    let cases = [
        (Time(i64::MIN), 0),
        (seconds(1).plus_micros(-1), 0),
        (seconds(1), 1),
        (seconds(10), 10),
        (seconds(40), 10),
        (seconds(71).plus_micros(-1), 10),
        (seconds(71), 11),
        (seconds(80).plus_micros(-1), 19),
        (seconds(80), 20),
        (Time(i64::MAX), 20),
    ];
    for (time, chunks_before) in cases {
        assert_eq!(log.position_at_or_before(time), Position::FRESH.plus(100 * chunks_before), "{time:?}");
    }
}

#[test]
fn frames_are_found_by_time_and_told_their_time() {
    let (mut writer, log, _) = open(None);
    let first = framed(0, 19, START);
    let second = framed(1, 19, end_of(&first));
    writer.append(&first);
    writer.append(&second);
    let mut position = Position::FRESH;
    for chunk in [&first, &second] {
        for (nth, frame) in audio::frames_in(&MP3, &chunk.data).enumerate() {
            let time = chunk.time.plus_micros(i64::from(chunk.span_us) * nth as i64 / 19);
            let located = Located { position, time };
            assert_eq!(log.position_of_time(time), located);
            let before = log.position_of_time(time.plus_micros(-1));
            assert_eq!(before, located, "nothing starts in the microsecond before");
            assert_eq!(log.time_of(position), Some(time));
            assert_eq!(
                log.time_of(position.plus(u64::from(frame.len) - 1)),
                Some(time),
                "last byte of the frame"
            );
            position = position.plus(u64::from(frame.len));
        }
    }
    let edge = log.edge();
    assert_eq!(position, edge.position);
    let last_frame_began = edge.time.plus_micros(-26_000);
    assert_eq!(log.position_of_time(last_frame_began), Located { position, time: edge.time });
    assert_eq!(log.time_of(position), Some(edge.time));
    assert_eq!(log.time_of(position.plus(1)), None);
    assert_eq!(log.time_of(Position(0)), None);
}

#[test]
fn a_cursor_gives_bytes_up_to_where_it_may() {
    let (mut writer, log, _) = open(None);
    let all = chunk(0, 1_000);
    writer.append(&all);
    let mut cursor = log.cursor(Position::FRESH.plus(10)).cursor;
    assert_eq!(cursor.next(&log, Position::FRESH.plus(10)), None);
    let run = cursor.next(&log, Position::FRESH.plus(500)).unwrap();
    assert_eq!((run.position, run.data), (Position::FRESH.plus(10), all.data.slice(10..500)));
    let run = cursor.next(&log, Position(u64::MAX)).unwrap();
    assert_eq!((run.position, run.data), (Position::FRESH.plus(500), all.data.slice(500..)));
    assert_eq!(cursor.next(&log, Position(u64::MAX)), None);
    writer.append(&chunk(1, 5));
    assert_eq!(cursor.next(&log, log.edge().position).unwrap().data, chunk(1, 5).data);
}

#[test]
fn a_copy_reads_ahead_and_the_cursor_follows() {
    let (mut writer, log, _) = open(None);
    for number in 0..8 {
        writer.append(&chunk(number, 100_000));
    }
    let mut cursor = log.cursor(Position::FRESH).cursor;
    cursor.advance(650_000);
    assert_eq!(cursor.position(), Position::FRESH.plus(650_000));
    let run = cursor.next(&log, Position(u64::MAX)).unwrap();
    assert_eq!(run.position, Position::FRESH.plus(650_000));
    assert_eq!(run.data, [chunk(6, 100_000).data.slice(50_000..), chunk(7, 100_000).data].concat());
}

#[test]
fn positions_outside_are_clamped_to_the_ends() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(0, 100));
    let edge = log.edge().position;
    let cases = [
        (Position(0), Position::FRESH, Some(Clamp::Oldest)),
        (Position::FRESH, Position::FRESH, None),
        (edge, edge, None),
        (edge.plus(1), edge, Some(Clamp::Edge)),
    ];
    for (asked, position, clamped) in cases {
        let placed = log.cursor(asked);
        assert_eq!((placed.position, placed.clamped), (position, clamped), "{asked}");
        assert_eq!(placed.cursor.position(), position);
    }
}

#[test]
fn a_cursor_is_small() {
    assert!(size_of::<rewind::Cursor>() <= 64);
}

#[test]
fn segments_count_from_the_clock_and_then_one_by_one() {
    let (mut writer, log, _) = open(None);
    for number in 3..35 {
        let mut chunk = chunk(number, 100);
        // A source that reconnects starts a segment in between.
        chunk.starts_segment |= number == 25;
        chunk.discontinuity |= number == 25;
        writer.append(&chunk);
    }
    let segments = log.segments().unwrap();
    let fresh = START.0 as u64 / 10_000_000;
    assert_eq!((segments.first, segments.first_time), (SegmentSeq(fresh + 1), seconds(10)));
    assert_eq!((segments.last, segments.last_time), (SegmentSeq(fresh + 4), seconds(30)));
    assert_eq!(segments.count, 4);
}

#[test]
fn clearing_leaves_positions_numbers_and_readers() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(0, 100));
    let mut reader = log.cursor(Position::FRESH).cursor;
    assert_eq!(reader.next(&log, Position::FRESH.plus(40)).unwrap().data.len(), 40);
    writer.clear();
    assert_eq!((log.span(), log.segments()), (None, None));
    assert_eq!(writer.last_end(), Some(seconds(1)));
    writer.append(&chunk(10, 100));
    assert_eq!(log.segments().unwrap().first, SegmentSeq(START.0 as u64 / 10_000_000 + 1));
    let rest = reader.next(&log, log.edge().position).unwrap();
    assert_eq!((rest.position, rest.data), (Position::FRESH.plus(40), chunk(0, 100).data.slice(40..)));
    let next = reader.next(&log, log.edge().position).unwrap();
    assert_eq!((next.position, next.data), (Position::FRESH.plus(100), chunk(10, 100).data));
}
