//! Free format: the length of frames is found, within bounds.

use audio::{Codec, Format, Frame, Parser, frames_in};

use crate::build::{frame, free, mp3, parse};

fn format(bitrate_kbps: u16) -> Format {
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps }
}

#[test]
fn lengths_are_found_within_their_bounds() {
    for (unpadded_bytes, found_bytes) in [
        (23, Some(46)), // too short: two look like one
        (24, Some(24)),
        (1_044, Some(1_044)),
        (16_383, Some(16_383)),
        (16_384, None), // padded it would be too long
    ] {
        let parsed = parse(&free(8, unpadded_bytes).concat());
        assert_eq!(parsed.frames.first().map(|frame| frame.bytes.len()), found_bytes);
        let is_whole = found_bytes == Some(unpadded_bytes);
        assert_eq!(parsed.frames.len() == 8, is_whole, "{unpadded_bytes} bytes");
    }
}

#[test]
fn the_first_frame_may_be_padded() {
    let frames = &free(12, 1_044)[2..];
    assert_eq!(parse(&frames.concat()).bytes(), frames.concat());
}

#[test]
fn the_bitrate_is_that_of_the_unpadded_frames() {
    for (unpadded_bytes, key) in
        [(1_044, "mp3-44100-320-s"), (1_306, "mp3-44100-400-s"), (24, "mp3-44100-7-s")]
    {
        assert_eq!(parse(&free(8, unpadded_bytes).concat()).keys(), [key]);
    }
}

#[test]
fn layer_1_counts_in_slots_of_four_bytes() {
    let frames: Vec<_> = (0..9)
        .map(|n| {
            let padding = usize::from(n % 3 == 2);
            frame(&[0xFF, 0xFF, (padding as u8) << 1, 0x00], 520 + 4 * padding, n)
        })
        .collect();
    let parsed = parse(&frames.concat());
    assert_eq!(parsed.bytes(), frames.concat());
    assert_eq!(parsed.keys(), ["mp3-44100-478-s"]);
}

#[test]
fn a_header_by_chance_within_a_frame_misleads_nobody() {
    let mut frames = free(8, 1_044);
    for at in [24, 310, 600, 1_000] {
        frames[0][at..at + 4].copy_from_slice(&[0xFF, 0xFB, 0x00, 0x44]);
    }
    assert!(parse(&frames.concat()).bytes() == frames.concat());
}

#[test]
fn a_search_in_vain_does_not_end_all_searches() {
    let frames = free(8, 1_044);
    let lone_header = frames[0][..4].to_vec();
    let input = [lone_header, vec![0; 20_000], frames.concat()].concat();
    assert_eq!(parse(&input).bytes(), frames.concat());
}

#[test]
fn a_free_frame_is_given_when_two_more_headers_are_there() {
    let frames = free(4, 1_044);
    let mut parser = Parser::new(None);
    let mut out = Vec::new();
    let input = frames.concat();
    parser.push(&input[..2 * 1_044 + 3], &mut out);
    assert_eq!(parser.stats().frames, 0);
    parser.push(&input[2 * 1_044 + 3..2 * 1_044 + 4], &mut out);
    assert_eq!(parser.stats().frames, 2);
}

#[test]
fn junk_and_cuts_cost_one_frame() {
    let frames = free(20, 1_044);
    let expected = [frames[..9].concat(), frames[10..].concat()].concat();
    let junk = [frames[..10].concat(), vec![0; 333], frames[10..].concat()].concat();
    let cut = [frames[..9].concat(), frames[9][..500].to_vec(), frames[10..].concat()].concat();
    for input in [junk, cut] {
        assert!(parse(&input).bytes() == expected);
    }
}

#[test]
fn splices_with_other_lengths_lose_at_most_a_frame() {
    let (free_320, free_400, told) = (free(10, 1_044), free(10, 1_306), mp3(10));
    let parsed = parse(&[told.concat(), free_320.concat(), told.concat()].concat());
    assert_eq!(parsed.bytes(), [told.concat(), free_320.concat(), told.concat()].concat());
    // The first frame of the other length looks like one of the old length up to its end.
    let parsed = parse(&[free_320.concat(), free_400.concat()].concat());
    assert_eq!(parsed.bytes(), [free_320.concat(), free_400[1..].concat()].concat());
    assert_eq!(parsed.keys(), ["mp3-44100-320-s", "mp3-44100-400-s"]);
}

#[test]
fn frames_are_measured_by_the_bitrate() {
    let frames = free(9, 1_044);
    for count in 1..=9 {
        let data = frames[..count].concat();
        let found: Vec<Frame> = frames_in(&format(320), &data).collect();
        let lengths: Vec<usize> = frames[..count].iter().map(Vec::len).collect();
        assert_eq!(found.iter().map(|frame| frame.len as usize).collect::<Vec<_>>(), lengths);
        assert!(found.iter().all(|frame| frame.samples == 1_152));
    }
    assert_eq!(frames_in(&format(128), &frames.concat()).count(), 0);
}

#[test]
fn a_last_byte_that_looks_like_the_begin_of_something_is_the_frames() {
    for last in [0xFF, b'I', b'T'] {
        for unpadded_bytes in 1_044..1_050 {
            let mut data = free(1, unpadded_bytes).concat();
            data[unpadded_bytes - 1] = last;
            let bitrate_kbps = parse(&free(3, unpadded_bytes).concat()).frames[0].format.bitrate_kbps;
            let found: Vec<Frame> = frames_in(&format(bitrate_kbps), &data).collect();
            assert_eq!(found, [Frame { len: unpadded_bytes as u32, samples: 1_152 }]);
        }
    }
}

#[test]
fn lengths_that_share_a_bitrate_may_follow_each_other() {
    let data = [free(5, 1_044), free(5, 1_045)].concat().concat();
    let parsed = parse(&data);
    assert_eq!(parsed.keys(), ["mp3-44100-320-s"]);
    assert_eq!(frames_in(&format(320), &parsed.bytes()).count(), parsed.frames.len());
}

#[test]
fn the_walk_ends_at_the_first_byte_that_begins_no_whole_frame() {
    let frames = mp3(5);
    let whole = frames.concat();
    let count = |data: &[u8]| frames_in(&format(128), data).count();
    assert_eq!(count(&whole), 5);
    assert_eq!(count(&whole[..whole.len() - 1]), 4);
    assert_eq!(count(&whole[1..]), 0);
    assert_eq!(count(&[frames[0].clone(), vec![0], frames[1].clone()].concat()), 1);
    assert_eq!(count(b""), 0);
    assert_eq!(frames_in(&Format { channels: 1, ..format(128) }, &whole).count(), 0);
}
