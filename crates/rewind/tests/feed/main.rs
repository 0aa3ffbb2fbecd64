//! Feeds from outside: a simulated station, a simulated clock, and listeners that take what they are given.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

mod ends;
mod framing;
mod handoff;
mod losses;
mod pacing;
mod simulation;
mod starts;
mod station;
mod switching;
