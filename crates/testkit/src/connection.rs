//! One blocking TCP connection with a deadline on all it does: what the source client and the listener client share,
//! and what a test uses that speaks bytes of its own.
//!
//! A missed deadline or an early end panics with what was received so far. No protocol but HTTP's head and its end.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::wait::DEADLINE;

/// Longest head of an answer; ours are far below.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A TCP connection whose reads and writes end after [`DEADLINE`] unless told otherwise.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Received, but not yet taken by a reader.
    buffer: Vec<u8>,
    deadline: Duration,
}

impl Connection {
    /// Connects to `address`.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE);
        Self::new(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    /// Connects with a receive buffer of about `receive_bytes`: the peer's writes stall soon when nobody reads.
    #[track_caller]
    pub fn open_small(address: SocketAddr, receive_bytes: usize) -> Self {
        let stream = connect_small(address, receive_bytes);
        Self::new(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket takes TCP_NODELAY");
        let connection = Self { stream, buffer: Vec::new(), deadline: DEADLINE };
        connection.limit_writes();
        connection
    }

    /// Changes how long one read or write may take.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
        self.limit_writes();
    }

    fn limit_writes(&self) {
        self.stream.set_write_timeout(Some(self.deadline)).expect("a deadline is not zero");
    }

    /// Address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Writes all of `bytes`; an error when the peer is gone or does not read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads exactly `count` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let end = Instant::now() + self.deadline;
        while self.buffer.len() < count {
            self.more_or_panic(end, count);
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads until `found` holds for all bytes read, and returns those; `found` sees them from the first one on.
    #[track_caller]
    pub fn read_until(&mut self, deadline: Duration, mut found: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let end = Instant::now() + deadline;
        while !found(&self.buffer) {
            self.more_or_panic(end, 0);
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads to the end of the connection; panics when more than `limit_bytes` come. A reset is an end.
    #[track_caller]
    pub fn read_to_end(&mut self, limit_bytes: usize) -> Vec<u8> {
        let end = Instant::now() + self.deadline;
        while self.more(end, limit_bytes).is_some() {
            assert!(self.buffer.len() <= limit_bytes, "more than {limit_bytes} bytes: {}", self.received());
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads what comes within `time`, to the end of the connection at most: for peers that must stay silent.
    pub fn read_for(&mut self, time: Duration) -> Vec<u8> {
        let end = Instant::now() + time;
        while matches!(self.receive(end), Ok(count) if count > 0) {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads a head up to and with its empty line; `None` when the connection ends before it.
    #[track_caller]
    pub fn read_head(&mut self) -> Option<String> {
        let end = Instant::now() + self.deadline;
        loop {
            if let Some(place) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..place + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            assert!(self.buffer.len() <= HEAD_BYTES_MAX, "a head without an end: {}", self.received());
            self.more(end, 0)?;
        }
    }

    /// Whether the peer has ended the connection and all it sent was read; waits up to `time` for that.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        self.buffer.is_empty()
            && match self.receive(end) {
                Ok(count) => count == 0,
                Err(error) => !is_timeout(&error),
            }
    }

    /// Ends our half; the peer may go on sending.
    pub fn half_close(&self) {
        // Fails only on a connection that the peer has reset: then it is closed already.
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// Ends the connection by a reset, as a crashing or impatient client does.
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))
            .expect("an open socket takes SO_LINGER");
    }

    #[track_caller]
    fn more_or_panic(&mut self, end: Instant, wanted: usize) {
        if self.more(end, wanted).is_none() {
            panic!("the connection ended early: {}", self.received());
        }
    }

    /// Receives at least a byte; `None` at the end of the connection.
    #[track_caller]
    fn more(&mut self, end: Instant, wanted: usize) -> Option<()> {
        match self.receive(end) {
            Ok(0) => None,
            Ok(_) => Some(()),
            Err(error) if is_timeout(&error) => {
                panic!("waited too long ({wanted} bytes wanted): {}", self.received())
            }
            Err(_) => None,
        }
    }

    fn receive(&mut self, end: Instant) -> io::Result<usize> {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        self.stream.set_read_timeout(Some(left))?;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let result = self.stream.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *result.as_ref().unwrap_or(&0));
        result
    }

    fn received(&self) -> String {
        const SHOWN_BYTES_MAX: usize = 600;
        let shown = &self.buffer[..self.buffer.len().min(SHOWN_BYTES_MAX)];
        format!("{} bytes received: \"{}\"", self.buffer.len(), shown.escape_ascii())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The receive buffer bounds the window offered in the handshake, so it is set before.
fn connect_small(address: SocketAddr, receive_bytes: usize) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_recv_buffer_size(&socket, receive_bytes)?;
    rustix::net::connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A connection to a peer that sends `bytes` and closes.
    fn peer_sends(bytes: &'static [u8]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = Connection::open(listener.local_addr().unwrap());
        listener.accept().unwrap().0.write_all(bytes).unwrap();
        connection
    }

    #[test]
    fn each_read_goes_on_where_the_one_before_ended() {
        let mut connection = peer_sends(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nabcdefgh");
        assert_eq!(connection.read_head().unwrap(), "HTTP/1.0 200 OK\r\nA: b\r\n\r\n");
        assert_eq!(connection.read_exact(3), b"abc");
        assert_eq!(connection.read_until(DEADLINE, |bytes| bytes.ends_with(b"h")), b"defgh");
        assert!(connection.is_closed_within(DEADLINE));
        assert_eq!(connection.read_to_end(0), b"");
    }

    #[test]
    fn a_connection_without_a_head_has_none() {
        assert_eq!(peer_sends(b"HTTP/1.0 200 OK\r\n").read_head(), None);
    }

    #[test]
    #[should_panic(expected = "the connection ended early: 3 bytes received: \"a\\xffc\"")]
    fn an_early_end_shows_what_came() {
        peer_sends(b"a\xFFc").read_exact(4);
    }

    #[test]
    #[should_panic(expected = "more than 3 bytes")]
    fn more_than_the_limit_panics() {
        peer_sends(b"abcd").read_to_end(3);
    }

    #[test]
    #[should_panic(expected = "waited too long (1 bytes wanted)")]
    fn a_silent_peer_panics_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap());
        connection.set_deadline(Duration::from_millis(1));
        connection.read_exact(1);
    }

    #[test]
    fn a_small_receive_buffer_stalls_the_peer_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _unread = Connection::open_small(listener.local_addr().unwrap(), 4096);
        let mut peer = listener.accept().unwrap().0;
        sockopt::set_socket_send_buffer_size(&peer, 4096).unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = peer.write(&[0; 1024]) {
            sent += count;
        }
        assert!(sent < 64 * 1024, "{sent} bytes went out");
    }

    #[test]
    fn a_reset_is_an_error_at_the_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = Connection::open(listener.local_addr().unwrap());
        let mut peer = listener.accept().unwrap().0;
        connection.reset();
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
