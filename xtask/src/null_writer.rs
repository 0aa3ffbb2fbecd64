//! `cargo xtask null-writer`: the least a server can do, for comparison. One source, one shared buffer, one write to
//! each socket at every tick, a burst at the start. No parsing, no passwords, no logs.
//!
//! One thread, one epoll: the source and new connections wake it, listeners never do.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use rustix::event::epoll;

use crate::events;

const LISTENER_HEAD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nConnection: close\r\n\r\n";
const SOURCE_HEAD: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
/// Audio kept; a listener further behind is closed.
const KEPT_BYTES: usize = 1 << 20;
/// Longest request; its head must come in one read.
const HEAD_BYTES_MAX: usize = 4096;
const READ_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 256;

/// Options of `cargo xtask null-writer`.
#[derive(Debug, Args)]
pub struct Options {
    /// Port for the source and the listeners; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Seconds between two writes to a listener
    #[arg(long, default_value_t = 2.0)]
    tick: f64,
    /// Bytes sent at once to a new listener
    #[arg(long, default_value_t = 32_000)]
    burst_bytes: usize,
}

/// Serves for ever.
pub fn run(options: &Options) -> anyhow::Result<()> {
    crate::raise_descriptor_limit()?;
    let mut writer = Writer::bind(options.port, options.burst_bytes)?;
    println!("listening on {}", writer.door.local_addr()?);
    let tick = Duration::from_secs_f64(options.tick);
    let mut next_tick = Instant::now() + tick;
    loop {
        writer.turn(next_tick.saturating_duration_since(Instant::now()))?;
        if Instant::now() >= next_tick {
            writer.deliver();
            // A tick that is missed is skipped: delivering without a pause would let nobody in.
            while next_tick <= Instant::now() {
                next_tick += tick;
            }
        }
    }
}

struct Listener {
    stream: TcpStream,
    /// Byte of the audio's life that comes next.
    position: u64,
}

struct Writer {
    door: TcpListener,
    epoll: rustix::fd::OwnedFd,
    /// Connections without a request yet, and the source, by descriptor.
    talking: HashMap<u64, TcpStream>,
    source: Option<u64>,
    listeners: Vec<Listener>,
    audio: Audio,
    burst_bytes: usize,
    buffer: Vec<u8>,
}

impl Writer {
    fn bind(port: u16, burst_bytes: usize) -> anyhow::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).context("cannot bind")?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        let door = TcpListener::from(socket);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &door, key(&door), epoll::EventFlags::IN)?;
        let audio = Audio::default();
        let buffer = vec![0; READ_BYTES];
        Ok(Self {
            door,
            epoll,
            talking: HashMap::new(),
            source: None,
            listeners: Vec::new(),
            audio,
            burst_bytes,
            buffer,
        })
    }

    /// Handles what happens within `time`, one wake-up at most.
    fn turn(&mut self, time: Duration) -> anyhow::Result<()> {
        for event in events::wait(&self.epoll, time, EVENTS_MAX)? {
            let key = event.data.u64();
            if key == self::key(&self.door).u64() {
                self.accept()?;
            } else if Some(key) == self.source {
                self.receive(key);
            } else {
                self.answer(key)?;
            }
        }
        Ok(())
    }

    /// Lets all in who wait, up to a bound: more come with the next wake-up.
    fn accept(&mut self) -> anyhow::Result<()> {
        for _ in 0..EVENTS_MAX {
            match self.door.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll::add(&self.epoll, &stream, key(&stream), epoll::EventFlags::IN)?;
                    self.talking.insert(key(&stream).u64(), stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot accept"),
            }
        }
        Ok(())
    }

    fn receive(&mut self, key: u64) {
        let Some(mut stream) = self.talking.get(&key) else { return };
        match stream.read(&mut self.buffer) {
            Ok(count) if count > 0 => self.audio.append(&self.buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => {
                self.talking.remove(&key);
                self.source = None;
            }
        }
    }

    /// Reads a request: `GET` makes a listener, anything else the source.
    fn answer(&mut self, key: u64) -> anyhow::Result<()> {
        let Some(mut stream) = self.talking.remove(&key) else { return Ok(()) };
        let mut head = [0; HEAD_BYTES_MAX];
        let count = stream.read(&mut head).unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        if !head.starts_with(b"GET ") {
            stream.write_all(SOURCE_HEAD)?;
            self.talking.insert(key, stream);
            self.source = Some(key);
            return Ok(());
        }
        epoll::delete(&self.epoll, &stream)?;
        let position = self.audio.end().saturating_sub(self.burst_bytes as u64).max(self.audio.start);
        let burst = self.audio.since(position).unwrap_or_default();
        // A reset between request and answer is no trouble: there is one listener less.
        if let Ok(written) = stream.write_vectored(&[IoSlice::new(LISTENER_HEAD), IoSlice::new(burst)]) {
            let position = position + written.saturating_sub(LISTENER_HEAD.len()) as u64;
            self.listeners.push(Listener { stream, position });
        }
        Ok(())
    }

    /// Writes to each listener what it has not got; those who are gone or too far behind are closed.
    fn deliver(&mut self) {
        let audio = &self.audio;
        self.listeners.retain_mut(|listener| {
            let Some(rest) = audio.since(listener.position) else { return false };
            match listener.stream.write(rest) {
                Ok(written) => {
                    listener.position += written as u64;
                    true
                }
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            }
        });
    }
}

fn key(socket: &impl std::os::fd::AsFd) -> epoll::EventData {
    epoll::EventData::new_u64(socket.as_fd().as_raw_fd().unsigned_abs().into())
}

/// The last audio, at least [`KEPT_BYTES`] of it once there is as much.
#[derive(Default)]
struct Audio {
    bytes: Vec<u8>,
    /// Position of the first byte kept.
    start: u64,
}

impl Audio {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT_BYTES {
            let dropped = self.bytes.len() - KEPT_BYTES;
            self.bytes.drain(..dropped);
            self.start += dropped as u64;
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// All from `position` to the end; `None` when it is no longer kept.
    fn since(&self, position: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(position.checked_sub(self.start)?).ok()?..)
    }
}

#[cfg(test)]
mod tests {
    use testkit::audio::Mp3Frames;
    use testkit::listener::ListenerClient;
    use testkit::source::{SourceClient, SourceOptions};
    use testkit::wait::DEADLINE;

    use super::*;

    #[test]
    fn audio_is_kept_to_its_bound() {
        let mut audio = Audio::default();
        audio.append(&vec![1; 2 * KEPT_BYTES]);
        assert_eq!((audio.start, audio.end()), (0, 2 * KEPT_BYTES as u64));
        audio.append(&[2]);
        assert_eq!((audio.start, audio.bytes.len()), (KEPT_BYTES as u64 + 1, KEPT_BYTES));
        assert_eq!(audio.since(audio.start - 1), None);
        assert_eq!(audio.since(audio.end() - 1), Some(&[2][..]));
        assert_eq!(audio.since(audio.end()), Some(&[][..]));
    }

    #[test]
    fn a_listener_gets_the_burst_and_then_every_byte() {
        let mut writer = Writer::bind(0, 1000).unwrap();
        let address = writer.door.local_addr().unwrap();
        let frames = Mp3Frames::new(128, 44_100, 2);
        let client = std::thread::spawn(move || {
            let mut source = SourceClient::connect(address, SourceOptions::new("/test", "")).unwrap();
            source.send(&frames.bytes(0..100)).unwrap();
            let mut listener = ListenerClient::get(address, "/", &[]);
            let first = listener.body.read_exact(1);
            source.send(&frames.bytes(100..110)).unwrap();
            let all = |rest: &[u8]| frames.scan(&[&first, rest].concat());
            let rest = listener.body.read_until(DEADLINE, |rest| all(rest).last == Some(109));
            all(&rest)
        });
        while !client.is_finished() {
            writer.turn(Duration::from_millis(1)).unwrap();
            writer.deliver();
        }
        let report = client.join().unwrap();
        assert!(report.is_continuous(), "{report:?}");
        assert!(report.first.unwrap() <= 98, "the burst of 1000 bytes has two whole frames: {report:?}");
    }
}
