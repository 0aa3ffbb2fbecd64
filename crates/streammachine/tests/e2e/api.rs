//! The API: shapes that programs of the original read, who may call it, and what it refuses.

use serde_json::{Value, json};
use testkit::listener::{ListenerClient, Request, Response, request};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, api, count, frames, listen, merge, on_air, page, play, source, status, test_stream,
    wait_for_sources,
};

/// The members of an object, sorted.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn call(host: &Host, request: &Request<'_>) -> Response {
    ListenerClient::send(host.api(), request)
}

#[test]
fn a_streams_status_has_the_originals_shape() {
    let host = Host::with_stream(json!({"metaTitle": "A title", "metaUrl": "http://radio.example/"}));
    let empty = status(&host, "test");
    assert_eq!(
        names(&empty),
        [
            "hls_listeners",
            "id",
            "kbytes_sent",
            "key",
            "listeners",
            "lost_batches",
            "metadata",
            "rewind",
            "source",
            "vitals"
        ]
    );
    assert_eq!((&empty["key"], &empty["vitals"]), (&json!("test"), &Value::Null));
    assert_eq!(empty["source"], json!({"key": "test", "sources": []}));
    assert_eq!(empty["metadata"], json!({"StreamTitle": "A title", "StreamUrl": "http://radio.example/"}));
    assert_eq!(
        (&empty["rewind"]["buffer_length"], &empty["rewind"]["first_buffer_ts"]),
        (&json!(0.0), &Value::Null)
    );

    play(&host, 0..count(60));
    let _source = source(&host);
    wait_for_sources(&host, "test", 1);
    let full = status(&host, "test");
    let fps = 44_100.0 / 1152.0;
    assert_eq!(
        full["vitals"],
        json!({"streamKey": "mp3-44100-64-s", "framesPerSec": fps, "emitDuration": 0.1})
    );
    assert_eq!(full["id"], empty["id"]);
    let rewind = &full["rewind"];
    let length = rewind["buffer_length"].as_f64().unwrap();
    assert!((length - frames().duration(count(60)).as_secs_f64()).abs() < 0.001, "{rewind}");
    let instant = |name: &str| {
        let text = rewind[name].as_str().unwrap_or_else(|| panic!("no {name}: {rewind}"));
        assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    let span_ms = instant("last_buffer_ts") - instant("first_buffer_ts");
    assert!((span_ms as f64 - length * 1000.0).abs() <= 1.0, "{rewind}");
    // Segments of 10 s, at multiples of 10 s.
    let segments = rewind["hls_segments"].as_u64().unwrap();
    assert!((5..=7).contains(&segments), "{rewind}");
    let ids = [&rewind["hls_first_seg_id"], &rewind["hls_last_seg_id"]].map(|id| id.as_u64().unwrap());
    assert_eq!(ids[1] - ids[0] + 1, segments);
    assert!(instant("hls_last_seg_ts") >= instant("hls_first_seg_ts") + 40_000);

    let source = &full["source"]["sources"][0];
    for name in ["source", "connected", "url", "streamKey", "uuid", "last_ts", "connected_at"] {
        assert!(source.get(name).is_some(), "{name}: {source}");
    }
    let shown = source["source"].as_str().unwrap();
    assert!(shown.starts_with("Icecast (127.0.0.1:") && shown.ends_with(')'), "{shown}");
    assert_eq!((&source["connected"], source.get("isFallback")), (&json!(true), None));

    assert_eq!(api(&host, "GET", "/api/streams", None).1, json!([status(&host, "test")]));
}

#[test]
fn listeners_and_bytes_are_counted() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(30));
    let before = status(&host, "test")["kbytes_sent"].as_u64().unwrap();
    assert_eq!(listen(&host, "/test?pump=100").read_body().len() as u64, frames().position(count(30)));
    eventually(DEADLINE, || (status(&host, "test")["listeners"] == 0).then_some(()));
    let sent = status(&host, "test")["kbytes_sent"].as_u64().unwrap() - before;
    // The head counts too.
    assert!((234..=237).contains(&sent), "{sent} KiB of {}", frames().position(count(30)));
}

#[test]
fn configurations_are_shown_with_defaults_and_without_secrets() {
    let hash = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
    let host = Host::start(json!({
        "streams": {"test": {"source": "studio", "burst": 7, "key": "test"}, "other": {"source_password": "hush-hush"}},
        "sources": {"studio": {"password": "also-secret"}},
        "users": {"admin": hash},
    }));
    let (_, stream) = api(&host, "GET", "/api/streams/test/config", None);
    for (name, value) in [
        ("key", json!("test")),
        ("format", json!("mp3")),
        ("seconds", json!(14400)),
        ("burst", json!(7)),
        ("source", json!("studio")),
        ("meta_interval", json!(32768)),
        ("max_buffer", json!(4_194_304)),
        ("root_route", json!(false)),
        ("metaTitle", json!("")),
        ("fallback", Value::Null),
    ] {
        assert_eq!(stream[name], value, "{name}");
    }
    let (_, mount) = api(&host, "GET", "/api/sources/studio/config", None);
    let known = json!({
        "key": "studio", "password": "***", "djs": {}, "sid": null, "charset": null, "format": "mp3",
        "monitored": false,
    });
    assert_eq!(mount, known);
    let (_, all) = api(&host, "GET", "/api/config", None);
    assert_eq!((names(&all), names(&all["streams"])), (vec!["sources", "streams"], vec!["other", "test"]));
    assert_eq!((&all["streams"]["test"], &all["sources"]["studio"]), (&stream, &mount));
    assert_eq!(all["streams"]["other"]["source_password"], "***");
    let everything = format!(
        "{all}{}{}",
        api(&host, "GET", "/api/streams", None).1,
        api(&host, "GET", "/api/sources", None).1
    );
    for secret in ["hush-hush", "also-secret", "f93bf1a2"] {
        assert!(!everything.contains(secret) && !host.logs().contains(secret), "{secret}");
    }
}

#[test]
fn mounts_are_listed_with_their_sources() {
    let host =
        Host::start(merge(test_stream(json!({})), json!({"sources": {"spare/two": {"password": PASSWORD}}})));
    let _source = source(&host);
    wait_for_sources(&host, "test", 1);
    let (_, mounts) = api(&host, "GET", "/api/sources", None);
    let keys: Vec<&Value> = mounts.as_array().unwrap().iter().map(|mount| &mount["key"]).collect();
    assert_eq!(keys, ["spare/two", "test"]);
    assert_eq!(mounts[0]["sources"], json!([]));
    assert_eq!(api(&host, "GET", "/api/sources/test", None).1, mounts[1]);
    assert_eq!(api(&host, "GET", "/api/sources/spare%2Ftwo", None), (200, mounts[0].clone()));
}

#[test]
fn settings_change_while_the_stream_runs() {
    let host = Host::with_stream(json!({"burst": 20}));
    play(&host, 0..count(30));
    let change = json!({"burst": "2", "name": "New", "metaTitle": "New title", "seconds": 60, "unknown": 1});
    let (code, shown) = api(&host, "PUT", "/api/streams/test/config", Some(&change));
    assert_eq!((code, &shown["burst"], &shown["name"]), (200, &json!(2), &json!("New")));
    assert_eq!(api(&host, "GET", "/api/streams/test/config", None).1, shown);
    assert_eq!(shown.get("unknown"), None);
    eventually(DEADLINE, || (status(&host, "test")["metadata"]["StreamTitle"] == "New title").then_some(()));
    let listener = listen(&host, "/test");
    assert_eq!(listener.header("icy-name"), Some("New"));
    let behind: f64 = listener.header("X-Content-Behind").unwrap().parse().unwrap();
    assert!(behind <= 2.0, "{behind}");
    // What is shown can be sent back.
    assert_eq!(api(&host, "PUT", "/api/streams/test/config", Some(&shown)), (200, shown));
}

#[test]
fn a_mounts_password_changes_for_the_next_source() {
    let host =
        Host::start(json!({"streams": {"test": {"source": "m"}}, "sources": {"m": {"password": "old"}}}));
    let try_in = |password: &str| {
        let options = testkit::source::SourceOptions::new("/m", password);
        testkit::source::SourceClient::connect(host.sources(), options)
    };
    let connected = try_in("old").unwrap();
    let (code, shown) = api(&host, "PUT", "/api/sources/m/config", Some(&json!({"password": "new"})));
    assert_eq!((code, &shown["password"]), (200, &json!("***")));
    assert!(try_in("old").is_err());
    let next = try_in("new").unwrap();
    wait_for_sources(&host, "m", 2);
    drop((connected, next));
}

#[test]
fn what_cannot_be_is_refused_with_the_originals_statuses() {
    let host = Host::with_stream(json!({}));
    let before = api(&host, "GET", "/api/streams/test/config", None);
    for (change, error) in [
        (json!({"seconds": 0}), "seconds: expected a number of seconds from 1 to 31,536,000, found 0"),
        (json!({"burst": "soon"}), "burst: expected a number of seconds from 0 to 3,600, found \"soon\""),
        (
            json!({"key": "other"}),
            "key cannot change while the stream runs: set it in the configuration file",
        ),
        (
            json!({"format": "aac"}),
            "format cannot change while the stream runs: set it in the configuration file",
        ),
    ] {
        let answer = api(&host, "PUT", "/api/streams/test/config", Some(&change));
        assert_eq!(answer, (422, json!({"message": "Validation Failed", "errors": [error]})), "{change}");
    }
    assert_eq!(api(&host, "GET", "/api/streams/test/config", None), before);

    for (method, target, status, text) in [
        ("GET", "/api/streams/nothing", 404, "Invalid stream.\n"),
        ("GET", "/api/streams/nothing/config", 404, "Invalid stream.\n"),
        ("PUT", "/api/streams/nothing/config", 404, "Invalid stream.\n"),
        ("POST", "/api/streams/nothing/metadata", 404, "Invalid stream.\n"),
        ("GET", "/api/streams/nothing/rewind", 404, "Invalid stream.\n"),
        ("DELETE", "/api/streams/nothing/rewind", 404, "Invalid stream.\n"),
        ("GET", "/api/sources/nothing", 404, "Invalid source mount.\n"),
        ("PUT", "/api/sources/nothing/config", 404, "Invalid source mount.\n"),
    ] {
        let body = (method != "GET").then_some(json!({}));
        let answer = api(&host, method, target, body.as_ref());
        assert_eq!(answer, (status, json!(text)), "{method} {target}");
    }
    assert_eq!(api(&host, "GET", "/api/nothing", None).0, 404);
    assert_eq!(api(&host, "DELETE", "/api/streams/test", None).0, 405);
}

#[test]
fn bodies_are_what_they_say_and_of_bounded_length() {
    let host = Host::with_stream(json!({}));
    let target = "/api/streams/test/metadata";
    let put = |target: &str, method: &str, media_type: &str, body: &[u8]| {
        let headers = [("Content-Type", media_type), ("Connection", "close")];
        let mut response = call(&host, &Request { headers: &headers, body, ..Request::new(method, target) });
        (response.status, response.read_text())
    };
    for body in ["{", "[]", "\"text\"", "nothing", &"[".repeat(100_000)] {
        for (method, target) in [("POST", target), ("PUT", "/api/streams/test/config")] {
            let (status, text) = put(target, method, "application/json", body.as_bytes());
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (status, &problem["status"], &problem["title"]),
                (400, &json!(400), &json!("Bad Request"))
            );
        }
    }
    let long =
        |length: usize| format!("{{\"title\":\"x\",\"more\":\"{}\"}}", "y".repeat(length - 23)).into_bytes();
    assert_eq!(
        (long(1 << 20).len(), put(target, "POST", "application/json", &long(1 << 20)).0),
        (1 << 20, 200)
    );
    assert_eq!(put(target, "POST", "application/json", &long((1 << 20) + 1)).0, 413);
    assert_eq!(put("/api/streams/test/config", "PUT", "application/json", &long((1 << 20) + 1)).0, 413);
}

#[test]
fn titles_come_as_json_as_a_form_or_in_the_query() {
    let host = Host::with_stream(json!({"metaUrl": "http://radio.example/"}));
    let target = "/api/streams/test/metadata";
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (target, headers, body, title, url) in [
        (target, &[][..], r#"{"StreamTitle": "A"}"#, "A", "http://radio.example/"),
        (target, &[], r#"{"title": "B", "url": "http://b.example/"}"#, "B", "http://b.example/"),
        (target, &[form], "StreamTitle=C+%C3%A9&StreamUrl=", "C é", ""),
        ("/api/streams/test/metadata?title=D", &[], "", "D", ""),
        ("/api/streams/test/metadata?title=D&url=x", &[], r#"{"title": "E"}"#, "E", "x"),
    ] {
        let headers = [headers, &[("Connection", "close")]].concat();
        let mut answer = call(
            &host,
            &Request { headers: &headers, body: body.as_bytes(), ..Request::new("POST", target) },
        );
        let told: Value = serde_json::from_str(&answer.read_text()).unwrap();
        assert_eq!((answer.status, told), (200, json!({"StreamTitle": title, "StreamUrl": url})), "{body}");
        eventually(DEADLINE, || (status(&host, "test")["metadata"]["StreamTitle"] == title).then_some(()));
    }
}

#[test]
fn without_users_only_this_machine_may() {
    let host = Host::with_stream(json!({}));
    let ask = |method: &str, name: &str, value: &str| {
        let head = format!("{method} /api/streams HTTP/1.0\r\nHost: localhost\r\n{name}: {value}\r\n\r\n");
        String::from_utf8(request(host.api(), head.as_bytes())).unwrap()
    };
    for (name, value) in
        [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("X-Real-IP", "127.0.0.1")]
    {
        let answer = ask("GET", name, value);
        assert!(answer.starts_with("HTTP/1.0 403 Forbidden\r\n"), "{name}: {answer}");
        assert!(answer.contains("\r\ncontent-type: application/problem+json\r\n"), "{answer}");
    }
    let rebound = b"GET /api/streams HTTP/1.0\r\nHost: radio.example\r\n\r\n";
    assert!(request(host.api(), rebound).starts_with(b"HTTP/1.0 403 "));
    // Pages of other origins may read what they may, and change nothing.
    assert!(ask("GET", "Origin", "https://page.example").starts_with("HTTP/1.0 200 OK\r\n"));
    for (method, target) in [
        ("POST", "/api/streams/test/metadata?title=x"),
        ("DELETE", "/api/streams/test/rewind"),
        ("PUT", "/api/streams/test/config"),
    ] {
        for origin in ["https://page.example", "null", "http://localhost.example"] {
            let head = format!("{method} {target} HTTP/1.0\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
            let answer = request(host.api(), head.as_bytes());
            assert!(answer.starts_with(b"HTTP/1.0 403 "), "{method} {origin}: {}", answer.escape_ascii());
        }
    }
    assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "");
    let own = b"POST /api/streams/test/metadata?title=x HTTP/1.0\r\nHost: localhost:8000\r\nOrigin: http://localhost:8000\r\n\r\n";
    assert!(request(host.api(), own).starts_with(b"HTTP/1.0 200 "));
    let preflight = call(&host, &Request::new("OPTIONS", "/api/streams"));
    assert_eq!((preflight.status, preflight.header("Access-Control-Allow-Origin")), (200, Some("*")));
}

#[test]
fn with_users_their_passwords_open_the_api_from_anywhere() {
    let hash = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
    let users = json!({"admin": {"require_auth": true}, "users": {"admin": hash}});
    let host = Host::start(merge(test_stream(json!({})), users));
    for (authorization, status) in [
        ("Basic YWRtaW46c2VjcmV0", 200),
        ("basic YWRtaW46c2VjcmV0", 200),
        ("Basic YWRtaW46d3Jvbmc=", 401),
        ("Basic bm9ib2R5OnNlY3JldA==", 401),
        ("Basic !!!", 401),
        ("Bearer secret", 401),
    ] {
        let headers =
            [("Authorization", authorization), ("X-Forwarded-For", "192.0.2.1"), ("Connection", "close")];
        let answer = call(&host, &Request { headers: &headers, ..Request::new("GET", "/api/streams") });
        assert_eq!(answer.status, status, "{authorization}");
        let challenge = (status == 401).then_some("Basic realm=\"StreamMachine\"");
        assert_eq!(answer.header("WWW-Authenticate"), challenge, "{authorization}");
    }
    assert_eq!(api(&host, "GET", "/api/streams", None).0, 401);
    // Listening and health need no user.
    listen(&host, "/test");
    assert_eq!(page(&host, "/readyz").0, 200);
}

#[test]
fn the_api_may_have_a_port_of_its_own() {
    let host = Host::start(merge(test_stream(json!({})), json!({"api_port": 0})));
    assert_ne!(host.api(), host.listeners());
    assert_eq!(api(&host, "GET", "/api/streams", None).0, 200);
    assert_eq!(page(&host, "/api/streams"), (404, "Invalid stream.\n".to_owned()));
    for (target, status) in
        [("/healthz", 200), ("/readyz", 200), ("/test", 404), ("/", 404), ("/streams.json", 404)]
    {
        assert_eq!(api(&host, "GET", target, None).0, status, "{target}");
    }
}

#[test]
fn the_player_page_is_told_what_there_is() {
    let host = Host::start(merge(
        test_stream(json!({"metaTitle": "Now", "name": "Radio"})),
        json!({"timezone": "Europe/Berlin"}),
    ));
    let streams = || serde_json::from_str::<Value>(&page(&host, "/streams.json").1).unwrap();
    let quiet = streams();
    let stream = &quiet[0];
    assert_eq!(
        names(stream),
        [
            "buffer_seconds",
            "content_type",
            "end",
            "format",
            "key",
            "listeners",
            "live",
            "name",
            "now",
            "start",
            "title",
            "url",
            "zone"
        ]
    );
    assert_eq!(
        (&stream["key"], &stream["name"], &stream["url"]),
        (&json!("test"), &json!("Radio"), &json!("/test"))
    );
    assert_eq!((&stream["title"], &stream["zone"]), (&json!("Now"), &json!("Europe/Berlin")));
    assert_eq!(
        (&stream["live"], &stream["start"], &stream["format"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    let _source = on_air(&host, 10);
    let _listener = listen(&host, "/test");
    let live = streams();
    assert_eq!((&live[0]["live"], &live[0]["listeners"]), (&json!(true), &json!(1)));
    assert_eq!(live[0]["format"], "mp3-44100-64-s");
    assert!(live[0]["buffer_seconds"].as_f64().unwrap() > 9.0, "{live}");
    let instant = |name: &str| live[0][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(instant("start") < instant("end") && instant("start") < instant("now"), "{live}");
}
