//! Listening sockets and what is set on accepted ones.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::seldom::Seldom;

/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;
/// Pause after `accept` found no descriptor or no memory: long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Unacknowledged data is given up after this, so that a vanished peer's socket is freed.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Binds `port` on `host`, or on all addresses of both families where none is given.
pub fn bind(host: Option<IpAddr>, port: u16) -> anyhow::Result<TcpListener> {
    let listener = match host {
        Some(host) => listen(SocketAddr::new(host, port)),
        None => listen(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)).or_else(|error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                return Err(error);
            }
            listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
        }),
    };
    listener.with_context(|| match host {
        Some(host) => format!("cannot listen on {}", SocketAddr::new(host, port)),
        None => format!("cannot listen on port {port}"),
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A listening socket together with the bound on connections whose head is still being read.
#[derive(Debug)]
pub struct Acceptor {
    listener: Arc<TcpListener>,
    heads: Arc<Semaphore>,
    complaint: Seldom,
}

/// The other end of a connection, as requests on it carry it.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// `port`.
    Listeners,
    /// `source_port`.
    Sources,
    /// The one behind it.
    Shoutcast,
    /// `api_port`.
    Api,
}

/// A connection whose request was read and not answered, or that waits for its next one.
#[derive(Debug)]
pub struct Stray {
    /// The port that it came to.
    pub role: Role,
    /// The connection.
    pub socket: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// All bytes that came and were not answered.
    pub bytes: Bytes,
    /// Answers went over it before.
    pub is_kept: bool,
}

/// An accepted connection; it may read its head as long as it holds the permit.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// What was read from it already.
    pub first: Bytes,
    /// Given back when the head has been read.
    pub permit: OwnedSemaphorePermit,
}

impl Acceptor {
    /// Accepts from `listener`; `heads` is shared by all acceptors of the process.
    pub fn new(listener: Arc<TcpListener>, heads: Arc<Semaphore>) -> Self {
        Acceptor { listener, heads, complaint: Seldom::default() }
    }

    /// The next connection. Errors of `accept` are waited out: they are the machine's, and pass.
    pub async fn accept(&self) -> Accepted {
        loop {
            let permit = Arc::clone(&self.heads).acquire_owned().await.expect("nobody closes the semaphore");
            match self.listener.accept().await {
                Ok((socket, peer)) => {
                    set_options(&socket);
                    return Accepted { socket, peer: canonical(peer), first: Bytes::new(), permit };
                }
                Err(error) => {
                    if self.complaint.ready() {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// An IPv4 address that came through an IPv6 socket is written as IPv4.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Options of every accepted socket; one that the kernel refuses is done without.
fn set_options(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_keepalive(true);
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
}

/// True for an address that only this machine can have.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// What one subscriber is given: an IPv4 address, or the first 64 bits of IPv6.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind(None, 0).unwrap();
        let port = first.local_addr().unwrap().port();
        let error = bind(None, port).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on port {port}"));
    }

    #[tokio::test]
    async fn both_families_are_served_and_ipv4_peers_are_named_so() {
        let listener = bind(None, 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = Acceptor::new(Arc::new(listener), Arc::new(Semaphore::new(4)));
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let accepted = acceptor.accept().await;
        assert_eq!(accepted.peer, client.local_addr().unwrap());
    }
}
