//! One grammar for instants, whatever output they are asked on.
//!
//! RFC 3339; unix seconds or milliseconds; `-3600`, seconds before now; `HH:MM[:SS]`, its most recent occurrence; a
//! local date and time. The last two are in a zone, where daylight saving makes some local times ambiguous or missing:
//! the first of two unless `fold` says the second; a missing one by the offset before the jump (RFC 5545, 3.3.5).

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Digits from which a number means milliseconds: seconds have ten until the year 2286.
const MILLISECOND_DIGITS: usize = 12;
/// Farthest distance before now: longer than any rewind buffer.
const BACK_SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;

/// A text that is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no instant: use 2026-11-23T09:00:00Z, unix seconds, -3600 (seconds before now), 09:00, or a local date and time"
)]
pub struct InstantError(String);

/// Reads an instant.
///
/// # Errors
/// A text that is none, or one that is out of bounds.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone, fold: bool) -> Result<Timestamp, InstantError> {
    let text = text.trim();
    parse_absolute(text)
        .or_else(|| parse_before(text, now))
        .or_else(|| parse_time_of_day(text, now, zone, fold))
        .or_else(|| text.parse::<DateTime>().ok().and_then(|local| resolve(local, zone, fold)))
        .ok_or_else(|| InstantError(text.chars().take(64).collect()))
}

/// True for a text that means the same instant tomorrow and in any zone.
pub fn is_absolute(text: &str) -> bool {
    parse_absolute(text.trim()).is_some()
}

fn parse_absolute(text: &str) -> Option<Timestamp> {
    let whole = text.split('.').next().unwrap_or_default();
    if !whole.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let number: f64 = text.parse().ok()?;
        let seconds = if whole.len() >= MILLISECOND_DIGITS { number / 1e3 } else { number };
        return Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok();
    }
    text.parse().ok().or_else(|| with_plus(text)?.parse().ok())
}

/// `2026-11-23T09:00:00 01:00`, where a query's `+` was read as a blank.
fn with_plus(text: &str) -> Option<String> {
    let (before, offset) = text.rsplit_once(' ')?;
    before.contains(['T', 't']).then(|| format!("{before}+{offset}"))
}

fn parse_before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let seconds: f64 = text
        .strip_prefix('-')
        .filter(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))?
        .parse()
        .ok()?;
    if !(0.0..=BACK_SECONDS_MAX).contains(&seconds) {
        return None;
    }
    now.checked_sub(SignedDuration::from_micros((seconds * 1e6).round() as i64)).ok()
}

fn parse_time_of_day(text: &str, now: Timestamp, zone: &TimeZone, fold: bool) -> Option<Timestamp> {
    let is_time = matches!(text.len(), 5 | 8) && text.as_bytes()[2] == b':';
    let time: Time = if is_time { text.parse().ok()? } else { return None };
    let today = zone.to_datetime(now).date();
    let on = |date: jiff::civil::Date| resolve(date.to_datetime(time), zone, fold);
    on(today).filter(|instant| *instant <= now).or_else(|| on(today.yesterday().ok()?))
}

fn resolve(local: DateTime, zone: &TimeZone, fold: bool) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        AmbiguousOffset::Fold { .. } if fold => ambiguous.later().ok(),
        _ => ambiguous.compatible().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T10:30:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn berlin(text: &str, now: &str, fold: bool) -> Timestamp {
        parse(text, at(now), &TimeZone::get("Europe/Berlin").unwrap(), fold).unwrap()
    }

    #[test]
    fn every_form_is_understood() {
        for (text, expected) in [
            ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z"),
            ("2026-11-23T09:00:00+01:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23T09:00:00 01:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23T09:00:00.250-05:00", "2026-11-23T14:00:00.25Z"),
            ("1795424400", "2026-11-23T09:00:00Z"),
            ("1795424400.5", "2026-11-23T09:00:00.5Z"),
            ("1795424400000", "2026-11-23T09:00:00Z"),
            ("-3600", "2026-11-23T09:30:00Z"),
            ("-0.5", "2026-11-23T10:29:59.5Z"),
            ("09:00", "2026-11-23T08:00:00Z"),
            ("09:00:30", "2026-11-23T08:00:30Z"),
            ("11:30", "2026-11-23T10:30:00Z"),
            ("11:31", "2026-11-22T10:31:00Z"),
            ("2026-11-23T09:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23T09:00:30", "2026-11-23T08:00:30Z"),
        ] {
            assert_eq!(berlin(text, NOW, false), at(expected), "{text}");
        }
    }

    #[test]
    fn daylight_saving_is_resolved() {
        // Two o'clock comes twice on 25 October 2026, and not at all on 29 March 2026.
        let autumn = "2026-10-25T12:00:00Z";
        assert_eq!(berlin("02:30", autumn, false), at("2026-10-25T00:30:00Z"));
        assert_eq!(berlin("02:30", autumn, true), at("2026-10-25T01:30:00Z"));
        assert_eq!(berlin("02:30", "2026-03-29T12:00:00Z", false), at("2026-03-29T01:30:00Z"));
        assert_eq!(berlin("2026-03-29T02:30", NOW, true), at("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn nonsense_is_refused_with_the_forms_there_are() {
        let parse = |text| parse(text, at(NOW), &TimeZone::UTC, false);
        for text in [
            "",
            "noon",
            "25:00",
            "9:00",
            "-",
            "--5",
            "-1e99",
            "-inf",
            "nan",
            "1.2.3",
            "2026-13-01T00:00:00Z",
            "99999999999999999999",
            "12:60",
            "é:é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("noon").unwrap_err().to_string().starts_with("\"noon\" is no instant: use 2026-"));
    }

    #[test]
    fn only_some_forms_are_absolute() {
        for text in ["2026-11-23T09:00:00Z", "1795424400", "1795424400000", "2026-11-23T09:00:00+01:00"] {
            assert!(is_absolute(text), "{text}");
        }
        for text in ["-3600", "09:00", "2026-11-23T09:00", "noon"] {
            assert!(!is_absolute(text), "{text}");
        }
    }
}
