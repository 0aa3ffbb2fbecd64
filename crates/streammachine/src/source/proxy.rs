//! The stream of another server as a source: pulled as a player does it, again and again, titles and all.
//!
//! It is one source however often its connection breaks. How a stream is asked for is in `proxy/client.rs`.

mod client;
mod patience;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::pause::{Pause, Pauser};
use crate::base::seldom::Seldom;
use crate::config::Upstream;
use crate::source::reader::{Limits, Ran, Reader};
use crate::source::{End, Output};
use client::{Ask, Connection, Trouble};
use patience::{TitleTrust, Told};
use wire::icy::Metadata;

/// From one try to the next at least; as the original. A connection that lasted longer is followed by the next at once.
const RETRY: Duration = Duration::from_secs(1);

/// What is relayed, and where to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose stream.
    pub upstream: Upstream,
    /// How it is watched.
    pub limits: Limits,
    /// Id of the mount.
    pub mount: Uuid,
}

/// A connection to an upstream that gives audio.
pub type Connected = Reader<Connection>;

/// What an upstream is asked for, and what is logged of it.
struct Proxy<'a> {
    wanted: &'a Wanted,
    clock: Clock,
    output: &'a Output,
    pausing: Pausing,
    titles: TitleTrust,
    news: Seldom,
    told: Told,
}

/// A connection that is not read any more: another process can read it on.
#[derive(Debug)]
pub struct Paused {
    /// How far it was read: a [`ReaderState`].
    pub reader: Value,
    /// The connection.
    pub socket: OwnedFd,
}

impl Paused {
    /// Ready to be read on.
    ///
    /// # Errors
    /// It is no such thing.
    pub fn resume(self, limits: Limits) -> io::Result<Connected> {
        let socket = std::net::TcpStream::from(self.socket);
        socket.set_nonblocking(true)?;
        let connection = Connection::Left(TcpStream::from_std(socket)?);
        Ok(Reader::resume(connection, serde_json::from_value(self.reader)?, limits))
    }
}

/// Lets a proxy pause.
#[derive(Debug)]
pub struct Control {
    pauser: Pauser,
    paused: mpsc::Receiver<Option<Paused>>,
}

/// A proxy's side of that.
#[derive(Debug)]
pub struct Pausing {
    pause: Pause,
    give: mpsc::Sender<Option<Paused>>,
}

impl Control {
    /// Both sides.
    pub fn new() -> (Self, Pausing) {
        let (pauser, (give, paused)) = (Pauser::default(), mpsc::channel(1));
        let pausing = Pausing { pause: pauser.pause(), give };
        (Control { pauser, paused }, pausing)
    }

    /// Asks for a pause.
    pub fn pause(&mut self) {
        // What was given too late the last time is not what there is now.
        let _ = self.paused.try_recv();
        self.pauser.ask(true);
    }

    /// What was paused: none without a connection, or with one that is encrypted, whose keys do not leave the process.
    pub async fn paused(&mut self) -> Option<Paused> {
        self.paused.recv().await.flatten()
    }

    /// Takes the pause back.
    pub fn go_on(&self) {
        self.pauser.ask(false);
    }
}

/// Relays what is `wanted` until it is stopped; at first what is `connected` already.
pub async fn run(
    wanted: Wanted,
    mut connected: Option<Connected>,
    clock: Clock,
    output: Output,
    pausing: Pausing,
) {
    let (titles, news, told) = (TitleTrust::default(), Seldom::default(), Told::default());
    let mut proxy = Proxy { wanted: &wanted, clock, output: &output, pausing, titles, news, told };
    let stop = &output.source.stop;
    loop {
        let next = Instant::now() + RETRY;
        let pulled = match connected.take() {
            Some(connected) => Ok(proxy.relay(connected).await),
            None => proxy.pull().await,
        };
        match pulled {
            Ok(End::Stopped) => break,
            Ok(end) => proxy.complain(&end),
            Err(trouble) => proxy.complain(&trouble),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = proxy.pausing.waits(sleep_until(next)) => {}
        }
    }
    output.ended(End::Stopped).await;
}

impl Pausing {
    /// Waits for `what`, and does nothing else while a pause is asked for.
    async fn waits<T>(&mut self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                () = self.pause.asked() => self.rest(None).await,
            }
        }
    }

    /// Gives what is `paused`, and waits until the pause is over.
    async fn rest(&mut self, paused: Option<Paused>) {
        // Whoever asked may be gone.
        let _ = self.give.try_send(paused);
        self.pause.over().await;
    }
}

impl Proxy<'_> {
    /// Asks once, and relays what is given to its end.
    async fn pull(&mut self) -> Result<End, Trouble> {
        let source = &self.output.source;
        let Wanted { upstream, limits, mount } = self.wanted;
        let ask = Ask { mount: *mount, titles: self.titles.asks(Instant::now()) };
        let (connection, opened) = tokio::select! {
            () = source.stop.cancelled() => return Ok(End::Stopped),
            opened = self.pausing.waits(client::open(upstream, &ask)) => opened?,
        };
        self.output.fed_by(opened.mounts);
        if self.news.ready() {
            tracing::info!(%source, id = %source.id, "upstream connected");
        }
        Ok(self.relay(Reader::new(connection, opened.content, *limits, self.clock)).await)
    }

    /// Relays what `reader` reads to its end.
    async fn relay(&mut self, mut reader: Connected) -> End {
        let source = &self.output.source;
        let (before, has_titles) = (source.audio_bytes(), reader.has_titles());
        // The reader looks after stopping by itself, so that no frame is lost that was found.
        let end = loop {
            match reader.run(self.clock, self.output, self.pausing.pause.clone()).await {
                Ran::Ended(end, _) => break end,
                Ran::Paused(paused) => {
                    tokio::select! {
                        // Another process may read it.
                        () = source.stop.cancelled() => break End::Stopped,
                        () = self.pausing.rest(give(&paused)) => {}
                    }
                    reader = *paused;
                }
            }
        };
        if has_titles && self.titles.ended(&end, Instant::now()) {
            // What was told last would stay for good.
            self.output.metadata(Metadata::default()).await;
        }
        if end != End::Stopped && source.audio_bytes() > before && !self.output.interrupted().await {
            return End::Stopped;
        }
        end
    }

    fn complain(&mut self, reason: &dyn std::fmt::Display) {
        if self.told.is_news(&reason.to_string(), Instant::now()) {
            let source = &self.output.source;
            tracing::warn!(%source, id = %source.id, %reason, "no audio from the upstream; trying again");
        }
    }
}

/// What another process needs to read on.
fn give(reader: &Connected) -> Option<Paused> {
    let Connection::Left(socket) = reader.connection() else { return None };
    let socket = socket.as_fd().try_clone_to_owned().ok()?;
    Some(Paused { reader: reader.state().ok()?, socket })
}
