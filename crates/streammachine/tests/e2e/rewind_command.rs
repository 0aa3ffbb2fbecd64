//! `streammachine rewind`: what it tells, what it writes, and its exit codes, beside a running server and without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::audio::Mp3Frames;
use testkit::process::Process;
use testkit::wait::DEADLINE;

use crate::harness::{
    BINARY, Host, content_start_us, count, frames, listen, play, pump_all, set_title, source,
    wait_for_sources,
};

/// What a run of the command ended with.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[track_caller]
fn run(arguments: &[&str]) -> Ran {
    let mut command = Command::new(BINARY);
    command.arg("rewind").args(arguments);
    let mut process = Process::start(command);
    let code = process.wait(DEADLINE).code();
    Ran { code, stdout: process.stdout(), stderr: process.stderr() }
}

#[track_caller]
fn inspect(dir: &Path) -> (Option<i32>, Value) {
    let ran = run(&["inspect", text(dir), "--json", "--titles", "--timezone", "Europe/Berlin"]);
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr)))
}

/// Exports `/test` from `dir` with more arguments; the bytes of the file.
#[track_caller]
fn export(dir: &Path, arguments: &[&str]) -> Vec<u8> {
    let out = tempfile::tempdir().expect("there is room for a directory");
    let file = out.path().join("exported");
    let ran = run(&[&["export", text(dir), "-o", text(&file)], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_dir(out.path()).expect("it is there").count(), 1, "nothing is left beside it");
    fs::read(file).expect("it was written")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn newest_file(dir: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(dir.join("test")).expect("the stream has a directory");
    let files = files.map(|file| file.expect("it can be listed").path());
    files.filter(|path| path.extension().is_some_and(|end| end == extension)).max().expect("there is one")
}

/// A server's `/test` with two formats, ended; the instants at which each starts.
#[track_caller]
fn two_formats(dir: &Path) -> [String; 2] {
    let mut host = Host::with_directory(dir);
    play(&host, 0..100);
    let mut source = source(&host);
    source.send(&faster_frames().bytes(0..100)).expect("the server takes audio");
    source.close();
    wait_for_sources(&host, "test", 0);
    assert!(host.terminate().success());
    let spans = &inspect(dir).1["streams"][0]["spans"];
    [0, 1].map(|number| spans[number]["start"].as_str().expect("a span has a start").to_owned())
}

fn faster_frames() -> Mp3Frames {
    Mp3Frames::new(64, 48_000, 2)
}

#[test]
fn an_export_is_what_a_listener_gets_for_the_same_span() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::with_directory(directory.path());
    play(&host, 0..count(20));
    let start_ms = content_start_us(&listen(&host, "/test?pump=1000")) / 1000;
    let (from, to) = ((start_ms + 3_333).to_string(), (start_ms + 9_777).to_string());
    let heard = listen(&host, &format!("/test?start={from}&end={to}")).read_body();
    let exported = export(directory.path(), &["--stream", "test", "--start", &from, "--end", &to]);
    assert!(exported == heard, "{} and {} bytes", exported.len(), heard.len());
    let report = frames().scan(&exported);
    assert!(report.is_whole() && report.is_continuous() && report.frames > 240, "{report:?}");
    // Without a span it is all; the only stream needs no name, and its own directory will do.
    let all = pump_all(&host);
    assert!(export(directory.path(), &[]) == all);
    assert!(export(&directory.path().join("test"), &[]) == all);

    let mut command = Command::new(BINARY);
    command.args(["rewind", "export", text(directory.path()), "-o", "-", "--start", &from, "--end", &to]);
    assert!(command.output().unwrap().stdout == heard, "standard output holds the audio and nothing else");
}

#[test]
fn a_file_that_is_there_is_written_over_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let [_, second] = two_formats(directory.path());
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a.mp3");
    fs::write(&file, b"precious").unwrap();
    let arguments = ["export", text(directory.path()), "--end", &second, "-o", text(&file)];
    let ran = run(&arguments);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("it is there already; --force writes over it"), "{}", ran.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert_eq!(run(&[&arguments[..], &["--force"]].concat()).code, Some(0));
    assert!(fs::read(&file).unwrap() == frames().bytes(0..100));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_exported_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = two_formats(directory.path());
    let dir = text(directory.path());
    let empty = tempfile::tempdir().unwrap();
    let formats = format!(
        "mp3-44100-64-s from {first}, mp3-48000-64-s from {second}; choose one with --start and --end, or use \
         --format dump"
    );
    let outside = format!("no audio in the span that is asked for; there is some from {first} to ");
    for (arguments, told) in [
        (vec![dir], formats.as_str()),
        (vec![dir, "--stream", "tset"], "has no stream tset; it holds test"),
        (vec![dir, "--start", "noon"], "\"noon\" is no instant"),
        (vec![dir, "--start", "1764000003", "--end", "1764000001"], "is not before its end"),
        (vec![dir, "--end", "1764000001"], &outside),
        (vec![text(empty.path())], "holds no stream; expected the directory that rewind.dir names"),
        (vec!["/nowhere/at/all"], "/nowhere/at/all: cannot be read"),
    ] {
        let ran = run(&[&["export", "-o", "-"], &arguments[..]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(told), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(run(&["export", dir]).code, Some(2), "a file must be named");
}

#[test]
fn an_inspection_tells_what_there_is_beside_a_server_and_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::with_directory(directory.path());
    play(&host, 0..count(20));
    set_title(&host, "Zwei");
    play(&host, count(20)..count(25));
    let (code, told) = inspect(directory.path());
    let stream = &told["streams"][0];
    assert_eq!((code, &told["damaged"], &stream["damage"]), (Some(0), &json!(false), &json!([])));
    assert_eq!((&stream["key"], &stream["used_by"]), (&json!("test"), &json!(host.pid())));
    assert_eq!(stream["bytes"], json!(pump_all(&host).len()));
    assert_eq!(stream["spans"].as_array().unwrap().len(), 2, "{stream:#}");
    assert_eq!(stream["spans"][1]["discontinuity"], json!(true));
    assert_eq!(stream["spans"][0]["format"], json!("mp3-44100-64-s"));
    assert_eq!(stream["titles"].as_array().unwrap().last().unwrap()["title"], json!("Zwei"));
    let start = content_start_us(&listen(&host, "/test?pump=1000"));
    let instant: jiff::Timestamp = stream["start"].as_str().unwrap().parse().unwrap();
    assert_eq!(instant.as_millisecond(), start / 1000);
    assert!(stream["start_local"].as_str().unwrap().ends_with(['1', '2', '0']), "{stream:#}");

    assert!(host.terminate().success());
    fs::write(directory.path().join("test/README"), b"not ours").unwrap();
    let (code, told) = inspect(&directory.path().join("test"));
    let stream = &told["streams"][0];
    assert_eq!(
        (code, &stream["used_by"], &stream["other_files"]),
        (Some(0), &Value::Null, &json!(["README"]))
    );

    let newest = newest_file(directory.path(), "mp3");
    fs::write(&newest, [fs::read(&newest).unwrap(), b"torn".to_vec()].concat()).unwrap();
    let (code, told) = inspect(directory.path());
    let damage = &told["streams"][0]["damage"][0];
    assert_eq!((code, &told["damaged"]), (Some(1), &json!(true)));
    assert_eq!(
        (&damage["fault"], &damage["outcome"], &damage["audio_bytes"]),
        (&json!("audio_beyond_index"), &json!("cut"), &json!(4))
    );
    let ran = run(&["inspect", text(directory.path())]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.contains("audio behind the last record; cannot be used: 4 bytes of audio"),
        "{}",
        ran.stdout
    );
    assert!(fs::read(&newest).unwrap().ends_with(b"torn"), "an inspection mends nothing");
    assert_eq!(run(&["inspect", "/nowhere/at/all"]).code, Some(2));
    assert_eq!(run(&["inspect"]).code, Some(2));
}

#[test]
fn an_exported_dump_is_imported_elsewhere_with_times_and_titles() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::with_directory(directory.path());
    play(&host, 0..count(20));
    set_title(&host, "Kept");
    play(&host, count(20)..count(25));
    let out = tempfile::tempdir().unwrap();
    let (dump, target) = (out.path().join("a.dump"), out.path().join("target"));
    fs::create_dir(&target).unwrap();
    let exported = run(&["export", text(directory.path()), "--format", "dump", "-o", text(&dump)]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let heard = (content_start_us(&listen(&host, "/test?pump=1000")), pump_all(&host));

    let into = |dir: &Path| run(&["import", text(dir), "--stream", "test", text(&dump)]);
    let refused = into(directory.path());
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("in use by another process"), "{}", refused.stderr);
    assert!(refused.stderr.contains("/api/streams/test/rewind"), "{}", refused.stderr);
    assert!(host.terminate().success());
    let refused = into(directory.path());
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("nothing of it is older"), "{}", refused.stderr);

    let taken = into(&target);
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    let (code, told) = inspect(&target);
    assert_eq!((code, &told["streams"][0]["bytes"]), (Some(0), &json!(heard.1.len())));
    assert_eq!(told["streams"][0]["spans"].as_array().unwrap().len(), 2);
    let host = Host::with_directory(&target);
    assert_eq!(content_start_us(&listen(&host, "/test?pump=1000")) / 1000, heard.0 / 1000);
    assert!(pump_all(&host) == heard.1);
    let (_, told) = inspect(&target);
    assert!(
        told["streams"][0]["titles"].as_array().unwrap().iter().any(|it| it["title"] == "Kept"),
        "{told:#}"
    );
}

#[test]
fn what_is_no_dump_is_refused_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    two_formats(directory.path());
    let before = export(directory.path(), &["--format", "dump"]);
    let file = directory.path().join("file");
    for (bytes, told) in [
        (frames().bytes(0..10), "is no dump; expected what rewind export --format dump"),
        (b"".to_vec(), "is no dump"),
        (before[..300].to_vec(), "holds no audio"),
    ] {
        fs::write(&file, &bytes).unwrap();
        let ran = run(&["import", text(directory.path()), "--stream", "test", text(&file)]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    let missing = directory.path().join("missing");
    let ran = run(&["import", text(&missing), "--stream", "test", text(&file)]);
    assert_eq!((ran.code, missing.exists()), (Some(2), false), "{}", ran.stderr);
    assert!(export(directory.path(), &["--format", "dump"]) == before);
}
