//! Reads a request head from a fresh connection, within bounds of size and time.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

/// Reads one head. `permit` is given back at the end; when most permits are taken, the time allowed shrinks.
pub async fn read(
    socket: &mut TcpStream,
    permit: OwnedSemaphorePermit,
    heads_max: usize,
) -> Result<Request, Failure> {
    let crowded = permit.semaphore().available_permits() < heads_max / 2;
    let deadline = Instant::now() + if crowded { HEAD_TIME_CROWDED } else { HEAD_TIME };
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        match timeout_at(deadline, socket.read_buf(&mut buffer)).await {
            Err(_) => return Err(Failure::Late { begun: !buffer.is_empty() }),
            Ok(Err(_) | Ok(0)) => return Err(Failure::Gone),
            Ok(Ok(_)) => {}
        }
        // The parser refuses a head longer than its limit, which bounds the buffer.
        if let Some((head, length)) = parse(&buffer)? {
            let raw = buffer.split_to(length).freeze();
            return Ok(Request { head, raw, rest: buffer.freeze() });
        }
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
