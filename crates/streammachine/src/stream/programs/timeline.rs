//! Programmes along the time of a stream: the rules of their row. No clock, no file, no log.

use std::sync::Arc;

use audio::Time;

use super::schedule::Occurrence;

/// Most programmes of a stream that are kept; when there are more, the one goes that ended first. Two weeks of one every
/// twenty minutes.
pub const PROGRAMS_MAX: usize = 1_000;

/// What says that a programme was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// A request of the API.
    Api,
    /// The schedule.
    Schedule,
    /// A title.
    Metadata,
}

/// A named span of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Names it, and no other of the stream.
    pub id: String,
    /// Given anew whenever something changes that was published, but for an end that is added. Never given twice.
    pub serial: u64,
    /// What it is called.
    pub name: String,
    /// Its first instant.
    pub start: Time,
    /// Its end; none while nobody knows it.
    pub end: Option<Time>,
    /// What it is about.
    pub description: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// A picture.
    pub image: Option<String>,
    /// Who says so.
    pub made_by: Maker,
}

impl Program {
    /// Its end, if that is past.
    pub fn ended(&self, now: Time) -> Option<Time> {
        self.end.filter(|end| *end <= now)
    }

    /// Whether it is on at `now`.
    pub fn is_running(&self, now: Time) -> bool {
        self.start <= now && self.ended(now).is_none()
    }
}

/// Why a programme cannot be put where it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Another one has its id.
    #[error("id: another programme has it")]
    Taken,
    /// Another one without an end begins at the same instant.
    #[error("start: another programme without an end begins at the same instant")]
    SameStart,
    /// There are as many as can be, and none of them ended before this one.
    #[error(
        "a stream has {PROGRAMS_MAX} programmes at most, and none that ended before this one could go for it"
    )]
    Full,
}

/// The programmes of a stream but for those made from titles, by their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    pub programs: Vec<Arc<Program>>,
    /// What the schedule has begun up to here was recorded.
    pub scheduled_until: Option<Time>,
    pub last_serial: u64,
    /// How often it was changed.
    pub revision: u64,
}

impl Timeline {
    /// A number for a programme that is made at `now`: greater than all before, those forgotten by a restart included.
    pub fn next_serial(&mut self, now: Time) -> u64 {
        self.last_serial = (self.last_serial + 1).max(now.0.unsigned_abs());
        self.last_serial
    }

    /// Puts a programme into the row. Of those without an end only the last is open: each earlier one ends where the next
    /// begins. Where there are too many, the one that ended first by `now` goes.
    pub fn place(&mut self, mut program: Program, now: Time) -> Result<Arc<Program>, Misplaced> {
        if self.find(&program.id).is_some() {
            return Err(Misplaced::Taken);
        }
        let open = self.programs.iter().position(|other| other.end.is_none());
        let open = open.filter(|_| program.end.is_none());
        let mut cut = None;
        if let Some(open) = open {
            let start = self.programs[open].start;
            match start.cmp(&program.start) {
                std::cmp::Ordering::Less => cut = Some(open),
                std::cmp::Ordering::Equal => return Err(Misplaced::SameStart),
                std::cmp::Ordering::Greater => program.end = Some(start),
            }
        }
        let gone = self.gone_for(&program, now)?;
        if let Some(open) = cut {
            Arc::make_mut(&mut self.programs[open]).end = Some(program.start);
        }
        if let Some(gone) = gone {
            self.programs.remove(gone);
        }
        let program = Arc::new(program);
        let place = self.programs.partition_point(|other| other.start <= program.start);
        self.programs.insert(place, Arc::clone(&program));
        self.revision += 1;
        Ok(program)
    }

    /// The place of the one that must go for `program`, if one must.
    fn gone_for(&self, program: &Program, now: Time) -> Result<Option<usize>, Misplaced> {
        if self.programs.len() < PROGRAMS_MAX {
            return Ok(None);
        }
        let ended = self.programs.iter().enumerate();
        let first = ended.filter_map(|(place, other)| Some((other.ended(now)?, place))).min();
        match first {
            Some((end, place)) if program.ended(now).is_none_or(|own| own >= end) => Ok(Some(place)),
            _ => Err(Misplaced::Full),
        }
    }

    /// Puts `program` in the place of the one with its id; what was published of it keeps its serial.
    pub fn replace(&mut self, mut program: Program, now: Time) -> Result<Arc<Program>, Misplaced> {
        let mut next = self.clone();
        let old = next.take(&program.id);
        let is_same = |old: &Program| {
            let end = old.end.is_none() || old.end == program.end;
            end && old.start == program.start && old.name == program.name
        };
        program.serial = match old {
            Some(old) if is_same(&old) => old.serial,
            _ => next.next_serial(now),
        };
        let placed = next.place(program, now)?;
        *self = next;
        Ok(placed)
    }

    /// Takes the programme with this id out of the row.
    pub fn take(&mut self, id: &str) -> Option<Arc<Program>> {
        let place = self.programs.iter().position(|program| program.id == id)?;
        self.revision += 1;
        Some(self.programs.remove(place))
    }

    /// The programme with this id.
    pub fn find(&self, id: &str) -> Option<&Arc<Program>> {
        self.programs.iter().find(|program| program.id == id)
    }

    /// Forgets those that ended by `oldest`. True if there were any.
    pub fn trim(&mut self, oldest: Time) -> bool {
        let before = self.programs.len();
        self.programs.retain(|program| program.end.is_none_or(|end| end > oldest));
        let has_changed = self.programs.len() < before;
        self.revision += u64::from(has_changed);
        has_changed
    }

    /// Takes over what the schedule has begun. True if it was anything.
    pub fn record(&mut self, begun: Vec<Occurrence>, now: Time) -> bool {
        let has_changed = !begun.is_empty();
        for occurrence in begun {
            let serial = self.next_serial(now);
            let Occurrence { name, mut id, start, end } = occurrence;
            if self.find(&id).is_some() {
                id = format!("{id}-{serial}");
            }
            let (description, url, image) = (None, None, None);
            let (end, made_by) = (Some(end), Maker::Schedule);
            let program = Program { id, serial, name, start, end, description, url, image, made_by };
            // A free id and an end fit anywhere; no room is only where nothing has ended, and what is on goes first.
            let _ = self.place(program, now);
        }
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(id: &str, start: i64, end: Option<i64>) -> Program {
        Program {
            id: id.to_owned(),
            serial: 0,
            name: id.to_uppercase(),
            start: Time(start),
            end: end.map(Time),
            description: None,
            url: None,
            image: None,
            made_by: Maker::Api,
        }
    }

    fn row(timeline: &Timeline) -> Vec<(&str, i64, Option<i64>)> {
        let facts = |it: &'_ Arc<Program>| (it.start.0, it.end.map(|end| end.0));
        timeline.programs.iter().map(|it| (it.id.as_str(), facts(it).0, facts(it).1)).collect()
    }

    #[test]
    fn one_without_an_end_ends_where_the_next_of_them_begins() {
        let mut timeline = Timeline::default();
        timeline.place(program("b", 20, None), Time(0)).unwrap();
        timeline.place(program("news", 22, Some(25)), Time(0)).unwrap();
        timeline.place(program("c", 30, None), Time(0)).unwrap();
        timeline.place(program("a", 10, None), Time(0)).unwrap();
        assert_eq!(
            row(&timeline),
            [("a", 10, Some(30)), ("b", 20, Some(30)), ("news", 22, Some(25)), ("c", 30, None)]
        );
        assert_eq!(timeline.place(program("d", 30, None), Time(0)), Err(Misplaced::SameStart));
        assert_eq!(timeline.place(program("b", 40, None), Time(0)), Err(Misplaced::Taken));
        assert_eq!(row(&timeline).len(), 4);
    }

    #[test]
    fn what_was_published_keeps_its_serial_only_if_no_more_than_an_end_is_added() {
        let mut timeline = Timeline::default();
        let serial = timeline.next_serial(Time(1_000));
        timeline.place(Program { serial, ..program("a", 10, None) }, Time(0)).unwrap();
        let mut change = |change: fn(&mut Program)| {
            let mut new = Program::clone(timeline.find("a").unwrap());
            change(&mut new);
            timeline.replace(new, Time(500)).unwrap().serial
        };
        assert_eq!(change(|it| it.url = Some("http://a.example".to_owned())), 1_000);
        assert_eq!(change(|it| it.end = Some(Time(20))), 1_000);
        assert_eq!(change(|it| it.end = Some(Time(21))), 1_001);
        assert_eq!(change(|it| it.name = "B".to_owned()), 1_002);
        assert_eq!(change(|it| it.start = Time(11)), 1_003);
        assert_eq!(change(|it| it.end = None), 1_004);
        assert_eq!(timeline.next_serial(Time(5_000)), 5_000);
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut timeline = Timeline::default();
        timeline.place(program("a", 10, Some(15)), Time(0)).unwrap();
        timeline.place(program("b", 20, None), Time(0)).unwrap();
        let before = timeline.clone();
        assert_eq!(timeline.replace(program("a", 20, None), Time(1)), Err(Misplaced::SameStart));
        assert_eq!(timeline, before);
    }

    #[test]
    fn programmes_go_with_the_audio_of_their_end_and_are_bounded() {
        let mut timeline = Timeline::default();
        timeline.place(program("a", 10, Some(20)), Time(0)).unwrap();
        timeline.place(program("b", 12, Some(30)), Time(0)).unwrap();
        timeline.place(program("open", 1, None), Time(0)).unwrap();
        assert!(!timeline.trim(Time(19)));
        assert!(timeline.trim(Time(20)));
        assert_eq!(row(&timeline), [("open", 1, None), ("b", 12, Some(30))]);
    }

    #[test]
    fn one_too_many_takes_the_place_of_what_ended_first() {
        let mut timeline = Timeline::default();
        timeline.place(program("open", 1, None), Time(0)).unwrap();
        timeline.place(program("long", 2, Some(1_000)), Time(0)).unwrap();
        for nth in 0..PROGRAMS_MAX as i64 - 2 {
            timeline.place(program(&format!("p{nth}"), 10, Some(500 + nth)), Time(0)).unwrap();
        }
        let before = timeline.clone();
        let mut place = |program, now| timeline.place(program, Time(now)).map(|it| it.id.clone());
        // None has ended, or only the new one, or that before all others.
        assert_eq!(place(program("new", 3, Some(2_000)), 499), Err(Misplaced::Full));
        assert_eq!(place(program("new", 3, Some(4)), 499), Err(Misplaced::Full));
        assert_eq!(place(program("new", 3, Some(4)), 502), Err(Misplaced::Full));
        assert_eq!(place(program("new", 0, None), 502), Err(Misplaced::Full), "it would end at 1");
        assert_eq!(place(program("new", 400, None), 499), Err(Misplaced::Full));
        assert_eq!(timeline, before);
        timeline.place(program("new", 400, None), Time(502)).unwrap();
        assert_eq!(timeline.programs.len(), PROGRAMS_MAX);
        assert_eq!(row(&timeline)[..2], [("open", 1, Some(400)), ("long", 2, Some(1_000))]);
        assert_eq!((timeline.find("p0"), timeline.find("p1").is_some()), (None, true));
    }

    #[test]
    fn what_the_schedule_begins_is_recorded_under_an_id_of_its_own() {
        let mut timeline = Timeline::default();
        timeline.place(program("news-1", 5, Some(6)), Time(0)).unwrap();
        let occurrence =
            Occurrence { name: "News".to_owned(), id: "news-1".to_owned(), start: Time(10), end: Time(20) };
        assert!(timeline.record(vec![occurrence], Time(77)));
        assert_eq!(row(&timeline), [("news-1", 5, Some(6)), ("news-1-77", 10, Some(20))]);
        assert_eq!(timeline.programs[1].made_by, Maker::Schedule);
        assert!(!timeline.record(Vec::new(), Time(78)));
    }
}
