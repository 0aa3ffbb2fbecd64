//! The log chunk by chunk, and times to the frame: for starts at an instant, dumps, replication and tests. Audio is
//! looked at outside of the lock.

use audio::{Format, Time, frames_in};
use bytes::Bytes;

use crate::{Log, Position, log::Shared};

/// A chunk in the log, with a slice of its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Where its first byte is.
    pub position: Position,
    /// Instant of its first sample.
    pub time: Time,
    /// Microseconds of stream time that it covers.
    pub span_us: u32,
    /// Samples per channel it decodes to.
    pub samples: u32,
    /// Format of all its frames.
    pub format: Format,
    /// True if a segment starts with it.
    pub starts_segment: bool,
    /// True if it does not continue the chunk before.
    pub discontinuity: bool,
    /// Its frames.
    pub data: Bytes,
}

/// A frame found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where its first byte is.
    pub position: Position,
    /// Instant of its first sample.
    pub time: Time,
}

/// Chunks in order, up to the live edge as it is when that is reached.
#[derive(Debug)]
pub struct Chunks<'a> {
    log: &'a Log,
    next: Position,
}

impl ChunkRef {
    /// Position after its last byte.
    pub fn end(&self) -> Position {
        self.position.plus(self.data.len() as u64)
    }

    /// End in time.
    pub fn end_time(&self) -> Time {
        self.time.plus_micros(i64::from(self.span_us))
    }

    fn start(&self) -> Located {
        Located { position: self.position, time: self.time }
    }

    /// The first of its frames that starts at `time` or later.
    fn first_frame_at(&self, time: Time) -> Option<Located> {
        if self.time >= time { Some(self.start()) } else { self.frames().find(|frame| frame.time >= time) }
    }

    /// Place and instant of each frame: the span shared out by samples.
    fn frames(&self) -> impl Iterator<Item = Located> + '_ {
        let (mut bytes, mut samples) = (0, 0);
        frames_in(&self.format, &self.data).map(move |frame| {
            let located = Located { position: self.position.plus(bytes), time: self.time_after(samples) };
            bytes += u64::from(frame.len);
            samples += u64::from(frame.samples);
            located
        })
    }

    /// Its frames that start at `from` or later and before `to`; none if there are none.
    fn within(&self, from: Position, to: Position) -> Option<ChunkRef> {
        if from <= self.position && self.end() <= to {
            return Some(self.clone());
        }
        let (mut first, mut end, mut place) = (None, (0, 0), (0, 0));
        for frame in frames_in(&self.format, &self.data) {
            let start = self.position.plus(place.0 as u64);
            let next = (place.0 + frame.len as usize, place.1 + frame.samples);
            if start >= from && start < to {
                first = first.or(Some(place));
                end = next;
            }
            place = next;
        }
        first.map(|first| self.part(first, end))
    }

    /// The same audio in chunks of whole frames of at most `bytes_max` bytes, which every frame fits into.
    pub(crate) fn split(&self, bytes_max: usize) -> Vec<ChunkRef> {
        if self.data.len() <= bytes_max {
            return vec![self.clone()];
        }
        let mut pieces = Vec::new();
        let (mut from, mut to) = ((0, 0), (0, 0));
        for frame in frames_in(&self.format, &self.data) {
            let end = (to.0 + frame.len as usize, to.1 + frame.samples);
            if end.0 - from.0 > bytes_max {
                pieces.push(self.part(from, to));
                from = to;
            }
            to = end;
        }
        pieces.push(self.part(from, to));
        pieces
    }

    /// The part between two borders of frames, each given by bytes and samples.
    fn part(&self, from: (usize, u32), to: (usize, u32)) -> ChunkRef {
        let (start, end) = (self.time_after(u64::from(from.1)), self.time_after(u64::from(to.1)));
        ChunkRef {
            position: self.position.plus(from.0 as u64),
            time: start,
            span_us: end.micros_since(start) as u32,
            samples: to.1 - from.1,
            starts_segment: self.starts_segment && from.0 == 0,
            discontinuity: self.discontinuity && from.0 == 0,
            data: self.data.slice(from.0..to.0),
            ..*self
        }
    }

    /// Instant of the sample number `samples`.
    fn time_after(&self, samples: u64) -> Time {
        let micros = u64::from(self.span_us) * samples / u64::from(self.samples.max(1));
        self.time.plus_micros(micros as i64)
    }
}

impl Log {
    /// The chunks from the one that holds `from` on, or from the next one.
    pub fn chunks(&self, from: Position) -> Chunks<'_> {
        Chunks { log: self, next: from }
    }

    /// The frames that start at `from` or later and before `to`, in chunks.
    pub fn chunks_between(&self, from: Position, to: Position) -> impl Iterator<Item = ChunkRef> + '_ {
        self.chunks(from)
            .take_while(move |chunk| chunk.position < to)
            .filter_map(move |chunk| chunk.within(from, to))
    }

    /// The first whole frame that starts at `time` or later; the live edge if none does.
    pub fn position_of_time(&self, time: Time) -> Located {
        let mut chunks = self.chunks(self.find(time));
        let within = chunks.next().and_then(|chunk| chunk.first_frame_at(time));
        let found = within.or_else(|| chunks.next().map(|chunk| chunk.start()));
        found.unwrap_or_else(|| {
            let edge = self.edge();
            Located { position: edge.position, time: edge.time }
        })
    }

    /// Start of the frame that holds `position`; at the live edge, its time; none if the audio there is gone.
    pub fn time_of(&self, position: Position) -> Option<Time> {
        let (chunk, edge) = self.ask(|shared| (shared.chunk_at(position), shared.edge));
        match chunk {
            Some(chunk) if chunk.position <= position => {
                let frame = chunk.frames().take_while(|frame| frame.position <= position).last();
                Some(frame.map_or(chunk.time, |frame| frame.time))
            }
            None if position == edge.position => Some(edge.time),
            _ => None,
        }
    }
}

impl Shared {
    /// The chunk that holds `position`, or the next one.
    fn chunk_at(&self, position: Position) -> Option<ChunkRef> {
        let slot = &self.blocks[self.slot_at(position)?];
        let nth = slot.chunk_at(position);
        let (chunk, start) = (slot.chunks[nth], slot.position_of(nth));
        Some(ChunkRef {
            position: start,
            time: chunk.time,
            span_us: chunk.span_us,
            samples: chunk.samples,
            format: slot.block.format(),
            starts_segment: chunk.starts_segment(),
            discontinuity: chunk.discontinuity(),
            data: slot.block.slice(start, slot.position_of(nth + 1)),
        })
    }
}

impl Iterator for Chunks<'_> {
    type Item = ChunkRef;

    fn next(&mut self) -> Option<ChunkRef> {
        let chunk = self.log.ask(|shared| shared.chunk_at(self.next))?;
        self.next = chunk.end();
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use audio::Codec;

    use super::*;

    /// Three frames of 48 kHz, 128 kbit/s: 384 bytes and 24 ms each.
    fn three_frames() -> ChunkRef {
        let mut data = vec![0; 3 * 384];
        data.chunks_exact_mut(384).for_each(|frame| frame[..4].copy_from_slice(&[0xff, 0xfb, 0x94, 0]));
        ChunkRef {
            position: Position(1_000),
            time: Time(0),
            span_us: 72_003,
            samples: 3 * 1_152,
            format: Format {
                codec: Codec::Mp3,
                profile: 3,
                sample_rate_hz: 48_000,
                channels: 2,
                bitrate_kbps: 128,
            },
            starts_segment: true,
            discontinuity: true,
            data: data.into(),
        }
    }

    #[test]
    fn a_chunk_is_split_between_frames_at_the_last_that_fits() {
        let whole = three_frames();
        let cases: [(usize, &[u64]); 5] = [
            (1_152, &[0]),
            (1_151, &[0, 768]),
            (768, &[0, 768]),
            (767, &[0, 384, 768]),
            (384, &[0, 384, 768]),
        ];
        for (bytes_max, starts) in cases {
            let pieces = whole.split(bytes_max);
            let found: Vec<u64> = pieces.iter().map(|piece| piece.position.0 - 1_000).collect();
            assert_eq!(found, starts, "at most {bytes_max}");
            assert_eq!(pieces.iter().map(|piece| piece.data.len()).sum::<usize>(), 1_152);
            assert_eq!(pieces.iter().map(|piece| piece.samples).sum::<u32>(), 3_456);
            assert_eq!(pieces.iter().map(|piece| piece.span_us).sum::<u32>(), 72_003);
            assert_eq!(pieces.iter().filter(|piece| piece.starts_segment && piece.discontinuity).count(), 1);
            let times_meet = pieces.windows(2).all(|pair| pair[0].end_time() == pair[1].time);
            assert!(times_meet);
        }
    }
}
