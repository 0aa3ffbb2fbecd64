//! The body of a segment, or of a part of one. Packed audio is the time stamp that players want in front of it, and slices of the log; other
//! containers are written anew for each answer.

use std::ops::Range;

use audio::container::{fmp4, id3_text_tag, id3_timestamp_tag, mpegts};
use audio::frames_in;
use bytes::Bytes;
use rewind::{Log, Segment};
use wire::hls::Container;

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
        let mut cursor = log.cursor(segment.start).cursor;
        let audio: Vec<Bytes> =
            std::iter::from_fn(|| cursor.next(log, segment.end)).map(|run| run.data).collect();
        let audio_bytes: usize = audio.iter().map(Bytes::len).sum();
        if audio_bytes as u64 != segment.bytes {
            return None;
        }
        if container == Container::Packed {
            let title = &log.metadata_at(segment.start).metadata.title;
            let texts: &[(&str, &str)] = if title.is_empty() { &[] } else { &[("TIT2", title)] };
            let mut pieces = vec![Bytes::from(id3_timestamp_tag(segment.pts, texts))];
            pieces.extend(audio);
            return Some(SegmentBody { pieces });
        }
        let tag = title_tag(log, segment);
        wrap(segment, container, &audio.concat(), &tag).map(|body| SegmentBody { pieces: vec![body.into()] })
    }

    /// The body of number `part` of `segment`, in fragmented MP4; none if some of its audio is gone, or does not fit into
    /// that. The first one has what the segment has before its audio.
    pub fn read_part(log: &Log, segment: &Segment, part: u64) -> Option<Self> {
        let samples = parts::samples(segment, part);
        let audio = read_samples(log, segment, &samples)?;
        let start = Segment { samples_before: segment.samples_before + samples.start, ..*segment };
        let tag = if part == 0 { title_tag(log, segment) } else { Vec::new() };
        let body = wrap(&start, Container::Fmp4, &audio, &tag)?;
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

/// The title at the start of `segment`, as a tag; empty where there is none.
fn title_tag(log: &Log, segment: &Segment) -> Vec<u8> {
    let title = &log.metadata_at(segment.start).metadata.title;
    if title.is_empty() { Vec::new() } else { id3_text_tag(&[("TIT2", title)]) }
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

/// `audio` in `container`, with an ID3 `tag` if it is not empty.
fn wrap(segment: &Segment, container: Container, audio: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
    // Players compare numbers with those next to them only.
    let number = segment.seq.0 as u32;
    let format = &segment.format;
    if container == Container::Ts {
        let mut out = Vec::new();
        mpegts::transport_stream(format, number, segment.pts, audio, Some(tag), &mut out).ok()?;
        return Some(out);
    }
    let media = fmp4::media_segment(format, number, segment.samples_before, audio).ok()?;
    if tag.is_empty() {
        return Some(media);
    }
    let mut out = fmp4::id3_event(format, segment.samples_before, number, tag);
    out.extend(media);
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
