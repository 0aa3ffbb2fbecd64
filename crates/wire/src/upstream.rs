//! What this server says to another one whose stream it pulls, and how that answers: Icecast and SHOUTcast of all ages,
//! and the web servers before them.
//!
//! Answers are read by hand for the same reason as requests: `ICY 200 OK`, bare LF, header lines without a colon.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::Credentials;
use crate::head::{HEAD_MAX, HEADERS_MAX, HeadError, Headers, parse_headers};
use crate::metadata::clean;
use crate::source::Body;
use crate::text::decode;

/// Header by which servers that pull each other know that they feed themselves: ids of mounts, commas between them. Who
/// asks names the mount that is fed; the answer names the mount that is heard, and those that it is fed by.
pub const SOURCE_HEADER: &str = "X-StreamMachine-Source";

/// Longest status line, its end not counted.
const STATUS_LINE_MAX: usize = 1024;
/// Longest reason phrase that is told, in characters.
const REASON_CHARS_MAX: usize = 100;
/// How status lines begin.
const PROTOCOLS: [&[u8]; 2] = [b"HTTP/1.", b"ICY "];

/// A request for a stream, as players send it.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Host, with its port where that is not the usual one. Like the target, of an address: without blanks or controls.
    pub host: &'a str,
    /// Path and query, encoded.
    pub target: &'a str,
    /// `User-Agent`.
    pub agent: &'a str,
    /// Who asks, if that is needed.
    pub credentials: Option<&'a Credentials>,
    /// Whether titles are wanted in the audio.
    pub titles: bool,
    /// Names the mount that is fed: [`SOURCE_HEADER`].
    pub source: &'a str,
}

impl Get<'_> {
    /// The head as it goes on the wire. HTTP/1.1, because proxies refuse 1.0 by now; the connection is not kept.
    pub fn encode(&self) -> String {
        let Get { host, target, agent, source, .. } = self;
        let mut head =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n");
        if let Some(Credentials { user, password }) = self.credentials {
            let encoded = STANDARD.encode(format!("{user}:{password}"));
            head.push_str(&format!("Authorization: Basic {encoded}\r\n"));
        }
        if self.titles {
            head.push_str("Icy-MetaData: 1\r\n");
        }
        head.push_str(&format!("{SOURCE_HEADER}: {source}\r\nConnection: close\r\n\r\n"));
        head
    }
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code, three digits.
    pub status: u16,
    /// Reason phrase: safe to show, short, maybe empty.
    pub reason: String,
    headers: Headers,
}

/// Why bytes are no acceptable head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// They do not begin as an answer does.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The first line holds no status, or has more than 1,024 bytes.
    #[error("the answer's status line is malformed")]
    StatusLine,
    /// The headers are longer than [`HEAD_MAX`], or more than [`HEADERS_MAX`].
    #[error("the answer's head has more than {HEAD_MAX} bytes or {HEADERS_MAX} headers")]
    TooLong,
    /// A control character, a folded line or a blank before a colon.
    #[error("a header of the answer is malformed")]
    HeaderLine,
    /// The body is coded in a way that nobody asked for.
    #[error("the answer's body has an unknown transfer coding")]
    Coding,
}

impl Answer {
    /// Reads a head from the start of `input`: the head and its length, or `None` while more bytes are needed.
    ///
    /// # Errors
    /// As soon as no further bytes could make it acceptable.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, AnswerError> {
        let begins = |protocol: &&[u8]| protocol.iter().zip(input).all(|(expected, byte)| expected == byte);
        if !PROTOCOLS.iter().any(begins) {
            return Err(AnswerError::NotHttp);
        }
        let end = memchr::memchr(b'\n', input);
        if end.unwrap_or(input.len()) > STATUS_LINE_MAX {
            return Err(AnswerError::StatusLine);
        }
        let Some(end) = end else { return Ok(None) };
        let (status, reason) = parse_status(&input[..end]).ok_or(AnswerError::StatusLine)?;
        let headers = parse_headers(&input[end + 1..]).map_err(|error| match error {
            HeadError::TooLong | HeadError::TooManyHeaders => AnswerError::TooLong,
            _ => AnswerError::HeaderLine,
        })?;
        Ok(headers.map(|(headers, length)| (Answer { status, reason, headers }, end + 1 + length)))
    }

    /// The first header of that name, in any case; without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Where it leads elsewhere: that place as it is written, maybe relative.
    pub fn location(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location")).flatten()
    }

    /// The mounts that the audio comes from, as [`SOURCE_HEADER`] has them.
    pub fn sources(&self) -> Option<&str> {
        self.header(SOURCE_HEADER)
    }

    /// Media type without parameters, in lower case; empty if none is told.
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Audio bytes between two blocks of metadata; none if there are no such blocks.
    pub fn metaint(&self) -> Option<usize> {
        self.header("icy-metaint")?.parse().ok().filter(|&metaint| metaint > 0)
    }

    /// How the body is framed. A length that is no number, or 0, is that of old servers for streams without an end.
    ///
    /// # Errors
    /// A coding other than chunks.
    pub fn body(&self) -> Result<Body, AnswerError> {
        match self.header("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => return Ok(Body::Chunked),
            Some(coding) if !coding.eq_ignore_ascii_case("identity") => return Err(AnswerError::Coding),
            _ => {}
        }
        let length = self.header("content-length").and_then(|value| value.parse().ok());
        Ok(length.filter(|&length| length > 0).map_or(Body::Identity, Body::Length))
    }
}

/// Status and reason of a line without its LF.
fn parse_status(line: &[u8]) -> Option<(u16, String)> {
    let line = decode(line);
    let mut words = line.splitn(3, ' ');
    let version = words.next()?;
    let code = words.next()?.trim();
    let is_version = version == "ICY" || matches!(version.strip_prefix("HTTP/1."), Some("0" | "1"));
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    if !is_version || !is_code {
        return None;
    }
    let reason = clean(words.next().unwrap_or_default()).chars().take(REASON_CHARS_MAX).collect();
    Some((code.parse().ok()?, reason))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Answer {
        Answer::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn a_request_is_what_players_send() {
        let credentials = Credentials { user: "jo".to_owned(), password: "p:w".to_owned() };
        let get = Get {
            host: "radio.example:8000",
            target: "/live?a=1",
            agent: "StreamMachine/1",
            credentials: Some(&credentials),
            titles: true,
            source: "7",
        };
        assert_eq!(
            get.encode(),
            "GET /live?a=1 HTTP/1.1\r\nHost: radio.example:8000\r\nUser-Agent: StreamMachine/1\r\nAccept: */*\r\n\
             Authorization: Basic am86cDp3\r\nIcy-MetaData: 1\r\nX-StreamMachine-Source: 7\r\nConnection: close\r\n\r\n"
        );
        let plain = Get { credentials: None, titles: false, ..get }.encode();
        assert!(!plain.contains("Authorization") && !plain.contains("Icy-MetaData"), "{plain}");
    }

    #[test]
    fn heads_of_all_ages_are_read_and_what_follows_is_left() {
        for head in [
            "HTTP/1.0 200 OK\r\nContent-Type:audio/mpeg\r\nicy-metaint:16000\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-type: Audio/MPEG; x=1\r\nIcy-MetaInt: 16000 \r\n\r\n",
            "ICY 200 OK\r\nicy-notice1:<BR>This stream<BR>\r\ncontent-type:audio/mpeg\r\nicy-metaint:16000\r\n\r\n",
            "ICY 200 OK\nno colon\ncontent-type:audio/mpeg\nicy-metaint:16000\n\n",
        ] {
            let (answer, length) = Answer::parse(format!("{head}\u{1}audio").as_bytes()).unwrap().unwrap();
            assert_eq!((answer.status, answer.reason.as_str(), length), (200, "OK", head.len()));
            assert_eq!((answer.media_type().as_str(), answer.metaint()), ("audio/mpeg", Some(16_000)));
            assert_eq!((answer.body(), answer.location()), (Ok(Body::Identity), None));
        }
    }

    #[test]
    fn reasons_are_safe_and_may_be_missing() {
        assert_eq!(read("HTTP/1.1 404\r\n\r\n").reason, "");
        assert_eq!(read("HTTP/1.1 404 Not\tFound\u{1}\r\n\r\n").reason, "Not Found");
        assert_eq!(
            read(&format!("ICY 401 {}\r\n\r\n", "r".repeat(500))).reason,
            "r".repeat(REASON_CHARS_MAX)
        );
    }

    #[test]
    fn only_redirects_lead_elsewhere() {
        for (status, location) in
            [(301, true), (302, true), (303, true), (307, true), (308, true), (200, false)]
        {
            let answer = read(&format!("HTTP/1.1 {status} x\r\nLocation: /b\r\n\r\n"));
            assert_eq!(answer.location(), location.then_some("/b"), "{status}");
        }
        assert_eq!(read("HTTP/1.1 302 x\r\n\r\n").location(), None);
    }

    #[test]
    fn bodies_are_framed_as_the_head_says() {
        for (headers, body) in [
            ("", Ok(Body::Identity)),
            ("Content-Length: 5", Ok(Body::Length(5))),
            ("Content-Length: -1", Ok(Body::Identity)),
            ("Content-Length: 0", Ok(Body::Identity)),
            ("Content-Length: 5\r\nTransfer-Encoding: Chunked", Ok(Body::Chunked)),
            ("Transfer-Encoding: identity", Ok(Body::Identity)),
            ("Transfer-Encoding: gzip, chunked", Err(AnswerError::Coding)),
        ] {
            assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")).body(), body, "{headers}");
        }
    }

    #[test]
    fn a_distance_of_nothing_is_none() {
        for value in ["0", "", "-1", "x", "99999999999999999999999"] {
            assert_eq!(
                read(&format!("HTTP/1.1 200 OK\r\nicy-metaint: {value}\r\n\r\n")).metaint(),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn what_can_be_no_answer_is_refused_at_once() {
        let refused = |text: &str| Answer::parse(text.as_bytes()).unwrap_err();
        for text in ["h", "\r", "OK2\r\n", "invalid password", "HTTP/2", "ICYX", "\u{15}"] {
            assert_eq!(refused(text), AnswerError::NotHttp, "{text:?}");
        }
        for line in
            ["HTTP/1.1", "HTTP/1.1 2000 OK", "HTTP/1.1 20x", "HTTP/1.2 200 OK", "ICY  200 OK", "ICY +20"]
        {
            assert_eq!(refused(&format!("{line}\r\n\r\n")), AnswerError::StatusLine, "{line}");
        }
        let long = |length: usize| format!("ICY 200 {}", "x".repeat(length - 8));
        assert_eq!(Answer::parse(long(STATUS_LINE_MAX).as_bytes()), Ok(None));
        assert_eq!(refused(&long(STATUS_LINE_MAX + 1)), AnswerError::StatusLine);
        let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}");
        assert_eq!(refused(&head("a: \0")), AnswerError::HeaderLine);
        assert_eq!(refused(&head(&"a: b\r\n".repeat(HEADERS_MAX + 1))), AnswerError::TooLong);
        assert_eq!(refused(&head(&"a".repeat(HEAD_MAX))), AnswerError::TooLong);
    }

    proptest! {
        #[test]
        fn every_prefix_of_a_head_asks_for_more(
            line in "(HTTP/1\\.[01]|ICY) [0-9]{3}( [ -~]{0,20})?",
            headers in proptest::collection::vec("[A-Za-z-]{1,9}:[ -~]{0,20}", 0..5),
            end in prop_oneof![Just("\r\n"), Just("\n")],
        ) {
            let lines = std::iter::once(line).chain(headers).chain([String::new()]);
            let head: String = lines.map(|line| line + end).collect();
            for length in 0..head.len() {
                prop_assert_eq!(Answer::parse(&head.as_bytes()[..length]), Ok(None));
            }
            let whole = Answer::parse(format!("{head}more").as_bytes()).unwrap();
            prop_assert_eq!(whole.map(|(_, length)| length), Some(head.len()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), begin in 0_usize..3) {
            let begin: &[u8] = [&b""[..], b"HTTP/1.1 200 ", b"ICY 200 OK\n"][begin];
            if let Ok(Some((answer, length))) = Answer::parse(&[begin, &bytes].concat()) {
                prop_assert!(length <= begin.len() + bytes.len());
                let _ = (answer.body(), answer.metaint(), answer.location());
            }
        }
    }
}
