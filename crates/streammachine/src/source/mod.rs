//! Sources: what gives audio to a mount. Each kind is a task that frames its bytes and reports batches of frames.
//!
//! Here are the facts about one source and the door by which it reports. Who of several is on air is the mount's.

pub mod builtin;
pub mod file;
pub mod foreign;
pub mod pace;
pub mod programme;
pub mod reader;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use audio::{Batch, Format, Time};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::announced::Announced;

/// Where a source's audio comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    format: Mutex<Option<Format>>,
    last_audio_us: AtomicI64,
    bytes: AtomicU64,
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
    /// The operator, a change of configuration or the end of the process stopped it.
    #[error("stopped by the server")]
    Stopped,
}

/// What a source's task tells its mount.
#[derive(Debug)]
pub enum Report {
    /// Whole frames, in order.
    Frames(Vec<Batch>),
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
        Arc::new(Source {
            id,
            origin,
            dj,
            announced,
            connected_at,
            stop: CancellationToken::new(),
            format: Mutex::new(None),
            last_audio_us: AtomicI64::new(connected_at.0),
            bytes: AtomicU64::new(0),
        })
    }

    /// Notes that `bytes` of frames of `format` came.
    pub fn heard(&self, format: Format, bytes: u64, now: Time) {
        *self.format.lock() = Some(format);
        self.last_audio_us.store(now.0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Format of its latest frames; none before the first.
    pub fn format(&self) -> Option<Format> {
        *self.format.lock()
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
        matches!(self.origin, Origin::File(_) | Origin::Programme)
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
        let Some(last) = batches.last() else { return true };
        let bytes: usize = batches.iter().map(|batch| batch.data.len()).sum();
        self.source.heard(last.format, bytes as u64, now);
        self.reports.send((self.source.id, Report::Frames(batches))).await.is_ok()
    }

    /// Tells that the source ended.
    pub async fn ended(&self, end: End) {
        // A mount that is gone needs no telling.
        let _ = self.reports.send((self.source.id, Report::Ended(end))).await;
    }
}
