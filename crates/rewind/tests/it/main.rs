//! The rewind log from outside, through its public API alone; on disk and in memory. Feeds have tests of their own.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

mod common;
mod concurrency;
mod crash;
mod degraded;
mod dump;
mod eviction;
mod handoff;
mod look;
mod prepend;
mod reading;
mod recovery;
mod segments;
mod titles;
