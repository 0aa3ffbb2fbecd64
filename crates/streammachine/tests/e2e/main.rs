//! The whole server, started on free ports and spoken to in bytes: sources, listeners, the rewind buffer, faults, the
//! API and the commands. Nothing here uses the server's own crates.

mod air;
mod answers;
mod api;
mod commands;
mod connections;
mod crowds;
mod directories;
mod faces;
mod faults;
mod harness;
mod hls;
mod icecast;
mod import;
mod keeping;
mod listeners;
mod playlists;
mod programs;
mod rewind;
mod shoutcast;
mod sources;
mod spans;
mod titles;
