//! The programmes and the titles in a playlist, as date ranges.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use audio::Time;
use rewind::{Log, Position};
use wire::hls::daterange::{DateRange, write_date_range, write_title_range};

use crate::base::clock::timestamp;
use crate::stream::programs::{Listed, Maker};

/// Most programmes of a playlist, and most titles: the latest. Updates without the old part list all of them again, so
/// they are to stay few: some 200 bytes each.
pub const RANGES_MAX: usize = 32;
/// Most titles of a playlist that shows much of the past and grows: those updates are two thousand bytes in all.
pub const FEW_TITLES: usize = 2;
/// Most characters of a title here; segments tell all of it.
const TITLE_CHARS_MAX: usize = 200;

/// The tags of the programmes that overlap the time from `start` to `end`.
pub fn lines(listed: &Listed, start: Time, end: Time) -> String {
    let is_shown = |from: Time, to: Option<Time>| from < end && to.is_none_or(|to| to > start);
    let shown: Vec<_> = listed
        .programs
        .iter()
        .rev()
        .filter(|program| is_shown(program.start, program.end))
        .take(RANGES_MAX)
        .collect();
    let mut out = String::new();
    for program in shown.into_iter().rev() {
        let id = match program.made_by {
            Maker::Metadata => program.id.clone(),
            Maker::Api | Maker::Schedule => format!("program-{}", program.serial),
        };
        let range = DateRange {
            id: &id,
            start: timestamp(program.start),
            end: program.end.map(timestamp),
            name: &program.name,
            program: &program.id,
        };
        write_date_range(&mut out, &range);
    }
    out
}

/// Place of the latest change of the title before `end`; 0 without any. What was on from the oldest audio on has not
/// changed: it is no range, segments tell it.
pub fn newest_title(log: &Log, end: Position) -> Position {
    let oldest = log.span().map_or(end, |span| span.first);
    log.metadata_between(oldest, end, 1).pop().map_or(Position(0), |(position, _)| position)
}

/// The tags of the titles that are heard from `start` on, up to that which begins at `newest`; the latest `max` changes
/// count.
pub fn title_lines(log: &Log, start: Position, newest: Position, max: usize) -> String {
    let oldest = log.span().map_or(newest, |span| span.first);
    let mut changes = log.metadata_between(oldest, newest.plus(1), max);
    // Perhaps only the address is another one.
    let title_before = |position: Position| log.metadata_at(Position(position.0 - 1)).metadata.title.clone();
    changes.retain(|(position, entry)| title_before(*position) != entry.metadata.title);
    let before = changes.partition_point(|(position, _)| *position <= start);
    let mut out = String::new();
    for nth in before.saturating_sub(1)..changes.len() {
        let (position, entry) = &changes[nth];
        let Some(time) = log.time_of(*position).filter(|_| !entry.metadata.title.is_empty()) else {
            continue;
        };
        let end = changes.get(nth + 1).and_then(|(next, _)| log.time_of(*next)).map(timestamp);
        let title: String = entry.metadata.title.chars().take(TITLE_CHARS_MAX).collect();
        write_title_range(&mut out, &format!("title-at-{position}"), timestamp(time), end, &title);
    }
    out
}

/// What the entity tag of a playlist with these `lines` has more than without; nothing without any.
pub fn tag(lines: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    format!("-{:x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stream::programs::Program;

    fn listed(spans: impl IntoIterator<Item = (i64, Option<i64>)>) -> Listed {
        let program = |(nth, (start, end)): (usize, (i64, Option<i64>))| {
            Arc::new(Program {
                id: nth.to_string(),
                serial: nth as u64,
                name: format!("N{nth}"),
                start: Time(start),
                end: end.map(Time),
                description: None,
                url: None,
                image: None,
                made_by: Maker::Api,
            })
        };
        Listed { version: 1, programs: spans.into_iter().enumerate().map(program).collect() }
    }

    fn ids(lines: &str) -> Vec<&str> {
        lines.lines().map(|line| line.split('"').nth(1).unwrap()).collect()
    }

    #[test]
    fn programmes_of_the_time_that_is_shown_are_listed() {
        let listed = listed([(0, Some(10)), (0, Some(11)), (5, None), (19, Some(40)), (20, Some(30))]);
        assert_eq!(ids(&lines(&listed, Time(10), Time(20))), ["program-1", "program-2", "program-3"]);
        assert_eq!(tag(&lines(&listed, Time(-5), Time(0))), "");
        assert_ne!(tag(&lines(&listed, Time(0), Time(1))), tag(&lines(&listed, Time(0), Time(20))));
    }

    #[test]
    fn only_the_latest_are_listed_where_there_are_many() {
        let listed = listed((0..100).map(|nth| (nth, Some(nth + 1))));
        let lines = lines(&listed, Time(0), Time(90));
        let ids = ids(&lines);
        assert_eq!((ids.len(), ids[0], ids[RANGES_MAX - 1]), (RANGES_MAX, "program-58", "program-89"));
    }
}
