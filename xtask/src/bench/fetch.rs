//! A kept connection that asks and reads answers with a length. What an answer means is up to who asks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer is no larger: a whole rewind buffer of an hour.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A server that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kept connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::with_capacity(64 * 1024, stream);
        Ok(Connection { stream, host: address.to_string(), body: Vec::new() })
    }

    /// Status and body of the answer.
    ///
    /// # Errors
    /// The connection ends, or there is an answer without a length.
    pub fn get(&mut self, target: &str) -> io::Result<(u16, &[u8])> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length, mut line) = (0, None, String::new());
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ").or(line.strip_prefix("HTTP/1.0 ")) {
                status = rest.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok().filter(|&length: &usize| length <= BODY_BYTES_MAX);
            }
        }
        let no_length = || io::Error::new(io::ErrorKind::InvalidData, format!("{target}: no fit length"));
        self.body.resize(length.ok_or_else(no_length)?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok((status, &self.body))
    }
}
