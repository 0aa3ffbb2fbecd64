//! Reads a request head from a fresh connection, within bounds of size and time.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use wire::head::{Head, HeadError, parse};

/// A whole head must have come within this.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The same when many heads are pending, so that silent connections cannot keep others out.
const HEAD_TIME_CROWDED: Duration = Duration::from_secs(1);
/// How long a refused peer may take to stop sending, so that it gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// What a refused peer may still send meanwhile.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// A request head and the bytes that came behind it.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: Head,
    /// The bytes of the head as they came, for whoever parses them again.
    pub raw: Bytes,
    /// What had arrived of the body.
    pub rest: Bytes,
}

impl Request {
    /// All bytes that came.
    pub fn bytes(&self) -> Bytes {
        [&self.raw[..], &self.rest].concat().into()
    }
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The peer sent something that is no acceptable head.
    #[error(transparent)]
    Malformed(#[from] HeadError),
    /// The head did not come in time; true if part of it had.
    #[error("no request head within the time allowed")]
    Late {
        /// Some bytes had come.
        begun: bool,
    },
    /// The connection ended or broke first.
    #[error("the connection ended before a request head")]
    Gone,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyFailure {
    /// The head tells no length.
    #[error("a length is needed: send Content-Length")]
    NoLength,
    /// It is longer than it may be.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// It did not come in time, or the connection ended first.
    #[error("the body did not come")]
    Missing,
}

/// A fresh connection that is read piece by piece, all pieces together within the time of one head.
#[derive(Debug)]
pub struct Incoming<S> {
    socket: S,
    buffer: BytesMut,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> Incoming<S> {
    /// `first` was read already. `permit` is given back at the end; when most permits are taken, the time allowed shrinks.
    pub fn new(socket: S, first: Bytes, permit: OwnedSemaphorePermit, heads_max: usize) -> Self {
        let crowded = permit.semaphore().available_permits() < heads_max / 2;
        let deadline = Instant::now() + if crowded { HEAD_TIME_CROWDED } else { HEAD_TIME };
        let mut buffer = BytesMut::with_capacity(1024);
        buffer.extend_from_slice(&first);
        Incoming { socket, buffer, deadline, _permit: permit }
    }

    /// Reads until `parse` makes something of what is there. It must refuse what is longer than its limit, which bounds
    /// what is held.
    ///
    /// # Errors
    /// What `parse` refuses, and a peer that is late or gone.
    pub async fn until<T>(
        &mut self,
        mut parse: impl FnMut(&[u8]) -> Result<Option<T>, HeadError>,
    ) -> Result<T, Failure> {
        loop {
            if let Some(found) = parse(&self.buffer)? {
                return Ok(found);
            }
            match timeout_at(self.deadline, self.socket.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(Failure::Late { begun: !self.buffer.is_empty() }),
                Ok(Err(_) | Ok(0)) => return Err(Failure::Gone),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Reads a request head.
    ///
    /// # Errors
    /// As [`Incoming::until`].
    pub async fn request(mut self) -> (S, Result<Request, Failure>) {
        let request = self.until(parse).await.map(|(head, length)| {
            let raw = self.take(length);
            Request { head, raw, rest: std::mem::take(&mut self.buffer).freeze() }
        });
        (self.socket, request)
    }

    /// Takes the first `length` bytes of what was read, which must be there.
    pub fn take(&mut self, length: usize) -> Bytes {
        self.buffer.split_to(length).freeze()
    }

    /// The connection, for an answer in between.
    pub fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// The connection, and what was read and not taken.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.socket, self.buffer.freeze())
    }
}

/// Reads one head; `first` and `permit` as in [`Incoming::new`].
pub async fn read(
    socket: &mut TcpStream,
    first: Bytes,
    permit: OwnedSemaphorePermit,
    heads_max: usize,
) -> Result<Request, Failure> {
    Incoming::new(socket, first, permit, heads_max).request().await.1
}

/// The request that `bytes` begin with, wholly.
///
/// # Errors
/// What is no acceptable head, or only a part of one.
pub fn take(mut bytes: Bytes) -> Result<Request, Failure> {
    let (head, length) = parse(&bytes)?.ok_or(Failure::Gone)?;
    let raw = bytes.split_to(length);
    Ok(Request { head, raw, rest: bytes })
}

/// Reads the body of `request`, of at most `bytes_max`.
///
/// # Errors
/// A body without a length, too long, late or broken off.
pub async fn read_body(
    socket: &mut TcpStream,
    request: &Request,
    bytes_max: usize,
) -> Result<Bytes, BodyFailure> {
    let length = request.head.content_length().ok_or(BodyFailure::NoLength)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
    let length = length.ok_or(BodyFailure::TooLong(bytes_max))?;
    let mut body = BytesMut::from(&request.rest[..]);
    let read = async {
        if request.head.expects_continue() && body.len() < length {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        while body.len() < length {
            if socket.read_buf(&mut body).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    match timeout(HEAD_TIME, read).await {
        Ok(Ok(())) => Ok(body.split_to(length).freeze()),
        Err(_) | Ok(Err(_)) => Err(BodyFailure::Missing),
    }
}

/// Writes a final answer and closes in a way that lets the peer read it, although it may still be sending. A peer that has
/// gone without reading it needs nothing more.
pub async fn answer_and_close(socket: TcpStream, answer: &[u8]) {
    if let Err(error) = try_answer(socket, answer).await {
        tracing::debug!(%error, "an answer was not taken");
    }
}

async fn try_answer(mut socket: TcpStream, answer: &[u8]) -> io::Result<()> {
    timeout(LINGER, socket.write_all(answer)).await??;
    socket.shutdown().await?;
    // Closing with unread bytes would reset the connection and may take the answer with it.
    let mut sink = [0; 4096];
    let mut left = LINGER_BYTES_MAX;
    let drain = async {
        while let Ok(read @ 1..) = socket.read(&mut sink).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Late or not, the connection is closed now.
    let _ = timeout(LINGER, drain).await;
    Ok(())
}
