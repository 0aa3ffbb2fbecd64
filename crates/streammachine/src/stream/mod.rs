//! Streams: what listeners hear. One format at a time, one rewind buffer, one metadata line.
//!
//! A stream taps a mount; its own thread cuts what it hears into chunks and writes them into the log. Readers take
//! from the log without asking the stream. A stream does not know who reads it; it is only told how many they are.

pub mod programs;
mod recorder;
pub mod registry;
mod station;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use audio::Now;
use parking_lot::RwLock;
use rewind::dump::DumpError;
use rewind::{Handed, HandedState, Log, OpenError, Prepended, Recovery};
use serde::{Deserialize, Serialize};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;
use wire::icy::Metadata;

use crate::base::clock::Clock;
use crate::base::seldom::Seldom;
use crate::base::task;
use crate::config::StreamConfig;
use crate::mount::{Event, Mount, Tap};
use programs::Programs;
use recorder::{Input, Recorder, RecorderState};

/// What may wait for a stream's thread: half a minute of frames. One that takes longer is stuck in its disk; audio is
/// then lost for this stream only, and counted.
const QUEUE_MAX: usize = 1024;

/// How a stream's log is kept, beside its own configuration.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Directory of all logs; in memory without one.
    pub dir: Option<std::path::PathBuf>,
    /// Zone of streams without one.
    pub zone: jiff::tz::TimeZone,
    /// Segment duration of HTTP Live Streaming; chunks are cut at its multiples.
    pub segment: std::time::Duration,
}

/// A handle to a stream.
#[derive(Debug)]
pub struct Stream {
    key: String,
    id: Uuid,
    config: RwLock<Arc<StreamConfig>>,
    log: Arc<Log>,
    programs: Arc<Programs>,
    clock: Clock,
    mount: Arc<Mount>,
    inbox: SyncSender<Input>,
    listeners: AtomicUsize,
    sent_bytes: AtomicU64,
    lost: AtomicU64,
    slow_listeners: AtomicU64,
    complaint: Seldom,
    grew: Arc<Notify>,
}

/// A stream as plain data, for another process; the files of its log go with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamState {
    mount: String,
    log: HandedState,
    recorder: RecorderState,
    programs: String,
    sent_bytes: u64,
    lost: u64,
    slow_listeners: u64,
}

impl Stream {
    /// Opens the log and starts the stream on its mount.
    ///
    /// # Errors
    /// If there is no log to be had.
    pub async fn start(
        config: StreamConfig,
        keeping: &Keeping,
        mount: Arc<Mount>,
        clock: Clock,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let (writer, log, recovery) = Log::open(log_config(&config, keeping), clock.now().wall)?;
        let grew = Arc::new(Notify::new());
        let recorder = Recorder::new(writer, &config, keeping.segment, clock, Arc::clone(&grew));
        let dir = keeping.dir.as_ref().map(|dir| dir.join(&config.key));
        let now = clock.now().wall;
        let programs = Programs::open(&config, &keeping.zone, Arc::clone(&log), dir.as_deref(), now);
        let stream = Stream::run(config, mount, log, programs, recorder, grew, clock);
        stream.mount.tap(stream.ear()).await;
        Ok((stream, recovery))
    }

    /// Goes on with a stream that another process has handed over, on a mount that has been restored.
    ///
    /// # Errors
    /// If there is no log to be had.
    pub async fn resume(
        config: StreamConfig,
        keeping: &Keeping,
        mount: Arc<Mount>,
        clock: Clock,
        state: StreamState,
        files: Vec<File>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let handed = Handed { state: state.log, files };
        let (writer, log, recovery) = Log::take_over(log_config(&config, keeping), handed, clock.now().wall)?;
        let grew = Arc::new(Notify::new());
        let is_same_mount = state.mount == mount.key();
        // What was begun of another mount's audio is not gone on with.
        let begun = is_same_mount.then_some(state.recorder);
        let recorder = Recorder::resume(writer, &config, keeping.segment, clock, Arc::clone(&grew), begun);
        let dir = keeping.dir.as_ref().map(|dir| dir.join(&config.key));
        let (programs, log_of, now) = (&state.programs, Arc::clone(&log), clock.now().wall);
        let programs = Programs::resume(programs, &config, &keeping.zone, log_of, dir.as_deref(), now);
        let stream = Stream::run(config, mount, log, programs, recorder, grew, clock);
        stream.sent_bytes.store(state.sent_bytes, Ordering::Relaxed);
        stream.lost.store(state.lost, Ordering::Relaxed);
        stream.slow_listeners.store(state.slow_listeners, Ordering::Relaxed);
        if is_same_mount {
            stream.mount.join(stream.ear()).await;
        } else {
            stream.mount.tap(stream.ear()).await;
        }
        Ok((stream, recovery))
    }

    /// Goes on after [`Stream::hand`], which nobody has made use of.
    pub fn go_on(&self) {
        self.programs.go_on();
        // A stream whose thread has ended does not go on.
        let _ = self.inbox.try_send(Input::GoOn);
    }

    fn run(
        config: StreamConfig,
        mount: Arc<Mount>,
        log: Arc<Log>,
        programs: Arc<Programs>,
        recorder: Recorder,
        grew: Arc<Notify>,
        clock: Clock,
    ) -> Arc<Self> {
        task::spawn("programs", Programs::keep(Arc::downgrade(&programs), clock));
        let (inbox, inputs) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name(format!("stream-{}", config.key))
            .spawn(move || recorder.run(&inputs))
            .expect("a thread can be started while the server starts");
        Arc::new(Stream {
            key: config.key.clone(),
            id: Uuid::new_v4(),
            config: RwLock::new(Arc::new(config)),
            log,
            clock,
            programs,
            mount,
            inbox,
            listeners: AtomicUsize::new(0),
            sent_bytes: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            slow_listeners: AtomicU64::new(0),
            complaint: Seldom::default(),
            grew,
        })
    }

    /// Hears what is on air as long as the stream lives.
    fn ear(self: &Arc<Self>) -> Tap {
        let ear = Arc::downgrade(self);
        Box::new(move |event, now| ear.upgrade().is_some_and(|stream| stream.hear(event, now)))
    }

    /// What another process needs to go on with it, when all that its mount told is written or held. The log must not be
    /// written to as long as the other process may.
    pub async fn hand(&self) -> io::Result<(StreamState, Vec<File>)> {
        let gone = || io::Error::other("the stream's thread has ended");
        let (log, recorder) = self.ask(Input::Hand).await.ok_or_else(gone)??;
        let Handed { state, files } = log;
        let state = StreamState {
            mount: self.mount.key().to_owned(),
            log: state,
            recorder,
            programs: self.programs.hand(),
            sent_bytes: self.sent_bytes(),
            lost: self.lost_batches(),
            slow_listeners: self.slow_listeners(),
        };
        Ok((state, files))
    }

    /// Its key: its path without the leading slash.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Names this run of it.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its configuration at this moment.
    pub fn config(&self) -> Arc<StreamConfig> {
        Arc::clone(&self.config.read())
    }

    /// Its rewind buffer.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Its programmes.
    pub fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    /// Where its audio comes from.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Resolves when something was written to the rewind buffer; it counts from this call on.
    pub fn grew(&self) -> Notified<'_> {
        self.grew.notified()
    }

    /// Listeners at this moment.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Counts a listener.
    pub fn listener_came(&self) {
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a listener no more.
    pub fn listener_left(&self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a listener that could not keep up, and says so once in a while.
    pub fn note_slow_listener(&self) {
        let count = self.slow_listeners.fetch_add(1, Ordering::Relaxed) + 1;
        if self.complaint.ready() {
            tracing::warn!(stream = self.key, count, "listeners too slow for the stream were disconnected");
        }
    }

    /// Listeners that could not keep up, since the start.
    pub fn slow_listeners(&self) -> u64 {
        self.slow_listeners.load(Ordering::Relaxed)
    }

    /// Counts bytes sent to a listener.
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes sent to all listeners since the start.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Frames' batches lost because the log could not be written fast enough.
    pub fn lost_batches(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Sets what is being played from the live edge on. False if the stream is stuck.
    pub fn set_metadata(&self, metadata: Metadata) -> bool {
        self.inbox.try_send(Input::Metadata(metadata)).is_ok()
    }

    /// Takes over a changed configuration, as far as it can change while the stream runs.
    pub fn set_config(&self, config: StreamConfig) -> bool {
        let kept = Input::Keep { keep: config.seconds, bytes_max: config.bytes_max() };
        let title = Input::DefaultMetadata(recorder::default_metadata(&config));
        self.programs.set_config(&config, self.clock.now().wall);
        *self.config.write() = Arc::new(config);
        self.inbox.try_send(kept).is_ok() && self.inbox.try_send(title).is_ok()
    }

    /// Empties the rewind buffer.
    pub async fn clear(&self) -> bool {
        self.ask(Input::Clear).await.is_some()
    }

    /// Puts a dump behind the oldest audio.
    pub async fn load(&self, dump: bytes::Bytes) -> Option<Result<Prepended, DumpError>> {
        self.ask(|reply| Input::Load(dump, reply)).await
    }

    /// Writes what is held into the log: the server is about to end.
    pub async fn finish(&self) {
        self.ask(Input::Finish).await;
        self.programs.save().await;
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.try_send(input(reply)).ok()?;
        answer.await.ok()
    }

    /// The mount's tap: never blocks.
    fn hear(&self, event: &Event, now: Now) -> bool {
        match self.inbox.try_send(Input::Air(event.clone(), now)) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                if self.complaint.ready() {
                    tracing::error!(
                        stream = self.key,
                        "the rewind buffer cannot be written fast enough: audio is lost"
                    );
                }
                true
            }
        }
    }
}

fn log_config(config: &StreamConfig, keeping: &Keeping) -> rewind::Config {
    rewind::Config {
        key: config.key.clone(),
        dir: keeping.dir.clone(),
        keep: config.seconds,
        bytes_max: config.bytes_max(),
        segment: keeping.segment,
    }
}
