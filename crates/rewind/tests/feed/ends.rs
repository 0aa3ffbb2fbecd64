//! Where feeds end, and the length that is told before.

use std::num::NonZeroU32;

use proptest::prelude::*;
use rewind::{Clamp, LATE_US, Pace, Request, Start, Turn};
use wire::icy::Metadata;

use super::station::*;

#[test]
fn the_end_is_before_the_first_frame_that_starts_then_or_later() {
    let station = Station::on_air(100);
    let (first, last) = (137, 1_000);
    let start = station.time_of(first);
    for (end_us, end) in [(0, last), (1, last + 1), (-1, last), (-26_000, last), (-26_123, last - 1)] {
        let request = pump(start, station.time_of(last).plus_micros(end_us));
        let mut listener = station.open(&request, station.edge());
        assert_eq!(listener.feed.content_length(), Some(station.frames.bytes(first..end).len() as u64));
        assert_eq!(listener.listen(station.edge()), Turn::End);
        station.assert_heard(&listener.received, first..end);
        assert_eq!(listener.listen(station.edge()), Turn::End);
    }
}

#[test]
fn an_unpaced_feed_ends_at_the_edge_as_it_was_when_it_was_opened() {
    let mut station = Station::on_air(50);
    let (edge, next) = (station.edge(), station.next);
    for end in [None, Some(after(edge, 60))] {
        let request = Request { end, pace: Pace::Unpaced, ..request(Start::At(START)) };
        let mut listener = station.open(&request, edge);
        station.append(10);
        assert!(listener.feed.is_unpaced());
        if end.is_none() {
            assert_eq!(listener.feed.content_length(), Some(station.frames.position(next)));
            assert_eq!(listener.listen(edge), Turn::End);
            station.assert_heard(&listener.received, 0..next);
        } else {
            assert_eq!(listener.listen(edge), Turn::End);
            station.assert_heard(&listener.received, 0..next + 10 * CHUNK_FRAMES);
        }
    }
}

#[test]
fn an_end_to_come_is_kept_to_the_frame() {
    for start in [Start::Live, Start::Behind(seconds(20))] {
        let mut station = Station::on_air(60);
        let opened = station.edge();
        let end = opened.plus_micros(7_654_321);
        let mut listener = station.open(&Request { end: Some(end), ..request(start) }, opened);
        let first = station.frame_at(listener.feed.first().unwrap());
        assert_eq!(listener.feed.content_length(), None);
        let mut now = opened;
        while listener.listen(now) != Turn::End {
            now = now.plus_micros(100_000);
            assert!(now < after(opened, 60));
            station.run_until(now);
        }
        let frames = first..station.frame_at(end);
        station.assert_heard(&listener.received, frames);
    }
}

#[test]
fn an_end_at_the_live_edge_is_known_and_one_behind_it_when_the_audio_has_come_so_far() {
    let mut station = Station::on_air(60);
    let edge = station.edge();
    let known = station.open(&Request { end: Some(edge), ..request(Start::Live) }, edge);
    assert!(known.feed.content_length().is_some());
    let next_edge = station.time_of(station.next + CHUNK_FRAMES);
    let mut later = station.open(&Request { end: Some(next_edge), ..request(Start::Live) }, edge);
    assert_eq!((later.feed.content_length(), later.listen(edge)), (None, Turn::Wait));
    station.append(1);
    assert_eq!(station.edge(), next_edge);
    let chunk_bytes = station.frames.bytes(station.next - CHUNK_FRAMES..station.next).len();
    station.append(1);
    assert_eq!(later.feed.due_bytes(station.edge()), chunk_bytes as u64);
    later.received();
    assert_eq!(later.listen(station.edge()), Turn::End);
    assert_eq!((later.received.len(), later.feed.due_bytes(station.edge())), (chunk_bytes, 0));
}

#[test]
fn an_end_whose_audio_never_comes_is_given_up_after_a_while() {
    let mut station = Station::on_air(60);
    let (edge, next) = (station.edge(), station.next);
    let end = after(edge, 5);
    let mut listener = station.open(&Request { end: Some(end), ..request(Start::Behind(seconds(40))) }, edge);
    let first = station.frame_at(listener.feed.first().unwrap());
    let late = end.plus_micros(LATE_US);
    assert_eq!(listener.listen(late.plus_micros(-1)), Turn::Wait);
    assert_eq!(listener.listen(late), Turn::Wait, "it is still behind");
    assert_eq!(listener.listen(after(late, 20)), Turn::End);
    station.assert_heard(&listener.received, first..next);
    station.pause(60 * SECOND_US);
    station.append(10);
    assert_eq!(listener.listen(after(station.edge(), 20)), Turn::End, "what comes later is not part of it");
}

#[test]
fn a_part_of_a_span_is_exactly_its_bytes() {
    let mut station = Station::keeping(320, seconds(1_000));
    station.append(400);
    let whole = station.frames.bytes(100..7_000);
    let length = whole.len() as u64;
    let span = pump(station.time_of(100), station.time_of(7_000));
    let block = 4 << 20;
    for part in
        [0..1, 0..length, 1..2, length - 1..length, 1_000..block + 5, block - 1..block + 1, 7..length - 9]
    {
        let mut listener = station.open(&span, station.edge());
        assert!(listener.feed.narrow(part.clone()), "{part:?}");
        assert_eq!(listener.feed.content_length(), Some(part.end - part.start));
        assert_eq!(listener.listen(station.edge()), Turn::End);
        assert!(listener.received == whole[part.start as usize..part.end as usize], "{part:?}");
        assert_eq!(listener.feed.jumps(), 0);
    }
    for part in [0..length + 1, length..length, 5..5] {
        let mut listener = station.open(&span, station.edge());
        assert!(!listener.feed.narrow(part.clone()), "{part:?}");
        assert_eq!(listener.feed.content_length(), Some(length));
    }
    let mut live = station.open(&request(Start::Live), station.edge());
    assert!(!live.feed.narrow(0..1));
    let mut framed = station.open(&Request { metaint: NonZeroU32::new(100), ..span }, station.edge());
    assert!(!framed.feed.narrow(0..1));
}

#[test]
fn a_paced_span_of_the_past_tells_its_length_and_ends() {
    let station = Station::on_air(100);
    let end = Some(station.time_of(1_500));
    let mut listener =
        station.open(&Request { end, ..request(Start::At(station.time_of(1_000))) }, station.edge());
    assert_eq!(listener.feed.content_length(), Some(station.frames.bytes(1_000..1_500).len() as u64));
    assert_eq!(listener.listen(station.edge()), Turn::Wait);
    assert_eq!(listener.listen(after(station.edge(), 60)), Turn::End);
    station.assert_heard(&listener.received, 1_000..1_500);
}

#[test]
fn a_span_without_audio_is_empty() {
    let empty = Station::new();
    let mut gap = Station::on_air(10);
    let gap_start = gap.edge();
    gap.pause(60 * SECOND_US);
    gap.append(10);
    let spans = [
        (&empty, pump(START, after(START, 10)), Some(Clamp::Edge)),
        (&gap, pump(after(gap_start, 10), after(gap_start, 20)), None),
        (&gap, pump(after(START, 3), after(START, 2)), None),
        (&gap, pump(START.plus_micros(-2), START.plus_micros(-1)), Some(Clamp::Oldest)),
        (&gap, pump(after(gap.edge(), 1), after(gap.edge(), 2)), Some(Clamp::Edge)),
    ];
    for (station, request, clamped) in spans {
        let mut listener = station.open(&request, station.edge());
        assert_eq!(
            (listener.feed.content_length(), listener.feed.clamped()),
            (Some(0), clamped),
            "{request:?}"
        );
        assert_eq!(listener.listen(station.edge()), Turn::End);
        assert_eq!(listener.received, b"");
    }
}

#[test]
fn a_span_across_a_gap_is_both_its_sides() {
    let mut station = Station::on_air(10);
    station.pause(60 * SECOND_US);
    station.append(10);
    let mut listener = station.open(&pump(station.time_of(100), station.time_of(300)), station.edge());
    assert_eq!(listener.feed.content_length(), Some(station.frames.bytes(100..300).len() as u64));
    assert_eq!(listener.listen(station.edge()), Turn::End);
    station.assert_heard(&listener.received, 100..300);
}

#[test]
fn a_promised_span_that_is_evicted_breaks_off_and_stays_broken() {
    // All that follows is gone; the rest of the span; everything.
    for appended in [200, 230, 600] {
        let mut station = Station::on_air(150);
        let mut listener = station.open(&pump(START, station.edge()), station.edge());
        assert_eq!(listener.take(station.edge(), 10_000, 10_000), Turn::Ready);
        station.append(appended);
        assert!(station.log.span().unwrap().first > station.position_of(0));
        assert_eq!(listener.listen(station.edge()), Turn::Broken);
        assert_eq!(listener.listen(station.edge()), Turn::Broken);
        let report = station.frames.scan(&listener.received);
        // The block that it held is whole.
        assert!(report.is_whole() && report.is_continuous());
        assert!(report.frames > 400 && report.frames < 1_000, "{report:?}");
    }
}

#[test]
fn a_promised_span_of_a_cleared_log_breaks_off() {
    let mut station = Station::on_air(100);
    let mut listener = station.open(&pump(START, station.edge()), station.edge());
    station.writer.clear();
    assert_eq!(listener.listen(station.edge()), Turn::Broken);
}

#[test]
fn a_promised_span_without_its_titles_breaks_off_at_the_next_block() {
    let mut station = Station::on_air(150);
    let metaint = NonZeroU32::new(1_000);
    let mut listener = station.open(&Request { metaint, ..pump(START, station.edge()) }, station.edge());
    let block_bytes = wire::icy::encode_block(&Metadata::default()).len();
    assert_eq!(listener.take(station.edge(), 1_500, ALL), Turn::Ready);
    station.append(200);
    assert_eq!(listener.listen(station.edge()), Turn::Broken);
    assert_eq!(listener.received.len(), 2_000 + block_bytes);
}

#[test]
fn a_title_is_known_from_the_very_first_byte_that_is_kept() {
    let keep_all_but_the_first_block = |station: &mut Station| {
        station.writer.set_keep(seconds(50), u64::MAX);
        station.log.span().unwrap().first.since(station.position_of(0)) as u32
    };
    let block_bytes = keep_all_but_the_first_block(&mut Station::on_air(150));
    for (metaint, end) in [(block_bytes, Turn::End), (block_bytes - 1, Turn::Broken)] {
        let mut station = Station::on_air(150);
        let span = pump(START, station.edge());
        let request = Request { metaint: NonZeroU32::new(metaint), ..span };
        let mut listener = station.open(&request, station.edge());
        let length = listener.feed.content_length().unwrap();
        while listener.received.len() < metaint as usize {
            let left = metaint as usize - listener.received.len();
            assert_eq!(listener.take(station.edge(), left, ALL), Turn::Ready);
        }
        assert_eq!(keep_all_but_the_first_block(&mut station), block_bytes);
        assert_eq!(listener.listen(station.edge()), end);
        assert_eq!(listener.received.len() as u64 == length, end == Turn::End);
    }
}

#[test]
fn a_block_is_part_of_the_length_if_a_byte_of_audio_follows_it() {
    let mut station = Station::on_air(1);
    for title in ["A", "B", "A"] {
        station.writer.set_metadata(Metadata { title: title.into(), url: String::new() }, station.edge());
        station.append(1);
    }
    let audio = station.frames.position(4 * CHUNK_FRAMES) as u32;
    assert_eq!(audio % 3, 0);
    let block_bytes = 33;
    let cases = [
        (audio - 2, block_bytes),
        (audio - 1, block_bytes),
        (audio, 0),
        (audio + 1, 0),
        // Three intervals, and no block behind the third.
        (audio / 3, 2 * block_bytes),
        // One block on the first "A", one on the last: "B" was not told between them.
        (station.frames.position(2 * CHUNK_FRAMES) as u32 - 1, block_bytes + 1),
    ];
    for (metaint, blocks_bytes) in cases {
        let request = Request { metaint: NonZeroU32::new(metaint), ..pump(START, station.edge()) };
        let mut listener = station.open(&request, station.edge());
        let length = u64::from(audio + blocks_bytes);
        assert_eq!(listener.feed.content_length(), Some(length), "metaint {metaint}");
        assert_eq!(listener.listen(station.edge()), Turn::End);
        assert_eq!(listener.received.len() as u64, length, "metaint {metaint}");
    }
}

#[test]
fn a_span_across_a_lost_block_is_what_is_left_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut station = Station::in_directory(dir.path());
    station.append(150);
    drop(station.writer);
    let mut indexes: Vec<_> =
        std::fs::read_dir(dir.path().join("test")).unwrap().map(|file| file.unwrap().path()).collect();
    indexes.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    indexes.sort();
    std::fs::remove_file(&indexes[1]).unwrap();
    let station = Station::in_directory(dir.path());
    let span = station.log.span().unwrap();
    assert!(span.bytes < span.end_position.since(span.first));
    let mut listener = station.open(&pump(START, span.end), span.end);
    assert_eq!(listener.take(span.end, 1_000, 1_000), Turn::Ready);
    assert_eq!(listener.feed.content_length(), Some(span.bytes - 1_000));
    assert_eq!(listener.listen(span.end), Turn::End);
    assert_eq!((listener.received.len() as u64, listener.feed.jumps()), (span.bytes, 1));
    let mut part = station.open(&pump(START, span.end), span.end);
    assert!(part.feed.narrow(1_000..span.bytes - 1_000));
    assert_eq!(part.listen(span.end), Turn::End);
    assert!(part.received == listener.received[1_000..listener.received.len() - 1_000]);
    let report = station.frames.scan(&listener.received);
    assert!(report.is_whole() && report.breaks.len() == 1 && report.repeated_frames() == 0);
}

proptest! {
    #[test]
    fn content_length_is_what_comes(
        first in 0_u32..300,
        frames in 0_u32..460,
        metaint in prop_oneof![1_u32..2_000, 6_000_u32..20_000, 1_u32..100_000],
        titles in proptest::collection::vec((0_u32..40, prop_oneof![0_usize..3, 0_usize..40]), 0..20),
    ) {
        let mut station = Station::new();
        let mut titles = titles;
        titles.sort();
        for (chunks, length) in titles {
            station.append(chunks.saturating_sub(station.next / CHUNK_FRAMES));
            let metadata = Metadata { title: "t".repeat(length), url: String::new() };
            station.writer.set_metadata(metadata, station.edge());
        }
        station.append(40_u32.saturating_sub(station.next / CHUNK_FRAMES));
        let span = pump(station.time_of(first), station.time_of(first + frames));
        let request = Request { metaint: NonZeroU32::new(metaint), ..span };
        let mut listener = station.open(&request, station.edge());
        let length = listener.feed.content_length();
        prop_assert_eq!(listener.listen(station.edge()), Turn::End);
        prop_assert_eq!(length, Some(listener.received.len() as u64));
    }
}
