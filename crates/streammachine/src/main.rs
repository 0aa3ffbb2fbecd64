//! StreamMachine: a live audio server for radio that keeps hours of each stream, so that listeners can start anywhere
//! in them. See ARCHITECTURE.md for the way of the audio through these modules.

mod admin;
mod base;
mod cli;
mod commands;
mod config;
mod directory;
mod handoff;
mod hls;
mod http;
mod listener;
mod mount;
mod server;
mod source;
mod stream;

use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("streammachine: {error:#}");
            ExitCode::FAILURE
        }
    }
}
