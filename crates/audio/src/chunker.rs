//! Cuts a source's frames into dated chunks.
//!
//! What belongs here: where chunks end, when they are given out, and which of them begin a segment or a new epoch.
//! Where samples lie in time is the time line's matter; segment numbers are the log's.
//!
//! ```text
//!   source ──▶ Gathering ── its burst has passed ──▶ Running ──▶ chunks
//!                  ▲          (all held is dated)       │
//!                  └── new source, new format, a stall ─┘
//! ```

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::timeline::{Arrivals, GAP_US_MAX, Timeline, clock_offset_us, signed_us};
use crate::{Batch, Chunk, Format, Frame, Mono, Now, Time};

/// Audio held undated: beyond it, the gathering ends. More than any burst, and still harmless to the host.
const HELD_BYTES_MAX: usize = 256 << 20;
/// A new epoch that begins this close to the end of the last one begins at that end.
const TOLERANCE_US: i64 = 50_000;
/// The longest chunk, whatever is configured: spans and samples fit their 32 bits, and a chunk fits the memory.
const CHUNK_MAX: Duration = Duration::from_secs(60);

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub struct ChunkConfig {
    /// Audio in a chunk, at most 60 s: as many frames as fit, taking each to be as long as the one before, but at
    /// least one.
    pub chunk: Duration,
    /// Segment duration: chunks are also cut at its multiples in stream time.
    pub segment: Duration,
}

/// Batches of frames in, dated chunks out: a state machine without clock and without I/O.
///
/// Chunks never overlap and never go back in time, whatever the sources and the clocks do. How a batch is split
/// makes no difference to the chunks, as long as the parts are pushed at the same moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chunker {
    edge: Edge,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Gathering(Gather),
    Running(Run),
}

/// Audio that is held until it can be dated.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Gather {
    /// None until the first frame has come.
    arrivals: Option<Arrivals>,
    batches: Vec<Batch>,
    held_bytes: usize,
}

/// Audio with a time line.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    format: Format,
    timeline: Timeline,
    /// The chunk being filled.
    pending: Option<Pending>,
    /// The next chunk does not continue the last.
    is_broken: bool,
    last_arrival: Mono,
}

/// A chunk being filled: at least one frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    time: Time,
    samples: u32,
    discontinuity: bool,
    pieces: Vec<Bytes>,
}

/// The end of what was given out, and the places where chunks are cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Edge {
    chunk: Duration,
    segment_us: i64,
    end: Option<Time>,
    /// Format of the last chunk; none where the next chunk continues nothing, being the first or another source's.
    format: Option<Format>,
    /// Number of the segment in which the last chunk begins; any before the first, which is a discontinuity.
    segment: i64,
    /// When all audio counted so far would have been played in real time, in microseconds of the monotonic clock.
    /// Steps of the wall clock do not touch it.
    due_us: i64,
}

impl Chunker {
    /// A chunker; `resume_after` is the end of what the log already holds: nothing is dated before it.
    pub fn new(config: ChunkConfig, resume_after: Option<Time>) -> Self {
        let edge = Edge {
            chunk: config.chunk.min(CHUNK_MAX),
            segment_us: i64::try_from(config.segment.as_micros()).unwrap_or(i64::MAX).max(1),
            end: resume_after,
            format: None,
            segment: 0,
            due_us: i64::MIN,
        };
        Chunker { edge, state: State::Gathering(Gather::default()) }
    }

    /// A new source took over: what is held of the last one is given, and the next chunk is a discontinuity.
    pub fn source_started(&mut self, now: Now, out: &mut Vec<Chunk>) {
        self.finish(now, out);
    }

    /// Frames arrived: chunks that they fill are given.
    pub fn push(&mut self, batch: &Batch, now: Now, out: &mut Vec<Chunk>) {
        if batch.frames.is_empty() {
            return;
        }
        self.poll(now, out);
        if self.is_interrupted(&batch.format, now.mono) {
            self.flush(now, out);
        }
        match &mut self.state {
            State::Gathering(gather) => {
                gather.hold(batch, now.mono);
                if gather.held_bytes >= HELD_BYTES_MAX {
                    self.date(now, out);
                }
            }
            State::Running(run) => {
                run.last_arrival = now.mono;
                self.edge.due_us = self.edge.due_us.max(signed_us(now.mono));
                run.cut(batch, now, &mut self.edge, out);
            }
        }
    }

    /// Time went by: ends a gathering whose time has come, and gives frames that have waited for a chunk's time.
    pub fn poll(&mut self, now: Now, out: &mut Vec<Chunk>) {
        if let State::Gathering(Gather { arrivals: Some(arrivals), .. }) = &mut self.state
            && arrivals.have_settled(now.mono)
        {
            self.date(now, out);
        }
        if let State::Running(run) = &mut self.state
            && now.mono >= run.last_arrival.plus(self.edge.chunk)
        {
            run.close(&mut self.edge, out);
        }
    }

    /// The source ended: all that is held is dated and given. Audio that follows is another source's.
    pub fn finish(&mut self, now: Now, out: &mut Vec<Chunk>) {
        self.flush(now, out);
        self.edge.format = None;
    }

    /// When `poll` wants to be called; none while nothing is held.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Gathering(gather) => gather.arrivals.as_ref().map(Arrivals::deadline),
            State::Running(run) => run.pending.as_ref().map(|_| run.last_arrival.plus(self.edge.chunk)),
        }
    }

    /// How far the audio runs ahead of real time, by the monotonic clock; what is gathered counts as far as it
    /// cannot be dated into the past.
    pub fn ahead(&self, now: Now) -> Duration {
        let due_us = match &self.state {
            State::Gathering(Gather { arrivals: Some(arrivals), .. }) => {
                self.edge.due_us.max(arrivals.start_us()) + arrivals.media_us()
            }
            _ => self.edge.due_us,
        };
        Duration::from_micros(due_us.saturating_sub(signed_us(now.mono)).max(0) as u64)
    }

    /// True if frames of `format` are not the next of what there is: another format, or audio is missing.
    fn is_interrupted(&self, format: &Format, now: Mono) -> bool {
        let audio_until_us = match &self.state {
            State::Gathering(Gather { arrivals: Some(arrivals), .. }) => signed_us(arrivals.last()),
            State::Gathering(_) => return false,
            State::Running(run) if !run.format.continues_as(format) => return true,
            State::Running(_) => self.edge.due_us,
        };
        signed_us(now) - audio_until_us > GAP_US_MAX
    }

    /// Gives all there is; what follows is gathered anew.
    fn flush(&mut self, now: Now, out: &mut Vec<Chunk>) {
        self.date(now, out);
        if let State::Running(run) = &mut self.state {
            run.close(&mut self.edge, out);
        }
        self.state = State::Gathering(Gather::default());
    }

    /// Ends the gathering, if there is one with audio: its audio gets its place in time.
    fn date(&mut self, now: Now, out: &mut Vec<Chunk>) {
        let State::Gathering(gather) = &mut self.state else { return };
        let Some(arrivals) = &gather.arrivals else { return };
        let batches = mem::take(&mut gather.batches);
        let Some(first) = batches.first() else { return };
        let start_us = arrivals.start_us();
        let wanted = Time(start_us.saturating_add(clock_offset_us(now)));
        let start = self.edge.place(wanted);
        let mut run = Run {
            format: first.format,
            timeline: Timeline::new(start, start.micros_since(wanted), now),
            pending: None,
            is_broken: !self.edge.continues_as(&first.format, start, start_us),
            last_arrival: arrivals.last(),
        };
        self.edge.due_us = self.edge.due_us.max(start_us);
        for batch in &batches {
            run.cut(batch, now, &mut self.edge, out);
        }
        self.state = State::Running(run);
    }
}

impl Gather {
    fn hold(&mut self, batch: &Batch, now: Mono) {
        self.arrivals.get_or_insert_with(|| Arrivals::new(now)).add(batch, now);
        self.held_bytes += batch.data.len();
        self.batches.push(batch.clone());
    }
}

impl Run {
    /// Adds the frames of a batch; every chunk that they fill is given.
    fn cut(&mut self, batch: &Batch, now: Now, edge: &mut Edge, out: &mut Vec<Chunk>) {
        if batch.format != self.format {
            self.close(edge, out);
            self.is_broken = !self.format.continues_as(&batch.format);
            self.format = batch.format;
        }
        let (mut given, mut end) = (0, 0);
        for frame in &batch.frames {
            let mut pending = self.pending.take().unwrap_or_else(|| self.open(now));
            pending.samples += frame.samples;
            edge.due_us += self.timeline.advance(&self.format, frame.samples, now);
            end += frame.len as usize;
            let is_full = edge.is_full(&pending, frame, &self.format, self.timeline.end());
            self.pending = Some(pending);
            if is_full {
                self.keep(batch.data.slice(given..end));
                self.close(edge, out);
                given = end;
            }
        }
        self.keep(batch.data.slice(given..end));
    }

    /// A chunk that begins at the end of the time line, once that is corrected.
    fn open(&mut self, now: Now) -> Pending {
        let jumped = self.timeline.correct(now);
        let discontinuity = mem::take(&mut self.is_broken) || jumped;
        Pending { time: self.timeline.end(), samples: 0, discontinuity, pieces: Vec::new() }
    }

    /// Bytes of the frames that were counted into the pending chunk.
    fn keep(&mut self, piece: Bytes) {
        if let Some(pending) = &mut self.pending {
            pending.pieces.push(piece);
        }
    }

    /// Gives the pending chunk, if there is one.
    fn close(&mut self, edge: &mut Edge, out: &mut Vec<Chunk>) {
        if let Some(pending) = self.pending.take() {
            out.push(edge.seal(pending, self.format, self.timeline.end()));
        }
    }
}

impl Edge {
    /// Where audio that wants to begin at `wanted` begins: never before the end, and at it where the gap is small.
    fn place(&self, wanted: Time) -> Time {
        match self.end {
            Some(end) if wanted.micros_since(end) <= TOLERANCE_US => end,
            _ => wanted,
        }
    }

    /// True if audio placed at `start` follows the last without a gap. The monotonic clock is asked too (`start_us`): a
    /// wall clock that was set back hides a gap.
    fn continues_as(&self, format: &Format, start: Time, start_us: i64) -> bool {
        self.format.is_some_and(|last| last.continues_as(format))
            && self.end == Some(start)
            && start_us.saturating_sub(self.due_us) <= TOLERANCE_US
    }

    /// True if no other frame like `last` fits, or the next one begins another segment.
    fn is_full(&self, pending: &Pending, last: &Frame, format: &Format, end: Time) -> bool {
        let samples_max = self.chunk.as_micros() * u128::from(format.sample_rate_hz) / 1_000_000;
        u128::from(pending.samples) + u128::from(last.samples) > samples_max
            || self.segment_of(end) != self.segment_of(pending.time)
    }

    fn segment_of(&self, time: Time) -> i64 {
        time.0.div_euclid(self.segment_us)
    }

    fn seal(&mut self, pending: Pending, format: Format, end: Time) -> Chunk {
        let Pending { time, samples, discontinuity, pieces } = pending;
        let segment = self.segment_of(time);
        let starts_segment = discontinuity || segment != self.segment;
        self.segment = segment;
        self.end = Some(end);
        self.format = Some(format);
        let span_us = end.micros_since(time) as u32;
        Chunk { format, time, span_us, samples, starts_segment, discontinuity, data: join(pieces) }
    }
}

/// One piece as it is; several are copied once.
fn join(pieces: Vec<Bytes>) -> Bytes {
    match pieces.as_slice() {
        [piece] => piece.clone(),
        pieces => Bytes::from(pieces.concat()),
    }
}
