//! The layout of numbered ADTS frames (ISO 13818-7, 6.2): AAC-LC, one silent element, and the number in data stream
//! elements behind it, which decoders skip.
//!
//! ```text
//! | header 7 | silent element, empty data element: 6 (stereo 8) | data elements: 0x81 count bytes... | end 0xE0 |
//! ```

use super::{Codec, Frames, payload};

const HEADER_BYTES: usize = 7;
/// Most bytes of one data element: a count below 0x80 cannot look like a sync word, and 255 would need an escape.
const ELEMENT_BYTES_MAX: usize = 120;
/// A data element's identifier 0b100, tag 0b0000, and the flag that its bytes are aligned.
const DATA_ELEMENT: u8 = 0b1000_0001;
/// Identifier of the end of the raw data block, and alignment.
const END: u8 = 0b1110_0000;
/// Longest frame, by 13 bits.
const FRAME_BYTES_MAX: u64 = 8191;
const SAMPLE_RATES_HZ: [u32; 12] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000];

/// Numbered ADTS frames.
pub type AdtsFrames = Frames<Adts>;

/// AAC-LC in ADTS, without CRC, one raw data block a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adts {
    sample_rate_index: u8,
    channels: u8,
}

impl Frames<Adts> {
    /// Frames of any bitrate that gives 33 to 8190 bytes a frame, in mono or stereo; panics on others.
    pub fn new(bitrate_kbps: u32, sample_rate_hz: u32, channels: u8) -> Self {
        assert!(matches!(channels, 1 | 2), "{channels} channels: 1 or 2 are known");
        let index = SAMPLE_RATES_HZ.iter().position(|&rate| rate == sample_rate_hz);
        let sample_rate_index = index.unwrap_or_else(|| panic!("AAC has no rate {sample_rate_hz}")) as u8;
        let frames = Self::of(Adts { sample_rate_index, channels }, bitrate_kbps, sample_rate_hz);
        assert!(frames.position(1) < FRAME_BYTES_MAX, "{bitrate_kbps} kbit/s does not fit into ADTS frames");
        frames
    }
}

impl Adts {
    fn header(self, frame_bytes: usize) -> [u8; HEADER_BYTES] {
        [
            0xFF,
            0xF1,
            // Profile LC is 1; the channel configuration's high bit is 0.
            0b01 << 6 | self.sample_rate_index << 2,
            self.channels << 6 | (frame_bytes >> 11) as u8,
            (frame_bytes >> 3) as u8,
            // Fullness 0, not the 0x7FF of a variable rate: with it, these bytes can read 0xFF 0xFC.
            (frame_bytes as u8 & 7) << 5,
            0,
        ]
    }

    /// A channel element whose only band count is zero, and an empty data element that ends at a whole byte.
    fn silence(self) -> &'static [u8] {
        // Bits: id 3, tag 4, [stereo: common window 1], ics_info 11 (gain first in mono), ms 2, per channel gain 8 and
        // three absent tools; then the data element 100 0000 1, count 0, alignment.
        match self.channels {
            1 => &[0b0000_0000, 0, 0, 0b0000_0100, 0b0000_1000, 0],
            _ => &[0b0010_0001, 0, 0, 0, 0, 0b0001_0000, 0b0010_0000, 0],
        }
    }
}

impl Codec for Adts {
    const SAMPLES: u32 = 1024;

    fn head_bytes(&self) -> usize {
        HEADER_BYTES + self.silence().len() + 2
    }

    fn write(&self, number: u32, frame_bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + frame_bytes - 1;
        out.extend_from_slice(&self.header(frame_bytes));
        out.extend_from_slice(self.silence());
        let mut payload = payload(number, frame_bytes);
        while out.len() < end {
            // A rest of one byte has no room for an element: then this one leaves two.
            let room = end - out.len() - 2;
            let count = if room == ELEMENT_BYTES_MAX + 1 {
                ELEMENT_BYTES_MAX - 1
            } else {
                room.min(ELEMENT_BYTES_MAX)
            };
            out.extend_from_slice(&[DATA_ELEMENT, count as u8]);
            out.extend(payload.by_ref().take(count));
        }
        out.push(END);
    }

    fn frame_bytes(&self, head: &[u8]) -> Option<usize> {
        let frame_bytes =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        (head.starts_with(&self.header(frame_bytes)) && frame_bytes > self.head_bytes())
            .then_some(frame_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_as_long_as_its_header_says() {
        for bitrate_kbps in [24, 32, 48, 64, 96, 128, 192, 320] {
            for sample_rate_hz in [22_050, 44_100, 48_000] {
                let frames = AdtsFrames::new(bitrate_kbps, sample_rate_hz, 2);
                for number in 0..300 {
                    let frame = frames.frame(number);
                    let declared = usize::from(frame[3] & 3) << 11
                        | usize::from(frame[4]) << 3
                        | usize::from(frame[5] >> 5);
                    assert_eq!((frame.len(), frame[..2].to_vec()), (declared, vec![0xFF, 0xF1]));
                    assert_eq!(frame.len(), frames.frame_bytes(number));
                }
            }
        }
    }

    #[test]
    fn data_elements_fill_every_frame_size_to_its_end() {
        for channels in [1, 2] {
            let codec = Adts { sample_rate_index: 4, channels };
            for frame_bytes in codec.head_bytes() + 14..1200 {
                let mut frame = Vec::new();
                codec.write(7, frame_bytes, &mut frame);
                assert_eq!(frame.len(), frame_bytes);
                let mut place = codec.head_bytes() - 2;
                while frame[place] == DATA_ELEMENT {
                    place += 2 + usize::from(frame[place + 1]);
                }
                assert_eq!(
                    (place, frame[place]),
                    (frame_bytes - 1, END),
                    "channels {channels}, {frame_bytes} bytes"
                );
            }
        }
    }

    #[test]
    fn sync_is_only_at_the_start_of_a_frame() {
        for channels in [1, 2] {
            let frames = AdtsFrames::new(320, 44_100, channels);
            for number in 0..3000 {
                let frame = frames.frame(number);
                let syncs = frame.windows(2).filter(|pair| pair[0] == 0xFF && pair[1] & 0xE0 == 0xE0).count();
                assert_eq!(syncs, 1, "frame {number}");
            }
        }
    }

    #[test]
    fn first_frame_has_these_bytes() {
        let frame = AdtsFrames::new(64, 44_100, 2).frame(0);
        assert_eq!(frame.len(), 185);
        assert_eq!(frame[..7], [0xFF, 0xF1, 0x50, 0x80, 0x17, 0x20, 0x00]);
        assert_eq!(frame[15..22], [DATA_ELEMENT, 120, 0, 0, 0, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "too small")]
    fn bitrate_without_room_for_the_number_is_refused() {
        AdtsFrames::new(8, 48_000, 2);
    }
}
