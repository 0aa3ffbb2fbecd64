//! Faults that tests ask for at a step of a handoff, by the variable `STREAMMACHINE_FAULT`: `exit@STEP` ends the process
//! there as a kill would, `stop@STEP` stops it. Nothing of it is in a release build.

/// Another patience than that of [`PATIENCE`], by the variable `STREAMMACHINE_PATIENCE_MS`.
///
/// [`PATIENCE`]: super::channel::PATIENCE
pub fn patience() -> Option<std::time::Duration> {
    let millis = cfg!(debug_assertions).then(|| std::env::var("STREAMMACHINE_PATIENCE_MS").ok()).flatten()?;
    millis.parse().ok().map(std::time::Duration::from_millis)
}

/// Does what was asked for at `step`.
pub fn at(step: &str) {
    #[cfg(debug_assertions)]
    {
        let Ok(wanted) = std::env::var("STREAMMACHINE_FAULT") else { return };
        let Some((fault, place)) = wanted.split_once('@') else { return };
        let signal = match fault {
            _ if place != step => return,
            "exit" => rustix::process::Signal::KILL,
            _ => rustix::process::Signal::STOP,
        };
        tracing::info!(step, fault, "a fault was asked for");
        // One that cannot be raised shows in the test that asked for it.
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        // Any thread may be the one that takes it: this one goes no further meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    #[cfg(not(debug_assertions))]
    let _ = step;
}
