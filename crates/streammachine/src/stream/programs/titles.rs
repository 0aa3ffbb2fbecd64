//! Programmes made from titles. They are read off the log, which keeps titles with its audio, and stored nowhere else.

use std::collections::HashMap;
use std::sync::Arc;

use audio::Time;
use rewind::{Log, MetaEntry, Position};

use super::timeline::{Maker, PROGRAMS_MAX, Program};
use crate::config::PROGRAM_NAME_CHARS_MAX;

/// What the ids of programmes made from titles begin with, and no others.
pub const TITLE_PREFIX: &str = "title-";

/// The programmes that the titles of a log are.
#[derive(Debug, Default)]
pub(super) struct Titles {
    read: Option<Read>,
    pub programs: Vec<Arc<Program>>,
}

/// What was in the log when it was read.
#[derive(Debug)]
struct Read {
    newest: Arc<MetaEntry>,
    oldest: Option<Position>,
    /// Whether there was audio behind the newest title. Until then its start may turn out to be earlier, but no playlist
    /// shows it.
    is_settled: bool,
}

impl Titles {
    /// Reads the log again where its titles may have changed. True if it was read.
    pub fn follow(&mut self, log: &Log, oldest: Option<Position>, is_wanted: bool) -> bool {
        if !is_wanted {
            let was_wanted = self.read.is_some();
            *self = Titles::default();
            return was_wanted;
        }
        let Some(newest) = log.metadata_history(1).pop() else { return false };
        let is_settled = log.edge().time > newest.time;
        let is_same = |read: &Read| {
            Arc::ptr_eq(&read.newest, &newest) && read.oldest == oldest && read.is_settled == is_settled
        };
        if self.read.as_ref().is_some_and(is_same) {
            return false;
        }
        let history = log.metadata_changes(PROGRAMS_MAX);
        // The log dates a title by the oldest audio there is when that of its start has gone.
        let unsettled =
            self.read.as_ref().filter(|read| !read.is_settled).map(|read| serial(read.newest.time));
        let settled = self.programs.iter().filter(|program| Some(program.serial) != unsettled);
        let known: HashMap<u64, Time> = settled.map(|program| (program.serial, program.start)).collect();
        let start_of = |told: Time, start: Time| known.get(&serial(told)).copied().unwrap_or(start);
        let titles: Vec<(&str, Time, Time)> = history
            .iter()
            .map(|(start, told)| (told.metadata.title.as_str(), told.time, start_of(told.time, *start)))
            .collect();
        self.programs = programs(&titles).into_iter().map(Arc::new).collect();
        self.read = Some(Read { newest, oldest, is_settled });
        true
    }
}

/// The programmes that titles are, each with the instants when it was told and from which it is in force; an empty one is
/// none. They are called by the first, which never changes.
fn programs(titles: &[(&str, Time, Time)]) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for (title, told, start) in titles {
        let name: String = title.chars().take(PROGRAM_NAME_CHARS_MAX).collect();
        if let Some(last) = programs.last_mut().filter(|last| last.end.is_none()) {
            if last.name == name {
                continue;
            }
            last.end = Some(*start);
        }
        // A clock that was set back: nobody can be sent there.
        programs.pop_if(|last| last.end.is_some_and(|end| end <= last.start));
        if name.is_empty() {
            continue;
        }
        programs.push(Program {
            id: format!("{TITLE_PREFIX}{}", told.0),
            serial: serial(*told),
            name,
            start: *start,
            end: None,
            description: None,
            url: None,
            image: None,
            made_by: Maker::Metadata,
        });
    }
    programs
}

/// What was published of the title told at that instant is known by it.
fn serial(told: Time) -> u64 {
    told.0.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use audio::{Chunk, Codec, Format};
    use bytes::Bytes;
    use rewind::{Config, Writer};
    use wire::icy::Metadata;

    use super::*;

    #[test]
    fn what_was_published_keeps_its_start_when_the_audio_of_it_goes() {
        let (keep, segment) = (Duration::from_secs(3600), Duration::from_secs(10));
        let config = Config { key: "a".to_owned(), dir: None, keep, bytes_max: 600_000, segment };
        let (mut writer, log, _) = Log::open(config, Time(0)).unwrap();
        let format =
            Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 0 };
        let mut second = 0;
        let mut append = |writer: &mut Writer| {
            writer.append(&Chunk {
                format,
                time: Time(second * 1_000_000),
                span_us: 1_000_000,
                samples: 48_000,
                starts_segment: second % 10 == 0,
                discontinuity: second == 0,
                data: Bytes::from(vec![0; 100_000]),
            });
            second += 1;
        };
        append(&mut writer);
        let metadata = Metadata { title: "One".to_owned(), ..Metadata::default() };
        writer.set_metadata(metadata, Time(1_500_000));
        append(&mut writer);
        let mut titles = Titles::default();
        let mut follow = || {
            titles.follow(&log, log.span().map(|span| span.first), true);
            let [program] = &titles.programs[..] else { panic!("{:?}", titles.programs) };
            (program.serial, program.start)
        };
        let published = follow();
        assert_eq!(published, (1_500_000, Time(1_000_000)));
        for _ in 0..20 {
            append(&mut writer);
            assert_eq!(follow(), published);
        }
        assert!(log.span().unwrap().start > Time(1_000_000), "its block has gone");
        assert_ne!(log.metadata_changes(1)[0].0, Time(1_000_000), "the log does not know better");
    }

    #[test]
    fn each_change_of_the_title_is_a_programme() {
        let titles = [("", 0), ("One", 10), ("One", 15), ("", 20), ("Two", 30), ("Back", 25), ("Last", 40)];
        let titles = titles.map(|(title, at)| (title, Time(at + 1), Time(at)));
        let found = programs(&titles);
        let found: Vec<_> =
            found.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.end.map(|end| end.0))).collect();
        assert_eq!(
            found,
            [("title-11", "One", Some(20)), ("title-26", "Back", Some(40)), ("title-41", "Last", None)]
        );
    }
}
