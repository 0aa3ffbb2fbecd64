//! `streammachine serve`: loads the configuration, starts the server, ends it on a signal.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::reload::Reload;
use crate::base::{service, task};
use crate::config::{Sources, load};
use crate::server;

/// Serves until a signal ends it.
pub fn run(sources: Sources) -> anyhow::Result<()> {
    let loaded = load(&sources)?;
    let set_log_level = crate::commands::logging::start(&loaded.settings);
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
        let reload = Arc::new(Reload::new(sources, &loaded, set_log_level));
        task::spawn("signals", signals.watch(Arc::clone(&reload), stop.clone()));
        watch_lifeline(stop.clone());
        task::spawn("watchdog", give_signs_of_life());
        server::run(loaded.settings, reload, stop).await
    })
}

/// Ends the server when whoever started it is gone, if that is wanted: two servers must not own the same sources.
fn watch_lifeline(stop: CancellationToken) {
    if std::env::var_os(service::LIFELINE).is_none() {
        return;
    }
    // A thread of its own: the runtime waits at its end for what it reads itself.
    std::thread::spawn(move || {
        // An error is no reason to live on either.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::error!("the runner is gone: stopping");
        stop.cancel();
    });
}

async fn give_signs_of_life() {
    let Some(within) = service::watchdog() else { return };
    // Half of the time, as systemd recommends.
    let mut ticks = tokio::time::interval(within / 2);
    loop {
        ticks.tick().await;
        service::alive();
    }
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

    async fn watch(mut self, reload: Arc<Reload>, stop: CancellationToken) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => reload.wanted.notify_one(),
            }
        }
        tracing::info!("stopping");
        service::stopping();
        stop.cancel();
    }
}
