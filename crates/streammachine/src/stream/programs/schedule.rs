//! When the programmes of a schedule come: local times of day made instants, daylight saving included.

use audio::Time;
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::base::clock::{time, timestamp};
use crate::config::ScheduleEntry;

/// One coming of a programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub name: String,
    /// Names this one: name, local date and time of its start.
    pub id: String,
    pub start: Time,
    pub end: Time,
}

/// Longest part of an id that is made of the name, in bytes.
const SLUG_BYTES_MAX: usize = 40;

/// What starts after `after` and no later than `until`, by start.
///
/// A local time that comes twice is the first one; one that does not come is taken by the offset before the jump (RFC
/// 5545, 3.3.5), as all instants are. A programme that lies in the missing hour altogether does not come.
pub(super) fn occurrences(
    entries: &[ScheduleEntry],
    zone: &TimeZone,
    after: Time,
    until: Time,
) -> Vec<Occurrence> {
    if entries.is_empty() || until <= after {
        return Vec::new();
    }
    let date = |instant: Time| zone.to_datetime(timestamp(instant)).date();
    // A jump of the zone may carry a start over midnight.
    let (first, last) = (date(after), date(until));
    let first = first.yesterday().unwrap_or(first);
    let days = std::iter::successors(Some(first), |day: &Date| day.tomorrow().ok());
    let mut found: Vec<Occurrence> = days
        .take_while(|day| *day <= last)
        .flat_map(|day| entries.iter().filter_map(move |entry| occurrence(entry, zone, day)))
        .filter(|it| it.start > after && it.start <= until)
        .collect();
    found.sort_by_key(|it| it.start);
    found
}

/// The one that starts on `day`, if one does.
fn occurrence(entry: &ScheduleEntry, zone: &TimeZone, day: Date) -> Option<Occurrence> {
    if !entry.days.has(day.weekday()) {
        return None;
    }
    let end_day = if entry.end > entry.start { day } else { day.checked_add(1.day()).ok()? };
    let instant = |local: DateTime| zone.to_ambiguous_timestamp(local).compatible().ok().map(time);
    let (start, end) = (instant(day.to_datetime(entry.start))?, instant(end_day.to_datetime(entry.end))?);
    let id = format!("{}-{}", slug(&entry.name), day.to_datetime(entry.start).strftime("%Y-%m-%d-%H%M"));
    (start < end).then(|| Occurrence { name: entry.name.clone(), id, start, end })
}

/// `name` in lower-case letters, digits and dashes.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for byte in name.to_lowercase().bytes().take(SLUG_BYTES_MAX) {
        if byte.is_ascii_alphanumeric() {
            slug.push(char::from(byte));
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "program".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Time {
        time(text.parse().unwrap())
    }

    /// Starts and ends in Berlin.
    fn berlin(entries: serde_json::Value, after: &str, until: &str) -> Vec<(String, String)> {
        let entries: Vec<ScheduleEntry> = serde_json::from_value(entries).unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let found = occurrences(&entries, &zone, at(after), at(until));
        found.iter().map(|it| (timestamp(it.start).to_string(), timestamp(it.end).to_string())).collect()
    }

    fn check(entry: serde_json::Value, after: &str, until: &str, expected: &[(&str, &str)]) {
        let found = berlin(json!([entry]), after, until);
        let expected: Vec<(String, String)> =
            expected.iter().map(|(start, end)| ((*start).to_owned(), (*end).to_owned())).collect();
        assert_eq!(found, expected, "{entry}");
    }

    #[test]
    fn a_programme_keeps_its_local_time_over_both_changes_of_the_clock() {
        let morning = json!({"name": "Morning", "days": "sat,sun,mon", "start": "06:00", "end": "09:00"});
        check(
            morning.clone(),
            "2026-03-27T00:00:00Z",
            "2026-03-30T12:00:00Z",
            &[
                ("2026-03-28T05:00:00Z", "2026-03-28T08:00:00Z"),
                ("2026-03-29T04:00:00Z", "2026-03-29T07:00:00Z"),
                ("2026-03-30T04:00:00Z", "2026-03-30T07:00:00Z"),
            ],
        );
        check(
            morning,
            "2026-10-24T00:00:00Z",
            "2026-10-25T12:00:00Z",
            &[
                ("2026-10-24T04:00:00Z", "2026-10-24T07:00:00Z"),
                ("2026-10-25T05:00:00Z", "2026-10-25T08:00:00Z"),
            ],
        );
    }

    #[test]
    fn the_missing_and_the_double_hour_are_resolved() {
        let night = json!({"name": "Night", "start": "02:30", "end": "05:00"});
        check(
            night.clone(),
            "2026-03-28T12:00:00Z",
            "2026-03-29T12:00:00Z",
            &[("2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z")],
        );
        check(
            night,
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
            &[("2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z")],
        );
        // What ends at half past two is followed by what starts then, on all days.
        let before = json!({"name": "Before", "start": "00:00", "end": "02:30"});
        check(
            before.clone(),
            "2026-03-28T22:00:00Z",
            "2026-03-29T12:00:00Z",
            &[("2026-03-28T23:00:00Z", "2026-03-29T01:30:00Z")],
        );
        check(
            before,
            "2026-10-24T20:00:00Z",
            "2026-10-25T12:00:00Z",
            &[("2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z")],
        );
        let missing = json!({"name": "Missing", "start": "02:30", "end": "03:10"});
        check(missing, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &[]);
    }

    #[test]
    fn a_programme_may_go_over_midnight_and_over_the_week() {
        let late = json!({"name": "Late", "days": "sun", "start": "22:00", "end": "02:00"});
        let expected = [("2026-11-22T21:00:00Z", "2026-11-23T01:00:00Z")];
        check(late.clone(), "2026-11-20T00:00:00Z", "2026-11-26T00:00:00Z", &expected);
        // Bounds: after the one, up to the other.
        check(late.clone(), "2026-11-22T20:59:59Z", "2026-11-22T21:00:00Z", &expected);
        check(late.clone(), "2026-11-22T21:00:00Z", "2026-11-25T21:00:00Z", &[]);
        check(late, "2026-11-22T20:00:00Z", "2026-11-22T20:59:59Z", &[]);
        let day = json!({"name": "Day", "days": "sun", "start": "00:00", "end": "24:00"});
        check(
            day,
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
            &[("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")],
        );
    }

    #[test]
    fn occurrences_are_in_order_and_named_after_their_local_start() {
        let entries: Vec<ScheduleEntry> = serde_json::from_value(json!([
            {"name": "Später & mehr", "start": "10:00", "end": "11:00"},
            {"name": "新聞", "start": "06:30", "end": "10:00"},
        ]))
        .unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let found = occurrences(&entries, &zone, at("2026-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z"));
        let ids: Vec<&str> = found.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["program-2026-11-23-0630", "sp-ter-mehr-2026-11-23-1000"]);
    }
}
