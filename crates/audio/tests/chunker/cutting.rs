//! Where chunks end, when they are given, what bytes they hold.

use std::time::Duration;

use audio::{Chunk, ChunkConfig, Chunker, Format, Time};

use crate::support::*;

/// The cuts by the definition alone: frame after frame from `start`, without any correction.
fn expected_cuts(start: Time, format: &Format, frame_samples: u32, frames: u64) -> Vec<(Time, u32, bool)> {
    let time = |frame: u64| start.plus_micros(format.micros(frame * u64::from(frame_samples)) as i64);
    let segment = |frame: u64| time(frame).0.div_euclid(10_000_000);
    let fits = (u64::from(format.sample_rate_hz) / 2 / u64::from(frame_samples)).max(1);
    let (mut cuts, mut first) = (Vec::new(), 0);
    while first < frames {
        let end = (first + 1..frames).find(|&k| k - first == fits || segment(k) != segment(k - 1));
        let end = end.unwrap_or(frames);
        let starts_segment = first == 0 || segment(first) != segment(first - 1);
        cuts.push((time(first), (end - first) as u32 * frame_samples, starts_segment));
        first = end;
    }
    cuts
}

fn cuts(chunks: &[Chunk]) -> Vec<(Time, u32, bool)> {
    chunks.iter().map(|chunk| (chunk.time, chunk.samples, chunk.starts_segment)).collect()
}

#[test]
fn cuts_are_exact_for_every_sample_rate_and_frame_length() {
    let table = [
        (mp3(8_000), 576),
        (mp3(11_025), 576),
        (mp3(22_050), 576),
        (mp3(24_000), 576),
        (mp3(32_000), 384),
        (mp3(44_100), 1_152),
        (mp3(48_000), 1_152),
        (aac(7_350), 1_024),
        (aac(44_100), 1_024),
        (aac(48_000), 4_096),
        (aac(96_000), 960),
    ];
    for (format, frame_samples) in table {
        let mut host = Host::new(format, frame_samples);
        let frames = 65 * u64::from(format.sample_rate_hz) / u64::from(frame_samples);
        host.start_source();
        host.play(frames);
        host.finish();
        assert_eq!(
            cuts(&host.out),
            expected_cuts(START, &format, frame_samples, frames),
            "{format} with frames of {frame_samples}"
        );
        check_row(&host.out, None);
        assert_eq!(host.out.iter().filter(|chunk| chunk.starts_segment).count(), 7, "{format}");
        assert_eq!(samples(&host.out), frames * u64::from(frame_samples));
        assert_eq!(frame_numbers(&host.out), (0..frames).collect::<Vec<_>>());
        assert_eq!(host.end(), host.now.wall, "{format}: all audio is dated up to now");
    }
}

#[test]
fn a_frame_that_ends_on_a_multiple_of_the_segment_ends_the_chunk() {
    // Frames of 128 ms that end at :09.872, :10.000 and :10.128.
    let mut host = Host::round();
    host.pass(10 * SECOND - 3 * SECOND - 128 * MS * 20);
    host.start_source();
    host.play(22);
    host.finish();
    let ten = Time(START.0 + 7_000_000);
    let (at, before): (Vec<_>, Vec<_>) = host.out.iter().partition(|chunk| chunk.time >= ten);
    assert_eq!(at[0].time, ten);
    assert!(at[0].starts_segment && !at[0].discontinuity);
    assert_eq!(before.iter().filter(|chunk| chunk.starts_segment).count(), 1, "only the first");
}

#[test]
fn a_chunk_is_given_with_the_frame_that_fills_it() {
    let mut host = Host::mp3();
    host.run_in();
    host.play(18);
    assert_eq!(host.out, []);
    host.play(1);
    assert_eq!(host.out.len(), 1);
    assert_eq!(host.out[0].samples, 19 * 1_152, "496.3 ms: another frame would exceed 500 ms");
    assert_eq!(host.out[0].span_us, 496_327);
    assert_eq!(host.chunker.deadline(), None);
}

#[test]
fn a_chunk_may_last_exactly_its_duration() {
    // 62.5 ms a frame: eight make 500 ms.
    let mut host = Host::new(aac(16_000), 1_000);
    host.run_in();
    host.play(7);
    assert_eq!(host.out, []);
    host.play(1);
    assert_eq!(host.out[0].span_us, 500_000);
}

#[test]
fn chunks_and_segments_have_sane_durations_whatever_is_configured() {
    for (chunk, segment, spans_us) in [
        (Duration::MAX, Duration::MAX, vec![59_904_000, 59_904_000, 8_192_000]),
        (Duration::ZERO, Duration::MAX, vec![128_000; 1_000]),
        (Duration::MAX, Duration::ZERO, vec![128_000; 1_000]),
    ] {
        let mut host = Host::round();
        host.chunker = Chunker::new(ChunkConfig { chunk, segment }, None);
        host.push(1_000);
        host.finish();
        let found: Vec<_> = host.out.iter().map(|chunk| chunk.span_us).collect();
        assert_eq!(found, spans_us);
    }
}

#[test]
fn a_frame_longer_than_a_chunk_is_a_chunk() {
    let mut host = Host::new(aac(8_000), 4_096);
    host.start_source();
    host.play(1);
    host.play(4);
    host.finish();
    assert_eq!(host.out.len(), 5);
    assert!(host.out.iter().all(|chunk| chunk.span_us == 512_000));
}

#[test]
fn frames_that_wait_are_given_at_the_deadline_and_not_before() {
    let mut host = Host::mp3();
    host.run_in();
    host.push(3);
    let deadline = host.now.mono.plus(CONFIG.chunk);
    assert_eq!(host.chunker.deadline(), Some(deadline));
    host.tick(499_999);
    host.chunker.poll(host.now, &mut host.out);
    assert_eq!(host.out, []);
    host.tick(1);
    host.chunker.poll(host.now, &mut host.out);
    assert_eq!(host.out.len(), 1);
    assert_eq!(frame_numbers(&host.out), [20, 21, 22]);
    assert_eq!(host.chunker.deadline(), None);
}

#[test]
fn frames_that_waited_are_given_before_late_ones_even_if_nobody_polled() {
    let mut host = Host::mp3();
    host.run_in();
    host.push(3);
    host.tick(500 * MS);
    host.push(3);
    assert_eq!(frame_numbers(&host.out), [20, 21, 22]);
}

#[test]
fn frames_that_waited_are_continued_without_a_mark() {
    let mut host = Host::mp3();
    host.run_in();
    host.push(3);
    host.pass(600 * MS);
    host.push(3);
    host.finish();
    assert_eq!(host.out.len(), 2);
    assert_eq!(end_of(&host.out[0]), host.out[1].time);
    assert!(!host.out[1].discontinuity);
}

#[test]
fn a_chunk_from_one_batch_is_a_slice_of_it() {
    let mut host = Host::mp3();
    host.run_in();
    let batch = host.batch(19 + 19 + 4);
    host.chunker.push(&batch, host.now, &mut host.out);
    host.finish();
    let starts: Vec<_> = host.out.iter().map(|chunk| chunk.data.as_ptr()).collect();
    let expected = [0, 19, 38].map(|frame| batch.data[frame * FRAME_BYTES..].as_ptr());
    assert_eq!(starts, expected);
    assert_eq!(host.out[2].data.len(), 4 * FRAME_BYTES);
}

#[test]
fn a_chunk_from_several_batches_holds_their_bytes_in_order() {
    let mut host = Host::mp3();
    host.run_in();
    [5, 1, 14, 18].iter().for_each(|frames| host.push(*frames));
    assert_eq!(host.out.len(), 2);
    assert_eq!(frame_numbers(&host.out[..1]), (20..39).collect::<Vec<_>>());
    assert_eq!(frame_numbers(&host.out[1..]), (39..58).collect::<Vec<_>>());
}

#[test]
fn another_bitrate_cuts_the_chunk_and_nothing_else() {
    let mut host = Host::mp3();
    host.run_in();
    host.play(5);
    host.format.bitrate_kbps = 96;
    host.play(5);
    host.finish();
    let row: Vec<_> = host.out.iter().map(|chunk| (chunk.format.bitrate_kbps, chunk.samples)).collect();
    assert_eq!(row, [(128, 5 * 1_152), (96, 5 * 1_152)]);
    assert_eq!(end_of(&host.out[0]), host.out[1].time);
    assert!(!host.out[1].discontinuity && !host.out[1].starts_segment);
}

#[test]
fn no_frames_change_nothing() {
    let mut host = Host::mp3();
    host.push(0);
    host.format = aac(48_000);
    host.push(0);
    assert_eq!((host.chunker.deadline(), host.out.len()), (None, 0));
    host.format = mp3(44_100);
    host.run_in();
    host.push(1);
    host.format = aac(48_000);
    host.push(0);
    assert_eq!(host.out, [], "the pending frame of another format still waits");
}

#[test]
fn finish_gives_every_frame_and_leaves_nothing_to_wait_for() {
    let mut host = Host::mp3();
    host.start_source();
    host.push(1);
    assert!(host.chunker.deadline().is_some());
    host.finish();
    assert_eq!((frame_numbers(&host.out), host.chunker.deadline()), (vec![0], None));
    host.finish();
    assert_eq!(host.out.len(), 1);
}
