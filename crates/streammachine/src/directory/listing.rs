//! What a directory is to be told when: a pure decision over what is on air, what it was told, and how it answered.

use std::time::Duration;

use audio::Mono;

/// Times of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A source may be away for so long without being taken out: encoders reconnect within seconds.
    pub grace: Duration,
    /// The first touch follows so soon after the entry, which has no song.
    pub first_touch: Duration,
    /// A directory is touched at most so often, whatever it says …
    pub touch_min: Duration,
    /// … and at least so often.
    pub touch_max: Duration,
    /// The same where it says nothing.
    pub touch_default: Duration,
    /// Pause after a failure; each further one doubles it …
    pub retry_min: Duration,
    /// … up to this.
    pub retry_max: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            grace: Duration::from_secs(5),
            first_touch: Duration::from_secs(5),
            touch_min: Duration::from_secs(30),
            touch_max: Duration::from_secs(3600),
            touch_default: Duration::from_secs(200),
            retry_min: Duration::from_secs(30),
            retry_max: Duration::from_secs(3600),
        }
    }
}

/// Touches that may fail in a row before the entry is made anew: the directory may have lost it.
const TOUCH_FAILURES_MAX: u32 = 3;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Make an entry.
    Add,
    /// Tell what is played under this id.
    Touch(String),
    /// Take the entry of this id out.
    Remove(String),
}

/// How a directory took a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Well; seconds to the next one, if it said so.
    Accepted(Option<u64>),
    /// It does not know the entry.
    Refused,
    /// It gave no answer that can be understood.
    Failed,
}

/// The state of one stream in one directory.
#[derive(Debug)]
pub struct Listing {
    terms: Terms,
    entry: Option<Entry>,
    failures: u32,
    not_before: Mono,
}

#[derive(Debug)]
struct Entry {
    sid: String,
    touch_at: Mono,
    every: Duration,
    gone_since: Option<Mono>,
}

impl Listing {
    /// Not listed.
    pub fn new(terms: Terms) -> Self {
        Listing { terms, entry: None, failures: 0, not_before: Mono(0) }
    }

    /// The id of the entry, while there is one.
    pub fn sid(&self) -> Option<&str> {
        self.entry.as_ref().map(|entry| entry.sid.as_str())
    }

    /// What to do, with a source `on_air` or not.
    pub fn step(&mut self, on_air: bool, now: Mono) -> Step {
        let Some(entry) = &mut self.entry else {
            return if on_air && now >= self.not_before { Step::Add } else { Step::Wait };
        };
        if on_air {
            entry.gone_since = None;
            return if now >= entry.touch_at { Step::Touch(entry.sid.clone()) } else { Step::Wait };
        }
        let since = *entry.gone_since.get_or_insert(now);
        if now.since(since) >= self.terms.grace { Step::Remove(entry.sid.clone()) } else { Step::Wait }
    }

    /// The entry was made, under `sid`; seconds between touches, if the directory said so.
    pub fn added(&mut self, sid: String, every_s: Option<u64>, now: Mono) {
        self.failures = 0;
        let every = self.bounded(every_s);
        let touch_at = now.plus(self.terms.first_touch.min(every));
        self.entry = Some(Entry { sid, touch_at, every, gone_since: None });
    }

    /// The entry was not made.
    pub fn not_added(&mut self, now: Mono) {
        self.back_off(now);
    }

    /// A touch was answered, or not.
    pub fn touched(&mut self, answer: Touched, now: Mono) {
        match answer {
            Touched::Accepted(every_s) => {
                self.failures = 0;
                let every = every_s.map(|every_s| self.bounded(Some(every_s)));
                if let Some(entry) = &mut self.entry {
                    entry.every = every.unwrap_or(entry.every);
                    entry.touch_at = now.plus(entry.every);
                }
            }
            Touched::Refused => {
                self.entry = None;
                self.back_off(now);
            }
            Touched::Failed => {
                let pause = self.back_off(now);
                if self.failures >= TOUCH_FAILURES_MAX {
                    self.entry = None;
                } else if let Some(entry) = &mut self.entry {
                    entry.touch_at = now.plus(pause);
                }
            }
        }
    }

    /// The entry was taken out, or is given up: a directory forgets what is not touched.
    pub fn forget(&mut self) {
        self.entry = None;
        self.failures = 0;
    }

    fn back_off(&mut self, now: Mono) -> Duration {
        let doubled = self.terms.retry_min.saturating_mul(1 << self.failures.min(20));
        let pause = doubled.min(self.terms.retry_max);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus(pause);
        pause
    }

    fn bounded(&self, every_s: Option<u64>) -> Duration {
        let every = every_s.map_or(self.terms.touch_default, Duration::from_secs);
        every.clamp(self.terms.touch_min, self.terms.touch_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    fn listed(every_s: Option<u64>) -> Listing {
        let mut listing = Listing::new(Terms::default());
        assert_eq!(listing.step(false, at(0)), Step::Wait);
        assert_eq!(listing.step(true, at(0)), Step::Add);
        listing.added("s".to_owned(), every_s, at(0));
        listing
    }

    fn touch() -> Step {
        Step::Touch("s".to_owned())
    }

    #[test]
    fn a_source_is_entered_touched_and_taken_out_after_a_grace() {
        let mut listing = listed(Some(100));
        assert_eq!([listing.step(true, at(4)), listing.step(true, at(5))], [Step::Wait, touch()]);
        listing.touched(Touched::Accepted(None), at(5));
        assert_eq!([listing.step(true, at(104)), listing.step(true, at(105))], [Step::Wait, touch()]);
        listing.touched(Touched::Accepted(Some(50)), at(105));
        assert_eq!([listing.step(true, at(154)), listing.step(true, at(155))], [Step::Wait, touch()]);
        listing.touched(Touched::Accepted(None), at(155));

        assert_eq!([listing.step(false, at(160)), listing.step(false, at(164))], [Step::Wait, Step::Wait]);
        // It came back in time, and goes for good later.
        assert_eq!([listing.step(true, at(165)), listing.step(false, at(166))], [Step::Wait, Step::Wait]);
        assert_eq!(listing.step(false, at(170)), Step::Wait);
        assert_eq!(listing.step(false, at(171)), Step::Remove("s".to_owned()));
        listing.forget();
        assert_eq!([listing.step(false, at(172)), listing.step(true, at(172))], [Step::Wait, Step::Add]);
    }

    #[test]
    fn what_the_directory_says_of_touches_is_bounded() {
        for (told, seconds) in
            [(Some(0), 30), (Some(29), 30), (Some(200), 200), (None, 200), (Some(u64::MAX), 3600)]
        {
            let mut listing = listed(told);
            listing.touched(Touched::Accepted(None), at(5));
            let steps = [listing.step(true, at(4 + seconds)), listing.step(true, at(5 + seconds))];
            assert_eq!(steps, [Step::Wait, touch()], "{told:?}");
        }
    }

    #[test]
    fn failures_are_tried_again_later_and_later() {
        let mut listing = Listing::new(Terms::default());
        let mut now = 0;
        for pause in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(listing.step(true, at(now)), Step::Add);
            listing.not_added(at(now));
            assert_eq!(listing.step(true, at(now + pause - 1)), Step::Wait);
            now += pause;
        }
        listing.added("s".to_owned(), None, at(now));
        listing.touched(Touched::Refused, at(now + 5));
        let steps = [listing.step(true, at(now + 34)), listing.step(true, at(now + 35))];
        assert_eq!(steps, [Step::Wait, Step::Add]);
    }

    #[test]
    fn an_entry_outlives_some_touches_that_fail() {
        let mut listing = listed(Some(100));
        listing.touched(Touched::Failed, at(5));
        assert_eq!([listing.step(true, at(34)), listing.step(true, at(35))], [Step::Wait, touch()]);
        listing.touched(Touched::Failed, at(35));
        assert_eq!([listing.step(true, at(94)), listing.step(true, at(95))], [Step::Wait, touch()]);
        listing.touched(Touched::Accepted(None), at(95));
        assert_eq!(listing.sid(), Some("s"));
        for time in [195, 225, 285] {
            assert_eq!(listing.step(true, at(time)), touch());
            listing.touched(Touched::Failed, at(time));
        }
        assert_eq!(listing.sid(), None);
        assert_eq!([listing.step(true, at(404)), listing.step(true, at(405))], [Step::Wait, Step::Add]);
    }
}
