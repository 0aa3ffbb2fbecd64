//! Those on the source port who are no sources: somebody else may serve them, of whom mounts know nothing.

use std::fmt;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::base::head::Request;

/// Somebody who is no source.
#[derive(Debug)]
pub struct Visitor {
    /// The connection.
    pub socket: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// What is asked.
    pub request: Request,
}

/// Takes visitors.
pub struct Reception(Box<dyn Fn(Visitor) -> Option<Visitor> + Send + Sync>);

impl Reception {
    /// `take` serves a visitor in a task of its own, or gives it back. It must not block.
    pub fn new(take: impl Fn(Visitor) -> Option<Visitor> + Send + Sync + 'static) -> Self {
        Reception(Box::new(take))
    }

    /// Takes a visitor, or gives it back.
    pub fn take(&self, visitor: Visitor) -> Option<Visitor> {
        (self.0)(visitor)
    }
}

impl fmt::Debug for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reception")
    }
}
