//! Listeners: clients hearing a stream. What they ask for becomes a feed; the fast path takes it to their socket.

pub mod answer;
mod count;
pub mod delivery;
pub mod opening;
pub mod program;
pub mod roster;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use audio::Mono;
use rewind::Position;
use serde::{Deserialize, Serialize};

use crate::listener::roster::{Entry, Roster};
use crate::stream::Stream;

/// All listeners together, against the number that the machine has descriptors for.
#[derive(Debug)]
pub struct Audience {
    seated: AtomicUsize,
    seats: AtomicUsize,
    /// Seats that the machine has.
    seats_max: usize,
}

/// A place in the audience, given back when dropped.
#[derive(Debug)]
pub struct Seat(Arc<Audience>);

/// One listener's hearing of a stream: counted and listed as long as it lasts.
#[derive(Debug)]
pub struct Hearing {
    stream: Arc<Stream>,
    roster: Arc<Roster>,
    entry: Arc<Entry>,
    sent_bytes: u64,
    /// What was due at once, with its head.
    burst_bytes: u64,
    has_taken_more: bool,
    _seat: Seat,
}

/// A hearing as plain data, for another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HearingState {
    /// Number of the listener.
    pub id: u64,
    /// Where it comes from.
    pub ip: IpAddr,
    /// Its user agent.
    pub agent: String,
    /// The page that led to it.
    pub referer: Option<String>,
    /// When it connected.
    pub since: Mono,
    sent_bytes: u64,
    burst_bytes: u64,
    has_taken_more: bool,
}

/// Room for the response head and blocks of metadata, which are sent with the burst.
const HEAD_BYTES: u64 = 4096;

impl Audience {
    /// An audience of at most `seats_max` listeners.
    pub fn new(seats_max: usize) -> Arc<Self> {
        Arc::new(Audience { seated: AtomicUsize::new(0), seats: AtomicUsize::new(seats_max), seats_max })
    }

    /// Sets how many listeners are let in, no more than the machine has seats for; none is as many. Whoever is seated stays.
    pub fn set_limit(&self, limit: Option<usize>) {
        self.seats.store(limit.unwrap_or(self.seats_max).min(self.seats_max), Ordering::Relaxed);
    }

    /// A seat, if one is free.
    pub fn seat(self: &Arc<Self>) -> Option<Seat> {
        let free = |seated| (seated < self.seats()).then_some(seated + 1);
        self.seated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Seat(Arc::clone(self)))
    }

    /// Listeners that there may be at once.
    pub fn seats(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    /// True while no seat is free.
    pub fn is_full(&self) -> bool {
        self.seated.load(Ordering::Relaxed) >= self.seats()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seated.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hearing {
    /// Counts a listener of `stream`, whom the roster has entered.
    fn new(
        stream: Arc<Stream>,
        seat: Seat,
        roster: Arc<Roster>,
        entry: Arc<Entry>,
        burst_bytes: u64,
    ) -> Self {
        stream.listener_came();
        tracing::debug!(stream = stream.key(), id = entry.id, "a listener came");
        let burst_bytes = burst_bytes.saturating_add(HEAD_BYTES);
        Hearing { stream, roster, entry, sent_bytes: 0, burst_bytes, has_taken_more: false, _seat: seat }
    }

    /// Goes on with a hearing of another process.
    fn resume(
        stream: Arc<Stream>,
        seat: Seat,
        roster: Arc<Roster>,
        entry: Arc<Entry>,
        state: &HearingState,
    ) -> Self {
        let mut hearing = Hearing::new(stream, seat, roster, entry, 0);
        hearing.sent_bytes = state.sent_bytes;
        hearing.burst_bytes = state.burst_bytes;
        hearing.has_taken_more = state.has_taken_more;
        hearing
    }

    /// The hearing for another process.
    pub fn state(&self) -> HearingState {
        HearingState {
            id: self.entry.id,
            ip: self.entry.ip,
            agent: self.entry.agent.to_string(),
            referer: self.entry.referer.as_ref().map(ToString::to_string),
            since: self.entry.since,
            sent_bytes: self.sent_bytes,
            burst_bytes: self.burst_bytes,
            has_taken_more: self.has_taken_more,
        }
    }

    /// Number of the listener.
    pub fn id(&self) -> u64 {
        self.entry.id
    }

    /// The stream that is heard.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// True once the listener is to be closed.
    pub fn is_dismissed(&self) -> bool {
        self.entry.is_dismissed()
    }

    /// Notes bytes that were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.stream.sent(bytes);
        self.sent_bytes += bytes as u64;
        if self.sent_bytes > self.burst_bytes && !self.has_taken_more {
            self.has_taken_more = true;
            self.entry.note_taken_more();
        }
    }

    /// Tells the roster how much was sent, and that the listener is at `position`.
    pub fn tell(&self, position: Position) {
        self.entry.tell(self.sent_bytes, position);
    }

    /// Counts and lists the listener with another stream.
    fn move_over(&mut self, to: Arc<Stream>) {
        self.roster.move_over(&self.entry, &self.stream, &to);
        self.stream.listener_left();
        to.listener_came();
        self.stream = to;
    }

    /// True if so many bytes, due and unsent, are too many. The burst is no sign of slowness: nobody takes it at once.
    pub fn is_too_slow(&self, due_bytes: u64) -> bool {
        let burst_left = self.burst_bytes.saturating_sub(self.sent_bytes);
        due_bytes > self.stream.config().max_buffer.saturating_add(burst_left)
    }

    /// Counts a listener that was given up because it was too slow.
    pub fn note_slow(&self) {
        self.stream.note_slow_listener();
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        tracing::debug!(stream = self.stream.key(), id = self.entry.id, "a listener left");
        self.roster.leave(&self.entry, &self.stream);
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

    #[test]
    fn a_new_limit_counts_for_those_who_come() {
        let audience = Audience::new(2);
        let seats = [audience.seat().unwrap(), audience.seat().unwrap()];
        audience.set_limit(Some(1));
        drop(seats);
        let _seat = audience.seat().unwrap();
        assert!(audience.seat().is_none() && audience.is_full());
        for (limit, seats) in [(Some(5), 2), (Some(1), 1), (None, 2)] {
            audience.set_limit(limit);
            assert_eq!(audience.seats(), seats);
        }
    }
}
