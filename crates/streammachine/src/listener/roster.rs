//! Who is listening: each connection by a number, so that it can be shown, closed and moved from outside.
//!
//! The fast path tells nothing of its own accord: per tick nothing is done for the roster. Who wants to know how much was
//! sent and how far behind a listener is asks the delivery threads first ([`Delivery::tell`]).
//!
//! [`Delivery::tell`]: crate::listener::delivery::Delivery::tell

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use audio::Mono;
use parking_lot::Mutex;
use rewind::Position;
use uuid::Uuid;
use wire::metadata::clean;

use crate::base::clock::Clock;
use crate::listener::count::Count;
use crate::listener::{Hearing, HearingState, Seat};
use crate::stream::Stream;

/// Bytes kept of a user agent: what names the player and its device is at the front.
const AGENT_BYTES_MAX: usize = 160;
/// User agents kept before it is looked whether somebody still has them.
const AGENTS_MIN: usize = 64;
/// Bytes kept of a referer.
const REFERER_BYTES_MAX: usize = 96;
/// How many addresses there are is counted at most so often: it takes a look at all listeners of a stream.
const UNIQUE_AGAIN: Duration = Duration::from_secs(1);

/// What a request says about who makes it, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Its address; behind a proxy, the one that was forwarded.
    pub ip: IpAddr,
    /// `User-Agent`.
    pub agent: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
}

/// One listener's connection.
#[derive(Debug)]
pub struct Entry {
    /// Its number, of this process; they rise from 1.
    pub id: u64,
    /// Where it comes from.
    pub ip: IpAddr,
    /// Its user agent, cleaned and cut; empty if it names none. Shared by all that say the same.
    pub agent: Arc<str>,
    /// The page that led to it, cleaned and cut.
    pub referer: Option<Box<str>>,
    /// When it connected.
    pub since: Mono,
    sent_bytes: AtomicU64,
    position: AtomicU64,
    has_taken_more: AtomicBool,
    is_dismissed: AtomicBool,
}

/// How many listen to a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Listeners now, where what one player opens at its start counts once.
    pub listeners: usize,
    /// Most of them at once.
    pub peak: usize,
    /// All that ever came.
    pub total: u64,
    /// Addresses that they have, at most a second ago.
    pub addresses: usize,
    /// For how long they have been connected, on average.
    pub average: Duration,
}

/// All listeners by stream.
#[derive(Debug)]
pub struct Roster {
    clock: Clock,
    last_id: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    halls: HashMap<Uuid, Hall>,
    /// User agents that somebody has, and some that nobody has any more.
    agents: HashSet<Arc<str>>,
    /// With so many agents, those that nobody has are forgotten.
    agents_max: usize,
}

/// The listeners of one stream.
#[derive(Debug)]
struct Hall {
    stream: Weak<Stream>,
    entries: BTreeMap<u64, Arc<Entry>>,
    count: Count,
    since_sum_us: u64,
    addresses: (Option<Mono>, usize),
}

impl Entry {
    pub(super) fn new(id: u64, ip: IpAddr, agent: Arc<str>, referer: Option<Box<str>>, since: Mono) -> Self {
        Entry {
            id,
            ip,
            agent,
            referer,
            since,
            sent_bytes: AtomicU64::new(0),
            position: AtomicU64::new(0),
            has_taken_more: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
        }
    }

    /// Bytes sent when that was told last, the response head included.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Where in the stream it was then.
    pub fn position(&self) -> Position {
        Position(self.position.load(Ordering::Relaxed))
    }

    /// True once it was to be closed.
    pub fn is_dismissed(&self) -> bool {
        self.is_dismissed.load(Ordering::Relaxed)
    }

    pub(super) fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, sent_bytes: u64, position: Position) {
        self.sent_bytes.store(sent_bytes, Ordering::Relaxed);
        self.position.store(position.0, Ordering::Relaxed);
    }

    pub(super) fn has_taken_more(&self) -> bool {
        self.has_taken_more.load(Ordering::Relaxed)
    }

    /// Notes that it has taken more than its burst.
    pub(super) fn note_taken_more(&self) {
        self.has_taken_more.store(true, Ordering::Relaxed);
    }
}

impl Roster {
    /// A roster without listeners.
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Roster { clock, last_id: AtomicU64::new(0), state: Mutex::default() })
    }

    /// Enters a listener of `stream`, who is given `burst_bytes` at once; it is listed as long as the hearing lasts.
    pub fn enter(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        seat: Seat,
        who: Who<'_>,
        burst_bytes: u64,
    ) -> Hearing {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let agent = bounded(who.agent.unwrap_or_default(), AGENT_BYTES_MAX);
        let referer = who.referer.map(|referer| bounded(referer, REFERER_BYTES_MAX).into_boxed_str());
        let referer = referer.filter(|referer| !referer.is_empty());
        let now = self.clock.mono();
        let mut state = self.state.lock();
        let agent = state.share(agent);
        let entry = Arc::new(Entry::new(id, who.ip, agent, referer, now));
        state.hall(stream).enter(&entry, now);
        drop(state);
        Hearing::new(Arc::clone(stream), seat, Arc::clone(self), entry, burst_bytes)
    }

    /// Enters a listener of another process again, under its number.
    pub fn readmit(self: &Arc<Self>, stream: &Arc<Stream>, seat: Seat, hearing: &HearingState) -> Hearing {
        self.last_id.fetch_max(hearing.id, Ordering::Relaxed);
        let now = self.clock.mono();
        let mut state = self.state.lock();
        let agent = state.share(hearing.agent.clone());
        let referer = hearing.referer.clone().map(String::into_boxed_str);
        let entry = Arc::new(Entry::new(hearing.id, hearing.ip, agent, referer, hearing.since));
        if hearing.has_taken_more {
            entry.note_taken_more();
        }
        state.hall(stream).enter(&entry, now);
        drop(state);
        Hearing::resume(Arc::clone(stream), seat, Arc::clone(self), entry, hearing)
    }

    /// What is to be remembered of the listeners of `stream` beyond those that are there: the most at once, and how many
    /// ever came.
    pub fn history(&self, stream: &Stream) -> (usize, u64) {
        let counts = self.count(stream);
        (counts.peak, counts.total)
    }

    /// Remembers what another process told by [`Roster::history`], when all listeners have been readmitted.
    pub fn remember(&self, stream: &Arc<Stream>, (peak, total): (usize, u64)) {
        self.state.lock().hall(stream).count.remember(peak, total);
    }

    /// Takes a listener over from one stream to another.
    pub(super) fn move_over(&self, entry: &Arc<Entry>, from: &Stream, to: &Arc<Stream>) {
        let now = self.clock.mono();
        let mut state = self.state.lock();
        state.leave(entry, from, now);
        state.hall(to).enter(entry, now);
    }

    pub(super) fn leave(&self, entry: &Arc<Entry>, stream: &Stream) {
        let now = self.clock.mono();
        let mut state = self.state.lock();
        state.leave(entry, stream, now);
    }

    /// How many listen to `stream`.
    pub fn count(&self, stream: &Stream) -> Counts {
        let now = self.clock.mono();
        self.state.lock().halls.get_mut(&stream.id()).map(|hall| hall.counts(now)).unwrap_or_default()
    }

    /// The listeners of `stream` in the order in which they came.
    pub fn list(&self, stream: &Stream) -> Vec<Arc<Entry>> {
        let state = self.state.lock();
        state.halls.get(&stream.id()).map(|hall| hall.entries.values().cloned().collect()).unwrap_or_default()
    }

    /// The listener of `stream` with this number.
    pub fn find(&self, stream: &Stream, id: u64) -> Option<Arc<Entry>> {
        self.state.lock().halls.get(&stream.id())?.entries.get(&id).cloned()
    }

    /// For how long a listener has been connected.
    pub fn connected(&self, entry: &Entry) -> Duration {
        self.clock.mono().since(entry.since)
    }
}

impl State {
    /// The text that all who say the same share.
    fn share(&mut self, agent: String) -> Arc<str> {
        if let Some(known) = self.agents.get(agent.as_str()) {
            return Arc::clone(known);
        }
        if self.agents.len() >= self.agents_max {
            self.agents.retain(|agent| Arc::strong_count(agent) > 1);
            self.agents_max = (2 * self.agents.len()).max(AGENTS_MIN);
        }
        let agent: Arc<str> = agent.into();
        self.agents.insert(Arc::clone(&agent));
        agent
    }

    fn hall(&mut self, stream: &Arc<Stream>) -> &mut Hall {
        if !self.halls.contains_key(&stream.id()) {
            self.halls.retain(|_, hall| hall.stream.strong_count() > 0);
        }
        self.halls.entry(stream.id()).or_insert_with(|| Hall {
            stream: Arc::downgrade(stream),
            entries: BTreeMap::new(),
            count: Count::default(),
            since_sum_us: 0,
            addresses: (None, 0),
        })
    }

    fn leave(&mut self, entry: &Arc<Entry>, stream: &Stream, now: Mono) {
        if let Some(hall) = self.halls.get_mut(&stream.id())
            && hall.entries.remove(&entry.id).is_some()
        {
            hall.since_sum_us -= entry.since.0;
            hall.count.leave(entry, now);
        }
    }
}

impl Hall {
    fn enter(&mut self, entry: &Arc<Entry>, now: Mono) {
        self.entries.insert(entry.id, Arc::clone(entry));
        self.since_sum_us += entry.since.0;
        self.count.enter(entry, now);
    }

    fn counts(&mut self, now: Mono) -> Counts {
        self.count.look(now);
        let connections = self.entries.len() as u64;
        let since_us = self.since_sum_us.checked_div(connections).unwrap_or(now.0);
        Counts {
            listeners: self.count.listeners(),
            peak: self.count.peak(),
            total: self.count.total(),
            addresses: self.addresses(now),
            average: now.since(Mono(since_us)),
        }
    }

    fn addresses(&mut self, now: Mono) -> usize {
        if self.addresses.0.is_none_or(|counted| now.since(counted) >= UNIQUE_AGAIN) {
            let all: HashSet<IpAddr> = self.entries.values().map(|entry| entry.ip).collect();
            self.addresses = (Some(now), all.len());
        }
        // Some may have left since.
        self.addresses.1.min(self.entries.len())
    }
}

/// `text` made safe, and cut to so many bytes.
fn bounded(text: &str, bytes_max: usize) -> String {
    let mut text = clean(text);
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_peers_are_safe_and_short() {
        assert_eq!(bounded("  a\u{0}b\r\nc  ", 100), "a b c");
        assert_eq!(bounded("ééé", 5), "éé");
        assert_eq!(bounded(&"x".repeat(10_000), AGENT_BYTES_MAX).len(), AGENT_BYTES_MAX);
    }

    /// Counters of an `Arc`.
    const COUNTERS: usize = 2 * size_of::<usize>();
    /// Nodes of trees and tables are half full at least.
    const ROOM: usize = 2;
    /// What an entry takes, with its place in the list.
    const ENTRY: usize = COUNTERS + size_of::<Entry>() + ROOM * size_of::<(u64, Arc<Entry>)>();

    #[test]
    fn a_listener_with_all_that_belongs_to_it_takes_less_than_500_bytes() {
        let bytes = ENTRY + size_of::<crate::listener::delivery::Listener>();
        assert!(bytes <= 500, "{bytes} bytes");
    }

    #[test]
    fn what_a_listener_says_of_itself_takes_little_however_much_that_is() {
        let agent = COUNTERS + AGENT_BYTES_MAX + ROOM * size_of::<Arc<str>>();
        let bytes = ENTRY + agent + REFERER_BYTES_MAX;
        assert!(bytes <= 500, "{bytes} bytes");
    }

    #[test]
    fn a_user_agent_is_kept_once_and_not_for_long_when_nobody_has_it() {
        let mut state = State::default();
        let first = state.share("VLC".to_owned());
        assert!(Arc::ptr_eq(&first, &state.share("VLC".to_owned())));
        for number in 0..1_000 {
            state.share(format!("player {number}"));
        }
        assert!(state.agents.len() <= AGENTS_MIN, "{}", state.agents.len());
        assert!(Arc::ptr_eq(&first, &state.share("VLC".to_owned())));
    }
}
