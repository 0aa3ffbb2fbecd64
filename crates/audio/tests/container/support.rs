//! Audio to wrap, and its frames. No facts of its own are shown here.

use std::fs;

use audio::{Codec, Format, Frame, Parser, frames_in};
use proptest::prelude::*;
use testkit::audio::{AdtsFrames, Mp3Frames};

/// Frames of one format.
#[derive(Clone, Debug)]
pub struct Audio {
    pub format: Format,
    pub data: Vec<u8>,
    pub frames: Vec<Frame>,
}

/// Some of its frames, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// Samples before them.
    pub base_samples: u64,
    pub data: &'a [u8],
}

impl Audio {
    pub fn new(format: Format, data: Vec<u8>) -> Audio {
        let frames: Vec<Frame> = frames_in(&format, &data).collect();
        assert_eq!(frames.iter().map(|frame| frame.len as usize).sum::<usize>(), data.len());
        Audio { format, data, frames }
    }

    /// The frames of a file in testdata/audio.
    pub fn of_file(name: &str) -> Audio {
        let path = format!("{}/../../testdata/audio/{name}", env!("CARGO_MANIFEST_DIR"));
        let (mut parser, mut out) = (Parser::new(None), Vec::new());
        parser.push(&fs::read(path).expect("the file is there"), &mut out);
        parser.finish(&mut out);
        let data = out.iter().flat_map(|batch| batch.data.to_vec()).collect();
        Audio::new(out[0].format, data)
    }

    pub fn samples(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.samples)).sum()
    }

    /// Cuts of `count` frames, the last one of the rest.
    pub fn cuts(&self, count: usize) -> Vec<Cut<'_>> {
        let (mut base_samples, mut at) = (0, 0);
        let mut cuts = Vec::new();
        for frames in self.frames.chunks(count) {
            let end = at + frames.iter().map(|frame| frame.len as usize).sum::<usize>();
            cuts.push(Cut { base_samples, data: &self.data[at..end] });
            at = end;
            base_samples += frames.iter().map(|frame| u64::from(frame.samples)).sum::<u64>();
        }
        cuts
    }

    /// The bytes of each frame.
    pub fn each(&self) -> Vec<&[u8]> {
        self.cuts(1).into_iter().map(|cut| cut.data).collect()
    }
}

pub fn aac_format() -> Format {
    Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 0 }
}

pub fn mp3_format() -> Format {
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 128 }
}

/// An ADTS frame with `raw`: AAC LC, 44,100 Hz, stereo; a CRC of two bytes 0xCC if `has_crc`.
pub fn adts(raw: &[u8], has_crc: bool) -> Vec<u8> {
    let bytes = 7 + if has_crc { 2 } else { 0 } + raw.len();
    let mut frame = vec![0xFF, if has_crc { 0xF0 } else { 0xF1 }, 0x50, 0x80 | (bytes >> 11) as u8];
    frame.extend([(bytes >> 3) as u8, (bytes << 5) as u8 | 0x1F, 0xFC]);
    if has_crc {
        frame.extend([0xCC, 0xCC]);
    }
    frame.extend(raw);
    frame
}

/// Some frames of either codec, of all lengths that matter.
pub fn any_audio() -> impl Strategy<Value = Audio> {
    prop_oneof![
        any_aac(),
        (1..200_u32, prop_oneof![Just(32), Just(128), Just(320)]).prop_map(|(count, kbps)| {
            let data = Mp3Frames::new(kbps, 44_100, 2).bytes(0..count);
            Audio::new(Format { bitrate_kbps: kbps as u16, ..mp3_format() }, data)
        }),
        (1..100_u32)
            .prop_map(|count| { Audio::new(aac_format(), AdtsFrames::new(96, 44_100, 2).bytes(0..count)) }),
    ]
}

/// Some ADTS frames, with and without CRC.
pub fn any_aac() -> impl Strategy<Value = Audio> {
    let raw_bytes = prop_oneof![9 => 0..800_usize, 1 => 0..8_183_usize];
    prop::collection::vec((raw_bytes, any::<u8>(), any::<bool>()), 1..80).prop_map(|frames| {
        let frame = |(raw_bytes, seed, has_crc): &(usize, u8, bool)| {
            let raw: Vec<u8> = (0..*raw_bytes).map(|index| (index % 251) as u8 ^ seed).collect();
            adts(&raw, *has_crc)
        };
        Audio::new(aac_format(), frames.iter().flat_map(frame).collect())
    })
}
