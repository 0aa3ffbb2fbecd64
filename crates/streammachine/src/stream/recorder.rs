//! The thread of a stream: it cuts what is on air into chunks and writes them into the log.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use audio::{Chunk, ChunkConfig, Chunker, Now};
use bytes::Bytes;
use rewind::dump::DumpError;
use rewind::{Handed, Prepended, Writer};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use wire::icy::Metadata;
use wire::metadata::clean;

use crate::base::clock::Clock;
use crate::config::StreamConfig;
use crate::mount::Event;

/// Audio in a chunk: that of a part of a segment (`hls/parts.rs`). About half a second keeps live edges fresh and the index
/// small, 1.4 % of 64 kbit/s in memory and on disk together; how often listeners are written to is another matter.
const CHUNK: Duration = Duration::from_millis(512);
/// Without a deadline of its own the thread looks up this often.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream's thread is given.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on air.
    Air(Event, Now),
    /// What is played from now on.
    Metadata(Metadata),
    /// What is shown while no source tells anything.
    DefaultMetadata(Metadata),
    /// How much is kept.
    Keep { keep: Duration, bytes_max: u64 },
    /// Write what is held: the server is about to end.
    Finish(oneshot::Sender<()>),
    /// Forget all audio.
    Clear(oneshot::Sender<()>),
    /// Tell what another process needs to go on, and write nothing until told to go on: it may write.
    Hand(oneshot::Sender<io::Result<(Handed, RecorderState)>>),
    /// The other process never will.
    GoOn,
    /// Put a dump behind the oldest audio.
    Load(Bytes, oneshot::Sender<Result<Prepended, DumpError>>),
}

/// What a stream's thread holds besides the log, as plain data.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecorderState {
    /// Audio that is not in the log yet, and how it is dated.
    chunker: Chunker,
    segment: Duration,
    heard_at: Now,
}

pub(super) struct Recorder {
    writer: Writer,
    chunker: Chunker,
    clock: Clock,
    default_metadata: Metadata,
    accepts_metadata: bool,
    accepts_upstream: bool,
    degraded: bool,
    /// The latest moment that the chunker was told.
    heard_at: Now,
    grew: Arc<Notify>,
    segment: Duration,
    chunks: Vec<Chunk>,
    /// Whether another process may write the log.
    is_handed: bool,
    /// Whether the chunker cuts for segments of another length than is set by now.
    is_recut: bool,
}

/// What a stream shows while no source tells anything.
pub(super) fn default_metadata(config: &StreamConfig) -> Metadata {
    Metadata { title: clean(&config.meta_title), url: clean(&config.meta_url) }
}

impl Recorder {
    pub(super) fn new(
        mut writer: Writer,
        config: &StreamConfig,
        segment: Duration,
        clock: Clock,
        grew: Arc<Notify>,
    ) -> Self {
        let chunker = Chunker::new(ChunkConfig { chunk: CHUNK, segment }, writer.last_end());
        writer.set_metadata(default_metadata(config), clock.now().wall);
        Recorder {
            writer,
            chunker,
            clock,
            default_metadata: default_metadata(config),
            accepts_metadata: config.accept_source_meta != Some(false),
            accepts_upstream: config.accept_source_meta == Some(true),
            degraded: false,
            heard_at: clock.now(),
            grew,
            segment,
            chunks: Vec::new(),
            is_handed: false,
            is_recut: false,
        }
    }

    /// Goes on where another process stopped, when it is told to: until then that process may go on itself.
    pub(super) fn resume(
        writer: Writer,
        config: &StreamConfig,
        segment: Duration,
        clock: Clock,
        grew: Arc<Notify>,
        begun: Option<RecorderState>,
    ) -> Self {
        let shown = writer.log().metadata();
        let mut recorder = Recorder::new(writer, config, segment, clock, grew);
        recorder.writer.set_metadata(shown, clock.now().wall);
        if let Some(begun) = begun {
            recorder.is_recut = begun.segment != segment;
            recorder.chunker = begun.chunker;
            recorder.heard_at = begun.heard_at;
        }
        recorder.is_handed = true;
        recorder
    }

    fn state(&self) -> RecorderState {
        RecorderState { chunker: self.chunker.clone(), segment: self.segment, heard_at: self.heard_at }
    }

    /// Runs until every handle of the stream is gone.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) {
        loop {
            if self.is_handed {
                match inputs.recv() {
                    Ok(Input::GoOn) => self.go_on(),
                    // Whoever asks for something hears that the stream has ended.
                    Ok(_) => {}
                    Err(_) => return,
                }
                continue;
            }
            let now = self.clock.mono();
            let patience = self.chunker.deadline().map_or(PATIENCE, |deadline| deadline.since(now));
            match inputs.recv_timeout(patience) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {
                    self.heard_at = self.clock.now();
                    self.chunker.poll(self.heard_at, &mut self.chunks);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write();
        }
        self.chunker.finish(self.clock.now(), &mut self.chunks);
        self.write();
    }

    fn go_on(&mut self) {
        self.is_handed = false;
        if std::mem::take(&mut self.is_recut) {
            self.chunker.finish(self.clock.now(), &mut self.chunks);
            self.write();
            let config = ChunkConfig { chunk: CHUNK, segment: self.segment };
            self.chunker = Chunker::new(config, self.writer.last_end());
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Air(event, now) => self.hear(event, now),
            Input::Metadata(metadata) => self.writer.set_metadata(metadata, self.clock.now().wall),
            Input::DefaultMetadata(metadata) => {
                if metadata != self.default_metadata {
                    self.default_metadata = metadata.clone();
                    self.writer.set_metadata(metadata, self.clock.now().wall);
                }
            }
            Input::Keep { keep, bytes_max } => self.writer.set_keep(keep, bytes_max),
            Input::Finish(reply) => {
                self.chunker.finish(self.clock.now(), &mut self.chunks);
                self.write();
                // Whoever asked may be gone.
                let _ = reply.send(());
            }
            Input::Clear(reply) => {
                self.writer.clear();
                // Whoever asked may be gone.
                let _ = reply.send(());
            }
            Input::Hand(reply) => {
                let handed = self.writer.hand().map(|log| (log, self.state()));
                self.is_handed = handed.is_ok();
                // Whoever asked may be gone.
                let _ = reply.send(handed);
            }
            Input::GoOn => {}
            Input::Load(dump, reply) => {
                let _ = reply.send(self.writer.load(&dump));
            }
        }
    }

    fn hear(&mut self, event: Event, now: Now) {
        // It may have waited while the clock was looked at.
        let now = if now.mono < self.heard_at.mono { self.heard_at } else { now };
        self.heard_at = now;
        match event {
            Event::Started => self.chunker.source_started(now, &mut self.chunks),
            Event::Frames(batches) => {
                batches.iter().for_each(|batch| self.chunker.push(batch, now, &mut self.chunks));
            }
            Event::Metadata(told) => {
                if self.accepts_metadata {
                    self.writer.set_metadata(told.unwrap_or_else(|| self.default_metadata.clone()), now.wall);
                }
            }
            Event::UpstreamMetadata(metadata) => {
                if self.accepts_upstream {
                    self.writer.set_metadata(metadata, now.wall);
                }
            }
            Event::Stopped => self.chunker.finish(now, &mut self.chunks),
        }
    }

    fn write(&mut self) {
        if self.chunks.is_empty() {
            return;
        }
        for chunk in self.chunks.drain(..) {
            self.writer.append(&chunk);
        }
        self.grew.notify_waiters();
        self.watch_health();
    }

    fn watch_health(&mut self) {
        let problem = self.writer.health().problem();
        let (stream, on_disk) = (self.writer.key(), self.writer.has_directory());
        match (problem, self.degraded) {
            (Some(reason), false) if on_disk => {
                tracing::error!(
                    stream,
                    reason,
                    "the rewind buffer cannot be written to disk: kept in memory only"
                );
            }
            (Some(reason), false) => {
                tracing::error!(
                    stream,
                    reason,
                    "no memory file for the rewind buffer: kept in small pieces of memory"
                );
            }
            (None, true) if on_disk => {
                tracing::warn!(stream, "the rewind buffer is written to disk again");
            }
            (None, true) => tracing::warn!(stream, "the rewind buffer is kept in memory files again"),
            _ => {}
        }
        self.degraded = problem.is_some();
    }
}
