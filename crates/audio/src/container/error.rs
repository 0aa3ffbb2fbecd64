//! What cannot be wrapped, and why.

use std::fmt;

/// Why frames do not go into a container. Places are bytes from the start of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fragmented MP4 is for AAC: no browser plays MPEG audio in it.
    NotAac,
    /// A profile that is no MPEG-4 audio object type of AAC.
    Profile(u8),
    /// Channels without a channel configuration of their own: 0, which stands for a layout told in the frames, 7, or
    /// more than 8.
    Channels(u8),
    /// Samples per second that MPEG-4 has no index for; HE-AAC's are twice those of its core.
    SampleRate(u64),
    /// No whole frame of the format at this place.
    NotAFrame(usize),
    /// The ADTS frame at this place has several raw data blocks: where they meet shows only to a decoder.
    RawBlocks(usize),
    /// No frame at all.
    Empty,
    /// More bytes than a segment may have.
    TooLong {
        /// Bytes that came.
        bytes: usize,
        /// Most that may.
        bytes_max: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotAac => write!(f, "expected AAC for fragmented MP4, got MPEG audio"),
            Error::Profile(profile) => write!(f, "expected profile 1 to 5 or 29, got {profile}"),
            Error::Channels(channels) => {
                write!(
                    f,
                    "expected 1 to 6 or 8 channels, got {channels}: no channel configuration tells them"
                )
            }
            Error::SampleRate(hz) => write!(f, "expected a sample rate of MPEG-4, got {hz} Hz"),
            Error::NotAFrame(at) => write!(f, "expected a whole frame of the format at byte {at}"),
            Error::RawBlocks(at) => {
                write!(f, "expected one raw data block in the frame at byte {at}, got several")
            }
            Error::Empty => write!(f, "expected at least one frame, got none"),
            Error::TooLong { bytes, bytes_max } => {
                write!(f, "expected at most {bytes_max} bytes, got {bytes}")
            }
        }
    }
}

impl std::error::Error for Error {}
