//! The program as it is called: its commands, its exit codes, its messages, and where its settings come from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::process::Process;
use testkit::server::{Server, ServerOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    BINARY, FRAME_US, Host, PASSWORD, api, content_start_us, count, frames, listen, on_air, page, play,
    pump_all, status, test_stream, wait_for_frame, wait_for_sources,
};

/// Runs the program to its end: whether it succeeded, and its two outputs.
#[track_caller]
fn run(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    let mut process = Process::start(command);
    let succeeded = process.wait(DEADLINE).success();
    (succeeded, process.stdout(), process.stderr())
}

/// A file in a directory that lives as long as the handle.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let path = directory.path().join(name);
    fs::write(&path, content).expect("there is room for a file");
    (directory, path)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn help_and_version_succeed() {
    for arguments in
        [&["--help"][..], &["source", "--help"], &["listen", "--help"], &["config", "check", "--help"]]
    {
        let (succeeded, stdout, stderr) = run(arguments);
        assert!(
            succeeded && stdout.contains("Usage: streammachine") && stderr.is_empty(),
            "{arguments:?}: {stdout}{stderr}"
        );
    }
    let (succeeded, stdout, _) = run(&["--version"]);
    assert!(succeeded && stdout.starts_with("streammachine "), "{stdout}");
}

#[test]
fn a_check_of_the_configuration_tells_by_its_exit_code() {
    for (content, succeeds, told) in [
        ("{}", true, " is fine"),
        ("{// a comment\n port: 9000, streams: {test: {source_password: 'x',},},}", true, " is fine"),
        ("{prot: 9000}", false, ":1:2: prot: unknown key; did you mean \"port\"?"),
        ("{\n  port: 'http'\n}", false, ":2:9: port: expected a port from 0 to 65,535, found \"http\""),
        ("{port: }", false, ":1:8: "),
        ("{streams: {test: {source: 'nowhere'}}}", false, "nowhere"),
    ] {
        let (_directory, path) = file("check.json", content.as_bytes());
        let (succeeded, stdout, stderr) = run(&["--config", text(&path), "config", "check"]);
        assert_eq!(succeeded, succeeds, "{content}: {stdout}{stderr}");
        assert!(stdout.contains(told), "{content}: {stdout}{stderr}");
        assert!(stdout.contains(text(&path)), "{content}: {stdout}");
    }
}

#[test]
fn a_wrong_configuration_stops_the_start_with_its_place() {
    for (content, told) in [
        ("{\"port\": \"http\"}", "port: expected a port from 0 to 65,535, found \"http\""),
        ("{\"port\": ", "1:"),
        ("{\"mode\": \"slave\"}", "mode"),
        ("{\"streams\": {\"api\": {}}}", "api"),
    ] {
        let (_directory, path) = file("start.json", content.as_bytes());
        let (succeeded, stdout, stderr) = run(&["--config", text(&path)]);
        assert!(!succeeded && stdout.is_empty(), "{content}: {stdout}");
        assert!(stderr.contains(text(&path)) && stderr.contains(told), "{content}: {stderr}");
    }
    let (succeeded, _, stderr) = run(&["--config", "/nowhere/at/all.json"]);
    assert!(!succeeded && stderr.contains("/nowhere/at/all.json"), "{stderr}");
}

#[test]
fn an_unknown_key_is_a_warning_at_the_start() {
    let host = Host::start(json!({"prot": 9000, "streams": {"test": {"brust": 5}}}));
    host.wait_for_log("prot: unknown key; did you mean \"port\"?");
    host.wait_for_log("streams.test.brust: unknown key; did you mean");
}

#[test]
fn a_port_in_use_stops_the_start_with_its_number() {
    let host = Host::with_stream(json!({}));
    for (name, port) in [("port", host.listeners().port()), ("source_port", host.sources().port())] {
        let ports = json!({"listen": "127.0.0.1", "port": 0, "source_port": 0});
        let settings = crate::harness::merge(ports, json!({name: port}));
        let (_directory, path) = file("second.json", settings.to_string().as_bytes());
        let (succeeded, stdout, stderr) = run(&["--config", text(&path)]);
        assert!(!succeeded && !stdout.contains("ready"), "{stdout}");
        assert!(stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{stderr}");
    }
}

#[test]
fn a_signal_ends_the_server_whoever_is_connected() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = Host::with_stream(json!({"burst": 1}));
        let _source = on_air(&host, 2);
        let mut listener = listen(&host, "/test");
        listener.body.read_exact(1000);
        host.signal(signal);
        assert!(host.wait(Duration::from_secs(10)).success(), "{signal:?}");
        listener.body.read_to_end(1_000_000);
    }
}

#[test]
fn a_hangup_ends_nothing() {
    let mut host = Host::with_stream(json!({}));
    host.signal(Signal::HUP);
    host.wait_for_log("the configuration was reloaded");
    assert_eq!(page(&host, "/healthz").0, 200);
}

#[test]
fn settings_come_from_the_environment_then_the_command_line_then_the_file() {
    let config = test_stream(json!({"burst": 3, "seconds": 100, "name": "File"})).to_string();
    let arguments = ["--streams:test:burst=4", "--streams:test:name=Command line", "--chunk_duration", "0.2"];
    let server = Server::start(&ServerOptions {
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: [("streams__test__name", "Environment"), ("chunk_duration", "0.3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..ServerOptions::new(BINARY, config)
    });
    let mut response = testkit::listener::ListenerClient::get(server.api(), "/api/streams/test/config", &[]);
    let length = response.header("Content-Length").and_then(|length| length.parse().ok());
    let body = response.body.read_exact(length.expect("the API's answers have a length"));
    let config: Value = serde_json::from_slice(&body).unwrap();
    let shown = [&config["seconds"], &config["burst"], &config["name"], &config["meta_interval"]];
    assert_eq!(shown, [&json!(100), &json!(4), &json!("Environment"), &json!(32768)]);
}

#[test]
fn the_source_command_feeds_the_listen_command() {
    let host = Host::with_stream(json!({"burst": 30}));
    // An Info frame and tags would not be sent: what arrives is the audio.
    let (_directory, path) =
        file("audio.mp3", &[&b"ID3\x04\x00\x00\x00\x00\x00\x00"[..], &frames().bytes(0..count(8))].concat());
    for (protocol, title) in [("put", "A – title"), ("source", "Another")] {
        let mut command = Command::new(BINARY);
        command.env("STREAMMACHINE_PASSWORD", PASSWORD).args(["source", "--stream", "test", "--burst", "30"]);
        command.args([
            "--port",
            &host.sources().port().to_string(),
            "--title",
            title,
            "--protocol",
            protocol,
        ]);
        command.arg(&path);
        let mut source = Process::start(command);
        assert!(source.wait(DEADLINE).success(), "{}", source.output());
        assert!(source.stderr().contains("sent 8.0 s of audio"), "{}", source.output());
        eventually(DEADLINE, || (status(&host, "test")["metadata"]["StreamTitle"] == title).then_some(()));
        wait_for_sources(&host, "test", 0);
        wait_for_frame(&host, "test", count(8) - 1);
        frames().scan(&pump_all(&host)).assert_exactly(0..count(8));

        let (_heard_directory, heard) = file("heard.mp3", b"");
        let url = format!("http://{}/test?pump=100", host.listeners());
        let (succeeded, stdout, stderr) = run(&["listen", &url, "--icy", "--json", "--output", text(&heard)]);
        assert!(succeeded, "{stdout}{stderr}");
        let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        assert_eq!(report["frames"], count(8), "{report}");
        assert_eq!(
            (&report["skipped_bytes"], &report["resyncs"], &report["gaps"]),
            (&json!(0), &json!(0), &json!(0))
        );
        assert_eq!(report["format"], "mp3-44100-64-s");
        assert!(fs::read(&heard).unwrap() == frames().bytes(0..count(8)));
        api(&host, "DELETE", "/api/streams/test/rewind", None);
    }
}

#[test]
fn the_listen_command_reports_titles_and_ends_in_time() {
    let host = Host::with_stream(json!({"burst": 2, "metaTitle": "A title", "meta_interval": 1000}));
    let _source = on_air(&host, 4);
    let port = host.listeners().port().to_string();
    let (succeeded, stdout, stderr) =
        run(&["listen", "--port", &port, "--stream", "test", "--icy", "--json", "--seconds", "1"]);
    assert!(succeeded, "{stdout}{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"title": "A title"}));
    let report = lines.last().unwrap();
    assert_eq!(
        (&report["titles"], &report["skipped_bytes"], &report["resyncs"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert!(report["media_seconds"].as_f64().unwrap() >= 1.9, "{report}");
    assert!(stderr.contains("x-content-start: ") && stderr.contains("icy-metaint: 1000"), "{stderr}");
}

#[test]
fn the_listen_command_finds_an_instant_of_the_past() {
    let host = Host::with_stream(json!({"burst": 1}));
    play(&host, 0..count(30));
    let origin = content_start_us(&listen(&host, "/test?pump=100"));
    let start = (origin + 10_000_000) / 1_000_000;
    let (_directory, heard) = file("heard.mp3", b"");
    let port = host.listeners().port().to_string();
    let (start_text, end) = (start.to_string(), start + 5);
    let url = format!("http://127.0.0.1:{port}/test?start={start_text}&end={end}");
    let (succeeded, stdout, stderr) = run(&["listen", &url, "--output", text(&heard)]);
    assert!(succeeded, "{stdout}{stderr}");
    let report = frames().scan(&fs::read(&heard).unwrap());
    assert!(report.is_whole() && report.is_continuous(), "{report:?}");
    let error_us = origin + frames().start_us(report.first.unwrap()) as i64 - start * 1_000_000;
    assert!((-1000..FRAME_US + 1000).contains(&error_us), "{error_us} µs");
    assert!((report.frames as i64 * FRAME_US - 5_000_000).abs() <= FRAME_US + 2000, "{report:?}");
}

#[test]
fn commands_tell_why_they_fail() {
    let host = Host::with_stream(json!({}));
    let (_directory, audio) = file("audio.mp3", &frames().bytes(0..50));
    let (_other, no_audio) = file("text.mp3", &b"no audio ".repeat(1000));
    let (port, sources) = (host.listeners().port().to_string(), host.sources().port().to_string());
    let source = |more: &[&str]| run(&[&["source", "--port", &sources, "--stream", "test"], more].concat());
    for ((succeeded, stdout, stderr), reason) in [
        (source(&["--password", "wrong", text(&audio)]), "401 Unauthorized"),
        (source(&["--password", PASSWORD, "/nowhere.mp3"]), "cannot open /nowhere.mp3"),
        (source(&["--password", PASSWORD, text(&no_audio)]), "holds no MP3 or AAC (ADTS) frames"),
        (run(&["listen", "--port", &port, "--stream", "nothing"]), "404"),
        (run(&["listen", "http://127.0.0.1:1/test"]), "cannot connect to 127.0.0.1:1"),
        (run(&["listen"]), "Usage"),
        (run(&["nonsense"]), "nonsense"),
    ] {
        assert!(!succeeded, "{reason}: {stdout}");
        assert!(stderr.contains(reason), "{reason}: {stderr}");
        assert!(!stderr.contains(PASSWORD) && !stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn ready_is_told_on_standard_output_with_the_addresses() {
    let mut host = Host::start(crate::harness::merge(test_stream(json!({})), json!({"api_port": 0})));
    let (listeners, sources, api) = (host.listeners(), host.sources(), host.api());
    let shoutcast = host.shoutcast().unwrap();
    let expected = format!(
        "listeners on http://{listeners}/\nsources on {sources}\nshoutcast sources on {shoutcast}\napi on http://{api}/api/streams\n\
         stream test: play http://{listeners}/test, send to mount /test\nready\n"
    );
    assert_eq!(host.process().stdout(), expected);
}
