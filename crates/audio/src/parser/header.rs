//! A frame's header of either codec, and the stream of frames that it belongs to.

use serde::{Deserialize, Serialize};

use crate::{Format, Found, adts, id3, mpeg};

/// The header of a frame. Which codec it is follows from its second byte alone: no bytes can be both.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header {
    Mpeg(mpeg::Header),
    Adts(adts::Header),
}

/// What may stand where a frame ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Header(Header),
    /// A tag that claims this many bytes.
    Tag(u64),
}

/// Frames that follow each other: what two headers must agree on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Stream {
    /// Its bitrate is of no account: it may change from frame to frame.
    format: Format,
    /// Bytes of an unpadded frame in free format; none where headers tell.
    free_bytes: Option<u32>,
}

impl Header {
    pub(super) fn format(&self) -> Format {
        match self {
            Header::Mpeg(header) => header.format(),
            Header::Adts(header) => header.format(),
        }
    }

    pub(super) fn samples(&self) -> u32 {
        match self {
            Header::Mpeg(header) => header.samples(),
            Header::Adts(header) => header.samples(),
        }
    }

    /// Bytes of the frame, if the header tells; none in free format.
    pub(super) fn told_bytes(&self) -> Option<u32> {
        match self {
            Header::Mpeg(header) => header.frame_bytes(),
            Header::Adts(header) => Some(header.frame_bytes),
        }
    }

    /// The header, if it leaves the frame's length to be found.
    pub(super) fn as_free(&self) -> Option<&mpeg::Header> {
        match self {
            Header::Mpeg(header) if header.bitrate_kbps.is_none() => Some(header),
            _ => None,
        }
    }
}

impl Stream {
    /// The stream of frames like this one, whose headers tell their length.
    pub(super) fn told(header: &Header) -> Stream {
        Stream { format: header.format(), free_bytes: None }
    }

    /// The free-format stream of frames like this one, of `unpadded_bytes` each.
    pub(super) fn free(header: &mpeg::Header, unpadded_bytes: u32) -> Stream {
        Stream { format: header.format(), free_bytes: Some(unpadded_bytes) }
    }

    /// Bytes of the frame that `header` begins; none if it is not of this stream.
    pub(super) fn frame_bytes(&self, header: &Header) -> Option<usize> {
        if !self.format.continues_as(&header.format()) {
            return None;
        }
        let bytes = match (self.free_bytes, header.as_free()) {
            (None, None) => header.told_bytes()?,
            (Some(unpadded), Some(free)) => unpadded + free.padding_bytes,
            _ => return None,
        };
        Some(bytes as usize)
    }
}

/// What stands at the start of `bytes`.
pub(super) fn look(bytes: &[u8]) -> Found<Mark> {
    #[cfg(test)]
    LOOKS.set(LOOKS.get() + 1);
    match bytes {
        [] | [0xFF] => Found::More,
        // ADTS has the layer bits that MPEG audio leaves unused.
        [0xFF, second, ..] if second & 0b110 == 0 => {
            adts::Header::parse(bytes).map(|header| Mark::Header(Header::Adts(header)))
        }
        [0xFF, ..] => mpeg::Header::parse(bytes).map(|header| Mark::Header(Header::Mpeg(header))),
        _ => id3::tag_bytes(bytes).map(Mark::Tag),
    }
}

/// The first place in `bytes` after their first byte where a look may find something, or their length.
///
/// It is where any mark may begin: else what is found would depend on how the bytes are split.
pub(super) fn next_mark(bytes: &[u8]) -> usize {
    bytes.get(1..).and_then(|rest| memchr::memchr3(0xFF, b'I', b'T', rest)).map_or(bytes.len(), |at| at + 1)
}

#[cfg(test)]
thread_local! {
    /// Looks taken on this thread: the parser's work, to be shown to stay linear.
    pub(super) static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
