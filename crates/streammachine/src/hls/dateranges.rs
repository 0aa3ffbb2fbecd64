//! The programmes in a playlist, as date ranges.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use audio::Time;
use wire::hls::daterange::{DateRange, write_date_range};

use crate::base::clock::timestamp;
use crate::stream::programs::{Listed, Maker};

/// Most date ranges of a playlist: the latest. Updates without the old part list all of them again, so they are to stay
/// few: some 200 bytes each.
const RANGES_MAX: usize = 32;

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
