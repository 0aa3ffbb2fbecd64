//! What the tests and benchmarks of all crates share: numbered audio, a source client, a listener client, and the
//! server as a child process.
//!
//! Tests only, and none of the other crates: what is checked here is checked by other code than that under test. All
//! sockets block and all waits have a deadline; a broken expectation panics with what was received.

pub mod audio;
pub mod connection;
pub mod directory;
pub mod icy;
pub mod listener;
pub mod proc;
pub mod process;
pub mod programs;
pub mod server;
pub mod sound_card;
pub mod source;
pub mod tone;
pub mod upstream;
pub mod wait;
