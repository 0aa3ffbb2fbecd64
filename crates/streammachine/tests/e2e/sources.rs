//! Sources at the door of the source port: which are let in, with which answers, and what of their bytes is kept.
//!
//! Who is on air and what encoders tell is in `air`.

use std::time::Duration;

use serde_json::json;
use testkit::audio::Break;
use testkit::connection::Connection;
use testkit::listener::{ListenerClient, request};
use testkit::source::{Protocol, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, connect, count, frames, line, listen, merge, on_air, play, pump_all, source, test_stream,
    wait_for_frame, wait_for_sources,
};

const UNAUTHORIZED: &str = "HTTP/1.0 401 Unauthorized\r\nServer: StreamMachine\r\n\
    WWW-Authenticate: Basic realm=\"StreamMachine\"\r\nConnection: close\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 27\r\n\r\nInvalid source or password.";
/// `source:testing`
const CREDENTIALS: &str = "Basic c291cmNlOnRlc3Rpbmc=";

/// The answer to a request on the source port, to the end of the connection.
fn answer(host: &Host, bytes: &str) -> String {
    String::from_utf8(request(host.sources(), bytes.as_bytes())).expect("answers are text")
}

#[test]
fn a_source_that_gives_no_audio_takes_nothing_off_the_air() {
    let host = Host::with_stream(json!({"fallback": "builtin:programme", "burst": 1}));
    let mut listener = listen(&host, "/test");
    let silent = source(&host);
    let on_air = || line(&host, "test")[0]["source"].as_str().expect("a source has a name").to_owned();
    eventually(DEADLINE, || (line(&host, "test").len() == 2).then_some(()));
    assert_eq!(on_air(), "Programme (builtin)");
    // It plays on, well beyond what was there before.
    listener.body.read_exact(24_000);
    assert_eq!(on_air(), "Programme (builtin)");
    let mut heard = source(&host);
    heard.send(&frames().bytes(0..count(2))).unwrap();
    eventually(DEADLINE, || on_air().starts_with("Icecast").then_some(()));
    wait_for_sources(&host, "test", 2);
    drop((silent, heard));
}

#[test]
fn pages_of_another_origin_set_no_titles() {
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 2);
    let password = ("Authorization", "Basic c291cmNlOnRlc3Rpbmc=");
    let target = "/admin/metadata?mode=updinfo&mount=/test&song=Evil";
    for foreign in [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.example")] {
        for address in [host.listeners(), host.sources()] {
            let answer = ListenerClient::get(address, target, &[password, foreign]);
            assert_eq!(answer.status, 403, "{foreign:?}");
        }
    }
    assert_eq!(ListenerClient::get(host.sources(), target, &[password]).status, 200);
}

#[test]
fn every_way_in_which_encoders_speak_is_welcome() {
    let put = |expect, chunked| Protocol::Put { expect, chunked };
    let ways = [
        Protocol::Source10,
        Protocol::Source11,
        Protocol::Ice10,
        put(false, false),
        put(true, false),
        put(false, true),
        put(true, true),
    ];
    let streams = (0..ways.len()).map(|number| (format!("s{number}"), json!({"source_password": PASSWORD})));
    let host = Host::start(json!({"streams": serde_json::Map::from_iter(streams)}));
    for (number, protocol) in ways.into_iter().enumerate() {
        let options = SourceOptions::new(&format!("/s{number}"), PASSWORD).protocol(protocol);
        let mut source = connect(&host, options);
        let continues = matches!(protocol, Protocol::Put { expect: true, .. });
        let expected: &[&str] = if continues {
            &["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"]
        } else {
            &["HTTP/1.0 200 OK\r\n\r\n"]
        };
        assert_eq!(source.answers, expected, "{protocol:?}");
        // Pieces that end anywhere, in frames and in chunks.
        for piece in frames().bytes(0..count(2)).chunks(997) {
            source.send(piece).unwrap();
        }
        source.close();
        wait_for_frame(&host, &format!("s{number}"), count(2) - 1);
        let kept = listen(&host, &format!("/s{number}?pump=60")).read_body();
        frames().scan(&kept).assert_exactly(0..count(2));
    }
}

#[test]
fn a_head_may_be_split_at_every_byte() {
    let host = Host::with_stream(json!({}));
    let head = SourceOptions::new("/test", PASSWORD).encode(host.sources());
    let places = 1..head.len();
    let mut connections: Vec<Connection> = places
        .clone()
        .map(|place| {
            let mut connection = Connection::open(host.sources());
            connection.send(&head.as_bytes()[..place]).unwrap();
            connection
        })
        .collect();
    for (connection, place) in connections.iter_mut().zip(places) {
        connection.send(&head.as_bytes()[place..]).unwrap();
        let answer = connection.read_head();
        assert_eq!(answer.as_deref(), Some("HTTP/1.0 200 OK\r\n\r\n"), "split at {place}");
    }
}

#[test]
fn audio_in_the_packet_of_the_head_is_kept() {
    let host = Host::with_stream(json!({}));
    for chunked in [false, true] {
        let protocol = if chunked { Protocol::Put { expect: false, chunked } } else { Protocol::Source10 };
        let head = SourceOptions::new("/test", PASSWORD).protocol(protocol).encode(host.sources());
        let numbers = if chunked { 50..100 } else { 0..50 };
        let audio = frames().bytes(numbers);
        let body = if chunked {
            [format!("{:X};name=\"value\"\r\n", audio.len()).as_bytes(), &audio, b"\r\n0\r\n\r\n"].concat()
        } else {
            audio
        };
        let mut connection = Connection::open(host.sources());
        connection.send(&[head.as_bytes(), &body].concat()).unwrap();
        connection.half_close();
        assert_eq!(connection.read_to_end(100), b"HTTP/1.0 200 OK\r\n\r\n");
    }
    wait_for_frame(&host, "test", 99);
    frames().scan(&pump_all(&host)).assert_exactly(0..100);
}

#[test]
fn odd_heads_of_real_encoders_are_understood() {
    let host = Host::with_stream(json!({}));
    for head in [
        "SOURCE /test HTTP/1.0\nauthorization: basic c291cmNlOnRlc3Rpbmc=\n\n",
        "SOURCE /test ICE/1.0\r\nAUTHORIZATION: BASIC c291cmNlOnRlc3Rpbmc=\r\nnot a header at all\r\n\r\n",
        "SOURCE /%74est HTTP/1.1\r\nAuthorization:Basic c291cmNlOnRlc3Rpbmc=\r\n\r\n",
        "SOURCE test HTTP/1.0\r\nAuthorization: Basic c291cmNlOnRlc3Rpbmc=\r\n\r\n",
        "PUT http://radio.example:8001/test?x=1 HTTP/1.1\r\nAuthorization: Basic YW55Ym9keTp0ZXN0aW5n\r\n\r\n",
    ] {
        let mut connection = Connection::open(host.sources());
        connection.send(head.as_bytes()).unwrap();
        assert_eq!(connection.read_head().as_deref(), Some("HTTP/1.0 200 OK\r\n\r\n"), "{head}");
    }
}

#[test]
fn without_the_password_there_is_one_well_formed_401() {
    let host = Host::start(json!({"streams": {"test": {"source_password": PASSWORD}, "open": {}}}));
    for (mount, authorization) in [
        ("/test", "".to_owned()),
        ("/test", "Authorization: Basic c291cmNlOndyb25n\r\n".to_owned()),
        ("/test", "Authorization: Basic ????\r\n".to_owned()),
        ("/test", "Authorization: Bearer testing\r\n".to_owned()),
        ("/nothing", format!("Authorization: {CREDENTIALS}\r\n")),
        ("/open", format!("Authorization: {CREDENTIALS}\r\n")),
    ] {
        let head = format!("SOURCE {mount} HTTP/1.0\r\n{authorization}\r\n");
        assert_eq!(answer(&host, &head), UNAUTHORIZED, "{head}");
    }
    assert!(!host.logs().contains(PASSWORD));
}

#[test]
fn a_mount_is_its_whole_path() {
    let host = Host::with_stream(json!({}));
    for (target, status) in [
        ("/test2", "401"),
        ("/tes", "401"),
        ("/test/", "401"),
        ("/Test", "401"),
        ("//test", "401"),
        ("/test/../test", "401"),
        ("/test/..%2ftest", "401"),
        ("/%2574est", "401"),
        ("/", "401"),
        ("/test%00", "404"),
        ("/test%0a", "404"),
    ] {
        let head = format!("SOURCE {target} HTTP/1.0\r\nAuthorization: {CREDENTIALS}\r\n\r\n");
        let answer = answer(&host, &head);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{target}: {answer}");
        // Wrong ones are counted, and slow down those that follow.
        drop(source(&host));
    }
}

#[test]
fn a_password_may_hold_colons() {
    let host = Host::with_stream(json!({"source_password": "a:b::c:"}));
    connect(&host, SourceOptions::new("/test", "a:b::c:"));
    let refusal = SourceClient::connect(host.sources(), SourceOptions::new("/test", "a:b")).unwrap_err();
    assert_eq!(refusal.status_line, "HTTP/1.0 401 Unauthorized");
}

#[test]
fn probes_of_libshout_and_lost_listeners_get_their_answers() {
    let host = Host::with_stream(json!({}));
    let options = "HTTP/1.1 204 No Content\r\nServer: StreamMachine\r\nConnection: close\r\n\
                   Allow: GET, PUT, SOURCE, OPTIONS\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answer(&host, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), options);
    for (head, status) in [
        ("GET /admin/!POKE HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 400 Bad Request"),
        ("GET /test HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 404 Not Found"),
        ("POST /test HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 404 Not Found"),
        ("hello\r\n\r\n", "invalid password"),
    ] {
        let answer = answer(&host, head);
        assert_eq!(answer.lines().next(), Some(status), "{head}");
    }
}

#[test]
fn a_connection_that_says_nothing_gets_a_400() {
    let host = Host::with_stream(json!({}));
    let answer = answer(&host, "");
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nno request within 2 s\n"), "{answer}");
}

#[test]
fn sources_beyond_the_limit_are_refused() {
    let host = Host::start(merge(test_stream(json!({})), json!({"limits": {"sources_max": 2}})));
    let (first, _second) = (source(&host), source(&host));
    let refusal = SourceClient::connect(host.sources(), SourceOptions::new("/test", PASSWORD)).unwrap_err();
    assert_eq!(refusal.status_line, "HTTP/1.0 403 too many sources connected");
    drop(first);
    eventually(DEADLINE, || {
        SourceClient::connect(host.sources(), SourceOptions::new("/test", PASSWORD)).ok()
    });
}

#[test]
fn tags_between_frames_cost_nothing_and_junk_the_frame_that_it_leaves_unproven() {
    let host = Host::with_stream(json!({}));
    // An ID3v2 tag of 300 bytes that holds what looks like beginnings of frames, and an ID3v1 tag.
    let mut id3v2 = b"ID3\x04\x00\x00\x00\x00\x02\x2C".to_vec();
    id3v2.extend([0xFF, 0xFB].repeat(150));
    let mut id3v1 = b"TAG".to_vec();
    id3v1.resize(128, b' ');
    let junk: Vec<u8> = (0_u32..700).flat_map(|number| [b' ', 0xFF, 0xE0, number as u8, 0xFB]).collect();
    let bytes = [
        &id3v2[..],
        &frames().bytes(0..50),
        &id3v1,
        &id3v2,
        &frames().bytes(50..100),
        &junk,
        &frames().bytes(100..150),
    ];
    let mut source = source(&host);
    source.send(&bytes.concat()).unwrap();
    source.close();
    wait_for_frame(&host, "test", 149);
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole() && report.first == Some(0), "{report:?}");
    assert_eq!(report.breaks, [Break { after: 98, next: 100 }]);
}

#[test]
fn a_reset_in_mid_frame_leaves_whole_frames() {
    let host = Host::with_stream(json!({}));
    let mut broken = source(&host);
    let bytes = frames().bytes(0..51);
    broken.send(&bytes[..bytes.len() - 60]).unwrap();
    let arrived = (bytes.len() - 60) as u64;
    eventually(DEADLINE, || (line(&host, "test").first()?["bytes"].as_u64()? + 300 > arrived).then_some(()));
    broken.reset();
    eventually(DEADLINE, || line(&host, "test").is_empty().then_some(()));
    play(&host, 50..100);
    frames().scan(&pump_all(&host)).assert_exactly(0..100);
}

#[test]
fn a_reset_behind_a_whole_frame_loses_none() {
    let host = Host::with_stream(json!({}));
    let mut broken = source(&host);
    let bytes = frames().bytes(0..50);
    broken.send(&bytes).unwrap();
    let proven = frames().position(49);
    eventually(DEADLINE, || (line(&host, "test").first()?["bytes"].as_u64()? >= proven).then_some(()));
    broken.reset();
    wait_for_frame(&host, "test", 49);
    frames().scan(&pump_all(&host)).assert_exactly(0..50);
}

#[test]
fn a_put_with_a_length_ends_after_so_many_bytes() {
    let host = Host::with_stream(json!({}));
    let audio = frames().bytes(0..50);
    let put = |length: usize| {
        let options = SourceOptions::new("/test", PASSWORD)
            .protocol(Protocol::Put { expect: true, chunked: false })
            .header("Content-Length", &length.to_string());
        connect(&host, options)
    };
    let mut source = put(audio.len());
    source.send(&[&audio[..], b"more than it said"].concat()).unwrap();
    // Its own half stays open: the server ends the connection, in order.
    assert_eq!(source.connection().read_to_end(0), b"");
    wait_for_frame(&host, "test", 49);
    // libshout says 0 and means no end.
    let mut endless = put(0);
    endless.send(&frames().bytes(50..100)).unwrap();
    endless.close();
    wait_for_frame(&host, "test", 99);
    frames().scan(&pump_all(&host)).assert_exactly(0..100);
}

#[test]
fn garbage_without_a_frame_is_cut_and_the_mount_is_free() {
    let host = Host::with_stream(json!({}));
    let mut garbage = source(&host);
    // 3,000 bytes in 3 s: no run of it looks like frames, as 0xFF is not among them.
    garbage.send(&b"\x00\x01\x02\xFE\x7F ".repeat(500)).unwrap();
    assert!(garbage.is_closed_within(DEADLINE));
    assert!(host.wait_for_log("source ended").contains("no"), "{}", host.logs());
    eventually(DEADLINE, || line(&host, "test").is_empty().then_some(()));
    play(&host, 0..50);
    frames().scan(&pump_all(&host)).assert_exactly(0..50);
}

#[test]
fn a_silent_source_is_cut() {
    let host = Host::start(merge(test_stream(json!({})), json!({"source_timeout": 1})));
    let mut silent = source(&host);
    silent.send(&frames().bytes(0..50)).unwrap();
    assert!(silent.is_closed_within(DEADLINE));
    eventually(DEADLINE, || line(&host, "test").is_empty().then_some(()));
    wait_for_frame(&host, "test", 49);
    frames().scan(&pump_all(&host)).assert_exactly(0..50);
    // A source that only connects is cut as well.
    assert!(source(&host).is_closed_within(Duration::from_secs(15)));
}
