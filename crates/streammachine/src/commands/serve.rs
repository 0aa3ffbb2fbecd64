//! `streammachine serve`: loads the configuration, starts the server, ends it on a signal.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::base::task;
use crate::config::Loaded;
use crate::server;

/// Serves until a signal ends it.
pub fn run(loaded: Loaded) -> anyhow::Result<()> {
    crate::commands::logging::start(&loaded.settings);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        // Registered before anybody is told that the server is ready: a signal before that would end the process as
        // if there were no handler.
        let signals = Signals::register().context("cannot register signal handlers")?;
        task::spawn("signals", signals.watch(stop.clone()));
        server::run(loaded.settings, stop).await
    })
}

/// The signals that mean something to the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn watch(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => tracing::warn!("SIGHUP has no effect yet: stop and start the server to reload"),
            }
        }
        tracing::info!("stopping");
        stop.cancel();
    }
}
