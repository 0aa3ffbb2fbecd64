//! One listener of the load: connects, asks, counts bytes, and checks frames if it is one of those.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};
use testkit::audio::{Mp3, Report, Scanner};
use testkit::icy;

/// What an Ethernet carries; loopback's own would let the server send 44 of these at once.
const MSS_BYTES: u32 = 1460;
const HEAD_BYTES_MAX: usize = 16 * 1024;

enum State {
    /// Waits for the connection.
    Connecting { request: String },
    /// Waits for the end of the answer's head.
    Head { received: Vec<u8> },
    /// Gets audio.
    Audio,
    /// Refused, cut off, or ended by the server.
    Closed,
}

/// One listener.
pub struct Client {
    socket: TcpStream,
    state: State,
    started: Instant,
    /// From the start of the connect to the first byte behind the head.
    pub first_audio: Option<Duration>,
    /// Bytes received behind the head.
    pub bytes: u64,
    last_audio: Option<Instant>,
    /// Longest time between two receipts of audio.
    pub silence: Duration,
    need: Need,
    wants_check: bool,
    wants_icy: bool,
    check: Option<Box<Check>>,
}

/// How far received audio is behind the clock, at its best and at its worst. The difference is what a player must hold: a
/// long silence behind an early delivery costs it nothing.
struct Need {
    since: Instant,
    bytes: u64,
    least_s: f64,
    most_s: f64,
}

struct Check {
    scanner: Scanner<Mp3>,
    icy: Option<icy::Reader>,
}

impl Client {
    /// Starts to connect; the request goes out once connected.
    pub fn connect(
        server: SocketAddr,
        from: Option<Ipv4Addr>,
        request: String,
        wants_check: bool,
        wants_icy: bool,
    ) -> anyhow::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(server), Type::STREAM, None).context("no more sockets")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_mss(MSS_BYTES)?;
        // A reset leaves no port behind in TIME_WAIT, so runs can follow each other.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        let started = Instant::now();
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).context("cannot connect");
            }
            _ => {}
        }
        let state = State::Connecting { request };
        let socket = socket.into();
        Ok(Self {
            socket,
            state,
            started,
            first_audio: None,
            bytes: 0,
            last_audio: None,
            silence: Duration::ZERO,
            need: Need::from(started, 0),
            wants_check,
            wants_icy,
            check: None,
        })
    }

    /// The socket, for epoll.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Silence and need count from now on: behind the burst they are others.
    pub fn forget_silence(&mut self) {
        self.silence = Duration::ZERO;
        self.need = Need::from(Instant::now(), self.bytes);
    }

    /// Seconds of audio that a player must hold to hear no pause, if the audio is ours.
    pub fn need_s(&self) -> f64 {
        (self.need.most_s - self.need.least_s).max(0.0)
    }

    /// Whether it may still get its first audio.
    pub fn is_waiting(&self) -> bool {
        self.first_audio.is_none() && !self.is_closed()
    }

    /// Whether the server refused or ended it.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// What the frame check found; none if it is not checked.
    pub fn report(&self) -> Option<Report> {
        self.check.as_ref().map(|check| check.scanner.report())
    }

    /// Sends the request of a new connection; false if there is none to send or it fails.
    pub fn send_request(&mut self) -> bool {
        let State::Connecting { request } = &self.state else { return false };
        let sent = self.socket.write_all(request.as_bytes()).is_ok();
        if sent {
            self.state = State::Head { received: Vec::new() };
        }
        sent
    }

    /// Reads once; false when the connection is over.
    pub fn receive(&mut self, buffer: &mut [u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(count) if count > 0 => self.take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => self.state = State::Closed,
        }
        !self.is_closed()
    }

    fn take(&mut self, bytes: &[u8]) {
        if let State::Head { received } = &mut self.state {
            received.extend_from_slice(bytes);
            let received = std::mem::take(received);
            self.read_head(received);
        } else {
            self.take_audio(bytes);
        }
    }

    fn read_head(&mut self, received: Vec<u8>) {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            let is_too_long = received.len() > HEAD_BYTES_MAX;
            self.state = if is_too_long { State::Closed } else { State::Head { received } };
            return;
        };
        let (head, audio) = received.split_at(end + 4);
        let head = String::from_utf8_lossy(head);
        if head.split(' ').nth(1) != Some("200") {
            self.state = State::Closed;
            return;
        }
        self.state = State::Audio;
        if self.wants_check {
            let icy = self.wants_icy.then(|| find_metaint(&head)).flatten().map(icy::Reader::new);
            self.check = Some(Box::new(Check { scanner: Scanner::new(super::audio()), icy }));
        }
        self.take_audio(audio);
    }

    fn take_audio(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.first_audio.get_or_insert_with(|| self.started.elapsed());
        let now = Instant::now();
        let last = self.last_audio.replace(now);
        self.silence = self.silence.max(last.map_or(Duration::ZERO, |last| now - last));
        self.need.look(now, self.bytes);
        self.bytes += bytes.len() as u64;
        self.need.look(now, self.bytes);
        if let Some(check) = &mut self.check {
            check.push(bytes);
        }
    }
}

impl Need {
    fn from(since: Instant, bytes: u64) -> Self {
        Need { since, bytes, least_s: f64::INFINITY, most_s: f64::NEG_INFINITY }
    }

    fn look(&mut self, now: Instant, bytes: u64) {
        let audio_s = (bytes - self.bytes) as f64 / super::BYTES_PER_SECOND;
        let behind_s = (now - self.since).as_secs_f64() - audio_s;
        self.least_s = self.least_s.min(behind_s);
        self.most_s = self.most_s.max(behind_s);
    }
}

impl Check {
    fn push(&mut self, bytes: &[u8]) {
        match &mut self.icy {
            None => self.scanner.push(bytes),
            Some(reader) => {
                reader.push(bytes);
                self.scanner.push(&reader.take_audio());
            }
        }
    }
}

/// The bytes between two metadata blocks, if the head promises any.
fn find_metaint(head: &str) -> Option<usize> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("icy-metaint").then(|| value.trim())
    })?;
    value.parse().ok().filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metaint_is_found_in_any_case() {
        assert_eq!(find_metaint("HTTP/1.0 200 OK\r\nIcy-MetaInt:16000\r\n\r\n"), Some(16_000));
        assert_eq!(find_metaint("HTTP/1.0 200 OK\r\nicy-metaint: 0\r\n\r\n"), None);
        assert_eq!(find_metaint("HTTP/1.0 200 OK\r\n\r\n"), None);
    }

    #[test]
    fn head_and_audio_are_told_apart_in_pieces_of_any_size() {
        let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap();
        let audio = super::super::audio().bytes(3..6);
        let answer = [b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n", audio.as_slice()].concat();
        for size in [1, 7, 26, 27, 2000] {
            let mut client = Client::connect(address, None, String::new(), true, false).unwrap();
            client.state = State::Head { received: Vec::new() };
            answer.chunks(size).for_each(|piece| client.take(piece));
            assert_eq!(client.bytes, audio.len() as u64, "pieces of {size}");
            client.report().unwrap().assert_exactly(3..6);
            assert!(client.first_audio.is_some());
        }
    }

    #[test]
    fn a_refusal_is_a_closed_listener() {
        let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client =
            Client::connect(door.local_addr().unwrap(), None, String::new(), true, false).unwrap();
        client.state = State::Head { received: Vec::new() };
        client.take(b"HTTP/1.0 503 Full\r\n\r\nbody");
        assert!(client.is_closed() && !client.is_waiting());
        assert_eq!(client.bytes, 0);
    }
}
