//! What two processes say to each other while everything goes from one to the other.
//!
//! ```text
//!   new                                 old
//!    │ Hello ──────────────────────────▶ │
//!    │ ◀──────────────────────── Welcome │  or Refused
//!    │ Give ───────────────────────────▶ │  the old one stops where it is
//!    │ ◀─── Port, Mount, Stream, Source, Listeners …, End
//!    │ Ready ──────────────────────────▶ │  the new one has everything, and does nothing yet
//!    │ ◀───────────────────────── Commit │
//!    │ Serving ────────────────────────▶ │  from here on the new one serves, and the old one never again
//!    │ ◀──────────── Connection, Source … what is kept or was being let in
//! ```
//!
//! Until `Serving` the old one takes everything back if the new one says nothing for a while, or dies.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::clock::ClockState;
use crate::base::net::Role;
use crate::listener::delivery::ListenerState;
use crate::mount::MountState;
use crate::source::SourceState;
use crate::stream::StreamState;

/// Version of all that is said here. It rises when something is said that an older process would misunderstand; the old
/// process refuses another version, and goes on.
pub const VERSION: u32 = 1;

/// The new process introduces itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of what it speaks.
    pub version: u32,
    /// Version of the program.
    pub program: String,
}

/// The old one answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Welcome {
    /// It will give everything when asked.
    Accepted {
        /// Version of the program.
        program: String,
        /// Its clock, which all moments in what it gives are of.
        clock: ClockState,
    },
    /// It will not.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What else the new one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It is ready for everything: give.
    Give,
    /// It has everything.
    Ready,
    /// It serves.
    Serving,
}

/// What the old one gives; the descriptors that belong to it come with it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Part {
    /// A socket that listens.
    Port(Role),
    /// A mount, with the connection of its fallback if that has one.
    Mount {
        /// Its key.
        key: String,
        /// What it is at.
        state: MountState,
    },
    /// A stream, with the files of its log.
    Stream {
        /// Its key.
        key: String,
        /// What it is at.
        state: Box<StreamState>,
        /// Most listeners at once, and how many ever came.
        history: (usize, u64),
    },
    /// A source, with its connection.
    Source {
        /// Key of its mount.
        mount: String,
        /// What is known of it.
        source: Box<SourceState>,
        /// How far it was read: a `ReaderState`.
        reader: Value,
        /// Whether its mount knows of it.
        is_known: bool,
    },
    /// Listeners, with their connections.
    Listeners(Vec<ListenerState>),
    /// That was all.
    End,
    /// The new one may serve.
    Commit,
    /// A connection whose request has been read and not answered, or that waits for its next one.
    Connection {
        /// The port that it came to.
        role: Role,
        /// Its other end.
        peer: SocketAddr,
        /// All bytes that came and were not answered.
        bytes: Bytes,
        /// Answers went over it before.
        #[serde(default)]
        is_kept: bool,
    },
}
