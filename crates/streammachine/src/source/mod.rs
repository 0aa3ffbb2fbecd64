//! Sources: what gives audio to a mount. Each kind is a task that frames its bytes and reports batches of frames.
//!
//! Here are the facts about one source and the door by which it reports. Who of several is on air is the mount's.

pub mod builtin;
pub mod chain;
pub mod file;
pub mod foreign;
pub mod pace;
pub mod programme;
pub mod proxy;
pub mod reader;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use audio::{Batch, Format, Time};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::announced::Announced;
use wire::icy::Metadata;
use wire::metadata::clean;

use crate::config::Upstream;

/// Where a source's audio comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// An encoder that connected to the source port.
    Icecast {
        /// Its address.
        peer: SocketAddr,
        /// Its `User-Agent`, empty if it sent none.
        agent: String,
    },
    /// An encoder that speaks SHOUTcast v1.
    Shoutcast {
        /// Its address.
        peer: SocketAddr,
        /// Its `User-Agent`, empty if it sent none.
        agent: String,
    },
    /// A file played again and again at its real pace.
    File(PathBuf),
    /// The programme that ships with the server.
    Programme,
    /// The stream of another server, asked for again whenever it ends.
    Proxy(#[serde(with = "in_full")] Upstream),
}

/// Upstreams for another process of ours, with their passwords.
mod in_full {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::config::Upstream;

    pub fn serialize<S: Serializer>(upstream: &Upstream, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(upstream.in_full())
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Upstream, D::Error> {
        let address = String::deserialize(deserializer)?;
        Upstream::parse(&address).ok_or_else(|| D::Error::custom("no address of an upstream"))
    }
}

/// One source: facts that its task keeps up to date and others read.
#[derive(Debug)]
pub struct Source {
    /// Names it in the API.
    pub id: Uuid,
    /// Where its audio comes from.
    pub origin: Origin,
    /// The DJ who sends it, if one logged in under an own name.
    pub dj: Option<String>,
    /// What it says of its station.
    pub announced: Announced,
    /// When it connected.
    pub connected_at: Time,
    /// Ends its task.
    pub stop: CancellationToken,
    is_fallback: bool,
    format: Mutex<Option<Format>>,
    metadata: Mutex<Option<Metadata>>,
    upstreams: Mutex<Arc<[Uuid]>>,
    last_audio_us: AtomicI64,
    bytes: AtomicU64,
}

/// A source as plain data, for another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceState {
    id: Uuid,
    origin: Origin,
    dj: Option<String>,
    announced: Announced,
    connected_at: Time,
    format: Option<Format>,
    last_audio: Time,
    bytes: u64,
    #[serde(default)]
    is_fallback: bool,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    upstreams: Vec<Uuid>,
}

/// Why a source ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// It closed its connection, or its file ended.
    #[error("the source closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No audio came for so long.
    #[error("no audio for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came was no audio that can be framed.
    #[error("no MP3 or AAC frame within {} s of the first byte", .0.as_secs())]
    NoAudio(Duration),
    /// What came is known, and is not framed here.
    #[error(transparent)]
    Foreign(#[from] foreign::Foreign),
    /// What should be ICY metadata is none.
    #[error("there are no titles where `icy-metaint` says")]
    Garbled,
    /// The operator, a change of configuration or the end of the process stopped it.
    #[error("stopped by the server")]
    Stopped,
}

/// Where a source goes on that plays by itself: behind the frames that it gave last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Place {
    /// The built-in programme.
    Programme(builtin::Place),
    /// A file.
    File(file::Place),
    /// The stream of another server: a [`reader::ReaderState`], whose connection comes with it.
    Proxy(serde_json::Value),
}

/// What a source's task tells its mount.
#[derive(Debug)]
pub enum Report {
    /// Whole frames, in order, and where it goes on behind them, if another process can.
    Frames(Vec<Batch>, Option<Box<Place>>),
    /// What it plays from here on, as told in its audio.
    Metadata(Metadata),
    /// It lost its connection and will make another: frames that follow do not continue those before.
    Interrupted,
    /// It ended; nothing follows.
    Ended(End),
}

/// The way from a source to its mount. Bounded: a mount that is busy slows its sources down.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whose reports these are.
    pub source: Arc<Source>,
    reports: mpsc::Sender<(Uuid, Report)>,
}

impl Source {
    /// A source that just connected.
    #[cfg(test)]
    pub fn new(origin: Origin, connected_at: Time) -> Arc<Self> {
        Self::of_encoder(Uuid::new_v4(), origin, None, Announced::default(), connected_at)
    }

    /// A source called `id` that just connected and told of itself.
    pub fn of_encoder(
        id: Uuid,
        origin: Origin,
        dj: Option<String>,
        announced: Announced,
        connected_at: Time,
    ) -> Arc<Self> {
        Arc::new(Source { id, dj, announced, ..Self::blank(origin, connected_at) })
    }

    /// One that plays only while nobody else does.
    pub fn of_fallback(origin: Origin, connected_at: Time) -> Arc<Self> {
        Arc::new(Source { is_fallback: true, ..Self::blank(origin, connected_at) })
    }

    fn blank(origin: Origin, connected_at: Time) -> Self {
        Source {
            id: Uuid::new_v4(),
            origin,
            dj: None,
            announced: Announced::default(),
            connected_at,
            stop: CancellationToken::new(),
            is_fallback: false,
            format: Mutex::new(None),
            metadata: Mutex::new(None),
            upstreams: Mutex::new(Arc::default()),
            last_audio_us: AtomicI64::new(connected_at.0),
            bytes: AtomicU64::new(0),
        }
    }

    /// The source for another process.
    pub fn state(&self) -> SourceState {
        SourceState {
            id: self.id,
            origin: self.origin.clone(),
            dj: self.dj.clone(),
            announced: self.announced.clone(),
            connected_at: self.connected_at,
            format: self.format(),
            last_audio: self.last_audio(),
            bytes: self.audio_bytes(),
            is_fallback: self.is_fallback,
            metadata: self.metadata(),
            upstreams: self.upstreams().to_vec(),
        }
    }

    /// A source that was connected to another process.
    pub fn resume(state: SourceState) -> Arc<Self> {
        let SourceState { id, origin, dj, announced, connected_at, is_fallback, .. } = state;
        let source = Source { id, dj, announced, is_fallback, ..Self::blank(origin, connected_at) };
        *source.format.lock() = state.format;
        *source.metadata.lock() = state.metadata;
        *source.upstreams.lock() = state.upstreams.into();
        source.last_audio_us.store(state.last_audio.0, Ordering::Relaxed);
        source.bytes.store(state.bytes, Ordering::Relaxed);
        Arc::new(source)
    }

    /// Notes that `bytes` of frames of `format` came.
    pub fn heard(&self, format: Format, bytes: u64, now: Time) {
        *self.format.lock() = Some(format);
        self.last_audio_us.store(now.0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Format of its latest frames; none before the first, and none while it has lost its connection.
    pub fn format(&self) -> Option<Format> {
        *self.format.lock()
    }

    /// False while it has lost its connection and asks for another.
    pub fn is_connected(&self) -> bool {
        !matches!(self.origin, Origin::Proxy(_)) || self.format().is_some()
    }

    /// When its latest frames came, or when it connected.
    pub fn last_audio(&self) -> Time {
        Time(self.last_audio_us.load(Ordering::Relaxed))
    }

    /// Bytes of audio so far.
    pub fn audio_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// True for one that plays only while nobody else does.
    pub fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// The mounts that its audio comes from, here and on other servers, as far as they have told.
    pub fn upstreams(&self) -> Arc<[Uuid]> {
        Arc::clone(&self.upstreams.lock())
    }

    /// What it said last of what it plays, in its audio.
    pub fn metadata(&self) -> Option<Metadata> {
        self.metadata.lock().clone()
    }
}

impl std::fmt::Display for Source {
    /// As the original's API names sources.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origin {
            Origin::Icecast { peer, .. } => write!(f, "Icecast ({peer})"),
            Origin::Shoutcast { peer, .. } => write!(f, "SHOUTcast ({peer})"),
            Origin::File(path) => write!(f, "File ({})", path.display()),
            Origin::Programme => write!(f, "Programme (builtin)"),
            Origin::Proxy(upstream) => write!(f, "Proxy ({upstream})"),
        }
    }
}

impl Output {
    /// The way of `source` into `reports`.
    pub fn new(source: Arc<Source>, reports: mpsc::Sender<(Uuid, Report)>) -> Self {
        Output { source, reports }
    }

    /// Gives frames on, waiting while the mount is busy. False when the mount is gone.
    pub async fn frames(&self, batches: Vec<Batch>, now: Time) -> bool {
        self.give(batches, None, now).await
    }

    /// The same of a source that goes on at `place` behind them.
    pub async fn frames_up_to(&self, place: Place, batches: Vec<Batch>, now: Time) -> bool {
        self.give(batches, Some(Box::new(place)), now).await
    }

    async fn give(&self, batches: Vec<Batch>, place: Option<Box<Place>>, now: Time) -> bool {
        if let Some(last) = batches.last() {
            let bytes: usize = batches.iter().map(|batch| batch.data.len()).sum();
            self.source.heard(last.format, bytes as u64, now);
        } else if place.is_none() {
            return true;
        }
        self.reports.send((self.source.id, Report::Frames(batches, place))).await.is_ok()
    }

    /// Tells what is played from here on, unless that was said before. False when the mount is gone.
    pub async fn metadata(&self, said: Metadata) -> bool {
        let said = Metadata { title: clean(&said.title), url: clean(&said.url) };
        {
            let mut last = self.source.metadata.lock();
            // Until it has said something, that there is no title says nothing.
            if last.as_ref().unwrap_or(&Metadata::default()) == &said {
                return true;
            }
            *last = Some(said.clone());
        }
        self.reports.send((self.source.id, Report::Metadata(said))).await.is_ok()
    }

    /// Notes the mounts that its audio comes from, before any of it is given on.
    pub fn fed_by(&self, upstreams: Arc<[Uuid]>) {
        *self.source.upstreams.lock() = upstreams;
    }

    /// Tells that the connection was lost and will be made anew. False when the mount is gone.
    pub async fn interrupted(&self) -> bool {
        *self.source.format.lock() = None;
        self.reports.send((self.source.id, Report::Interrupted)).await.is_ok()
    }

    /// Tells that the source ended.
    pub async fn ended(&self, end: End) {
        // A mount that is gone needs no telling.
        let _ = self.reports.send((self.source.id, Report::Ended(end))).await;
    }
}
