//! Request heads, as encoders and players really write them: what a head says. How it is read is in `head/parse.rs`.

mod parse;

use std::fmt;

pub use parse::{parse, parse_headers};

/// Longest head, its empty line included.
pub const HEAD_MAX: usize = 16 * 1024;
/// Longest request line, its end not counted.
pub const LINE_MAX: usize = 8 * 1024;
/// Most headers.
pub const HEADERS_MAX: usize = 100;

/// Headers as sent: names and values.
pub type Headers = Vec<(String, String)>;

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
    /// Request target, as sent; if it is not UTF-8, its bytes beyond ASCII are escaped (`%F6`).
    pub target: String,
    /// Protocol and version.
    pub protocol: Protocol,
    headers: Headers,
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
    /// There are more than [`HEADERS_MAX`] headers.
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
        self.all(name).next()
    }

    /// The last header of that name.
    pub fn last_header(&self, name: &str) -> Option<&str> {
        self.all(name).last()
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

    /// True if the sender waits to be told to go on; HTTP/1.0 knows no waiting (RFC 9110, 10.1.1).
    pub fn expects_continue(&self) -> bool {
        let is_expected = |value: &str| value.eq_ignore_ascii_case("100-continue");
        self.protocol == Protocol::Http11 && self.header("expect").is_some_and(is_expected)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Refuses what another server could take for a body of another length (RFC 9112, 6.3).
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(line: &str, headers: &str) -> Head {
        parse(format!("{line}\r\n{headers}\r\n\r\n").as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn headers_are_found_in_any_case_and_the_first_one_counts() {
        let head = head("GET / HTTP/1.1", "Icy-MetaData:1\r\nHost:  h:1 \r\nicy-metadata: 0");
        assert_eq!(head.header("ICY-METADATA"), Some("1"));
        assert_eq!(head.header("host"), Some("h:1"));
        assert_eq!(head.header("absent"), None);
        assert_eq!((head.last_header("ICY-METADATA"), head.last_header("absent")), (Some("0"), None));
        let all: Vec<_> = head.headers().collect();
        assert_eq!(all, [("Icy-MetaData", "1"), ("Host", "h:1"), ("icy-metadata", "0")]);
    }

    #[test]
    fn the_body_is_as_long_as_the_head_says() {
        let put = |headers| head("PUT /m HTTP/1.1", headers);
        assert_eq!(put("Content-Length: 5").content_length(), Some(5));
        assert_eq!(put("Content-Length: 18446744073709551615").content_length(), Some(u64::MAX));
        assert_eq!(put("A: b").content_length(), None);
        assert!(put("Transfer-Encoding: Chunked").is_chunked());
        assert!(!put("A: b").is_chunked());
    }

    #[test]
    fn only_http_1_1_waits_to_be_told_to_go_on() {
        let expect = "Expect: 100-Continue";
        assert!(head("PUT /m HTTP/1.1", expect).expects_continue());
        assert!(!head("PUT /m HTTP/1.0", expect).expects_continue());
        assert!(!head("PUT /m HTTP/1.1", "Expect: more").expects_continue());
    }

    #[test]
    fn every_error_has_its_status() {
        for (error, status) in [
            (HeadError::NotHttp, 400),
            (HeadError::Tls, 400),
            (HeadError::RequestLine, 400),
            (HeadError::LineTooLong, 414),
            (HeadError::TooLong, 431),
            (HeadError::TooManyHeaders, 431),
            (HeadError::HeaderLine, 400),
            (HeadError::Framing, 400),
        ] {
            assert_eq!(error.status().0, status, "{error}");
        }
    }
}
