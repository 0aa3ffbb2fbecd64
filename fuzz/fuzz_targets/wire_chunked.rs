//! Any bytes as a body in chunks, at once and in pieces: the same audio, never more than came, and the same verdict.
//!
//! The first byte of the input is the length of the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::chunked::{ChunkedError, Decoder};

fuzz_target!(|data: &[u8]| {
    let Some((length, input)) = data.split_first() else { return };
    let at_once = decode([input]);
    assert!(at_once.0.len() <= input.len());
    assert_eq!(decode(input.chunks(usize::from(*length).max(1))), at_once);
    assert_eq!(decode(input.chunks(1)), at_once);
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<bool, ChunkedError>) {
    let (mut decoder, mut out, mut ended) = (Decoder::default(), Vec::new(), false);
    for piece in pieces {
        match decoder.decode(piece, &mut out) {
            Ok(end) => ended = end,
            Err(error) => return (out, Err(error)),
        }
    }
    (out, Ok(ended))
}
