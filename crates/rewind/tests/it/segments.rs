//! Whole segments as they are listed: against the chunks of the log, one by one, wherever blocks end.

use rewind::{Log, Position, Segment, SegmentList, SegmentSeq};

use crate::common::{AAC, BLOCK_BYTES, MP3, chunk, chunks, config, end_of, flip, open, seconds};

const MARGIN_US: i64 = 30_000_000;

/// The whole segments by going through all chunks.
fn by_chunks(log: &Log) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    let first = log.segments().unwrap().first;
    let mut samples_before = 0;
    for chunk in chunks(log) {
        if chunk.starts_segment {
            let last = all.last();
            let changed = last.is_some_and(|last| !last.format.continues_as(&chunk.format));
            samples_before = if changed { 0 } else { samples_before };
            all.push(Segment {
                seq: last.map_or(first, |last| SegmentSeq(last.seq.0 + 1)),
                start: chunk.position,
                end: chunk.position,
                samples: 0,
                time: chunk.time,
                end_time: chunk.time,
                format: chunk.format,
                pts: 0,
                samples_before,
                discontinuity: chunk.discontinuity,
                discontinuity_seq: 0,
            });
        }
        samples_before += u64::from(chunk.samples);
        let Some(segment) = all.last_mut() else { continue };
        segment.end = chunk.end();
        segment.samples += u64::from(chunk.samples);
        segment.end_time = chunk.end_time();
    }
    all.pop_if(|last| last.end_time.0 / 10_000_000 == last.time.0 / 10_000_000);
    all
}

/// The same without what goes through all chunks cannot know.
fn without_bases(segment: &Segment, base: &Segment) -> Segment {
    let samples_before = segment.samples_before.saturating_sub(base.samples_before);
    Segment { pts: 0, discontinuity_seq: 0, samples_before, ..*segment }
}

#[test]
fn listed_segments_are_what_the_chunks_say() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    for number in 3..95 {
        let mut chunk = chunk(number, BLOCK_BYTES / 7);
        chunk.discontinuity = number == 47;
        chunk.starts_segment |= number == 47;
        writer.append(&chunk);
    }
    let check = |log: &Log| {
        let listed = log.list_segments(SegmentSeq(0), usize::MAX).whole;
        let wanted = by_chunks(log);
        assert_eq!(listed.len(), 9);
        let base = |segments: &[Segment]| segments[0];
        for (listed_one, wanted_one) in listed.iter().zip(&wanted) {
            assert_eq!(
                without_bases(listed_one, &base(&listed)),
                without_bases(wanted_one, &base(&wanted)),
                "segment {}",
                wanted_one.seq
            );
        }
        for pair in listed.windows(2) {
            assert_eq!((pair[0].end, pair[0].seq.0 + 1), (pair[1].start, pair[1].seq.0));
            assert_eq!(pair[1].pts - pair[0].pts, pair[0].samples * 90_000 / 44_100);
            let step = u64::from(pair[1].discontinuity);
            assert_eq!(pair[1].discontinuity_seq - pair[0].discontinuity_seq, step);
        }
        assert_eq!(listed.iter().filter(|segment| segment.discontinuity).count(), 1);
        assert_eq!(listed[0].time, seconds(10));
        for (nth, segment) in listed.iter().enumerate() {
            assert_eq!(log.segment(segment.seq), Some(*segment));
            assert_eq!(log.list_segments(segment.seq, 2).whole, listed[nth..(nth + 2).min(listed.len())]);
        }
        let last = listed[listed.len() - 1].seq.0;
        assert_eq!(log.segment(SegmentSeq(last + 1)), None, "it still grows");
        assert_eq!(log.segment(SegmentSeq(listed[0].seq.0 - 1)), None);
        listed
    };
    let before = check(&log);
    drop((writer, log));
    let (_writer, log, _) = open(Some(dir.path()));
    assert_eq!(check(&log), before, "the same after a restart");
}

#[test]
fn another_format_counts_its_samples_from_zero_and_its_time_stamps_on() {
    let (mut writer, log, _) = open(None);
    for number in 0..40 {
        let mut chunk = chunk(number, 1_000);
        if number >= 20 {
            (chunk.format, chunk.samples) = (AAC, 48_000);
            chunk.discontinuity = number == 20;
        }
        writer.append(&chunk);
    }
    let listed = log.list_segments(SegmentSeq(0), 10).whole;
    assert_eq!(listed[0].pts as i64, listed[0].time.0 * 9 / 100, "from the clock");
    let pts = |segment: &Segment| segment.pts - listed[0].pts;
    let told = |segment: &Segment| (segment.format, segment.samples_before, pts(segment));
    assert_eq!(
        listed.iter().map(told).collect::<Vec<_>>(),
        [(MP3, 0, 0), (MP3, 441_000, 900_000), (AAC, 0, 1_800_000), (AAC, 480_000, 2_700_000)]
    );
    assert_eq!(listed[2].duration_us(), 10_000_000);
}

#[test]
fn the_segment_that_grows_is_what_the_chunks_since_its_start_say() {
    let (mut writer, log, _) = open(None);
    assert_eq!(log.list_segments(SegmentSeq(0), 10), SegmentList::default());
    for number in 0..35 {
        let chunk = chunk(number, BLOCK_BYTES / 7);
        let position = writer.append(&chunk).position;
        let SegmentList { whole, growing, next } = log.list_segments(SegmentSeq(0), 10);
        assert_eq!(next.0, log.segments().unwrap().first.0 + (number + 1) / 10);
        assert_eq!(whole.len() as u64, (number + 1) / 10);
        let Some(growing) = growing else {
            assert_eq!(
                number % 10,
                9,
                "its time is over: another one begins with the next chunk, whatever that is"
            );
            continue;
        };
        assert!(whole.last().is_none_or(|last| (last.seq.0 + 1, last.end) == (growing.seq.0, growing.start)));
        assert_eq!(growing.samples, (number % 10 + 1) * 44_100);
        assert_eq!((growing.time, growing.end_time), (seconds((number / 10 * 10) as i64), end_of(&chunk)));
        assert_eq!(growing.end, position.plus(chunk.data.len() as u64));
        let rest = |growing| SegmentList { whole: Vec::new(), growing, next };
        assert_eq!(log.list_segments(next, 1), rest(Some(growing)));
        assert_eq!(log.list_segments(SegmentSeq(next.0 + 1), 1), rest(None));
    }
    let growing = log.list_segments(SegmentSeq(0), 10).growing;
    writer.append(&chunk(40, 100));
    let whole = log.list_segments(growing.unwrap().seq, 10).whole;
    assert_eq!(whole, [growing.unwrap()], "an early end, as it was when its last chunk had come");
}

#[test]
fn a_margin_leaves_out_what_goes_within_it() {
    let (mut writer, log, _) = open(None);
    let keep_us = config(None).keep.as_micros() as i64;
    let mut shown_until = std::collections::HashMap::new();
    for number in 0..400 {
        writer.append(&chunk(number, 20_000));
        let now = number as i64 + 1;
        let first = log.first_lasting_segment(keep_us, u64::MAX, MARGIN_US).unwrap();
        let there = log.segments().unwrap().first;
        let last = log.segments().unwrap().last;
        for seq in first.0..=last.0 {
            shown_until.insert(seq, now);
        }
        // What is gone was last shown long ago.
        let gone = shown_until.iter().filter(|(seq, _)| **seq < there.0);
        assert!(gone.clone().all(|(_, until)| now - until >= 30), "{number}: {shown_until:?}");
        shown_until.retain(|seq, _| *seq >= there.0);
    }
}

#[test]
fn segments_of_the_block_that_goes_next_are_not_lasting() {
    let (mut writer, log, _) = open(None);
    let (keep_us, bytes_max) = (config(None).keep.as_micros() as i64, u64::MAX);
    assert_eq!(log.first_lasting_segment(keep_us, bytes_max, MARGIN_US), None);
    let mut last = None;
    for number in 0..400 {
        writer.append(&chunk(number, 20_000));
        let first = log.first_lasting_segment(keep_us, bytes_max, MARGIN_US);
        assert!(first >= last, "{first:?} after {last:?}");
        let all = log.segments().unwrap();
        assert!(first.unwrap() <= all.last);
        // Blocks are of thirteen chunks.
        if number < 70 + 13 - 1 {
            assert_eq!(first, Some(all.first), "nothing goes yet");
        }
        if let Some(listed) = last.and_then(|_| log.list_segments(first.unwrap(), 1).whole.pop()) {
            assert!(listed.seq == first.unwrap());
        }
        last = first;
    }
    assert!(last.unwrap() > log.segments().unwrap().first);
    let full = log.span().unwrap().bytes;
    assert!(log.first_lasting_segment(i64::MAX / 2, full, MARGIN_US) > Some(log.segments().unwrap().first));
    assert_eq!(
        log.first_lasting_segment(i64::MAX / 2, u64::MAX, MARGIN_US),
        Some(log.segments().unwrap().first)
    );
}

/// Numbers of the whole segments, counted from `first`, and whether each continues the one before.
fn told(whole: &[Segment], first: SegmentSeq) -> Vec<(u64, bool)> {
    whole.iter().map(|segment| (segment.seq.0 - first.0, !segment.discontinuity)).collect()
}

#[test]
fn a_segment_of_which_a_part_is_lost_is_not_listed_and_numbers_go_on() {
    // The damage is in the middle of a segment, at its start, and in the one that grew.
    for (damaged, whole) in [(17, 1), (20, 2), (33, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, log, _) = open(Some(dir.path()));
        for number in 0..35 {
            writer.append(&chunk(number, 100));
        }
        let (before, first) = (log.list_segments(SegmentSeq(0), 10), log.segments().unwrap().first);
        drop((writer, log));
        flip(dir.path(), Position::FRESH, "mp3", damaged * 100);

        let (mut writer, log, recovery) = open(Some(dir.path()));
        assert_eq!(recovery.chunks, damaged as u64);
        let next = SegmentSeq(first.0 + 4);
        let mended = log.list_segments(SegmentSeq(0), 10);
        let whole = &before.whole[..whole];
        assert_eq!(mended, SegmentList { whole: whole.to_vec(), growing: None, next });
        for segment in &before.whole[whole.len()..] {
            assert_eq!(log.segment(segment.seq), None);
        }
        for number in 60..85 {
            let discontinuity = number == 60;
            writer.append(&audio::Chunk { discontinuity, ..chunk(number, 100) });
        }
        let listed = log.list_segments(SegmentSeq(0), 10);
        let mut wanted = told(whole, first);
        wanted.extend([(4, false), (5, true)]);
        assert_eq!(told(&listed.whole, first), wanted);
        assert_eq!((listed.growing.unwrap().seq.0, listed.next.0), (first.0 + 6, first.0 + 6));
        // The same from the middle on.
        assert_eq!(log.segment(next), Some(listed.whole[whole.len()]));
        assert_eq!(log.list_segments(SegmentSeq(first.0 + 1), 1).whole, listed.whole[1..2]);
    }
}

#[test]
fn what_follows_a_lost_block_is_told_as_a_discontinuity() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(Some(dir.path()));
    // Two in a block.
    for number in 0..55 {
        writer.append(&chunk(number, 100_000));
    }
    let (before, first) = (log.list_segments(SegmentSeq(0), 10), log.segments().unwrap().first);
    let lost = chunks(&log)[24].position;
    drop((writer, log));
    flip(dir.path(), lost, "idx", 20);

    let (_writer, log, recovery) = open(Some(dir.path()));
    assert_eq!(recovery.chunks, 53);
    let listed = log.list_segments(SegmentSeq(0), 10);
    assert_eq!(told(&listed.whole, first), [(0, false), (1, true), (3, false), (4, true)]);
    assert_eq!((listed.growing, listed.next), (before.growing, before.next));
    for from in 0..6 {
        let rest: Vec<Segment> =
            listed.whole.iter().filter(|segment| segment.seq.0 >= first.0 + from).copied().collect();
        assert_eq!(log.list_segments(SegmentSeq(first.0 + from), 10).whole, rest);
    }
}
