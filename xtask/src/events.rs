//! Waiting for sockets: what the load and the null writer share.

use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::AsFd;

/// What comes within `time`, at most `events_max` events of one wake-up; nothing if a signal came first.
///
/// # Errors
/// As the kernel's.
pub fn wait(epoll: impl AsFd, time: Duration, events_max: usize) -> anyhow::Result<Vec<epoll::Event>> {
    let timeout = Timespec::try_from(time)?;
    let mut events = Vec::with_capacity(events_max);
    match epoll::wait(epoll, spare_capacity(&mut events), Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(events),
        Err(error) => Err(error.into()),
    }
}
