//! The original's dump of a rewind buffer: how it is written from a log, and read into chunks that a writer can put behind
//! its audio. Files, routes and when to dump are not here.
//!
//! ```text
//! u32le length, JSON {start_ts, end_ts, secs_per_chunk, stream_key, hls}
//! then, newest first:  u8 length, JSON {ts, meta: {StreamTitle, StreamUrl}, duration (ms)}   u16le length, audio
//! ```
//!
//! What we write may also say `discontinuity: true` of a chunk: one that does not continue the chunk before although it
//! follows at once. The original does not know it and reads over it.

use std::{sync::Arc, time::Duration};

use audio::{Batch, Chunk, Format, Parser, Time, frames_in};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wire::icy::Metadata;

use crate::{ChunkRef, Log, Position, PrependError, Prepended, Writer};

/// Longest header that is read; the original's, with the numbers of hours of segments, stays far below.
const HEADER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text that tells of a chunk: its length is one byte.
const META_BYTES_MAX: usize = u8::MAX as usize;
/// Longest audio of a chunk: its length is two bytes.
const AUDIO_BYTES_MAX: usize = u16::MAX as usize;
/// Chunks whose ends meet the next start to within this are one run: dumps count in milliseconds.
const JOIN_US: i64 = 50_000;

/// Why a dump could not be read, or not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The input is too short for its header.
    #[error("dump of {bytes} bytes ends within its header")]
    Short {
        /// Bytes of the input.
        bytes: usize,
    },
    /// The header's length cannot be true.
    #[error("dump header of {bytes} bytes, expected at most {HEADER_BYTES_MAX}")]
    HeaderLength {
        /// Length as told.
        bytes: usize,
    },
    /// The header is not the JSON it should be.
    #[error("dump header: {0}")]
    Header(#[from] serde_json::Error),
    /// Its audio cannot be put behind that of the log.
    #[error(transparent)]
    Prepend(#[from] PrependError),
}

/// A dump's chunks, ready for [`crate::Writer::prepend`].
#[derive(Debug, Default)]
pub struct Dump {
    /// Oldest first, with what was on.
    pub chunks: Vec<(Chunk, Metadata)>,
    /// Bytes that were left out: damaged, torn, not audio, or overlapping newer audio.
    pub skipped_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    start_ts: Stamp,
    end_ts: Stamp,
    secs_per_chunk: f64,
    stream_key: String,
    /// The original's segment numbers; ours are counted anew from the chunks' times.
    #[serde(default, skip_deserializing)]
    hls: Option<()>,
}

#[derive(Serialize, Deserialize)]
struct ChunkHead {
    ts: Stamp,
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    duration: f64,
    #[serde(default, skip_serializing_if = "is_false")]
    discontinuity: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "StreamTitle")]
    title: Option<String>,
    #[serde(rename = "StreamUrl")]
    url: Option<String>,
}

/// An instant: ISO 8601 with milliseconds, or milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stamp {
    Text(String),
    Millis(f64),
}

/// One chunk of the input, not looked into.
struct Raw {
    time: Time,
    metadata: Metadata,
    discontinuity: bool,
    data: Bytes,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Stamp {
    fn new(time: Time) -> Self {
        let stamp = Timestamp::from_millisecond(time.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
        Stamp::Text(stamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    }

    fn time(&self) -> Option<Time> {
        match self {
            Stamp::Text(text) => text.parse().ok().map(|stamp: Timestamp| Time(stamp.as_microsecond())),
            // Casts saturate, and NaN is 0.
            Stamp::Millis(millis) => Some(Time((millis * 1_000.0) as i64)),
        }
    }
}

/// The dump of a log, piece by piece: all that continues in the newest chunk's format, which is what the original can
/// read; no pieces for an empty log. It ends early where the audio is evicted before it is asked for.
pub fn write(log: &Arc<Log>) -> impl Iterator<Item = Bytes> + Send + use<> {
    pieces(log, &newest_run(log))
}

/// The same of the frames from `from` on and before `to`, of whatever formats.
pub fn write_span(
    log: &Arc<Log>,
    from: Position,
    to: Position,
) -> impl Iterator<Item = Bytes> + Send + use<> {
    pieces(log, &log.chunks_between(from, to).collect::<Vec<_>>())
}

fn pieces(log: &Arc<Log>, run: &[ChunkRef]) -> impl Iterator<Item = Bytes> + Send + use<> {
    let log = Arc::clone(log);
    let header = encode_header(run);
    let places: Vec<(Position, Position)> = run.iter().map(|chunk| (chunk.position, chunk.end())).collect();
    let oldest = run.first().map(|chunk| chunk.position);
    let chunks = places.into_iter().rev().map_while(move |(from, to)| {
        let mut chunk = log.chunks_between(from, to).next().filter(|chunk| chunk.position == from)?;
        // The oldest one continues nothing, whatever it says.
        chunk.discontinuity &= Some(from) != oldest;
        Some(encode_chunk(&chunk, &log.metadata_at(from).metadata))
    });
    header.into_iter().chain(chunks.flatten())
}

/// The chunks from the last change of the format on, oldest first.
fn newest_run(log: &Log) -> Vec<ChunkRef> {
    let mut chunks: Vec<ChunkRef> = log.chunks(Position(0)).collect();
    if let Some(format) = chunks.last().map(|newest| newest.format)
        && let Some(other) = chunks.iter().rposition(|chunk| !chunk.format.continues_as(&format))
    {
        chunks.drain(..=other);
    }
    chunks
}

fn encode_header(chunks: &[ChunkRef]) -> Option<Bytes> {
    let (oldest, newest) = (chunks.first()?, chunks.last()?);
    let duration_us: u64 = chunks.iter().map(|chunk| u64::from(chunk.span_us)).sum();
    let json = encode_json(&Header {
        start_ts: Stamp::new(oldest.time),
        end_ts: Stamp::new(newest.end_time()),
        secs_per_chunk: (duration_us / chunks.len() as u64) as f64 / 1e6,
        stream_key: newest.format.stream_key(),
        hls: None,
    });
    Some([&(json.len() as u32).to_le_bytes()[..], &json].concat().into())
}

/// What is told of a chunk, its audio, and so on for what does not fit into one entry; newest first.
fn encode_chunk(chunk: &ChunkRef, metadata: &Metadata) -> Vec<Bytes> {
    let entry = |piece: &ChunkRef| {
        let head = encode_head(piece, metadata);
        let length = (piece.data.len() as u16).to_le_bytes();
        [Bytes::from([&[head.len() as u8][..], &head, &length].concat()), piece.data.clone()]
    };
    chunk.split(AUDIO_BYTES_MAX).iter().rev().flat_map(entry).collect()
}

/// What is told of a chunk, with title and then URL shortened until it fits.
fn encode_head(chunk: &ChunkRef, metadata: &Metadata) -> Vec<u8> {
    let (mut title, mut url) = (metadata.title.as_str(), metadata.url.as_str());
    loop {
        let head = encode_json(&ChunkHead {
            ts: Stamp::new(chunk.time),
            meta: Meta { title: Some(title.to_owned()), url: Some(url.to_owned()) },
            duration: f64::from(chunk.span_us) / 1e3,
            discontinuity: chunk.discontinuity,
        });
        let excess = head.len().saturating_sub(META_BYTES_MAX);
        if excess == 0 || (title.is_empty() && url.is_empty()) {
            return head;
        }
        let text = if title.is_empty() { &mut url } else { &mut title };
        // A byte takes up to six in JSON, so this much too much is certain; what is left is for the next round.
        let shorter = text.len().saturating_sub(excess.div_ceil(6));
        *text = &text[..text.floor_char_boundary(shorter)];
    }
}

fn encode_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structures of texts and finite numbers are JSON")
}

impl Writer {
    /// Puts a dump's audio behind the log's.
    pub fn load(&mut self, dump: &Bytes) -> Result<Prepended, DumpError> {
        let Dump { chunks, .. } = read(dump, self.segment)?;
        Ok(self.prepend(chunks)?)
    }
}

/// Reads a dump. What is torn or damaged within is left out and counted; segments start at multiples of `segment`.
pub fn read(input: &Bytes, segment: Duration) -> Result<Dump, DumpError> {
    let mut rest = input.clone();
    let short = DumpError::Short { bytes: input.len() };
    let Some(length) = take(&mut rest, 4) else { return Err(short) };
    let bytes = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if bytes > HEADER_BYTES_MAX {
        return Err(DumpError::HeaderLength { bytes });
    }
    let Some(header) = take(&mut rest, bytes) else { return Err(short) };
    let _: Header = serde_json::from_slice(&header)?;

    let mut dump = Dump::default();
    let mut raw = Vec::new();
    while !rest.is_empty() {
        let before = rest.clone();
        match take_chunk(&mut rest) {
            Some(Some(chunk)) => raw.push(chunk),
            Some(None) => dump.skipped_bytes += (before.len() - rest.len()) as u64,
            None => {
                dump.skipped_bytes += before.len() as u64;
                break;
            }
        }
    }
    raw.reverse();
    dump.date(raw, segment);
    Ok(dump)
}

/// The next `bytes` of `rest`, if it has as many.
fn take(rest: &mut Bytes, bytes: usize) -> Option<Bytes> {
    (bytes <= rest.len()).then(|| rest.split_to(bytes))
}

/// The next chunk: none inside if what is told of it makes no sense, none at all if it is torn.
fn take_chunk(rest: &mut Bytes) -> Option<Option<Raw>> {
    let head_bytes = take(rest, 1)?[0];
    let head = take(rest, usize::from(head_bytes))?;
    let length = take(rest, 2)?;
    let data = take(rest, usize::from(u16::from_le_bytes([length[0], length[1]])))?;
    let Ok(head) = serde_json::from_slice::<ChunkHead>(&head) else { return Some(None) };
    let metadata =
        Metadata { title: head.meta.title.unwrap_or_default(), url: head.meta.url.unwrap_or_default() };
    let discontinuity = head.discontinuity;
    Some(head.ts.time().map(|time| Raw { time, metadata, discontinuity, data }))
}

impl Dump {
    /// Makes dated chunks of whole frames from what was read, oldest first.
    fn date(&mut self, raw: Vec<Raw>, segment: Duration) {
        let segment_us = i64::try_from(segment.as_micros()).unwrap_or(i64::MAX).max(1);
        let mut known = None;
        for Raw { time, metadata, discontinuity, data } in raw {
            let Some(Frames { format, samples, data: frames }) = frames_of(&data, known) else {
                self.skipped_bytes += data.len() as u64;
                continue;
            };
            self.skipped_bytes += (data.len() - frames.len()) as u64;
            known = Some(format);
            let span_us = format.micros(u64::from(samples)) as u32;
            let chunk =
                Chunk { format, time, span_us, samples, starts_segment: true, discontinuity, data: frames };
            self.push(chunk, metadata, segment_us);
        }
    }

    /// Adds the next newer chunk: it joins the one before where their times meet, and replaces nothing.
    fn push(&mut self, mut chunk: Chunk, metadata: Metadata, segment_us: i64) {
        let told = std::mem::replace(&mut chunk.discontinuity, true);
        if let Some((before, _)) = self.chunks.last_mut() {
            let distance_us = chunk.time.micros_since(before.time);
            let gap_us = distance_us - i64::from(before.span_us);
            if gap_us < -JOIN_US || distance_us <= 0 {
                self.skipped_bytes += chunk.data.len() as u64;
                return;
            }
            if gap_us <= JOIN_US {
                before.span_us = distance_us as u32;
                chunk.discontinuity = told || !before.format.continues_as(&chunk.format);
                chunk.starts_segment = chunk.discontinuity
                    || chunk.time.0.div_euclid(segment_us) != before.time.0.div_euclid(segment_us);
            }
        }
        self.chunks.push((chunk, metadata));
    }
}

struct Frames {
    format: Format,
    samples: u32,
    data: Bytes,
}

/// The whole frames of `data`, of the format `known` from the chunk before or of another; none if there are none.
fn frames_of(data: &Bytes, known: Option<Format>) -> Option<Frames> {
    if let Some(format) = known {
        let (bytes, samples) = frames_in(&format, data)
            .fold((0, 0), |(bytes, samples), frame| (bytes + frame.len as usize, samples + frame.samples));
        if bytes == data.len() {
            return Some(Frames { format, samples, data: data.clone() });
        }
    }
    let mut batches = Vec::new();
    let mut parser = Parser::new(None);
    parser.push(data, &mut batches);
    parser.finish(&mut batches);
    let format = batches.first()?.format;
    let same: Vec<&Batch> = batches.iter().take_while(|batch| batch.format.continues_as(&format)).collect();
    let samples = same.iter().map(|batch| batch.samples()).sum::<u64>() as u32;
    let frames: Vec<u8> = same.iter().flat_map(|batch| batch.data.iter().copied()).collect();
    Some(Frames { format, samples, data: Bytes::from(frames) })
}
