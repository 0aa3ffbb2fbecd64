//! What a stream's audio is: codec, sample rate, channels, bitrate, and the original's short key for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The codecs that can be framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// MPEG-1/2/2.5 audio, layers I to III (ISO 11172-3, 13818-3); `mp3` in keys and file names.
    Mp3,
    /// AAC in ADTS (ISO 14496-3, 1.A.2.2).
    Aac,
}

/// Format of a run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Format {
    /// Codec.
    pub codec: Codec,
    /// MPEG: layer, 1 to 3. AAC: MPEG-4 audio object type, 1 to 4 (2 is LC).
    pub profile: u8,
    /// Samples per second, as the header tells (HE-AAC: of its core).
    pub sample_rate_hz: u32,
    /// Channels, as the header tells; 0 if it tells none (AAC configuration 0, defined in the stream).
    pub channels: u8,
    /// Bits per second of a constant-bitrate MPEG stream in units of 1,000; 0 where it varies or is not told.
    pub bitrate_kbps: u16,
}

impl Codec {
    /// Ending of a file's or segment's name: `mp3` or `aac`.
    pub fn extension(self) -> &'static str {
        match self {
            Codec::Mp3 => "mp3",
            Codec::Aac => "aac",
        }
    }
}

impl Format {
    /// True if frames of `next` can follow frames of `self` in one decoder: all but the bitrate is equal.
    pub fn continues_as(&self, next: &Format) -> bool {
        self.codec == next.codec
            && self.profile == next.profile
            && self.sample_rate_hz == next.sample_rate_hz
            && self.channels == next.channels
    }

    /// The stream key as the original writes it: `mp3-44100-128-s` (rate, kbit/s, `s`tereo or `m`ono; `vbr` in place
    /// of kbit/s where it varies) or `aac-44100-2-2` (rate, object type, channels).
    pub fn stream_key(&self) -> String {
        self.to_string()
    }

    /// Samples per channel of one frame (an ADTS frame may hold several raw blocks of this many).
    pub fn samples_per_frame(&self) -> u32 {
        // MPEG-2 and 2.5, which halve layer III frames, are those below 32 kHz.
        match (self.codec, self.profile) {
            (Codec::Aac, _) => 1_024,
            (Codec::Mp3, 1) => 384,
            (Codec::Mp3, 3) if self.sample_rate_hz < 32_000 => 576,
            (Codec::Mp3, _) => 1_152,
        }
    }

    /// Microseconds that `samples` of this format last, rounded down; exact to the microsecond for any `u64` in use.
    pub fn micros(&self, samples: u64) -> u64 {
        (u128::from(samples) * 1_000_000 / u128::from(self.sample_rate_hz.max(1))) as u64
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.sample_rate_hz;
        match self.codec {
            Codec::Mp3 => {
                let mode = if self.channels == 1 { 'm' } else { 's' };
                match self.bitrate_kbps {
                    0 => write!(f, "mp3-{rate}-vbr-{mode}"),
                    kbps => write!(f, "mp3-{rate}-{kbps}-{mode}"),
                }
            }
            Codec::Aac => write!(f, "aac-{rate}-{}-{}", self.profile, self.channels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp3(bitrate_kbps: u16, channels: u8) -> Format {
        Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels, bitrate_kbps }
    }

    #[test]
    fn keys_are_those_of_the_original() {
        assert_eq!(mp3(128, 2).stream_key(), "mp3-44100-128-s");
        assert_eq!(mp3(64, 1).stream_key(), "mp3-44100-64-m");
        assert_eq!(mp3(0, 2).stream_key(), "mp3-44100-vbr-s");
        let aac =
            Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 0 };
        assert_eq!(aac.stream_key(), "aac-44100-2-2");
    }

    #[test]
    fn only_the_bitrate_may_change_within_an_epoch() {
        assert!(mp3(128, 2).continues_as(&mp3(64, 2)));
        assert!(!mp3(128, 2).continues_as(&mp3(128, 1)));
    }

    #[test]
    fn micros_do_not_drift_over_years() {
        let year_samples = 44_100 * 86_400 * 366;
        assert_eq!(mp3(128, 2).micros(year_samples), 86_400 * 366 * 1_000_000);
    }
}
