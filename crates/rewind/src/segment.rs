//! Segments as readers see them: which there are, where each lies, and the numbers that go with it. What a playlist says
//! of them is not here.

use audio::{Format, Time};

use crate::{Log, Position, SegmentSeq, block::Slot, log::Shared, segments::Numbers};

/// A segment: whole where a later one has begun or its time is over, else as far as it has grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub seq: SegmentSeq,
    /// Position of its first byte.
    pub start: Position,
    /// Position behind its last byte.
    pub end: Position,
    /// Samples per channel.
    pub samples: u64,
    /// Instant of its first sample.
    pub time: Time,
    /// Instant at which its last chunk ends.
    pub end_time: Time,
    /// Format of its first frame; codec, sample rate and channels are those of all.
    pub format: Format,
    /// Time stamp of its first sample in ticks of 90 kHz, not wrapped yet.
    pub pts: u64,
    /// Samples of its epoch before it.
    pub samples_before: u64,
    /// True if it does not continue the segment before: as it was written, or because what lay between is lost.
    pub discontinuity: bool,
    /// Discontinuities in the stream's life up to and including its own, as they were written.
    pub discontinuity_seq: u64,
}

/// Segments of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentList {
    /// The whole ones, in order. Numbers are missing where audio was lost.
    pub whole: Vec<Segment>,
    /// The one that still grows, as far as it is there.
    pub growing: Option<Segment>,
    /// Number of the one that follows the newest whole one, which is the one that grows or that comes; 0 in a log without
    /// segments.
    pub next: SegmentSeq,
}

impl Segment {
    /// Bytes of audio.
    pub fn bytes(&self) -> u64 {
        self.end.since(self.start)
    }

    /// How long it lasts, in microseconds, rounded down: by its samples, not by the clock.
    pub fn duration_us(&self) -> u64 {
        self.samples * 1_000_000 / u64::from(self.format.sample_rate_hz.max(1))
    }

    fn begin(numbers: &Numbers, slot: &Slot, nth: usize) -> Self {
        let (chunk, format, start) = (&slot.chunks[nth], slot.block.format(), slot.position_of(nth));
        Segment {
            seq: numbers.segment,
            start,
            end: start,
            samples: 0,
            time: chunk.time,
            end_time: chunk.time,
            format,
            pts: numbers.pts(format.sample_rate_hz),
            samples_before: numbers.samples_before,
            discontinuity: chunk.discontinuity(),
            discontinuity_seq: numbers.discontinuity_seq,
        }
    }

    fn add(&mut self, slot: &Slot, nth: usize) {
        let chunk = &slot.chunks[nth];
        self.end = slot.position_of(nth + 1);
        self.samples += u64::from(chunk.samples);
        self.end_time = chunk.end();
    }
}

impl Log {
    /// The whole segments from number `from` on, at most `max` of them, and the one that grows: unless `max` ends the list
    /// before, or its number is less than `from`.
    ///
    /// A segment of which a part was lost is not listed: it may have been heard whole.
    pub fn list_segments(&self, from: SegmentSeq, max: usize) -> SegmentList {
        self.ask(|shared| shared.list_segments(from, max))
    }

    /// The whole segment of that number.
    pub fn segment(&self, seq: SegmentSeq) -> Option<Segment> {
        self.list_segments(seq, 1).whole.pop().filter(|segment| segment.seq == seq)
    }

    /// Number of the oldest segment that will still be there for a while, where `keep_us` and `bytes_max` are what is
    /// kept: left out are those that start in a block that will be too old within `margin_us`, and where the bytes run out,
    /// in the block that goes next. It never decreases.
    pub fn first_lasting_segment(&self, keep_us: i64, bytes_max: u64, margin_us: i64) -> Option<SegmentSeq> {
        self.ask(|shared| {
            let oldest = shared.blocks.front()?;
            let limit = shared.edge.time.plus_micros(margin_us.saturating_sub(keep_us));
            let old = shared.blocks.partition_point(|slot| slot.end_time() <= limit);
            let is_full = shared.bytes.saturating_add(oldest.block.capacity() as u64) >= bytes_max;
            let leaving = old.max(usize::from(is_full)).min(shared.blocks.len() - 1);
            let mut marks = shared.blocks.iter().skip(leaving).flat_map(Slot::segment_marks);
            marks.next().map(|mark| mark.seq)
        })
    }
}

impl Shared {
    fn list_segments(&self, from: SegmentSeq, max: usize) -> SegmentList {
        let mut whole: Vec<Segment> = Vec::new();
        let mut open: Option<Segment> = None;
        let mut is_cut = false;
        let mut end = None;
        for slot in self.blocks.range(self.first_block_for(from)..) {
            if end.is_some_and(|end| end != slot.block.start()) {
                // What lay between is lost, and with it the rest of the segment.
                whole.extend(open.take().filter(|open| open.seq >= from && self.is_over(open)));
                is_cut = true;
            }
            end = Some(slot.end());
            let mut numbers = slot.block.header().numbers;
            for nth in 0..slot.chunks.len() {
                if nth > 0 {
                    numbers = numbers.following(&slot.step(nth - 1), &slot.step(nth));
                }
                if slot.chunks[nth].starts_segment() {
                    whole.extend(open.take().filter(|open| open.seq >= from));
                    if whole.len() >= max {
                        return SegmentList { whole, growing: None, next: numbers.segment };
                    }
                    let segment = Segment::begin(&numbers, slot, nth);
                    let discontinuity = segment.discontinuity | std::mem::take(&mut is_cut);
                    open = Some(Segment { discontinuity, ..segment });
                }
                if let Some(segment) = &mut open {
                    segment.add(slot, nth);
                }
            }
        }
        // Chunks are cut at multiples of the segment duration: what comes next begins another one.
        whole.extend(open.take_if(|open| self.is_over(open)).filter(|open| open.seq >= from));
        let growing = open.filter(|open| open.end == self.edge.position);
        let started = self.last_segment.map_or(SegmentSeq(0), |last| SegmentSeq(last.seq.0 + 1));
        let next = growing.map_or(started, |growing| growing.seq);
        SegmentList { whole, growing: growing.filter(|growing| growing.seq >= from), next }
    }

    /// Number of the block from which on all is told that there is to tell of the segments from number `from` on: one in
    /// which an earlier segment starts.
    fn first_block_for(&self, from: SegmentSeq) -> usize {
        let after = self.blocks.partition_point(|slot| slot.block.header().numbers.segment < from);
        let starts_earlier = |nth: &usize| {
            let mut marks = self.blocks[*nth].segment_marks();
            marks.next().is_some_and(|mark| mark.seq < from)
        };
        (0..after).rev().find(starts_earlier).unwrap_or(0)
    }

    fn is_over(&self, segment: &Segment) -> bool {
        let nth = |time: Time| time.0.div_euclid(self.segment_us);
        nth(segment.end_time) > nth(segment.time)
    }
}
