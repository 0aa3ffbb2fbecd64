//! Who is on air: a pure decision over the sources of one mount.
//!
//! Live sources are served in the order in which they came; the first that gives audio is on air, the others wait. The
//! operator may promote one. The fallback is on air while no live source gives audio: one that has only connected takes
//! nothing off the air.

use std::sync::Arc;

use uuid::Uuid;

use crate::source::Source;

/// The sources of a mount, the one on air first.
#[derive(Debug, Default)]
pub struct Order {
    live: Vec<Arc<Source>>,
    fallback: Option<Arc<Source>>,
}

impl Order {
    /// The source on air.
    pub fn active(&self) -> Option<&Arc<Source>> {
        self.live.iter().find(|source| source.format().is_some()).or(self.fallback.as_ref())
    }

    /// True while the fallback should play: nobody live gives audio.
    pub fn wants_fallback(&self) -> bool {
        self.live.iter().all(|source| source.format().is_none())
    }

    /// The live sources in the order in which they are served, whether they give audio or not.
    pub fn live(&self) -> &[Arc<Source>] {
        &self.live
    }

    /// The fallback, if it plays.
    pub fn fallback(&self) -> Option<&Arc<Source>> {
        self.fallback.as_ref()
    }

    /// Adds a source behind those of its kind.
    pub fn add(&mut self, source: Arc<Source>) {
        if source.is_fallback() {
            self.fallback = Some(source);
        } else {
            self.live.push(source);
        }
    }

    /// Removes a source and returns it, if it was there.
    pub fn remove(&mut self, id: Uuid) -> Option<Arc<Source>> {
        if self.fallback.as_ref().is_some_and(|fallback| fallback.id == id) {
            return self.fallback.take();
        }
        let place = self.live.iter().position(|source| source.id == id)?;
        Some(self.live.remove(place))
    }

    /// All sources, the one on air first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        let active = self.active();
        let others = self.live.iter().chain(&self.fallback);
        active.into_iter().chain(others.filter(move |source| active.is_none_or(|it| it.id != source.id)))
    }
}

#[cfg(test)]
mod tests {
    use audio::{Codec, Format, Time};

    use super::*;
    use crate::source::Origin;

    const FORMAT: Format =
        Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 128 };

    fn silent() -> Arc<Source> {
        let peer = ([192, 0, 2, 1], 1).into();
        Source::new(Origin::Icecast { peer, agent: String::new() }, Time(0))
    }

    fn live() -> Arc<Source> {
        let source = silent();
        source.heard(FORMAT, 0, Time(0));
        source
    }

    fn fallback() -> Arc<Source> {
        Source::of_fallback(Origin::Programme, Time(0))
    }

    #[test]
    fn the_first_live_source_is_on_air_and_the_next_follows_it() {
        let (mut order, first, second) = (Order::default(), live(), live());
        assert!(order.active().is_none());
        order.add(Arc::clone(&first));
        order.add(Arc::clone(&second));
        assert_eq!(order.active().unwrap().id, first.id);
        assert_eq!(order.remove(first.id).unwrap().id, first.id);
        assert_eq!(order.active().unwrap().id, second.id);
        assert!(order.remove(first.id).is_none());
    }

    #[test]
    fn the_fallback_gives_way_to_a_live_source_and_is_wanted_again_without_one() {
        let (mut order, spare, source) = (Order::default(), fallback(), live());
        assert!(order.wants_fallback());
        order.add(Arc::clone(&spare));
        assert_eq!(order.active().unwrap().id, spare.id);
        order.add(Arc::clone(&source));
        assert_eq!(order.active().unwrap().id, source.id);
        assert!(!order.wants_fallback());
        order.remove(spare.id);
        order.remove(source.id);
        assert!(order.wants_fallback() && order.active().is_none());
    }

    #[test]
    fn who_gives_no_audio_takes_nothing_off_the_air() {
        let (mut order, spare, first, second) = (Order::default(), fallback(), silent(), live());
        order.add(Arc::clone(&spare));
        order.add(Arc::clone(&first));
        assert!(order.wants_fallback());
        assert_eq!(order.active().unwrap().id, spare.id);
        order.add(Arc::clone(&second));
        assert_eq!(order.active().unwrap().id, second.id);
        let ids: Vec<_> = order.iter().map(|source| source.id).collect();
        assert_eq!(ids, [second.id, first.id, spare.id]);
        first.heard(FORMAT, 0, Time(0));
        assert_eq!(order.active().unwrap().id, first.id);
    }

    #[test]
    fn all_are_listed_with_the_one_on_air_first() {
        let (mut order, spare, source) = (Order::default(), fallback(), live());
        order.add(Arc::clone(&spare));
        order.add(Arc::clone(&source));
        let ids: Vec<_> = order.iter().map(|source| source.id).collect();
        assert_eq!(ids, [source.id, spare.id]);
    }
}
