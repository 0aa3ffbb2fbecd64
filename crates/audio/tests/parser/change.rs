//! What changes within a stream: the format, the bitrate, the file.

use crate::build::{aac, info, mono, mp2, mp3, mp3_160, mp3_48000, parse};

#[test]
fn a_splice_of_two_formats_loses_no_frame() {
    let streams = [
        (mp3(10), "mp3-44100-128-s"),
        (mono(10), "mp3-44100-128-m"),
        (mp3_48000(10), "mp3-48000-128-s"),
        (mp2(10), "mp3-44100-192-s"),
        (aac(10), "aac-44100-2-2"),
    ];
    for (before, key_before) in &streams {
        for (after, key_after) in streams.iter().filter(|(_, key)| key != key_before) {
            let input = [before.concat(), after.concat(), before.concat()].concat();
            let parsed = parse(&input);
            assert!(parsed.bytes() == input, "{key_before} {key_after}");
            assert_eq!(parsed.keys(), [*key_before, *key_after, *key_before]);
            assert_eq!(parsed.stats.resyncs, 0);
        }
    }
}

#[test]
fn another_format_needs_three_headers_at_a_splice() {
    let (stereo, mono) = (mp3(20), mono(3));
    let spliced =
        |count: usize| [stereo[..10].concat(), mono[..count].concat(), stereo[10..].concat()].concat();
    // One or two frames in mono are junk, and cost the frame before them.
    for count in [1, 2] {
        let parsed = parse(&spliced(count));
        assert_eq!(parsed.bytes(), [stereo[..9].concat(), stereo[10..].concat()].concat(), "{count}");
        assert_eq!(parsed.keys(), ["mp3-44100-128-s"]);
    }
    let parsed = parse(&spliced(3));
    assert_eq!(parsed.bytes(), spliced(3));
    assert_eq!(parsed.keys(), ["mp3-44100-128-s", "mp3-44100-128-m", "mp3-44100-128-s"]);
}

#[test]
fn the_bitrate_is_the_first_ones_until_another_is_seen() {
    let input = [mp3(10), mp3_160(1), mp3(10)].concat().concat();
    let parsed = parse(&input);
    assert_eq!(parsed.bytes(), input);
    assert_eq!(parsed.keys(), ["mp3-44100-128-s", "mp3-44100-vbr-s"]);
    assert_eq!(parsed.frames.iter().position(|frame| frame.format.bitrate_kbps == 0), Some(10));
}

#[test]
fn a_varying_bitrate_stays_so_over_a_loss_of_sync() {
    let input = [mp3(5).concat(), mp3_160(5).concat(), vec![0; 700], mp3_160(10).concat()].concat();
    let parsed = parse(&input);
    assert_eq!(parsed.stats.resyncs, 1);
    assert_eq!(parsed.keys(), ["mp3-44100-128-s", "mp3-44100-vbr-s"]);
}

#[test]
fn another_format_starts_with_a_bitrate_of_its_own() {
    let input = [mp3(5), mp3_160(5), mono(5), mp3_160(5)].concat().concat();
    assert_eq!(
        parse(&input).keys(),
        ["mp3-44100-128-s", "mp3-44100-vbr-s", "mp3-44100-128-m", "mp3-44100-160-s"]
    );
}

#[test]
fn info_frames_are_left_out_and_tell_of_the_bitrate() {
    for (mark, keys) in
        [(b"Info", "mp3-44100-160-s"), (b"Xing", "mp3-44100-vbr-s"), (b"VBRI", "mp3-44100-vbr-s")]
    {
        let parsed = parse(&[info(mark), mp3_160(10).concat()].concat());
        assert_eq!(parsed.bytes(), mp3_160(10).concat());
        assert_eq!(parsed.keys(), [keys]);
        assert_eq!((parsed.stats.info_frames, parsed.stats.skipped_bytes, parsed.stats.resyncs), (1, 417, 0));
    }
}

#[test]
fn another_file_starts_with_a_bitrate_of_its_own() {
    let files = [
        mp3(5).concat(),
        info(b"Xing"),
        mp3(5).concat(),
        info(b"Info"),
        mp3_160(5).concat(),
        info(b"Info"),
        mp3(5).concat(),
    ];
    let parsed = parse(&files.concat());
    assert_eq!(parsed.bytes(), [mp3(5), mp3(5), mp3_160(5), mp3(5)].concat().concat());
    assert_eq!(parsed.keys(), ["mp3-44100-128-s", "mp3-44100-vbr-s", "mp3-44100-160-s", "mp3-44100-128-s"]);
    assert_eq!(parsed.stats.info_frames, 3);
}
