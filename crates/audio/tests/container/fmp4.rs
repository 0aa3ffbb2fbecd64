//! Fragmented MP4, byte by byte, and read back box by box.

use audio::container::fmp4::{id3_event, init_segment, media_segment};
use audio::container::{Error, id3_text_tag};
use audio::{Codec, Format};
use proptest::prelude::*;

use crate::support::{Audio, aac_format, adts, any_aac, mp3_format};

/// A box: its kind, and what is in it.
type Mp4Box<'a> = (&'a str, &'a [u8]);

/// The boxes that `bytes` are made of.
fn boxes(mut bytes: &[u8]) -> Vec<Mp4Box<'_>> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let size = u32_at(head, 0) as usize;
        found.push((std::str::from_utf8(&bytes[4..8]).expect("kinds are ASCII"), &rest[..size - 8]));
        bytes = &bytes[size..];
    }
    assert_eq!(bytes, b"", "bytes behind the last box");
    found
}

/// The body of the box that the kinds in `path` lead to.
fn inner<'a>(bytes: &'a [u8], path: &[&str]) -> &'a [u8] {
    path.iter().fold(bytes, |bytes, kind| {
        let all = boxes(bytes);
        all.iter().find(|(found, _)| found == kind).unwrap_or_else(|| panic!("no {kind} in {all:02x?}")).1
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The AudioSpecificConfig of an initialisation segment.
fn config(format: &Format) -> Vec<u8> {
    let init = init_segment(format).expect("a format of AAC");
    let entry = &inner(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd"])[8..];
    let esds = inner(&inner(entry, &["mp4a"])[28..], &["esds"]);
    // Version and flags, the stream's descriptor without its body, the decoder's, then the one that is sought.
    let config = &esds[4 + 5 + 15..];
    assert_eq!(config[0], 5);
    config[2..2 + usize::from(config[1])].to_vec()
}

/// What a media segment says: its number, its time, and each sample.
fn read(segment: &[u8]) -> (u32, u64, Vec<&[u8]>) {
    let number = u32_at(inner(segment, &["moof", "mfhd"]), 4);
    let time = inner(segment, &["moof", "traf", "tfdt"]);
    let run = inner(segment, &["moof", "traf", "trun"]);
    let count = u32_at(run, 4) as usize;
    assert_eq!(run.len(), 12 + 4 * count);
    let mut at = u32_at(run, 8) as usize;
    let samples = (0..count).map(|index| {
        let size = u32_at(run, 12 + 4 * index) as usize;
        at += size;
        &segment[at - size..at]
    });
    let samples = samples.collect();
    assert_eq!(at, segment.len(), "the audio ends with the segment");
    (number, u64::from_be_bytes(time[4..12].try_into().expect("eight bytes")), samples)
}

/// The raw data block of an ADTS frame.
fn raw(frame: &[u8]) -> &[u8] {
    &frame[if frame[1] & 1 == 0 { 9 } else { 7 }..]
}

#[test]
fn an_initialisation_segment_has_these_bytes() {
    let matrix = b"\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0";
    let expected: &[&[u8]] = &[
        b"\0\0\0\x1Cftypiso6\0\0\0\0iso6cmfcmp41",
        b"\0\0\x02\x2Cmoov",
        b"\0\0\0\x6Cmvhd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xAC\x44\0\0\0\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\0\0\0",
        matrix,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02",
        b"\0\0\x01\x90trak",
        b"\0\0\0\x5Ctkhd\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0",
        matrix,
        b"\0\0\0\0\0\0\0\0",
        b"\0\0\x01\x2Cmdia",
        b"\0\0\0\x20mdhd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xAC\x44\0\0\0\0\x55\xC4\0\0",
        b"\0\0\0\x21hdlr\0\0\0\0\0\0\0\0soun\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\xE3minf",
        b"\0\0\0\x10smhd\0\0\0\0\0\0\0\0",
        b"\0\0\0\x24dinf\0\0\0\x1Cdref\0\0\0\0\0\0\0\x01\0\0\0\x0Curl \0\0\0\x01",
        b"\0\0\0\xA7stbl",
        b"\0\0\0\x5Bstsd\0\0\0\0\0\0\0\x01",
        b"\0\0\0\x4Bmp4a\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x02\0\x10\0\0\0\0\xAC\x44\0\0",
        b"\0\0\0\x27esds\0\0\0\0\x03\x19\0\0\0\x04\x11\x40\x15\0\0\0\0\0\0\0\0\0\0\0\x05\x02\x12\x10\x06\x01\x02",
        b"\0\0\0\x10stts\0\0\0\0\0\0\0\0\0\0\0\x10stsc\0\0\0\0\0\0\0\0",
        b"\0\0\0\x14stsz\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10stco\0\0\0\0\0\0\0\0",
        b"\0\0\0\x28mvex\0\0\0\x20trex\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\x04\0\0\0\0\0\x02\0\0\0",
    ];
    assert_eq!(init_segment(&aac_format()).unwrap(), expected.concat());
}

#[test]
fn a_media_segment_has_these_bytes() {
    let data = [adts(b"one", false), adts(b"fourth", true)].concat();
    let expected: &[&[u8]] = &[
        b"\0\0\0\x60moof\0\0\0\x10mfhd\0\0\0\0\x01\x02\x03\x04",
        b"\0\0\0\x48traf\0\0\0\x10tfhd\0\x02\0\0\0\0\0\x01",
        b"\0\0\0\x14tfdt\x01\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\0\0\0\x1Ctrun\0\0\x02\x01\0\0\0\x02\0\0\0\x68\0\0\0\x03\0\0\0\x06",
        b"\0\0\0\x11mdatonefourth",
    ];
    let segment = media_segment(&aac_format(), 0x0102_0304, 0x0102_0304_0506_0708, &data).unwrap();
    assert_eq!(segment, expected.concat());
}

#[test]
fn the_configuration_is_that_of_the_headers() {
    // Object type 5 bits, sample rate 4, channels 4, three zeros; HE-AAC: output's rate 4, object type 5 before those.
    for (profile, sample_rate_hz, channels, expected) in [
        (2, 44_100, 2, &[0b0001_0010, 0b0001_0000][..]),
        (2, 48_000, 1, &[0b0001_0001, 0b1000_1000]),
        (1, 8_000, 6, &[0b0000_1101, 0b1011_0000]),
        (4, 96_000, 8, &[0b0010_0000, 0b0011_1000]),
        (2, 7_350, 2, &[0b0001_0110, 0b0001_0000]),
        (5, 22_050, 2, &[0b0010_1011, 0b1001_0010, 0b0000_1000, 0]),
        (29, 24_000, 1, &[0b1110_1011, 0b0000_1001, 0b1000_1000, 0]),
    ] {
        let format = Format { profile, sample_rate_hz, channels, ..aac_format() };
        assert_eq!(config(&format), expected, "{format:?}");
    }
}

#[test]
fn a_rate_above_16_bits_is_told_by_the_time_scale_and_the_configuration() {
    let init = init_segment(&Format { sample_rate_hz: 88_200, ..aac_format() }).unwrap();
    let entry = &inner(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd"])[8..];
    assert_eq!(u32_at(inner(entry, &["mp4a"]), 24), 0);
    assert_eq!(u32_at(inner(&init, &["moov", "trak", "mdia", "mdhd"]), 12), 88_200);
}

#[test]
fn what_has_no_configuration_is_refused() {
    let aac = aac_format();
    for (format, expected) in [
        (mp3_format(), Error::NotAac),
        (Format { profile: 0, ..aac }, Error::Profile(0)),
        (Format { profile: 31, ..aac }, Error::Profile(31)),
        (Format { channels: 0, ..aac }, Error::Channels(0)),
        (Format { channels: 7, ..aac }, Error::Channels(7)),
        (Format { channels: 9, ..aac }, Error::Channels(9)),
        (Format { sample_rate_hz: 0, ..aac }, Error::SampleRate(0)),
        (Format { sample_rate_hz: 44_101, ..aac }, Error::SampleRate(44_101)),
        (Format { profile: 5, sample_rate_hz: 64_000, ..aac }, Error::SampleRate(128_000)),
    ] {
        assert_eq!(init_segment(&format), Err(expected), "{format:?}");
        assert_eq!(media_segment(&format, 1, 0, &adts(b"x", false)), Err(expected), "{format:?}");
    }
}

#[test]
fn what_is_not_whole_frames_of_the_format_is_refused() {
    let frame = adts(b"audio", false);
    let mut several = frame.clone();
    several[6] |= 1;
    let mut mono = frame.clone();
    mono[3] = 0x40;
    let mut long = frame.clone();
    long[4] += 1;
    for (behind, expected) in [
        (&several[..], Error::RawBlocks(12)),
        (&mono, Error::NotAFrame(12)),
        (&long, Error::NotAFrame(12)),
        (&frame[..11], Error::NotAFrame(12)),
        (b"ID3", Error::NotAFrame(12)),
    ] {
        let data = [&frame, behind].concat();
        assert_eq!(media_segment(&aac_format(), 1, 0, &data), Err(expected), "{behind:02x?}");
    }
    assert_eq!(media_segment(&aac_format(), 1, 0, b""), Err(Error::Empty));
}

#[test]
fn the_frames_of_high_efficiency_aac_look_like_its_core() {
    let data = adts(b"audio", false);
    for (profile, channels) in [(5, 2), (29, 2)] {
        let format = Format { profile, channels, ..aac_format() };
        let segment = media_segment(&format, 1, 0, &data).unwrap();
        assert_eq!(segment, media_segment(&aac_format(), 1, 0, &data).unwrap());
    }
}

#[test]
fn an_event_has_these_bytes() {
    let expected: &[&[u8]] = &[
        b"\0\0\0\x54emsg\x01\0\0\0\0\0\xAC\x44\x01\x02\x03\x04\x05\x06\x07\x08\xFF\xFF\xFF\xFF\x0A\x0B\x0C\x0D",
        b"https://aomedia.org/emsg/ID3\0\0",
        b"ID3\x04\0\0\0\0\0\x0CTIT2\0\0\0\x02\0\0\x03A",
    ];
    let tag = id3_text_tag(&[("TIT2", "A")]);
    assert_eq!(id3_event(&aac_format(), 0x0102_0304_0506_0708, 0x0A0B_0C0D, &tag), expected.concat());
}

#[test]
fn errors_tell_what_was_expected_and_what_came() {
    for (error, text) in [
        (Error::Channels(0), "expected 1 to 6 or 8 channels, got 0: no channel configuration tells them"),
        (Error::NotAFrame(12), "expected a whole frame of the format at byte 12"),
        (Error::TooLong { bytes: 9, bytes_max: 8 }, "expected at most 8 bytes, got 9"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

proptest! {
    #[test]
    fn a_media_segment_holds_exactly_the_raw_blocks(audio in any_aac(), number: u32, base_samples: u64) {
        let segment = media_segment(&audio.format, number, base_samples, &audio.data).unwrap();
        prop_assert_eq!(boxes(&segment).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["moof", "mdat"]);
        let expected: Vec<&[u8]> = audio.each().into_iter().map(raw).collect();
        prop_assert_eq!(read(&segment), (number, base_samples, expected));
        prop_assert_eq!(segment.len(), segment.capacity(), "nothing is set aside that is not used");
    }

    #[test]
    fn any_bytes_are_wrapped_or_refused(
        data in prop::collection::vec(prop_oneof![Just(0xFF), Just(0xF1), any::<u8>()], 0..200),
        cut in 0..1_000_usize,
        audio in any_aac(),
        codec in prop_oneof![Just(Codec::Aac), Just(Codec::Mp3)],
        (profile, sample_rate_hz, channels, bitrate_kbps) in any::<(u8, u32, u8, u16)>(),
    ) {
        let format = Format { codec, profile, sample_rate_hz, channels, bitrate_kbps };
        let cut = audio.data[..cut.min(audio.data.len())].to_vec();
        for format in [format, aac_format(), mp3_format()] {
            init_segment(&format).ok();
            id3_event(&format, 0, 0, &data);
            for data in [&data, &cut, &[&cut[..], &data].concat()] {
                if let Ok(segment) = media_segment(&format, 1, 0, data) {
                    let audio = Audio::new(format, data.clone());
                    prop_assert_eq!(read(&segment).2.len(), audio.frames.len());
                }
            }
        }
    }
}
