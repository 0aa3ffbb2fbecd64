//! The whole server, started on free ports and spoken to in bytes: sources, listeners, the rewind buffer, faults, the
//! API and the commands. Nothing here uses the server's own crates.

mod air;
mod answers;
mod api;
mod browsers;
mod commands;
mod connections;
mod crowds;
mod directories;
mod disks;
mod encoders;
mod faces;
mod faults;
mod harness;
mod hls;
mod hls_players;
mod icecast;
mod import;
mod keeping;
mod listeners;
mod players;
mod playlists;
mod programs;
mod rewind;
mod rewind_command;
mod shoutcast;
mod shoutcast_programs;
mod sources;
mod spans;
mod studio;
mod titles;
