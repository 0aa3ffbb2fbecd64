//! Older audio put behind the live one.

use audio::Time;
use rewind::{Position, PrependError, SegmentSeq};
use wire::icy::Metadata;

use crate::common::{AAC, START, chunk, chunks, expected, open, read_from, seconds};

fn titled(number: u64, title: &str) -> (audio::Chunk, Metadata) {
    (chunk(number, 1_000), Metadata { title: title.into(), url: String::new() })
}

#[test]
fn older_audio_gets_the_positions_and_numbers_below() {
    let dir = tempfile::tempdir().unwrap();
    for place in [None, Some(dir.path())] {
        let (mut writer, log, _) = open(place);
        writer.set_metadata(titled(0, "live").1, seconds(40));
        writer.append(&chunk(40, 1_000));
        let before = log.segments().unwrap();
        let older =
            (15..40).map(|number| titled(number, if number < 30 { "older" } else { "later" })).collect();
        let prepended = writer.prepend(older).unwrap();
        assert_eq!((prepended.chunks, prepended.seconds, prepended.bytes), (25, 25.0, 25_000));

        let first = Position::FRESH.0 - 25_000;
        let check = |log: &rewind::Log| {
            let wanted: Vec<_> = (15..41)
                .map(|number| expected(&chunk(number, 1_000), Position(first + (number - 15) * 1_000)))
                .collect();
            assert_eq!(chunks(log), wanted);
            let all: Vec<u8> = wanted.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
            assert_eq!(read_from(log, Position(first)), all);
            let span = log.span().unwrap();
            assert_eq!((span.start, span.bytes, span.duration_us), (seconds(15), 26_000, 26_000_000));
            let segments = log.segments().unwrap();
            assert_eq!(
                (segments.last, segments.last_time),
                (before.last, before.last_time),
                "live numbers stay"
            );
            assert_eq!((segments.first, segments.first_time), (SegmentSeq(before.first.0 - 2), seconds(20)));
            assert_eq!(segments.count, 3);
            for (number, title) in [(15, "older"), (29, "older"), (30, "later"), (39, "later"), (40, "live")]
            {
                let position = log.find(seconds(number));
                assert_eq!(log.metadata_at(position).metadata.title, title, "second {number}");
            }
            assert_eq!(log.metadata().title, "live");
        };
        check(&log);
        drop((writer, log));
        if place.is_some() {
            check(&open(place).1);
        }
    }
}

#[test]
fn a_log_without_audio_takes_it_before_its_edge() {
    let (mut writer, log, _) = open(None);
    writer.prepend((10..30).map(|number| titled(number, "dump")).collect()).unwrap();
    assert_eq!(log.edge(), rewind::Edge { position: Position::FRESH, time: seconds(30) });
    assert_eq!(writer.last_end(), Some(seconds(30)));
    assert_eq!(writer.append(&chunk(30, 1_000)).position, Position::FRESH);
    let segments = log.segments().unwrap();
    assert_eq!((segments.first, segments.count), (SegmentSeq(START.0 as u64 / 10_000_000 + 1), 3));
}

#[test]
fn two_dumps_go_one_behind_the_other() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(90, 1_000));
    writer.prepend((60..90).map(|number| titled(number, "second")).collect()).unwrap();
    writer.prepend((30..60).map(|number| titled(number, "first")).collect()).unwrap();
    let times: Vec<_> = chunks(&log).iter().map(|chunk| chunk.time).collect();
    assert_eq!(times, (30..91).map(seconds).collect::<Vec<_>>());
    assert_eq!(log.metadata_at(Position(0)).metadata.title, "first");
}

#[test]
fn what_overlaps_or_is_too_old_is_left_out() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(200, 1_000));
    // A hundred seconds are kept; the chunk of second 100 ends just within them.
    let prepended = writer.prepend((90..205).map(|number| titled(number, "")).collect()).unwrap();
    assert_eq!(prepended.chunks, 100);
    assert_eq!(log.span().unwrap().start, seconds(100));
    let again = writer.prepend((100..205).map(|number| titled(number, "")).collect());
    assert_eq!(again, Err(PrependError::NothingOlder));
    assert_eq!(writer.prepend(Vec::new()), Err(PrependError::NothingOlder));
}

#[test]
fn mixed_formats_get_blocks_of_their_own() {
    let (mut writer, log, _) = open(None);
    writer.append(&chunk(50, 1_000));
    let mut older: Vec<_> = (10..30).map(|number| titled(number, "")).collect();
    older[7].0.format = AAC;
    writer.prepend(older).unwrap();
    assert_eq!(log.usage().blocks, 4);
    assert_eq!(chunks(&log)[7].format, AAC);
}

#[test]
fn numbers_may_not_suffice_below() {
    let (mut writer, log, _) = open(None);
    let live = audio::Chunk { time: Time(9_000_000), starts_segment: true, ..chunk(0, 1_000) };
    writer.append(&live);
    assert_eq!(log.segments().unwrap().first, SegmentSeq(0));
    let older = audio::Chunk { time: Time(1_000_000), ..chunk(0, 1_000) };
    let refused = writer.prepend(vec![(older, Metadata::default())]);
    assert_eq!(refused, Err(PrependError::NoRoom { bytes: 1_000, first: Position::FRESH }));
    assert_eq!(chunks(&log).len(), 1);
}
