//! Audio framing: bytes become frames, frames become dated chunks.
//!
//! Everything here is pure: no I/O, no clock, no async. Time comes in as [`Now`], bytes as slices.
//! The way: [`Parser`] (bytes → [`Batch`]es of whole frames) → [`Chunker`] (batches → [`Chunk`]s on the
//! stream's time line). What does not belong here: files, sockets, and who listens.

pub mod adts;
mod chunk;
mod chunker;
pub mod container;
mod format;
mod found;
mod frames;
pub mod id3;
pub mod mpeg;
mod parser;
mod time;
mod timeline;

pub use chunk::Chunk;
pub use chunker::{ChunkConfig, Chunker};
pub use format::{Codec, Format};
pub use found::Found;
pub use frames::{Batch, Frame};
pub use parser::{Parser, ParserStats, frames_in};
pub use time::{Mono, Now, Time};
