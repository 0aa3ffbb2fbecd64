//! `cargo xtask`: benchmarks, load, and checks of the repository. Each subcommand is one module; nothing of the server
//! is linked in.

mod bench;
mod events;
mod fuzz;
mod layers;
mod load;
mod null_writer;
mod stats;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;

/// Benchmarks, load and checks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Listen many times to a running server and report what it costs and loses
    Load(load::Options),
    /// Measure this server against a null writer and Icecast
    Bench(bench::Options),
    /// Write the same bytes to every listener: the least any server can do
    NullWriter(null_writer::Options),
    /// Check layer order, crate order and file sizes
    CheckLayers,
    /// Run every fuzz target for a while
    Fuzz(fuzz::Options),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Load(options) => load::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::NullWriter(options) => null_writer::run(&options),
        Command::CheckLayers => layers::run(),
        Command::Fuzz(options) => fuzz::run(&options),
    }
}

/// The repository this program was built from.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Allows this process, and its children, as many descriptors as the system permits.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the descriptor limit")
}
