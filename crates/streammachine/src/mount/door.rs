//! The source port: encoders come in here. Tells who speaks what; each way of speaking has its own file below.

mod icecast;
mod shoutcast;
mod titles;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::announced::Announced;
use wire::auth::Credentials;
use wire::head::HeadError;
use wire::shoutcast::{INVALID_PASSWORD, Opening, recognise};
use wire::source::answers;

use crate::base::clock::Clock;
use crate::base::gate::Gate;
use crate::base::head::{Failure, Incoming, answer_and_close};
use crate::base::live::Live;
use crate::base::net::{Accepted, Acceptor};
use crate::base::pause::Pauser;
use crate::base::task;
use crate::base::throttle::{Account, Throttle};
use crate::mount::Mount;
use crate::mount::admission::Denied;
use crate::mount::history::{self, Asked, History, Protocol};
use crate::mount::reception::Reception;
use crate::mount::registry::Registry;
use crate::source::foreign::Foreign;
use crate::source::reader::{Body, Content, Limits, Ran, Reader};
use crate::source::{End, Output, Source};

/// A source must say something within this; the whole head has longer.
const FIRST_BYTE: Duration = Duration::from_secs(2);
/// Sources at once, whatever the limit that is set: it can be set no higher.
const PLACES_MAX: usize = 10_000;
/// The answer to a source must be taken within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Knows the server's own users, who may set titles on all mounts.
pub trait Users: fmt::Debug + Send + Sync {
    /// True if there is such a user with this password.
    fn know(&self, given: &Credentials) -> bool;
}

/// Lets sources in.
#[derive(Debug)]
pub struct Door {
    mounts: Arc<Registry>,
    users: Box<dyn Users>,
    clock: Clock,
    throttle: Arc<Throttle>,
    heads_max: usize,
    sources_max: Live<usize>,
    places: Semaphore,
    reception: Reception,
    gate: Arc<Gate>,
    pauser: Pauser,
    /// Sources that are read, or about to be.
    reading: watch::Sender<usize>,
    paused: Mutex<Option<mpsc::UnboundedSender<PausedSource>>>,
}

/// A source that is not read for a while: it goes on here, or in another process.
#[derive(Debug)]
pub struct PausedSource {
    /// Key of its mount.
    pub mount: String,
    /// The source.
    pub source: Arc<Source>,
    /// Its connection, and how far it was read.
    pub reader: Reader<TcpStream>,
    /// Whether the mount knows of it.
    pub is_known: bool,
}

/// What a door is told at its start.
#[derive(Debug)]
pub struct DoorSettings {
    /// The server's own users.
    pub users: Box<dyn Users>,
    /// Slows down who guesses passwords, on this port or others.
    pub throttle: Arc<Throttle>,
    /// Connections whose heads are read at once.
    pub heads_max: usize,
    /// Sources at once.
    pub sources_max: Live<usize>,
    /// Takes those who are no sources.
    pub reception: Reception,
    /// What titles go through.
    pub gate: Arc<Gate>,
}

/// A source that was let in and waits to be read.
struct Guest<'a> {
    mount: Arc<Mount>,
    source: Arc<Source>,
    asked: Asked,
    place: SemaphorePermit<'a>,
    body: Body,
}

impl Door {
    /// A door to `mounts`.
    pub fn new(mounts: Arc<Registry>, settings: DoorSettings, clock: Clock) -> Arc<Self> {
        let DoorSettings { users, throttle, heads_max, sources_max, reception, gate } = settings;
        Arc::new(Door {
            mounts,
            users,
            clock,
            throttle,
            heads_max,
            sources_max,
            places: Semaphore::new(PLACES_MAX),
            reception,
            gate,
            pauser: Pauser::default(),
            reading: watch::Sender::new(0),
            paused: Mutex::default(),
        })
    }

    /// Serves a source port until `stop`.
    pub async fn serve(self: Arc<Self>, acceptor: Acceptor, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = acceptor.accept() => accepted,
                () = stop.cancelled() => return,
            };
            Arc::clone(&self).serve_one(accepted);
        }
    }

    /// Serves one connection that was accepted elsewhere.
    pub fn serve_one(self: Arc<Self>, accepted: Accepted) {
        task::spawn("source connection", async move { self.answer(accepted).await });
    }

    async fn answer(&self, accepted: Accepted) {
        let Accepted { socket, peer, first, permit } = accepted;
        let _connected = self.gate.connected();
        // A connection that says nothing is closed sooner than one that is slow.
        if first.is_empty() && timeout(FIRST_BYTE, socket.peek(&mut [0])).await.is_err() {
            self.note(peer, "nothing was sent within 2 s");
            return answer_and_close(socket, &answers::bad_request("no request within 2 s")).await;
        }
        let mut incoming = Incoming::new(socket, first, permit, self.heads_max);
        match incoming.until(|bytes| Ok(recognise(bytes))).await {
            Ok(Opening::Http) => self.answer_http(incoming, peer).await,
            Ok(Opening::Login { login, length }) => {
                incoming.take(length);
                self.answer_login(incoming, peer, &login).await;
            }
            Ok(Opening::Poke) => answer_and_close(incoming.into_parts().0, INVALID_PASSWORD).await,
            Ok(Opening::Ultravox) => {
                self.note(
                    peer,
                    "this is SHOUTcast v2 (Ultravox): set the encoder to SHOUTcast v1 or Icecast",
                );
                answer_and_close(incoming.into_parts().0, b"").await;
            }
            Ok(Opening::Tls) => {
                self.note(
                    peer,
                    "this is TLS, which is not spoken here: switch TLS or SSL off in the encoder",
                );
                answer_and_close(incoming.into_parts().0, b"").await;
            }
            Ok(Opening::Audio) => {
                let why = "this is audio without a login: the encoder sent no password";
                self.note(peer, why);
                answer_and_close(incoming.into_parts().0, &answers::bad_request(why)).await;
            }
            Err(failure) => self.misunderstood(incoming.into_parts().0, peer, &failure).await,
        }
    }

    /// Answers what is no request.
    async fn misunderstood(&self, socket: TcpStream, peer: SocketAddr, failure: &Failure) {
        let why = failure.to_string();
        match failure {
            Failure::Gone => return,
            Failure::Late { .. } | Failure::Malformed(HeadError::NotHttp) => self.note(peer, &why),
            Failure::Malformed(_) => self.note(peer, &format!("the request was not understood: {why}")),
        }
        answer_and_close(socket, &answers::bad_request(&why)).await;
    }

    /// Logs and remembers what was no source.
    fn note(&self, peer: SocketAddr, reason: &str) {
        tracing::info!(%peer, reason, "a connection to the source port was refused");
        let asked = Asked::new(peer, Protocol::Unknown);
        self.mounts.strangers().refused(asked, reason.to_owned(), self.clock.now().wall);
    }

    /// Logs and remembers a refused source that guessed at `account`, and waits before it is answered: the longer, the more wrong passwords came
    /// from its address.
    async fn refuse(&self, asked: Asked, denied: &Denied, account: Account<'_>) {
        let reason = history::cut(&denied.refusal.to_string());
        let history = self.history_of(denied.mount.as_deref());
        let (peer, now) = (asked.peer, self.clock.now());
        tracing::info!(%peer, mount = asked.mount, user = asked.user, reason, "source refused");
        history.refused(asked, reason, now.wall);
        self.throttle.punish(peer.ip(), account, now.mono).await;
    }

    /// Remembers a source that has sent no password: the first try of libshout, on purpose.
    fn challenge(&self, asked: Asked, denied: &Denied) {
        let (reason, now) = (denied.refusal.to_string(), self.clock.now().wall);
        match &denied.mount {
            Some(mount) => mount.history().challenged(asked, reason, now),
            None => self.mounts.strangers().refused(asked, reason, now),
        }
    }

    fn history_of<'a>(&'a self, mount: Option<&'a Mount>) -> &'a History {
        mount.map_or(self.mounts.strangers(), Mount::history)
    }

    /// What a source says that it will send, if that is not framed here: it is refused before it sends.
    fn find_foreign(&self, asked: &Asked, announced: &Announced, mount: &Mount) -> Option<Foreign> {
        let foreign = Foreign::of_type(announced.content_type.as_deref()?)?;
        let reason = foreign.to_string();
        tracing::info!(peer = %asked.peer, mount = mount.key(), reason, "source refused");
        mount.history().refused(asked.clone(), reason, self.clock.now().wall);
        Some(foreign)
    }

    /// A place for a source, unless all are taken.
    fn find_place(&self, asked: &Asked, mount: &Mount) -> Option<SemaphorePermit<'_>> {
        let sources_max = *self.sources_max.get();
        let place = self.places.try_acquire().ok();
        // The limit may change while sources are connected.
        let place = place.filter(|_| PLACES_MAX - self.places.available_permits() <= sources_max);
        if place.is_none() {
            let reason = format!("too many sources are connected: limits.sources_max is {sources_max}");
            tracing::warn!(peer = %asked.peer, reason, "source refused");
            mount.history().refused(asked.clone(), reason, self.clock.now().wall);
        }
        place
    }

    /// Reads a source to its end. `first` came before it was let in.
    async fn read(&self, socket: TcpStream, first: Bytes, guest: Guest<'_>) {
        let reading = Reading::begin(&self.reading);
        let Guest { mount, source, asked, place, body } = guest;
        let limits = limits_of(&mount);
        let mut reader = Reader::new(socket, Content { body, titles: None, first }, limits, self.clock);
        let key = mount.key().to_owned();
        if self.pauser.pause().is_asked() {
            let source = Arc::clone(&source);
            let paused = PausedSource { mount: key.clone(), source, reader, is_known: false };
            match self.give(paused) {
                Some(paused) => reader = paused.reader,
                None => return,
            }
        }
        let Some(output) = mount.add(Arc::clone(&source)).await else { return };
        mount.history().connected(asked, Arc::clone(&source), self.clock.now().wall);
        // The mount may end while its source goes on to its own end.
        drop(mount);
        self.read_on(key, reader, output, Some(place), reading).await;
    }

    async fn read_on(
        &self,
        key: String,
        mut reader: Reader<TcpStream>,
        output: Output,
        place: Option<SemaphorePermit<'_>>,
        reading: Reading<'_>,
    ) {
        let ends_itself = reader.ends_itself();
        let source = Arc::clone(&output.source);
        let (end, socket) = loop {
            match reader.run(self.clock, &output, self.pauser.pause()).await {
                Ran::Ended(end, socket) => {
                    output.ended(end.clone()).await;
                    break (end, socket);
                }
                Ran::Paused(paused) => {
                    let (mount, source) = (key.clone(), Arc::clone(&source));
                    match self.give(PausedSource { mount, source, reader: *paused, is_known: true }) {
                        Some(paused) => reader = paused.reader,
                        None => return,
                    }
                }
            }
        };
        if let Some(mount) = self.mounts.find(&key) {
            mount.history().ended(&source, end.clone(), self.clock.now().wall);
        }
        if ends_itself && end == End::Closed {
            // It waits for the end of the answer; bytes that came behind its audio must not take that away.
            drop((place, reading));
            answer_and_close(socket, b"").await;
        }
    }

    /// Lets nobody read any source any more; they come out of what is returned, sooner or later. Says whether all that were
    /// read stopped within `time`.
    pub async fn pause(&self, time: Duration) -> (mpsc::UnboundedReceiver<PausedSource>, bool) {
        let (give, paused) = mpsc::unbounded_channel();
        *self.paused.lock() = Some(give);
        self.pauser.ask(true);
        let has_paused =
            timeout(time, self.reading.subscribe().wait_for(|reading| *reading == 0)).await.is_ok();
        (paused, has_paused)
    }

    /// Takes the pause back.
    pub fn go_on(&self) {
        self.pauser.ask(false);
        *self.paused.lock() = None;
    }

    /// Gives a paused source to whoever asked for it; it comes back if the pause was taken back by then.
    fn give(&self, source: PausedSource) -> Option<PausedSource> {
        match &*self.paused.lock() {
            Some(paused) => {
                // Whoever asked may be gone; then the process ends.
                let _ = paused.send(source);
                None
            }
            None => Some(source),
        }
    }

    /// Reads on a source that was paused, of this process or another.
    pub async fn resume(self: &Arc<Self>, paused: PausedSource) {
        let PausedSource { mount: key, source, reader, is_known } = paused;
        let Some(mount) = self.mounts.find(&key) else {
            tracing::warn!(mount = key, source = %source, "a source's mount is there no more");
            return;
        };
        let output = if is_known { Some(mount.output(source)) } else { mount.add(source).await };
        let Some(output) = output else { return };
        let door = Arc::clone(self);
        task::spawn("source connection", async move {
            let reading = Reading::begin(&door.reading);
            // One that was let in has its place, whatever the setting is now.
            let place = door.places.try_acquire().ok();
            door.read_on(key, reader, output, place, reading).await;
        });
    }
}

/// What a source of `mount` is held to.
pub fn limits_of(mount: &Mount) -> Limits {
    Limits { silence_max: mount.silence_max(), hint: mount.config().format }
}

/// Counts a source while it is read.
struct Reading<'a>(&'a watch::Sender<usize>);

impl<'a> Reading<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Reading(count)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Writes an answer that lets a source in; false if it was not taken.
async fn welcome(socket: &mut TcpStream, answer: &[u8]) -> bool {
    matches!(timeout(ANSWER_TIME, socket.write_all(answer)).await, Ok(Ok(())))
}
