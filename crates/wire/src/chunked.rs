//! Decodes bodies in HTTP chunks (RFC 9112, 7.1) as they come.
//!
//! A bare LF ends a line, as in heads. Extensions and trailers are read over.

use serde::{Deserialize, Serialize};

/// Longest line that gives a chunk's size, extensions included, its LF not counted.
const SIZE_LINE_MAX: usize = 256;
/// Longest trailer section, and longest line of it.
const TRAILERS_MAX: usize = 8 * 1024;
/// Most digits of a size: chunks are shorter than 2^48 bytes.
const SIZE_DIGITS_MAX: usize = 12;

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// A size that is no hexadecimal number, or beyond 2^48.
    #[error("a chunk's size is malformed")]
    Size,
    /// A chunk that does not end with a line end.
    #[error("a chunk does not end where its size says")]
    End,
    /// Size line or trailers beyond their bound.
    #[error("a chunk's header or trailer is too long")]
    TooLong,
}

/// A decoder; give it the bytes as they come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

impl Decoder {
    /// Decodes `input`, appending the body to `out`. True once the body has ended; what follows is ignored.
    ///
    /// # Errors
    /// Malformed chunks; what was decoded before is in `out`. The decoder is of no use after one.
    pub fn decode(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<bool, ChunkedError> {
        while !input.is_empty() && self.state != State::Done {
            let taken = match self.state {
                State::Data(left) => {
                    let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    out.extend_from_slice(&input[..count]);
                    let left = left - count as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    count
                }
                State::Size | State::DataEnd | State::Trailers | State::Done => self.read_line(input)?,
            };
            input = &input[taken..];
        }
        Ok(self.state == State::Done)
    }

    /// Takes bytes up to the end of a line, or all while it has not come.
    fn read_line(&mut self, input: &[u8]) -> Result<usize, ChunkedError> {
        let end = memchr::memchr(b'\n', input);
        let part = &input[..end.unwrap_or(input.len())];
        let line_max = if self.state == State::Trailers { TRAILERS_MAX } else { SIZE_LINE_MAX };
        if self.line.len() + part.len() > line_max {
            return Err(ChunkedError::TooLong);
        }
        self.line.extend_from_slice(part);
        let Some(end) = end else { return Ok(part.len()) };
        let line = std::mem::take(&mut self.line);
        self.end_line(line.strip_suffix(b"\r").unwrap_or(&line))?;
        Ok(end + 1)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), ChunkedError> {
        self.state = match self.state {
            State::Size => match parse_size(line)? {
                0 => State::Trailers,
                size => State::Data(size),
            },
            State::DataEnd if line.is_empty() => State::Size,
            State::DataEnd => return Err(ChunkedError::End),
            State::Trailers if line.is_empty() => State::Done,
            State::Trailers => {
                self.trailers += line.len() + 2;
                if self.trailers > TRAILERS_MAX {
                    return Err(ChunkedError::TooLong);
                }
                State::Trailers
            }
            state @ (State::Data(_) | State::Done) => state,
        };
        Ok(())
    }
}

/// The size that a line gives: what another parser could read as another one is refused.
fn parse_size(line: &[u8]) -> Result<u64, ChunkedError> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_size = (1..=SIZE_DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    if !is_size || line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(ChunkedError::Size);
    }
    let text = std::str::from_utf8(digits).map_err(|_| ChunkedError::Size)?;
    u64::from_str_radix(text, 16).map_err(|_| ChunkedError::Size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, bool), ChunkedError> {
        decode_pieces([input])
    }

    fn decode_pieces<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, bool), ChunkedError> {
        let (mut decoder, mut out, mut ended) = (Decoder::default(), Vec::new(), false);
        for piece in pieces {
            ended = decoder.decode(piece, &mut out)?;
        }
        Ok((out, ended))
    }

    #[test]
    fn chunks_are_joined() {
        let body = b"4\r\nWiki\r\n5 ;ext=1\r\npedia\r\nA\n0123456789\n0\r\nTrailer: x\r\n\r\nmore";
        assert_eq!(decode(body), Ok((b"Wikipedia0123456789".to_vec(), true)));
        assert_eq!(decode(b"4\r\nWi"), Ok((b"Wi".to_vec(), false)));
        assert_eq!(decode(b"0\r\n\r\n"), Ok((Vec::new(), true)));
        assert_eq!(decode(b"000000000001\r\nx\r\n"), Ok((b"x".to_vec(), false)));
    }

    #[test]
    fn malformed_chunks_are_errors() {
        for line in [
            "xyz",
            "",
            ";ext",
            "-1",
            "+1",
            "0x1",
            " 1",
            "1 1",
            "1\r",
            "1;a\rb",
            "1;\0",
            "1000000000000",
            "0000000000001",
        ] {
            assert_eq!(decode(format!("{line}\r\n").as_bytes()), Err(ChunkedError::Size), "{line:?}");
        }
        for body in ["2\r\nabc\r\n", "2\r\nab \r\n", "2\r\nab\r\r\n"] {
            assert_eq!(decode(body.as_bytes()), Err(ChunkedError::End), "{body:?}");
        }
    }

    #[test]
    fn every_bound_holds_at_its_edge() {
        let size_line = |length: usize| format!("1;{}\nx\n", "e".repeat(length - 2));
        assert_eq!(decode(size_line(SIZE_LINE_MAX).as_bytes()), Ok((b"x".to_vec(), false)));
        assert_eq!(decode(size_line(SIZE_LINE_MAX + 1).as_bytes()), Err(ChunkedError::TooLong));
        assert_eq!(decode(&[b'1'; SIZE_LINE_MAX]), Ok((Vec::new(), false)));
        assert_eq!(decode(&[b'1'; SIZE_LINE_MAX + 1]), Err(ChunkedError::TooLong));
        assert_eq!(decode(b"ffffffffffff\r\nx"), Ok((b"x".to_vec(), false)));
        let trailers =
            |count: usize| [b"0\r\n".to_vec(), b"a: bcd\r\n".repeat(count), b"\r\n".to_vec()].concat();
        assert_eq!(decode(&trailers(TRAILERS_MAX / 8)), Ok((Vec::new(), true)));
        assert_eq!(decode(&trailers(TRAILERS_MAX / 8 + 1)), Err(ChunkedError::TooLong));
        let trailer = |length| [b"0\r\n".to_vec(), vec![b'a'; length]].concat();
        assert_eq!(decode(&trailer(TRAILERS_MAX)), Ok((Vec::new(), false)));
        assert_eq!(decode(&trailer(TRAILERS_MAX + 1)), Err(ChunkedError::TooLong));
    }

    proptest! {
        #[test]
        fn what_was_sent_in_chunks_is_read_again_however_it_is_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..6),
            split in 1_usize..40,
        ) {
            let mut sent = Vec::new();
            for chunk in &chunks {
                sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                sent.extend_from_slice(chunk);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decode_pieces(sent.chunks(split)), Ok((chunks.concat(), true)));
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_split(
            bytes in "([0-9a-f]{1,2}|\r\n|\n|\r|;|x|[ -~]{0,9}){0,30}",
            split in 1_usize..9,
        ) {
            let at_once = decode(bytes.as_bytes());
            prop_assert_eq!(decode_pieces(bytes.as_bytes().chunks(split)), at_once);
        }
    }
}
