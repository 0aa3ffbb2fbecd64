//! A source in real time that connects again whenever it is cut, as encoders do. What it would have sent meanwhile is not
//! sent; numbers jump, so that each session is known by its first frame.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testkit::audio::Mp3Frames;
use testkit::source::SourceOptions;

use super::{Faults, PASSWORD};
use crate::load;

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);
/// Frames that no session sends: between it and the one before.
const JUMP: u32 = 1_000;
/// A server that does not answer for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What all sessions have sent.
#[derive(Default)]
pub struct Encoder {
    sessions: Mutex<Vec<Range<u32>>>,
}

impl Encoder {
    /// The frames of each session that was let in, as far as they were given to the system.
    pub fn sessions(&self) -> Vec<Range<u32>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends until it is over.
    pub fn run(&self, address: SocketAddr, is_over: &AtomicBool, faults: &Faults) {
        let frames = load::audio();
        let (start, mut first) = (Instant::now(), 0);
        while !is_over.load(Ordering::Relaxed) {
            if let Ok(mut socket) = connect(address, faults) {
                self.change(|sessions| sessions.push(first..first));
                // It ends when the server is gone, which is what it is for.
                self.send(&mut socket, frames, first, is_over).ok();
                let sent = self.sessions().last().map_or(0, |session| session.end);
                first = sent + JUMP;
            }
            thread::sleep(PAUSE);
            first = first.max(frames.count_in(start.elapsed()));
        }
    }

    fn send(
        &self,
        socket: &mut TcpStream,
        frames: Mp3Frames,
        first: u32,
        is_over: &AtomicBool,
    ) -> io::Result<()> {
        let start = Instant::now();
        for number in first.. {
            // A frame is due when all of it has been played.
            let due = start + frames.duration(number - first + 1);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            socket.write_all(&frames.frame(number))?;
            self.change(|sessions| sessions.iter_mut().last().into_iter().for_each(|it| it.end = number + 1));
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Range<u32>>)) {
        change(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Connects and is let in.
fn connect(address: SocketAddr, faults: &Faults) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(SourceOptions::new("/bench", PASSWORD).encode(address).as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    if head.split(' ').nth(1) != Some("200") {
        faults.tell(format!("the source is refused: {head:?}"));
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(socket)
}
