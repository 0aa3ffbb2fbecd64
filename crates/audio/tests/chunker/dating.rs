//! When the first audio of an epoch is dated, and to what.

use audio::{Batch, Frame, Time};
use bytes::Bytes;

use crate::support::*;

/// A source sends so many frames within 20 ms, then goes on in real time for a second.
fn burst(host: &mut Host, frames: usize) {
    host.start_source();
    for _ in 0..10 {
        host.push(frames / 10);
        host.pass(2 * MS);
    }
    let behind = host.media_us(1);
    host.pass(behind - 2 * MS);
    host.play(38);
}

#[test]
fn the_newest_audio_of_a_burst_is_now_and_the_rest_lies_in_the_past() {
    // One second as from ffmpeg, a minute, and half an hour's backlog.
    for frames in [40, 2_300, 69_000] {
        let mut host = Host::mp3();
        burst(&mut host, frames);
        host.finish();
        check_row(&host.out, None);
        assert_eq!(frame_numbers(&host.out).len(), frames + 38);
        // The last of the burst arrived after 18 ms.
        let start = START.plus_micros(18_000 - host.media_us(frames as u64) as i64);
        assert_eq!(host.out[0].time, start, "{frames} frames");
        assert!(host.out.iter().all(|chunk| lead_us(chunk, host.now) <= 0), "nothing in the future");
        assert_eq!(host.out.iter().filter(|chunk| chunk.discontinuity).count(), 1);
    }
}

#[test]
fn a_source_in_real_time_is_dated_after_a_quarter_of_a_second() {
    let mut host = Host::new(aac(16_000), 800);
    host.start_source();
    for _ in 0..5 {
        host.push(1);
        host.pass(49_999);
        assert_eq!(host.chunker.deadline().map(|at| at.0), Some(BOOT + 250 * MS));
        host.tick(1);
    }
    // Frames of 50 ms: five are in hand, which is just enough.
    host.chunker.poll(host.now, &mut host.out);
    host.finish();
    assert_eq!(host.out[0].time, START.plus_micros(-50_000), "no frame lay in the future when it came");
    assert_eq!(host.out[0].samples, 5 * 800);
}

/// Whether a source that has sent so many frames of 50 ms within 250 ms is dated then.
fn is_dated(frames: usize) -> bool {
    let mut host = Host::new(aac(16_000), 800);
    host.start_source();
    host.push(frames);
    host.tick(250 * MS);
    host.chunker.poll(host.now, &mut host.out);
    host.push(10);
    !host.out.is_empty()
}

#[test]
fn too_little_audio_and_too_fast_audio_are_gathered_on() {
    assert!(!is_dated(4), "200 ms in hand");
    assert!(is_dated(5), "250 ms in hand");
    assert!(is_dated(10), "twice real time");
    assert!(!is_dated(11), "faster");
}

#[test]
fn a_burst_without_end_is_dated_after_five_seconds() {
    let mut host = Host::round();
    host.start_source();
    // 1.28 s of audio every 250 ms.
    for _ in 0..20 {
        host.push(10);
        host.pass(250 * MS - 1);
        assert_eq!(host.out, []);
        host.tick(1);
    }
    host.chunker.poll(host.now, &mut host.out);
    // The newest came after 4.75 s.
    assert_eq!(host.out[0].time, START.plus_micros(4_750_000 - 200 * 128_000));
}

#[test]
fn audio_that_stays_little_is_given_when_patience_ends() {
    let mut host = Host::round();
    host.start_source();
    host.push(1);
    host.pass(5 * SECOND - 1);
    assert_eq!(host.out, []);
    host.pass(1);
    assert_eq!(host.out.len(), 1, "it has waited for longer than a chunk already");
    assert_eq!((host.out[0].time, host.chunker.deadline()), (START.plus_micros(-128_000), None));
}

#[test]
fn the_deadline_of_a_burst_is_five_seconds_after_its_first_frame_at_most() {
    let mut host = Host::round();
    // Polls that come late move the moments of measuring.
    for _ in 0..16 {
        host.push(10);
        host.tick(300 * MS);
    }
    host.push(10);
    assert_eq!(host.out, []);
    assert_eq!(host.chunker.deadline().map(|at| at.0), Some(BOOT + 5 * SECOND));
}

#[test]
fn held_audio_is_dated_when_its_bytes_reach_their_bound() {
    let megabytes = |count: usize| {
        let data = Bytes::from(vec![0; count << 20]);
        let frame = Frame { len: (count << 20) as u32, samples: 44_100 };
        Batch { format: mp3(44_100), data, frames: vec![frame] }
    };
    let (sixteen, fifteen, one) = (megabytes(16), megabytes(15), megabytes(1));
    let mut host = Host::mp3();
    for _ in 0..15 {
        host.chunker.push(&sixteen, host.now, &mut host.out);
    }
    host.chunker.push(&fifteen, host.now, &mut host.out);
    assert_eq!(host.out, [], "255 MiB");
    host.chunker.push(&one, host.now, &mut host.out);
    assert_eq!(host.out.len(), 17, "256 MiB");
    assert_eq!(host.end(), START);
}

#[test]
fn nothing_is_dated_before_the_end_of_the_log() {
    // The audio wants to begin at START - 1 s: before, within and beyond the tolerance after the end of the log.
    let wanted = START.plus_micros(-1_024_000);
    let table = [
        (10_000_000, 10_000_000),
        (1, 1),
        (0, 0),
        (-1, -1),
        (-50_000, -50_000),
        (-50_001, 0),
        (-3_600_000_000, 0),
    ];
    for (log_end, start) in table {
        let mut host = Host::resuming(aac(8_000), 1_024, Some(wanted.plus_micros(log_end)));
        host.start_source();
        host.push(8);
        host.finish();
        assert_eq!(host.out[0].time.micros_since(wanted), start, "log ends {log_end} us after the start");
        assert!(host.out[0].discontinuity && host.out[0].starts_segment);
    }
}

/// Start times of all discontinuities.
fn breaks(host: &Host) -> Vec<Time> {
    host.out.iter().filter(|chunk| chunk.discontinuity).map(|chunk| chunk.time).collect()
}

#[test]
fn a_new_source_is_a_discontinuity_even_where_it_joins_exactly() {
    let mut host = Host::round();
    host.start_source();
    host.play(20);
    let end = host.now.wall;
    host.start_source();
    host.play(20);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [START, end]);
    assert_eq!(host.out.iter().filter(|chunk| end_of(chunk) == end).count(), 1, "no gap");
}

#[test]
fn audio_after_the_end_of_a_source_is_another_source_s() {
    let mut host = Host::round();
    host.play(20);
    let end = host.now.wall;
    host.finish();
    host.play(20);
    host.finish();
    assert_eq!(breaks(&host), [START, end]);
}

#[test]
fn a_reconnect_leaves_only_the_missing_real_time_out() {
    let mut host = Host::round();
    host.start_source();
    host.play(20);
    host.finish();
    let end = host.now.wall;
    assert_eq!(host.end(), end);
    host.pass(800 * MS);
    host.start_source();
    host.play(20);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [START, end.plus_micros(800_000)]);
    assert_eq!(host.end(), host.now.wall);
}

#[test]
fn a_source_that_takes_over_with_a_burst_runs_ahead_and_is_slewed_back() {
    let mut host = Host::mp3();
    host.start_source();
    host.play(400);
    burst(&mut host, 40);
    host.play(38 * 60 * 60);
    host.finish();
    check_row(&host.out, None);
    let second = host.out.iter().rposition(|chunk| chunk.discontinuity).expect("the new source");
    assert_eq!(host.out[second].time, end_of(&host.out[second - 1]));
    assert!(lead_us(host.out.last().expect("a chunk"), host.now).abs() <= 50_000, "within an hour");
}

#[test]
fn another_format_begins_an_epoch_at_its_place_in_time() {
    let mut host = Host::round();
    host.start_source();
    host.play(20);
    let end = host.now.wall;
    host.format = mp3(44_100);
    host.frame_samples = 1_152;
    host.play(100);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [START, end]);
    assert_eq!(host.end(), host.now.wall);
}

#[test]
fn a_backlog_with_two_formats_is_dated_as_one() {
    let mut host = Host::round();
    host.start_source();
    host.push(80);
    host.format = aac(16_000);
    host.push(160);
    host.finish();
    check_row(&host.out, None);
    let second = host.out.iter().find(|chunk| chunk.format == aac(16_000)).expect("the second format");
    assert!(second.discontinuity);
    assert_eq!(host.out[0].time, START.plus_micros(-20_480_000));
    assert_eq!(second.time, START.plus_micros(-10_240_000));
    assert_eq!(host.end(), START);
}

#[test]
fn a_stall_is_a_gap_in_time() {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    let end = host.now.wall;
    host.pass(30 * SECOND);
    host.play(80);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [START, end.plus_micros(30_000_000)]);
    assert_eq!(host.end(), host.now.wall);
}

#[test]
fn two_seconds_without_audio_are_no_stall_and_more_is() {
    for (silence_us, expected) in [(2_000_000, 1), (2_000_001, 2)] {
        let mut host = Host::round();
        host.start_source();
        host.play(20);
        // The frame that came last is played for 128 ms.
        host.pass(128 * MS + silence_us);
        host.push(1);
        host.play(20);
        host.finish();
        check_row(&host.out, None);
        assert_eq!(breaks(&host).len(), expected, "{silence_us} us");
    }
}

#[test]
fn a_stall_whose_audio_arrives_later_is_no_gap() {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    // The network holds 30.72 s back, and delivers them at once.
    host.pass(240 * 128 * MS);
    host.push(240);
    host.play(80);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [host.out[0].time]);
    assert_eq!(host.end(), host.now.wall);
}

#[test]
fn a_stall_while_gathering_dates_what_came_before_by_itself() {
    let mut host = Host::round();
    host.start_source();
    host.push(1);
    host.pass(3 * SECOND);
    host.push(1);
    host.finish();
    let times: Vec<_> = host.out.iter().map(|chunk| (chunk.time, chunk.discontinuity)).collect();
    let first = START.plus_micros(-128_000);
    assert_eq!(times, [(first, true), (first.plus_micros(3_000_000), true)]);
}

#[test]
fn another_format_after_a_stall_while_gathering_is_marked() {
    let mut host = Host::round();
    host.start_source();
    host.push(1);
    host.pass(2 * SECOND + 1);
    host.format = aac(16_000);
    // A burst that reaches back to before the stall.
    host.push(100);
    host.finish();
    check_row(&host.out, None);
    let first = START.plus_micros(-128_000);
    assert_eq!(breaks(&host), [first, START]);
}

#[test]
fn a_gap_hidden_by_a_clock_set_back_is_marked() {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    host.pass(SECOND);
    let end = host.end();
    host.step_wall(-3_600_000_000);
    host.pass(29 * SECOND);
    host.play(8);
    host.finish();
    assert_eq!(breaks(&host), [START, end], "time does not go back");
    check_row(&host.out, None);
}

#[test]
fn ahead_tells_what_came_faster_than_real_time_after_the_dating() {
    let mut host = Host::round();
    assert_eq!(host.chunker.ahead(host.now).as_micros(), 0);
    burst(&mut host, 400);
    assert!(host.chunker.ahead(host.now).as_millis() < 500, "a burst lies in the past");
    host.push(100);
    let ahead = host.chunker.ahead(host.now);
    assert!((12_544..13_300).contains(&ahead.as_millis()), "{ahead:?}");
    host.step_wall(-3_600_000_000);
    assert_eq!(host.chunker.ahead(host.now), ahead, "steps of the wall clock do not count");
    host.pass(10 * SECOND);
    assert_eq!(host.chunker.ahead(host.now).as_micros(), ahead.as_micros() - 10_000_000);
    host.pass(10 * SECOND);
    assert_eq!(host.chunker.ahead(host.now).as_micros(), 0);
}

#[test]
fn ahead_counts_what_is_gathered_behind_audio_that_runs_ahead() {
    let mut host = Host::round();
    host.run_in();
    host.push(1_000);
    let ahead = host.chunker.ahead(host.now);
    host.start_source();
    host.push(500);
    assert_eq!(host.chunker.ahead(host.now).as_micros(), ahead.as_micros() + 64_000_000);
    host.finish();
    let dated = host.chunker.ahead(host.now).as_micros();
    // All this audio is shrunk by 2 % when it is dated.
    assert_eq!(dated, ahead.as_micros() + 62_720_000);
}

#[test]
fn a_pause_in_reading_a_source_that_runs_ahead_is_no_stall() {
    let mut host = Host::round();
    host.start_source();
    host.play(10);
    host.push(1_000);
    host.pass(100 * SECOND);
    host.push(100);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(breaks(&host), [host.out[0].time]);
}

#[test]
fn audio_before_the_epoch_of_the_wall_clock_is_cut_like_any() {
    let mut host = Host::round();
    host.now.wall = Time(-5_000_000);
    host.start_source();
    host.play(100);
    host.finish();
    check_row(&host.out, None);
    let segments: Vec<_> =
        host.out.iter().filter(|chunk| chunk.starts_segment).map(|chunk| chunk.time.0).collect();
    assert_eq!(segments, [-5_000_000, 120_000]);
}
