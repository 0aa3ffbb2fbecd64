//! Listeners: clients hearing a stream. What they ask for becomes a feed; the fast path or the HTTP server's body
//! takes it to their socket.

pub mod answer;
pub mod body;
pub mod delivery;
pub mod opening;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::stream::Stream;

/// All listeners together, against the number that the machine has descriptors for.
#[derive(Debug)]
pub struct Audience {
    seated: AtomicUsize,
    seats: usize,
}

/// A place in the audience, given back when dropped.
#[derive(Debug)]
pub struct Seat(Arc<Audience>);

/// One listener's hearing of a stream: counted as long as it lasts.
#[derive(Debug)]
pub struct Hearing {
    stream: Arc<Stream>,
    _seat: Seat,
    burst_bytes: u64,
}

impl Audience {
    /// An audience of at most `seats` listeners.
    pub fn new(seats: usize) -> Arc<Self> {
        Arc::new(Audience { seated: AtomicUsize::new(0), seats })
    }

    /// A seat, if one is free.
    pub fn seat(self: &Arc<Self>) -> Option<Seat> {
        let free = |seated| (seated < self.seats).then_some(seated + 1);
        self.seated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Seat(Arc::clone(self)))
    }

    /// True while no seat is free.
    pub fn is_full(&self) -> bool {
        self.seated.load(Ordering::Relaxed) >= self.seats
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seated.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hearing {
    /// Counts a listener of `stream`, to whom `burst_bytes` are due at once.
    pub fn new(stream: Arc<Stream>, seat: Seat, burst_bytes: u64) -> Self {
        stream.listener_came();
        tracing::debug!(stream = stream.key(), "a listener came");
        Hearing { stream, _seat: seat, burst_bytes }
    }

    /// Notes bytes that were sent.
    pub fn sent(&self, bytes: usize) {
        self.stream.sent(bytes);
    }

    /// True if so many bytes, due and unsent, are too many. The burst is no sign of slowness: nobody takes it at once.
    pub fn is_too_slow(&self, due_bytes: u64) -> bool {
        due_bytes > self.stream.config().max_buffer.saturating_add(self.burst_bytes)
    }

    /// Counts a listener that was given up because it was too slow.
    pub fn note_slow(&self) {
        self.stream.note_slow_listener();
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        tracing::debug!(stream = self.stream.key(), "a listener left");
        self.stream.listener_left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_audience_takes_the_next_when_one_has_left() {
        let audience = Audience::new(2);
        let first = audience.seat().unwrap();
        let _second = audience.seat().unwrap();
        assert!(audience.seat().is_none());
        drop(first);
        assert!(audience.seat().is_some());
    }
}
