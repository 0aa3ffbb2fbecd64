//! The original's dump format: written from a log, read back, and read as the original writes it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rewind::{DumpError, Log, Writer, dump};
use wire::icy::Metadata;

use crate::common::{START, end_of, framed, open};

const SEGMENT: Duration = Duration::from_secs(10);

fn bytes_of(log: &Arc<Log>) -> Bytes {
    dump::write(log).flatten().collect()
}

fn with_chunks(titles: &[&str], frames: usize) -> (Writer, Arc<Log>) {
    let (mut writer, log, _) = open(None);
    let mut time = START;
    for (number, title) in titles.iter().enumerate() {
        writer.set_metadata(Metadata { title: (*title).into(), url: String::new() }, time);
        let mut chunk = framed(number as u64, frames, time);
        chunk.starts_segment = number == 0;
        chunk.discontinuity = number == 0;
        writer.append(&chunk);
        time = end_of(&chunk);
    }
    (writer, log)
}

#[test]
fn a_dump_has_exactly_these_bytes() {
    let (_writer, log) = with_chunks(&["", "Ä \"b\""], 2);
    let [first, second] = [framed(0, 2, START), framed(1, 2, START)].map(|chunk| chunk.data);
    let header = concat!(
        r#"{"start_ts":"2025-11-24T16:00:00.000Z","end_ts":"2025-11-24T16:00:00.104Z","#,
        r#""secs_per_chunk":0.052244,"stream_key":"mp3-44100-128-s","hls":null}"#
    );
    let heads = [
        r#"{"ts":"2025-11-24T16:00:00.052Z","meta":{"StreamTitle":"Ä \"b\"","StreamUrl":""},"duration":52.244}"#,
        r#"{"ts":"2025-11-24T16:00:00.000Z","meta":{"StreamTitle":"","StreamUrl":""},"duration":52.244}"#,
    ];
    let mut wanted = (header.len() as u32).to_le_bytes().to_vec();
    wanted.extend_from_slice(header.as_bytes());
    for (head, data) in heads.into_iter().zip([second, first]) {
        wanted.push(head.len() as u8);
        wanted.extend_from_slice(head.as_bytes());
        wanted.extend_from_slice(&(data.len() as u16).to_le_bytes());
        wanted.extend_from_slice(&data);
    }
    assert_eq!(bytes_of(&log), wanted);
}

#[test]
fn an_empty_log_gives_no_bytes() {
    assert_eq!(bytes_of(&open(None).1), Bytes::new());
}

#[test]
fn a_dump_is_read_as_it_was_written_to_the_millisecond() {
    let (_writer, log) = with_chunks(&["one", "two", "two", "three"], 19);
    let read = dump::read(&bytes_of(&log), SEGMENT).unwrap();
    assert_eq!(read.skipped_bytes, 0);
    let truth: Vec<_> = log.chunks(rewind::Position(0)).collect();
    assert_eq!(read.chunks.len(), truth.len());
    for ((chunk, metadata), truth) in read.chunks.iter().zip(&truth) {
        assert_eq!(chunk.data, truth.data);
        assert_eq!((chunk.format, chunk.samples), (truth.format, truth.samples));
        assert_eq!(chunk.time.as_millis(), truth.time.as_millis());
        assert_eq!(chunk.discontinuity, truth.discontinuity);
        assert_eq!(chunk.starts_segment, truth.starts_segment);
        assert_eq!(metadata, &log.metadata_at(truth.position).metadata);
    }
    for pair in read.chunks.windows(2) {
        assert_eq!(end_of(&pair[0].0), pair[1].0.time, "one run");
    }
}

#[test]
fn a_loaded_dump_dumps_the_same_bytes_again() {
    let (_writer, log) = with_chunks(&["one", "two", "two", "three"], 19);
    let bytes = bytes_of(&log);
    let (mut other, other_log, _) = open(None);
    let prepended = other.load(&bytes).unwrap();
    assert_eq!(prepended.chunks, 4);
    // Times come back to the millisecond, so texts of durations differ; all else is equal.
    let (again, once) = (bytes_of(&other_log), bytes);
    let (again, once) = (dump::read(&again, SEGMENT).unwrap(), dump::read(&once, SEGMENT).unwrap());
    assert_eq!(again.chunks, once.chunks);
}

#[test]
fn long_titles_are_shortened_at_a_character_to_fit() {
    // Escapes double the quotes, and every ä has two bytes.
    for long in ["x".repeat(1_000), "ä".repeat(500), "\"".repeat(300), "\u{1}".repeat(200)] {
        let (_writer, log) = with_chunks(&[&long], 4);
        let read = dump::read(&bytes_of(&log), SEGMENT).unwrap();
        assert_eq!((read.chunks.len(), read.skipped_bytes), (1, 0));
        let title = &read.chunks[0].1.title;
        assert!(long.starts_with(title.as_str()), "{title:?}");
        // 123 bytes tell the rest; an escape or a character less than fits may be missing.
        let told = serde_json::to_string(title).unwrap().len() - 2;
        assert!((255 - 88 - 7..=255 - 88).contains(&told), "{told} bytes: {title:?}");
    }
    let (mut writer, log, _) = open(None);
    let metadata = Metadata { title: "t".repeat(300), url: "u".repeat(300) };
    writer.set_metadata(metadata.clone(), START);
    writer.append(&framed(0, 4, START));
    let read = dump::read(&bytes_of(&log), SEGMENT).unwrap();
    assert_eq!(read.chunks[0].1.title, "");
    assert!(metadata.url.starts_with(&read.chunks[0].1.url) && read.chunks[0].1.url.len() > 100);
}

#[test]
fn chunks_beyond_64_kib_are_split_between_frames() {
    for (frames, pieces) in [(156, 1), (157, 2), (400, 3)] {
        let (_writer, log) = with_chunks(&["big"], frames);
        let truth = framed(0, frames, START);
        let read = dump::read(&bytes_of(&log), SEGMENT).unwrap();
        assert_eq!((read.chunks.len(), read.skipped_bytes), (pieces, 0), "{} bytes", truth.data.len());
        let joined: Vec<u8> = read.chunks.iter().flat_map(|(chunk, _)| chunk.data.to_vec()).collect();
        assert_eq!(joined, truth.data);
        assert_eq!(read.chunks.iter().map(|(chunk, _)| chunk.samples).sum::<u32>(), truth.samples);
        assert!(read.chunks.iter().all(|(chunk, _)| chunk.data.len() <= 65_535));
    }
}

#[test]
fn chunks_join_where_their_times_meet_to_within_50_milliseconds() {
    // Milliseconds from the end of the first chunk of 496 to the start of the second.
    let cases = [(-52, None), (-49, Some(false)), (0, Some(false)), (50, Some(false)), (51, Some(true))];
    for (gap_ms, discontinuity) in cases {
        let (mut writer, log, _) = open(None);
        writer.append(&framed(0, 19, START));
        let header_bytes = 4 + u32::from_le_bytes(bytes_of(&log)[..4].try_into().unwrap()) as usize;
        let header = bytes_of(&log).slice(..header_bytes);
        let entry = |time: audio::Time| {
            let (mut writer, log, _) = open(None);
            writer.append(&framed(0, 19, time));
            bytes_of(&log).slice(header_bytes..)
        };
        let second = START.plus_micros(496_326 + gap_ms * 1_000);
        let dump = [header, entry(second), entry(START)].concat();
        let read = dump::read(&dump.into(), SEGMENT).unwrap();
        let found = read.chunks.get(1).map(|(chunk, _)| chunk.discontinuity);
        assert_eq!(found, discontinuity, "gap of {gap_ms} ms");
        assert_eq!(read.skipped_bytes > 0, discontinuity.is_none());
    }
}

/// A dump as the original writes it: segments in the header, durations with fractions, a gap.
fn of_the_original() -> Vec<u8> {
    let header = concat!(
        r#"{"start_ts":"2025-11-24T16:00:00.000Z","end_ts":"2025-11-24T16:00:31.000Z","secs_per_chunk":0.5,"#,
        r#""stream_key":"mp3-44100-128-s","hls":{"segmentMap":{"1764000000000":0},"segmentSeq":1,"segmentLen":10,"#,
        r#""segmentPTS":0,"discontinuitySeq":0,"nextSegment":null}}"#
    );
    let mut dump = (header.len() as u32).to_le_bytes().to_vec();
    dump.extend_from_slice(header.as_bytes());
    for (number, ts) in [(2, "16:00:30.500"), (1, "16:00:00.497"), (0, "16:00:00.000")] {
        let head =
            format!(r#"{{"ts":"2025-11-24T{ts}Z","meta":{{"StreamTitle":"T{number}"}},"duration":496.326}}"#);
        let data = framed(number, 19, START).data;
        dump.push(head.len() as u8);
        dump.extend_from_slice(head.as_bytes());
        dump.extend_from_slice(&(data.len() as u16).to_le_bytes());
        dump.extend_from_slice(&data);
    }
    dump
}

#[test]
fn a_dump_of_the_original_is_read() {
    let read = dump::read(&of_the_original().into(), SEGMENT).unwrap();
    let facts: Vec<_> = read
        .chunks
        .iter()
        .map(|(chunk, metadata)| {
            let offset_us = chunk.time.micros_since(START);
            (offset_us, chunk.span_us, chunk.starts_segment, chunk.discontinuity, metadata.title.as_str())
        })
        .collect();
    assert_eq!(
        facts,
        [
            (0, 497_000, true, true, "T0"),
            (497_000, 496_326, false, false, "T1"),
            (30_500_000, 496_326, true, true, "T2"),
        ]
    );
}

#[test]
fn a_torn_dump_gives_its_newest_chunks() {
    let whole = of_the_original();
    let header_bytes = 4 + u32::from_le_bytes(whole[..4].try_into().unwrap()) as usize;
    for length in 0..whole.len() {
        let read = dump::read(&Bytes::copy_from_slice(&whole[..length]), SEGMENT);
        match read {
            Err(error) => assert!(length < header_bytes, "{length}: {error}"),
            Ok(read) => {
                let titles: Vec<_> =
                    read.chunks.iter().map(|(_, metadata)| metadata.title.as_str()).collect();
                assert!(["T0", "T1", "T2"].ends_with(&titles) && titles.len() < 3, "{length}: {titles:?}");
            }
        }
    }
}

#[test]
fn garbage_is_refused_or_left_out() {
    let read = |bytes: &[u8]| dump::read(&Bytes::copy_from_slice(bytes), SEGMENT);
    assert!(matches!(read(b""), Err(DumpError::Short { bytes: 0 })));
    assert!(matches!(read(b"\xff\xff\xff\xffx"), Err(DumpError::HeaderLength { bytes: 0xffff_ffff })));
    let longest = (16 * 1024 * 1024_u32).to_le_bytes();
    assert!(matches!(read(&longest), Err(DumpError::Short { bytes: 4 })));
    let longer = (16 * 1024 * 1024_u32 + 1).to_le_bytes();
    assert!(matches!(read(&longer), Err(DumpError::HeaderLength { bytes: 0x0100_0001 })));
    assert!(matches!(read(b"\x03\0\0\0abc"), Err(DumpError::Header(_))));
    assert!(matches!(read(b"\x02\0\0\0{}"), Err(DumpError::Header(_))));
    let mut whole = of_the_original();
    // What is told of the newest chunk is no JSON any more; the others are.
    let header_bytes = 4 + u32::from_le_bytes(whole[..4].try_into().unwrap()) as usize;
    whole[header_bytes + 1] = b'!';
    let read = read(&whole).unwrap();
    assert_eq!(read.chunks.len(), 2);
    assert!(read.skipped_bytes > 7_000);
}

#[test]
fn audio_that_is_none_is_left_out() {
    let mut whole = of_the_original();
    let len = whole.len();
    // The oldest chunk stands last.
    whole[len - 5_000..].fill(0);
    let read = dump::read(&whole.into(), SEGMENT).unwrap();
    let total: usize = read.chunks.iter().map(|(chunk, _)| chunk.data.len()).sum();
    assert!(read.skipped_bytes >= 5_000, "{}", read.skipped_bytes);
    assert!(read.chunks.iter().all(|(chunk, _)| chunk.data.len() as u64 <= 7_932));
    assert!(total as u64 + read.skipped_bytes >= 3 * 7_932);
}

#[test]
fn a_dump_behind_live_audio_is_joined_and_counted() {
    let (mut writer, log, _) = open(None);
    let live = framed(9, 19, START.plus_micros(60_000_000));
    writer.append(&live);
    let prepended = writer.load(&of_the_original().into()).unwrap();
    assert_eq!((prepended.chunks, prepended.bytes), (3, log.span().unwrap().bytes - live.data.len() as u64));
    assert_eq!(log.span().unwrap().start, START);
    assert!(matches!(writer.load(&of_the_original().into()), Err(DumpError::Prepend(_))));
}

#[test]
fn a_span_is_dumped_with_its_discontinuities_and_formats_from_whole_frames_on() {
    let (mut writer, log, _) = open(None);
    let mut time = START;
    for number in 0..6 {
        writer.set_metadata(Metadata { title: format!("title {}", number / 2), url: "u".into() }, time);
        let mut chunk = framed(number, 4, time);
        chunk.discontinuity = number == 3;
        chunk.starts_segment = number == 3;
        writer.append(&chunk);
        time = end_of(&chunk);
    }
    // From the second frame of the second chunk on, and before the third of the last.
    let frame_us = 26_123;
    let from = log.position_of_time(START.plus_micros(5 * frame_us - 5));
    let to = log.position_of_time(START.plus_micros(22 * frame_us - 20));
    let whole: Vec<_> = log.chunks_between(from.position, to.position).collect();
    assert_eq!(whole[0].position, from.position);
    assert_eq!(whole[4].end(), to.position);
    assert_eq!(whole.iter().map(|chunk| chunk.samples / 1_152).collect::<Vec<_>>(), [3, 4, 4, 4, 2]);
    assert!(log.chunks_between(to.position, from.position).next().is_none());

    let bytes: Bytes = dump::write_span(&log, from.position, to.position).flatten().collect();
    let (mut copy, copied, _) = open(None);
    copy.prepend_lasting(dump::read(&bytes, SEGMENT).unwrap().chunks).unwrap();
    let found: Vec<_> = copied.chunks(rewind::Position(0)).collect();
    let audio =
        |chunks: &[rewind::ChunkRef]| chunks.iter().flat_map(|it| it.data.to_vec()).collect::<Vec<_>>();
    assert_eq!(audio(&found), audio(&whole));
    let breaks: Vec<bool> = found.iter().map(|chunk| chunk.discontinuity).collect();
    assert_eq!(breaks, [true, false, true, false, false], "the oldest continues nothing");
    let titles: Vec<String> =
        found.iter().map(|chunk| copied.metadata_at(chunk.position).metadata.title.clone()).collect();
    assert_eq!(titles, ["title 0", "title 1", "title 1", "title 2", "title 2"]);
    for (copy, chunk) in found.iter().zip(&whole) {
        assert_eq!(copy.time.as_millis(), chunk.time.as_millis());
    }
}
