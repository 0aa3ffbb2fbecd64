//! A source client: logs in as the encoders do and sends audio, at once or in real time.
//!
//! The heads follow what Liquidsoap, BUTT, ffmpeg and ices send; anything odder is written by hand over a
//! `Connection`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::audio::{Codec, Frames};
use crate::connection::Connection;

/// Longest body of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Longest sleep of a pacing thread, so that it stops soon.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How a source client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `SOURCE /mount HTTP/1.0`: Liquidsoap, DarkIce.
    #[default]
    Source10,
    /// `SOURCE /mount HTTP/1.1`: BUTT, ffmpeg's legacy mode.
    Source11,
    /// `SOURCE /mount ICE/1.0`: ices and old DSPs.
    Ice10,
    /// `PUT /mount HTTP/1.1`: ffmpeg, BUTT, libshout.
    Put {
        /// Ask for `100 Continue` and wait for the final answer before audio is sent.
        expect: bool,
        /// Send the audio as chunks of HTTP/1.1.
        chunked: bool,
    },
}

/// Who sends what to where.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// With its slash: `/test`.
    pub mount: String,
    /// User name; servers ignore it mostly.
    pub user: String,
    /// Password; `None` sends no `Authorization`.
    pub password: Option<String>,
    /// How to speak.
    pub protocol: Protocol,
    /// Headers besides those of the protocol; `Content-Type` is `audio/mpeg` unless given here.
    pub headers: Vec<(String, String)>,
}

impl SourceOptions {
    /// `SOURCE` over HTTP/1.0 as user `source`.
    pub fn new(mount: &str, password: &str) -> Self {
        Self {
            mount: mount.to_owned(),
            user: "source".to_owned(),
            password: Some(password.to_owned()),
            protocol: Protocol::default(),
            headers: Vec::new(),
        }
    }

    /// The same, speaking `protocol`.
    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head as it goes on the wire.
    pub fn encode(&self, address: SocketAddr) -> String {
        let (method, version) = match self.protocol {
            Protocol::Source10 => ("SOURCE", "HTTP/1.0"),
            Protocol::Source11 => ("SOURCE", "HTTP/1.1"),
            Protocol::Ice10 => ("SOURCE", "ICE/1.0"),
            Protocol::Put { .. } => ("PUT", "HTTP/1.1"),
        };
        let mut head =
            format!("{method} {} {version}\r\nHost: {address}\r\nUser-Agent: testkit\r\n", self.mount);
        if let Some(password) = &self.password {
            head += &format!(
                "Authorization: Basic {}\r\n",
                base64(format!("{}:{password}", self.user).as_bytes())
            );
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Type")) {
            head += "Content-Type: audio/mpeg\r\n";
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Protocol::Put { expect, chunked } = self.protocol {
            head += if expect { "Expect: 100-continue\r\n" } else { "" };
            head += if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        }
        head + "\r\n"
    }
}

/// The server did not take the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// First line of the answer; empty when the connection ended without one.
    pub status_line: String,
    /// The whole head, its empty line included.
    pub head: String,
    /// What came behind the head until the server closed.
    pub body: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "source refused: {:?} {:?}", self.head, self.body)
    }
}

impl std::error::Error for Refusal {}

/// A source that was taken.
#[derive(Debug)]
pub struct SourceClient {
    connection: Connection,
    is_chunked: bool,
    /// Heads of the server's answers, `100 Continue` included.
    pub answers: Vec<String>,
}

impl SourceClient {
    /// Logs in and waits for the final answer.
    #[track_caller]
    pub fn connect(address: SocketAddr, options: SourceOptions) -> Result<Self, Refusal> {
        let mut connection = Connection::open(address);
        connection.send(options.encode(address).as_bytes()).expect("a new connection takes a head");
        let is_chunked = matches!(options.protocol, Protocol::Put { chunked: true, .. });
        let mut answers: Vec<String> = Vec::new();
        loop {
            let head = connection.read_head().unwrap_or_default();
            match head.split(' ').nth(1) {
                Some("100") if answers.is_empty() => answers.push(head),
                Some("200") => {
                    answers.push(head);
                    return Ok(Self { connection, is_chunked, answers });
                }
                _ => {
                    let body = connection.read_to_end(REFUSAL_BYTES_MAX);
                    let status_line = head.lines().next().unwrap_or_default().to_owned();
                    return Err(Refusal {
                        status_line,
                        head,
                        body: String::from_utf8_lossy(&body).into_owned(),
                    });
                }
            }
        }
    }

    /// Sends audio, as fast as the server takes it; an error when it is gone.
    pub fn send(&mut self, audio: &[u8]) -> io::Result<()> {
        if !self.is_chunked || audio.is_empty() {
            return self.connection.send(audio);
        }
        let chunk = [format!("{:x}\r\n", audio.len()).as_bytes(), audio, b"\r\n"].concat();
        self.connection.send(&chunk)
    }

    /// Sends `frames` from number `first` on in real time, in a thread, until stopped.
    pub fn send_paced<C: Codec + Send + 'static>(self, frames: Frames<C>, first: u32) -> PacedSource {
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), next: AtomicU32::new(first) });
        let thread_shared = Arc::clone(&shared);
        let thread = std::thread::spawn(move || pace(self, frames, first, &thread_shared));
        PacedSource { shared, thread: Some(thread) }
    }

    /// Whether the server ends the connection within `time`.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        self.connection.is_closed_within(time)
    }

    /// The connection, for what else a test wants to do with it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Ends the audio in order.
    pub fn close(mut self) {
        if self.is_chunked {
            // The server may be gone already: then there is nothing to end.
            self.connection.send(b"0\r\n\r\n").ok();
        }
        self.connection.half_close();
    }

    /// Breaks the connection by a reset.
    pub fn reset(self) {
        self.connection.reset();
    }
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    next: AtomicU32,
}

/// A source that sends in real time; dropping it closes the connection.
#[derive(Debug)]
pub struct PacedSource {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<SourceClient>>>,
}

impl PacedSource {
    /// Number of the frame to be sent next.
    pub fn next_frame(&self) -> u32 {
        self.shared.next.load(Ordering::Acquire)
    }

    /// Stops sending and gives the source back with the number of the next frame; an error when the server went away.
    pub fn stop(mut self) -> io::Result<(SourceClient, u32)> {
        let source = self.join().expect("a running source has its thread")?;
        Ok((source, self.next_frame()))
    }

    fn join(&mut self) -> Option<io::Result<SourceClient>> {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.take().map(|thread| thread.join().expect("the pacing thread does not panic"))
    }
}

impl Drop for PacedSource {
    fn drop(&mut self) {
        self.join();
    }
}

fn pace<C: Codec>(
    mut source: SourceClient,
    frames: Frames<C>,
    first: u32,
    shared: &Shared,
) -> io::Result<SourceClient> {
    let start = Instant::now();
    let mut next = first;
    while !shared.stop.load(Ordering::Acquire) {
        // A frame is due when all of it has been played, as from an encoder.
        let due = start + frames.duration(next - first + 1);
        let wait = due.saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            std::thread::sleep(wait.min(PAUSE_MAX));
            continue;
        }
        source.send(&frames.frame(next))?;
        next += 1;
        shared.next.store(next, Ordering::Release);
    }
    Ok(source)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, place| bits << 8 | u32::from(*group.get(place).unwrap_or(&0)));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::audio::Mp3Frames;

    fn bind() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Connects to a server that gives `answer` and closes; gives the result and what the server received.
    fn exchange(
        options: SourceOptions,
        answer: &'static str,
        audio: &'static [u8],
    ) -> (Result<Vec<String>, Refusal>, Vec<u8>) {
        let (listener, address) = bind();
        let client = std::thread::spawn(move || {
            let mut source = SourceClient::connect(address, options)?;
            source.send(audio).unwrap();
            let answers = source.answers.clone();
            source.close();
            Ok(answers)
        });
        let mut peer = listener.accept().unwrap().0;
        peer.write_all(answer.as_bytes()).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        io::Read::read_to_end(&mut peer, &mut received).unwrap();
        (client.join().unwrap(), received)
    }

    #[test]
    fn base64_pads_every_length() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("source:srcpass", "c291cmNlOnNyY3Bhc3M="),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn each_protocol_has_its_request_line() {
        let put = |expect, chunked| Protocol::Put { expect, chunked };
        for (protocol, line, ending) in [
            (Protocol::Source10, "SOURCE /test HTTP/1.0\r\n", "Content-Type: audio/mpeg\r\n\r\n"),
            (Protocol::Source11, "SOURCE /test HTTP/1.1\r\n", "Content-Type: audio/mpeg\r\n\r\n"),
            (Protocol::Ice10, "SOURCE /test ICE/1.0\r\n", "Content-Type: audio/mpeg\r\n\r\n"),
            (put(true, false), "PUT /test HTTP/1.1\r\n", "Expect: 100-continue\r\n\r\n"),
            (put(false, true), "PUT /test HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\n\r\n"),
        ] {
            let head = SourceOptions::new("/test", "srcpass").protocol(protocol).encode(bind().1);
            assert!(head.starts_with(line) && head.ends_with(ending), "{head}");
            assert!(head.contains("\r\nAuthorization: Basic c291cmNlOnNyY3Bhc3M=\r\n"));
        }
    }

    #[test]
    fn audio_follows_the_accepted_head() {
        let options = SourceOptions::new("/a", "p").header("content-type", "audio/aac");
        let (answers, received) = exchange(options, "HTTP/1.0 200 OK\r\n\r\n", b"audio");
        assert_eq!(answers.unwrap(), ["HTTP/1.0 200 OK\r\n\r\n"]);
        assert!(received.ends_with(b"content-type: audio/aac\r\n\r\naudio"));
    }

    #[test]
    fn put_waits_for_the_answer_behind_continue_and_sends_chunks() {
        let put = Protocol::Put { expect: true, chunked: true };
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n";
        let (answers, received) = exchange(SourceOptions::new("/a", "p").protocol(put), answer, &[b'x'; 26]);
        assert_eq!(answers.unwrap().len(), 2);
        assert!(received.ends_with(b"\r\n\r\n1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"));
    }

    #[test]
    fn a_refusal_has_its_status_line_head_and_body() {
        let answer = "HTTP/1.0 401 Unauthorized\r\nA: b\r\n\r\nInvalid.";
        let refusal = exchange(SourceOptions::new("/a", "p"), answer, b"").0.unwrap_err();
        assert_eq!(refusal.status_line, "HTTP/1.0 401 Unauthorized");
        assert_eq!((refusal.head.len(), refusal.body.as_str()), (35, "Invalid."));
        assert_eq!(exchange(SourceOptions::new("/a", "p"), "", b"").0.unwrap_err().status_line, "");
    }

    #[test]
    fn a_paced_source_sends_frames_in_order_until_stopped() {
        let (listener, address) = bind();
        let client = std::thread::spawn(move || {
            let source = SourceClient::connect(address, SourceOptions::new("/a", "p")).unwrap();
            let paced = source.send_paced(Mp3Frames::new(32, 48_000, 2), 40);
            crate::wait::eventually(crate::wait::DEADLINE, || (paced.next_frame() >= 43).then_some(()));
            let (source, next) = paced.stop().unwrap();
            source.close();
            next
        });
        let mut peer = listener.accept().unwrap().0;
        peer.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        let mut received = Vec::new();
        io::Read::read_to_end(&mut peer, &mut received).unwrap();
        let head_bytes = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let next = client.join().unwrap();
        Mp3Frames::new(32, 48_000, 2).scan(&received[head_bytes..]).assert_exactly(40..next);
    }
}
