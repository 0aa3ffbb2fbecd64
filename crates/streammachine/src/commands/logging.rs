//! Where log messages go: standard error, one line each, so that standard output stays for what was asked.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::Settings;

/// Starts logging as configured; `RUST_LOG` has the last word.
pub fn start(settings: &Settings) {
    let Some(level) = settings.log_level() else { return };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
