//! The rewind log: hours of a stream as a row of block files, and the ways to read them.
//!
//! One [`Writer`] appends dated chunks and evicts old blocks; any number of readers share a [`Log`] and hold
//! [`Cursor`]s and slices of the mapped files. No sockets, no async, no clock: time comes in as [`audio::Time`], and
//! waking those who wait for more is the caller's part.
//!
//! ```text
//!            first                                                         edge
//!   evicted    │ block │ block │ block │ block │ block being written         │ not yet
//!              └ mapped, finished: never change ┘└ mapped; grows at its end ─┘
//! ```
//!
//! The order inside: positions and numbers → index records → blocks → log and readers → writer, recovery, dumps.

mod block;
mod block_writer;
mod chunks;
mod cursor;
mod disk;
pub mod dump;
mod error;
mod feed;
mod finding;
mod handoff;
mod holder;
mod index;
mod kept_edge;
mod log;
mod look;
mod map;
mod position;
mod prepend;
mod recover;
mod scan;
mod segment;
mod segments;
mod store;
mod titles;
mod writer;

pub use chunks::{ChunkRef, Chunks, Located};
pub use cursor::{Clamp, Cursor, Placed, Run};
pub use dump::DumpError;
pub use error::{OpenError, PrependError};
pub use feed::{
    End, Feed, FeedState, Framing, LATE_US, Lagging, PIECES_MAX, Pace, Pacing, Pieces, Request, Start, Turn,
};
pub use finding::{Fault, Finding, Outcome};
pub use handoff::{Handed, HandedState};
pub use log::{Edge, Log, Span, Usage};
pub use look::{Look, StreamDirectory, find_streams};
pub use position::{Position, SegmentSeq};
pub use prepend::Prepended;
pub use recover::Recovery;
pub use segment::{Segment, SegmentList};
pub use segments::Segments;
pub use titles::MetaEntry;
pub use writer::{Appended, Config, Health, Writer};
