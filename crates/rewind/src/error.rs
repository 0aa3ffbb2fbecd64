//! What can go wrong where a caller decides about it. Failing writes of audio are not here: they degrade the store.

use std::{io, path::PathBuf};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key cannot be the name of a directory.
    #[error(
        "stream key {key:?} cannot name a directory: expected 1 to 64 of A-Z a-z 0-9 . _ - without a dot in front"
    )]
    Key {
        /// The key as given.
        key: String,
    },
    /// Another process, or another log of this one, has the directory.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The stream's directory.
        path: PathBuf,
    },
    /// The directory or its lock file could not be made or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being opened.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What another process handed over cannot be used.
    #[error("the rewind buffer that was handed over cannot be used: {source}")]
    Handed {
        /// Why.
        source: io::Error,
    },
}

/// Why older audio could not be put behind what a log holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrependError {
    /// The positions or numbers below the oldest audio do not suffice.
    #[error("no room for {bytes} bytes of older audio before position {first}")]
    NoRoom {
        /// Bytes of the older audio.
        bytes: u64,
        /// Position of the oldest audio in the log.
        first: crate::Position,
    },
    /// All of it overlaps what the log holds, or is older than what is kept.
    #[error("nothing of it is older than the log's audio and young enough to be kept")]
    NothingOlder,
    /// The store refused it; the log is as it was before.
    #[error("older audio could not be stored: {reason}")]
    Store {
        /// What the system says.
        reason: String,
    },
}
