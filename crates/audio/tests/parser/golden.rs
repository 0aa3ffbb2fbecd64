//! Real files, compared frame by frame with what ffprobe sees in them; testdata/audio/README.md tells their origin.

use std::fs;

use crate::build::{parse, parse_pieces};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/audio/");

/// File, stream key, frames that are not given because they hold no audio, bytes of tags.
const FILES: [(&str, &str, u64, u64); 10] = [
    ("aac-44100-1-id3.aac", "aac-44100-2-1", 0, 65),
    ("aac-44100-2.aac", "aac-44100-2-2", 0, 0),
    ("mp1-44100-384.mp1", "mp3-44100-384-s", 0, 0),
    ("mp2-48000-192.mp2", "mp3-48000-192-s", 0, 0),
    ("mp3-22050-48-mono.mp3", "mp3-22050-48-m", 0, 0),
    ("mp3-44100-128.mp3", "mp3-44100-128-s", 1, 0),
    ("mp3-44100-free-400.mp3", "mp3-44100-400-s", 1, 0),
    ("mp3-44100-vbr.mp3", "mp3-44100-vbr-s", 1, 0),
    ("mp3-48000-96-crc.mp3", "mp3-48000-96-s", 1, 0),
    ("mp3-8000-8-mono.mp3", "mp3-8000-8-m", 0, 0),
];

#[test]
fn frames_of_real_files_are_those_of_ffprobe() {
    for (file, key, info_frames, tag_bytes) in FILES {
        let input = fs::read(format!("{FOLDER}{file}")).unwrap();
        let golden = fs::read_to_string(format!("{FOLDER}{file}.frames")).unwrap();
        let parsed = parse(&input);
        let frames: Vec<String> =
            parsed.frames.iter().map(|frame| format!("{} {}", frame.bytes.len(), frame.samples)).collect();
        assert_eq!(frames, golden.lines().collect::<Vec<_>>(), "{file}");
        assert_eq!(parsed.keys(), [key], "{file}");
        assert_eq!((parsed.stats.info_frames, parsed.stats.resyncs), (info_frames, 0), "{file}");
        // The frames lie behind the tag and the info frame, without a gap, up to the end.
        assert!(input.ends_with(&parsed.bytes()), "{file}");
        if info_frames == 0 {
            assert_eq!(parsed.stats.skipped_bytes, tag_bytes, "{file}");
        }
    }
}

#[test]
fn real_files_byte_by_byte_are_the_same() {
    for (file, ..) in FILES {
        let input = fs::read(format!("{FOLDER}{file}")).unwrap();
        let at_once = parse(&input);
        let by_bytes = parse_pieces(None, input.chunks(1));
        assert_eq!(by_bytes.frames, at_once.frames, "{file}");
        assert_eq!(by_bytes.stats, at_once.stats, "{file}");
    }
}

#[test]
fn a_source_that_joins_a_real_file_in_its_middle_gets_all_whole_frames_from_there() {
    for (file, ..) in FILES {
        let input = fs::read(format!("{FOLDER}{file}")).unwrap();
        let all = parse(&input);
        let bytes = all.bytes();
        let audio_from = input.len() - bytes.len();
        // Into the middle of the frame before each of these.
        for from in [1, 2, 10] {
            let skipped: usize = all.frames[..from].iter().map(|frame| frame.bytes.len()).sum();
            let cut = audio_from + skipped - all.frames[from - 1].bytes.len() / 2;
            assert_eq!(parse(&input[cut..]).bytes(), bytes[skipped..], "{file} from frame {from}");
        }
    }
}

#[test]
fn all_real_files_one_after_the_other_lose_no_frame() {
    let mut input = Vec::new();
    let mut expected = Vec::new();
    for (file, ..) in FILES {
        let file = fs::read(format!("{FOLDER}{file}")).unwrap();
        expected.extend(parse(&file).bytes());
        input.extend(file);
    }
    let parsed = parse(&input);
    assert_eq!(parsed.bytes(), expected);
    assert_eq!(parsed.keys(), FILES.map(|(_, key, ..)| key));
    assert_eq!(parsed.stats.resyncs, 0);
}
