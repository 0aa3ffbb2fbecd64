//! The body of a segment: the time stamp that players want in front of packed audio, and slices of the log.

use audio::container::id3_timestamp_tag;
use bytes::Bytes;
use rewind::{Log, Segment};

/// A segment's body.
#[derive(Clone, Debug)]
pub struct SegmentBody {
    pieces: Vec<Bytes>,
}

impl SegmentBody {
    /// The body of `segment`; none if some of its audio is gone.
    pub fn read(log: &Log, segment: &Segment) -> Option<Self> {
        let title = &log.metadata_at(segment.start).metadata.title;
        let texts: &[(&str, &str)] = if title.is_empty() { &[] } else { &[("TIT2", title)] };
        let mut pieces = vec![Bytes::from(id3_timestamp_tag(segment.pts, texts))];
        let mut cursor = log.cursor(segment.start).cursor;
        pieces.extend(std::iter::from_fn(|| cursor.next(log, segment.end)).map(|run| run.data));
        let audio_bytes: usize = pieces[1..].iter().map(Bytes::len).sum();
        (audio_bytes as u64 == segment.bytes).then_some(SegmentBody { pieces })
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
