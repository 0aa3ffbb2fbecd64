//! One grammar for instants, whatever output they are asked on.
//!
//! RFC 3339; unix seconds or milliseconds; `-3600`, seconds before now; `now`; `HH:MM[:SS]`, its most recent occurrence;
//! a local date and time. The last two are in a zone, where daylight saving makes some local times ambiguous or missing:
//! the first of two unless `fold` says the second; a missing one by the offset before the jump (RFC 5545, 3.3.5).
//! Instants lie in the years 1970 to 9999.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Digits from which a number means milliseconds: seconds have ten until the year 2286.
const MILLISECOND_DIGITS: usize = 12;
/// Farthest distance before now: longer than any rewind buffer.
const BACK_SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;
/// Days on which a time of day is looked for: today, yesterday, and one more where a zone once left out a whole day.
const DAYS_BACK_MAX: usize = 3;

/// Most characters of a wrong text that its error repeats.
const SHOWN_MAX: usize = 64;

/// A text that is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no instant: use 2026-11-23T09:00:00Z, unix seconds, -3600 (seconds before now), 09:00, or a local date and time"
)]
pub struct InstantError(String);

/// Reads an instant, with a precision of a microsecond; `fold` takes the second of two equal local times.
///
/// # Errors
/// A text that is none, or one that is out of bounds.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone, fold: bool) -> Result<Timestamp, InstantError> {
    let text = text.trim();
    parse_absolute(text)
        .or_else(|| if text == "now" { Some(now) } else { parse_before(text, now) })
        .or_else(|| parse_time_of_day(text, now, zone, fold))
        .or_else(|| text.parse().ok().and_then(|local| resolve(local, zone, fold)))
        .filter(|instant| *instant >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| InstantError(text.chars().take(SHOWN_MAX).collect()))
}

/// True for a text that means the same instant tomorrow and in any zone.
pub fn is_absolute(text: &str) -> bool {
    parse_absolute(text.trim()).is_some()
}

/// Unix seconds, with a fraction only where there is one: [`parse`] gives `instant` back, to the microsecond.
pub fn encode(instant: Timestamp) -> String {
    let micros = instant.as_microsecond();
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    match fraction {
        0 => seconds.to_string(),
        _ => format!("{seconds}.{fraction:06}").trim_end_matches('0').to_owned(),
    }
}

fn parse_absolute(text: &str) -> Option<Timestamp> {
    if is_number(text) {
        let number: f64 = text.parse().ok()?;
        let digits = text.split('.').next().map_or(0, str::len);
        let scale = if digits < MILLISECOND_DIGITS { 1e6 } else { 1e3 };
        return Timestamp::from_microsecond((number * scale).round() as i64).ok();
    }
    text.parse().ok().or_else(|| with_plus(text)?.parse().ok())
}

/// Digits, with or without a fraction.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `2026-11-23T09:00:00 01:00`, where a query's `+` was read as a blank.
fn with_plus(text: &str) -> Option<String> {
    let (before, offset) = text.rsplit_once(' ')?;
    before.contains(['T', 't']).then(|| format!("{before}+{offset}"))
}

fn parse_before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let number = text.strip_prefix('-').filter(|rest| is_number(rest))?;
    let seconds = number.parse().ok().filter(|seconds: &f64| *seconds <= BACK_SECONDS_MAX)?;
    now.checked_sub(SignedDuration::from_micros((seconds * 1e6).round() as i64)).ok()
}

fn parse_time_of_day(text: &str, now: Timestamp, zone: &TimeZone, fold: bool) -> Option<Timestamp> {
    let is_time = matches!(text.len(), 5 | 8) && text.as_bytes()[2] == b':';
    let time: Time = if is_time { text.parse().ok()? } else { return None };
    let today = zone.to_datetime(now).date();
    let days = std::iter::successors(Some(today), |day: &Date| day.yesterday().ok()).take(DAYS_BACK_MAX);
    // The second of two may be still to come when the first has been.
    let mut instants =
        days.flat_map(|day| [fold, false].map(|fold| resolve(day.to_datetime(time), zone, fold)));
    instants.find_map(|instant| instant.filter(|instant| *instant <= now))
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
    use proptest::prelude::*;

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
            ("now", NOW),
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
    fn what_is_written_is_read_back() {
        for (text, written) in [
            (NOW, "1795429800"),
            ("2026-11-23T10:30:00.5Z", "1795429800.5"),
            ("2026-11-23T10:30:00.000001Z", "1795429800.000001"),
            ("1970-01-01T00:00:00Z", "0"),
        ] {
            assert_eq!(encode(at(text)), written);
            assert!(is_absolute(written));
            assert_eq!(berlin(written, NOW, false), at(text));
        }
        assert!(!is_absolute("now"));
    }

    #[test]
    fn daylight_saving_is_resolved() {
        // In Berlin, two o'clock comes twice on 25 October 2026, and not at all on 29 March 2026.
        for (text, now, fold, expected) in [
            ("02:30", "2026-10-25T12:00:00Z", false, "2026-10-25T00:30:00Z"),
            ("02:30", "2026-10-25T12:00:00Z", true, "2026-10-25T01:30:00Z"),
            ("2026-10-25T02:30", NOW, false, "2026-10-25T00:30:00Z"),
            ("2026-10-25T02:30", NOW, true, "2026-10-25T01:30:00Z"),
            // Between the two, the first is the most recent.
            ("02:30", "2026-10-25T01:00:00Z", true, "2026-10-25T00:30:00Z"),
            ("02:30", "2026-10-25T00:29:59Z", false, "2026-10-24T00:30:00Z"),
            ("02:30", "2026-03-29T12:00:00Z", false, "2026-03-29T01:30:00Z"),
            ("02:30", "2026-03-29T01:29:59Z", false, "2026-03-28T01:30:00Z"),
            ("2026-03-29T02:30", NOW, true, "2026-03-29T01:30:00Z"),
        ] {
            assert_eq!(berlin(text, now, fold), at(expected), "{text} at {now}");
        }
    }

    #[test]
    fn a_day_that_a_zone_left_out_is_passed_over() {
        // Samoa went from 29 to 31 December 2011.
        let apia = TimeZone::get("Pacific/Apia").unwrap();
        let now = at("2011-12-31T01:00:00+14:00");
        assert_eq!(parse("02:00", now, &apia, false), Ok(at("2011-12-29T02:00:00-10:00")));
    }

    #[test]
    fn nonsense_is_refused_with_the_forms_there_are() {
        let parse = |text| parse(text, at(NOW), &TimeZone::UTC, false);
        for text in [
            "",
            "noon",
            "25:00",
            "9:00",
            "12:60",
            "é:é",
            "-",
            "--5",
            "-1e3",
            "-inf",
            "-.5",
            "+5",
            "nan",
            "1e9",
            ".5",
            "1.2.3",
            "2026-13-01T00:00:00Z",
            "2026-11-31",
            "99999999999999999999",
            "T09:00 01:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("noon").unwrap_err().to_string().starts_with("\"noon\" is no instant: use 2026-"));
        let InstantError(shown) = parse(&"x".repeat(1_000)).unwrap_err();
        assert_eq!(shown.len(), SHOWN_MAX);
    }

    #[test]
    fn every_bound_holds_at_its_edge() {
        let read = |text: &str| parse(text, at(NOW), &TimeZone::UTC, false).ok();
        assert_eq!(read("0"), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(read("1969-12-31T23:59:59Z"), None);
        assert_eq!(read("9999-12-30T22:00:00Z"), Some(Timestamp::MAX.round(jiff::Unit::Hour).unwrap()));
        assert_eq!(read("9999-12-31T23:59:59Z"), None);
        assert_eq!(read("-316224000"), Some(at("2016-11-15T10:30:00Z")));
        assert_eq!(read("-316224000.001"), None);
        // Eleven digits are seconds, twelve are milliseconds.
        assert_eq!(read("99999999999"), Some(at("5138-11-16T09:46:39Z")));
        assert_eq!(read("100000000000"), Some(at("1973-03-03T09:46:40Z")));
        assert_eq!(read("1795424400.123456"), Some(at("2026-11-23T09:00:00.123456Z")));
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

    proptest! {
        #[test]
        fn a_time_of_day_is_never_in_the_future_nor_long_ago(
            zone in proptest::sample::select(&["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"][..]),
            now in 1_300_000_000_i64..2_000_000_000,
            (hour, minute) in (0..24, 0..60),
            fold: bool,
        ) {
            let now = Timestamp::from_second(now).unwrap();
            let zone = TimeZone::get(zone).unwrap();
            let instant = parse(&format!("{hour:02}:{minute:02}"), now, &zone, fold).unwrap();
            let ago = now.duration_since(instant);
            prop_assert!(!ago.is_negative() && ago < SignedDuration::from_hours(49), "{ago:?}");
        }

        #[test]
        fn no_text_panics(text in "[-0-9:.TZ+ eéinf]{0,30}") {
            // That it returns is the fact.
            let _ = parse(&text, at(NOW), &TimeZone::UTC, true);
        }
    }
}
