//! What is said on sockets: request heads, what encoders and listeners ask, ICY, playlists.
//!
//! Pure: no I/O, no clock, no async. The current instant comes in as a `jiff::Timestamp`. What does not belong here:
//! which mounts and streams there are, and what is done about a request.

pub mod announced;
pub mod auth;
pub mod chunked;
pub mod head;
pub mod hls;
pub mod host;
pub mod icy;
pub mod instant;
pub mod key;
pub mod listen;
pub mod metadata;
pub mod path;
pub mod playlist;
pub mod range;
pub mod shoutcast;
pub mod source;
pub mod text;
pub mod upstream;
