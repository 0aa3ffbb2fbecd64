//! Reloading the configuration: what takes effect, what is named as needing a restart, and what a mistake does.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::listener::{ListenerClient, Request, Response};
use testkit::process::Process;
use testkit::server::{Server, ServerOptions};
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    BINARY, Host, PASSWORD, api, count, frames, merge, source, test_stream, wait_for_buffer,
};

/// `admin` with the password `secret`.
const HASH: &str = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
/// A secret that must be nowhere in answers and logs.
const CANARY: &str = "canary-4711";

/// Lays `settings` over the file of the server.
fn change(host: &Host, settings: Value) {
    let text = fs::read_to_string(host.config_path()).expect("the file is there");
    let old = serde_json::from_str(&text).expect("it is JSON");
    fs::write(host.config_path(), merge(old, settings).to_string()).expect("it can be replaced");
}

/// Reloads; what has changed, and what needs a restart.
#[track_caller]
fn reload(host: &Host) -> (Value, Value) {
    let (status, answer) = api(host, "POST", "/api/config/reload", None);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["warnings"], json!([]));
    (answer["changed"].clone(), answer["needs_restart"].clone())
}

/// Changes `settings` and reloads: exactly `changed` is in effect.
#[track_caller]
fn takes(host: &Host, settings: Value, changed: &[&str]) {
    change(host, settings);
    assert_eq!(reload(host), (json!(changed), json!([])));
}

fn streams_of(host: &Host, headers: &[(&str, &str)]) -> Response {
    let headers = [headers, &[("Connection", "close")]].concat();
    ListenerClient::send(
        host.listeners(),
        &Request { headers: &headers, ..Request::new("GET", "/streams.json") },
    )
}

fn lets_in(host: &Host, user: &str, password: &str) -> bool {
    let options = SourceOptions { user: user.to_owned(), ..SourceOptions::new("/test", password) };
    SourceClient::connect(host.sources(), options).is_ok()
}

#[test]
fn what_can_change_takes_effect_at_once() {
    let host = Host::with_stream(json!({}));
    assert_eq!(reload(&host), (json!([]), json!([])));

    assert!(streams_of(&host, &[]).header("Access-Control-Allow-Origin").is_some());
    takes(&host, json!({"cors": {"enabled": false}}), &["cors.enabled"]);
    assert_eq!(streams_of(&host, &[]).header("Access-Control-Allow-Origin"), None);

    takes(&host, json!({"ua_skip": ["Bot"]}), &["ua_skip"]);
    assert_eq!(streams_of(&host, &[("User-Agent", "Bot/1")]).status, 403);
    takes(&host, json!({"ua_skip": null}), &["ua_skip"]);
    assert_eq!(streams_of(&host, &[("User-Agent", "Bot/1")]).status, 200);

    let stream = json!({"streams": {"test": {"name": "N", "burst": 7}}});
    takes(&host, stream, &["streams.test.burst", "streams.test.name"]);
    let config = api(&host, "GET", "/api/streams/test/config", None).1;
    assert_eq!((&config["name"], &config["burst"]), (&json!("N"), &json!(7)));

    let level = json!({"log": {"stdout": {"level": "debug"}}, "debug_incoming_requests": true});
    takes(&host, level, &["debug_incoming_requests", "log.stdout.level"]);
    streams_of(&host, &[]);
    host.wait_for_log("path=\"/streams.json\"");
}

#[test]
fn passwords_of_sources_change_and_who_is_connected_stays() {
    let host = Host::with_stream(json!({"djs": {"jo": "jo's"}}));
    let mut connected = source(&host);
    assert!(lets_in(&host, "jo", "jo's") && !lets_in(&host, "source", CANARY));
    let stream = json!({"source_password": CANARY, "djs": {"ben": "ben's"}});
    change(&host, json!({"streams": {"test": {"djs": null}}}));
    change(&host, json!({"streams": {"test": stream}}));
    let names = ["streams.test.djs.ben", "streams.test.djs.jo", "streams.test.source_password"];
    assert_eq!(reload(&host), (json!(names), json!([])));
    for (user, password, fits) in
        [("source", CANARY, true), ("ben", "ben's", true), ("jo", "jo's", false), ("source", PASSWORD, false)]
    {
        assert_eq!(lets_in(&host, user, password), fits, "{user} {password}");
    }
    connected.send(&frames().bytes(0..count(2))).expect("who is connected stays");
    wait_for_buffer(&host, "test", 1.0);
    let logs = host.logs();
    assert!(logs.contains("streams.test.source_password") && !logs.contains(CANARY), "{logs}");
}

#[test]
fn limits_count_for_those_who_come() {
    let host = Host::with_stream(json!({}));
    let _first = source(&host);
    takes(&host, json!({"limits": {"sources_max": 1}}), &["limits.sources_max"]);
    assert!(!lets_in(&host, "source", PASSWORD));
    takes(&host, json!({"limits": {"sources_max": 2}}), &["limits.sources_max"]);
    assert!(lets_in(&host, "source", PASSWORD));

    let hear = || ListenerClient::get(host.listeners(), "/test", &[]);
    let (first, second) = (hear(), hear());
    takes(&host, json!({"limits": {"listeners_max": 2}}), &["limits.listeners_max"]);
    assert_eq!((first.status, second.status, hear().status), (200, 200, 503));
}

#[test]
fn users_change_and_so_does_whether_one_is_needed() {
    let host = Host::with_stream(json!({}));
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    takes(&host, users, &["admin.require_auth", "users.admin"]);
    let ask = |authorization: &str| {
        let headers = [("Authorization", authorization), ("Connection", "close")];
        let request = Request { headers: &headers, ..Request::new("POST", "/api/config/reload") };
        let mut response = ListenerClient::send(host.api(), &request);
        (response.status, response.read_text())
    };
    assert_eq!(api(&host, "GET", "/api/config", None).0, 401);
    assert_eq!(ask("Basic YWRtaW46d3Jvbmc=").0, 401);
    change(&host, json!({"admin": {"require_auth": false}}));
    let answer = r#"{"changed":["admin.require_auth"],"needs_restart":[],"warnings":[]}"#;
    assert_eq!(ask("Basic YWRtaW46c2VjcmV0"), (200, answer.to_owned()));
    assert_eq!(api(&host, "GET", "/api/config", None).0, 200);
}

#[test]
fn what_needs_a_restart_is_named_until_then_and_the_rest_takes_effect() {
    let host = Host::with_stream(json!({}));
    let settings = json!({
        "chunk_duration": 1, "hls": {"segment_duration": 6, "window": 60}, "rewind": {"dir": "/nowhere"},
        "streams": {"test": {"fallback": "builtin:programme", "name": "N"}, "more": {}},
    });
    change(&host, settings);
    let fixed = json!([
        "chunk_duration",
        "hls.segment_duration",
        "rewind.dir",
        "streams.more",
        "streams.test.fallback"
    ]);
    assert_eq!(reload(&host), (json!(["hls.window", "streams.test.name"]), fixed.clone()));
    assert_eq!(reload(&host), (json!([]), fixed));
    let config = api(&host, "GET", "/api/streams/test/config", None).1;
    assert_eq!((&config["name"], &config["fallback"]), (&json!("N"), &Value::Null));
    host.wait_for_log("these settings have changed and need a restart");
}

#[test]
fn a_mistake_changes_nothing_and_is_told_in_the_words_of_the_check() {
    let host = Host::with_stream(json!({}));
    change(&host, json!({"port": "x", "hls": {"window": -1}, "ua_skip": ["Bot"]}));
    let mut command = Command::new(BINARY);
    command.arg("--config").arg(host.config_path()).args(["config", "check"]);
    let mut check = Process::start(command);
    assert!(!check.wait(DEADLINE).success());
    let stdout = check.stdout();
    let words: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(words.len(), 2, "{stdout}");
    let answer = json!({"message": "Validation Failed", "errors": words});
    assert_eq!(api(&host, "POST", "/api/config/reload", None), (422, answer));
    assert_eq!(streams_of(&host, &[("User-Agent", "Bot/1")]).status, 200);

    for broken in ["{port: ", ""] {
        fs::write(host.config_path(), broken).expect("the file can be replaced");
        let (status, answer) = api(&host, "POST", "/api/config/reload", None);
        assert_eq!((status, answer["errors"].as_array().map(Vec::len)), (422, Some(1)), "{answer}");
    }
    fs::remove_file(host.config_path()).expect("the file can be removed");
    let (status, answer) = api(&host, "POST", "/api/config/reload", None);
    let error = answer["errors"][0].as_str().unwrap_or_default();
    assert!(status == 422 && error.contains("cannot be read"), "{answer}");
}

#[test]
fn an_unknown_key_is_told() {
    let host = Host::with_stream(json!({}));
    change(&host, json!({"prot": 1}));
    let answer = api(&host, "POST", "/api/config/reload", None).1;
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.ends_with(": prot: unknown key; did you mean \"port\"?"), "{answer}");
}

#[test]
fn what_the_api_has_changed_stays_unless_the_file_has_changed_there() {
    let host = Host::with_stream(json!({}));
    let put = |config: Value| assert_eq!(api(&host, "PUT", "/api/streams/test/config", Some(&config)).0, 200);
    put(json!({"name": "from the API", "genre": "from the API"}));
    takes(&host, json!({"streams": {"test": {"genre": "from the file"}}}), &["streams.test.genre"]);
    let config = api(&host, "GET", "/api/streams/test/config", None).1;
    assert_eq!((&config["name"], &config["genre"]), (&json!("from the API"), &json!("from the file")));
}

#[test]
fn a_page_of_another_origin_reloads_nothing() {
    let host = Host::with_stream(json!({}));
    let headers = [("Origin", "https://evil.example"), ("Connection", "close")];
    let request = Request { headers: &headers, ..Request::new("POST", "/api/config/reload") };
    assert_eq!(ListenerClient::send(host.api(), &request).status, 403);
}

#[test]
fn a_hangup_reloads_and_the_service_manager_is_told() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let path = directory.path().join("manager");
    let manager = UnixDatagram::bind(&path).expect("a new path takes a socket");
    manager.set_read_timeout(Some(DEADLINE)).expect("a socket takes a deadline");
    let hear = || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).expect("something is told");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let config = test_stream(json!({})).to_string();
    let environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let options = ServerOptions { environment, ..ServerOptions::new(BINARY, config) };
    let mut host = Host::from(Server::start(&options));
    assert!(hear().starts_with("READY=1\n"));
    change(&host, json!({"streams": {"test": {"name": "N"}}}));
    host.signal(Signal::HUP);
    let reloading = hear();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(hear().starts_with("READY=1\n"));
    eventually(DEADLINE, || {
        let name = api(&host, "GET", "/api/streams/test/config", None).1["name"].clone();
        (name == "N").then_some(())
    });
    host.wait_for_log("the configuration was reloaded changed=\"streams.test.name\"");
    assert_eq!(host.terminate().code(), Some(0));
    assert_eq!(hear(), "STOPPING=1\n");
}
