//! Why an encoder does not get in: what the API tells of the latest connections, and who is on air.

use serde_json::{Value, json};
use testkit::connection::Connection;
use testkit::listener::request;
use testkit::source::{Protocol, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{Host, PASSWORD, api, connect, frames, line, source, wait_for_sources};

/// The latest connections to the mount `key`; to no mount without one.
#[track_caller]
fn connections(host: &Host, key: Option<&str>) -> Vec<Value> {
    let target = match key {
        Some(key) => format!("/api/mounts/{key}/connections"),
        None => "/api/connections".to_owned(),
    };
    let (status, body) = api(host, "GET", &target, None);
    assert_eq!(status, 200, "{body}");
    body.as_array().unwrap_or_else(|| panic!("{body}")).clone()
}

/// Tries to connect, and is refused.
#[track_caller]
fn refused(host: &Host, options: SourceOptions) {
    SourceClient::connect(host.sources(), options).expect_err("the source is not let in");
}

/// A right password, so that wrong ones are forgiven. Waits until its connection is known to have ended: the latest comes
/// first.
#[track_caller]
fn forgive(host: &Host) {
    let mut source = source(host);
    let address = source.connection().local_address().to_string();
    drop(source);
    eventually(DEADLINE, || {
        let newest = connections(host, Some("test")).into_iter().next()?;
        (newest["from"] == address && newest["outcome"] == "ended").then_some(())
    });
}

fn as_user(user: &str, mount: &str, password: &str) -> SourceOptions {
    SourceOptions { user: user.to_owned(), ..SourceOptions::new(mount, password) }
}

/// The newest connection's outcome and reason.
fn newest(records: &[Value]) -> (&str, &str) {
    (records[0]["outcome"].as_str().unwrap_or_default(), records[0]["reason"].as_str().unwrap_or_default())
}

fn station() -> Host {
    Host::start(json!({
        "streams": {
            "test": {"source_password": PASSWORD, "djs": {"anna": "hush", "ben": "quiet"}},
            "open": {},
            "zwei": {"source_password": "other"},
        },
        "sources": {"far/away": {"password": "distant"}},
    }))
}

#[test]
fn a_refused_encoder_is_told_why_in_words() {
    let host = station();
    for (options, key, reason) in [
        (as_user("source", "/test", "wrong-one"), Some("test"), "wrong password for user 'source' on /test"),
        (as_user("anna", "/test", "wrong-one"), Some("test"), "wrong password for DJ 'anna' on /test"),
        (as_user("ben", "/test", "hush"), Some("test"), "wrong password for DJ 'ben' on /test"),
        (as_user("anna", "/zwei", "hush"), Some("zwei"), "wrong password for user 'anna' on /zwei"),
        (
            as_user("source", "/far/away", "x"),
            Some("far%2Faway"),
            "wrong password for user 'source' on /far/away",
        ),
        (
            as_user("source", "/open", "x"),
            Some("open"),
            "/open has no password set, so no source can connect",
        ),
        (as_user("source", "/tets", PASSWORD), None, "no mount /tets; did you mean /test?"),
        (as_user("source", "/Test", PASSWORD), None, "no mount /Test; did you mean /test?"),
        (as_user("source", "/something", PASSWORD), None, "no mount /something"),
    ] {
        refused(&host, options);
        let records = connections(&host, key);
        assert_eq!(newest(&records), ("refused", reason));
        // Wrong ones are counted, and slow down those that follow.
        forgive(&host);
    }
    for (login, key, reason) in [
        ("/tets:testing", None, "no mount /tets; did you mean /test?"),
        ("/test:wrong-one", Some("test"), "wrong password on /test"),
        (
            "wrong-one:#9",
            None,
            "no stream has the number 9: they are numbered from 1 to 4 unless `sid` is set",
        ),
        ("wrong-one:#4", Some("zwei"), "wrong password on /zwei"),
        // The first is the default, and has the path far/away.
        ("wrong-one", Some("far%2Faway"), "wrong password on /far/away"),
        ("wrong:one", Some("far%2Faway"), "wrong password on /far/away"),
        ("test:wrong-one", Some("test"), "wrong password on /test"),
        ("test:anna:wrong-one", Some("test"), "wrong password on /test"),
        ("/test:anna:wrong-one", Some("test"), "wrong password for DJ 'anna' on /test"),
    ] {
        assert_eq!(request(host.sources(), format!("{login}\n").as_bytes()), b"invalid password\r\n");
        assert_eq!(newest(&connections(&host, key)), ("refused", reason), "{login}");
        forgive(&host);
    }
    for (bytes, reason) in [
        (&b"\x16\x03\x01"[..], "this is TLS, which is not spoken here: switch TLS or SSL off in the encoder"),
        (b"\x5A\x00\x10", "this is SHOUTcast v2 (Ultravox): set the encoder to SHOUTcast v1 or Icecast"),
        (
            b"SOURCE /test HTTP/1.0\r\nA : b\r\n\r\n",
            "the request was not understood: a header line is malformed",
        ),
    ] {
        request(host.sources(), bytes);
        assert_eq!(newest(&connections(&host, None)), ("refused", reason));
    }
    let all = format!(
        "{:?}{:?}{:?}{}",
        connections(&host, Some("test")),
        connections(&host, Some("far%2Faway")),
        connections(&host, None),
        host.logs()
    );
    for secret in ["wrong-one", PASSWORD, "hush", "quiet", "distant", "Basic"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert_eq!(api(&host, "GET", "/api/mounts/nothing/connections", None).0, 404);
}

#[test]
fn a_connection_is_told_from_its_request_to_its_end() {
    let host = Host::with_stream(json!({}));
    let options = || {
        SourceOptions::new("/test?password=hidden", PASSWORD)
            .header("Ice-Name", "Rädio")
            .header("Cookie", "hidden")
    };
    let mut first = connect(&host, options());
    let address = first.connection().local_address().to_string();
    first.send(&frames().bytes(0..50)).unwrap();
    wait_for_sources(&host, "test", 1);
    let second = connect(&host, options());
    let records = eventually(DEADLINE, || {
        let records = connections(&host, Some("test"));
        (records.len() == 2 && records[1]["outcome"] == "on air").then_some(records)
    });
    let (waiting, on_air) = (&records[0], &records[1]);
    assert_eq!(waiting["outcome"], "waiting");
    for (name, value) in [
        ("from", json!(address)),
        ("protocol", json!("icecast")),
        ("method", json!("SOURCE")),
        ("mount", json!("/test")),
        ("user", json!("source")),
        ("agent", json!("testkit")),
        ("count", json!(1)),
        ("dj", Value::Null),
        ("uuid", line(&host, "test")[0]["uuid"].clone()),
        (
            "headers",
            json!({
                "host": host.sources().to_string(), "user-agent": "testkit", "content-type": "audio/mpeg",
                "ice-name": "Rädio",
            }),
        ),
    ] {
        assert_eq!(on_air[name], value, "{name}: {on_air}");
    }
    assert!(on_air["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{on_air}");
    first.close();
    drop(second);
    wait_for_sources(&host, "test", 0);
    let records = eventually(DEADLINE, || {
        let records = connections(&host, Some("test"));
        records.iter().all(|record| record["outcome"] == "ended").then_some(records)
    });
    assert_eq!(records[1]["reason"], "the source closed the connection");
    assert_eq!(records[1]["bytes"], json!(frames().bytes(0..50).len()));
    assert!(records[1]["ended_at"].as_str().unwrap() >= records[1]["at"].as_str().unwrap());
}

#[test]
fn what_ended_a_source_is_told() {
    let host = Host::with_stream(json!({}));
    let reason_of = |bytes: &[u8], content_type: &str, closes: bool| {
        let options = SourceOptions::new("/test", PASSWORD).header("Content-Type", content_type);
        let mut source = connect(&host, options);
        let address = source.connection().local_address().to_string();
        source.send(bytes).unwrap();
        if closes {
            source.connection().half_close();
        }
        eventually(DEADLINE, || {
            let record = connections(&host, Some("test")).into_iter().find(|it| it["from"] == address)?;
            (record["outcome"] == "ended").then(|| record["reason"].as_str().unwrap().to_owned())
        })
    };
    let closed = "the source closed the connection";
    // Whatever it calls them, frames are frames.
    for odd in ["image/png", "audio/mp4", "text/html; charset=x", "x", ""] {
        assert_eq!(reason_of(&frames().bytes(0..50), odd, true), closed, "{odd}");
    }
    assert_eq!(reason_of(b"", "audio/mpeg", true), format!("{closed}; no MP3 or AAC (ADTS) frame came"));
    assert_eq!(
        reason_of(b"\0\0\0\0", "audio/x-odd", true),
        format!("{closed}; it said to send audio/x-odd: MP3 and AAC (ADTS) are understood")
    );
    let ogg = "Ogg is not accepted yet: set the encoder to MP3 or AAC";
    for (content_type, closes) in [("audio/mpeg", true), ("image/png", true), ("audio/mpeg", false)] {
        assert_eq!(reason_of(b"OggS\0\x02", content_type, closes), ogg, "{content_type}");
    }
    let [webm, mp4] = [&b"\x1A\x45\xDF\xA3"[..], b"\0\0\0\x20ftypM4A "];
    assert!(reason_of(webm, "audio/mpeg", true).starts_with("Matroska or WebM is not accepted yet: "));
    assert!(reason_of(mp4, "audio/mp4", true).starts_with("MP4 is not accepted yet: "));
    let garbage = b"\x00\x01\x02\xFE\x7F ".repeat(500);
    assert_eq!(reason_of(&garbage, "audio/mpeg", false), "no MP3 or AAC frame within 3 s of the first byte");
}

#[test]
fn what_is_announced_and_not_understood_is_refused_before_it_is_sent() {
    let host = Host::with_stream(json!({}));
    let put = |expect| Protocol::Put { expect, chunked: false };
    for (content_type, name) in [
        ("application/ogg", "Ogg"),
        ("audio/ogg; codecs=opus", "Ogg"),
        ("audio/flac", "FLAC"),
        ("video/webm", "WebM"),
    ] {
        let reason = format!("{name} is not accepted yet: set the encoder to MP3 or AAC");
        for protocol in [Protocol::Source10, put(true), put(false)] {
            let options = SourceOptions::new("/test", PASSWORD).header("Content-Type", content_type);
            let refusal = SourceClient::connect(host.sources(), options.protocol(protocol)).unwrap_err();
            assert_eq!(refusal.status_line, "HTTP/1.0 415 Unsupported Media Type", "{content_type}");
            assert_eq!(refusal.body, format!("{reason}\n"));
            assert_eq!(newest(&connections(&host, Some("test"))), ("refused", reason.as_str()));
        }
        let login = format!("{PASSWORD}\r\ncontent-type:{content_type}\r\nicy-name:x{name}\r\n\r\nOggS");
        assert_eq!(request(host.sources(), login.as_bytes()), b"OK2\r\nicy-caps:11\r\n\r\n");
        let records = connections(&host, Some("test"));
        assert_eq!(
            (newest(&records), &records[0]["protocol"]),
            (("refused", reason.as_str()), &json!("shoutcast"))
        );
    }
    // Who may not send is not told what may be sent.
    let stranger = SourceOptions::new("/test", "wrong").header("Content-Type", "application/ogg");
    let refusal = SourceClient::connect(host.sources(), stranger).unwrap_err();
    assert_eq!(refusal.status_line, "HTTP/1.0 401 Unauthorized");
    wait_for_sources(&host, "test", 0);
}

#[test]
fn connections_are_counted_where_they_repeat_and_bounded_where_they_do_not() {
    let host = Host::with_stream(json!({}));
    for _ in 0..3 {
        refused(&host, SourceOptions::new("/test", "wrong"));
    }
    assert_eq!(connections(&host, Some("test")).len(), 1);
    assert_eq!(connections(&host, Some("test"))[0]["count"], 3);
    // libshout asks without a password first. That makes way for what comes of it.
    let silent = || SourceOptions { password: None, ..SourceOptions::new("/test", "") };
    refused(&host, silent());
    let reason = "no user and password were sent for /test (libshout always asks like this first)";
    assert_eq!(newest(&connections(&host, Some("test"))), ("refused", reason));
    drop(source(&host));
    let records = connections(&host, Some("test"));
    assert_eq!((records.len(), &records[1]["count"]), (2, &json!(3)));
    // Many that are no sources: the latest 50 of them are known.
    for number in 0..60 {
        let mut connection = Connection::open(host.sources());
        connection.send(format!("SOURCE /none{number} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        assert!(connection.read_head().unwrap().starts_with("HTTP/1.0 401 "));
    }
    let records = connections(&host, None);
    assert_eq!((records.len(), newest(&records).1), (50, "no mount /none59"));
}

#[test]
fn a_dj_is_known_by_an_own_password_and_shown_on_air() {
    let host = station();
    drop(connect(&host, as_user("ben", "/test", "quiet")));
    eventually(DEADLINE, || {
        let records = connections(&host, Some("test"));
        records.first().is_some_and(|newest| newest["outcome"] == "ended").then_some(())
    });
    let _anna = connect(&host, as_user("anna", "/test", "hush"));
    wait_for_sources(&host, "test", 1);
    let _waiting = connect(&host, as_user("source", "/test", PASSWORD));
    wait_for_sources(&host, "test", 2);
    let mount = api(&host, "GET", "/api/sources/test", None).1;
    assert_eq!((&mount["dj"], &mount["sources"][0]["dj"]), (&json!("anna"), &json!("anna")));
    assert_eq!(mount["sources"][1]["dj"], Value::Null);
    let records = connections(&host, Some("test"));
    assert_eq!((&records[1]["dj"], &records[1]["outcome"]), (&json!("anna"), &json!("on air")));
    // Changed over the API for those who come next.
    let (status, shown) =
        api(&host, "PUT", "/api/sources/test/config", Some(&json!({"djs": {"ben": null, "cleo": "new"}})));
    assert_eq!((status, &shown["djs"]), (200, &json!({"anna": "***", "cleo": "***"})));
    connect(&host, as_user("cleo", "/test", "new"));
    connect(&host, as_user("anna", "/test", "hush"));
    refused(&host, as_user("ben", "/test", "quiet"));
}
