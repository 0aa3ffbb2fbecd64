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
    /// Bytes of audio; less than the distance of the positions where a damaged block was dropped.
    pub bytes: u64,
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
    /// True if it does not continue the segment before.
    pub discontinuity: bool,
    /// Discontinuities in the stream's life up to and including its own.
    pub discontinuity_seq: u64,
}

impl Segment {
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
            bytes: 0,
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
        self.bytes += self.end.since(slot.position_of(nth));
        self.samples += u64::from(chunk.samples);
        self.end_time = chunk.end();
    }
}

impl Log {
    /// The whole segments from number `from` on, at most `max` of them, in order.
    pub fn segments_from(&self, from: SegmentSeq, max: usize) -> Vec<Segment> {
        self.segments_with_growing(from, max).0
    }

    /// The same, and the segment that still grows, as far as it is there: unless `max` ends the list before, or its number
    /// is less than `from`. Both are of one moment: the growing one follows the last of the whole ones.
    pub fn segments_with_growing(&self, from: SegmentSeq, max: usize) -> (Vec<Segment>, Option<Segment>) {
        self.ask(|shared| shared.list_segments(from, max))
    }

    /// The whole segment of that number.
    pub fn segment(&self, seq: SegmentSeq) -> Option<Segment> {
        self.segments_from(seq, 1).pop().filter(|segment| segment.seq == seq)
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
    fn list_segments(&self, from: SegmentSeq, max: usize) -> (Vec<Segment>, Option<Segment>) {
        // The block before the first one that begins in `from` or later may hold its start.
        let after = self.blocks.partition_point(|slot| slot.block.header().numbers.segment < from);
        let mut whole = Vec::new();
        let mut open: Option<Segment> = None;
        for slot in self.blocks.range(after.saturating_sub(1)..) {
            let mut numbers = slot.block.header().numbers;
            for nth in 0..slot.chunks.len() {
                if nth > 0 {
                    numbers = numbers.following(&slot.step(nth - 1), &slot.step(nth));
                }
                if slot.chunks[nth].starts_segment() {
                    whole.extend(open.take());
                    if whole.len() >= max {
                        return (whole, None);
                    }
                    open = (numbers.segment >= from).then(|| Segment::begin(&numbers, slot, nth));
                }
                if let Some(segment) = &mut open {
                    segment.add(slot, nth);
                }
            }
        }
        // Chunks are cut at multiples of the segment duration: what comes next begins another one.
        if let Some(over) = open.take_if(|open| self.is_over(open)) {
            whole.push(over);
        }
        (whole, open)
    }

    fn is_over(&self, segment: &Segment) -> bool {
        let nth = |time: Time| time.0.div_euclid(self.segment_us);
        nth(segment.end_time) > nth(segment.time)
    }
}
