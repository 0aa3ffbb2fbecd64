//! The frames in bytes that hold nothing else.

use super::header::{Header, Mark, Stream, look};
use crate::{Format, Found, Frame, mpeg};

/// The frames of `format` that `data` is made of, in order; ends at the first byte that begins no whole one.
///
/// `data` is audio that a [`Parser`](crate::Parser) gave, or some whole frames of it: nothing is searched for. Frames
/// in free format are measured by the format's bitrate, which leaves a few lengths, and the next header: exact unless
/// bytes within a frame look like its header in just that place.
pub fn frames_in<'a>(format: &Format, data: &'a [u8]) -> impl Iterator<Item = Frame> + use<'a> {
    FramesIn { format: *format, rest: data, free: None }
}

struct FramesIn<'a> {
    format: Format,
    rest: &'a [u8],
    /// The free-format stream that the last frame was of.
    free: Option<Stream>,
}

impl Iterator for FramesIn<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let header = header_at(self.rest).filter(|header| self.format.continues_as(&header.format()))?;
        let bytes = match header.as_free() {
            None => header.told_bytes()? as usize,
            Some(free) => self.measure(&header, free)?,
        };
        self.rest = self.rest.get(bytes..)?;
        Some(Frame { len: bytes as u32, samples: header.samples() })
    }
}

impl FramesIn<'_> {
    /// Bytes of a free-format frame: of the few lengths that give the format's bitrate, one that leads on.
    fn measure(&mut self, header: &Header, free: &mpeg::Header) -> Option<usize> {
        let others = free
            .free_unpadded_bytes_at(self.format.bitrate_kbps)
            .map(|unpadded_bytes| Stream::free(free, unpadded_bytes));
        self.free = self.free.into_iter().chain(others).find(|stream| self.leads_on(stream, header));
        self.free?.frame_bytes(header)
    }

    /// True if a frame of `stream` at the start ends where another one begins, or with the bytes.
    fn leads_on(&self, stream: &Stream, header: &Header) -> bool {
        match stream.frame_bytes(header).and_then(|bytes| self.rest.get(bytes..)) {
            Some([]) => true,
            Some(next) => header_at(next).is_some_and(|next| stream.frame_bytes(&next).is_some()),
            None => false,
        }
    }
}

fn header_at(bytes: &[u8]) -> Option<Header> {
    match look(bytes) {
        Found::Yes(Mark::Header(header)) => Some(header),
        _ => None,
    }
}
