//! A listener, or any other HTTP client: sends one request, reads the head, and hands out the body as it comes.
//!
//! Redirects, cookies and compression are not followed: tests look at the bytes.

use std::net::SocketAddr;

use crate::connection::Connection;
use crate::icy;

/// Longest body that is read whole.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, `HEAD`, ...
    pub method: &'a str,
    /// Path and query, as it goes on the wire.
    pub target: &'a str,
    /// `HTTP/1.1` or another.
    pub version: &'a str,
    /// Headers besides `Host` and `Content-Length`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body; none is sent when empty.
    pub body: &'a [u8],
    /// Size of a small receive buffer, for listeners that stall.
    pub receive_bytes: Option<usize>,
}

impl<'a> Request<'a> {
    /// A request without headers or body over HTTP/1.1.
    pub fn new(method: &'a str, target: &'a str) -> Self {
        Self { method, target, version: "HTTP/1.1", headers: &[], body: &[], receive_bytes: None }
    }

    fn encode(&self, address: SocketAddr) -> Vec<u8> {
        let mut out = format!("{} {} {}\r\nHost: {address}\r\n", self.method, self.target, self.version);
        for (name, value) in self.headers {
            out += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            out += &format!("Content-Length: {}\r\n", self.body.len());
        }
        [out.as_bytes(), b"\r\n", self.body].concat()
    }
}

/// The client side of listening.
#[derive(Debug)]
pub struct ListenerClient;

impl ListenerClient {
    /// Asks for `target` and reads the answer's head; panics when none comes.
    #[track_caller]
    pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Response {
        Self::send(address, &Request { headers, ..Request::new("GET", target) })
    }

    /// Sends `request` and reads the answer's head; panics when none comes.
    #[track_caller]
    pub fn send(address: SocketAddr, request: &Request<'_>) -> Response {
        let mut connection = match request.receive_bytes {
            None => Connection::open(address),
            Some(bytes) => Connection::open_small(address, bytes),
        };
        connection.send(&request.encode(address)).expect("a new connection takes a request");
        Response::read(connection, request.method == "HEAD")
    }
}

/// Sends `request` as it is and reads all that comes until the peer closes.
#[track_caller]
pub fn request(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut connection = Connection::open(address);
    // A peer may answer and close before it has read everything: the answer counts.
    connection.send(request).ok();
    connection.read_to_end(BODY_BYTES_MAX)
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Reason phrase, maybe empty.
    pub reason: String,
    /// First word of the status line: `HTTP/1.0`, `HTTP/1.1`, `ICY`.
    pub version: String,
    /// Names as sent, and values without blanks around, in order.
    pub headers: Vec<(String, String)>,
    /// The whole head as received.
    pub head: String,
    /// The connection behind the head.
    pub body: Connection,
    is_bodiless: bool,
}

impl Response {
    #[track_caller]
    fn read(mut body: Connection, is_bodiless: bool) -> Self {
        let head = body.read_head().expect("an answer has a head");
        let (status_line, rest) = head.split_once("\r\n").expect("a head ends with an empty line");
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status code in {status_line:?}"));
        let reason = words.next().unwrap_or_default().to_owned();
        let headers = rest.lines().filter(|line| !line.is_empty()).map(header).collect();
        let is_bodiless = is_bodiless || matches!(status, 204 | 304);
        Self { status, reason, version, headers, head, body, is_bodiless }
    }

    /// Value of the first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads the whole body, by length, by chunks or to the end of the connection.
    #[track_caller]
    pub fn read_body(&mut self) -> Vec<u8> {
        if self.is_bodiless {
            return Vec::new();
        }
        if self.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.read_chunked();
        }
        match self.header("Content-Length").map(str::parse) {
            None => self.body.read_to_end(BODY_BYTES_MAX),
            Some(Ok(count)) => self.body.read_exact(count),
            Some(Err(_)) => panic!("Content-Length is no number: {}", self.head),
        }
    }

    /// Reads the whole body as text; panics when it is not UTF-8.
    #[track_caller]
    pub fn read_text(&mut self) -> String {
        String::from_utf8(self.read_body()).expect("the body is UTF-8")
    }

    /// A reader for the body's ICY blocks; panics without `icy-metaint`.
    #[track_caller]
    pub fn icy_reader(&self) -> icy::Reader {
        let metaint = self.header("icy-metaint").and_then(|value| value.parse().ok());
        icy::Reader::new(metaint.unwrap_or_else(|| panic!("no icy-metaint: {}", self.head)))
    }

    fn read_chunked(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let size = self.read_line();
            let digits = size.split(';').next().unwrap_or_default().trim();
            let count = usize::from_str_radix(digits, 16);
            let count = count.unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
            out.extend(self.body.read_exact(count));
            assert!(out.len() <= BODY_BYTES_MAX, "the body is longer than {BODY_BYTES_MAX} bytes");
            assert_eq!(self.read_line(), "", "a chunk ends with an empty line, and so do absent trailers");
            if count == 0 {
                return out;
            }
        }
    }

    fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.body.read_exact(1));
        }
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a header without a colon: {line:?}"));
    (name.to_owned(), value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// A server that answers one request with `answer` and closes; gives the request.
    fn server(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut peer = listener.accept().unwrap().0;
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut buffer = [0; 1024];
                let count = peer.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            peer.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, thread)
    }

    #[test]
    fn a_get_and_its_answer_have_these_parts() {
        let (address, thread) = server("ICY 200 OK then\r\nicy-metaint:3\r\nA:  b c \r\n\r\nabc\0def");
        let mut response = ListenerClient::get(address, "/test?a=1", &[("Icy-MetaData", "1")]);
        assert_eq!(
            (response.version.as_str(), response.status, response.reason.as_str()),
            ("ICY", 200, "OK then")
        );
        assert_eq!(response.header("a"), Some("b c"));
        assert_eq!(response.header("b"), None);
        let mut reader = response.icy_reader();
        reader.push(&response.read_body());
        assert_eq!((reader.audio.as_slice(), reader.empty_blocks), (b"abcdef".as_slice(), 1));
        let request = format!("GET /test?a=1 HTTP/1.1\r\nHost: {address}\r\nIcy-MetaData: 1\r\n\r\n");
        assert_eq!(thread.join().unwrap(), request);
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        for (answer, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\nx",
                "abc0123456789",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabcdef", "abcdef"),
            ("HTTP/1.1 204 \r\n\r\nabc", ""),
        ] {
            let (address, thread) = server(answer);
            assert_eq!(ListenerClient::get(address, "/", &[]).read_text(), body, "{answer:?}");
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_head_request_has_no_body() {
        let (address, thread) = server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(ListenerClient::send(address, &Request::new("HEAD", "/")).read_body(), b"");
        assert!(thread.join().unwrap().starts_with("HEAD / HTTP/1.1\r\n"));
    }

    #[test]
    fn a_raw_request_gets_the_raw_answer() {
        let (address, thread) = server("anything\0");
        assert_eq!(request(address, b"nonsense\r\n\r\n"), b"anything\0");
        assert_eq!(thread.join().unwrap(), "nonsense\r\n\r\n");
    }
}
