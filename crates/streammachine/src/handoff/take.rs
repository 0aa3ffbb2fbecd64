//! The new process: it takes everything from the old one.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::Value;

use crate::base::clock::Clock;
use crate::base::net::Role;
use crate::handoff::channel::Channel;
use crate::handoff::faults;
use crate::handoff::message::{Hello, Part, VERSION, Welcome, Word};
use crate::listener::delivery::ListenerState;
use crate::mount::Handed;
use crate::source::SourceState;
use crate::stream::StreamState;

/// Processes that are asked one after the other when each is gone before it answers.
const TRIES: usize = 5;
/// A process whose end of the conversation is closed is gone within this, if it is about to be.
const DEATH_TIME: Duration = Duration::from_secs(1);

/// The old process, which is ready to give.
#[derive(Debug)]
pub struct Taker {
    channel: Channel,
    /// Its clock, to be gone on with.
    pub clock: Clock,
    old: OwnedFd,
}

/// Everything that the old process gave.
#[derive(Debug, Default)]
pub struct Given {
    /// Sockets that listen.
    pub ports: Vec<(Role, TcpListener)>,
    /// Mounts by key.
    pub mounts: HashMap<String, Handed>,
    /// Streams by key, and the files of their logs.
    pub streams: HashMap<String, GivenStream>,
    /// Sources.
    pub sources: Vec<GivenSource>,
    /// Listeners and their connections.
    pub listeners: Vec<(ListenerState, OwnedFd)>,
    /// False if the old process died over it.
    pub is_whole: bool,
}

/// A stream that was given.
#[derive(Debug)]
pub struct GivenStream {
    /// What it is at, and the files of its log.
    log: Option<(StreamState, Vec<File>)>,
    /// Most listeners at once, and how many ever came.
    pub history: (usize, u64),
}

impl GivenStream {
    /// What it is at, and the files of its log; once.
    pub fn take(&mut self) -> Option<(StreamState, Vec<File>)> {
        self.log.take()
    }
}

/// A source that was given.
#[derive(Debug)]
pub struct GivenSource {
    /// Key of its mount.
    pub mount: String,
    /// What is known of it.
    pub source: SourceState,
    /// How far it was read: a `ReaderState`.
    pub reader: Value,
    /// Whether its mount knows of it.
    pub is_known: bool,
    /// Its connection.
    pub socket: OwnedFd,
}

impl Taker {
    /// Asks for the old process at `path`; none if there is none.
    ///
    /// # Errors
    /// If it refuses, or cannot be understood.
    pub fn find(path: &Path) -> anyhow::Result<Option<Self>> {
        for _ in 0..TRIES {
            let socket = match UnixStream::connect(path) {
                Ok(socket) => socket,
                Err(error) if is_nobody(&error) => return Ok(None),
                Err(error) => {
                    return Err(error).with_context(|| format!("handoff socket {}", path.display()));
                }
            };
            let mut channel = Channel::new(socket)?;
            let Some(pid) = channel.peer()? else {
                bail!("handoff socket {}: the process behind it is another user's", path.display());
            };
            let old = pidfd_open(pid, PidfdFlags::empty()).context("the old process")?;
            match Self::greet(&mut channel) {
                Ok(Welcome::Accepted { program, clock }) => {
                    tracing::info!(program, "taking over from the old process");
                    return Ok(Some(Taker { channel, clock: Clock::resume(clock), old }));
                }
                Ok(Welcome::Refused { reason }) => bail!("the old process refuses to hand over: {reason}"),
                // It may have handed over to another one meanwhile, who is behind the same path then.
                Err(error) if has_died(&old) => {
                    tracing::warn!(%error, "the old process is gone before it gave anything");
                }
                Err(error) => return Err(error).context("the old process does not answer"),
            }
        }
        bail!("handoff socket {}: one process after the other is gone there", path.display())
    }

    fn greet(channel: &mut Channel) -> io::Result<Welcome> {
        channel.send(&Hello { version: VERSION, program: env!("CARGO_PKG_VERSION").to_owned() }, &[])?;
        faults::at("hello");
        channel.receive().map(|(welcome, _)| welcome)
    }

    /// Takes everything.
    ///
    /// # Errors
    /// If the old process stops giving and lives: it goes on then, and this one must not.
    pub fn take(&mut self) -> anyhow::Result<Given> {
        let mut given = Given::default();
        let result = self.channel.send(&Word::Give, &[]).and_then(|()| self.take_parts(&mut given));
        match result {
            Ok(()) => given.is_whole = true,
            Err(error) if self.has_died() => {
                tracing::warn!(%error, "the old process died while it handed over: going on with what it gave");
            }
            Err(error) => {
                self.channel.give_up();
                return Err(error).context("the old process stopped handing over");
            }
        }
        Ok(given)
    }

    fn take_parts(&mut self, given: &mut Given) -> io::Result<()> {
        loop {
            let (part, files) = self.channel.receive::<Part>()?;
            if matches!(part, Part::End) {
                faults::at("taken");
                return Ok(());
            }
            given.add(part, files)?;
            faults::at("part");
        }
    }

    /// Tells that all is ready, and waits until this process may serve. From then on it must.
    ///
    /// # Errors
    /// If the old process takes everything back.
    pub fn commit(mut self) -> anyhow::Result<Option<Channel>> {
        let permitted = self.channel.send(&Word::Ready, &[]).and_then(|()| {
            faults::at("ready");
            self.channel.receive::<Part>()
        });
        let permitted = permitted.or_else(|error| {
            // It may have said so at the last moment.
            self.channel.give_up();
            self.channel.receive::<Part>().map_err(|_| error)
        });
        match permitted {
            Ok((Part::Commit, _)) => {}
            Ok(_) => bail!("the old process said something else than that this one may serve"),
            Err(error) if self.has_died() => {
                tracing::warn!(%error, "the old process died when it had handed over everything");
                return Ok(None);
            }
            Err(error) => return Err(error).context("the old process takes everything back"),
        }
        faults::at("commit");
        if let Err(error) = self.channel.send(&Word::Serving, &[]) {
            if !self.has_died() {
                return Err(error).context("the old process takes everything back");
            }
            return Ok(None);
        }
        faults::at("serving");
        self.channel.set_patience(None)?;
        Ok(Some(self.channel))
    }

    fn has_died(&self) -> bool {
        has_died(&self.old)
    }
}

impl Given {
    fn add(&mut self, part: Part, files: Vec<OwnedFd>) -> io::Result<()> {
        let mut files = files.into_iter();
        let mut one = || files.next().ok_or_else(|| io::Error::other("a part came without its descriptor"));
        match part {
            Part::Port(role) => self.ports.push((role, TcpListener::from(one()?))),
            Part::Mount { key, state } => {
                self.mounts.insert(key, Handed { state, socket: files.next() });
            }
            Part::Stream { key, state, history } => {
                let files = files.map(File::from).collect();
                self.streams.insert(key, GivenStream { log: Some((*state, files)), history });
            }
            Part::Source { mount, source, reader, is_known } => {
                let socket = one()?;
                self.sources.push(GivenSource { mount, source: *source, reader, is_known, socket });
            }
            Part::Listeners(listeners) => {
                for listener in listeners {
                    let socket = one()?;
                    self.listeners.push((listener, socket));
                }
            }
            Part::End | Part::Commit | Part::Connection { .. } => {
                return Err(io::Error::other("a part out of its order"));
            }
        }
        Ok(())
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Whether the process has ended, or ends within a moment.
pub(super) fn has_died(process: &OwnedFd) -> bool {
    let end = Instant::now() + DEATH_TIME;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let patience = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut polled = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        match poll(&mut polled, Some(&patience)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
