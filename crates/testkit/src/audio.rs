//! Numbered audio: valid frames that decode as silence and carry their own number, so that whoever receives a part of
//! them can tell which frames came, and whether one is missing, doubled or damaged.
//!
//! `mp3` and `adts` hold the two layouts, `scanner` reads what was received. Nothing here parses real audio.
//!
//! A frame, whatever its codec:
//!
//! ```text
//! | codec's head | number: 5 bytes of 7 bits, high first | filler: pseudo-random from the number, 7 bits each |
//! ```
//!
//! Number and filler stay below 0x80: a sync word, which starts with 0xFF, is only at the start of a frame.

mod adts;
mod mp3;
mod scanner;

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

pub use adts::{Adts, AdtsFrames};
pub use mp3::{Mp3, Mp3Frames};
pub use scanner::{Break, Report, Scanner};

/// First byte of every frame, and of nothing else in it.
const SYNC: u8 = 0xFF;
/// Bytes of the frame number.
const NUMBER_BYTES: usize = 5;
/// Fewest bytes of filler that tell a frame from chance: 56 bits.
const FILLER_BYTES_MIN: usize = 8;

/// The layout of one codec's frames.
pub trait Codec: Copy + Debug {
    /// Samples of one frame.
    const SAMPLES: u32;

    /// Bytes before the frame number.
    fn head_bytes(&self) -> usize;

    /// Appends a frame of `frame_bytes` bytes that holds `number` and its filler.
    fn write(&self, number: u32, frame_bytes: usize, out: &mut Vec<u8>);

    /// Size of the frame that starts with `head`, at least `head_bytes` long; `None` if it is not one of ours.
    fn frame_bytes(&self, head: &[u8]) -> Option<usize>;
}

/// A row of numbered frames of one constant bitrate, from frame 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames<C> {
    codec: C,
    bitrate_kbps: u32,
    sample_rate_hz: u32,
}

impl<C: Codec> Frames<C> {
    fn of(codec: C, bitrate_kbps: u32, sample_rate_hz: u32) -> Self {
        let frames = Self { codec, bitrate_kbps, sample_rate_hz };
        let room = frames.position(1) as usize;
        let needed = codec.head_bytes() + NUMBER_BYTES + FILLER_BYTES_MIN;
        assert!(room >= needed, "a frame of {room} bytes is too small for its number: {needed} bytes");
        frames
    }

    /// Bytes of all frames before frame `number`: the bitrate is exact, the sizes differ by one byte of padding.
    pub fn position(&self, number: u32) -> u64 {
        self.bytes_before(u64::from(number))
    }

    /// Bytes of frame `number`.
    pub fn frame_bytes(&self, number: u32) -> usize {
        (self.bytes_before(u64::from(number) + 1) - self.position(number)) as usize
    }

    /// Frame `number`.
    pub fn frame(&self, number: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_bytes(number));
        self.codec.write(number, self.frame_bytes(number), &mut out);
        out
    }

    /// The frames of `numbers`, joined.
    pub fn bytes(&self, numbers: Range<u32>) -> Vec<u8> {
        let bytes = self.position(numbers.end) - self.position(numbers.start);
        let mut out = Vec::with_capacity(bytes as usize);
        for number in numbers {
            self.codec.write(number, self.frame_bytes(number), &mut out);
        }
        out
    }

    /// Media time of the start of frame `number`, in µs from frame 0, rounded down.
    pub fn start_us(&self, number: u32) -> u64 {
        u64::from(number) * u64::from(C::SAMPLES) * 1_000_000 / u64::from(self.sample_rate_hz)
    }

    /// Media time of `count` frames, exact to 1 µs.
    pub fn duration(&self, count: u32) -> Duration {
        Duration::from_micros(self.start_us(count))
    }

    /// How many whole frames fit into `duration`.
    pub fn count_in(&self, duration: Duration) -> u32 {
        let samples = duration.as_micros() * u128::from(self.sample_rate_hz) / 1_000_000;
        u32::try_from(samples / u128::from(C::SAMPLES)).expect("test audio is shorter than three years")
    }

    /// Reads all of `received` and reports which frames are in it.
    pub fn scan(&self, received: &[u8]) -> Report {
        let mut scanner = Scanner::new(*self);
        scanner.push(received);
        scanner.report()
    }

    fn bytes_before(&self, number: u64) -> u64 {
        let bits_per_frame_and_hz = u64::from(self.bitrate_kbps) * 1000 * u64::from(C::SAMPLES);
        number * (bits_per_frame_and_hz / 8) / u64::from(self.sample_rate_hz)
    }

    /// What `bytes` starts with.
    fn find_frame(&self, bytes: &[u8]) -> Found {
        if bytes.first().is_some_and(|&byte| byte != SYNC) {
            return Found::Junk;
        }
        let head_bytes = self.codec.head_bytes();
        let Some(head) = bytes.get(..head_bytes + NUMBER_BYTES) else {
            return Found::Partial;
        };
        let declared = self.codec.frame_bytes(head).zip(decode_number(&head[head_bytes..]));
        let Some((frame_bytes, number)) =
            declared.filter(|&(bytes, number)| bytes == self.frame_bytes(number))
        else {
            return Found::Junk;
        };
        match bytes.get(..frame_bytes) {
            None => Found::Partial,
            Some(frame) if frame == self.frame(number) => Found::Frame { number, frame_bytes },
            Some(_) => Found::Junk,
        }
    }
}

/// What a place in received bytes holds.
enum Found {
    Frame { number: u32, frame_bytes: usize },
    Junk,
    Partial,
}

fn decode_number(bytes: &[u8]) -> Option<u32> {
    let value = bytes[..NUMBER_BYTES].iter().fold(0_u64, |value, &byte| value << 7 | u64::from(byte));
    u32::try_from(value).ok()
}

/// Number and filler of a frame, `count` bytes in all, each below 0x80.
fn payload(number: u32, count: usize) -> impl Iterator<Item = u8> {
    let digits = (0..NUMBER_BYTES).rev().map(move |place| (u64::from(number) >> (7 * place)) as u8 & 0x7F);
    // xorshift64 by Marsaglia; its state must not be zero.
    let mut state = (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state & 0x7F7F_7F7F_7F7F_7F7F).to_be_bytes()
    });
    digits.chain(words.flatten()).take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_encoding() {
        for number in [0, 1, 127, 128, 16_383, 16_384, 0x0FFF_FFFF, u32::MAX] {
            let encoded: Vec<u8> = payload(number, NUMBER_BYTES).collect();
            assert_eq!(decode_number(&encoded), Some(number));
        }
    }

    #[test]
    fn number_above_32_bits_is_none() {
        assert_eq!(decode_number(&[0x10, 0, 0, 0, 0]), None);
        assert_eq!(decode_number(&[0x0F, 0x7F, 0x7F, 0x7F, 0x7F]), Some(u32::MAX));
    }

    #[test]
    fn payload_stays_below_0x80_and_differs_between_numbers() {
        let fillers: Vec<Vec<u8>> = (0..2000).map(|number| payload(number, 100).collect()).collect();
        assert!(fillers.iter().flatten().all(|&byte| byte < 0x80));
        for pair in fillers.windows(2) {
            assert_ne!(pair[0][NUMBER_BYTES..], pair[1][NUMBER_BYTES..]);
        }
    }

    #[test]
    fn mean_bitrate_is_exact_over_a_second_of_frames() {
        // 44,100 frames of 1152 samples last 1152 s.
        let frames = Mp3Frames::new(128, 44_100, 2);
        assert_eq!(frames.position(44_100), 1152 * 16_000);
        assert_eq!(frames.duration(44_100), Duration::from_secs(1152));
        assert_eq!(frames.bytes(0..441).len() as u64, frames.position(441));
    }

    #[test]
    fn count_in_is_the_inverse_of_duration() {
        let frames = Mp3Frames::new(128, 48_000, 2);
        assert_eq!(frames.count_in(Duration::from_millis(24)), 1);
        assert_eq!(frames.count_in(Duration::from_micros(23_999)), 0);
        assert_eq!(frames.count_in(frames.duration(1000)), 1000);
    }
}
