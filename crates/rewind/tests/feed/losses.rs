//! What feeds do whose audio goes: slow listeners, listeners at the old end of the buffer, a buffer that is cleared.

use rewind::{Request, Start, Turn};

use super::station::*;

#[test]
fn audio_that_is_evicted_under_the_head_is_jumped_over_without_a_pause() {
    let mut station = Station::on_air(180);
    let opened = station.edge();
    let mut listener = station.open(&request(Start::Behind(seconds(80))), opened);
    listener.listen(opened);
    let held = listener.feed.position();
    station.writer.set_keep(seconds(30), u64::MAX);
    let oldest = station.log.span().unwrap();
    assert!(oldest.first > held);
    listener.received();
    let oldest_frame = station.frame_at(oldest.start);
    // The block that it reads is still there to its end, and sent at once. The oldest audio follows at the pace of time.
    listener.listen(opened);
    listener.listen(after(opened, 1));
    let report = station.frames.scan(&listener.received);
    assert!(report.is_whole());
    assert_eq!((report.breaks.len(), report.breaks[0].next), (1, oldest_frame));
    assert_eq!(listener.feed.jumps(), 1);
    for passed in 1..30 {
        listener.listen(after(opened, passed));
        let sent = station.log.time_of(listener.feed.position()).unwrap();
        let ahead_us = sent.micros_since(after(oldest.start, passed));
        assert!((-SECOND_US..=SECOND_US).contains(&ahead_us), "{ahead_us} µs off after {passed} s");
    }
    assert!(station.frames.scan(&listener.received).breaks.len() == 1);
}

#[test]
fn a_listener_at_the_oldest_audio_goes_on_without_loss_or_pause_while_that_is_evicted() {
    for tick_us in [250_000, 2 * SECOND_US, 3_333_333] {
        let mut station = Station::on_air(800);
        let opened = station.edge();
        let oldest = station.log.span().unwrap();
        let requests = [Start::At(oldest.start), Start::Behind(seconds(100)), Start::Delay(seconds(100))]
            .map(|start| Request { burst: seconds(0), ..request(start) });
        let mut listeners = requests.map(|request| station.open(&request, opened));
        let firsts = listeners.each_ref().map(|listener| listener.feed.first().unwrap());
        let mut heard = [const { Vec::new() }; 3];
        for passed_us in (0..300 * SECOND_US).step_by(tick_us as usize) {
            let now = opened.plus_micros(passed_us);
            station.run_until(now);
            for (listener, heard) in listeners.iter_mut().zip(&mut heard) {
                assert_eq!(listener.listen(now), Turn::Wait);
                let received = listener.received();
                // Of two seconds or more, a chunk at least is due.
                assert!(
                    !received.is_empty() || tick_us < SECOND_US || passed_us == 0,
                    "after {passed_us} µs"
                );
                heard.extend(received);
            }
        }
        assert!(
            station.log.span().unwrap().first > station.position_of(station.frame_at(after(opened, 100)))
        );
        for ((listener, heard), first) in listeners.iter().zip(heard).zip(firsts) {
            let end = station.frame_at(station.log.time_of(listener.feed.position()).unwrap());
            station.assert_heard(&heard, station.frame_at(first)..end);
            assert_eq!(listener.feed.jumps(), 0);
            // It is as far behind as what is kept, less a block and a tick at most.
            let behind_us = station.edge().micros_since(station.time_of(end));
            assert!((80 * SECOND_US..=101 * SECOND_US).contains(&behind_us), "{behind_us} µs behind");
        }
    }
}

#[test]
fn a_slow_listener_reads_its_block_to_the_end_and_then_jumps() {
    let mut station = Station::on_air(20);
    let mut listener = station.open(&request(Start::Live), station.edge());
    assert_eq!(listener.take(station.edge(), 1_000, 600), Turn::Ready);
    let stalled = listener.feed.position();
    station.append(400);
    let now = station.edge();
    let span = station.log.span().unwrap();
    assert!(span.first > stalled);
    assert_eq!(listener.feed.due_bytes(now), span.bytes);
    assert_eq!(listener.listen(now), Turn::Wait);
    let report = station.frames.scan(&listener.received);
    assert!(report.is_whole() && report.junk_bytes == 0);
    assert_eq!(report.breaks.len(), 1);
    assert_eq!(station.time_of(report.breaks[0].next), span.start);
    // A block of this log is 256 KiB: what fits of whole chunks was read of the one it held.
    let chunk = station.frames.position(CHUNK_FRAMES * 100) / 100;
    assert_eq!(report.breaks[0].after + 1, (256 * 1024 / chunk) as u32 * CHUNK_FRAMES);
    assert_eq!((report.last, listener.feed.jumps()), (Some(station.next - 1), 1));
}

#[test]
fn audio_after_a_jump_is_not_due_before_its_time() {
    let mut station = Station::on_air(180);
    let now = station.edge();
    let burst = seconds(40);
    let mut listener = station.open(&Request { burst, ..request(Start::Behind(seconds(80))) }, now);
    // All the burst is due, but only the first block of it is held.
    assert_eq!(listener.take(now, ALL, 600), Turn::Ready);
    station.writer.set_keep(seconds(20), u64::MAX);
    assert!(station.log.span().unwrap().start > after(now, -40));
    assert_eq!(listener.listen(now), Turn::Wait);
    assert_eq!(listener.feed.jumps(), 1);
    let report = station.frames.scan(&listener.received);
    assert!(report.is_whole() && report.is_continuous());
    assert_eq!(listener.feed.position(), station.log.span().unwrap().first);
    listener.received();
    listener.listen(after(now, 2));
    assert!(!listener.received.is_empty() && station.frames.scan(&listener.received).is_whole());
}

#[test]
fn a_cleared_log_is_jumped_over() {
    let mut station = Station::on_air(60);
    let mut live = station.open(&request(Start::Live), station.edge());
    let mut lagging = station.open(&request(Start::Behind(seconds(20))), station.edge());
    let now = station.edge();
    assert_eq!(lagging.listen(now), Turn::Wait);
    live.listen(now);
    station.writer.clear();
    station.pause(60 * SECOND_US);
    station.append(40);
    let last = station.frames.bytes(station.next - 1..station.next);
    let now = station.edge();
    for listener in [&mut live, &mut lagging] {
        assert_eq!(listener.listen(now), Turn::Wait);
        assert!(station.frames.scan(&listener.received).is_whole());
        assert!(listener.received.ends_with(&last));
    }
}
