//! How large blocks are, and what a disk that hangs does to the audio.

use audio::{Codec, Format};
use bytes::Bytes;

use super::*;

#[test]
fn blocks_are_a_hundredth_of_the_buffer_within_bounds() {
    let format =
        Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 128 };
    let second = |bytes: usize| Chunk {
        format,
        time: Time(0),
        span_us: 1_000_000,
        samples: 48_000,
        starts_segment: false,
        discontinuity: false,
        data: Bytes::from(vec![0; bytes]),
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let cases = [
        // 8 hours of 128 kbit/s are 460.8 MB.
        (hours(8), u64::MAX, 16_000, 3_600_000),
        (hours(8), 128_000_000, 16_000, 1_000_000),
        (Duration::ZERO, u64::MAX, 16_000, 262_144),
        (Duration::from_secs(2_097), u64::MAX, 16_000, 262_144),
        (Duration::from_secs(2_098), u64::MAX, 16_000, 262_250),
        (hours(24 * 365), u64::MAX, 16_000, 16_777_216),
        (Duration::MAX, u64::MAX, 16_000, 16_777_216),
        (Duration::ZERO, 0, 300_000, 300_000),
    ];
    for (keep, bytes_max, chunk_bytes, wanted) in cases {
        assert_eq!(block_bytes(keep, bytes_max, &second(chunk_bytes)), wanted, "{keep:?} {bytes_max}");
    }
    let nothing_told = Chunk { samples: 0, ..second(1) };
    assert_eq!(block_bytes(hours(8), u64::MAX, &nothing_told), 16_777_216);
}

const FORMAT: Format =
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 128 };

/// Chunk `number` of a second each; its bytes are that number.
fn numbered(number: u8) -> Chunk {
    Chunk {
        format: FORMAT,
        time: Time(i64::from(number) * 1_000_000),
        span_us: 1_000_000,
        samples: 48_000,
        starts_segment: number == 0,
        discontinuity: number == 0,
        data: Bytes::from(vec![number; 100_000]),
    }
}

/// The chunks of `log` by their numbers, each with its true bytes.
fn numbers(log: &Log) -> Vec<u8> {
    let found = log.chunks(Position(0));
    found.map(|chunk| (0..=u8::MAX).find(|number| chunk.data == numbered(*number).data).unwrap()).collect()
}

fn open(dir: &std::path::Path) -> (Writer, Arc<Log>, Recovery) {
    let config = Config {
        key: "test".into(),
        dir: Some(dir.to_owned()),
        keep: Duration::from_secs(5),
        bytes_max: u64::MAX,
        segment: Duration::from_secs(10),
    };
    Log::open(config, Time(0)).unwrap()
}

#[test]
fn audio_goes_on_in_memory_while_the_disk_hangs_and_back_to_it_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(dir.path());
    let disk = writer.store.disk();
    // A block holds two of them.
    (0..3).for_each(|number| {
        writer.append(&numbered(number));
    });
    let hangs = disk.hang();
    for number in 3..9 {
        writer.append(&numbered(number));
        assert_eq!(numbers(&log).last(), Some(&number), "at once");
        assert_eq!(writer.health().problem(), Some("the disk does not answer"));
    }
    writer.set_metadata(Metadata { title: "said meanwhile".into(), url: String::new() }, Time(9_000_000));
    // More than is kept is evicted, on disk or not.
    assert_eq!(numbers(&log), [3, 4, 5, 6, 7, 8]);

    drop(hangs);
    disk.settle();
    (9..12).for_each(|number| {
        writer.append(&numbered(number));
    });
    assert_eq!(writer.health(), &Health::Good);
    assert_eq!(numbers(&log), [5, 6, 7, 8, 9, 10, 11]);
    let positions: Vec<u64> =
        log.chunks(Position(0)).map(|chunk| chunk.position.0 - Position::FRESH.0).collect();
    assert_eq!(positions, [5, 6, 7, 8, 9, 10, 11].map(|number| number * 100_000));

    // What was on disk before has been deleted, what landed late is cut, and what came later is there.
    drop((writer, disk));
    let (_, log, recovery) = open(dir.path());
    assert_eq!(recovery.findings, []);
    assert_eq!(numbers(&log), [9, 10, 11]);
    assert_eq!(log.metadata().title, "said meanwhile");
}

#[test]
fn blocks_in_memory_for_want_of_the_directory_are_small() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(dir.path());
    writer.set_keep(Duration::from_secs(24 * 3_600), u64::MAX);
    let disk = writer.store.disk();
    let hangs = disk.hang();
    // 8.64 GB are kept in blocks of 16 MiB; an eighth of one holds 20 of these.
    (0..41).for_each(|number| {
        writer.append(&numbered(number));
    });
    assert_eq!(log.usage().blocks, 3);
    drop(hangs);
    disk.settle();
    (41..61).for_each(|number| {
        writer.append(&numbered(number));
    });
    assert_eq!((log.usage().blocks, writer.health()), (4, &Health::Good));
}

#[test]
fn a_chunk_that_lands_late_is_not_there_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log, _) = open(dir.path());
    let disk = writer.store.disk();
    writer.append(&numbered(0));
    let hangs = disk.hang();
    writer.append(&numbered(1));
    drop(hangs);
    disk.settle();
    assert_eq!(numbers(&log), [0, 1]);
    assert_eq!(log.usage().blocks, 2);
    drop((writer, disk));
    let (_, log, recovery) = open(dir.path());
    assert_eq!((numbers(&log), recovery.findings), (vec![0], vec![]));
}
