//! `streammachine serve`: loads the configuration, starts the server, ends it on a signal.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
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
        task::spawn("signals", watch_signals(stop.clone()));
        server::run(loaded.settings, stop).await
    })
}

async fn watch_signals(stop: CancellationToken) {
    let listen = |kind| signal(kind).expect("the runtime has its signal driver");
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let mut hangup = listen(SignalKind::hangup());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => tracing::warn!("SIGHUP has no effect yet: stop and start the server to reload"),
        }
    }
    tracing::info!("stopping");
    stop.cancel();
}
