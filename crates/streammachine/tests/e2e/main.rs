//! The whole server, started on free ports and spoken to in bytes: sources, listeners, the rewind buffer, faults, the
//! API and the commands. Nothing here uses the server's own crates.

mod air;
mod answers;
mod api;
mod browsers;
mod commands;
mod crowds;
mod encoders;
mod faults;
mod harness;
mod keeping;
mod listeners;
mod players;
mod programs;
mod rewind;
mod sources;
mod studio;
mod titles;
