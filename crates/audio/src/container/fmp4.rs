//! Fragmented MP4 (ISO 14496-12 and 14496-14, profiled by CMAF, ISO 23000-19) with one track of AAC, whose ADTS headers
//! are taken off.
//!
//! ```text
//!   initialisation:  ftyp  moov( mvhd  trak( tkhd  mdia( mdhd  hdlr  minf( smhd  dinf  stbl( stsd ... ) ) ) )
//!                                mvex( trex ) )
//!   media:           [emsg ...]  moof( mfhd  traf( tfhd  tfdt  trun ) )  mdat
//!
//!   box:             size (4, with these eight)  kind (4)  [version (1)  flags (3)]  body
//! ```
//!
//! Time counts in samples of the core, so nothing is rounded. Media segments can be put one after the other: parts of
//! a segment make up the segment. There is no `styp`: CMAF asks for none, and parts would repeat it.

use super::frames::{FrameAt, frames_at};
use super::{Error, PARAMETRIC_STEREO, SBR, codecs};
use crate::adts::{BLOCK_SAMPLES, HEADER_BYTES, RATES_HZ};
use crate::{Codec, Format};

/// Most bytes of ADTS frames in one segment: hours of audio, and no size or offset of 32 bits overflows.
const SEGMENT_BYTES_MAX: usize = 1 << 30;
/// The only track.
const TRACK_ID: u32 = 1;
/// Bytes of a CRC behind the ADTS header.
const CRC_BYTES: usize = 2;
/// `moof` without its row of sample sizes.
const MOOF_BYTES: usize = 88;
/// Bytes of a box's size and kind.
const BOX_HEADER_BYTES: usize = 8;
/// An initialisation segment, with some room.
const INIT_BYTES: usize = 640;
/// A matrix that leaves all as it is, in fixed point.
const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// Flags of a sample that no other depends on (`sample_depends_on` 2): any is a place to start.
const INDEPENDENT: u32 = 0x0200_0000;
/// `tfhd`: offsets count from the `moof`, not from the start of a file.
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// `trun`: an offset of the audio, and a size for each sample.
const OFFSET_AND_SIZES: u32 = 0x201;
/// The scheme of ID3 tags in events (AOM, "Carriage of ID3 Timed Metadata in CMAF").
const ID3_SCHEME: &[u8] = b"https://aomedia.org/emsg/ID3\0";
/// The duration of an event that ends with the next one.
const UNKNOWN_DURATION: u32 = u32::MAX;

/// The initialisation segment of `format`; `EXT-X-MAP` names it. It is the same for all media segments of a format, and
/// another one for another.
pub fn init_segment(format: &Format) -> Result<Vec<u8>, Error> {
    let config = AudioConfig::new(format)?;
    let mut out = Vec::with_capacity(INIT_BYTES);
    put_box(b"ftyp", &mut out, |out| {
        out.extend_from_slice(b"iso6\0\0\0\0iso6cmfcmp41");
    });
    put_box(b"moov", &mut out, |out| {
        put_movie_header(format.sample_rate_hz, out);
        put_box(b"trak", out, |out| {
            put_track_header(out);
            put_box(b"mdia", out, |out| put_media(format, &config, out));
        });
        put_box(b"mvex", out, |out| {
            put_full_box(b"trex", 0, 0, out, |out| {
                // Track, sample description 1, samples of BLOCK_SAMPLES, their size told elsewhere.
                put_u32s(&[TRACK_ID, 1, BLOCK_SAMPLES, 0, INDEPENDENT], out);
            });
        });
    });
    Ok(out)
}

/// A media segment, or a part of one, of `data`: ADTS frames of `format`, the first of which begins `base_samples` after
/// the start of the stream (samples of the core; it never wraps). `sequence_number` grows from segment to segment.
///
/// An error if `data` is not whole frames of one raw data block each, or empty, or over 1 GiB.
pub fn media_segment(
    format: &Format,
    sequence_number: u32,
    base_samples: u64,
    data: &[u8],
) -> Result<Vec<u8>, Error> {
    AudioConfig::new(format)?;
    if data.len() > SEGMENT_BYTES_MAX {
        return Err(Error::TooLong { bytes: data.len(), bytes_max: SEGMENT_BYTES_MAX });
    }
    let (mut count, mut audio_bytes) = (0_usize, 0);
    for block in raw_blocks(format, data) {
        count += 1;
        audio_bytes += block?.len();
    }
    if count == 0 {
        return Err(Error::Empty);
    }
    let moof_bytes = MOOF_BYTES + 4 * count;
    let mut out = Vec::with_capacity(moof_bytes + BOX_HEADER_BYTES + audio_bytes);
    put_box(b"moof", &mut out, |out| {
        put_full_box(b"mfhd", 0, 0, out, |out| put_u32s(&[sequence_number], out));
        put_box(b"traf", out, |out| {
            put_full_box(b"tfhd", 0, DEFAULT_BASE_IS_MOOF, out, |out| put_u32s(&[TRACK_ID], out));
            put_full_box(b"tfdt", 1, 0, out, |out| out.extend_from_slice(&base_samples.to_be_bytes()));
            put_full_box(b"trun", 0, OFFSET_AND_SIZES, out, |out| {
                put_u32s(&[count as u32, (moof_bytes + BOX_HEADER_BYTES) as u32], out);
                for block in raw_blocks(format, data).flatten() {
                    put_u32s(&[block.len() as u32], out);
                }
            });
        });
    });
    put_box(b"mdat", &mut out, |out| {
        for block in raw_blocks(format, data).flatten() {
            out.extend_from_slice(block);
        }
    });
    Ok(out)
}

/// An event that carries the ID3 `tag` at `at_samples` (as `base_samples` of [`media_segment`]); it goes in front of a
/// media segment. Players drop an event whose `id` they have seen with the same time.
pub fn id3_event(format: &Format, at_samples: u64, id: u32, tag: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(tag.len() + 64);
    put_full_box(b"emsg", 1, 0, &mut out, |out| {
        put_u32s(&[format.sample_rate_hz], out);
        out.extend_from_slice(&at_samples.to_be_bytes());
        put_u32s(&[UNKNOWN_DURATION, id], out);
        out.extend_from_slice(ID3_SCHEME);
        // An empty value: the scheme says all.
        out.push(0);
        out.extend_from_slice(tag);
    });
    out
}

/// The raw data block of each frame, an error in place of what is none.
fn raw_blocks<'a>(
    format: &Format,
    data: &'a [u8],
) -> impl Iterator<Item = Result<&'a [u8], Error>> + use<'a> {
    frames_at(format, data).map(|frame| raw_block(&frame?))
}

fn raw_block<'a>(frame: &FrameAt<'a>) -> Result<&'a [u8], Error> {
    if frame.samples != BLOCK_SAMPLES {
        return Err(Error::RawBlocks(frame.at));
    }
    let has_crc = frame.bytes.get(1).is_some_and(|second| second & 1 == 0);
    let header_bytes = if has_crc { HEADER_BYTES + CRC_BYTES } else { HEADER_BYTES };
    frame.bytes.get(header_bytes..).ok_or(Error::NotAFrame(frame.at))
}

/// An AudioSpecificConfig (ISO 14496-3 section 1.6.2.1), which says what ADTS headers say of each frame.
///
/// ```text
///   LC:      OOOOO SSSS CCCC 000
///   HE-AAC:  OOOOO SSSS CCCC XXXX 00010 000
///
///   O object type   S sample rate of the core   C channels   X sample rate of the output   000 blocks of 1,024 samples
/// ```
#[derive(Debug)]
struct AudioConfig {
    bytes: [u8; 4],
    len: usize,
}

impl AudioConfig {
    fn new(format: &Format) -> Result<AudioConfig, Error> {
        if format.codec != Codec::Aac {
            return Err(Error::NotAac);
        }
        if codecs(format).is_none() {
            return Err(Error::Profile(format.profile));
        }
        let channels = match format.channels {
            channels @ 1..=6 => u32::from(channels),
            8 => 7,
            channels => return Err(Error::Channels(channels)),
        };
        let rate_hz = u64::from(format.sample_rate_hz);
        let head = u32::from(format.profile) << 27 | rate_index(rate_hz)? << 23 | channels << 19;
        let (bits, len) = match format.profile {
            SBR | PARAMETRIC_STEREO => (head | rate_index(2 * rate_hz)? << 15 | 2 << 10, 4),
            _ => (head, 2),
        };
        Ok(AudioConfig { bytes: bits.to_be_bytes(), len })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn rate_index(hz: u64) -> Result<u32, Error> {
    let index = RATES_HZ.iter().position(|known| u64::from(*known) == hz);
    index.map(|index| index as u32).ok_or(Error::SampleRate(hz))
}

fn put_movie_header(timescale: u32, out: &mut Vec<u8>) {
    put_full_box(b"mvhd", 0, 0, out, |out| {
        // Made and changed at no time, lasting for no time told; rate and volume 1; reserved.
        put_u32s(&[0, 0, timescale, 0, 0x1_0000, 0x100_0000, 0, 0], out);
        put_u32s(&UNITY_MATRIX, out);
        put_u32s(&[0, 0, 0, 0, 0, 0, TRACK_ID + 1], out);
    });
}

fn put_track_header(out: &mut Vec<u8>) {
    const ENABLED_IN_MOVIE_AND_PREVIEW: u32 = 7;
    put_full_box(b"tkhd", 0, ENABLED_IN_MOVIE_AND_PREVIEW, out, |out| {
        // Times and duration as in `mvhd`; layer and group 0; volume 1; no width, no height.
        put_u32s(&[0, 0, TRACK_ID, 0, 0, 0, 0, 0, 0x100_0000], out);
        put_u32s(&UNITY_MATRIX, out);
        put_u32s(&[0, 0], out);
    });
}

fn put_media(format: &Format, config: &AudioConfig, out: &mut Vec<u8>) {
    put_full_box(b"mdhd", 0, 0, out, |out| {
        // Times as in `mvhd`; the language `und`, five bits a letter.
        put_u32s(&[0, 0, format.sample_rate_hz, 0, 0x55C4_0000], out);
    });
    put_full_box(b"hdlr", 0, 0, out, |out| {
        out.extend_from_slice(b"\0\0\0\0soun\0\0\0\0\0\0\0\0\0\0\0\0\0");
    });
    put_box(b"minf", out, |out| {
        put_full_box(b"smhd", 0, 0, out, |out| put_u32s(&[0], out));
        put_box(b"dinf", out, |out| {
            put_full_box(b"dref", 0, 0, out, |out| {
                put_u32s(&[1], out);
                // Flag 1: the audio is in this very file.
                put_full_box(b"url ", 0, 1, out, |_| ());
            });
        });
        put_box(b"stbl", out, |out| {
            put_full_box(b"stsd", 0, 0, out, |out| {
                put_u32s(&[1], out);
                put_box(b"mp4a", out, |out| put_sample_entry(format, config, out));
            });
            // No samples here: all are in fragments.
            put_full_box(b"stts", 0, 0, out, |out| put_u32s(&[0], out));
            put_full_box(b"stsc", 0, 0, out, |out| put_u32s(&[0], out));
            put_full_box(b"stsz", 0, 0, out, |out| put_u32s(&[0, 0], out));
            put_full_box(b"stco", 0, 0, out, |out| put_u32s(&[0], out));
        });
    });
}

fn put_sample_entry(format: &Format, config: &AudioConfig, out: &mut Vec<u8>) {
    const BITS_PER_SAMPLE: u16 = 16;
    // Fixed point, 16 bits before the point: 0 stands for a rate that has no room. The configuration counts.
    let rate = u16::try_from(format.sample_rate_hz).unwrap_or(0);
    // Reserved, data reference 1, reserved.
    put_u16s(&[0, 0, 0, 1, 0, 0, 0, 0], out);
    put_u16s(&[u16::from(format.channels), BITS_PER_SAMPLE, 0, 0, rate, 0], out);
    put_full_box(b"esds", 0, 0, out, |out| put_descriptors(config.bytes(), out));
}

/// ISO 14496-1 section 7.2.6: each descriptor is its tag, its length and its body; some hold others at their end.
fn put_descriptors(config: &[u8], out: &mut Vec<u8>) {
    const MPEG_4_AUDIO: u8 = 0x40;
    /// Stream type 5, upstream 0, a reserved 1.
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    /// The synchronisation layer's settings for MP4 files.
    const FOR_MP4: u8 = 2;
    // At most 4: no length needs a second byte.
    let config_bytes = config.len() as u8;
    // The stream: id 0, no flags.
    out.extend_from_slice(&[3, 3 + (2 + 13 + 2 + config_bytes) + 3, 0, 0, 0]);
    // The decoder: no buffer size, greatest and average bitrate are told.
    out.extend_from_slice(&[4, 13 + 2 + config_bytes, MPEG_4_AUDIO, AUDIO_STREAM]);
    out.extend_from_slice(&[0; 11]);
    out.extend_from_slice(&[5, config_bytes]);
    out.extend_from_slice(config);
    out.extend_from_slice(&[6, 1, FOR_MP4]);
}

/// Appends a box with what `put_body` appends.
fn put_box(kind: &[u8; 4], out: &mut Vec<u8>, put_body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    put_body(out);
    let bytes = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&bytes.to_be_bytes());
}

/// Appends a box whose body begins with a version and 24 bits of flags.
fn put_full_box(
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    out: &mut Vec<u8>,
    put_body: impl FnOnce(&mut Vec<u8>),
) {
    put_box(kind, out, |out| {
        put_u32s(&[u32::from(version) << 24 | flags], out);
        put_body(out);
    });
}

fn put_u32s(values: &[u32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

fn put_u16s(values: &[u16], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}
