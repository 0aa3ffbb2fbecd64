//! What a proxy source remembers of its tries: whether titles are still asked for, and which trouble was told.

use std::time::Duration;

use tokio::time::Instant;

use crate::source::End;

/// So many connections one after the other that end for their titles: then they are asked for no more. One malformed title
/// may be an accident.
const GARBLED_MAX: u32 = 3;
/// After so long titles are asked for again: the upstream may have been mended.
const TITLES_AGAIN: Duration = Duration::from_secs(600);
/// The same trouble is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Different troubles told within that time.
const TOLD_MAX: usize = 8;

/// Whether titles are where the upstream says.
#[derive(Debug, Default)]
pub struct TitleTrust {
    garbled: u32,
    last: Option<Instant>,
}

/// The troubles that were told.
#[derive(Debug, Default)]
pub struct Told {
    since: Option<Instant>,
    reasons: Vec<String>,
}

impl TitleTrust {
    /// Whether to ask for titles.
    pub fn asks(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now.duration_since(last) >= TITLES_AGAIN) {
            *self = TitleTrust::default();
        }
        self.garbled < GARBLED_MAX
    }

    /// A connection with titles came to its end. True if none are asked for from now on.
    pub fn ended(&mut self, end: &End, now: Instant) -> bool {
        if *end != End::Garbled {
            *self = TitleTrust::default();
            return false;
        }
        self.last = Some(now);
        self.garbled += 1;
        self.garbled >= GARBLED_MAX
    }
}

impl Told {
    /// True if `reason` is to be told: it was not lately.
    pub fn is_news(&mut self, reason: &str, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= TOLD_AGAIN) {
            *self = Told { since: Some(now), reasons: Vec::new() };
        }
        let is_news = self.reasons.len() < TOLD_MAX && !self.reasons.iter().any(|told| told == reason);
        if is_news {
            self.reasons.push(reason.to_owned());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn titles_are_given_up_after_three_garbled_ends_in_a_row_and_for_a_while() {
        let (mut trust, start) = (TitleTrust::default(), Instant::now());
        for (end, given_up) in [
            (End::Garbled, false),
            (End::Garbled, false),
            (End::Closed, false),
            (End::Garbled, false),
            (End::Garbled, false),
            (End::Garbled, true),
        ] {
            assert!(trust.asks(start));
            assert_eq!(trust.ended(&end, start), given_up);
        }
        assert!(!trust.asks(start + TITLES_AGAIN - S));
        assert!(trust.asks(start + TITLES_AGAIN));
        assert!(!trust.ended(&End::Garbled, start + TITLES_AGAIN));
    }

    #[test]
    fn garbled_ends_far_apart_are_no_row() {
        let (mut trust, start) = (TitleTrust::default(), Instant::now());
        for number in 0..10 {
            let now = start + TITLES_AGAIN * number;
            assert!(trust.asks(now) && !trust.ended(&End::Garbled, now));
        }
    }

    #[test]
    fn a_trouble_is_told_at_once_and_again_after_a_minute_and_so_many_between() {
        let (mut told, start) = (Told::default(), Instant::now());
        let tell = |told: &mut Told, reason: &str, s: u32| told.is_news(reason, start + S * s);
        assert!(tell(&mut told, "a", 0) && !tell(&mut told, "a", 1));
        assert!(tell(&mut told, "b", 2) && !tell(&mut told, "a", 3) && !tell(&mut told, "b", 59));
        assert!(tell(&mut told, "a", 60) && !tell(&mut told, "a", 61));
        let others = (0..100).filter(|number| tell(&mut told, &number.to_string(), 62)).count();
        assert_eq!(others, TOLD_MAX - 1);
    }
}
