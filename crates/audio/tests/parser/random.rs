//! Facts that hold for any input in any pieces.

use audio::Parser;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::{aac, free, id3v2, info, mono, mp2, mp3, mp3_160, parse, parse_pieces, random};

/// Some bytes a source may send: audio, tags, junk, cuts.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (1_usize..8).prop_map(|count| mp3(count).concat()),
        (1_usize..8).prop_map(|count| mp3_160(count).concat()),
        (1_usize..8).prop_map(|count| mono(count).concat()),
        (1_usize..8).prop_map(|count| mp2(count).concat()),
        (1_usize..8).prop_map(|count| aac(count).concat()),
        (1_usize..6, 20_usize..2_000).prop_map(|(count, bytes)| free(count, bytes).concat()),
        (1_usize..2_000).prop_map(|bytes| mp3(5).concat()[..bytes].to_vec()),
        Just(info(b"Xing")),
        (0_u32..3_000).prop_map(|bytes| id3v2(bytes, 0)),
        Just(b"TAG".to_vec()),
        (0_usize..3_000, any::<u64>()).prop_map(|(bytes, seed)| random(bytes, seed)),
        (0_usize..600).prop_map(|bytes| vec![0xFF; bytes]),
        vec(prop_oneof![Just(0xFF_u8), Just(0xFB), Just(0xF1), Just(0x90), Just(0x00), Just(b'I')], 0..600),
    ]
}

/// `input` cut into pieces of the lengths in `cuts`, over and over.
fn pieces<'a>(mut input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (piece, rest) = input.split_at((*cut).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_parser_carried_over_as_plain_data_goes_on_as_if_nothing_had_been(
        input in vec(piece(), 0..6),
        cuts in vec(1_usize..3_000, 1..6),
    ) {
        let input = input.concat();
        let (mut staying, mut carried) = (Parser::new(None), Parser::new(None));
        let (mut wanted, mut given) = (Vec::new(), Vec::new());
        for piece in pieces(&input, &cuts) {
            staying.push(piece, &mut wanted);
            carried.push(piece, &mut given);
            carried = serde_json::from_str(&serde_json::to_string(&carried).unwrap()).unwrap();
        }
        staying.finish(&mut wanted);
        carried.finish(&mut given);
        prop_assert_eq!(given, wanted);
        prop_assert_eq!(carried.stats(), staying.stats());
    }

    #[test]
    fn how_bytes_are_split_changes_nothing(input in vec(piece(), 0..12), cuts in vec(1_usize..3_000, 1..6)) {
        let input = input.concat();
        let at_once = parse(&input);
        for cuts in [&cuts[..], &[1]] {
            let split = parse_pieces(None, pieces(&input, cuts));
            prop_assert_eq!(&split.frames, &at_once.frames);
            prop_assert_eq!(split.stats, at_once.stats);
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in_whatever_lies_around_them(
        before in vec(0_u8..0xFF, 0..2_000),
        between in vec(0_u8..0xFF, 1..2_000),
        count in 2_usize..12,
    ) {
        // Junk without 0xFF holds no header, so that the loss is exactly the frame before it.
        prop_assume!(!has_tag(&before) && !has_tag(&between));
        for frames in [mp3(count), aac(count)] {
            let input = [before.clone(), frames.concat(), between.clone(), frames.concat()].concat();
            let parsed = parse(&input);
            let first = if count > 2 { &frames[..count - 1] } else { &[] };
            prop_assert_eq!(parsed.bytes(), [first.concat(), frames.concat()].concat());
        }
    }

    #[test]
    fn what_is_held_is_bounded(input in vec(piece(), 0..40)) {
        let mut parser = Parser::new(None);
        let mut out = Vec::new();
        for piece in input {
            parser.push(&piece, &mut out);
            prop_assert!(parser.unparsed().len() < 48 * 1_024 + 32);
        }
    }
}

fn has_tag(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window == b"ID3" || window == b"TAG")
        || bytes.ends_with(b"I")
        || bytes.ends_with(b"T")
}
