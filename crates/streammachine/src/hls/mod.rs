//! HTTP Live Streaming: the rewind buffer as playlists and segments, for players that fetch. Nothing is kept beside the
//! log but finished texts.
//!
//! ```text
//!   log ─▶ lines (once per segment) ─▶ playlist (once per version) ─▶ answer
//!     │                parts of the newest ──┘
//!     └──▶ segment: time stamp + slices of the blocks ──────────────▶ answer
//! ```

pub mod answer;
mod dateranges;
mod group;
mod hold;
mod lines;
mod parts;
mod places;
mod playlist;
mod program;
mod segment;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use regex::Regex;
use uuid::Uuid;

use crate::base::gate::Gate;
use crate::stream::Stream;
use places::Places;
use playlist::{Playlists, Rule};

/// What a player that is not given the whole playlist is shown.
const SHORT_WINDOW: Duration = Duration::from_secs(120);

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

/// HTTP Live Streaming of all streams.
#[derive(Debug)]
pub struct Hls {
    config: HlsConfig,
    playlists: Mutex<HashMap<Uuid, Arc<Playlists>>>,
    /// Requests that may wait for a segment or a part at once.
    held: Places,
    /// When everything is given to another process, nothing is waited for any more.
    gate: Arc<Gate>,
}

impl Hls {
    /// Playlists as `config` says.
    pub fn new(config: HlsConfig, gate: Arc<Gate>) -> Self {
        Hls { config, playlists: Mutex::default(), held: Places::default(), gate }
    }

    fn depends_on_agent(&self) -> bool {
        self.config.full_index.is_some()
    }

    fn playlists(&self, stream: &Stream) -> Arc<Playlists> {
        Arc::clone(
            self.playlists
                .lock()
                .entry(stream.id())
                .or_insert_with(|| Arc::new(Playlists::new(self.config.segment))),
        )
    }

    fn rule(&self, agent: &str) -> Rule {
        let is_short = self.config.full_index.as_ref().is_some_and(|full| !full.is_match(agent));
        let short = is_short.then_some(SHORT_WINDOW);
        let window = match (self.config.window, short) {
            (Some(window), Some(short)) => Some(window.min(short)),
            (window, short) => window.or(short),
        };
        Rule { target: self.config.segment, window }
    }
}
