//! How many listen by HTTP Live Streaming. Nobody stays connected, so who has fetched anything within a while counts.
//!
//! A player is known by its session: `X-Playback-Session-Id`, else the `session_id` that a multivariant playlist gave it.
//! Segments are asked for without the latter, so that caches can share them: their player is the latest session of that
//! address and user agent. Without any session, address and user agent are the player.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use audio::Mono;
use parking_lot::Mutex;

/// Players remembered of each stream: 3 MB. Beyond it, those that come are not counted.
const SESSIONS_MAX: usize = 1 << 16;
/// Where there are so many, the quiet ones are looked for at most so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who fetches.
#[derive(Clone, Copy, Debug)]
pub struct Player<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// What it says it is.
    pub agent: &'a str,
    /// The session that it names.
    pub session: Option<&'a str>,
}

/// The players of one stream.
#[derive(Debug)]
pub struct Sessions {
    hasher: RandomState,
    quiet: Duration,
    table: Mutex<Table>,
}

/// All by their hashes: what a player says is of any length.
#[derive(Debug, Default)]
struct Table {
    /// When each session, or client without one, last fetched anything.
    seen: HashMap<u64, Mono>,
    /// The latest session of each client.
    latest: HashMap<u64, u64>,
    looked: Option<Mono>,
}

impl Sessions {
    /// None yet; who fetches nothing for `quiet` is gone.
    pub fn new(quiet: Duration) -> Self {
        Sessions { hasher: RandomState::new(), quiet, table: Mutex::default() }
    }

    /// `player` has fetched something.
    pub fn note(&self, player: &Player<'_>, now: Mono) {
        let client = self.hasher.hash_one((player.ip, player.agent));
        let session = player.session.map(|session| self.hasher.hash_one(session));
        let mut table = self.table.lock();
        if table.is_full() && table.looked.is_none_or(|looked| now >= looked.plus(LOOK_AGAIN)) {
            table.forget(now, self.quiet);
        }
        let key = session.unwrap_or_else(|| table.latest.get(&client).copied().unwrap_or(client));
        if table.is_full() && !table.seen.contains_key(&key) {
            return;
        }
        table.seen.insert(key, now);
        if session.is_some() && (!table.is_full() || table.latest.contains_key(&client)) {
            table.latest.insert(client, key);
        }
    }

    /// How many there are.
    pub fn count(&self, now: Mono) -> usize {
        let mut table = self.table.lock();
        table.forget(now, self.quiet);
        table.seen.len()
    }
}

impl Table {
    fn is_full(&self) -> bool {
        self.seen.len() >= SESSIONS_MAX || self.latest.len() >= SESSIONS_MAX
    }

    /// Lets go of those that have been quiet for long.
    fn forget(&mut self, now: Mono, quiet: Duration) {
        self.looked = Some(now);
        self.seen.retain(|_, seen| now < seen.plus(quiet));
        self.latest.retain(|_, session| self.seen.contains_key(session));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const QUIET: Duration = Duration::from_secs(30);

    fn player<'a>(last: u8, agent: &'a str, session: Option<&'a str>) -> Player<'a> {
        Player { ip: Ipv4Addr::new(192, 0, 2, last).into(), agent, session }
    }

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    #[test]
    fn a_player_counts_once_while_it_fetches() {
        let sessions = Sessions::new(QUIET);
        assert_eq!(sessions.count(at(0)), 0);
        for second in 0..20 {
            // Two behind one address, told apart by their sessions; one without; one whose address changes.
            sessions.note(&player(1, "A", Some("one")), at(second));
            sessions.note(&player(1, "A", Some("two")), at(second));
            sessions.note(&player(1, "B", None), at(second));
            sessions.note(&player(second as u8, "C", Some("three")), at(second));
            assert_eq!(sessions.count(at(second)), 4);
        }
        // Segments without the session.
        sessions.note(&player(1, "A", None), at(40));
        assert_eq!(sessions.count(at(48)), 4);
        assert_eq!(sessions.count(at(49)), 1);
        assert_eq!(sessions.count(at(70)), 0);
        assert!(sessions.table.lock().latest.is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_makes_room_again() {
        let sessions = Sessions::new(QUIET);
        for nth in 0..SESSIONS_MAX + 10 {
            sessions.note(&player(1, &nth.to_string(), None), at(0));
        }
        assert_eq!(sessions.count(at(1)), SESSIONS_MAX);
        sessions.note(&player(1, "one more", None), at(40));
        assert_eq!(sessions.count(at(40)), 1);
        // One session from ever other clients.
        for nth in 0..SESSIONS_MAX + 10 {
            sessions.note(&player(1, &nth.to_string(), Some("one")), at(41));
        }
        assert_eq!(sessions.count(at(41)), 2);
        assert_eq!(sessions.table.lock().latest.len(), SESSIONS_MAX);
    }
}
