//! Any bytes through the audio parser, at once and in pieces: the same frames, whole, with no byte lost or made up.
//!
//! The first byte of the input is the length of the next few, which are the lengths of the pieces.

#![no_main]

use audio::{Batch, Codec, Format, Parser, ParserStats, frames_in};
use libfuzzer_sys::fuzz_target;

/// Bytes that a parser may hold.
const HELD_BYTES_MAX: usize = 48 * 1_024 + 32;

fuzz_target!(|data: &[u8]| {
    let Some((cut_count, rest)) = data.split_first() else {
        return;
    };
    let (cuts, input) = rest.split_at(usize::from(*cut_count % 16).min(rest.len()));
    let at_once = parse([input]);
    assert_eq!(parse(pieces(input, cuts)), at_once);
    assert_eq!(parse(input.chunks(1)), at_once);
});

/// A frame with its format and its samples.
type Given = (Format, u32, Vec<u8>);

fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Given>, ParserStats) {
    let mut parser = Parser::new(None);
    let (mut out, mut pushed) = (Vec::new(), 0);
    for piece in pieces {
        parser.push(piece, &mut out);
        pushed += piece.len() as u64;
        assert!(parser.unparsed().len() < HELD_BYTES_MAX);
    }
    parser.finish(&mut out);
    let given: u64 = out.iter().map(|batch| batch.data.len() as u64).sum();
    assert_eq!(given + parser.stats().skipped_bytes, pushed);
    (out.iter().flat_map(frames_of).collect(), parser.stats())
}

fn frames_of(batch: &Batch) -> Vec<Given> {
    let mut rest = &batch.data[..];
    let frames = batch.frames.iter().map(|frame| {
        let (bytes, behind) = rest.split_at(frame.len as usize);
        rest = behind;
        (batch.format, frame.samples, bytes.to_vec())
    });
    let frames: Vec<Given> = frames.collect();
    assert!(rest.is_empty());
    // Headers all over a free-format frame leave open where it ends.
    if !is_free_format(&frames) {
        assert_eq!(frames_in(&batch.format, &batch.data).collect::<Vec<_>>(), batch.frames);
    }
    frames
}

fn is_free_format(frames: &[Given]) -> bool {
    frames.iter().any(|(format, _, bytes)| format.codec == Codec::Mp3 && bytes[2] >> 4 == 0)
}

/// `input` in pieces of the lengths `cuts`, over and over; at least a byte each.
fn pieces<'a>(input: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = input;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((usize::from(*cut) * 7 + 1).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}
