//! Where log messages go: standard error, one line each, so that standard output stays for what was asked.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::Settings;

/// Starts logging as configured; `RUST_LOG` has the last word.
pub fn start(settings: &Settings) {
    let Some(level) = settings.log_level() else { return };
    // Whoever asks an upstream tells why its certificate is refused, and how often that is told.
    let quiet = format!("{level},rustls_platform_verifier=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
