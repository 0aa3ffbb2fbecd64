//! A station whose every frame is known by its number, and listeners to it. No checks of single facts here.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use audio::{Chunk, Codec, Format, Time};
use rewind::{Config, Feed, Log, Pace, Pieces, Position, Request, Start, Turn, Writer};
use testkit::audio::Mp3Frames;

/// Some Wednesday.
pub const START: Time = Time(1_764_000_000_000_000);
pub const SECOND_US: i64 = 1_000_000;
/// Frames of a chunk: just under half a second.
pub const CHUNK_FRAMES: u32 = 19;
/// As much as anybody takes at once.
pub const ALL: usize = 1 << 20;

/// A source and its log, on a clock of their own. Frame 0 starts at `START`.
pub struct Station {
    pub writer: Writer,
    pub log: Arc<Log>,
    pub frames: Mp3Frames,
    format: Format,
    /// Number of the next frame.
    pub next: u32,
    /// For each pause, the frame behind it, and how long all pauses were until then.
    pauses: Vec<(u32, i64)>,
}

impl Station {
    /// 128 kbit/s, 100 s of it kept.
    pub fn new() -> Self {
        Self::keeping(128, Duration::from_secs(100))
    }

    pub fn keeping(bitrate_kbps: u16, keep: Duration) -> Self {
        Self::open_log(bitrate_kbps, keep, None)
    }

    /// The station whose log is what `dir` holds.
    pub fn in_directory(dir: &Path) -> Self {
        Self::open_log(128, seconds(100), Some(dir.into()))
    }

    fn open_log(bitrate_kbps: u16, keep: Duration, dir: Option<PathBuf>) -> Self {
        let config =
            Config { key: "test".into(), dir, keep, bytes_max: u64::MAX, segment: Duration::from_secs(10) };
        let (writer, log, _) = Log::open(config, START).unwrap();
        let frames = Mp3Frames::new(u32::from(bitrate_kbps), 44_100, 2);
        let format =
            Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps };
        Station { writer, log, frames, format, next: 0, pauses: Vec::new() }
    }

    /// A station that has been on air for so many chunks.
    pub fn on_air(chunks: u32) -> Self {
        let mut station = Self::new();
        station.append(chunks);
        station
    }

    /// Appends so many chunks.
    pub fn append(&mut self, chunks: u32) {
        for _ in 0..chunks {
            let (first, end) = (self.next, self.next + CHUNK_FRAMES);
            let time = self.time_of(first);
            self.writer.append(&Chunk {
                format: self.format,
                time,
                span_us: (self.frames.start_us(end) - self.frames.start_us(first)) as u32,
                samples: 1152 * CHUNK_FRAMES,
                starts_segment: false,
                discontinuity: self.pauses.last().is_some_and(|pause| pause.0 == first),
                data: self.frames.bytes(first..end).into(),
            });
            self.next = end;
        }
    }

    /// Appends the chunks that have ended by `now`.
    pub fn run_until(&mut self, now: Time) {
        while self.time_of(self.next).plus_micros(self.chunk_us(self.next)) <= now {
            self.append(1);
        }
    }

    /// The next frame starts so much later.
    pub fn pause(&mut self, length_us: i64) {
        let before = self.pauses.last().map_or(0, |pause| pause.1);
        self.pauses.push((self.next, before + length_us));
    }

    /// When frame `number` starts: a chunk's span is shared out among its frames, rounded down.
    pub fn time_of(&self, number: u32) -> Time {
        let paused = self.pauses.iter().rev().find(|pause| pause.0 <= number).map_or(0, |pause| pause.1);
        START.plus_micros(paused + self.media_us(number))
    }

    /// How much sound there is before frame `number`: pauses are left out.
    pub fn media_us(&self, number: u32) -> i64 {
        let first = number - number % CHUNK_FRAMES;
        let within_us = self.chunk_us(first) * i64::from(number - first) / i64::from(CHUNK_FRAMES);
        self.frames.start_us(first) as i64 + within_us
    }

    /// Number of the first frame that starts at `time` or later, found by trying.
    pub fn frame_at(&self, time: Time) -> u32 {
        (0..).find(|number| self.time_of(*number) >= time).unwrap()
    }

    /// Frames in chunks that have ended by `time`: the number behind the last, found by trying.
    pub fn ended_by(&self, time: Time) -> u32 {
        let ends = (0..self.next).step_by(CHUNK_FRAMES as usize);
        let mut ended = ends.filter(|first| self.time_of(*first).plus_micros(self.chunk_us(*first)) <= time);
        ended.next_back().map_or(0, |first| first + CHUNK_FRAMES)
    }

    pub fn position_of(&self, number: u32) -> Position {
        Position::FRESH.plus(self.frames.position(number))
    }

    pub fn edge(&self) -> Time {
        self.log.edge().time
    }

    /// Exactly these frames were received.
    #[track_caller]
    pub fn assert_heard(&self, received: &[u8], frames: Range<u32>) {
        self.frames.scan(received).assert_exactly(frames);
    }

    fn chunk_us(&self, first: u32) -> i64 {
        (self.frames.start_us(first + CHUNK_FRAMES) - self.frames.start_us(first)) as i64
    }

    pub fn open(&self, request: &Request, now: Time) -> Listener {
        Listener::new(Feed::open(&self.log, request, now))
    }
}

/// A listener with a burst of ten seconds.
pub fn request(start: Start) -> Request {
    Request { start, end: None, burst: Duration::from_secs(10), pace: Pace::Live, metaint: None }
}

/// A span that is wanted as fast as it comes.
pub fn pump(start: Time, end: Time) -> Request {
    Request { end: Some(end), pace: Pace::Unpaced, ..request(Start::At(start)) }
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub fn after(time: Time, seconds: i64) -> Time {
    time.plus_micros(seconds * SECOND_US)
}

/// Takes what its feed gives.
pub struct Listener {
    pub feed: Feed,
    pub pieces: Pieces,
    pub received: Vec<u8>,
}

impl Listener {
    pub fn new(feed: Feed) -> Self {
        Listener { feed, pieces: Pieces::default(), received: Vec::new() }
    }

    /// Takes all that is due, and returns why there is no more.
    pub fn listen(&mut self, now: Time) -> Turn {
        loop {
            match self.take(now, ALL, usize::MAX) {
                Turn::Ready => {}
                turn => return turn,
            }
        }
    }

    /// Takes at most `bytes_max` bytes of what one `fill` with `audio_max` gives.
    pub fn take(&mut self, now: Time, audio_max: usize, bytes_max: usize) -> Turn {
        let turn = self.feed.fill(now, audio_max, &mut self.pieces);
        let bytes = self.pieces.len_bytes().min(bytes_max);
        let whole: Vec<u8> = self.pieces.data().flat_map(|data| data.iter().copied()).collect();
        assert_eq!(whole.len(), self.pieces.len_bytes());
        assert_eq!(turn == Turn::Ready, !whole.is_empty());
        self.received.extend_from_slice(&whole[..bytes]);
        self.feed.consume(&self.pieces, bytes);
        turn
    }

    /// What was received since the last time.
    pub fn received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }
}
