//! A simulated host and source: two clocks that only move when told, and frames whose bytes tell their number.

use std::time::Duration;

use audio::{Batch, Chunk, ChunkConfig, Chunker, Codec, Format, Frame, Mono, Now, Time};
use bytes::{Bytes, BytesMut};

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;
pub const HOUR: u64 = 3_600 * SECOND;
/// Bytes of every frame made here: its number, twice.
pub const FRAME_BYTES: usize = 16;
/// The monotonic clock at the start of each simulation.
pub const BOOT: u64 = 1_000 * SECOND;
/// The wall clock then: 3 s after a multiple of ten seconds.
pub const START: Time = Time(1_790_000_003_000_000);

pub const fn mp3(sample_rate_hz: u32) -> Format {
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz, channels: 2, bitrate_kbps: 128 }
}

pub const fn aac(sample_rate_hz: u32) -> Format {
    Format { codec: Codec::Aac, profile: 2, sample_rate_hz, channels: 2, bitrate_kbps: 0 }
}

pub const CONFIG: ChunkConfig =
    ChunkConfig { chunk: Duration::from_millis(500), segment: Duration::from_secs(10) };

/// One source at a time, one chunker, two clocks.
pub struct Host {
    pub chunker: Chunker,
    pub out: Vec<Chunk>,
    pub now: Now,
    pub format: Format,
    /// Samples of each frame.
    pub frame_samples: u32,
    /// Frames made so far, by all sources.
    pub made: u64,
}

impl Host {
    pub fn new(format: Format, frame_samples: u32) -> Self {
        Host::resuming(format, frame_samples, None)
    }

    pub fn resuming(format: Format, frame_samples: u32, resume_after: Option<Time>) -> Self {
        Host {
            chunker: Chunker::new(CONFIG, resume_after),
            out: Vec::new(),
            now: Now { mono: Mono(BOOT), wall: START },
            format,
            frame_samples,
            made: 0,
        }
    }

    /// 44.1 kHz MP3: 26.12 ms a frame.
    pub fn mp3() -> Self {
        Host::new(mp3(44_100), 1_152)
    }

    /// ADTS at 8 kHz with frames of exactly 128 ms: round numbers for tests at a bound.
    pub fn round() -> Self {
        Host::new(aac(8_000), 1_024)
    }

    /// Both clocks go on by so much; the chunker is polled when it wants to be.
    pub fn pass(&mut self, us: u64) {
        let end = Mono(self.now.mono.0 + us);
        while let Some(deadline) = self.chunker.deadline().filter(|deadline| *deadline <= end) {
            self.tick(deadline.0.saturating_sub(self.now.mono.0));
            self.chunker.poll(self.now, &mut self.out);
        }
        self.tick(end.0 - self.now.mono.0);
    }

    /// Both clocks go on by so much, and nobody polls.
    pub fn tick(&mut self, us: u64) {
        self.now.mono.0 += us;
        self.now.wall.0 += us as i64;
    }

    /// The wall clock alone is set.
    pub fn step_wall(&mut self, by_us: i64) {
        self.now.wall = self.now.wall.plus_micros(by_us);
    }

    pub fn start_source(&mut self) {
        self.chunker.source_started(self.now, &mut self.out);
    }

    pub fn finish(&mut self) {
        self.chunker.finish(self.now, &mut self.out);
    }

    pub fn batch(&mut self, frames: usize) -> Batch {
        let mut data = BytesMut::with_capacity(frames * FRAME_BYTES);
        for _ in 0..frames {
            data.extend_from_slice(&self.made.to_le_bytes());
            data.extend_from_slice(&self.made.to_le_bytes());
            self.made += 1;
        }
        let frame = Frame { len: FRAME_BYTES as u32, samples: self.frame_samples };
        Batch { format: self.format, data: data.freeze(), frames: vec![frame; frames] }
    }

    pub fn push(&mut self, frames: usize) {
        let batch = self.batch(frames);
        self.chunker.push(&batch, self.now, &mut self.out);
    }

    /// Audio of so many frames, in microseconds, rounded down.
    pub fn media_us(&self, frames: u64) -> u64 {
        self.format.micros(frames * u64::from(self.frame_samples))
    }

    /// Frames arrive one by one in real time: each at the moment its audio ends, counted from now.
    pub fn play(&mut self, frames: u64) {
        for k in 0..frames {
            self.pass(self.media_us(k + 1) - self.media_us(k));
            self.push(1);
        }
    }

    /// Plays so much that all is dated and running, with no frame pending; forgets the chunks so far.
    pub fn run_in(&mut self) {
        self.start_source();
        self.play(20);
        self.pass(CONFIG.chunk.as_micros() as u64);
        assert_eq!(self.chunker.deadline(), None, "nothing pending");
        self.out.clear();
    }

    /// End of the last chunk.
    pub fn end(&self) -> Time {
        end_of(self.out.last().expect("a chunk"))
    }
}

pub fn end_of(chunk: &Chunk) -> Time {
    chunk.time.plus_micros(i64::from(chunk.span_us))
}

/// How far the chunk's end leads the wall clock; negative: lags.
pub fn lead_us(chunk: &Chunk, now: Now) -> i64 {
    end_of(chunk).micros_since(now.wall)
}

/// Samples in all chunks.
pub fn samples(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.samples)).sum()
}

/// Numbers of the frames in all chunks, in order; each must be whole.
pub fn frame_numbers(chunks: &[Chunk]) -> Vec<u64> {
    let data: Bytes = chunks.iter().flat_map(|chunk| chunk.data.iter().copied()).collect();
    assert_eq!(data.len() % FRAME_BYTES, 0, "whole frames");
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    data.chunks(FRAME_BYTES)
        .map(|frame| {
            assert_eq!(frame[..8], frame[8..], "one frame's bytes");
            number(&frame[..8])
        })
        .collect()
}

/// What must hold for any row of chunks with any history.
pub fn check_row(chunks: &[Chunk], resume_after: Option<Time>) {
    let segment = |time: Time| time.0.div_euclid(CONFIG.segment.as_micros() as i64);
    if let Some(first) = chunks.first() {
        assert!(first.discontinuity && first.starts_segment, "the first chunk continues nothing");
        assert!(resume_after.is_none_or(|end| first.time >= end), "nothing before what the log holds");
    }
    for chunk in chunks {
        assert!(chunk.samples > 0 && chunk.span_us > 0 && !chunk.data.is_empty(), "{chunk:?}");
    }
    for pair in chunks.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(end_of(before) <= after.time, "overlap: {before:?} {after:?}");
        assert!(after.discontinuity || end_of(before) == after.time, "unmarked gap: {before:?} {after:?}");
        assert!(after.discontinuity || before.format.continues_as(&after.format), "unmarked format");
        let crossed = segment(before.time) != segment(after.time);
        assert_eq!(after.starts_segment, crossed || after.discontinuity, "{before:?} {after:?}");
    }
}

/// A small generator of random numbers (xorshift64*), for simulations that are repeatable by their seed.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }
}
