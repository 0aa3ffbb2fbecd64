//! `streammachine runner`: starts the server, starts it again after a crash, and replaces it by a new one that takes over.
//!
//! ```text
//!   signals, watched file ─┐
//!   words of servers ──────┼─▶ plan (what next) ─▶ supervisor (does it) ─▶ servers
//!   ends of servers ───────┘                              └─▶ service manager
//! ```

mod child;
mod place;
mod plan;
mod supervisor;
mod watch;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::{self, Command, RunnerArgs};
use crate::config::{Sources, load};
use child::Recipe;
use place::Place;
use supervisor::{Signals, Supervisor};

/// Name of the socket at which servers hand over.
const HANDOFF_SOCKET: &str = "handoff";

/// Keeps a server running until a signal ends both.
///
/// # Errors
/// The configuration or an option is wrong, or the machine refuses a socket or a directory.
pub fn run(args: &RunnerArgs, sources: Sources) -> anyhow::Result<()> {
    let sources = with_server_options(sources, &args.server)?;
    if let Some(title) = &args.title {
        // What `ps` and `top` show; the kernel cuts it at 15 bytes. Without /proc it stays as it is.
        let _ = std::fs::write("/proc/self/comm", title);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before anything else: a first process of a container has no other way to be ended.
        let mut signals = Signals::register().context("cannot register signal handlers")?;
        if let Some(file) = &args.watch
            && !supervisor::wait_for(file, &mut signals).await
        {
            return Ok(());
        }
        // A mistake is told now, not by one server after another.
        let loaded = load(&sources)?;
        // What the runner says is little, and its level stays.
        let _ = crate::commands::logging::start(&loaded.settings);
        let place = Place::make(&place::parents())?;
        let name = std::env::args_os().next();
        let recipe = Recipe {
            program: place::program(name.as_deref(), std::env::var_os("PATH").as_deref())?,
            arguments: server_arguments(&sources, &place.path(HANDOFF_SOCKET)),
            title: args.title.clone(),
        };
        Supervisor::start(recipe, place, args.watch.clone()).run(signals).await;
        Ok(())
    })
}

/// The settings of the runner's command line and those behind `--`, which are for the server alone.
fn with_server_options(mut sources: Sources, server: &[OsString]) -> anyhow::Result<Sources> {
    let line = std::iter::once(OsString::from("streammachine")).chain(server.iter().cloned());
    let inner = cli::parse(line).unwrap_or_else(|error| error.exit());
    if !matches!(inner.cli.command, None | Some(Command::Serve)) {
        bail!("only options of `serve` can stand behind --");
    }
    sources.args.extend(inner.settings);
    sources.file = inner.cli.config.or(sources.file);
    Ok(sources)
}

fn server_arguments(sources: &Sources, handoff: &Path) -> Vec<String> {
    let file = sources.file.as_ref().map(|file| format!("--config={}", file.display()));
    let settings = sources.args.iter().map(|(name, value)| format!("--{name}={value}"));
    let handoff = format!("--handoff:socket={}", handoff.display());
    file.into_iter().chain(settings).chain([handoff]).collect()
}
