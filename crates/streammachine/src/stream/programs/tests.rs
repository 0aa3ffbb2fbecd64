//! What programmes are at which moment.

use serde_json::{Value, json};

use super::*;
use crate::base::clock::time;

fn at(text: &str) -> Time {
    time(format!("2026-11-23T{text}Z").parse().unwrap())
}

fn config(settings: Value) -> StreamConfig {
    StreamConfig::with_key("test").merge(settings.as_object().unwrap()).unwrap()
}

fn schedule(entries: &[(&str, &str, &str)]) -> StreamConfig {
    let entries = entries.iter().map(|(name, start, end)| json!({"name": name, "start": start, "end": end}));
    config(json!({"schedule": entries.collect::<Vec<_>>()}))
}

/// Programmes of an empty log, opened at `now`.
fn open(config: &StreamConfig, dir: Option<&Path>, now: Time) -> Arc<Programs> {
    let rewind = rewind::Config {
        key: "test".to_owned(),
        dir: None,
        keep: config.seconds,
        bytes_max: config.bytes_max(),
        segment: Duration::from_secs(10),
    };
    let (_, log, _) = Log::open(rewind, now).unwrap();
    Programs::open(config, &TimeZone::UTC, log, dir, now)
}

fn named(name: &str, start: Time, end: Option<Time>) -> impl FnOnce(&mut Program) -> Result<(), Vec<String>> {
    move |program| {
        (program.name, program.start, program.end) = (name.to_owned(), start, end);
        Ok(())
    }
}

fn names(programs: &Programs, now: Time) -> Vec<String> {
    programs.list(now).programs.iter().map(|program| program.name.clone()).collect()
}

#[test]
fn what_is_on_at_the_start_and_what_begins_later_is_recorded_once() {
    let config =
        schedule(&[("Night", "00:00", "06:00"), ("Morning", "06:00", "09:00"), ("Day", "09:00", "18:00")]);
    let programs = open(&config, None, at("07:30:00"));
    assert_eq!(names(&programs, at("07:30:00")), ["Morning"]);
    let version = programs.list(at("08:59:59")).version;
    assert_eq!(programs.list(at("08:59:59")).version, version);
    assert_eq!(names(&programs, at("09:00:00")), ["Morning", "Day"]);
    assert_eq!(programs.list(at("09:00:00")).version, version + 1);
    let listed = programs.list(at("09:00:01"));
    assert_eq!((listed.programs[0].start, listed.programs[0].end), (at("06:00:00"), Some(at("09:00:00"))));
    assert_eq!(listed.programs[0].id, "morning-2026-11-23-0600");
    // Nothing is recorded again when the clock is set back, and what was removed stays away.
    assert_eq!(names(&programs, at("08:00:00")), ["Morning", "Day"]);
    programs.remove("day-2026-11-23-0900", at("09:10:00")).unwrap();
    assert_eq!(names(&programs, at("09:20:00")), ["Morning"]);
    assert_eq!(names(&programs, at("12:59:59")), ["Morning"]);
    // Four hours are kept.
    assert_eq!(names(&programs, at("13:00:00")), Vec::<String>::new());
}

#[test]
fn a_changed_schedule_does_not_rewrite_the_past() {
    let programs =
        open(&schedule(&[("Old", "06:00", "09:00"), ("Early", "08:00", "08:30")]), None, at("07:00:00"));
    programs.set_config(&schedule(&[("New", "05:00", "10:00"), ("Next", "09:00", "10:00")]), at("08:10:00"));
    assert_eq!(names(&programs, at("08:20:00")), ["Old", "Early"]);
    let listed = programs.list(at("09:30:00"));
    assert_eq!(listed.programs[0].end, Some(at("09:00:00")));
    assert_eq!(names(&programs, at("09:30:00")), ["Old", "Early", "Next"]);
}

#[test]
fn a_listener_means_a_programme_by_word_id_or_name() {
    let programs = open(&config(json!({})), None, at("12:00:00"));
    let now = at("12:00:00");
    let first = programs.add(now, named("News", at("09:00:00"), Some(at("09:10:00")))).unwrap();
    let second = programs.add(now, named("NEWS", at("10:00:00"), Some(at("10:10:00")))).unwrap();
    programs.add(now, named("Österreich", at("10:00:00"), Some(at("11:00:00")))).unwrap();
    programs.add(now, named("Long", at("09:30:00"), Some(at("13:00:00")))).unwrap();
    programs.add(now, named("Now", at("11:30:00"), None)).unwrap();
    programs.add(now, named("Soon", at("12:00:30"), Some(at("12:10:00")))).unwrap();
    let listed = programs.list(now);
    let found = |wanted: &str| listed.find(wanted, now).map(|program| program.name.as_str());
    assert_eq!(listed.find("news", now), Some(&second));
    assert_eq!(listed.find(&first.id, now), Some(&first));
    for (wanted, name) in [
        ("current", Some("Now")),
        ("previous", Some("Österreich")),
        ("ÖSTERREICH", Some("Österreich")),
        ("soon", None),
        ("new", None),
        ("", None),
    ] {
        assert_eq!(found(wanted), name, "{wanted}");
    }
    assert_eq!(listed.find("current", at("09:05:00")), Some(&first));
    assert_eq!(listed.find("current", at("08:00:00")), None);
    assert_eq!(
        listed.missing("a\r\nb"),
        "no programme is called \"a b\"; there are\n  Soon\n  Now\n  Österreich\n  NEWS\n  Long\n  News\n"
    );
    assert_eq!(Listed::default().missing("x"), "no programme is called \"x\": there are none\n");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let now = at("12:00:00");
    let programs = open(&config(json!({})), None, now);
    let before = programs.list(now).version;
    for (start, end, error) in [
        ("12:01:01", None, ProgramError::Ahead),
        ("11:00:00", Some("11:00:00"), ProgramError::EndBeforeStart),
        ("07:00:00", Some("08:00:00"), ProgramError::Gone),
    ] {
        assert_eq!(programs.add(now, named("A", at(start), end.map(at))), Err(error));
    }
    let wrong = ProgramError::Facts(vec!["name: no".to_owned()]);
    assert_eq!(programs.add(now, |_| Err(vec!["name: no".to_owned()])), Err(wrong));
    assert_eq!(programs.remove("x", now), Err(ProgramError::Unknown));
    assert_eq!(programs.list(now).version, before);
}

#[test]
fn titles_are_programmes_where_that_is_wanted() {
    let wanted = config(json!({"programs_from_metadata": true}));
    let now = at("12:00:00");
    let rewind = rewind::Config {
        key: "test".to_owned(),
        dir: None,
        keep: wanted.seconds,
        bytes_max: wanted.bytes_max(),
        segment: Duration::from_secs(10),
    };
    let (mut writer, log, _) = Log::open(rewind, now).unwrap();
    let programs = Programs::open(&wanted, &TimeZone::UTC, log, None, now);
    let title = |title: &str| wire::icy::Metadata { title: title.to_owned(), url: String::new() };
    assert_eq!(names(&programs, now), Vec::<String>::new());
    writer.set_metadata(title("One"), now);
    let listed = programs.list(now);
    assert_eq!((listed.programs[0].name.as_str(), listed.programs[0].made_by), ("One", Maker::Metadata));
    let id = &listed.programs[0].id;
    assert_eq!(programs.remove(id, now), Err(ProgramError::FromTitle));
    programs.set_config(&config(json!({})), now);
    assert_eq!(names(&programs, now), Vec::<String>::new());
}

#[tokio::test]
async fn they_are_kept_over_a_restart_with_what_is_still_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = schedule(&[("Morning", "06:00", "09:00"), ("Day", "09:00", "18:00")]);
    let programs = open(&config, Some(dir.path()), at("08:00:00"));
    let added = programs.add(at("08:30:00"), named("Live", at("08:30:00"), None)).unwrap();
    programs.remove("morning-2026-11-23-0600", at("08:31:00")).unwrap();
    programs.save().await;
    let again = open(&config, Some(dir.path()), at("08:40:00"));
    assert_eq!(again.list(at("08:40:00")).programs, [added]);
    let later = open(&config, Some(dir.path()), at("09:30:00"));
    assert_eq!(names(&later, at("09:30:00")), ["Live", "Day"]);
    std::fs::write(file::path(dir.path()), "no JSON").unwrap();
    assert_eq!(names(&open(&config, Some(dir.path()), at("08:40:00")), at("08:40:00")), ["Morning"]);
    assert!(dir.path().join("programs.json.damaged").exists());
}

#[tokio::test]
async fn over_a_handoff_one_process_at_a_time_writes_them_down() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let now = at("12:00:00");
    let read = || std::fs::read_to_string(file::path(dir.path())).unwrap_or_default();
    let old = open(&config, Some(dir.path()), now);
    old.add(now, named("One", now, None)).unwrap();
    let told = old.hand();
    old.save().await;
    assert_eq!(read(), "", "the other process may write");
    let new = Programs::resume(&told, &config, &TimeZone::UTC, Arc::clone(&old.log), Some(dir.path()), now);
    new.save().await;
    assert_eq!(read(), "", "it does not serve yet");
    new.go_on();
    new.save().await;
    assert!(read().contains("\"One\""), "what the old process had not written: {}", read());
    old.go_on();
    old.add(at("12:00:01"), named("Two", at("12:00:01"), None)).unwrap();
    old.save().await;
    assert!(read().contains("\"Two\""));
}
