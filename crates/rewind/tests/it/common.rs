//! Audio for the tests, known by its number, and logs to put it into. No checks of single facts here.

use std::{path::Path, sync::Arc, time::Duration};

use audio::{Chunk, Codec, Format, Time};
use bytes::Bytes;
use rewind::{ChunkRef, Config, Log, Position, Recovery, Writer};

/// Some Wednesday, at a multiple of ten seconds.
pub const START: Time = Time(1_764_000_000_000_000);
pub const SECOND_US: i64 = 1_000_000;
/// What blocks hold where a hundred seconds take less than 128 of them.
pub const BLOCK_BYTES: usize = 256 * 1024;

pub const MP3: Format =
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 128 };
pub const AAC: Format =
    Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 0 };

pub fn config(dir: Option<&Path>) -> Config {
    Config {
        key: "test".into(),
        dir: dir.map(Path::to_path_buf),
        keep: Duration::from_secs(100),
        bytes_max: u64::MAX,
        segment: Duration::from_secs(10),
    }
}

pub fn open(dir: Option<&Path>) -> (Writer, Arc<Log>, Recovery) {
    Log::open(config(dir), START).unwrap()
}

pub fn seconds(seconds: i64) -> Time {
    START.plus_micros(seconds * SECOND_US)
}

/// Bytes that no other chunk has, nor another place of this one.
pub fn content(number: u64, len: usize) -> Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(byte).collect()
}

/// Chunk `number` of one second each, with `len` bytes of no real frames.
pub fn chunk(number: u64, len: usize) -> Chunk {
    Chunk {
        format: MP3,
        time: seconds(number as i64),
        span_us: SECOND_US as u32,
        samples: 44_100,
        starts_segment: number.is_multiple_of(10),
        discontinuity: number == 0,
        data: content(number, len),
    }
}

/// A chunk of `frames` true frames of 128 kbit/s from `time` on.
pub fn framed(number: u64, frames: usize, time: Time) -> Chunk {
    let mut data = Vec::new();
    for frame in 0..frames {
        let padding = frame % 2;
        let mut body: Vec<u8> = content(number * 1_000 + frame as u64, 413 + padding).to_vec();
        // No byte of a body can be taken for a header.
        body.iter_mut().for_each(|byte| *byte &= 0x7f);
        data.extend_from_slice(&[0xff, 0xfb, 0x90 | (padding as u8) << 1, 0x00]);
        data.extend_from_slice(&body);
    }
    let samples = 1_152 * frames as u32;
    Chunk {
        format: MP3,
        time,
        span_us: MP3.micros(u64::from(samples)) as u32,
        samples,
        starts_segment: false,
        discontinuity: false,
        data: data.into(),
    }
}

pub fn end_of(chunk: &Chunk) -> Time {
    chunk.time.plus_micros(i64::from(chunk.span_us))
}

/// All chunks of a log.
pub fn chunks(log: &Log) -> Vec<ChunkRef> {
    log.chunks(Position(0)).collect()
}

/// What was appended, as the log should give it.
pub fn expected(chunk: &Chunk, position: Position) -> ChunkRef {
    ChunkRef {
        position,
        time: chunk.time,
        span_us: chunk.span_us,
        samples: chunk.samples,
        format: chunk.format,
        starts_segment: chunk.starts_segment,
        discontinuity: chunk.discontinuity,
        data: chunk.data.clone(),
    }
}

/// Everything from `position` to the live edge, as a cursor gives it.
pub fn read_from(log: &Log, position: Position) -> Vec<u8> {
    let mut cursor = log.cursor(position).cursor;
    let upto = log.edge().position;
    std::iter::from_fn(|| cursor.next(log, upto)).flat_map(|run| run.data.to_vec()).collect()
}

/// Flips a bit of byte `at` in a file of the block at `position`.
pub fn flip(dir: &Path, position: Position, extension: &str, at: usize) {
    let path = dir.join("test").join(format!("{:020}.{extension}", position.0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Names of the files in a stream's directory, but for the lock and the edge that is kept.
pub fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("test"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && name != "edge.json")
        .collect();
    names.sort();
    names
}
