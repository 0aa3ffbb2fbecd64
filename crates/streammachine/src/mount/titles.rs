//! Whose title is whose: each source of a mount has its own, and keeps it over a short break.
//!
//! A pure decision over who sent what; the mount's task tells what is shown. Titles come on connections of their own, so
//! whose they are is concluded from who sends them.

use std::net::IpAddr;
use std::time::Duration;

use audio::Mono;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::icy::Metadata;

use crate::source::{Origin, Source};

/// A title is kept for so long for a source that is not there: encoders wait up to half a minute before they connect
/// again, and most tell the next title only with the next song. What comes later is a new broadcast.
const KEPT: Duration = Duration::from_secs(30);
/// Titles kept for sources that are not there; beyond that the one that would be dropped first is.
const KEPT_MAX: usize = 16;

/// Whoever sends audio or a title.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The DJ, if one logged in under an own name.
    pub dj: Option<String>,
    /// The address; none for what is no connection of an encoder.
    pub ip: Option<IpAddr>,
    /// The `User-Agent`, empty if none was sent; none while it is not known.
    pub agent: Option<String>,
}

/// A title and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    whose: u64,
    /// What was told last; none if nothing was.
    pub told: Option<Metadata>,
}

/// The titles of one mount's sources.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Titles {
    /// The latest to come are last.
    entries: Vec<Entry>,
    count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    title: Title,
    sender: Sender,
    place: Place,
}

/// Where the source of a title is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// Connected.
    Here(Uuid),
    /// Let in, and about to be here.
    Coming(Uuid, Mono),
    /// Gone, or never there; its title is kept until then.
    Away(Mono),
}

impl Sender {
    /// Who sends `source`.
    pub fn of(source: &Source) -> Self {
        let (ip, agent) = match &source.origin {
            Origin::Icecast { peer, agent } | Origin::Shoutcast { peer, agent } => {
                (Some(peer.ip()), Some(agent.clone()))
            }
            Origin::Proxy(_) | Origin::File(_) | Origin::Programme => (None, None),
        };
        Sender { dj: source.dj.clone(), ip, agent }
    }

    /// True if it is the same encoder, as far as can be known: the same DJ, or without one the same address and program.
    fn is_same(&self, other: &Sender) -> bool {
        match (&self.dj, &other.dj) {
            (Some(one), Some(other)) => one == other,
            (None, None) => {
                let is_known = |sender: &Sender| sender.agent.is_some();
                let agents_fit = self.agent == other.agent || !(is_known(self) && is_known(other));
                self.is_at(other) && agents_fit
            }
            _ => false,
        }
    }

    fn is_at(&self, other: &Sender) -> bool {
        self.ip.is_some() && self.ip == other.ip
    }

    fn has_agent_of(&self, other: &Sender) -> bool {
        self.agent == other.agent && self.agent.as_ref().is_some_and(|agent| !agent.is_empty())
    }
}

impl Place {
    fn until(self) -> Option<Mono> {
        match self {
            Place::Here(_) => None,
            Place::Coming(_, until) | Place::Away(until) => Some(until),
        }
    }
}

impl Entry {
    /// True for a source that an encoder sends.
    fn is_connected(&self) -> bool {
        matches!(self.place, Place::Here(_)) && self.sender.ip.is_some()
    }

    fn is_away(&self) -> bool {
        matches!(self.place, Place::Away(_))
    }

    /// The greater, the more likely its source is the one that is heard next.
    fn nearness(&self) -> u8 {
        match self.place {
            Place::Here(_) => 2,
            Place::Coming(..) => 1,
            Place::Away(_) => 0,
        }
    }

    fn is_coming(&self) -> bool {
        matches!(self.place, Place::Coming(..))
    }
}

impl Titles {
    /// A source of `sender` was let in and will be called `id`: titles may come before it does.
    pub fn expect(&mut self, id: Uuid, sender: Sender, now: Mono) {
        self.add(sender, Place::Coming(id, now.plus(KEPT)));
        self.forget(now);
    }

    /// The source that was let in as `id` does not come, and what was told for it is nobody's.
    pub fn withdraw(&mut self, id: Uuid) {
        self.entries.retain(|entry| !matches!(entry.place, Place::Coming(of, _) if of == id));
    }

    /// The source `id` of `sender` is there. It has what was told for it since it was let in, else what it told last
    /// before a short break.
    pub fn arrive(&mut self, id: Uuid, sender: Sender, now: Mono) {
        self.forget(now);
        let early = self.take(|entry| matches!(entry.place, Place::Coming(of, _) if of == id));
        let known = self.take(|entry| matches!(entry.place, Place::Away(_)) && entry.sender.is_same(&sender));
        let told = [&early, &known].into_iter().flatten().find_map(|entry| entry.title.told.clone());
        let whose = known.or(early).map_or_else(|| self.number(), |entry| entry.title.whose);
        self.entries.push(Entry { title: Title { whose, told }, sender, place: Place::Here(id) });
    }

    /// The source `id` is gone.
    pub fn leave(&mut self, id: Uuid, now: Mono) {
        let Some(mut entry) = self.take(|entry| entry.place == Place::Here(id)) else { return };
        // A fallback begins anew each time.
        if entry.sender.ip.is_some() {
            entry.place = Place::Away(now.plus(KEPT));
            self.entries.push(entry);
            self.forget(now);
        }
    }

    /// `teller` tells a title. Returns it as that of the source that is meant by [`Titles::find_meant`], which may be one
    /// that is not there.
    pub fn tell(&mut self, teller: &Sender, metadata: Metadata, on_air: Option<Uuid>, now: Mono) -> Title {
        self.forget(now);
        let index = self.find_meant(teller, on_air).unwrap_or_else(|| {
            // Requests often name another program than the encoder's audio does.
            self.add(Sender { agent: None, ..teller.clone() }, Place::Away(now.plus(KEPT)));
            self.entries.len() - 1
        });
        self.entries[index].title.told = Some(metadata);
        let title = self.entries[index].title.clone();
        self.forget(now);
        title
    }

    /// The title of the source `id`.
    pub fn of(&self, id: Uuid) -> Option<&Title> {
        self.entries.iter().find(|entry| entry.place == Place::Here(id)).map(|entry| &entry.title)
    }

    /// Whose title `teller` tells. A DJ's is that of the DJ's own source: the one on air, else the latest. Anybody
    /// else's is that of the source on air, unless others are at the teller's address, and the one on air is not. Of
    /// those it is the one with the user agent of the request, else the latest. Who is gone is meant only where nobody
    /// else can be. A source that has not given audio yet comes before a fallback.
    fn find_meant(&self, teller: &Sender, on_air: Option<Uuid>) -> Option<usize> {
        let on_air =
            on_air.and_then(|id| self.entries.iter().position(|entry| entry.place == Place::Here(id)));
        let find = |fits: &dyn Fn(&Sender) -> bool| -> Vec<usize> {
            (0..self.entries.len()).filter(|&index| fits(&self.entries[index].sender)).collect()
        };
        if teller.dj.is_some() {
            let own = find(&|sender| sender.dj == teller.dj);
            let latest = || own.iter().copied().max_by_key(|&index| (self.entries[index].nearness(), index));
            return on_air.filter(|index| own.contains(index)).or_else(latest);
        }
        let at_address = find(&|sender| sender.is_at(teller));
        let same_program = find(&|sender| sender.is_at(teller) && sender.has_agent_of(teller));
        for may_be_away in [false, true] {
            for fitting in [&same_program, &at_address] {
                let mut fitting = fitting.iter().copied();
                if on_air.is_some_and(|index| fitting.clone().any(|it| it == index)) {
                    return on_air;
                }
                let latest = fitting.rfind(|&index| may_be_away || !self.entries[index].is_away());
                if latest.is_some() {
                    return latest;
                }
            }
        }
        let is_live = |index: &usize| self.entries[*index].sender.ip.is_some();
        on_air
            .filter(is_live)
            .or_else(|| self.entries.iter().position(Entry::is_connected))
            .or_else(|| self.entries.iter().rposition(Entry::is_coming))
            .or(on_air)
    }

    fn add(&mut self, sender: Sender, place: Place) {
        let title = Title { whose: self.number(), told: None };
        self.entries.push(Entry { title, sender, place });
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The latest that fits, taken out.
    fn take(&mut self, fits: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let index = self.entries.iter().rposition(fits)?;
        Some(self.entries.remove(index))
    }

    /// Drops what was kept long enough, and what is too much.
    fn forget(&mut self, now: Mono) {
        self.entries.retain(|entry| entry.place.until().is_none_or(|until| now < until));
        loop {
            let kept = self.entries.iter().enumerate();
            let kept: Vec<_> =
                kept.filter_map(|(index, entry)| Some((entry.place.until()?, index))).collect();
            match kept.iter().min() {
                Some(&(_, first)) if kept.len() > KEPT_MAX => drop(self.entries.remove(first)),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Mono {
        Mono(0).plus(seconds * S)
    }

    fn metadata(title: &str) -> Metadata {
        Metadata { title: title.to_owned(), url: String::new() }
    }

    fn encoder(host: u8, agent: &str) -> Sender {
        Sender { dj: None, ip: Some([192, 0, 2, host].into()), agent: Some(agent.to_owned()) }
    }

    fn dj(name: &str, host: u8) -> Sender {
        Sender { dj: Some(name.to_owned()), ..encoder(host, "butt") }
    }

    /// Sources of these senders, the first of them on air.
    fn titles(senders: &[Sender]) -> (Titles, Vec<Uuid>) {
        let mut titles = Titles::default();
        let arrive = |sender: &Sender| {
            let id = Uuid::new_v4();
            titles.arrive(id, sender.clone(), at(0));
            id
        };
        let ids = senders.iter().map(arrive).collect();
        (titles, ids)
    }

    fn told(titles: &Titles, id: Uuid) -> Option<String> {
        titles.of(id).and_then(|title| title.told.clone()).map(|it| it.title)
    }

    fn some(title: &str) -> Option<String> {
        Some(title.to_owned())
    }

    #[track_caller]
    fn check(senders: &[Sender], teller: &Sender, meant: usize) {
        let (mut titles, ids) = titles(senders);
        let title = titles.tell(teller, metadata("T"), ids.first().copied(), at(1));
        let place = ids.iter().position(|&id| titles.of(id) == Some(&title));
        assert_eq!(place, Some(meant), "{teller:?} among {senders:?}");
        for (index, &id) in ids.iter().enumerate() {
            assert_eq!(told(&titles, id), (index == meant).then(|| "T".to_owned()));
        }
    }

    #[test]
    fn a_title_without_a_djs_name_is_that_of_the_source_on_air_or_of_the_only_one_at_its_address() {
        let (a, b) = (encoder(1, "butt"), encoder(2, "ls"));
        check(&[a.clone(), b.clone()], &encoder(1, "curl"), 0);
        check(&[a.clone(), b.clone()], &encoder(3, "ls"), 0);
        check(&[a.clone(), b.clone()], &encoder(2, "curl"), 1);
        check(&[a.clone(), b.clone(), encoder(2, "mixxx")], &encoder(2, "curl"), 2);
        check(&[encoder(2, "mixxx"), a.clone(), b.clone()], &encoder(2, "curl"), 0);
        check(&[a.clone(), b.clone(), encoder(2, "mixxx")], &encoder(2, "mixxx"), 2);
        // At one address the program decides, if it is told.
        check(&[a.clone(), encoder(1, "ls")], &encoder(1, "ls"), 1);
        check(&[a.clone(), encoder(1, "")], &encoder(1, ""), 0);
        check(&[a.clone(), encoder(1, "butt")], &encoder(1, "butt"), 0);
        check(&[a.clone(), dj("anna", 2)], &encoder(2, "curl"), 1);
        // A user of the API has no address.
        check(&[a, b], &Sender::default(), 0);
        check(&[Sender::default()], &Sender::default(), 0);
    }

    #[test]
    fn a_title_without_a_djs_name_is_that_of_who_is_about_to_be_on_air_while_nobody_is() {
        let (fallback, first, second) = (Sender::default(), encoder(1, "butt"), encoder(2, "ls"));
        for teller in [Sender::default(), encoder(3, "curl")] {
            // The fallback plays, or nothing does.
            check(&[fallback.clone(), first.clone(), second.clone()], &teller, 1);
            let (mut titles, ids) = titles(&[first.clone(), second.clone()]);
            titles.tell(&teller, metadata("T"), None, at(1));
            assert_eq!((told(&titles, ids[0]), told(&titles, ids[1])), (some("T"), None));
            let (mut titles, id) = (Titles::default(), Uuid::new_v4());
            titles.expect(id, first.clone(), at(1));
            titles.tell(&teller, metadata("T"), None, at(2));
            titles.arrive(id, first.clone(), at(3));
            assert_eq!(told(&titles, id), some("T"));
        }
    }

    #[test]
    fn a_djs_title_is_that_of_the_djs_source_wherever_it_comes_from() {
        let (anna, ben) = (dj("anna", 1), dj("ben", 1));
        check(&[anna.clone(), ben.clone()], &ben, 1);
        check(&[anna.clone(), ben.clone()], &dj("ben", 9), 1);
        check(&[encoder(1, "butt"), ben.clone(), ben.clone()], &ben, 2);
        check(&[ben.clone(), anna, ben.clone()], &ben, 0);
    }

    #[test]
    fn who_is_gone_is_not_meant_while_another_at_the_address_is_there() {
        let (other, encoder) = (encoder(1, "ls"), encoder(2, "butt"));
        let teller = Sender { agent: Some("curl".to_owned()), ..encoder.clone() };
        for gone in ["butt", "mixxx", "curl"] {
            let gone = Sender { agent: Some(gone.to_owned()), ..encoder.clone() };
            let (mut titles, ids) = titles(&[other.clone(), encoder.clone(), gone]);
            titles.leave(ids[2], at(1));
            titles.tell(&teller, metadata("T"), Some(ids[0]), at(2));
            assert_eq!((told(&titles, ids[0]), told(&titles, ids[1])), (None, some("T")));
        }
        // One that is let in is as good as there.
        let (mut titles, ids) = self::titles(&[other, encoder.clone()]);
        titles.leave(ids[1], at(1));
        let id = Uuid::new_v4();
        titles.expect(id, Sender { agent: None, ..encoder.clone() }, at(2));
        titles.tell(&teller, metadata("T"), Some(ids[0]), at(3));
        titles.arrive(id, encoder, at(4));
        assert_eq!(told(&titles, id), some("T"));
    }

    #[test]
    fn a_djs_title_is_not_that_of_an_older_connection_which_ended() {
        let (other, anna) = (encoder(1, "butt"), dj("anna", 2));
        let (mut titles, ids) = titles(&[other.clone(), anna.clone(), anna.clone()]);
        titles.leave(ids[1], at(1));
        titles.tell(&anna, metadata("T"), Some(ids[0]), at(2));
        assert_eq!((told(&titles, ids[0]), told(&titles, ids[2])), (None, some("T")));
        // Let in, and not there yet: before one that is gone.
        let (mut titles, ids) = self::titles(&[other, anna.clone()]);
        let id = Uuid::new_v4();
        titles.expect(id, anna.clone(), at(1));
        titles.leave(ids[1], at(2));
        titles.tell(&anna, metadata("T"), Some(ids[0]), at(3));
        titles.arrive(id, anna, at(4));
        assert_eq!(told(&titles, id), some("T"));
    }

    #[test]
    fn an_encoder_that_comes_back_soon_has_its_title_and_is_the_same() {
        for (first, second, is_same) in [
            (encoder(1, "butt"), encoder(1, "butt"), true),
            (encoder(1, "butt"), encoder(1, "ls"), false),
            (encoder(1, "butt"), encoder(2, "butt"), false),
            (encoder(1, "butt"), dj("anna", 1), false),
            (dj("anna", 1), dj("anna", 2), true),
            (dj("anna", 1), dj("ben", 1), false),
        ] {
            let (mut titles, ids) = titles(std::slice::from_ref(&first));
            let title = titles.tell(&first, metadata("T"), Some(ids[0]), at(1));
            titles.leave(ids[0], at(10));
            let id = Uuid::new_v4();
            titles.arrive(id, second.clone(), at(39));
            assert_eq!(titles.of(id) == Some(&title), is_same, "{second:?} after {first:?}");
            assert_eq!(told(&titles, id).is_some(), is_same);
        }
    }

    #[test]
    fn after_half_a_minute_it_is_another() {
        let encoder = encoder(1, "butt");
        let (mut titles, ids) = titles(std::slice::from_ref(&encoder));
        let title = titles.tell(&encoder, metadata("T"), Some(ids[0]), at(1));
        titles.leave(ids[0], at(10));
        titles.arrive(ids[0], encoder, at(40));
        assert!(titles.of(ids[0]).is_some_and(|new| new.whose != title.whose && new.told.is_none()));
    }

    #[test]
    fn one_that_waited_while_the_other_went_is_not_the_other() {
        let encoder = encoder(1, "butt");
        let (mut titles, ids) = titles(&[encoder.clone(), encoder.clone()]);
        titles.tell(&encoder, metadata("T"), Some(ids[0]), at(1));
        titles.leave(ids[0], at(2));
        assert_eq!(told(&titles, ids[1]), None);
    }

    #[test]
    fn a_title_may_come_before_its_source_does() {
        let (other, encoder) = (encoder(1, "ls"), encoder(2, "butt"));
        let (mut titles, ids) = titles(std::slice::from_ref(&other));
        let id = Uuid::new_v4();
        // What speaks SHOUTcast has not told its program yet.
        titles.expect(id, Sender { agent: None, ..encoder.clone() }, at(1));
        titles.tell(
            &Sender { agent: Some("dsp".to_owned()), ..encoder.clone() },
            metadata("T"),
            Some(ids[0]),
            at(2),
        );
        assert_eq!((told(&titles, ids[0]), titles.of(id)), (None, None));
        titles.arrive(id, encoder, at(3));
        assert_eq!((told(&titles, ids[0]), told(&titles, id)), (None, some("T")));
    }

    #[test]
    fn who_does_not_come_after_all_is_not_meant() {
        let (mut titles, ids) = titles(&[encoder(1, "ls")]);
        let id = Uuid::new_v4();
        titles.expect(id, encoder(2, "butt"), at(1));
        titles.withdraw(id);
        titles.withdraw(ids[0]);
        titles.tell(&encoder(2, "butt"), metadata("T"), Some(ids[0]), at(2));
        assert_eq!((titles.entries.len(), told(&titles, ids[0])), (1, some("T")));
    }

    #[test]
    fn what_is_told_during_a_break_counts_afterwards() {
        let (encoder, fallback) = (encoder(1, "butt"), Uuid::new_v4());
        let (mut titles, ids) = titles(std::slice::from_ref(&encoder));
        titles.tell(&encoder, metadata("Old"), Some(ids[0]), at(1));
        titles.leave(ids[0], at(2));
        titles.arrive(fallback, Sender::default(), at(2));
        titles.tell(&encoder, metadata("New"), Some(fallback), at(3));
        titles.arrive(ids[0], encoder, at(4));
        assert_eq!((told(&titles, fallback), told(&titles, ids[0])), (None, some("New")));
    }

    #[test]
    fn what_is_told_while_nobody_is_there_is_that_of_who_comes_from_there_soon() {
        for (teller, comes, has_it) in [
            (encoder(1, "curl"), encoder(1, "butt"), true),
            (encoder(1, "curl"), encoder(2, "butt"), false),
            (encoder(1, "curl"), dj("anna", 1), false),
            (dj("anna", 1), dj("anna", 2), true),
            (Sender::default(), encoder(1, "butt"), false),
        ] {
            let (mut titles, id) = (Titles::default(), Uuid::new_v4());
            let title = titles.tell(&teller, metadata("T"), None, at(1));
            titles.arrive(id, comes.clone(), at(2));
            assert_eq!(titles.of(id) == Some(&title), has_it, "{comes:?} after {teller:?}");
        }
    }

    #[test]
    fn a_fallback_begins_anew_each_time() {
        let (mut titles, ids) = titles(&[Sender::default()]);
        titles.tell(&Sender::default(), metadata("T"), Some(ids[0]), at(1));
        titles.leave(ids[0], at(2));
        titles.arrive(ids[0], Sender::default(), at(3));
        assert_eq!(told(&titles, ids[0]), None);
    }

    #[test]
    fn only_so_many_are_kept_for_sources_that_are_not_there() {
        let (mut titles, ids) = titles(&[encoder(1, "butt")]);
        for number in 0..100 {
            titles.expect(Uuid::new_v4(), encoder(2, &number.to_string()), at(1));
            titles.tell(&dj(&number.to_string(), 3), metadata("T"), Some(ids[0]), at(2));
        }
        assert_eq!(titles.entries.len(), 1 + KEPT_MAX);
        assert!(titles.of(ids[0]).is_some());
        titles.forget(at(32));
        assert_eq!(titles.entries.len(), 1);
    }
}
