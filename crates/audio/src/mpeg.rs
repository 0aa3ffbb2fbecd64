//! MPEG audio frame headers (ISO 11172-3 section 2.4.1.3, ISO 13818-3, and the 2.5 extension for low rates), and the
//! info frames that encoders put in front of a file. Finding frames in a stream is the parser's.
//!
//! ```text
//!   byte 0    byte 1    byte 2    byte 3
//!   11111111  111VVLLP  BBBBSSpx  MMxxxxxx
//!
//!   V version   L layer   P 0: a CRC follows   B bitrate   S sample rate   p padding   M mode   x not used here
//! ```
//!
//! A CRC lies within the frame: it does not change the frame's length.

use crate::{Codec, Format, Found};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 4;
/// Least bytes of a free-format frame that are believed: a header with its side information and little else.
pub const FREE_FRAME_BYTES_MIN: u32 = 24;
/// Most bytes of a free-format frame, padding included: four times what any decoder must accept.
pub const FREE_FRAME_BYTES_MAX: u32 = 16_384;

/// Kilobits per second by bitrate index 1 to 14, in five tables (section 2.4.2.3 of ISO 11172-3 and of 13818-3).
const KBPS_V1_LAYER_1: [u16; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const KBPS_V1_LAYER_2: [u16; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const KBPS_V1_LAYER_3: [u16; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBPS_V2_LAYER_1: [u16; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const KBPS_V2_LAYERS_2_3: [u16; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// Samples per second by index 0 to 2 in MPEG-1; halved in MPEG-2, halved again in 2.5.
const RATES_V1_HZ: [u32; 3] = [44_100, 48_000, 32_000];

/// Version of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MPEG-1: 32 to 48 kHz.
    V1,
    /// MPEG-2: 16 to 24 kHz.
    V2,
    /// The unofficial extension: 8 to 12 kHz.
    V2_5,
}

/// One frame's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version.
    pub version: Version,
    /// Layer, 1 to 3.
    pub layer: u8,
    /// True if two bytes of CRC follow the header.
    pub has_crc: bool,
    /// Units of 1,000 bits per second; none in free format.
    pub bitrate_kbps: Option<u16>,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Bytes that padding adds to this frame: 0, or one slot (4 bytes in layer I, else 1).
    pub padding_bytes: u32,
    /// Channels: 1, or 2 (stereo, joint stereo, two languages).
    pub channels: u8,
}

/// What an info frame says about the file behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoFrame {
    /// `Info`: the bitrate is constant.
    ConstantBitrate,
    /// `Xing` or `VBRI`: the bitrate varies.
    VariableBitrate,
}

impl Header {
    /// The header at the start of `bytes`; asks for more below four bytes that may become one.
    pub fn parse(bytes: &[u8]) -> Found<Header> {
        match bytes {
            [] | [0xFF] => Found::More,
            [0xFF, second, ..] if !begins_header(*second) => Found::No,
            [0xFF, second, third, fourth, ..] => match Header::decode(*second, *third, *fourth) {
                Some(header) => Found::Yes(header),
                None => Found::No,
            },
            [0xFF, ..] => Found::More,
            _ => Found::No,
        }
    }

    fn decode(second: u8, third: u8, fourth: u8) -> Option<Header> {
        let (version, rate_divisor) = match (second >> 3) & 0b11 {
            0b00 => (Version::V2_5, 4),
            0b10 => (Version::V2, 2),
            0b11 => (Version::V1, 1),
            _ => return None,
        };
        let layer = match (second >> 1) & 0b11 {
            0b00 => return None,
            code => 4 - code,
        };
        let bitrate_kbps = match third >> 4 {
            0 => None,
            index => Some(*bitrates(version, layer).get(usize::from(index) - 1)?),
        };
        let sample_rate_hz = RATES_V1_HZ.get(usize::from((third >> 2) & 0b11))? / rate_divisor;
        Some(Header {
            version,
            layer,
            has_crc: second & 1 == 0,
            bitrate_kbps,
            sample_rate_hz,
            padding_bytes: if third & 0b10 != 0 { slot_bytes(layer) } else { 0 },
            channels: if fourth >> 6 == 0b11 { 1 } else { 2 },
        })
    }

    /// Samples per channel: 384 in layer I, 576 in layer III of MPEG-2 and 2.5, else 1,152.
    pub fn samples(&self) -> u32 {
        match (self.layer, self.version) {
            (1, _) => 384,
            (3, Version::V2 | Version::V2_5) => 576,
            _ => 1_152,
        }
    }

    /// Bytes of the frame, header included, at most 2,881; none in free format, where no header tells.
    pub fn frame_bytes(&self) -> Option<u32> {
        let bits_per_second = u32::from(self.bitrate_kbps?) * 1_000;
        // Layer I counts in slots of four bytes: the division is rounded down to a whole slot.
        let unpadded = match self.layer {
            1 => 12 * bits_per_second / self.sample_rate_hz * 4,
            _ => self.samples() / 8 * bits_per_second / self.sample_rate_hz,
        };
        Some(unpadded + self.padding_bytes)
    }

    /// Units of 1,000 bits per second of a free-format stream whose frames have `unpadded_bytes`, rounded.
    pub fn free_bitrate_kbps(&self, unpadded_bytes: u32) -> u16 {
        let bits_per_second =
            u64::from(unpadded_bytes) * 8 * u64::from(self.sample_rate_hz) / u64::from(self.samples());
        u16::try_from((bits_per_second + 500) / 1_000).unwrap_or(u16::MAX)
    }

    /// Bytes of an unpadded frame if this free-format one has `bytes`; none if the stream's frames cannot have them.
    pub fn free_unpadded_bytes(&self, bytes: u32) -> Option<u32> {
        let slot_bytes = slot_bytes(self.layer);
        let unpadded_bytes = bytes.checked_sub(self.padding_bytes)?;
        let bounds = FREE_FRAME_BYTES_MIN..=FREE_FRAME_BYTES_MAX - slot_bytes;
        (bounds.contains(&unpadded_bytes) && unpadded_bytes.is_multiple_of(slot_bytes))
            .then_some(unpadded_bytes)
    }

    /// All that [`free_bitrate_kbps`](Self::free_bitrate_kbps) gives `bitrate_kbps` for, in order; some 20 at most.
    pub fn free_unpadded_bytes_at(&self, bitrate_kbps: u16) -> impl Iterator<Item = u32> + use<> {
        let header = *self;
        let bytes_at = move |bits_per_second: u32| {
            u64::from(header.samples()) * u64::from(bits_per_second) / 8 / u64::from(header.sample_rate_hz)
        };
        let bits_per_second = u32::from(bitrate_kbps) * 1_000;
        let bounds = bytes_at(bits_per_second.saturating_sub(500))..=bytes_at(bits_per_second + 500) + 1;
        bounds
            .filter_map(move |bytes| u32::try_from(bytes).ok())
            .filter(move |bytes| header.free_bitrate_kbps(*bytes) == bitrate_kbps)
    }

    /// The frame's format, with the bitrate its header tells (0 in free format).
    pub fn format(&self) -> Format {
        Format {
            codec: Codec::Mp3,
            profile: self.layer,
            sample_rate_hz: self.sample_rate_hz,
            channels: self.channels,
            bitrate_kbps: self.bitrate_kbps.unwrap_or(0),
        }
    }

    /// What `frame` says if it is an info frame: layer III, empty side information, then a mark where the audio
    /// would begin.
    ///
    /// It decodes to silence and describes a file, so it has no place in a live stream.
    pub fn info_frame(&self, frame: &[u8]) -> Option<InfoFrame> {
        // Fraunhofer's mark lies behind 32 bytes, whatever the mode.
        const VBRI_AT: usize = HEADER_BYTES + 32;
        if self.layer != 3 {
            return None;
        }
        let crc_bytes = if self.has_crc { 2 } else { 0 };
        // Encoders disagree whether the CRC moves the mark.
        for crc_shift in [0, crc_bytes] {
            let at = HEADER_BYTES + self.side_information_bytes() + crc_shift;
            let found = match frame.get(at..at + 4) {
                Some(b"Xing") => InfoFrame::VariableBitrate,
                Some(b"Info") => InfoFrame::ConstantBitrate,
                _ => continue,
            };
            return is_zero(frame, HEADER_BYTES + crc_bytes, at).then_some(found);
        }
        let is_vbri = frame.get(VBRI_AT..VBRI_AT + 4) == Some(b"VBRI");
        (is_vbri && is_zero(frame, HEADER_BYTES + crc_bytes, VBRI_AT)).then_some(InfoFrame::VariableBitrate)
    }

    /// Bytes of layer III side information (ISO 11172-3 section 2.4.1.7, 13818-3 section 2.4.1.7).
    fn side_information_bytes(&self) -> usize {
        match (self.version, self.channels) {
            (Version::V1, 1) => 17,
            (Version::V1, _) => 32,
            (_, 1) => 9,
            (_, _) => 17,
        }
    }
}

/// True if `second` can be a header's second byte: the rest of the sync word, a known version, a known layer.
fn begins_header(second: u8) -> bool {
    second >> 5 == 0b111 && (second >> 3) & 0b11 != 0b01 && (second >> 1) & 0b11 != 0b00
}

/// Bytes of a slot, the unit of a frame's length (ISO 11172-3 section 2.4.2.1).
fn slot_bytes(layer: u8) -> u32 {
    if layer == 1 { 4 } else { 1 }
}

fn bitrates(version: Version, layer: u8) -> &'static [u16; 14] {
    match (version, layer) {
        (Version::V1, 1) => &KBPS_V1_LAYER_1,
        (Version::V1, 2) => &KBPS_V1_LAYER_2,
        (Version::V1, _) => &KBPS_V1_LAYER_3,
        (_, 1) => &KBPS_V2_LAYER_1,
        (_, _) => &KBPS_V2_LAYERS_2_3,
    }
}

fn is_zero(frame: &[u8], from: usize, to: usize) -> bool {
    frame.get(from..to).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MPEG-1 layer III, no CRC, 128 kbit/s, 44,100 Hz, stereo.
    const STEREO_128: [u8; 4] = [0xFF, 0xFB, 0x90, 0x00];
    const VERSION_BITS: [(Version, u8); 3] = [(Version::V1, 3), (Version::V2, 2), (Version::V2_5, 0)];

    fn parse(bytes: [u8; 4]) -> Header {
        match Header::parse(&bytes) {
            Found::Yes(header) => header,
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }

    fn build(version_bits: u8, layer: u8, bitrate: u8, rate: u8, padding: u8) -> [u8; 4] {
        [0xFF, 0xE1 | version_bits << 3 | (4 - layer) << 1, bitrate << 4 | rate << 2 | padding << 1, 0]
    }

    #[test]
    fn every_prefix_of_a_header_asks_for_more() {
        for len in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&STEREO_128[..len]), Found::More, "{len} bytes");
        }
        assert_eq!(parse(STEREO_128).frame_bytes(), Some(417));
    }

    #[test]
    fn reserved_values_are_no_header() {
        for (what, bytes) in [
            ("sync word", [0xFE, 0xFB, 0x90, 0x00]),
            ("sync word", [0xFF, 0xDB, 0x90, 0x00]),
            ("version 01", [0xFF, 0xEB, 0x90, 0x00]),
            ("layer 00", [0xFF, 0xF9, 0x90, 0x00]),
            ("bitrate 15", [0xFF, 0xFB, 0xF0, 0x00]),
            ("sample rate 3", [0xFF, 0xFB, 0x9C, 0x00]),
        ] {
            assert_eq!(Header::parse(&bytes), Found::No, "{what}");
        }
    }

    #[test]
    fn sample_rates_are_those_of_the_three_versions() {
        let expected = [[44_100, 48_000, 32_000], [22_050, 24_000, 16_000], [11_025, 12_000, 8_000]];
        for ((version, bits), rates_hz) in VERSION_BITS.into_iter().zip(expected) {
            for (index, rate_hz) in rates_hz.into_iter().enumerate() {
                let header = parse(build(bits, 3, 9, index as u8, 0));
                assert_eq!((header.version, header.sample_rate_hz), (version, rate_hz));
            }
        }
    }

    #[test]
    fn lengths_and_samples_are_those_of_ffprobe() {
        let table = include_str!("../../../testdata/audio/mpeg-lengths.csv");
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |index: usize| fields[index].parse::<u32>().unwrap();
            let version_bits = match fields[0] {
                "1" => 3,
                "2" => 2,
                _ => 0,
            };
            let [layer, bitrate, rate, padding] = [1, 2, 3, 4].map(|index| number(index) as u8);
            let header = parse(build(version_bits, layer, bitrate, rate, padding));
            assert_eq!((header.frame_bytes(), header.samples()), (Some(number(5)), number(6)), "{line}");
        }
        assert_eq!(table.lines().count(), 1 + 3 * 3 * 14 * 3 * 2);
    }

    #[test]
    fn the_longest_frame_is_2881_bytes() {
        let longest = parse(build(0, 2, 14, 2, 1));
        assert_eq!(
            (longest.frame_bytes(), longest.sample_rate_hz, longest.bitrate_kbps),
            (Some(2_881), 8_000, Some(160))
        );
    }

    #[test]
    fn bitrate_0_is_free_format() {
        for layer in 1..=3 {
            let header = parse(build(3, layer, 0, 0, 0));
            assert_eq!((header.bitrate_kbps, header.frame_bytes()), (None, None));
        }
    }

    #[test]
    fn only_mode_3_is_mono() {
        for (mode, channels) in [(0, 2), (1, 2), (2, 2), (3, 1)] {
            assert_eq!(parse([0xFF, 0xFB, 0x90, mode << 6]).channels, channels, "mode {mode}");
        }
    }

    #[test]
    fn a_crc_does_not_change_the_length() {
        let with_crc = parse([0xFF, 0xFA, 0x90, 0x00]);
        assert!(with_crc.has_crc && !parse(STEREO_128).has_crc);
        assert_eq!(with_crc.frame_bytes(), parse(STEREO_128).frame_bytes());
    }

    #[test]
    fn the_bytes_of_free_format_frames_are_bounded() {
        let (unpadded, padded) = (parse(build(3, 3, 0, 0, 0)), parse(build(3, 3, 0, 0, 1)));
        let (unpadded_slots, padded_slots) = (parse(build(3, 1, 0, 0, 0)), parse(build(3, 1, 0, 0, 1)));
        for (header, bytes, expected) in [
            (unpadded, 23, None),
            (unpadded, 24, Some(24)),
            (padded, 24, None),
            (padded, 25, Some(24)),
            (unpadded, 16_383, Some(16_383)),
            (unpadded, 16_384, None),
            (padded, 16_384, Some(16_383)),
            (padded, 16_385, None),
            (unpadded_slots, 24, Some(24)),
            (unpadded_slots, 25, None),
            (padded_slots, 28, Some(24)),
            (padded_slots, 16_384, Some(16_380)),
            (unpadded_slots, 16_384, None),
        ] {
            assert_eq!(header.free_unpadded_bytes(bytes), expected, "{bytes} bytes of {header:?}");
        }
    }

    #[test]
    fn a_free_bitrate_leads_back_to_its_frames() {
        for (version_bits, layer, rate) in [(3, 3, 0), (3, 1, 1), (2, 3, 2), (0, 2, 2), (0, 1, 2)] {
            let header = parse(build(version_bits, layer, 0, rate, 0));
            for bytes in FREE_FRAME_BYTES_MIN..FREE_FRAME_BYTES_MAX {
                let all: Vec<u32> = header.free_unpadded_bytes_at(header.free_bitrate_kbps(bytes)).collect();
                assert!(all.contains(&bytes) && all.len() <= 20, "{bytes} bytes: {all:?}");
            }
        }
    }

    #[test]
    fn a_free_bitrate_is_rounded_to_the_nearest() {
        let (at_44100, at_12000) = (parse(build(3, 3, 0, 0, 0)), parse(build(0, 3, 0, 1, 0)));
        for (header, bytes, kbps) in [
            (at_44100, 1_044, 320),
            (at_44100, 1_045, 320),
            (at_44100, 1_306, 400),
            (at_44100, 24, 7),
            (at_12000, 26, 4),
            (at_12000, 27, 5), // 4,500 bits per second
        ] {
            assert_eq!(header.free_bitrate_kbps(bytes), kbps, "{bytes} bytes");
        }
    }

    fn marked(header: [u8; 4], at: usize, mark: &[u8; 4]) -> Vec<u8> {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&header);
        frame[at..at + 4].copy_from_slice(mark);
        frame
    }

    #[test]
    fn info_frames_are_known_by_their_mark_behind_empty_side_information() {
        const CRC: [u8; 4] = [0xFF, 0xFA, 0x90, 0x00];
        let (constant, variable) = (Some(InfoFrame::ConstantBitrate), Some(InfoFrame::VariableBitrate));
        for (header, at, mark, expected) in [
            (STEREO_128, 36, b"Info", constant),
            (STEREO_128, 36, b"Xing", variable),
            (STEREO_128, 36, b"VBRI", variable),
            (STEREO_128, 36, b"Xinf", None),
            (STEREO_128, 35, b"Xing", None),
            (STEREO_128, 21, b"Xing", None),
            ([0xFF, 0xFB, 0x90, 0xC0], 21, b"Xing", variable), // mono
            ([0xFF, 0xFB, 0x90, 0xC0], 36, b"VBRI", variable),
            ([0xFF, 0xF3, 0x90, 0x00], 21, b"Info", constant), // MPEG-2
            ([0xFF, 0xF3, 0x90, 0xC0], 13, b"Info", constant), // MPEG-2, mono
            ([0xFF, 0xE3, 0x90, 0xC0], 13, b"Info", constant), // MPEG-2.5, mono
            (CRC, 36, b"Info", constant),
            (CRC, 38, b"Info", constant),
            ([0xFF, 0xFD, 0x90, 0x00], 36, b"Xing", None), // layer II
        ] {
            let frame = marked(header, at, mark);
            assert_eq!(parse(header).info_frame(&frame), expected, "{header:02x?} {at}");
        }
    }

    #[test]
    fn a_mark_behind_side_information_is_audio() {
        for (mark, last_of_side_information) in [(b"Xing", 35), (b"VBRI", 35), (b"Info", 4)] {
            let mut frame = marked(STEREO_128, 36, mark);
            frame[last_of_side_information] = 1;
            assert_eq!(parse(STEREO_128).info_frame(&frame), None);
        }
    }

    #[test]
    fn a_frame_too_short_for_a_mark_is_audio() {
        let frame = marked(STEREO_128, 36, b"Xing");
        assert_eq!(parse(STEREO_128).info_frame(&frame[..39]), None);
        assert!(parse(STEREO_128).info_frame(&frame[..40]).is_some());
    }
}
