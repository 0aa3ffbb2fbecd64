//! Programmes: named spans of a stream, for as long as their audio is kept. (The built-in programme, a source, is another
//! thing.)
//!
//! They come from three sides: requests of the API, the stream's schedule, which is written down when a programme begins,
//! so that a change of it does not rewrite the past, and titles, which are read off the log. Nobody is told when one
//! begins or ends: who asks for the list is given it as it is then.

mod file;
mod schedule;
mod timeline;
mod titles;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use audio::Time;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use rewind::Log;

use crate::base::clock::Clock;
use crate::base::seldom::Seldom;
use crate::config::{ScheduleEntry, StreamConfig};
use schedule::occurrences;
use timeline::Timeline;
pub use timeline::{Maker, Misplaced, Program};
pub use titles::TITLE_PREFIX;
use titles::Titles;

/// How far ahead of the clock a programme may start: clocks of playout systems differ a little. What comes later is for
/// the schedule.
const AHEAD: Duration = Duration::from_secs(60);
/// The schedule is looked at, and what has changed is written down, this often, even if nobody asks.
const PERIOD: Duration = Duration::from_secs(5);
/// Longest coming of a scheduled programme, daylight saving included.
const OCCURRENCE_MAX_US: i64 = 26 * 3_600 * 1_000_000;
/// Without anything scheduled before, the schedule is looked at again after so long.
const LOOK_AHEAD_US: i64 = 8 * 86_400 * 1_000_000;
/// Most names that are told to who asks for one that is not there.
const NAMES_TOLD_MAX: usize = 30;

/// What is set of a stream's programmes.
#[derive(Clone, Debug)]
struct Rules {
    schedule: Vec<ScheduleEntry>,
    zone: TimeZone,
    keep: Duration,
    from_titles: bool,
}

impl Rules {
    fn new(config: &StreamConfig, zone: &TimeZone) -> Self {
        Rules {
            schedule: config.schedule.clone(),
            zone: config.timezone.as_ref().unwrap_or(zone).clone(),
            keep: config.seconds,
            from_titles: config.programs_from_metadata,
        }
    }
}

/// The programmes of a stream.
#[derive(Debug)]
pub struct Programs {
    log: Arc<Log>,
    /// Zone of streams without one.
    zone: TimeZone,
    state: Mutex<State>,
    file: Option<Keeper>,
}

#[derive(Debug)]
struct State {
    rules: Rules,
    timeline: Timeline,
    /// Before this instant the schedule has nothing to begin.
    next_start: Time,
    titles: Titles,
    listed: Arc<Listed>,
}

/// Writes the file.
#[derive(Debug)]
struct Keeper {
    path: PathBuf,
    /// Revision of what was written last, if any was; locked while it is written.
    written: Mutex<Option<u64>>,
    /// Set while another process may write it.
    rests: AtomicBool,
    complaint: Seldom,
}

impl Keeper {
    fn new(dir: &Path, written: Option<u64>, rests: bool) -> Self {
        Keeper {
            path: file::path(dir),
            written: Mutex::new(written),
            rests: AtomicBool::new(rests),
            complaint: Seldom::default(),
        }
    }
}

/// The programmes as they are at one moment, oldest first.
#[derive(Debug, Default)]
pub struct Listed {
    /// Another one whenever they are others.
    pub version: u64,
    /// By their start.
    pub programs: Vec<Arc<Program>>,
}

/// Why a programme is not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No programme has this id.
    #[error("there is no programme with this id")]
    Unknown,
    /// It is made from a title.
    #[error("programmes made from titles cannot be changed: they follow the titles")]
    FromTitle,
    /// The facts about it cannot be.
    #[error("{}", .0.join("; "))]
    Facts(Vec<String>),
    /// Its end is not after its start.
    #[error("end: is not after the start")]
    EndBeforeStart,
    /// It starts in the future.
    #[error("start: lies in the future, which only the schedule knows")]
    Ahead,
    /// Nothing of it would be in the rewind buffer.
    #[error("end: nothing before it is in the rewind buffer")]
    Gone,
    /// There is no room for it where it should be.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
}

impl Listed {
    /// The programme that a listener means by `wanted`: `current`, `previous`, an id, or a name in whatever case, of which
    /// the latest that has begun counts.
    pub fn find(&self, wanted: &str, now: Time) -> Option<&Arc<Program>> {
        match wanted {
            "current" => return self.programs.iter().rfind(|program| program.is_running(now)),
            "previous" => {
                let ended = self.programs.iter().filter(|program| program.ended(now).is_some());
                return ended.max_by_key(|program| program.end);
            }
            _ => {}
        }
        let name = wanted.to_lowercase();
        let by_id = self.programs.iter().find(|program| program.id == wanted);
        by_id.or_else(|| {
            let mut latest = self.programs.iter().rev();
            latest.find(|program| program.start <= now && program.name.to_lowercase() == name)
        })
    }

    /// What is told to a listener who means none of them: the names that there are, latest first.
    pub fn missing(&self, wanted: &str) -> String {
        let shown: String = wire::metadata::clean(wanted).chars().take(64).collect();
        let mut names: Vec<&str> = Vec::new();
        for program in self.programs.iter().rev() {
            if names.len() < NAMES_TOLD_MAX && !names.contains(&program.name.as_str()) {
                names.push(&program.name);
            }
        }
        match names.join("\n  ") {
            names if names.is_empty() => format!("no programme is called {shown:?}: there are none\n"),
            names => format!("no programme is called {shown:?}; there are\n  {names}\n"),
        }
    }
}

impl Programs {
    /// The programmes of the stream whose rewind buffer is `log`; kept in `dir`, if there is one.
    pub(super) fn open(
        config: &StreamConfig,
        zone: &TimeZone,
        log: Arc<Log>,
        dir: Option<&Path>,
        now: Time,
    ) -> Arc<Self> {
        let kept = dir.map_or_else(|| Ok(Timeline::default()), |dir| file::read(&file::path(dir)));
        let file = dir.map(|dir| Keeper::new(dir, Some(0), false));
        Self::with(kept, config, zone, log, file, now)
    }

    /// The same of what another process told by [`Programs::hand`]; nothing is written before [`Programs::go_on`].
    pub(super) fn resume(
        handed: &str,
        config: &StreamConfig,
        zone: &TimeZone,
        log: Arc<Log>,
        dir: Option<&Path>,
        now: Time,
    ) -> Arc<Self> {
        // Whether the other process could write down what it told is not known.
        let file = dir.map(|dir| Keeper::new(dir, None, true));
        Self::with(file::decode(handed), config, zone, log, file, now)
    }

    fn with(
        kept: Result<Timeline, String>,
        config: &StreamConfig,
        zone: &TimeZone,
        log: Arc<Log>,
        file: Option<Keeper>,
        now: Time,
    ) -> Arc<Self> {
        let mut timeline = kept.unwrap_or_else(|reason| {
            tracing::warn!(stream = config.key, reason, "the programmes that were kept cannot be read");
            Timeline::default()
        });
        let rules = Rules::new(config, zone);
        // What has begun while nobody looked, and is still on.
        let since =
            now.plus_micros(-OCCURRENCE_MAX_US).max(timeline.scheduled_until.unwrap_or(Time(i64::MIN)));
        let mut begun = occurrences(&rules.schedule, &rules.zone, since, now);
        begun.retain(|occurrence| occurrence.end > now);
        timeline.record(begun, now);
        timeline.scheduled_until = Some(now);
        let state =
            State { rules, timeline, next_start: now, titles: Titles::default(), listed: Arc::default() };
        Arc::new(Programs { log, zone: zone.clone(), state: Mutex::new(state), file })
    }

    /// The programmes for another process, which may write them down from here on.
    pub(super) fn hand(&self) -> String {
        self.rest(true);
        file::encode(&self.state.lock().timeline)
    }

    /// The other process does not write them down any more.
    pub(super) fn go_on(&self) {
        self.rest(false);
    }

    fn rest(&self, rests: bool) {
        if let Some(file) = &self.file {
            file.rests.store(rests, Ordering::Relaxed);
        }
    }

    /// Looks after them until nobody else holds them.
    pub(super) async fn keep(programs: Weak<Self>, clock: Clock) {
        while let Some(programs) = programs.upgrade() {
            programs.list(clock.now().wall);
            programs.save().await;
            drop(programs);
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Zone of the stream's times of day.
    pub fn zone(&self) -> TimeZone {
        self.state.lock().rules.zone.clone()
    }

    /// The programmes as they are at `now`.
    pub fn list(&self, now: Time) -> Arc<Listed> {
        let mut state = self.state.lock();
        state.refresh(&self.log, now);
        Arc::clone(&state.listed)
    }

    /// Takes over a changed configuration; what began before counts as it was.
    pub(super) fn set_config(&self, config: &StreamConfig, now: Time) {
        let mut state = self.state.lock();
        state.refresh(&self.log, now);
        state.rules = Rules::new(config, &self.zone);
        let until = state.timeline.scheduled_until.unwrap_or(now);
        state.timeline.scheduled_until = Some(until.max(now));
        state.next_start = now;
    }

    /// Makes a programme of what `fill` writes into an empty one, which starts now.
    pub fn add(
        &self,
        now: Time,
        fill: impl FnOnce(&mut Program) -> Result<(), Vec<String>>,
    ) -> Result<Arc<Program>, ProgramError> {
        let mut state = self.state.lock();
        state.refresh(&self.log, now);
        let serial = state.timeline.next_serial(now);
        let mut program = Program {
            id: serial.to_string(),
            serial,
            name: String::new(),
            start: now,
            end: None,
            description: None,
            url: None,
            image: None,
            made_by: Maker::Api,
        };
        fill(&mut program).map_err(ProgramError::Facts)?;
        self.check(&program, None, &state, now)?;
        let placed = state.timeline.place(program, now)?;
        state.rebuild(&self.log, now);
        Ok(placed)
    }

    /// Changes the programme `id` as `change` does. Its id stays.
    pub fn change(
        &self,
        id: &str,
        now: Time,
        change: impl FnOnce(&mut Program) -> Result<(), Vec<String>>,
    ) -> Result<Arc<Program>, ProgramError> {
        let mut state = self.state.lock();
        state.refresh(&self.log, now);
        let old = state.stored(id)?;
        let mut program = Program::clone(&old);
        change(&mut program).map_err(ProgramError::Facts)?;
        self.check(&program, Some(&old), &state, now)?;
        let placed = state.timeline.replace(program, now)?;
        state.rebuild(&self.log, now);
        Ok(placed)
    }

    /// Forgets the programme `id`.
    pub fn remove(&self, id: &str, now: Time) -> Result<Arc<Program>, ProgramError> {
        let mut state = self.state.lock();
        state.refresh(&self.log, now);
        state.stored(id)?;
        let removed = state.timeline.take(id).ok_or(ProgramError::Unknown)?;
        state.rebuild(&self.log, now);
        Ok(removed)
    }

    fn check(
        &self,
        program: &Program,
        old: Option<&Program>,
        state: &State,
        now: Time,
    ) -> Result<(), ProgramError> {
        let ahead = now.plus_micros(AHEAD.as_micros() as i64);
        if program.start > ahead && old.is_none_or(|old| old.start != program.start) {
            return Err(ProgramError::Ahead);
        }
        match program.end {
            Some(end) if end <= program.start => Err(ProgramError::EndBeforeStart),
            Some(end) if end <= state.oldest(&self.log, now) => Err(ProgramError::Gone),
            _ => Ok(()),
        }
    }

    /// Writes them down, if they are to be kept and have changed since.
    pub async fn save(self: &Arc<Self>) {
        if self.file.is_none() {
            return;
        }
        let programs = Arc::clone(self);
        if let Err(error) = tokio::task::spawn_blocking(move || programs.write()).await {
            tracing::error!(%error, "programmes were not written down");
        }
    }

    /// Blocks for as long as the disk takes.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let mut written = file.written.lock();
        let timeline = {
            let state = self.state.lock();
            if file.rests.load(Ordering::Relaxed) || Some(state.timeline.revision) == *written {
                return;
            }
            state.timeline.clone()
        };
        match file::write(&file.path, &timeline) {
            Ok(()) => *written = Some(timeline.revision),
            Err(error) if file.complaint.ready() => {
                let path = file.path.display();
                tracing::error!(%path, %error, "programmes cannot be written down: a restart would lose them");
            }
            Err(_) => {}
        }
    }
}

impl State {
    /// Before this instant nothing is kept.
    fn oldest(&self, log: &Log, now: Time) -> Time {
        let keep_us = i64::try_from(self.rules.keep.as_micros()).unwrap_or(i64::MAX);
        log.span().map_or(now.plus_micros(-keep_us), |span| span.start)
    }

    /// Brings everything up to `now`.
    fn refresh(&mut self, log: &Log, now: Time) {
        let has_begun = now >= self.next_start && self.begin(now);
        let has_ended = self.timeline.trim(self.oldest(log, now));
        let oldest = log.span().map(|span| span.first);
        let has_titles = self.titles.follow(log, oldest, self.rules.from_titles);
        if has_begun || has_ended || has_titles || self.listed.version == 0 {
            self.rebuild(log, now);
        }
    }

    /// Records what the schedule has begun. True if it was anything.
    fn begin(&mut self, now: Time) -> bool {
        let after = self.timeline.scheduled_until.unwrap_or(now).max(self.earliest(now));
        let Rules { schedule, zone, .. } = &self.rules;
        let begun = occurrences(schedule, zone, after, now);
        let until = now.max(after);
        let look_ahead = until.plus_micros(LOOK_AHEAD_US);
        let next = occurrences(schedule, zone, until, look_ahead);
        self.next_start = next.first().map_or(look_ahead, |next| next.start);
        self.timeline.scheduled_until = Some(until);
        self.timeline.record(begun, now)
    }

    /// What began earlier was heard by nobody, however long the machine slept.
    fn earliest(&self, now: Time) -> Time {
        let keep_us = i64::try_from(self.rules.keep.as_micros()).unwrap_or(i64::MAX);
        now.plus_micros(-keep_us)
    }

    fn rebuild(&mut self, log: &Log, now: Time) {
        let oldest = self.oldest(log, now);
        let lasting = |program: &&Arc<Program>| program.end.is_none_or(|end| end > oldest);
        let titles = self.titles.programs.iter().filter(lasting);
        let mut programs: Vec<_> = self.timeline.programs.iter().chain(titles).cloned().collect();
        programs.sort_by_key(|program| program.start);
        self.listed = Arc::new(Listed { version: self.listed.version + 1, programs });
    }

    /// The programme with this id, if it can be changed.
    fn stored(&self, id: &str) -> Result<Arc<Program>, ProgramError> {
        let stored = self.timeline.find(id).cloned();
        stored.ok_or_else(|| {
            let is_title = self.titles.programs.iter().any(|program| program.id == id);
            if is_title { ProgramError::FromTitle } else { ProgramError::Unknown }
        })
    }
}

#[cfg(test)]
mod tests;
