//! The body of a segment, or of a part of one. Packed audio is the time stamp that players want in front of it, slices of
//! the log, and titles between them; other containers are written anew for each answer.

use std::ops::Range;

use audio::container::{fmp4, id3_timestamp_tag, mpegts};
use audio::{Codec, frames_in};
use bytes::Bytes;
use rewind::{Log, Segment};
use wire::hls::Container;

use crate::hls::cues::{self, Cue};
use crate::hls::parts;

/// A segment's body.
#[derive(Clone, Debug)]
pub struct SegmentBody {
    pieces: Vec<Bytes>,
}

impl From<Bytes> for SegmentBody {
    fn from(body: Bytes) -> Self {
        SegmentBody { pieces: vec![body] }
    }
}

impl SegmentBody {
    /// The body of `segment` in `container`; none if some of its audio is gone, or does not fit into that.
    pub fn read(log: &Log, segment: &Segment, container: Container) -> Option<Self> {
        // Titles first: they are those of the audio, if that is still there when it is read.
        let cues = cues::of(log, segment);
        let mut cursor = log.cursor(segment.start).cursor;
        let ends = cues.iter().skip(1).map(|cue| cue.position).chain([segment.end]);
        let stretches: Vec<Vec<Bytes>> = ends
            .map(|end| std::iter::from_fn(|| cursor.next(log, end)).map(|run| run.data).collect())
            .collect();
        let audio_bytes: usize = stretches.iter().flatten().map(Bytes::len).sum();
        if audio_bytes as u64 != segment.bytes() {
            return None;
        }
        if container == Container::Packed {
            return Some(SegmentBody { pieces: packed(segment, &cues, stretches) });
        }
        let body = wrap(segment, container, &stretches.concat().concat(), &cues, 0)?;
        Some(SegmentBody { pieces: vec![body.into()] })
    }

    /// The body of number `part` of `segment`, in fragmented MP4; none if some of its audio is gone, or does not fit into
    /// that. The title at the start of the segment goes with the first one, each later one with the part that has its frame.
    pub fn read_part(log: &Log, segment: &Segment, part: u64) -> Option<Self> {
        let samples = parts::samples(segment, part);
        let mut cues = cues::of(log, segment);
        cues.retain(|cue| samples.contains(&cue.samples));
        let audio = read_samples(log, segment, &samples)?;
        let body = wrap(segment, Container::Fmp4, &audio, &cues, samples.start)?;
        Some(SegmentBody { pieces: vec![body.into()] })
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Only the bytes from `start` up to `end`.
    pub fn slice(&self, start: u64, end: u64) -> Vec<Bytes> {
        let mut place = 0;
        let mut part = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let len = piece.len() as u64;
            let (from, to) = (start.clamp(place, place + len), end.clamp(place, place + len));
            if from < to {
                part.push(piece.slice((from - place) as usize..(to - place) as usize));
            }
            place += len;
        }
        part
    }
}

/// Packed audio: a tag with the time stamp and the first of the `cues`, and with AAC a tag between frames for each of the
/// others. Those have no time stamp: hls.js dates them by the frames before.
///
/// Not with MP3: ffmpeg, and so mpv, takes such a tag for the start of the next frame, and that is not heard. Date ranges
/// tell the change there.
fn packed(segment: &Segment, cues: &[Cue], stretches: Vec<Vec<Bytes>>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for (cue, stretch) in cues.iter().zip(stretches) {
        if pieces.is_empty() {
            pieces.push(id3_timestamp_tag(segment.pts, &cue.texts()).into());
        } else if segment.format.codec == Codec::Aac {
            pieces.extend(cue.timed_tag(0).map(|timed| Bytes::from(timed.tag)));
        }
        pieces.extend(stretch);
    }
    pieces
}

/// The frames of `segment` that start within `wanted`, which counts its samples; none if not all are there.
fn read_samples(log: &Log, segment: &Segment, wanted: &Range<u64>) -> Option<Vec<u8>> {
    let (mut audio, mut at, mut found) = (Vec::new(), 0, 0);
    for chunk in log.chunks(segment.start) {
        if at == 0 && chunk.position != segment.start {
            return None;
        }
        if chunk.position >= segment.end || at >= wanted.end {
            break;
        }
        let (mut sample, mut byte) = (at, 0);
        at += u64::from(chunk.samples);
        if at <= wanted.start {
            continue;
        }
        for frame in frames_in(&chunk.format, &chunk.data) {
            let end = byte + frame.len as usize;
            if wanted.contains(&sample) {
                audio.extend_from_slice(chunk.data.get(byte..end)?);
                found += u64::from(frame.samples);
            }
            (sample, byte) = (sample + u64::from(frame.samples), end);
        }
    }
    (found == wanted.end - wanted.start).then_some(audio)
}

/// `audio` in `container`, of `segment` from sample number `first` on, with ID3 tags of the `cues` in it.
fn wrap(segment: &Segment, container: Container, audio: &[u8], cues: &[Cue], first: u64) -> Option<Vec<u8>> {
    // Players compare numbers with those next to them only.
    let number = segment.seq.0 as u32;
    let format = &segment.format;
    let mut out = Vec::new();
    if container == Container::Ts {
        let tags: Vec<_> = cues.iter().filter_map(|cue| cue.timed_tag(first)).collect();
        mpegts::transport_stream(format, number, segment.pts, audio, Some(&tags), &mut out).ok()?;
        return Some(out);
    }
    let start = segment.samples_before + first;
    for cue in cues {
        if let Some(timed) = cue.timed_tag(first) {
            // No two changes have the same place, and those that are a turn of 32 bits apart are days apart.
            let id = cue.position.0 as u32;
            out.extend(fmp4::id3_event(format, start + timed.samples, id, &timed.tag));
        }
    }
    out.extend(fmp4::media_segment(format, number, start, audio).ok()?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_across_pieces() {
        let body = SegmentBody {
            pieces: vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defg"), Bytes::from_static(b"h")],
        };
        assert_eq!(body.len(), 8);
        for start in 0..8_u64 {
            for end in start + 1..=8 {
                let part = body.slice(start, end).concat();
                assert_eq!(part, b"abcdefgh"[start as usize..end as usize]);
            }
        }
    }
}
