//! The schedule of a stream: programmes that come again on days of the week, and how they are written in settings.
//!
//! When they come is `stream`'s.

use std::fmt;

use jiff::civil::{Time, Weekday};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::coerce::shown;

/// Most programmes of a schedule: a new one every hour of the week.
const ENTRIES_MAX: usize = 168;
/// Longest name of a programme, in characters.
pub const PROGRAM_NAME_CHARS_MAX: usize = 200;
/// The days as they are written, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A programme that comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Value")]
pub struct ScheduleEntry {
    /// What it is called.
    pub name: String,
    /// The days on which it starts.
    pub days: Days,
    /// Local time of its start.
    pub start: Time,
    /// Local time of its end: on the next day, if that is no later than the start.
    pub end: Time,
}

/// Some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days([bool; 7]);

impl Days {
    /// Whether `day` is one of them.
    pub fn has(self, day: Weekday) -> bool {
        self.0[index(day)]
    }

    /// Reads days and ranges of days, `mon-fri,sun`; a range may go over the end of the week.
    fn parse(text: &str) -> Option<Self> {
        let day = |name: &str| {
            let name = name.trim().to_ascii_lowercase();
            DAYS.iter().position(|day| *day == name)
        };
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let count = (last + 7 - first) % 7 + 1;
            (first..first + count).for_each(|nth| days[nth % 7] = true);
        }
        Some(Days(days))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for day in (0..7).filter(|day| self.0[*day]) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => runs.push((day, day)),
            }
        }
        let names = runs.into_iter().map(|(first, last)| match last - first {
            0 => DAYS[first].to_owned(),
            1 => format!("{},{}", DAYS[first], DAYS[last]),
            _ => format!("{}-{}", DAYS[first], DAYS[last]),
        });
        out.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// A schedule in its proper form.
///
/// # Errors
/// What was expected and what was found, in which of its programmes.
pub fn coerce(value: &Value) -> Result<Value, String> {
    let list = match value {
        Value::Bool(false) => return Ok(json!([])),
        Value::Array(list) if list.len() <= ENTRIES_MAX => list,
        Value::Array(list) => {
            return Err(format!("expected at most {ENTRIES_MAX} programmes, found {}", list.len()));
        }
        other => return Err(format!("expected {EXPECTED}, found {}", shown(other))),
    };
    let entry = |(index, value): (usize, &Value)| {
        let read = match value {
            Value::Object(members) => ScheduleEntry::try_from(members.clone()),
            other => Err(format!("expected an object, found {}", shown(other))),
        };
        read.map(Value::from).map_err(|error| format!("programme {}: {error}", index + 1))
    };
    list.iter().enumerate().map(entry).collect()
}

/// What a schedule is, in words.
pub const EXPECTED: &str = "a list of programmes such as {\"name\": \"Morning\", \"days\": \"mon-fri\", \
                            \"start\": \"06:00\", \"end\": \"09:00\"}";

impl TryFrom<Map<String, Value>> for ScheduleEntry {
    type Error = String;

    fn try_from(members: Map<String, Value>) -> Result<Self, String> {
        if let Some(name) =
            members.keys().find(|name| !["name", "days", "start", "end"].contains(&name.as_str()))
        {
            return Err(format!("{name:?} is unknown: a programme has name, days, start and end"));
        }
        let wrong = |name: &str, expected: &str| {
            let found = members.get(name).map_or_else(|| "nothing".to_owned(), shown);
            format!("{name}: expected {expected}, found {found}")
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let time = |name| {
            let time = text(name).and_then(parse_time);
            time.ok_or_else(|| wrong(name, "a time of day such as \"06:00\""))
        };
        let name = text("name")
            .map(wire::metadata::clean)
            .filter(|name| !name.is_empty() && name.chars().count() <= PROGRAM_NAME_CHARS_MAX);
        let name = name
            .ok_or_else(|| wrong("name", &format!("a text of 1 to {PROGRAM_NAME_CHARS_MAX} characters")))?;
        let days = match members.get("days") {
            None | Some(Value::Null) => Some(Days([true; 7])),
            Some(_) => text("days").and_then(Days::parse),
        };
        let days = days.ok_or_else(|| wrong("days", "days such as \"mon-fri\" or \"sat,sun\""))?;
        Ok(ScheduleEntry { name, days, start: time("start")?, end: time("end")? })
    }
}

impl From<ScheduleEntry> for Value {
    fn from(entry: ScheduleEntry) -> Self {
        json!({
            "name": entry.name, "days": entry.days.to_string(),
            "start": written(entry.start), "end": written(entry.end),
        })
    }
}

/// `HH:MM` or `HH:MM:SS`; the day may end at `24:00`.
fn parse_time(text: &str) -> Option<Time> {
    let is_form = matches!(text.len(), 5 | 8)
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() });
    match text {
        "24:00" => Some(Time::midnight()),
        _ if is_form => text.parse().ok(),
        _ => None,
    }
}

fn written(time: Time) -> String {
    let form = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_in_their_shortest_form() {
        for (text, written) in [
            ("mon-fri", "mon-fri"),
            ("sat,sun", "sat,sun"),
            ("MON, Tue ,wed", "mon-wed"),
            ("fri-mon", "mon,fri-sun"),
            ("sun", "sun"),
            ("mon-sun", "mon-sun"),
            ("tue-mon", "mon-sun"),
            ("mon,wed,thu,sun", "mon,wed,thu,sun"),
        ] {
            let days = Days::parse(text).unwrap();
            assert_eq!(days.to_string(), written, "{text}");
            assert_eq!(Days::parse(written), Some(days), "{text}");
        }
        for text in ["", "mon-", "-", "monday", "mon;tue", "mon-tue-wed", "1"] {
            assert_eq!(Days::parse(text), None, "{text}");
        }
        let days = Days::parse("fri-sun").unwrap();
        assert!(days.has(Weekday::Sunday) && days.has(Weekday::Friday) && !days.has(Weekday::Monday));
    }

    #[test]
    fn a_schedule_has_one_form() {
        let given = json!([
            {"name": " Morning\nshow ", "days": "Mon-Fri", "start": "06:00:00", "end": "09:00:30"},
            {"name": "Night", "start": "22:00", "end": "24:00"},
        ]);
        let proper = json!([
            {"name": "Morning show", "days": "mon-fri", "start": "06:00", "end": "09:00:30"},
            {"name": "Night", "days": "mon-sun", "start": "22:00", "end": "00:00"},
        ]);
        assert_eq!(coerce(&given), Ok(proper.clone()));
        assert_eq!(coerce(&proper), Ok(proper.clone()));
        let entries: Vec<ScheduleEntry> = serde_json::from_value(proper.clone()).unwrap();
        assert_eq!(serde_json::to_value(entries).unwrap(), proper);
        assert_eq!(coerce(&json!(false)), Ok(json!([])));
    }

    #[test]
    fn what_is_wrong_in_a_schedule_is_told_with_its_place() {
        let good = json!({"name": "A", "start": "06:00", "end": "09:00"});
        for (change, error) in [
            (json!({"start": "25:00"}), "start: expected a time of day such as \"06:00\", found \"25:00\""),
            (json!({"end": null}), "end: expected a time of day such as \"06:00\", found null"),
            (json!({"end": "9:00"}), "end: expected a time of day such as \"06:00\", found \"9:00\""),
            (json!({"start": "+06:0"}), "start: expected a time of day such as \"06:00\", found \"+06:0\""),
            (json!({"name": "\n"}), "name: expected a text of 1 to 200 characters, found \"\\n\""),
            (
                json!({"days": "weekdays"}),
                "days: expected days such as \"mon-fri\" or \"sat,sun\", found \"weekdays\"",
            ),
            (json!({"day": "mon"}), "\"day\" is unknown: a programme has name, days, start and end"),
        ] {
            let mut wrong = good.clone();
            wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(coerce(&json!([good, wrong])), Err(format!("programme 2: {error}")));
        }
        assert_eq!(coerce(&json!([1])), Err("programme 1: expected an object, found 1".to_owned()));
        assert_eq!(
            coerce(&json!(vec![good; ENTRIES_MAX + 1])),
            Err("expected at most 168 programmes, found 169".to_owned())
        );
        assert!(coerce(&json!("mon")).unwrap_err().starts_with("expected a list of programmes such as {"));
    }
}
