//! ADTS frame headers (ISO 14496-3 section 1.A.2.2): AAC with a header in front of each frame.
//! Finding frames in a stream is the parser's.
//!
//! ```text
//!   byte 0    byte 1    byte 2    byte 3    byte 4    byte 5    byte 6
//!   11111111  1111V00P  OOSSSSxC  CCxxxxLL  LLLLLLLL  LLLxxxxx  xxxxxxBB
//!
//!   V 1: MPEG-2   P 1: no CRC   O object type - 1   S sample rate   C channels   L bytes of the frame
//!   B raw data blocks - 1   x not used here
//! ```
//!
//! With a CRC, two bytes per block come behind the header: the places of the later blocks, then the header's CRC.

use crate::{Codec, Format, Found};

/// Bytes of a header without CRC.
pub const HEADER_BYTES: usize = 7;
/// Samples per channel of a raw data block.
pub const BLOCK_SAMPLES: u32 = 1_024;

/// Samples per second by index; 13 to 15 are reserved.
pub(crate) const RATES_HZ: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// One frame's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// MPEG-4 audio object type, 1 to 4 (2 is LC).
    pub object_type: u8,
    /// Samples per second of the core: SBR, which doubles it, shows only inside the frame.
    pub sample_rate_hz: u32,
    /// Channels, 1 to 6 or 8; 0 where the stream itself defines them.
    pub channels: u8,
    /// Bytes of the frame, header and CRC included; 7 to 8,191.
    pub frame_bytes: u32,
    /// Raw data blocks in the frame, 1 to 4.
    pub blocks: u32,
}

impl Header {
    /// The header at the start of `bytes`; asks for more below seven bytes that may become one.
    pub fn parse(bytes: &[u8]) -> Found<Header> {
        match bytes {
            [] | [0xFF] => Found::More,
            [0xFF, second, ..] if second & 0xF6 != 0xF0 => Found::No,
            [0xFF, rest @ ..] => match rest.first_chunk() {
                Some(rest) => Header::decode(rest).map_or(Found::No, Found::Yes),
                None => Found::More,
            },
            _ => Found::No,
        }
    }

    fn decode(rest: &[u8; HEADER_BYTES - 1]) -> Option<Header> {
        let [second, third, fourth, fifth, sixth, seventh] = *rest;
        let blocks = u32::from(seventh & 0b11) + 1;
        let has_crc = second & 1 == 0;
        let header_bytes = HEADER_BYTES as u32 + if has_crc { 2 * blocks } else { 0 };
        let frame_bytes = (u32::from(fourth & 0b11) << 11) | (u32::from(fifth) << 3) | u32::from(sixth >> 5);
        if frame_bytes < header_bytes {
            return None;
        }
        let channels = match ((third & 1) << 2) | (fourth >> 6) {
            7 => 8,
            configuration => configuration,
        };
        Some(Header {
            object_type: (third >> 6) + 1,
            sample_rate_hz: *RATES_HZ.get(usize::from((third >> 2) & 0b1111))?,
            channels,
            frame_bytes,
            blocks,
        })
    }

    /// Samples per channel of the core: 1,024 for each block.
    pub fn samples(&self) -> u32 {
        self.blocks * BLOCK_SAMPLES
    }

    /// The frame's format. The bitrate is 0: no header tells it.
    pub fn format(&self) -> Format {
        Format {
            codec: Codec::Aac,
            profile: self.object_type,
            sample_rate_hz: self.sample_rate_hz,
            channels: self.channels,
            bitrate_kbps: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MPEG-4, no CRC, LC, 44,100 Hz, stereo, 371 bytes, one block.
    const LC: [u8; 7] = [0xFF, 0xF1, 0x50, 0x80, 0x2E, 0x7F, 0xFC];

    fn parse(bytes: [u8; 7]) -> Header {
        match Header::parse(&bytes) {
            Found::Yes(header) => header,
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }

    /// `LC` with another length.
    fn with_len(second: u8, bytes: u32, blocks: u8) -> [u8; 7] {
        let [first, _, third, ..] = LC;
        let fourth = 0x80 | (bytes >> 11) as u8;
        [first, second, third, fourth, (bytes >> 3) as u8, (bytes << 5) as u8 | 0x1F, 0xFC | (blocks - 1)]
    }

    #[test]
    fn every_prefix_of_a_header_asks_for_more() {
        for len in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&LC[..len]), Found::More, "{len} bytes");
        }
        let header = parse(LC);
        assert_eq!(header.format().stream_key(), "aac-44100-2-2");
        assert_eq!((header.frame_bytes, header.blocks, header.samples()), (371, 1, 1_024));
    }

    #[test]
    fn other_bytes_are_no_header() {
        for (what, second) in [("sync word", 0xE1), ("layer 1", 0xF3), ("layer 2", 0xF5), ("layer 3", 0xF7)] {
            let mut bytes = LC;
            bytes[1] = second;
            assert_eq!(Header::parse(&bytes), Found::No, "{what}");
        }
        assert_eq!(Header::parse(&[0xFE]), Found::No);
    }

    #[test]
    fn sample_rates_13_to_15_are_no_header() {
        let expected_hz = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
            7_350,
        ];
        for index in 0..16_u8 {
            let mut bytes = LC;
            bytes[2] = 0x40 | index << 2;
            match expected_hz.get(usize::from(index)) {
                Some(hz) => assert_eq!(parse(bytes).sample_rate_hz, *hz, "index {index}"),
                None => assert_eq!(Header::parse(&bytes), Found::No, "index {index}"),
            }
        }
    }

    #[test]
    fn a_frame_is_no_shorter_than_its_header() {
        for (second, blocks, header_bytes) in
            [(0xF1, 1, 7), (0xF1, 4, 7), (0xF0, 1, 9), (0xF0, 2, 11), (0xF0, 4, 15)]
        {
            for bytes in 0..header_bytes {
                assert_eq!(Header::parse(&with_len(second, bytes, blocks)), Found::No, "{bytes} bytes");
            }
            for bytes in [header_bytes, 8_191] {
                assert_eq!(parse(with_len(second, bytes, blocks)).frame_bytes, bytes);
            }
        }
    }

    #[test]
    fn each_raw_block_lasts_1024_samples() {
        for blocks in 1..=4 {
            assert_eq!(parse(with_len(0xF1, 400, blocks)).samples(), 1_024 * u32::from(blocks));
        }
    }

    #[test]
    fn configuration_7_has_8_channels_and_0_tells_none() {
        for (configuration, channels) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8)] {
            let mut bytes = LC;
            bytes[2] = 0x50 | configuration >> 2;
            bytes[3] = configuration << 6;
            assert_eq!(parse(bytes).channels, channels, "configuration {configuration}");
        }
    }

    #[test]
    fn both_versions_and_all_object_types_are_known() {
        for (profile, second) in [(0, 0xF1), (1, 0xF9), (2, 0xF1), (3, 0xF1)] {
            let mut bytes = LC;
            (bytes[1], bytes[2]) = (second, profile << 6 | 4 << 2);
            assert_eq!(parse(bytes).object_type, profile + 1);
        }
    }
}
