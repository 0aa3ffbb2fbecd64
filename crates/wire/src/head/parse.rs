//! Reads a request head from bytes.
//!
//! Tolerant where real programs need it: bare LF (DarkIce), raw UTF-8 and a raw `#` in the target (BUTT), `ICE/1.0`,
//! header lines without a colon, no `Host`. Strict where two parsers could read two different requests: lengths, transfer
//! codings, folded lines, control characters. A refusal comes with the first byte that makes it certain.

use percent_encoding::{CONTROLS, percent_encode};

use super::{HEAD_MAX, HEADERS_MAX, Head, HeadError, Headers, LINE_MAX, Protocol};
use crate::text::decode;

/// Longest method name.
const METHOD_MAX: usize = 16;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Name and value.
type Header<'a> = (&'a [u8], &'a [u8]);

/// Reads a head from the start of `input`: the head and its length, or `None` while more bytes are needed.
///
/// # Errors
/// As soon as no further bytes could make it acceptable.
pub fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    check_start(input)?;
    let mut lines = Lines { input, at: 0 };
    let Some(line) = lines.request_line()? else { return Ok(None) };
    let (method, target, protocol) = split_request_line(line)?;
    let Some(headers) = lines.headers()? else { return Ok(None) };
    let head = Head { method: decode(method), target: target_text(target), protocol, headers };
    head.check_framing()?;
    Ok(Some((head, lines.at)))
}

/// Reads headers up to their empty line, without a request line in front: the headers and their length, or `None` while
/// more bytes are needed. The bounds are those of a head.
///
/// # Errors
/// As [`parse`].
pub fn parse_headers(input: &[u8]) -> Result<Option<(Headers, usize)>, HeadError> {
    let mut lines = Lines { input, at: 0 };
    Ok(lines.headers()?.map(|headers| (headers, lines.at)))
}

/// Refuses at the first bytes what can become no request.
fn check_start(input: &[u8]) -> Result<(), HeadError> {
    if input.first() == Some(&TLS_HANDSHAKE) {
        return Err(HeadError::Tls);
    }
    let end = input.iter().position(|&byte| byte == b' ').unwrap_or(input.len());
    let is_method = input[..end].iter().all(|byte| byte.is_ascii_uppercase());
    if is_method && end <= METHOD_MAX && (end > 0 || input.is_empty()) {
        Ok(())
    } else {
        Err(HeadError::NotHttp)
    }
}

/// The lines of a head. A line whose end has not come is checked too: what is wrong in it stays wrong.
struct Lines<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn request_line(&mut self) -> Result<Option<&'a [u8]>, HeadError> {
        let (line, is_whole) = self.next();
        if line.len() > LINE_MAX {
            return Err(HeadError::LineTooLong);
        }
        if line.iter().any(u8::is_ascii_control) {
            return Err(HeadError::RequestLine);
        }
        Ok(is_whole.then_some(line))
    }

    /// Headers up to the empty line; `None` while that has not come.
    fn headers(&mut self) -> Result<Option<Headers>, HeadError> {
        let mut headers = Vec::new();
        loop {
            let Some(line) = self.header_line()? else { return Ok(None) };
            if line.is_empty() {
                break;
            }
            if headers.len() == HEADERS_MAX {
                return Err(HeadError::TooManyHeaders);
            }
            headers.extend(split_header_line(line)?);
        }
        Ok(Some(headers.into_iter().map(|(name, value)| (decode(name), decode(value))).collect()))
    }

    fn header_line(&mut self) -> Result<Option<&'a [u8]>, HeadError> {
        let (line, is_whole) = self.next();
        // What has no end yet is at least one byte longer than what has come.
        let length_min = if is_whole { self.at } else { self.input.len() + 1 };
        if length_min > HEAD_MAX {
            return Err(HeadError::TooLong);
        }
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HeadError::HeaderLine);
        }
        Ok(is_whole.then_some(line))
    }

    /// The next line without its CR LF or LF, and whether that has come.
    fn next(&mut self) -> (&'a [u8], bool) {
        let rest = &self.input[self.at..];
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        self.at += end.map_or(0, |end| end + 1);
        (line.strip_suffix(b"\r").unwrap_or(line), end.is_some())
    }
}

fn split_request_line(line: &[u8]) -> Result<(&[u8], &[u8], Protocol), HeadError> {
    let find = |bytes: &[u8]| memchr::memchr(b' ', bytes).ok_or(HeadError::RequestLine);
    let (method, rest) = line.split_at(find(line)?);
    // The target may hold raw blanks; the protocol is what follows the last one.
    let last = memchr::memrchr(b' ', rest).ok_or(HeadError::RequestLine)?;
    let protocol = match &rest[last + 1..] {
        b"HTTP/1.0" => Protocol::Http10,
        b"HTTP/1.1" => Protocol::Http11,
        b"ICE/1.0" | b"ICE/1.1" => Protocol::Ice10,
        _ => return Err(HeadError::RequestLine),
    };
    let target = rest[..last].trim_ascii();
    if target.is_empty() { Err(HeadError::RequestLine) } else { Ok((method, target, protocol)) }
}

/// A header; `None` for a line without a colon, which says nothing.
fn split_header_line(line: &[u8]) -> Result<Option<Header<'_>>, HeadError> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(HeadError::HeaderLine);
    }
    let Some(colon) = memchr::memchr(b':', line) else { return Ok(None) };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(HeadError::HeaderLine);
    }
    Ok(Some((name, value)))
}

/// The target as text. Bytes of another character set are escaped: what it is, the query or the mount may tell.
fn target_text(target: &[u8]) -> String {
    match std::str::from_utf8(target) {
        Ok(text) => text.to_owned(),
        Err(_) => percent_encode(target, CONTROLS).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUT: &str = "PUT /f.mp3 HTTP/1.1\r\nHost: h:1\r\nIce-Name: Rädio\r\nExpect: 100-continue\r\n\r\n";

    fn read(text: &str) -> Result<Option<(Head, usize)>, HeadError> {
        parse(text.as_bytes())
    }

    fn head(bytes: impl AsRef<[u8]>) -> Head {
        parse(bytes.as_ref()).unwrap().unwrap().0
    }

    #[test]
    fn a_head_is_read_and_what_follows_it_is_left() {
        let (head, length) = read(&format!("{PUT}audio")).unwrap().unwrap();
        assert_eq!((&*head.method, &*head.target, head.protocol), ("PUT", "/f.mp3", Protocol::Http11));
        assert_eq!(head.header("ice-name"), Some("Rädio"));
        assert_eq!(length, PUT.len());
    }

    #[test]
    fn real_encoders_are_understood() {
        let darkice = "SOURCE /dark.mp3 HTTP/1.0\nContent-type: audio/mpeg\nice-name: DARK\r\n\r\n";
        assert_eq!(head(darkice).header("Content-Type"), Some("audio/mpeg"));
        for line in ["SOURCE /m ICE/1.0", "SOURCE /m ICE/1.1"] {
            assert_eq!(head(format!("{line}\r\n\r\n")).protocol, Protocol::Ice10);
        }
        let butt = "GET /admin.cgi?pass=pw:#2&song=Björk Jóga HTTP/1.0\r\n\r\n";
        assert_eq!(head(butt).target, "/admin.cgi?pass=pw:#2&song=Björk Jóga");
        let winamp = "GET / HTTP/1.0\r\nIcy-MetaData:1\r\na line without a colon\r\n\r\n";
        assert_eq!(head(winamp).header("icy-metadata"), Some("1"));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_kept_in_targets_and_read_in_headers() {
        let head = head(b"GET /?song=Bj\xf6rk%20\x93 HTTP/1.0\r\nice-name: R\xe4dio\r\n\r\n");
        assert_eq!(head.target, "/?song=Bj%F6rk%20%93");
        assert_eq!(head.header("ice-name"), Some("Rädio"));
    }

    #[test]
    fn what_can_be_no_request_is_refused_at_once() {
        assert_eq!(parse(&[TLS_HANDSHAKE]), Err(HeadError::Tls));
        for start in ["h", "\r", "\n", " ", "!POKE", "PASS\r", "\u{5a}\0", "GET\t", "\0"] {
            assert_eq!(read(start), Err(HeadError::NotHttp), "{start:?}");
        }
        assert_eq!(read(&"M".repeat(METHOD_MAX)), Ok(None));
        assert_eq!(read(&"M".repeat(METHOD_MAX + 1)), Err(HeadError::NotHttp));
        for start in ["GET /\0", "GET /\t", "GET /\rx", "GET /\x7f"] {
            assert_eq!(read(start), Err(HeadError::RequestLine), "{start:?}");
        }
        for start in ["a: \0", "a: b\rc", "a\x7f"] {
            let text = format!("GET / HTTP/1.1\r\n{start}");
            assert_eq!(read(&text), Err(HeadError::HeaderLine), "{start:?}");
        }
    }

    #[test]
    fn request_lines_have_three_parts() {
        for line in
            ["GET /", "GET  HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/1.1 ", "GET / http/1.1", "SOURCE pw"]
        {
            assert_eq!(read(&format!("{line}\n")), Err(HeadError::RequestLine), "{line}");
        }
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let with = |headers: &str| read(&format!("PUT /m HTTP/1.1\r\n{headers}\r\n\r\n")).map(|_| ());
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(with(headers), Err(HeadError::Framing), "{headers}");
        }
        for headers in ["Name : x", "Name\t: x", " folded: x", "a: b\r\n\tc", "a: b\rc", "a: \u{1}", ": x"] {
            assert_eq!(with(headers), Err(HeadError::HeaderLine), "{headers:?}");
        }
        assert_eq!(with("Content-Length: 5\r\nContent-Length: 5"), Ok(()));
    }

    #[test]
    fn every_bound_holds_at_its_edge() {
        let line = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 14));
        assert!(read(&line(LINE_MAX)).unwrap().is_some());
        assert_eq!(read(&line(LINE_MAX + 1)), Err(HeadError::LineTooLong));
        // Its CR has come, its LF has not.
        assert_eq!(read(&line(LINE_MAX)[..=LINE_MAX]), Ok(None));
        assert_eq!(read(&format!("GET /{}", "a".repeat(LINE_MAX - 5))), Ok(None));
        assert_eq!(read(&format!("GET /{}", "a".repeat(LINE_MAX - 4))), Err(HeadError::LineTooLong));
        let headers = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(read(&headers(HEADERS_MAX)).unwrap().is_some());
        assert_eq!(read(&headers(HEADERS_MAX + 1)), Err(HeadError::TooManyHeaders));
        let long = |length: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(length - 23));
        assert_eq!(read(&long(HEAD_MAX)).unwrap().unwrap().1, HEAD_MAX);
        assert_eq!(read(&long(HEAD_MAX + 1)), Err(HeadError::TooLong));
        assert_eq!(read(&long(HEAD_MAX)[..HEAD_MAX - 1]), Ok(None));
        assert_eq!(read(&long(HEAD_MAX + 1)[..HEAD_MAX]), Err(HeadError::TooLong));
    }

    /// A head as one of its writers might send it.
    fn valid() -> impl Strategy<Value = Vec<u8>> {
        let end = prop_oneof![Just("\r\n"), Just("\n")];
        let header = ("[A-Za-z-]{1,20}x", ":[ \t]?", "[ -~äé€]{0,30}")
            .prop_map(|(name, colon, value)| name + &colon + &value);
        let header = prop_oneof![header, "[a-z]{1,20}"];
        ("[A-Z]{1,16} /[!-~é]{0,40} (HTTP/1\\.[01]|ICE/1\\.0)", proptest::collection::vec(header, 0..9), end)
            .prop_map(|(line, headers, end)| {
                let lines = std::iter::once(line).chain(headers).chain([String::new()]);
                lines.flat_map(|line| (line + end).into_bytes()).collect()
            })
    }

    /// What heads are made of, and what they must not hold.
    const PIECES: &[&str] =
        &["GET / HTTP/1.1", "\r\n", "\n", "\r", " ", ":", "a: b", "Content-Length: 1", "\t", "\0"];

    /// Bytes that come close to a head.
    fn close() -> impl Strategy<Value = Vec<u8>> {
        let any_byte = any::<u8>().prop_map(|byte| vec![byte]);
        let piece = proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec());
        let pieces = proptest::collection::vec(prop_oneof![6 => piece, 1 => any_byte], 0..24);
        pieces.prop_map(|pieces| [b"GET / HTTP/1.1\r\n".to_vec(), pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn every_prefix_of_a_head_asks_for_more(bytes in valid(), body in any::<[u8; 4]>()) {
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Ok(None), "{} bytes", end);
            }
            let whole = parse(&bytes).unwrap();
            prop_assert_eq!(whole.as_ref().map(|(_, length)| *length), Some(bytes.len()));
            prop_assert_eq!(parse(&[&bytes[..], &body].concat()).unwrap(), whole);
        }

        #[test]
        fn a_verdict_stands_whatever_comes_behind_it(bytes in close()) {
            let mut verdict = Ok(None);
            for end in 0..=bytes.len() {
                let now = parse(&bytes[..end]);
                prop_assert!(verdict == Ok(None) || verdict == now || verdict.is_err() && now.is_err());
                verdict = now;
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // That it returns is the fact.
            let _ = parse(&bytes);
        }
    }
}
