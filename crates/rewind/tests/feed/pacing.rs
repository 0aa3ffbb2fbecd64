//! When feeds give what: the burst, the distance that is kept, gaps, and sources that go and come back. What happens when
//! audio is lost is in `losses.rs`.

use std::time::Duration;

use audio::Time;
use rewind::{Feed, Pacing, Request, Start, Turn};

use super::station::*;

/// `us` microseconds go by, with audio as it is made and a listener who takes what is due four times a second.
fn pass(listener: &mut Listener, station: &mut Station, now: &mut Time, us: i64) {
    let until = now.plus_micros(us);
    while *now < until {
        *now = now.plus_micros(250_000).min(until);
        station.run_until(*now);
        listener.listen(*now);
    }
}

#[test]
fn burst_and_live_audio_join_without_loss_or_doubling() {
    let mut station = Station::on_air(60);
    let mut now = station.edge();
    let first = station.frame_at(after(now, -10));
    let mut listener = station.open(&request(Start::Live), now);
    assert_eq!(listener.listen(now), Turn::Wait);
    station.assert_heard(&listener.received, first..station.next);
    pass(&mut listener, &mut station, &mut now, 30 * SECOND_US);
    station.assert_heard(&listener.received, first..station.next);
    assert!(station.next > 120 * CHUNK_FRAMES / 2 && listener.feed.jumps() == 0);
}

#[test]
fn an_offset_gives_its_burst_at_once_and_then_keeps_its_distance() {
    let mut station = Station::on_air(180);
    let opened = station.edge();
    let first = station.frame_at(after(opened, -60));
    let mut listener = station.open(&request(Start::Behind(seconds(60))), opened);
    let horizon = after(station.time_of(first), 10);
    let mut due = 0;
    for passed_us in (0..200 * SECOND_US).step_by(333_333) {
        let now = opened.plus_micros(passed_us);
        station.run_until(now);
        assert_eq!(listener.listen(now), Turn::Wait);
        due = station.ended_by(horizon.plus_micros(passed_us));
        assert_eq!(listener.feed.position(), station.position_of(due), "after {passed_us} µs");
    }
    station.assert_heard(&listener.received, first..due);
}

#[test]
fn a_chunk_is_due_when_it_ends_and_not_a_microsecond_before() {
    let station = Station::on_air(180);
    let now = station.edge();
    let mut listener = station.open(&request(Start::Behind(seconds(60))), now);
    listener.listen(now);
    listener.received();
    let horizon = after(listener.feed.first().unwrap(), 10);
    let done = station.ended_by(horizon);
    let wait_us = station.time_of(done + CHUNK_FRAMES).micros_since(horizon);
    assert!(wait_us > 0);
    assert_eq!(listener.feed.due_bytes(now.plus_micros(wait_us - 1)), 0);
    assert_eq!(listener.listen(now.plus_micros(wait_us - 1)), Turn::Wait);
    assert_eq!(listener.received(), b"");
    let chunk = station.frames.bytes(done..done + CHUNK_FRAMES);
    assert_eq!(listener.feed.due_bytes(now.plus_micros(wait_us)), chunk.len() as u64);
    assert_eq!(listener.listen(now.plus_micros(wait_us)), Turn::Wait);
    assert_eq!(listener.received(), chunk);
}

#[test]
fn an_offset_shorter_than_the_burst_is_sent_at_once_and_then_live() {
    for offset in [0, 1, 9, 10] {
        let mut station = Station::on_air(60);
        let mut now = station.edge();
        let first = station.frame_at(after(now, -offset));
        let mut listener = station.open(&request(Start::Behind(seconds(offset as u64))), now);
        assert_eq!(listener.listen(now), Turn::Wait);
        station.assert_heard(&listener.received, first..station.next);
        pass(&mut listener, &mut station, &mut now, 2 * SECOND_US);
        station.assert_heard(&listener.received, first..station.next);
    }
}

#[test]
fn a_burst_that_reaches_the_live_edge_makes_a_feed_live() {
    let station = Station::on_air(60);
    let start = station.time_of(500);
    let distance = Duration::from_micros(station.edge().micros_since(start) as u64);
    for (burst, live) in [(distance, true), (distance - Duration::from_micros(1), false)] {
        let feed = station.open(&Request { burst, ..request(Start::At(start)) }, station.edge()).feed;
        assert_eq!(feed.state().pacing == Pacing::Live, live);
    }
}

#[test]
fn listeners_at_many_offsets_hear_every_frame_for_hours() {
    let mut station = Station::keeping(32, seconds(3_600));
    let mut now = after(START, 1_800);
    station.run_until(now);
    let sound = station.frames.bytes(0..4 * 3_600 * 44_100 / 1_152);
    let byte = |feed: &Feed| feed.position().since(station.position_of(0)) as usize;
    let offsets = (0..30).map(|nth| nth * 61 + nth % 7);
    let mut listeners: Vec<(i64, usize, Listener)> = offsets
        .map(|offset| {
            let listener = station.open(&request(Start::Behind(seconds(offset as u64))), now);
            (offset, byte(&listener.feed), listener)
        })
        .collect();
    for _ in 0..3_600 {
        now = now.plus_micros(2 * SECOND_US + 1_234);
        station.run_until(now);
        for (offset, at, listener) in &mut listeners {
            assert_eq!(listener.listen(now), Turn::Wait);
            let received = listener.received();
            assert_eq!(received[..], sound[*at..*at + received.len()], "offset {offset}");
            *at += received.len();
        }
    }
    for (offset, _, listener) in &listeners {
        let end = station.log.time_of(listener.feed.position()).unwrap();
        let behind = now.micros_since(end) - (offset - 10).max(0) * SECOND_US;
        // A chunk that has not ended, and the parts of frames and chunks that start and clock were off at the open.
        assert!((-SECOND_US..=SECOND_US).contains(&behind), "offset {offset} is off by {behind} µs");
        assert_eq!(listener.feed.jumps(), 0);
    }
}

#[test]
fn a_lagging_feed_plays_on_to_the_edge_when_the_source_is_gone() {
    let mut station = Station::on_air(180);
    let opened = station.edge();
    let mut live = station.open(&request(Start::Live), opened);
    live.listen(opened);
    let mut lagging = station.open(&request(Start::Behind(seconds(60))), opened);
    let horizon = after(lagging.feed.first().unwrap(), 10);
    for passed in [0, 17, 31, 49] {
        lagging.listen(after(opened, passed));
        let due = station.ended_by(after(horizon, passed));
        assert_eq!(lagging.feed.position(), station.position_of(due), "after {passed} s");
    }
    for passed in [50, 51, 500] {
        assert_eq!(lagging.listen(after(opened, passed)), Turn::Wait);
        assert_eq!(lagging.feed.position(), station.log.edge().position);
        assert_eq!(live.listen(after(opened, passed)), Turn::Wait);
        assert_eq!(live.feed.position(), station.log.edge().position);
    }
    station.pause(500 * SECOND_US);
    station.append(1);
    for listener in [&mut live, &mut lagging] {
        listener.received();
        listener.listen(station.edge());
        station.assert_heard(&listener.received(), station.next - CHUNK_FRAMES..station.next);
    }
    // The outage was longer than the distance: it is live now.
    assert_eq!(lagging.feed.state().pacing, Pacing::Live);
    for _ in 0..20 {
        station.append(1);
        lagging.listen(station.edge());
        station.assert_heard(&lagging.received(), station.next - CHUNK_FRAMES..station.next);
    }
}

#[test]
fn an_outage_shorter_than_the_distance_takes_only_itself_off() {
    let mut station = Station::on_air(180);
    let opened = station.edge();
    let mut listener = station.open(&request(Start::Behind(seconds(60))), opened);
    let first = station.frame_at(listener.feed.first().unwrap());
    station.pause(20 * SECOND_US);
    let mut due = 0;
    for passed in 0..120 {
        let now = after(opened, passed);
        station.run_until(now);
        assert_eq!(listener.listen(now), Turn::Wait);
        // It has been sound all the time, and it goes on in the second that the gap is reached.
        due = due_without_gaps(&station, first, (10 + passed) * SECOND_US);
        assert_eq!(listener.feed.position(), station.position_of(due), "after {passed} s");
    }
    station.assert_heard(&listener.received, first..due);
    let Pacing::Lagging(lagging) = listener.feed.state().pacing else { panic!("it is not live") };
    let before_us = opened.micros_since(after(station.time_of(first), 10));
    assert_eq!(lagging.lag_us, before_us - 20 * SECOND_US);
}

/// The number behind the last frame that is due when, of the chunks in a row, gaps left out, so much has passed.
fn due_without_gaps(station: &Station, first: u32, passed_us: i64) -> u32 {
    let due = (0..=station.next).step_by(CHUNK_FRAMES as usize);
    due.take_while(|end| station.media_us(*end) - station.media_us(first) <= passed_us).last().unwrap()
}

#[test]
fn a_gap_under_the_head_is_left_out_and_shortens_the_distance_by_itself() {
    // Several gaps in one tick, gaps shorter than a tick, and one in the burst.
    for gaps_us in
        [vec![7 * SECOND_US], vec![60_000; 40], vec![1], vec![3 * SECOND_US, 100_000, 2 * SECOND_US]]
    {
        let mut station = Station::keeping(128, seconds(300));
        station.append(60);
        for gap_us in &gaps_us {
            station.pause(*gap_us);
            station.append(2);
        }
        station.append(100);
        let opened = station.edge();
        for first in [60 * CHUNK_FRAMES - 700, 60 * CHUNK_FRAMES - 100] {
            let mut listener = station.open(&request(Start::At(station.time_of(first))), opened);
            for passed_us in (0..30 * SECOND_US).step_by(1_777_777) {
                listener.listen(opened.plus_micros(passed_us));
                let due = due_without_gaps(&station, first, 10 * SECOND_US + passed_us);
                assert_eq!(
                    listener.feed.position(),
                    station.position_of(due),
                    "frame {first} after {passed_us} µs, {gaps_us:?}"
                );
            }
            assert_eq!(listener.feed.jumps(), 0);
            listener.listen(after(opened, 60));
            let Pacing::Lagging(lagging) = listener.feed.state().pacing else { panic!("it is not live") };
            let lag_us = opened.micros_since(after(station.time_of(first), 10));
            assert_eq!(lagging.lag_us, lag_us - gaps_us.iter().sum::<i64>());
        }
    }
}

#[test]
fn a_delay_waits_a_gap_out_and_keeps_its_distance() {
    // Whether there is a source while it waits makes no difference.
    for is_on_air in [true, false] {
        let mut station = Station::on_air(100);
        let gap = station.edge();
        station.pause(20 * SECOND_US);
        station.append(100);
        let opened = station.edge();
        let start = Start::Delay(seconds(opened.micros_since(after(gap, -15)) as u64 / 1_000_000));
        let mut listener = station.open(&request(start), opened);
        let horizon = after(listener.feed.first().unwrap(), 10);
        for passed in 0..60 {
            let now = after(opened, passed);
            if is_on_air {
                station.run_until(now);
            }
            assert_eq!(listener.listen(now), Turn::Wait);
            let due = station.ended_by(after(horizon, passed));
            assert_eq!(listener.feed.position(), station.position_of(due), "after {passed} s");
        }
    }
}

#[test]
fn a_source_that_stalls_and_catches_up_takes_nothing_off_the_distance() {
    let mut station = Station::on_air(180);
    let opened = station.edge();
    let mut listener = station.open(&request(Start::Behind(seconds(60))), opened);
    let first = station.frame_at(listener.feed.first().unwrap());
    let pacing = listener.feed.state().pacing;
    // A minute and a half without audio; then what was made meanwhile comes in two parts, the first already late.
    for (passed, made) in [(49, 0), (90, 0), (90, 30), (91, 91), (120, 120)] {
        station.run_until(after(opened, made));
        assert_eq!(listener.listen(after(opened, passed)), Turn::Wait);
        let due = due_without_gaps(&station, first, (10 + passed) * SECOND_US);
        assert_eq!(listener.feed.position(), station.position_of(due), "after {passed} s");
    }
    station.assert_heard(&listener.received, first..due_without_gaps(&station, first, 130 * SECOND_US));
    let lag_us = |pacing| match pacing {
        Pacing::Lagging(lagging) => Some(lagging.lag_us),
        _ => None,
    };
    assert!(lag_us(pacing).is_some());
    assert_eq!(lag_us(listener.feed.state().pacing), lag_us(pacing));
}

#[test]
fn a_step_of_the_stations_clock_pauses_nobody() {
    let hour_us = 3_600 * SECOND_US;
    let distance = seconds(40);
    for start in [Start::Live, Start::Behind(distance), Start::Delay(distance)] {
        let mut station = Station::keeping(128, seconds(7_200));
        station.append(100);
        let opened = station.edge();
        let mut listener = station.open(&request(start), opened);
        listener.listen(opened);
        let first = listener.feed.first().unwrap();
        let first = station.frame_at(first);
        station.pause(hour_us);
        for passed in 1..90 {
            let now = after(opened, passed);
            station.run_until(now.plus_micros(hour_us));
            listener.listen(now);
            let due = due_without_gaps(&station, first, (10 + passed) * SECOND_US).min(station.next);
            let off = due.abs_diff(station.frame_at(station.log.time_of(listener.feed.position()).unwrap()));
            // A delay is held to the live edge, which moves by chunks.
            let off_max = if start == Start::Delay(distance) { 2 * CHUNK_FRAMES } else { 0 };
            assert!(off <= off_max, "{start:?} is off by {off} frames after {passed} s");
        }
    }
}
