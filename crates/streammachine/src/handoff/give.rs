//! The old process: it gives everything to the new one, or takes it back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::base::net::Stray;
use crate::base::task;
use crate::handoff::channel::{Channel, PATIENCE};
use crate::handoff::faults;
use crate::handoff::message::{Hello, Part, VERSION, Welcome, Word};
use crate::handoff::ports::Ports;
use crate::handoff::take::has_died;
use crate::http::App;
use crate::listener::delivery::Listener;
use crate::mount::door::{Door, PausedSource};
use crate::mount::{self, Handed};

/// Those who set titles, and sources that end, may hold up a handoff for so long.
const PAUSE_TIME: Duration = Duration::from_secs(2);
/// Pause after `accept` failed: the machine has no descriptors or no memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Answers that are on their way may take so long; a peer that takes nothing for as long is closed in any case.
const DRAIN: Duration = Duration::from_secs(60);
/// Listeners in one message.
const LISTENERS_MAX: usize = 1_000;

/// What a server consists of that is given away.
#[derive(Debug)]
pub struct Giver {
    /// Sockets that listen.
    pub ports: Arc<Ports>,
    /// Bound on the connections whose heads are read.
    pub heads: Arc<Semaphore>,
    /// Listeners.
    pub app: Arc<App>,
    /// Sources.
    pub door: Arc<Door>,
    /// Mounts.
    pub mounts: Arc<mount::registry::Registry>,
    /// Cancelled when everything has been given away.
    pub given_away: CancellationToken,
}

/// Everything that is about to be given away, stopped where it was.
struct Stopped {
    listeners: Vec<Listener>,
    sources: Vec<PausedSource>,
    /// Sources that were being let in come out here.
    late: mpsc::UnboundedReceiver<PausedSource>,
    /// False if a source did not stop in time.
    has_paused: bool,
}

/// A socket for those who will take over, bound beside its path: another process may still listen there.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    beside: PathBuf,
    listener: Option<StdListener>,
}

impl Socket {
    /// Binds beside `path`, where only this user may ask.
    ///
    /// # Errors
    /// If there is something else at `path`, or nobody can listen there.
    pub fn prepare(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot listen on handoff socket {}", path.display());
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => bail!("{}: it is no socket", failed()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(failed),
            _ => {}
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(failed),
            _ => {}
        }
        let listener = StdListener::bind(&beside).with_context(failed)?;
        let socket = Socket { path: path.to_owned(), beside, listener: Some(listener) };
        std::fs::set_permissions(&socket.beside, std::fs::Permissions::from_mode(0o600))
            .with_context(failed)?;
        Ok(socket)
    }

    /// Takes the path: from here on this process is asked.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(mut self) -> anyhow::Result<UnixListener> {
        let failed = || format!("cannot listen on handoff socket {}", self.path.display());
        std::fs::rename(&self.beside, &self.path).with_context(failed)?;
        let listener = self.listener.take().context("it listens once")?;
        listener.set_nonblocking(true).with_context(failed)?;
        UnixListener::from_std(listener).with_context(failed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.listener.is_some() {
            // Nobody was told of it.
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

impl Giver {
    /// Waits for new processes until everything has been given away to one, or until `stop`.
    pub async fn run(self, socket: UnixListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            // One at a time: others wait to be accepted, and hear what came of this one.
            let given = match accepted.and_then(|(socket, _)| Channel::new(socket.into_std()?)) {
                Ok(channel) => {
                    // Whoever says nothing must not keep this process from ending.
                    let (breaker, ended) = (channel.breaker(), stop.clone());
                    let watch = task::spawn("handoff watch", async move {
                        ended.cancelled().await;
                        drop(breaker);
                    });
                    let given = self.give(channel).await;
                    watch.abort();
                    given
                }
                Err(error) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    Err(error.into())
                }
            };
            match given {
                Ok(()) => return self.given_away.cancel(),
                Err(error) => {
                    tracing::error!(reason = format!("{error:#}"), "the handoff failed: going on as before");
                }
            }
        }
    }

    /// Gives everything to the process behind `channel`. An error says that all goes on here as before.
    async fn give(&self, mut channel: Channel) -> anyhow::Result<()> {
        let new = block_in_place(|| self.greet(&mut channel))?;
        let closed = timeout(PAUSE_TIME, self.app.gate.close()).await.context("a request takes too long")?;
        let mut stopped = self.stop().await;
        match self.hand_over(&mut channel, &new, &mut stopped).await {
            Ok(()) => {
                closed.give_away();
                // What the new process closes is to be closed: it must not stay open here until all is seen off.
                let Stopped { late, listeners, sources, .. } = stopped;
                drop((listeners, sources));
                tracing::info!("everything was handed over");
                self.see_off(channel, late).await;
                Ok(())
            }
            Err(error) => {
                channel.give_up();
                self.take_back(&mut stopped).await;
                Err(error)
            }
        }
    }

    fn greet(&self, channel: &mut Channel) -> anyhow::Result<OwnedFd> {
        let Some(pid) = channel.peer()? else { bail!("the new process is another user's") };
        let new = pidfd_open(pid, PidfdFlags::empty()).context("the new process")?;
        let (hello, _) = channel.receive::<Hello>()?;
        if hello.version != VERSION {
            let reason = format!(
                "this process speaks version {VERSION} of the handoff, the new one version {}: it can only be restarted",
                hello.version
            );
            channel.send(&Welcome::Refused { reason: reason.clone() }, &[])?;
            bail!("refused: {reason}");
        }
        let program = env!("CARGO_PKG_VERSION").to_owned();
        channel.send(&Welcome::Accepted { program, clock: self.app.clock.state() }, &[])?;
        faults::at("welcome");
        let (word, _) = channel.receive::<Word>()?;
        if word != Word::Give {
            bail!("the new process said {word:?} where it should have asked for everything");
        }
        tracing::info!(program = hello.program, "handing over to a new process");
        Ok(new)
    }

    /// Stops what comes in.
    async fn stop(&self) -> Stopped {
        self.ports.close().await;
        let (mut late, has_paused) = self.door.pause(PAUSE_TIME).await;
        let sources = std::iter::from_fn(|| late.try_recv().ok()).collect();
        faults::at("stopped");
        Stopped { listeners: Vec::new(), sources, late, has_paused }
    }

    async fn hand_over(
        &self,
        channel: &mut Channel,
        new: &OwnedFd,
        stopped: &mut Stopped,
    ) -> anyhow::Result<()> {
        ensure!(stopped.has_paused, "a source takes too long");
        let mut mounts = Vec::new();
        for mount in self.mounts.all() {
            let handed = timeout(PATIENCE, mount.hand()).await.ok().flatten();
            mounts.push((mount.key().to_owned(), handed.context("a mount does not answer")?));
        }
        let mut streams = Vec::new();
        for stream in self.app.streams.all() {
            let handed = timeout(PATIENCE, stream.hand()).await.context("a stream does not answer")?;
            let (state, files) = handed.context("a rewind buffer")?;
            let (key, state) = (stream.key().to_owned(), Box::new(state));
            let history = self.app.roster.history(&stream);
            streams.push((Part::Stream { key, state, history }, files));
        }
        stopped.listeners = self.app.delivery.release().await;
        block_in_place(|| {
            self.send_parts(channel, mounts, streams, stopped)?;
            await_serving(channel, new)
        })
    }

    fn send_parts(
        &self,
        channel: &mut Channel,
        mounts: Vec<(String, Handed)>,
        streams: Vec<(Part, Vec<File>)>,
        stopped: &Stopped,
    ) -> anyhow::Result<()> {
        for (role, socket) in self.ports.sockets() {
            channel.send(&Part::Port(*role), &[socket.as_fd()])?;
        }
        faults::at("ports");
        for (key, Handed { state, socket }) in mounts {
            let sockets: Vec<BorrowedFd<'_>> = socket.iter().map(|socket| socket.as_fd()).collect();
            channel.send(&Part::Mount { key, state }, &sockets)?;
        }
        for (stream, files) in streams {
            let files: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
            channel.send(&stream, &files)?;
        }
        faults::at("streams");
        for source in &stopped.sources {
            send_source(channel, source)?;
        }
        faults::at("sources");
        for listeners in stopped.listeners.chunks(LISTENERS_MAX) {
            let states = listeners.iter().map(Listener::state).collect();
            let sockets: Vec<BorrowedFd<'_>> =
                listeners.iter().map(|listener| listener.socket().as_fd()).collect();
            channel.send(&Part::Listeners(states), &sockets)?;
        }
        faults::at("listeners");
        channel.send(&Part::End, &[])?;
        faults::at("end");
        Ok(())
    }

    /// Goes on with everything.
    async fn take_back(&self, stopped: &mut Stopped) {
        self.app.delivery.admit(std::mem::take(&mut stopped.listeners));
        for stream in self.app.streams.all() {
            stream.go_on();
        }
        self.mounts.go_on().await;
        self.door.go_on();
        let late = std::iter::from_fn(|| stopped.late.try_recv().ok());
        let sources: Vec<PausedSource> =
            std::mem::take(&mut stopped.sources).into_iter().chain(late).collect();
        for source in sources {
            self.door.resume(source).await;
        }
        self.ports.open(&self.app, &self.door, &self.heads);
    }

    /// Gives away what was being let in, until nothing is left or it takes too long.
    async fn see_off(&self, mut channel: Channel, mut late: mpsc::UnboundedReceiver<PausedSource>) {
        let gate = &self.app.gate;
        let all = async {
            let mut is_empty = false;
            loop {
                let sent = tokio::select! {
                    biased;
                    Some(source) = late.recv() => block_in_place(|| send_source(&mut channel, &source)),
                    Some(stray) = gate.find_stray() => block_in_place(|| send_stray(&mut channel, stray)),
                    // What the last ones left behind is looked for once more.
                    () = std::future::ready(()), if is_empty => return,
                    () = gate.is_empty() => {
                        is_empty = true;
                        continue;
                    }
                };
                // The next one may go through.
                if let Err(error) = sent {
                    tracing::warn!(%error, "a connection could not be handed over");
                }
            }
        };
        if timeout(DRAIN, all).await.is_err() {
            tracing::info!("answers that were not taken in time are cut off");
        }
    }
}

/// Lets the new process serve, and waits until it does. An error says that it never will.
fn await_serving(channel: &mut Channel, new: &OwnedFd) -> anyhow::Result<()> {
    let (word, _) = channel.receive::<Word>().context("the new process is not ready")?;
    if word != Word::Ready {
        bail!("the new process said {word:?} where it should have been ready");
    }
    faults::at("ready");
    channel.send(&Part::Commit, &[]).context("the new process is gone")?;
    faults::at("commit");
    let Err(error) = channel.receive::<Word>() else { return Ok(()) };
    if !has_died(new) {
        // It may be about to serve: two must not.
        pidfd_send_signal(new, Signal::KILL).context("the new process cannot be ended")?;
        has_died(new);
        if channel.receive::<Word>().is_ok() {
            // It did serve.
            return Ok(());
        }
    }
    Err(error).context("the new process does not serve")
}

fn send_source(channel: &mut Channel, paused: &PausedSource) -> anyhow::Result<()> {
    let part = Part::Source {
        mount: paused.mount.clone(),
        source: Box::new(paused.source.state()),
        reader: paused.reader.state()?,
        is_known: paused.is_known,
    };
    Ok(channel.send(&part, &[paused.reader.connection().as_fd()])?)
}

fn send_stray(channel: &mut Channel, stray: Stray) -> anyhow::Result<()> {
    let Stray { role, socket, peer, bytes, is_kept } = stray;
    Ok(channel.send(&Part::Connection { role, peer, bytes, is_kept }, &[socket.as_fd()])?)
}
