//! A tone, for programs that encode or decode: what comes out of them is another row of bytes, but must sound the same.
//!
//! All samples are 16 bits, little-endian, in stereo at 44.1 kHz. No codec.

/// Samples per second and channel.
pub const SAMPLE_RATE_HZ: u32 = 44_100;
/// Frequency of the tone: concert pitch, far below what any encoder filters out.
pub const FREQUENCY_HZ: u32 = 440;
/// Bytes of one sample of both channels.
pub const SAMPLE_BYTES: usize = 4;
/// Largest sample: -12 dB.
const AMPLITUDE: f64 = 8192.0;
/// Samples below are silence, or where an encoder fades in.
const LOUD: i16 = 1000;

/// Samples `first..first + count` of the tone, without a header.
pub fn pcm(first: u64, count: usize) -> Vec<u8> {
    let step = f64::from(FREQUENCY_HZ) * std::f64::consts::TAU / f64::from(SAMPLE_RATE_HZ);
    let samples = (first..first + count as u64).map(|number| (number as f64 * step).sin() * AMPLITUDE);
    samples.flat_map(|sample| [(sample as i16).to_le_bytes(); 2].concat()).collect()
}

/// So many seconds of the tone as a WAV file.
pub fn wav(seconds: u32) -> Vec<u8> {
    let samples = pcm(0, (seconds * SAMPLE_RATE_HZ) as usize);
    let bytes = samples.len() as u32;
    let byte_rate = SAMPLE_RATE_HZ * SAMPLE_BYTES as u32;
    let mut out = b"RIFF".to_vec();
    out.extend((bytes + 36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    out.extend(SAMPLE_RATE_HZ.to_le_bytes());
    out.extend(byte_rate.to_le_bytes());
    out.extend(b"\x04\0\x10\0data");
    out.extend(bytes.to_le_bytes());
    out.extend(samples);
    out
}

/// The samples of a WAV file; all bytes behind the head, whatever its length says: programs that are stopped do not
/// write it. `None` when it has no data yet.
pub fn samples_of_wav(file: &[u8]) -> Option<&[u8]> {
    let place = file.windows(4).position(|name| name == b"data")?;
    file.get(place + 8..)
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// From the first loud sample to the last one.
    pub seconds: f64,
    /// Its mean frequency between them; 0 when it has none.
    pub frequency_hz: f64,
}

impl Heard {
    /// Whether it is our tone, in one piece of at least so many seconds: a gap of silence or a break lowers the mean.
    pub fn is_tone(&self, seconds: f64) -> bool {
        self.seconds >= seconds && (self.frequency_hz - f64::from(FREQUENCY_HZ)).abs() < 2.0
    }
}

/// Listens to the left channel of samples without a header.
pub fn hear(pcm: &[u8]) -> Heard {
    let left: Vec<i16> =
        pcm.chunks_exact(SAMPLE_BYTES).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect();
    let is_loud = |sample: &i16| sample.unsigned_abs() > LOUD.unsigned_abs();
    let (Some(first), Some(last)) = (left.iter().position(is_loud), left.iter().rposition(is_loud)) else {
        return Heard { seconds: 0.0, frequency_hz: 0.0 };
    };
    let loud = &left[first..=last];
    let seconds = loud.len() as f64 / f64::from(SAMPLE_RATE_HZ);
    let rises: Vec<usize> =
        (1..loud.len()).filter(|&place| loud[place - 1] < 0 && loud[place] >= 0).collect();
    let frequency_hz = match rises[..] {
        [first, .., last] => (rises.len() - 1) as f64 * f64::from(SAMPLE_RATE_HZ) / (last - first) as f64,
        _ => 0.0,
    };
    Heard { seconds, frequency_hz }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_heard_and_silence_is_not() {
        let second = SAMPLE_RATE_HZ as usize;
        assert!(hear(&pcm(0, second)).is_tone(0.99));
        assert!(!hear(&pcm(0, second)).is_tone(1.1));
        assert!(!hear(&vec![0; second * SAMPLE_BYTES]).is_tone(0.0));
    }

    #[test]
    fn a_gap_is_no_tone() {
        let half = SAMPLE_RATE_HZ as usize / 2;
        let gap = vec![0; half / 20 * SAMPLE_BYTES];
        let broken = [pcm(0, half), gap, pcm(half as u64, half)].concat();
        assert!(!hear(&broken).is_tone(0.5), "{:?}", hear(&broken));
    }

    #[test]
    fn pieces_join_to_the_same_tone() {
        assert_eq!([pcm(0, 100), pcm(100, 33)].concat(), pcm(0, 133));
    }

    #[test]
    fn a_wav_file_holds_the_samples() {
        let file = wav(1);
        assert_eq!((&file[..4], &file[36..40], file.len()), (&b"RIFF"[..], &b"data"[..], 44 + 176_400));
        assert_eq!(samples_of_wav(&file), Some(&pcm(0, 44_100)[..]));
        assert_eq!(samples_of_wav(b"RIFF"), None);
    }
}
