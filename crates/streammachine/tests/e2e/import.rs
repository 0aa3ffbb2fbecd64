//! An Icecast's configuration becomes one that the server starts with, and its encoders go on with their passwords.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::process::Process;
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::DEADLINE;

use crate::harness::{BINARY, Host, api, connect, count, frames, listen, wait_for_frame};

const XML: &str = "<icecast>
  <hostname>radio.example</hostname>
  <limits><sources>4</sources><burst-size>48000</burst-size></limits>
  <authentication>
    <source-password>everywhere</source-password>
    <admin-user>boss</admin-user><admin-password>all &amp; all</admin-password>
  </authentication>
  <listen-socket><port>8000</port></listen-socket>
  <mount type=\"default\"><genre>Talk</genre><intro>/intro.mp3</intro></mount>
  <mount>
    <mount-name>/news.mp3</mount-name><password>only-here</password><stream-name>News</stream-name>
    <public>1</public><bitrate>64</bitrate>
  </mount>
</icecast>
";

/// Runs the import: whether it succeeded, and its two outputs.
#[track_caller]
fn import(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(BINARY);
    command.args(["config", "import"]).args(arguments);
    let mut process = Process::start(command);
    let succeeded = process.wait(DEADLINE).success();
    (succeeded, process.stdout(), process.stderr())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn a_server_with_the_result_takes_the_encoders_and_serves_the_listeners() {
    let directory = tempfile::tempdir().unwrap();
    let (xml, json) = (directory.path().join("icecast.xml"), directory.path().join("streammachine.json"));
    fs::write(&xml, XML).unwrap();
    let (succeeded, stdout, stderr) = import(&[text(&xml), "--mount", "/other", "--output", text(&json)]);
    assert!(succeeded && stdout.is_empty(), "{stdout}{stderr}");
    let (name, result) = (text(&xml), text(&json));
    assert_eq!(
        stderr,
        format!(
            "note: {name}:6: /icecast/authentication/admin-password: the administrator is a user of the API, `/api`, \
             and of Icecast's requests under `/admin`; there are no pages\n\
             note: {name}:8: /icecast/listen-socket: listeners go on connecting to port 8000; encoders must be set to \
             port 8001, `source_port`\n\
             warning: {name}:9: /icecast/mount[1]/intro: is left out: nothing is played to a listener before the \
             stream in this version\n\
             streams: 2, warnings: 1\nnext: streammachine --config {result} config check\n"
        )
    );
    assert_eq!(fs::metadata(&json).unwrap().permissions().mode() & 0o777, 0o600);

    let mut check = Command::new(BINARY);
    check.args(["--config", result, "config", "check"]);
    let mut check = Process::start(check);
    assert!(check.wait(DEADLINE).success(), "{}", check.output());
    assert_eq!(check.stdout(), format!("{result} is fine\n"));

    let settings: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let host = Host::start_with(settings, &["--port=0", "--source_port=0", "--listen=127.0.0.1"]);
    for (mount, wrong) in [("/news.mp3", "everywhere"), ("/other", "only-here"), ("/another", "everywhere")] {
        let refusal = SourceClient::connect(host.sources(), SourceOptions::new(mount, wrong)).unwrap_err();
        assert!(refusal.status_line.contains("401"), "{mount}: {refusal}");
    }
    connect(&host, SourceOptions::new("/other", "everywhere"));
    let mut source = connect(&host, SourceOptions::new("/news.mp3", "only-here"));
    source.send(&frames().bytes(0..count(10))).unwrap();
    source.close();
    wait_for_frame(&host, "news.mp3", count(10) - 1);
    let mut listener = listen(&host, "/news.mp3");
    let facts = ["icy-name", "icy-genre", "icy-pub"].map(|name| listener.header(name));
    assert_eq!(facts, [Some("News"), Some("Talk"), Some("1")]);
    // 48,000 bytes at 64 kbit/s, but for the frame that is not whole in them.
    let burst = listener.body.read_exact(47_000);
    assert!(frames().scan(&burst).is_continuous());

    // The administrator is a user of the API, and nobody is without a password.
    assert_eq!(api(&host, "GET", "/api/streams", None).0, 401);
    let headers = [("Authorization", "Basic Ym9zczphbGwgJiBhbGw="), ("Connection", "close")];
    let admitted = testkit::listener::ListenerClient::get(host.api(), "/api/streams", &headers);
    assert_eq!(admitted.status, 200, "{}", admitted.head);
}

#[test]
fn what_is_there_stays_unless_it_is_forced_and_mistakes_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (xml, json) = (directory.path().join("icecast.xml"), directory.path().join("streammachine.json"));
    fs::write(&xml, XML).unwrap();
    fs::write(&json, "{}").unwrap();
    fs::set_permissions(&json, fs::Permissions::from_mode(0o644)).unwrap();
    let (succeeded, _, stderr) = import(&[text(&xml), "--output", text(&json)]);
    let last = stderr.lines().last().unwrap();
    let told =
        format!("error: {}: cannot be written: it is there already; --force writes over it", json.display());
    assert_eq!((succeeded, last), (false, told.as_str()));
    assert_eq!(fs::read_to_string(&json).unwrap(), "{}");

    let (succeeded, stdout, stderr) = import(&[text(&xml), "--output", text(&json), "--force"]);
    assert!(succeeded && stdout.is_empty(), "{stdout}{stderr}");
    assert_eq!(fs::metadata(&json).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read_to_string(&json).unwrap();
    let (_, printed, _) = import(&[text(&xml)]);
    // Each hash has a salt of its own.
    let unsalted = |text: &str| {
        let mut settings: Value = serde_json::from_str(text).unwrap();
        settings["users"]["boss"] = json!("");
        settings
    };
    assert_eq!(unsalted(&printed), unsalted(&written));

    let broken = directory.path().join("broken.xml");
    fs::write(&broken, "<icecast>\n<limits></icecast>").unwrap();
    let nowhere = directory.path().join("new.json");
    for (arguments, told) in [
        (vec![text(&broken)], "broken.xml:2:9: expected 'limits' tag, not 'icecast'"),
        (vec!["/nowhere.xml"], "/nowhere.xml: cannot be read: "),
        (vec![text(directory.path())], "cannot be read: "),
        (vec![text(&xml), "--force"], "--output"),
        (vec![], "ICECAST.XML"),
    ] {
        let output = [&arguments[..], &["--output", text(&nowhere)]].concat();
        let arguments = if told == "--output" { arguments } else { output };
        let (succeeded, stdout, stderr) = import(&arguments);
        assert!(!succeeded && stdout.is_empty(), "{arguments:?}: {stdout}");
        assert!(stderr.contains(told) && !stderr.contains("panicked"), "{arguments:?}: {stderr}");
        assert!(!nowhere.exists(), "{arguments:?}");
    }
    for unwritable in ["/dev/null", "/nowhere/at/all.json", text(directory.path())] {
        let (succeeded, _, stderr) = import(&[text(&xml), "--force", "--output", unwritable]);
        assert!(!succeeded && stderr.contains("cannot be written: "), "{unwritable}: {stderr}");
    }
    let mut left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["broken.xml", "icecast.xml", "streammachine.json"]);
}
