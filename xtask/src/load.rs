//! `cargo xtask load`: many listeners on one thread, what they received, and what that cost the server.
//!
//! `client` is one listener, `outcome` the numbers. Only the span between connecting and the end is measured for
//! processor time, so that the cost of a connect does not hide in the cost of a byte.

pub mod client;
mod outcome;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use rustix::event::epoll;
use testkit::audio::Mp3Frames;
use testkit::proc;

use crate::events;
use client::Client;
pub use outcome::Outcome;

/// Different offsets of `--offsets spread`, a second apart.
const SPREAD_OFFSETS: usize = 500;
/// Smallest offset of `--offsets spread`: beyond the burst.
const SPREAD_SECONDS_MIN: usize = 60;
/// How many listeners are checked by `--verify sampled`.
const SAMPLED_LISTENERS: usize = 100;
/// Listeners from one source address: the system has 28,232 ports for each.
const LISTENERS_PER_ADDRESS: usize = 20_000;
/// Longest wait for the first audio behind the last connect.
const FIRST_AUDIO_WAIT: Duration = Duration::from_secs(90);
/// Between the last first audio and the measurement: what connecting has stirred up settles.
pub const SETTLE: Duration = Duration::from_secs(4);
const READ_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 1024;

/// Bytes of that audio for a second.
const BYTES_PER_SECOND: f64 = 16_000.0;

/// The audio that is sent and checked: 128 kbit/s MP3.
pub fn audio() -> Mp3Frames {
    Mp3Frames::new(128, 44_100, 2)
}

/// Options of `cargo xtask load`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Stream to listen to, http only
    #[arg(long, default_value = "http://127.0.0.1:8000/test")]
    pub url: String,
    /// How many listeners
    #[arg(long, default_value_t = 10_000)]
    pub listeners: usize,
    /// Seconds to measure once all have audio
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Connects a second
    #[arg(long, default_value_t = 2000.0)]
    pub connect_rate: f64,
    /// Process of the server, to read its processor time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// `none`, a number of seconds for all, or `spread`: 500 different ones
    #[arg(long, default_value = "none")]
    pub offsets: Offsets,
    /// Ask for ICY metadata
    #[arg(long)]
    pub icy: bool,
    /// Check the numbered frames of which listeners; needs a source that sends them
    #[arg(long, value_enum, default_value_t = Verify::None)]
    pub verify: Verify,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Where listeners start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// At the live edge.
    None,
    /// Each at one of 500 places in the past.
    Spread,
    /// All so many seconds behind.
    Seconds(u32),
}

impl FromStr for Offsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "spread" => Ok(Self::Spread),
            _ => text.parse().map(Self::Seconds).map_err(|_| "expected none, spread or seconds".to_owned()),
        }
    }
}

impl Offsets {
    /// Seconds behind live of one listener.
    fn of(self, listener: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Spread => Some(SPREAD_SECONDS_MIN + listener % SPREAD_OFFSETS),
            Self::Seconds(seconds) => Some(seconds as usize),
        }
    }
}

/// Which listeners are checked byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// None: the source sends other audio.
    None,
    /// A hundred of them.
    Sampled,
    /// All; costs about as much as receiving.
    All,
}

/// Runs and prints the outcome.
pub fn run(options: &Options) -> anyhow::Result<()> {
    crate::raise_descriptor_limit()?;
    let outcome = measure(options)?;
    if options.json {
        println!("{:#}", outcome.to_json());
    } else {
        println!("{outcome}");
    }
    Ok(())
}

/// Listens and measures.
pub fn measure(options: &Options) -> anyhow::Result<Outcome> {
    let memory_before =
        options.pid.map(proc::memory).transpose().context("cannot read the server's memory")?;
    let mut load = Load::new(options)?;
    load.connect_all()?;
    load.run_for(SETTLE)?;
    load.clients.iter_mut().for_each(Client::forget_silence);
    let cpu_seconds =
        || options.pid.map(proc::cpu_seconds).transpose().context("cannot read the server's time");
    let (start, cpu_before, bytes_before) = (Instant::now(), cpu_seconds()?, load.bytes());
    load.run_for(Duration::from_secs_f64(options.seconds))?;
    let (cpu_after, bytes_after) = (cpu_seconds()?, load.bytes());
    let memory_after = options.pid.map(proc::memory).transpose()?;
    let bytes = bytes_after - bytes_before;
    Ok(Outcome {
        seconds: start.elapsed().as_secs_f64(),
        bytes,
        cpu_seconds: cpu_before.zip(cpu_after).map(|(before, after)| after - before),
        memory: memory_before.zip(memory_after),
        ..Outcome::of(&load.clients)
    })
}

struct Load<'a> {
    options: &'a Options,
    address: SocketAddr,
    host: String,
    target: String,
    clients: Vec<Client>,
    epoll: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(options: &'a Options) -> anyhow::Result<Self> {
        let (host, target) = split_url(&options.url)?;
        let addresses = host.to_socket_addrs().with_context(|| format!("cannot resolve {host}"))?;
        let address = addresses.into_iter().next().with_context(|| format!("{host} has no address"))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let clients = Vec::with_capacity(options.listeners);
        Ok(Self { options, address, host, target, clients, epoll, buffer: vec![0; READ_BYTES] })
    }

    /// Connects at the given rate, and goes on until each listener has audio or is refused.
    fn connect_all(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.clients.len() < self.options.listeners {
            let due = (start.elapsed().as_secs_f64() * self.options.connect_rate) as usize + 1;
            while self.clients.len() < due.min(self.options.listeners) {
                self.connect()?;
            }
            self.turn(Duration::from_millis(1))?;
        }
        let end = Instant::now() + FIRST_AUDIO_WAIT;
        while Instant::now() < end && self.clients.iter().any(Client::is_waiting) {
            self.run_for(Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let number = self.clients.len();
        let from = source_address(self.address, number);
        let request = self.request(number);
        let client =
            Client::connect(self.address, from, request, self.is_verified(number), self.options.icy)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(&self.epoll, client.socket(), epoll::EventData::new_u64(number as u64), flags)?;
        self.clients.push(client);
        Ok(())
    }

    fn request(&self, number: usize) -> String {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let offset = self.options.offsets.of(number).map(|offset| format!("{separator}offset={offset}"));
        let icy = if self.options.icy { "Icy-MetaData: 1\r\n" } else { "" };
        let (target, offset) = (&self.target, offset.unwrap_or_default());
        format!("GET {target}{offset} HTTP/1.1\r\nHost: {}\r\nUser-Agent: load\r\n{icy}\r\n", self.host)
    }

    fn is_verified(&self, number: usize) -> bool {
        match self.options.verify {
            Verify::None => false,
            Verify::Sampled => number.is_multiple_of(self.options.listeners.div_ceil(SAMPLED_LISTENERS)),
            Verify::All => true,
        }
    }

    fn run_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left)?;
        }
        Ok(())
    }

    /// Handles what comes within `time`, one wake-up at most.
    fn turn(&mut self, time: Duration) -> anyhow::Result<()> {
        for event in events::wait(&self.epoll, time, EVENTS_MAX)? {
            let (flags, data) = (event.flags, event.data);
            let client = &mut self.clients[data.u64() as usize];
            if flags.contains(epoll::EventFlags::OUT) && client.send_request() {
                epoll::modify(&self.epoll, client.socket(), data, epoll::EventFlags::IN)?;
            } else if !client.receive(&mut self.buffer) {
                epoll::delete(&self.epoll, client.socket())?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.clients.iter().map(|client| client.bytes).sum()
    }
}

/// `HOST:PORT` and the target of an address.
fn split_url(url: &str) -> anyhow::Result<(String, String)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not start with http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    ensure!(!host.is_empty(), "{url} names no host");
    let port =
        if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { "" } else { ":80" };
    Ok((format!("{host}{port}"), format!("/{path}")))
}

/// On loopback, another source address for each so many listeners; elsewhere the system chooses.
fn source_address(server: SocketAddr, listener: usize) -> Option<Ipv4Addr> {
    let block = u8::try_from(listener / LISTENERS_PER_ADDRESS).ok().filter(|&block| block > 0)?;
    let is_loopback = matches!(server.ip(), IpAddr::V4(address) if address.is_loopback());
    is_loopback.then(|| Ipv4Addr::new(127, 0, block, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_into_host_and_target() {
        for (url, host, target) in [
            ("http://127.0.0.1:8000/test?a=b", "127.0.0.1:8000", "/test?a=b"),
            ("http://radio.example/a/b", "radio.example:80", "/a/b"),
            ("http://radio.example", "radio.example:80", "/"),
        ] {
            assert_eq!(split_url(url).unwrap(), (host.to_owned(), target.to_owned()));
        }
        assert!(split_url("https://radio.example/").is_err());
        assert!(split_url("http:///a").is_err());
    }

    #[test]
    fn offsets_are_none_one_or_five_hundred() {
        assert_eq!("none".parse::<Offsets>().unwrap().of(7), None);
        assert_eq!("30".parse::<Offsets>().unwrap().of(7), Some(30));
        let spread: Offsets = "spread".parse().unwrap();
        assert_eq!((spread.of(0), spread.of(499), spread.of(500)), (Some(60), Some(559), Some(60)));
        assert!("often".parse::<Offsets>().is_err());
    }

    #[test]
    fn source_addresses_change_before_ports_run_out() {
        let server = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(source_address(server, LISTENERS_PER_ADDRESS - 1), None);
        assert_eq!(source_address(server, LISTENERS_PER_ADDRESS), Some(Ipv4Addr::new(127, 0, 1, 1)));
        assert_eq!(source_address(SocketAddr::from(([10, 0, 0, 1], 80)), LISTENERS_PER_ADDRESS), None);
    }
}
