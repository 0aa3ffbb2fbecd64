//! Request heads, as encoders and players really write them.
//!
//! Tolerant where real programs need it: bare LF (DarkIce), raw UTF-8 and a raw `#` in the target (BUTT), `ICE/1.0`,
//! header lines without a colon, no `Host`. Strict where two parsers could read two different requests: lengths, transfer
//! codings, folded lines, control characters.

use std::fmt;

/// Longest head, its empty line included.
pub const HEAD_MAX: usize = 16 * 1024;
/// Longest request line.
pub const LINE_MAX: usize = 8 * 1024;
/// Most header lines.
pub const HEADERS_MAX: usize = 100;
/// Longest method name.
const METHOD_MAX: usize = 16;

/// The protocol that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    Http11,
    /// `ICE/1.0`, of old encoders; spoken like HTTP/1.0.
    Ice10,
}

/// A request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Method, as sent.
    pub method: String,
    /// Request target, as sent; bytes that are not UTF-8 are read as Latin-1.
    pub target: String,
    /// Protocol and version.
    pub protocol: Protocol,
    headers: Vec<(String, String)>,
}

/// Why bytes are no acceptable head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The bytes do not begin like a request.
    #[error("this is no HTTP request")]
    NotHttp,
    /// They begin like a TLS handshake.
    #[error("this port does not speak TLS")]
    Tls,
    /// The request line is not `METHOD TARGET HTTP/1.x`.
    #[error("the request line is not METHOD TARGET HTTP/1.1")]
    RequestLine,
    /// The request line is longer than [`LINE_MAX`].
    #[error("the request line is longer than {LINE_MAX} bytes")]
    LineTooLong,
    /// The head is longer than [`HEAD_MAX`].
    #[error("the request head is longer than {HEAD_MAX} bytes")]
    TooLong,
    /// There are more than [`HEADERS_MAX`] header lines.
    #[error("the request has more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// A control character, a bare CR, a folded line or a blank before a colon.
    #[error("a header line is malformed")]
    HeaderLine,
    /// Lengths or transfer codings that contradict each other, or that nobody knows.
    #[error("the length of the body is ambiguous")]
    Framing,
}

impl HeadError {
    /// Status and reason phrase of the answer.
    pub fn status(&self) -> (u16, &'static str) {
        match self {
            HeadError::LineTooLong => (414, "URI Too Long"),
            HeadError::TooLong | HeadError::TooManyHeaders => (431, "Request Header Fields Too Large"),
            HeadError::NotHttp
            | HeadError::Tls
            | HeadError::RequestLine
            | HeadError::HeaderLine
            | HeadError::Framing => (400, "Bad Request"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Ice10 => "ICE/1.0",
        })
    }
}

impl Head {
    /// The first header of that name, in any case; without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers, as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Length that the head gives for its body.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length").and_then(|value| value.parse().ok())
    }

    /// True if the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// True if the sender waits to be told to go on.
    pub fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn check_framing(&self) -> Result<(), HeadError> {
        let mut lengths = self.all("content-length");
        let first = lengths.next();
        let length_is_clear = first.is_none_or(|first| {
            let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
            digits && first.parse::<u64>().is_ok() && lengths.all(|other| other == first)
        });
        let mut codings = self.all("transfer-encoding");
        let coding = codings.next();
        let coding_is_clear = coding.is_none_or(|coding| {
            coding.eq_ignore_ascii_case("chunked") && first.is_none() && codings.next().is_none()
        });
        if length_is_clear && coding_is_clear { Ok(()) } else { Err(HeadError::Framing) }
    }
}

/// Reads a head from the start of `input`: the head and its length, or `None` while more bytes are needed.
///
/// # Errors
/// As soon as no further bytes could make it acceptable.
pub fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    check_start(input)?;
    let Some((line, mut rest)) = split_line(input) else {
        return if input.len() > LINE_MAX { Err(HeadError::LineTooLong) } else { Ok(None) };
    };
    if line.len() > LINE_MAX {
        return Err(HeadError::LineTooLong);
    }
    let (method, target, protocol) = request_line(line)?;
    let mut headers = Vec::new();
    loop {
        let consumed = input.len() - rest.len();
        if consumed > HEAD_MAX {
            return Err(HeadError::TooLong);
        }
        let Some((line, after)) = split_line(rest) else {
            return if input.len() > HEAD_MAX { Err(HeadError::TooLong) } else { Ok(None) };
        };
        rest = after;
        if line.is_empty() {
            let head = Head { method, target, protocol, headers };
            head.check_framing()?;
            let length = input.len() - rest.len();
            return if length > HEAD_MAX { Err(HeadError::TooLong) } else { Ok(Some((head, length))) };
        }
        if headers.len() == HEADERS_MAX {
            return Err(HeadError::TooManyHeaders);
        }
        headers.extend(header_line(line)?);
    }
}

/// Refuses at the first bytes what can become no request.
fn check_start(input: &[u8]) -> Result<(), HeadError> {
    if input.first() == Some(&0x16) {
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

/// The first line without its CR LF or LF, and what follows it.
fn split_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', input)?;
    let line = &input[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &input[end + 1..]))
}

fn request_line(line: &[u8]) -> Result<(String, String, Protocol), HeadError> {
    if line.iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
        return Err(HeadError::RequestLine);
    }
    let mut split = line.splitn(2, |&byte| byte == b' ');
    let (Some(method), Some(rest)) = (split.next(), split.next()) else { return Err(HeadError::RequestLine) };
    // The target may hold raw blanks; the protocol is what follows the last one.
    let Some(blank) = rest.iter().rposition(|&byte| byte == b' ') else { return Err(HeadError::RequestLine) };
    let protocol = match &rest[blank + 1..] {
        b"HTTP/1.0" => Protocol::Http10,
        b"HTTP/1.1" => Protocol::Http11,
        b"ICE/1.0" => Protocol::Ice10,
        _ => return Err(HeadError::RequestLine),
    };
    let target = rest[..blank].trim_ascii();
    if target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    Ok((text(method), text(target), protocol))
}

/// Name and value; `None` for a line without a colon, which says nothing.
fn header_line(line: &[u8]) -> Result<Option<(String, String)>, HeadError> {
    let is_forbidden = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    if line.iter().any(is_forbidden) || line[0] == b' ' || line[0] == b'\t' {
        return Err(HeadError::HeaderLine);
    }
    let Some(colon) = memchr::memchr(b':', line) else { return Ok(None) };
    let name = &line[..colon];
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(HeadError::HeaderLine);
    }
    Ok(Some((text(name), text(line[colon + 1..].trim_ascii()))))
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<(Head, usize)>, HeadError> {
        parse(text.as_bytes())
    }

    fn head(text: &str) -> Head {
        read(text).unwrap().unwrap().0
    }

    const PUT: &str = "PUT /f.mp3 HTTP/1.1\r\nHost: h:1\r\nIce-Name: Rädio\r\nExpect: 100-continue\r\n\r\n";

    #[test]
    fn a_head_is_read_and_what_follows_it_is_left() {
        let (head, length) = read(&format!("{PUT}audio")).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.protocol),
            ("PUT", "/f.mp3", Protocol::Http11)
        );
        assert_eq!(head.header("ice-name"), Some("Rädio"));
        assert!(head.expects_continue() && !head.is_chunked());
        assert_eq!(length, PUT.len());
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for end in 0..PUT.len() {
            assert_eq!(parse(&PUT.as_bytes()[..end]), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn real_encoders_are_understood() {
        let darkice = "SOURCE /dark.mp3 HTTP/1.0\nContent-type: audio/mpeg\nice-name: DARK\r\n\r\n";
        assert_eq!(head(darkice).header("Content-Type"), Some("audio/mpeg"));
        assert_eq!(head("SOURCE /m ICE/1.0\r\n\r\n").protocol, Protocol::Ice10);
        let butt = "GET /admin.cgi?pass=pw:#2&song=Björk Jóga HTTP/1.0\r\n\r\n";
        assert_eq!(head(butt).target, "/admin.cgi?pass=pw:#2&song=Björk Jóga");
        let latin1 = parse(b"GET /?song=Bj\xf6rk HTTP/1.0\r\n\r\n").unwrap().unwrap().0;
        assert_eq!(latin1.target, "/?song=Björk");
        let winamp = "GET / HTTP/1.0\r\nIcy-MetaData:1\r\na line without a colon\r\n\r\n";
        assert_eq!(head(winamp).header("icy-metadata"), Some("1"));
    }

    #[test]
    fn what_can_be_no_request_is_refused_at_once() {
        assert_eq!(parse(&[0x16, 3, 1]), Err(HeadError::Tls));
        assert_eq!(read("hackme\r\n"), Err(HeadError::NotHttp));
        assert_eq!(read("\r\n"), Err(HeadError::NotHttp));
        assert_eq!(read("ABCDEFGHIJKLMNOPQ"), Err(HeadError::NotHttp));
        for line in ["GET /", "GET  HTTP/1.1", "GET / HTTP/2.0", "GET /\0x HTTP/1.1", "SOURCE pw"] {
            assert_eq!(read(&format!("{line}\n")), Err(HeadError::RequestLine), "{line}");
        }
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let with = |headers: &str| read(&format!("PUT /m HTTP/1.1\r\n{headers}\r\n\r\n")).map(|_| ());
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(with(headers), Err(HeadError::Framing), "{headers}");
        }
        for headers in ["Name : x", " folded: x", "a: b\r\n\tc", "a: b\rc", "a: \u{1}", ": x"] {
            assert_eq!(with(headers), Err(HeadError::HeaderLine), "{headers:?}");
        }
        assert_eq!(with("Content-Length: 5\r\nContent-Length: 5"), Ok(()));
    }

    #[test]
    fn every_bound_holds_at_its_edge() {
        let line = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 14));
        assert!(read(&line(LINE_MAX)).unwrap().is_some());
        assert_eq!(read(&line(LINE_MAX + 1)), Err(HeadError::LineTooLong));
        assert_eq!(parse(&[b"GET /", &[b'a'; LINE_MAX][..]].concat()), Err(HeadError::LineTooLong));
        let headers = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(read(&headers(HEADERS_MAX)).unwrap().is_some());
        assert_eq!(read(&headers(HEADERS_MAX + 1)), Err(HeadError::TooManyHeaders));
        let long = |length: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(length - 23));
        assert!(read(&long(HEAD_MAX)).unwrap().is_some());
        assert_eq!(read(&long(HEAD_MAX + 1)), Err(HeadError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // Only that it returns is asserted here.
            let _ = parse(&bytes);
        }
    }
}
