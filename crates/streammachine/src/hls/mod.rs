//! HTTP Live Streaming: the rewind buffer as playlists and segments, for players that fetch. Nothing is kept beside the
//! log but finished texts, the latest bodies in other containers, and who fetched lately.
//!
//! ```text
//!   log ─▶ lines (once per segment) ─▶ playlist (once per version) ─▶ answer
//!     │                parts of the newest ──┘
//!     └──▶ segment: time stamp + slices of the blocks ──────────────▶ answer
//! ```

pub mod answer;
mod bodies;
mod coding;
mod cues;
mod dateranges;
mod group;
mod hold;
mod lines;
mod parts;
mod places;
mod playlist;
mod program;
mod segment;
mod sessions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use audio::Mono;
use parking_lot::Mutex;
use regex::Regex;
use uuid::Uuid;

use crate::base::gate::Gate;
use crate::base::live::Live;
use crate::stream::Stream;
use bodies::Bodies;
use places::Places;
use playlist::{Playlists, Rule};
use sessions::Sessions;

/// What a player that is not given the whole playlist is shown.
const SHORT_WINDOW: Duration = Duration::from_secs(120);

/// Players that have fetched nothing for this long, and for so many segments, are gone: they ask once a segment.
const QUIET_MIN: Duration = Duration::from_secs(30);
const QUIET_SEGMENTS: u32 = 3;

/// What is set of HTTP Live Streaming.
#[derive(Clone, Debug)]
pub struct HlsConfig {
    /// Length of a segment.
    pub segment: Duration,
    /// How much of the past a playlist shows; none is all.
    pub window: Option<Duration>,
    /// User agents that are shown all of it, others the last two minutes; none shows everybody the same.
    pub full_index: Option<Regex>,
}

/// What is kept of one stream.
#[derive(Debug)]
struct OfStream {
    playlists: Playlists,
    bodies: Bodies,
    sessions: Sessions,
}

/// HTTP Live Streaming of all streams.
#[derive(Debug)]
pub struct Hls {
    config: Live<HlsConfig>,
    streams: Mutex<HashMap<Uuid, Arc<OfStream>>>,
    /// Requests that may wait for a segment or a part at once.
    held: Places,
    /// When everything is given to another process, what is waited for comes there.
    gate: Arc<Gate>,
}

impl Hls {
    /// Playlists as `config` says.
    pub fn new(config: Live<HlsConfig>, gate: Arc<Gate>) -> Self {
        Hls { config, streams: Mutex::default(), held: Places::default(), gate }
    }

    fn depends_on_agent(&self) -> bool {
        self.config.get().full_index.is_some()
    }

    /// How many players have fetched anything of `stream` within the last half minute, or three segments.
    pub fn listeners(&self, stream: &Stream, now: Mono) -> usize {
        self.of(stream).sessions.count(now)
    }

    fn of(&self, stream: &Stream) -> Arc<OfStream> {
        let segment = self.config.get().segment;
        let make = || OfStream {
            playlists: Playlists::new(segment),
            bodies: Bodies::default(),
            sessions: Sessions::new(QUIET_MIN.max(segment * QUIET_SEGMENTS)),
        };
        Arc::clone(self.streams.lock().entry(stream.id()).or_insert_with(|| Arc::new(make())))
    }

    fn rule(&self, agent: &str) -> Rule {
        let config = self.config.get();
        let is_short = config.full_index.as_ref().is_some_and(|full| !full.is_match(agent));
        let short = is_short.then_some(SHORT_WINDOW);
        let window = match (config.window, short) {
            (Some(window), Some(short)) => Some(window.min(short)),
            (window, short) => window.or(short),
        };
        Rule { target: config.segment, window }
    }
}
