//! Where log messages go: standard error, one line each, so that standard output stays for what was asked.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::admin::reload::SetLogLevel;
use crate::config::Settings;

/// Starts logging as configured; `RUST_LOG` has the last word on the level. What is returned sets the level from then on.
pub fn start(settings: &Settings) -> SetLogLevel {
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter(settings.log_level()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter_reloading();
    let handle = logging.reload_handle();
    logging.init();
    Box::new(move |level| {
        // Fails only if there is no logging any more.
        let _ = handle.reload(filter(level));
    })
}

fn filter(level: Option<&'static str>) -> EnvFilter {
    let Some(level) = level else { return EnvFilter::new("off") };
    // Whoever asks an upstream tells why its certificate is refused, and how often that is told.
    let quiet = format!("{level},rustls_platform_verifier=off");
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet))
}
