//! Older audio put behind what a log holds: a dump that is loaded, later what a slave fetches. It gets positions and
//! numbers below those of the oldest chunk.

use std::sync::Arc;

use audio::{Chunk, Time};
use wire::icy::Metadata;

use crate::{
    Position, PrependError, SegmentSeq, Writer,
    block::Slot,
    block_writer::BlockWriter,
    index::Header,
    segments::{Numbers, Step},
    store::Place,
    titles::MetaEntry,
    writer::record_of,
};

/// What was put behind a log's audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepended {
    /// Chunks.
    pub chunks: usize,
    /// Audio, in seconds.
    pub seconds: f64,
    /// Audio, in bytes.
    pub bytes: u64,
}

/// A chunk on its way into the log, with its place and what is on there.
struct Older {
    chunk: Chunk,
    position: Position,
    numbers: Numbers,
    title: Arc<MetaEntry>,
}

impl Writer {
    /// Puts `older` chunks, oldest first, with their metadata, before the oldest of the log. What would overlap, and what
    /// is older than is kept, is left out.
    pub fn prepend(&mut self, older: Vec<(Chunk, Metadata)>) -> Result<Prepended, PrependError> {
        self.prepend_in(self.store.places(), older)
    }

    /// The same where the configuration wants it, or not at all: what went into memory would be lost with the process.
    pub fn prepend_lasting(&mut self, older: Vec<(Chunk, Metadata)>) -> Result<Prepended, PrependError> {
        self.prepend_in(&self.store.places()[..1], older)
    }

    fn prepend_in(
        &mut self,
        places: &[Place],
        older: Vec<(Chunk, Metadata)>,
    ) -> Result<Prepended, PrependError> {
        let taken = self.fitting(older);
        let bytes = taken.iter().map(|(chunk, _)| chunk.data.len() as u64).sum();
        let seconds = taken.iter().map(|(chunk, _)| f64::from(chunk.span_us)).sum::<f64>() / 1e6;
        let first = self.first_position();
        let no_room = PrependError::NoRoom { bytes, first };
        let start = Position(first.0.checked_sub(bytes).ok_or(no_room)?);
        let placed = self.place(taken, start).ok_or(PrependError::NoRoom { bytes, first })?;
        let newest = placed.last().ok_or(PrependError::NothingOlder)?;
        let newest = (
            newest.numbers,
            step_of(&newest.chunk),
            newest.chunk.time.plus_micros(i64::from(newest.chunk.span_us)),
        );
        let slots = self.write_blocks(places, &placed)?;
        let titles = title_changes(&placed);
        self.log().change(|shared| shared.prepend(slots, titles, first));
        if self.last.is_none() {
            self.last = Some((newest.0, newest.1));
            self.last_end = Some(newest.2);
        }
        self.evict();
        Ok(Prepended { chunks: placed.len(), seconds, bytes })
    }

    fn first_position(&self) -> Position {
        self.log().span().map_or_else(|| self.log().edge().position, |span| span.first)
    }

    /// The chunks that end before the log's oldest, do not overlap each other, and are young enough.
    fn fitting(&self, older: Vec<(Chunk, Metadata)>) -> Vec<(Chunk, Metadata)> {
        let span = self.log().span();
        let keep_us = i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX);
        let oldest = span.map_or(Time(i64::MIN), |span| span.end.plus_micros(-keep_us));
        let mut next_start = span.map(|span| span.start).or(self.last_end).unwrap_or(Time(i64::MAX));
        let mut taken: Vec<_> = older
            .into_iter()
            .rev()
            .filter(|(chunk, _)| {
                let end = chunk.time.plus_micros(i64::from(chunk.span_us));
                let fits = !chunk.data.is_empty() && end <= next_start && end >= oldest;
                if fits {
                    next_start = chunk.time;
                }
                fits
            })
            .collect();
        taken.reverse();
        taken
    }

    /// Gives positions from `start` on, and numbers that lead to those of the oldest chunk; none if they do not suffice.
    fn place(&self, taken: Vec<(Chunk, Metadata)>, start: Position) -> Option<Vec<Older>> {
        let mut numbers = self.numbers_before(&taken)?;
        let mut placed: Vec<Older> = Vec::with_capacity(taken.len());
        for (chunk, metadata) in taken {
            let (position, title) = match placed.last() {
                Some(last) => {
                    numbers = last.numbers.following(&step_of(&last.chunk), &step_of(&chunk));
                    let same = last.title.metadata == metadata;
                    let title = if same { last.title.clone() } else { MetaEntry::new(metadata, chunk.time) };
                    (last.position.plus(last.chunk.data.len() as u64), title)
                }
                None => (start, MetaEntry::new(metadata, chunk.time)),
            };
            placed.push(Older { chunk, position, numbers, title });
        }
        Some(placed)
    }

    /// Numbers of the first of `taken`.
    fn numbers_before(&self, taken: &[(Chunk, Metadata)]) -> Option<Numbers> {
        let zero = Numbers { segment: SegmentSeq(0), discontinuity_seq: 0, pts_base: 0, samples_before: 0 };
        let Some((first, _)) = taken.first() else { return Some(zero) };
        let Some((after, step)) = self.first_numbers() else {
            return Some(Numbers::first(first.time, self.segment.as_micros() as u64, first.time));
        };
        let steps = taken.iter().map(|(chunk, _)| step_of(chunk)).chain([step]);
        let counted = steps
            .clone()
            .zip(steps.skip(1))
            .fold(zero, |numbers, (this, next)| numbers.following(&this, &next));
        after.before(step.format.sample_rate_hz, &counted)
    }

    /// Numbers that the older audio leads to: of the oldest chunk, or of the last one that was there.
    fn first_numbers(&self) -> Option<(Numbers, Step)> {
        let oldest = self.log().ask(|shared| {
            let slot = shared.blocks.front()?;
            let chunk = slot.chunks[0];
            let (starts_segment, discontinuity) = (chunk.starts_segment(), chunk.discontinuity());
            let step =
                Step { format: slot.block.format(), samples: chunk.samples, starts_segment, discontinuity };
            Some((slot.block.header().numbers, step))
        });
        oldest.or(self.last)
    }

    /// Writes the chunks into finished blocks, oldest first. A failure takes back what was written.
    fn write_blocks(&self, places: &[Place], placed: &[Older]) -> Result<Vec<Slot>, PrependError> {
        let mut slots = Vec::new();
        let mut rest = placed;
        while let Some(first) = rest.first() {
            let capacity = self.block_bytes(&first.chunk);
            let mut bytes = 0;
            let fits = |older: &&Older| {
                bytes += older.chunk.data.len();
                older.chunk.format == first.chunk.format && bytes <= capacity
            };
            let (block, after) = rest.split_at(rest.iter().take_while(fits).count());
            match self.write_block(places, block, capacity) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    slots.iter().for_each(|slot: &Slot| self.store.remove(slot.block.header()));
                    return Err(PrependError::Store { reason: error.to_string() });
                }
            }
            rest = after;
        }
        Ok(slots)
    }

    /// One block, in the best place that takes it.
    fn write_block(&self, places: &[Place], chunks: &[Older], capacity: usize) -> std::io::Result<Slot> {
        let mut result = Err(std::io::Error::other("no chunks"));
        for place in places {
            result = self.write_block_in(*place, chunks, capacity);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn write_block_in(&self, place: Place, chunks: &[Older], capacity: usize) -> std::io::Result<Slot> {
        let Older { chunk, position, numbers, title } = &chunks[0];
        let header = Header { position: *position, format: chunk.format, numbers: *numbers };
        let mut writer = BlockWriter::create(&self.store, place, header, capacity, title, true)?;
        let mut entries = Vec::with_capacity(chunks.len());
        let mut on = title;
        for Older { chunk, title, .. } in chunks {
            let written = if Arc::ptr_eq(on, title) { Ok(()) } else { writer.write_title(title) };
            on = title;
            match written.and_then(|()| writer.write(&chunk.data, &record_of(chunk, None))) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    if place == Place::Directory {
                        self.store.remove(&header);
                    }
                    return Err(error);
                }
            }
        }
        Ok(writer.publish(entries))
    }
}

fn step_of(chunk: &Chunk) -> Step {
    Step {
        format: chunk.format,
        samples: chunk.samples,
        starts_segment: chunk.starts_segment,
        discontinuity: chunk.discontinuity,
    }
}

/// Where the metadata changes along `placed`.
fn title_changes(placed: &[Older]) -> Vec<(Position, Arc<MetaEntry>)> {
    let mut changes: Vec<(Position, Arc<MetaEntry>)> = Vec::new();
    for older in placed {
        if !changes.last().is_some_and(|(_, title)| Arc::ptr_eq(title, &older.title)) {
            changes.push((older.position, older.title.clone()));
        }
    }
    changes
}
