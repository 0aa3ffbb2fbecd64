//! How many listeners a stream has, as people are told: connections, but those that one player makes at its start count
//! once.
//!
//! VLC and Safari ask twice: a first connection to learn what the stream is, then the one they play from. So a connection
//! is *young* until it is [`YOUNG`] old and has taken more than its burst. Young connections of one address and one user
//! agent count as one listener. One that is young no more counts for itself; the first of a party to get there is the
//! *heir*: the party's one listener, so that young ones beside it count for nothing until they have proved themselves too.
//! Which connection came first does not matter, and nothing has to be known about players. Pure: `now` comes in.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::Mono;

use crate::listener::roster::Entry;

/// The first connection of a player ends well within this, and the second comes well within this after its end.
pub const YOUNG: Duration = Duration::from_secs(10);
/// Young connections are looked through at most so often: whoever asks for counts costs no more than that.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Parties remembered after their last young connection has ended; beyond it, one that comes again is counted anew.
const ENDED_MAX: usize = 10_000;

/// What cannot be told apart while it is young: address and user agent.
type Party = (IpAddr, Arc<str>);

/// The listeners of one stream.
#[derive(Debug, Default)]
pub struct Count {
    /// Connections that are young no more.
    settled: usize,
    /// Young connections by their ids, which rise.
    young: BTreeMap<u64, Arc<Entry>>,
    /// Those that have a young connection, or had one a moment ago.
    parties: HashMap<Party, Members>,
    /// Parties whose young connections count as one.
    present: usize,
    peak: usize,
    total: u64,
    looked: Option<Mono>,
}

/// The young connections of a party.
#[derive(Debug, Default)]
struct Members {
    count: usize,
    /// The settled connection that is counted for all of them.
    heir: Option<u64>,
    /// When the last one ended.
    ended: Option<Mono>,
}

impl Members {
    fn is_present(&self) -> bool {
        self.count > 0 && self.heir.is_none()
    }
}

impl Count {
    /// Counts a connection that comes.
    pub fn enter(&mut self, entry: &Arc<Entry>, now: Mono) {
        self.look(now);
        match party(entry) {
            None => {
                self.settled += 1;
                self.total += 1;
            }
            Some(party) => {
                let mut is_new = false;
                self.change(&party, |members| {
                    let comes_again = members.ended.is_some_and(|ended| now.since(ended) < YOUNG);
                    is_new = members.count == 0 && !comes_again;
                    members.count += 1;
                });
                self.total += u64::from(is_new);
                self.young.insert(entry.id, Arc::clone(entry));
            }
        }
        self.peak = self.peak.max(self.listeners());
    }

    /// Counts a connection no more.
    pub fn leave(&mut self, entry: &Entry, now: Mono) {
        let was_young = self.young.remove(&entry.id).is_some();
        self.settled -= usize::from(!was_young);
        let Some(party) = party(entry) else { return };
        let remembers = self.parties.len() <= ENDED_MAX;
        if was_young {
            self.change(&party, |members| {
                members.count -= 1;
                members.ended = remembers.then_some(now);
            });
        } else if self.parties.contains_key(&party) {
            self.change(&party, |members| {
                members.heir.take_if(|heir| *heir == entry.id);
            });
        }
    }

    /// Takes account of those that are young no more.
    pub fn look(&mut self, now: Mono) {
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK_AGAIN) {
            return;
        }
        self.looked = Some(now);
        let is_old = |entry: &Entry| now.since(entry.since) >= YOUNG && entry.has_taken_more();
        let old: Vec<Arc<Entry>> = self.young.values().filter(|entry| is_old(entry)).cloned().collect();
        for entry in old {
            self.young.remove(&entry.id);
            self.settled += 1;
            let Some(party) = party(&entry) else { continue };
            let mut is_one_more = false;
            self.change(&party, |members| {
                members.count -= 1;
                is_one_more = members.heir.is_some();
                members.heir = members.heir.or(Some(entry.id));
            });
            self.total += u64::from(is_one_more);
        }
        self.peak = self.peak.max(self.listeners());
        self.parties.retain(|_, members| {
            members.count > 0 || members.ended.is_some_and(|ended| now.since(ended) < YOUNG)
        });
    }

    /// Listeners now.
    pub fn listeners(&self) -> usize {
        self.settled + self.present
    }

    /// Most listeners at once.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Goes on with what was counted before.
    pub fn remember(&mut self, peak: usize, total: u64) {
        self.peak = self.peak.max(peak);
        self.total = self.total.max(total);
    }

    /// Listeners that ever came.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Changes a party, and forgets it if nothing is left of it.
    fn change(&mut self, party: &Party, change: impl FnOnce(&mut Members)) {
        let members = self.parties.entry(party.clone()).or_default();
        let was_present = members.is_present();
        change(members);
        let is_present = members.is_present();
        if members.count == 0 && members.ended.is_none() {
            self.parties.remove(party);
        }
        self.present = self.present + usize::from(is_present) - usize::from(was_present);
    }
}

/// Those who do not name their player are all told apart.
fn party(entry: &Entry) -> Option<Party> {
    (!entry.agent.is_empty()).then(|| (entry.ip, Arc::clone(&entry.agent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream's count, with connections that come and go at given seconds.
    #[derive(Default)]
    struct Door {
        count: Count,
        entries: Vec<Arc<Entry>>,
    }

    impl Door {
        /// A connection comes; its place in the list.
        fn enter(&mut self, second: u64, ip: u8, agent: &str) -> usize {
            let id = self.entries.len() as u64 + 1;
            let entry = Arc::new(Entry::new(id, [192, 0, 2, ip].into(), agent.into(), None, at(second)));
            self.count.enter(&entry, at(second));
            self.entries.push(entry);
            self.entries.len() - 1
        }

        fn leave(&mut self, second: u64, place: usize) {
            self.count.leave(&self.entries[place], at(second));
        }

        fn takes_more(&self, place: usize) {
            self.entries[place].note_taken_more();
        }

        #[track_caller]
        fn check(&mut self, second: u64, listeners: usize, peak: usize, total: u64) {
            self.count.look(at(second));
            let found = (self.count.listeners(), self.count.peak(), self.count.total());
            assert_eq!(found, (listeners, peak, total), "at second {second}");
        }
    }

    fn at(second: u64) -> Mono {
        Mono(second * 1_000_000)
    }

    #[test]
    fn a_player_that_asks_twice_counts_once_whichever_connection_ends_first() {
        let mut door = Door::default();
        let first = door.enter(100, 1, "VLC/3.0.18");
        let second = door.enter(101, 1, "VLC/3.0.18");
        door.check(102, 1, 1, 1);
        door.leave(103, first);
        door.takes_more(second);
        door.check(104, 1, 1, 1);
        door.check(120, 1, 1, 1);
        door.leave(130, second);
        door.check(131, 0, 1, 1);

        // Safari's probe ends before the next comes.
        let probe = door.enter(200, 1, "AppleCoreMedia/1.0");
        door.leave(200, probe);
        door.check(201, 0, 1, 2);
        let player = door.enter(202, 1, "AppleCoreMedia/1.0");
        door.takes_more(player);
        door.check(220, 1, 1, 2);
    }

    #[test]
    fn a_connection_that_never_takes_more_than_its_burst_adds_nobody() {
        let mut door = Door::default();
        let stalled = door.enter(0, 1, "VLC/3.0.18");
        let playing = door.enter(1, 1, "VLC/3.0.18");
        door.takes_more(playing);
        door.check(9, 1, 1, 1);
        door.check(20, 1, 1, 1);
        door.leave(21, playing);
        door.check(22, 1, 1, 1);
        door.leave(23, stalled);
        door.check(24, 0, 1, 1);
        // Alone it is a listener: nothing may be on air to be taken.
        door.enter(100, 1, "VLC/3.0.18");
        door.check(200, 1, 1, 2);
    }

    #[test]
    fn two_who_stay_are_two() {
        let mut door = Door::default();
        for place in [door.enter(0, 1, "mpv 0.35"), door.enter(3, 1, "mpv 0.35")] {
            door.takes_more(place);
        }
        door.check(5, 1, 1, 1);
        door.check(11, 1, 1, 1);
        door.check(13, 2, 2, 2);
        // A third comes while they are old: nobody takes it for one of them.
        let third = door.enter(14, 1, "mpv 0.35");
        door.check(15, 3, 3, 3);
        door.leave(16, third);
        door.check(17, 2, 3, 3);
        door.leave(18, 0);
        door.leave(18, 1);
        door.check(40, 0, 3, 3);
        assert!(door.count.parties.is_empty() && door.count.young.is_empty());
    }

    #[test]
    fn addresses_agents_and_those_without_one_are_told_apart() {
        let mut door = Door::default();
        door.enter(0, 1, "a");
        door.enter(0, 2, "a");
        door.enter(0, 1, "b");
        door.check(1, 3, 3, 3);
        let nameless = [door.enter(1, 1, ""), door.enter(1, 1, "")];
        door.check(2, 5, 5, 5);
        door.leave(3, nameless[0]);
        door.check(4, 4, 5, 5);
    }

    #[test]
    fn who_comes_again_later_is_counted_again() {
        let mut door = Door::default();
        let first = door.enter(0, 1, "a");
        door.leave(1, first);
        let again = door.enter(10, 1, "a");
        door.check(10, 1, 1, 1);
        door.leave(11, again);
        door.enter(21, 1, "a");
        door.check(22, 1, 1, 2);
    }

    #[test]
    fn nothing_is_remembered_of_those_who_are_gone() {
        let mut door = Door::default();
        for ip in 0..200 {
            let place = door.enter(0, ip, "a");
            door.leave(1, place);
        }
        assert_eq!(door.count.parties.len(), 200);
        door.check(30, 0, 1, 200);
        assert!(door.count.parties.is_empty() && door.count.young.is_empty());
    }
}
