//! What the service manager is told: systemd, or the runner in its place. Nothing where nobody asked for it
//! (`NOTIFY_SOCKET`).

use std::time::Duration;

use sd_notify::NotifyState;

/// Environment variable by which the runner says that a server is to end when its standard input does: a runner that is
/// killed leaves no server behind, which would own ports and sources beside the next one.
pub const LIFELINE: &str = "STREAMMACHINE_LIFELINE";

/// Everything serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What is served goes on while it changes; [`ready`] ends that.
pub fn reloading() {
    // systemd wants to know since when: it must be no earlier than its own signal.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The end has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What people read who ask for the service's status.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The start takes so much longer, counted from now.
pub fn extend_start(by: Duration) {
    let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// A sign of life, which [`watchdog`] says how often is wanted.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Within which time a sign of life is wanted; none where nobody waits for one.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
