//! The layout of numbered MPEG-1 Layer III frames (ISO 11172-3, 2.4.1): the number lies in the main data, which the
//! side information declares empty.
//!
//! ```text
//! | header 4 | side information 32 (mono 17), all zero | number 5 | filler |
//! ```

use super::{Codec, Frames, payload};

const HEADER_BYTES: usize = 4;
/// Rates by bitrate index, in kbit/s; index 0 is free format, 15 forbidden.
const BITRATES_KBPS: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const SAMPLE_RATES_HZ: [u32; 3] = [44_100, 48_000, 32_000];

/// Numbered MPEG-1 Layer III frames.
pub type Mp3Frames = Frames<Mp3>;

/// MPEG-1 Layer III, without CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3 {
    bitrate_index: u8,
    sample_rate_index: u8,
    mono: bool,
}

impl Frames<Mp3> {
    /// Frames of a bitrate and a sample rate of MPEG-1 Layer III, in mono or stereo; panics on others.
    pub fn new(bitrate_kbps: u32, sample_rate_hz: u32, channels: u8) -> Self {
        assert!(matches!(channels, 1 | 2), "{channels} channels: 1 or 2 are known");
        let codec = Mp3 {
            bitrate_index: index_of(&BITRATES_KBPS[1..], bitrate_kbps) + 1,
            sample_rate_index: index_of(&SAMPLE_RATES_HZ, sample_rate_hz),
            mono: channels == 1,
        };
        Self::of(codec, bitrate_kbps, sample_rate_hz)
    }
}

fn index_of(table: &[u32], value: u32) -> u8 {
    let index = table.iter().position(|&entry| entry == value);
    index.unwrap_or_else(|| panic!("MPEG-1 Layer III has no rate {value}, only {table:?}")) as u8
}

impl Mp3 {
    fn header(self, padded: bool) -> [u8; HEADER_BYTES] {
        let rates = self.bitrate_index << 4 | self.sample_rate_index << 2 | u8::from(padded) << 1;
        let mode = if self.mono { 0b1100_0000 } else { 0 };
        [0xFF, 0xFB, rates, mode]
    }

    /// Bytes of an unpadded frame (2.4.3.1).
    fn unpadded_bytes(self) -> usize {
        let bitrate_bps = BITRATES_KBPS[usize::from(self.bitrate_index)] * 1000;
        (Self::SAMPLES / 8 * bitrate_bps / SAMPLE_RATES_HZ[usize::from(self.sample_rate_index)]) as usize
    }
}

impl Codec for Mp3 {
    const SAMPLES: u32 = 1152;

    fn head_bytes(&self) -> usize {
        HEADER_BYTES + if self.mono { 17 } else { 32 }
    }

    fn write(&self, number: u32, frame_bytes: usize, out: &mut Vec<u8>) {
        let payload_bytes = frame_bytes - self.head_bytes();
        out.extend_from_slice(&self.header(frame_bytes > self.unpadded_bytes()));
        out.resize(out.len() + self.head_bytes() - HEADER_BYTES, 0);
        out.extend(payload(number, payload_bytes));
    }

    fn frame_bytes(&self, head: &[u8]) -> Option<usize> {
        [false, true]
            .into_iter()
            .find(|&padded| head.starts_with(&self.header(padded)))
            .map(|padded| self.unpadded_bytes() + usize::from(padded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame size as 2.4.3.1 computes it from the header's own bits.
    fn bytes_by_header(header: &[u8]) -> usize {
        assert_eq!(header[0], 0xFF);
        assert_eq!(header[1], 0b1111_1011, "MPEG-1, Layer III, no CRC");
        let bitrate_bps = BITRATES_KBPS[usize::from(header[2] >> 4)] * 1000;
        let sample_rate_hz = SAMPLE_RATES_HZ[usize::from(header[2] >> 2 & 3)];
        (144 * bitrate_bps / sample_rate_hz) as usize + usize::from(header[2] >> 1 & 1)
    }

    #[test]
    fn every_frame_is_as_long_as_its_header_says() {
        for bitrate_kbps in &BITRATES_KBPS[1..] {
            for sample_rate_hz in SAMPLE_RATES_HZ {
                for channels in [1, 2] {
                    let frames = Mp3Frames::new(*bitrate_kbps, sample_rate_hz, channels);
                    for number in 0..500 {
                        let frame = frames.frame(number);
                        assert_eq!(frame.len(), bytes_by_header(&frame), "{frames:?}, frame {number}");
                        assert_eq!(frame[3] >> 6 == 0b11, channels == 1);
                    }
                }
            }
        }
    }

    #[test]
    fn sync_is_only_at_the_start_of_a_frame() {
        let frames = Mp3Frames::new(320, 44_100, 2);
        for number in 0..5000 {
            assert_eq!(frames.frame(number).iter().rposition(|&byte| byte == 0xFF), Some(0));
        }
    }

    #[test]
    fn first_frame_has_these_bytes() {
        let frame = Mp3Frames::new(128, 44_100, 2).frame(0);
        assert_eq!(frame.len(), 417);
        assert_eq!(frame[..4], [0xFF, 0xFB, 0x90, 0x00]);
        assert!(frame[4..41].iter().all(|&byte| byte == 0));
        assert_eq!(Mp3Frames::new(128, 44_100, 2).frame(0x81)[36..41], [0, 0, 0, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "no rate 100")]
    fn unknown_bitrate_is_refused() {
        Mp3Frames::new(100, 44_100, 2);
    }
}
