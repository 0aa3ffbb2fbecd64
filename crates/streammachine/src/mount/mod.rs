//! Mounts: where sources send audio, and who of them is on air.
//!
//! One task owns a mount. Others send it commands, watch its state, or tap what is on air. A mount does not know
//! what its audio is used for.

pub mod admission;
pub mod door;
mod fallback;
pub mod history;
mod order;
pub mod reception;
pub mod registry;
mod task;
mod titles;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use audio::{Batch, Now};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use wire::icy::Metadata;
use wire::text::Charset;

use crate::base::clock::Clock;
use crate::base::task as tasks;
use crate::config::MountConfig;
use crate::mount::fallback::FallbackState;
use crate::mount::history::History;
use crate::mount::titles::{Title, Titles};
use crate::source::{Output, Report, Source};

pub use fallback::Fallback;
pub use titles::Sender;

/// Reports of sources and commands that may wait for a mount; beyond that, sources are slowed down.
const QUEUE_MAX: usize = 16;

/// What a mount is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its configuration.
    pub config: MountConfig,
    /// A source is cut after so long without audio.
    pub silence_max: Duration,
    /// What plays while nobody is connected.
    pub fallback: Option<Fallback>,
}

/// What happens on air.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another source goes on air, or the same begins anew; frames that follow are its.
    Started,
    /// Whole frames of the source on air.
    Frames(Arc<[Batch]>),
    /// What the source on air told last of what it plays; none if it has told nothing.
    Metadata(Option<Metadata>),
    /// What the source on air plays, told in its audio: by an upstream.
    UpstreamMetadata(Metadata),
    /// Nobody is on air any more.
    Stopped,
}

/// Takes what happens on air, and when, so that all streams of a mount date it alike; must not block. False ends it.
pub type Tap = Box<dyn FnMut(&Event, Now) -> bool + Send>;

/// The sources of a mount, the one on air first.
pub type Line = Arc<[Arc<Source>]>;

enum Command {
    Add(Arc<Source>),
    Expect(Uuid, Sender),
    Withdraw(Uuid),
    Metadata(Sender, Metadata),
    Tap(Tap),
    /// A tap that has heard all so far.
    Join(Tap),
    /// Tell what another process needs to go on, and hear nothing more until told to go on.
    Hand(oneshot::Sender<Handed>),
    GoOn(oneshot::Sender<()>),
    /// Go on where another process stopped.
    Restore(Box<Handed>, Vec<Arc<Source>>),
    End,
}

/// A mount as plain data, for another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountState {
    /// Its id: who pulls it goes on, and still knows it by that.
    #[serde(default = "Uuid::new_v4")]
    id: Uuid,
    /// Ids of its live sources in their order.
    pub sources: Vec<Uuid>,
    /// The source on air.
    on_air: Option<Uuid>,
    titles: Titles,
    shown: Option<Title>,
    /// The fallback that plays.
    #[serde(default)]
    fallback: Option<Box<FallbackState>>,
}

/// A mount for another process: what it is at, and the connection of its fallback if that has one that can go along.
#[derive(Debug)]
pub struct Handed {
    /// What it is at.
    pub state: MountState,
    /// The connection.
    pub socket: Option<OwnedFd>,
}

/// A handle to a mount; its task lives as long as one of these or a source does.
#[derive(Debug)]
pub struct Mount {
    key: String,
    id: RwLock<Uuid>,
    config: RwLock<Arc<MountConfig>>,
    silence_max: Duration,
    commands: mpsc::Sender<Command>,
    reports: mpsc::Sender<(Uuid, Report)>,
    line: watch::Receiver<Line>,
    history: History,
}

impl Mount {
    /// Starts a mount, which hears nothing until [`Mount::go_on`].
    pub fn start(settings: Settings, clock: Clock) -> Arc<Self> {
        let (commands, inbox) = mpsc::channel(QUEUE_MAX);
        let (reports, outcomes) = mpsc::channel(QUEUE_MAX);
        let (announce, line) = watch::channel(Line::from([]));
        let Settings { config, silence_max, fallback } = settings;
        let key = config.key.clone();
        let id = Uuid::new_v4();
        let task = task::Task::new(key.clone(), id, fallback, clock, reports.clone(), announce);
        tasks::spawn("mount", task.run(inbox, outcomes));
        let config = RwLock::new(Arc::new(config));
        let history = History::default();
        Arc::new(Mount { key, id: RwLock::new(id), config, silence_max, commands, reports, line, history })
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Names it to other servers, among all mounts of all of them.
    pub fn id(&self) -> Uuid {
        *self.id.read()
    }

    /// Its path on the source port.
    pub fn path(&self) -> String {
        format!("/{}", self.key)
    }

    /// What came of the latest connections to it.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Its configuration at this moment.
    pub fn config(&self) -> Arc<MountConfig> {
        Arc::clone(&self.config.read())
    }

    /// Character set of titles that are no UTF-8 and name none.
    pub fn charset(&self) -> Charset {
        self.config().charset.unwrap_or_default()
    }

    /// Takes over a changed configuration; sources that are connected stay.
    pub fn set_config(&self, config: MountConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// A source is cut after so long without audio.
    pub fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Its sources at this moment, the one on air first.
    pub fn line(&self) -> Line {
        Arc::clone(&self.line.borrow())
    }

    /// The first source in line that is there: an upstream that is down is none. An encoder may have sent no frame yet.
    pub fn on_air(&self) -> Option<Arc<Source>> {
        self.line().first().filter(|source| source.is_connected()).cloned()
    }

    /// Tells that a source of `sender` is let in and about to be added, under the returned id. What it tells of what it
    /// plays may come first: encoders send that as soon as they are let in, over another connection.
    pub async fn expect(&self, sender: Sender) -> Uuid {
        let id = Uuid::new_v4();
        // A mount that has ended takes no source either.
        let _ = self.commands.send(Command::Expect(id, sender)).await;
        id
    }

    /// Tells that the source that was to be added as `id` does not come.
    pub async fn withdraw(&self, id: Uuid) {
        // A mount that has ended waits for none.
        let _ = self.commands.send(Command::Withdraw(id)).await;
    }

    /// Adds a source; its task reports through what is returned. None if the mount has ended.
    pub async fn add(&self, source: Arc<Source>) -> Option<Output> {
        self.commands.send(Command::Add(Arc::clone(&source))).await.ok()?;
        Some(Output::new(source, self.reports.clone()))
    }

    /// `teller` tells what is being played by the source that it speaks for. False if the mount has ended.
    pub async fn set_metadata(&self, teller: Sender, metadata: Metadata) -> bool {
        self.commands.send(Command::Metadata(teller, metadata)).await.is_ok()
    }

    /// The way of a source that it knows already.
    pub fn output(&self, source: Arc<Source>) -> Output {
        Output::new(source, self.reports.clone())
    }

    /// What another process needs to go on with it, when all that sources gave has been passed on. It hears nothing more
    /// until [`Mount::go_on`]. None if the mount has ended.
    pub async fn hand(&self) -> Option<Handed> {
        let (reply, handed) = oneshot::channel();
        self.commands.send(Command::Hand(reply)).await.ok()?;
        handed.await.ok()
    }

    /// Hears what it was told since its start or [`Mount::hand`], and goes on.
    pub async fn go_on(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::GoOn(reply)).await.is_ok() {
            // A mount that has ended hears nothing.
            let _ = done.await;
        }
    }

    /// Goes on where another process stopped, with those of its live sources that are still there.
    pub async fn restore(&self, handed: Handed, sources: Vec<Arc<Source>>) {
        *self.id.write() = handed.state.id;
        // As above.
        let _ = self.commands.send(Command::Restore(Box::new(handed), sources)).await;
    }

    /// Lets `tap`, which has heard all so far, hear what happens on air from now on.
    pub async fn join(&self, tap: Tap) -> bool {
        self.commands.send(Command::Join(tap)).await.is_ok()
    }

    /// Lets `tap` hear what happens on air from now on.
    pub async fn tap(&self, tap: Tap) -> bool {
        self.commands.send(Command::Tap(tap)).await.is_ok()
    }

    /// Stops all sources and starts none any more; returns when all they gave has been passed on.
    pub async fn end(&self) {
        let mut line = self.line.clone();
        if self.commands.send(Command::End).await.is_ok() {
            // An error says that the mount has ended already.
            let _ = line.wait_for(|line| line.is_empty()).await;
        }
    }
}
