//! What plays while nobody is connected, and how another process plays on.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::task as tasks;
use crate::config::Upstream;
use crate::source::reader::Limits;
use crate::source::{Origin, Output, Place, SourceState, builtin, file, proxy};

/// What plays while nobody is connected.
#[derive(Clone, Debug)]
pub enum Fallback {
    /// The built-in programme.
    Programme {
        /// Zone of the time that it tells.
        zone: TimeZone,
        /// How much of it is given at its first start, dated into the past.
        lead_in: Duration,
    },
    /// A file, again and again.
    File(PathBuf),
    /// The stream of another server.
    Proxy {
        /// Its address.
        upstream: Upstream,
        /// How it is watched.
        limits: Limits,
    },
}

/// A fallback as plain data, for another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FallbackState {
    pub source: SourceState,
    /// Where it goes on.
    pub place: Place,
}

/// A fallback that is about to play, from some place on.
#[derive(Debug)]
pub enum Player {
    Programme(TimeZone, builtin::Place),
    File(PathBuf, Option<file::Place>),
    Proxy(Upstream, Limits, Option<Box<proxy::Connected>>),
}

impl Fallback {
    /// What a source of it says it is.
    pub fn origin(&self) -> Origin {
        match self {
            Fallback::Programme { .. } => Origin::Programme,
            Fallback::File(path) => Origin::File(path.clone()),
            Fallback::Proxy { upstream, .. } => Origin::Proxy(upstream.clone()),
        }
    }

    /// From its start; the programme with its lead-in if it is the `first` time.
    pub fn start(&self, first: bool, clock: Clock) -> Player {
        match self.clone() {
            Fallback::Programme { zone, lead_in } => {
                let lead_in = if first { lead_in } else { Duration::ZERO };
                Player::Programme(zone, builtin::Place::start(lead_in, clock))
            }
            Fallback::File(path) => Player::File(path, None),
            Fallback::Proxy { upstream, limits } => Player::Proxy(upstream, limits, None),
        }
    }

    /// From `place` on, where another process stopped; a `socket` came along if there was one. None if that was another
    /// kind of fallback, or its connection cannot be read on.
    pub fn resume(&self, place: Place, socket: Option<OwnedFd>) -> Option<Player> {
        match (self.clone(), place) {
            (Fallback::Programme { zone, .. }, Place::Programme(place)) => {
                Some(Player::Programme(zone, place))
            }
            (Fallback::File(path), Place::File(place)) => Some(Player::File(path, Some(place))),
            (Fallback::Proxy { upstream, limits }, Place::Proxy(reader)) => {
                let paused = proxy::Paused { reader, socket: socket? };
                let resumed = paused.resume(limits).inspect_err(|error| {
                    tracing::warn!(%upstream, %error, "a connection could not be taken over: asking anew");
                });
                Some(Player::Proxy(upstream, limits, Some(Box::new(resumed.ok()?))))
            }
            _ => None,
        }
    }
}

impl Player {
    /// Plays to `output`, for the mount of that id, in a task of its own; what lets it pause if it has a connection.
    pub fn play(self, mount: Uuid, clock: Clock, output: Output) -> Option<proxy::Control> {
        match self {
            Player::Programme(zone, place) => {
                tasks::spawn("programme", builtin::run(zone, place, clock, output));
                None
            }
            Player::File(path, place) => {
                tasks::spawn("file", async move { file::run(&path, place, clock, output).await });
                None
            }
            Player::Proxy(upstream, limits, connected) => {
                let (control, pausing) = proxy::Control::new();
                let ask = proxy::Wanted { upstream, limits, mount };
                tasks::spawn("proxy", proxy::run(ask, connected.map(|it| *it), clock, output, pausing));
                Some(control)
            }
        }
    }
}
