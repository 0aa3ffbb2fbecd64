//! What counts as a frame, and what is lost with damaged bytes.

use audio::{Codec, Parser};

use crate::build::{aac, aac_frame, frame, mp3, mp3_160, parse, parse_pieces, random};

/// Parses `input` and checks that all `frames` but those at the places in `lost` came out.
fn check_lost(input: &[u8], frames: &[Vec<u8>], lost: &[usize]) {
    let kept = frames.iter().enumerate().filter(|(n, _)| !lost.contains(n));
    let expected: Vec<u8> = kept.flat_map(|(_, frame)| frame.clone()).collect();
    assert!(parse(input).bytes() == expected, "lost other frames than {lost:?}");
}

#[test]
fn clean_frames_all_come_out() {
    for frames in [mp3(50), aac(50)] {
        check_lost(&frames.concat(), &frames, &[]);
    }
}

#[test]
fn a_frame_is_given_when_the_next_header_is_there() {
    for (frames, header_bytes) in [(mp3(4), 4), (aac(4), 7)] {
        let mut parser = Parser::new(None);
        let mut out = Vec::new();
        let until_third_header = frames[..2].concat().len() + header_bytes;
        let input = frames.concat();
        parser.push(&input[..until_third_header - 1], &mut out);
        assert_eq!(parser.stats().frames, 0);
        parser.push(&input[until_third_header - 1..until_third_header], &mut out);
        assert_eq!(parser.stats().frames, 2);
        let until_fourth_header = frames[..3].concat().len() + header_bytes;
        parser.push(&input[until_third_header..until_fourth_header - 1], &mut out);
        assert_eq!(parser.stats().frames, 2);
        parser.push(&input[until_fourth_header - 1..until_fourth_header], &mut out);
        assert_eq!(parser.stats().frames, 3);
    }
}

#[test]
fn one_push_gives_one_batch() {
    let mut out = Vec::new();
    Parser::new(None).push(&mp3(200).concat(), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].frames.len(), 199);
    assert_eq!(out[0].samples(), 199 * 1_152);
}

#[test]
fn junk_before_the_first_frame_is_skipped() {
    for junk in [vec![0; 5_000], vec![0xFF; 5_000], random(5_000, 1), b"HTTP/1.0 200 OK\r\n\r\n".to_vec()] {
        for frames in [mp3(10), aac(10)] {
            let input = [junk.clone(), frames.concat()].concat();
            check_lost(&input, &frames, &[]);
            assert_eq!(parse(&input).stats.resyncs, 0);
        }
    }
}

#[test]
fn junk_between_frames_costs_the_frame_before_it() {
    for junk in [vec![0; 300], vec![0xFF; 300], random(3_000, 2), vec![0x00], vec![0xFF]] {
        for frames in [mp3(20), aac(20)] {
            let input = [frames[..10].concat(), junk.clone(), frames[10..].concat()].concat();
            check_lost(&input, &frames, &[9]);
            assert_eq!(parse(&input).stats.resyncs, 1);
        }
    }
}

/// Parses `frames` with the tenth one cut to `kept_bytes`, and checks that those in `lost` are lost.
fn check_cut(frames: &[Vec<u8>], kept_bytes: usize, lost: &[usize]) {
    let cut = &frames[9][..kept_bytes];
    check_lost(&[&frames[..9].concat(), cut, &frames[10..].concat()].concat(), frames, lost);
}

#[test]
fn a_cut_frame_alone_is_lost() {
    for frames in [mp3(20), aac(20)] {
        for kept_bytes in [7, 100, frames[9].len() - 1] {
            check_cut(&frames, kept_bytes, &[9]);
        }
    }
}

#[test]
fn a_frame_cut_within_its_header_costs_the_one_before_too() {
    for frames in [mp3(20), aac(20)] {
        for kept_bytes in 1..4 {
            check_cut(&frames, kept_bytes, &[8, 9]);
        }
    }
}

#[test]
fn a_frame_without_its_head_costs_the_one_before_too() {
    for frames in [mp3(20), aac(20)] {
        let input = [frames[..9].concat(), frames[9][100..].to_vec(), frames[10..].concat()].concat();
        check_lost(&input, &frames, &[8, 9]);
    }
}

#[test]
fn a_damaged_header_costs_its_frame_and_the_one_before() {
    for frames in [mp3(20), aac(20)] {
        for damaged in [[0x00, 0x00, 0x00], [0xFF, 0xFF, 0xFF], [0xFF, 0xE0, 0x00]] {
            let mut input = frames.concat();
            let at = frames[..9].concat().len();
            input[at..at + 3].copy_from_slice(&damaged);
            check_lost(&input, &frames, &[8, 9]);
        }
    }
}

#[test]
fn damage_within_a_frame_stays_within_it() {
    let frames = mp3(20);
    let mut input = frames.concat();
    let at = frames[..9].concat().len();
    input[at + 50..at + 400].fill(0xFF);
    assert_eq!(parse(&input).bytes(), input);
}

#[test]
fn two_frames_between_junk_are_enough_for_a_known_stream() {
    let frames = mp3(20);
    let junk = vec![0; 500];
    let input =
        [frames[..10].concat(), junk.clone(), frames[10..12].concat(), junk, frames[12..].concat()].concat();
    // Of the two, the second has no header behind it.
    check_lost(&input, &frames, &[9, 11]);
    assert_eq!(parse(&input).stats.resyncs, 2);
}

#[test]
fn junk_alone_is_no_audio() {
    let kibibytes_256 = 256 * 1_024;
    for junk in [vec![0; kibibytes_256], vec![0xFF; kibibytes_256], b"ID".repeat(kibibytes_256 / 2)] {
        let parsed = parse(&junk);
        assert_eq!(parsed.frames, []);
        assert_eq!(parsed.stats.skipped_bytes, kibibytes_256 as u64);
    }
    for seed in 0..40 {
        assert_eq!(parse(&random(kibibytes_256, seed)).frames, [], "seed {seed}");
    }
}

#[test]
fn three_headers_prove_a_new_stream_and_two_do_not() {
    let (frames, junk) = (mp3(3), vec![0; 1_000]);
    let two_headers = [frames[..1].concat(), frames[1][..4].to_vec(), junk.clone()].concat();
    let three_headers = [frames[..2].concat(), frames[2][..4].to_vec(), junk].concat();
    assert_eq!(parse(&two_headers).frames, []);
    assert_eq!(parse(&three_headers).bytes(), frames[..2].concat());
}

#[test]
fn a_codec_that_was_not_announced_needs_one_frame_more() {
    let junk = vec![0; 1_000];
    for (frames, right, wrong) in [(mp3(4), Codec::Mp3, Codec::Aac), (aac(4), Codec::Aac, Codec::Mp3)] {
        let three_headers = [frames[..2].concat(), frames[2][..7].to_vec(), junk.clone()].concat();
        let four_headers = [frames[..3].concat(), frames[3][..7].to_vec(), junk.clone()].concat();
        let given = |hint, input: &[u8]| parse_pieces(hint, [input]).frames.len();
        assert_eq!([given(Some(right), &three_headers), given(Some(wrong), &three_headers)], [2, 0]);
        assert_eq!([given(Some(right), &four_headers), given(Some(wrong), &four_headers)], [3, 3]);
    }
}

#[test]
fn the_end_gives_a_last_whole_frame_and_drops_a_cut_one() {
    for frames in [mp3(5), aac(5)] {
        let input = frames.concat();
        let last = frames[4].len();
        for cut in 1..last {
            let parsed = parse(&input[..input.len() - cut]);
            assert_eq!(parsed.bytes(), frames[..4].concat(), "{cut} bytes cut");
            assert_eq!(parsed.stats.skipped_bytes, (last - cut) as u64);
        }
        assert_eq!(parse(&input).bytes(), input);
    }
}

#[test]
fn a_header_cut_by_the_end_is_as_good_as_a_whole_one() {
    for (frames, header_bytes) in [(mp3(4), 4), (aac(4), 7)] {
        for kept_bytes in 1..header_bytes {
            let input = [frames[..3].concat(), frames[3][..kept_bytes].to_vec()].concat();
            check_lost(&input, &frames, &[3]);
        }
        let input = [frames[..3].concat(), b"\r".to_vec()].concat();
        check_lost(&input, &frames, &[2, 3]);
    }
}

#[test]
fn a_file_of_two_frames_is_a_stream_and_of_one_is_not() {
    for frames in [mp3(2), aac(2)] {
        assert_eq!(parse(&frames.concat()).bytes(), frames.concat());
        assert_eq!(parse(&frames[0]).frames, []);
    }
}

#[test]
fn bytes_not_yet_given_go_on_in_another_parser() {
    for frames in [mp3(30), aac(30)] {
        let input = frames.concat();
        for cut in (0..input.len()).step_by(97) {
            let (mut first, mut second) = (Parser::new(None), Parser::new(None));
            let mut out = Vec::new();
            first.push(&input[..cut], &mut out);
            second.push(first.unparsed(), &mut out);
            second.push(&input[cut..], &mut out);
            second.finish(&mut out);
            let given: Vec<u8> = out.iter().flat_map(|batch| batch.data.to_vec()).collect();
            // The other parser knows no stream: a last frame alone does not prove itself.
            let alone = frames[29].len();
            let expected =
                if cut > input.len() - alone + 6 { &input[..input.len() - alone] } else { &input[..] };
            assert!(given == expected, "cut at {cut}");
        }
    }
}

#[test]
fn adts_frames_of_the_least_and_the_most_bytes_are_taken() {
    for bytes in [7, 8_191] {
        let frames: Vec<_> = (0..6).map(|n| aac_frame(bytes, 1, n)).collect();
        check_lost(&frames.concat(), &frames, &[]);
    }
}

#[test]
fn an_adts_length_below_its_header_costs_one_frame_and_the_one_before() {
    for bytes in 0..7 {
        let frames = aac(20);
        let bad = frame(&aac_frame(bytes, 1, 0)[..bytes.min(7)], 300, 9);
        let header = &aac_frame(7, 1, 0)[..3];
        let length_bits = [0x80, 0x00, (bytes << 5) as u8 | 0x1F, 0xFC];
        let bad = [header, &length_bits, &bad[7..]].concat();
        let input = [frames[..10].concat(), bad, frames[10..].concat()].concat();
        check_lost(&input, &frames, &[9]);
    }
}

#[test]
fn several_raw_blocks_last_longer() {
    for blocks in 1..=4 {
        let frames: Vec<_> = (0..6).map(|n| aac_frame(700, blocks, n)).collect();
        let parsed = parse(&frames.concat());
        assert_eq!(parsed.bytes(), frames.concat());
        assert!(parsed.frames.iter().all(|frame| frame.samples == 1_024 * u32::from(blocks)));
    }
}

#[test]
fn a_finished_parser_takes_another_stream() {
    let mut parser = Parser::new(None);
    let mut out = Vec::new();
    for _ in 0..2 {
        parser.push(&mp3_160(5).concat(), &mut out);
        parser.finish(&mut out);
    }
    let given: Vec<u8> = out.iter().flat_map(|batch| batch.data.to_vec()).collect();
    assert_eq!(given, mp3_160(5).concat().repeat(2));
}
