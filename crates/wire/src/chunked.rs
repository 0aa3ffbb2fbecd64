//! Decodes bodies in HTTP chunks (RFC 9112, 7.1) as they come.

/// Longest line that gives a chunk's size, extensions included.
const SIZE_LINE_MAX: usize = 256;
/// Longest trailer section.
const TRAILERS_MAX: usize = 8 * 1024;

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
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Malformed chunks; what was decoded before is in `out`.
    pub fn decode(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<bool, ChunkedError> {
        while !input.is_empty() && self.state != State::Done {
            if let State::Data(left) = self.state {
                let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                out.extend_from_slice(&input[..count]);
                input = &input[count..];
                let left = left - count as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                continue;
            }
            let byte = input[0];
            input = &input[1..];
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > SIZE_LINE_MAX && self.state != State::Trailers
                    || self.line.len() > TRAILERS_MAX
                {
                    return Err(ChunkedError::TooLong);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.end_line(line.strip_suffix(b"\r").unwrap_or(&line))?;
        }
        Ok(self.state == State::Done)
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

fn parse_size(line: &[u8]) -> Result<u64, ChunkedError> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is_hex = !digits.is_empty() && digits.len() <= 12 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).map_err(|_| ChunkedError::Size)?;
    if is_hex {
        u64::from_str_radix(text, 16).map_err(|_| ChunkedError::Size)
    } else {
        Err(ChunkedError::Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, bool), ChunkedError> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let done = decoder.decode(input, &mut out)?;
        Ok((out, done))
    }

    #[test]
    fn chunks_are_joined() {
        let body = b"4\r\nWiki\r\n5;ext=1\r\npedia\r\nA\n0123456789\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(decode(body), Ok((b"Wikipedia0123456789".to_vec(), true)));
        assert_eq!(decode(b"4\r\nWi"), Ok((b"Wi".to_vec(), false)));
    }

    #[test]
    fn any_split_gives_the_same() {
        let body = b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n";
        for split in 0..body.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            assert!(!decoder.decode(&body[..split], &mut out).unwrap());
            assert!(decoder.decode(&body[split..], &mut out).unwrap());
            assert_eq!(out, b"Wikipedia", "split at {split}");
        }
    }

    #[test]
    fn malformed_chunks_are_errors() {
        assert_eq!(decode(b"xyz\r\n"), Err(ChunkedError::Size));
        assert_eq!(decode(b"\r\n"), Err(ChunkedError::Size));
        assert_eq!(decode(b"1000000000000\r\n"), Err(ChunkedError::Size));
        assert_eq!(decode(b"2\r\nabc\r\n"), Err(ChunkedError::End));
        assert_eq!(decode(&[b'1'; SIZE_LINE_MAX + 1]), Err(ChunkedError::TooLong));
        let trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(2000)].concat();
        assert_eq!(decode(&trailers), Err(ChunkedError::TooLong));
    }
}
