//! Where feeds start, and what they say about it.

use rewind::{Clamp, Position, Start, Turn};

use super::station::*;

/// Start, first frame expected, clamp expected.
#[track_caller]
fn check(station: &Station, start: Start, first: u32, clamped: Option<Clamp>) {
    let mut listener = station.open(&request(start), station.edge());
    assert_eq!(listener.feed.position(), station.position_of(first), "{start:?}");
    assert_eq!(listener.feed.clamped(), clamped, "{start:?}");
    let time = (first < station.next).then(|| station.time_of(first));
    assert_eq!(listener.feed.first(), time, "{start:?}");
    let behind = time.map_or(0, |time| station.edge().micros_since(time));
    assert_eq!(listener.feed.behind().as_micros() as i64, behind, "{start:?}");
    listener.listen(station.edge());
    let end = first + listener.received.len() as u32 * 8 / (128_000 * 1152 / 44_100);
    station.assert_heard(&listener.received, first..end);
}

#[test]
fn a_feed_starts_with_the_first_frame_at_or_after_what_was_asked() {
    let station = Station::on_air(180);
    let before = |seconds: i64| station.frame_at(after(station.edge(), -seconds));
    check(&station, Start::Live, before(10), None);
    check(&station, Start::Behind(seconds(3)), before(3), None);
    check(&station, Start::Behind(seconds(0)), station.next, None);
    check(&station, Start::Behind(seconds(60)), before(60), None);
    check(&station, Start::Delay(seconds(60)), before(60), None);
    check(&station, Start::Position(station.position_of(1_234)), 1_234, None);
    for number in [0, 1, 18, 19, 20, 1_000, station.next - 1] {
        let time = station.time_of(number);
        check(&station, Start::At(time), number, None);
        check(&station, Start::At(time.plus_micros(1)), number + 1, None);
    }
}

#[test]
fn what_is_not_in_the_buffer_becomes_the_nearest_that_is() {
    let station = Station::on_air(180);
    let burst = station.frame_at(after(station.edge(), -10));
    check(&station, Start::At(START.plus_micros(-1)), 0, Some(Clamp::Oldest));
    check(&station, Start::Behind(seconds(3_600)), 0, Some(Clamp::Oldest));
    check(&station, Start::Delay(seconds(3_600)), 0, Some(Clamp::Oldest));
    check(&station, Start::Position(Position(0)), 0, Some(Clamp::Oldest));
    check(&station, Start::Position(Position(u64::MAX)), station.next, Some(Clamp::Edge));
    check(&station, Start::At(station.edge()), station.next, None);
    check(&station, Start::At(station.edge().plus_micros(1)), burst, Some(Clamp::Edge));
}

#[test]
fn a_burst_that_is_longer_than_the_buffer_is_all_of_it_and_no_clamp() {
    let station = Station::on_air(4);
    check(&station, Start::Live, 0, None);
}

#[test]
fn a_start_in_a_gap_is_the_next_frame() {
    let mut station = Station::on_air(40);
    let gap = station.edge();
    station.pause(60 * SECOND_US);
    station.append(100);
    check(&station, Start::At(after(gap, 1)), 40 * CHUNK_FRAMES, None);
    check(&station, Start::At(after(gap, 60)), 40 * CHUNK_FRAMES, None);
}

#[test]
fn before_there_is_audio_every_feed_waits_for_it() {
    let starts = [
        (Start::Live, None),
        (Start::Behind(seconds(60)), Some(Clamp::Edge)),
        (Start::Delay(seconds(60)), Some(Clamp::Edge)),
        (Start::At(START), Some(Clamp::Edge)),
    ];
    for (start, clamped) in starts {
        let mut station = Station::new();
        let mut listener = station.open(&request(start), START);
        assert_eq!((listener.feed.clamped(), listener.feed.first()), (clamped, None));
        assert_eq!(listener.listen(START), Turn::Wait);
        station.append(2);
        assert_eq!(listener.listen(station.edge()), Turn::Wait);
        station.assert_heard(&listener.received, 0..2 * CHUNK_FRAMES);
    }
}
