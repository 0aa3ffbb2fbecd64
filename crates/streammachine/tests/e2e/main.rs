//! The whole server, started on free ports and spoken to in bytes: sources, listeners, the rewind buffer, faults, the
//! API and the commands. Nothing here uses the server's own crates.

mod air;
mod answers;
mod api;
mod commands;
mod connections;
mod crowds;
mod faults;
mod harness;
mod keeping;
mod listeners;
mod programs;
mod rewind;
mod shoutcast;
mod sources;
mod titles;
