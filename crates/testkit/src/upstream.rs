//! A server whose streams others pull: it says to each connection what the test wants, in bytes, and keeps what was asked.
//!
//! It knows no rule of any protocol but where a request's head ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::icy;
use crate::wait::{DEADLINE, eventually};

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// What one connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    bytes: Vec<u8>,
    holds: bool,
}

impl Reply {
    /// `head`, with an empty line behind it, and `body`; then the connection is closed.
    pub fn new(head: &str, body: &[u8]) -> Self {
        Self::raw([head.as_bytes(), b"\r\n\r\n", body].concat())
    }

    /// These bytes, then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), holds: false }
    }

    /// Nothing but a status.
    pub fn status(line: &str) -> Self {
        Self::new(&format!("HTTP/1.1 {line}\r\nContent-Length: 0"), b"")
    }

    /// The same, but the connection stays open until the peer ends it.
    pub fn hold(self) -> Self {
        Self { holds: true, ..self }
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<String>,
    ended: usize,
}

/// An address at which nobody listens, but nobody else can either.
#[derive(Debug)]
pub struct Reserved {
    socket: std::os::fd::OwnedFd,
    address: SocketAddr,
}

/// A running upstream; it goes on until the process ends.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Reserved {
    /// Takes a free port of this machine; connections to it are refused.
    #[track_caller]
    pub fn new() -> Self {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("a socket can be made");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let address = rustix::net::getsockname(&socket).expect("a bound socket has an address");
        let address = SocketAddr::try_from(address).expect("it is one of IPv4");
        Self { socket, address }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, and replies with what `reply` makes of a request: its number from 0 on, and its head.
    #[track_caller]
    pub fn start(self, reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Upstream {
        listen(&self.socket, BACKLOG).expect("a bound socket listens");
        let listener = TcpListener::from(self.socket);
        let seen = Arc::<Mutex<Seen>>::default();
        let (ours, reply) = (Arc::clone(&seen), Arc::new(reply));
        std::thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                let (seen, reply) = (Arc::clone(&ours), Arc::clone(&reply));
                std::thread::spawn(move || serve(peer, &seen, &*reply));
            }
        });
        Upstream { address: self.address, seen }
    }
}

impl Default for Reserved {
    fn default() -> Self {
        Self::new()
    }
}

impl Upstream {
    /// One on a free port: see [`Reserved::start`].
    #[track_caller]
    pub fn start(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        Reserved::new().start(reply)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `target` there.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.seen).requests.clone()
    }

    /// Waits for so many requests, and gives their heads.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<String> {
        eventually(DEADLINE, || Some(self.requests()).filter(|requests| requests.len() >= count))
    }

    /// Waits until so many connections that were held have been ended by the peer.
    #[track_caller]
    pub fn wait_for_ends(&self, count: usize) {
        eventually(DEADLINE, || (lock(&self.seen).ended >= count).then_some(()));
    }
}

fn serve(mut peer: TcpStream, seen: &Mutex<Seen>, reply: &dyn Fn(usize, &str) -> Reply) {
    let Some(head) = read_head(&mut peer) else { return };
    let number = {
        let mut seen = lock(seen);
        seen.requests.push(head.clone());
        seen.requests.len() - 1
    };
    let Reply { bytes, holds } = reply(number, &head);
    // A peer that has heard enough may be gone.
    let sent = peer.write_all(&bytes).is_ok();
    if holds && sent {
        while matches!(peer.read(&mut [0; 64]), Ok(1..)) {}
        lock(seen).ended += 1;
    }
    peer.shutdown(Shutdown::Both).ok();
}

/// The head of a request; none if the connection ends before it.
fn read_head(peer: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX || peer.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `bytes` as one body in chunks of `size` bytes, without the last chunk, which would end it.
pub fn chunks(bytes: &[u8], size: usize) -> Vec<u8> {
    let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    bytes.chunks(size).flat_map(chunk).collect()
}

/// `audio` with a block behind every `metaint` bytes of it: `texts` one after the other, then empty ones. A text is given as
/// bytes, as servers have character sets of their own.
pub fn with_titles(audio: &[u8], metaint: usize, texts: &[&[u8]]) -> Vec<u8> {
    let mut texts = texts.iter();
    let mut out = Vec::new();
    for run in audio.chunks(metaint) {
        out.extend_from_slice(run);
        if run.len() == metaint {
            out.extend(texts.next().map_or(vec![0], |text| icy::block(text)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;

    fn ask(address: SocketAddr) -> Connection {
        let mut connection = Connection::open(address);
        connection.send(b"GET /a HTTP/1.1\r\nA: b\r\n\r\n").unwrap();
        connection
    }

    #[test]
    fn each_connection_is_told_its_own() {
        let upstream = Upstream::start(|number, head| Reply::new(&format!("ICY {number}"), head.as_bytes()));
        for number in 0..2 {
            let answer = ask(upstream.address()).read_to_end(1000);
            let expected = format!("ICY {number}\r\n\r\nGET /a HTTP/1.1\r\nA: b\r\n\r\n");
            assert_eq!(String::from_utf8(answer).unwrap(), expected);
        }
        assert_eq!(upstream.wait_for_requests(2), ["GET /a HTTP/1.1\r\nA: b\r\n\r\n"; 2]);
    }

    #[test]
    fn a_held_connection_ends_with_the_peer() {
        let upstream = Upstream::start(|_, _| Reply::raw("ab").hold());
        let mut connection = ask(upstream.address());
        assert_eq!(connection.read_exact(2), b"ab");
        assert_eq!(lock(&upstream.seen).ended, 0);
        drop(connection);
        upstream.wait_for_ends(1);
    }

    #[test]
    fn a_reserved_port_refuses_until_it_is_started() {
        let reserved = Reserved::new();
        let address = reserved.address();
        assert!(TcpStream::connect(address).is_err() && TcpListener::bind(address).is_err());
        let upstream = reserved.start(|_, _| Reply::raw("x"));
        assert_eq!(upstream.address(), address);
        assert_eq!(ask(address).read_to_end(10), b"x");
    }

    #[test]
    fn bodies_are_framed() {
        assert_eq!(chunks(b"abcde", 3), b"3\r\nabc\r\n2\r\nde\r\n");
        let framed = with_titles(b"aabbccd", 2, &[b"StreamTitle='x';", b""]);
        assert_eq!(framed, b"aa\x01StreamTitle='x';bb\0cc\0d");
    }
}
