//! What frames are wrapped in for HTTP Live Streaming: fragmented MP4 for AAC, MPEG-TS for both codecs, and the ID3 tag
//! in front of packed audio and within it. Bytes in, bytes out; dates, numbers and who asks for which are the caller's.

mod error;
pub mod fmp4;
mod frames;
mod id3_tag;
pub mod mpegts;

use crate::{Codec, Format};

pub use error::Error;
pub use id3_tag::{id3_text_tag, id3_timestamp_tag};

/// An ID3 tag that is due within a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedTag {
    /// Samples of the segment before it.
    pub samples: u64,
    /// Its bytes, not empty.
    pub tag: Vec<u8>,
}

/// What is left of a time in a clock of 33 bits, which all time stamps of MPEG-TS and HTTP Live Streaming have.
const PTS_MASK: u64 = (1 << 33) - 1;

/// MPEG-4 audio object type of HE-AAC (with SBR).
const SBR: u8 = 5;
/// MPEG-4 audio object type of HE-AAC version 2 (with SBR and parametric stereo).
const PARAMETRIC_STEREO: u8 = 29;

/// The `CODECS` of a playlist (RFC 6381 section 3.3): `mp4a.40.2` for AAC LC, `mp4a.40.34` for MPEG layer III; none for
/// layers I and II, which no player takes.
///
/// No ADTS header tells HE-AAC: whoever knows of it sets the format's profile to 5 (`mp4a.40.5`), or 29 (`mp4a.40.29`)
/// with parametric stereo, and leaves the sample rate and channels of the core. All here understands that.
pub fn codecs(format: &Format) -> Option<String> {
    match (format.codec, format.profile) {
        (Codec::Mp3, 3) => Some("mp4a.40.34".to_owned()),
        (Codec::Aac, profile @ (1..=SBR | PARAMETRIC_STEREO)) => Some(format!("mp4a.40.{profile}")),
        _ => None,
    }
}

/// The format that the frames' headers tell: HE-AAC's look like its core, AAC LC.
fn core_format(format: &Format) -> Format {
    match (format.codec, format.profile) {
        (Codec::Aac, SBR | PARAMETRIC_STEREO) => Format { profile: 2, ..*format },
        _ => *format,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_those_that_players_know() {
        for (codec, profile, expected) in [
            (Codec::Aac, 0, None),
            (Codec::Aac, 1, Some("mp4a.40.1")),
            (Codec::Aac, 2, Some("mp4a.40.2")),
            (Codec::Aac, 5, Some("mp4a.40.5")),
            (Codec::Aac, 6, None),
            (Codec::Aac, 29, Some("mp4a.40.29")),
            (Codec::Mp3, 1, None),
            (Codec::Mp3, 2, None),
            (Codec::Mp3, 3, Some("mp4a.40.34")),
        ] {
            let format = Format { codec, profile, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 0 };
            assert_eq!(codecs(&format).as_deref(), expected, "{codec:?} {profile}");
        }
    }
}
