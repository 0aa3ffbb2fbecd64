//! What listeners hear: the source's frames, whole, in order, none lost or doubled, whatever happens around them.
//!
//! What they are told beside the audio is in `answers`, titles are in `titles`.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::audio::AdtsFrames;
use testkit::listener::{ListenerClient, Request};
use testkit::source::SourceOptions;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    FRAME_US, Host, PASSWORD, connect, content_start_us, count, frame_start_us, frames, hear,
    kept_connection, listen, listen_with, on_air, over_kept_connection, page, play, pump_all, source, status,
    wait_for_sources,
};

/// Bytes of `seconds` of audio, about.
fn bytes(seconds: usize) -> usize {
    seconds * 8_000
}

#[test]
fn burst_and_live_join_without_loss_or_doubling() {
    let host = Host::with_stream(json!({"burst": 4}));
    let _source = on_air(&host, 8);
    let mut listener = listen(&host, "/test");
    let behind: f64 = listener.header("X-Content-Behind").unwrap().parse().unwrap();
    assert!((3.97..=4.0).contains(&behind), "{behind}");
    let start = content_start_us(&listener);
    let report = hear(&mut listener.body, bytes(7));
    assert!(report.frames > 200, "{report:?}");
    // The first frame is the one that was promised.
    let origin = content_start_us(&listen(&host, "/test?pump=1000"));
    let error_us = start - frame_start_us(origin, report.first.unwrap());
    assert!(error_us.abs() < FRAME_US, "{error_us} µs");
}

#[test]
fn many_listeners_hear_the_same() {
    let host = Host::with_stream(json!({"burst": 2}));
    let _source = on_air(&host, 4);
    let mut listeners: Vec<_> = (0..40).map(|_| listen(&host, "/test")).collect();
    assert_eq!(status(&host, "test")["listeners"], 40);
    for listener in &mut listeners {
        hear(&mut listener.body, bytes(4));
    }
    drop(listeners);
    eventually(DEADLINE, || (status(&host, "test")["listeners"] == 0).then_some(()));
}

#[test]
fn listeners_at_an_offset_keep_their_distance() {
    let host = Host::with_stream(json!({"burst": 1}));
    let source = on_air(&host, 30);
    let mut listeners = [("5", 5.0), ("20.5", 20.5)].map(|(offset, behind)| {
        let listener = listen(&host, &format!("/test?offset={offset}"));
        let told: f64 = listener.header("X-Content-Behind").unwrap().parse().unwrap();
        assert!((told - behind).abs() < 0.03, "offset {offset} is {told} behind");
        (listener, behind)
    });
    for (listener, behind) in &mut listeners {
        let report = hear(&mut listener.body, bytes(3));
        // What has come of the burst's second and of the pace behind it cannot be nearer to live than asked.
        let distance = frames().duration(source.next_frame() - report.last.unwrap()).as_secs_f64();
        assert!(distance > *behind - 1.1, "{distance} of {behind} s behind");
    }
}

#[test]
fn the_past_is_heard_up_to_the_edge_when_the_source_is_gone() {
    let host = Host::with_stream(json!({"burst": 1}));
    play(&host, 0..count(20));
    let mut listener = listen(&host, "/test?offset=3");
    let heard = listener.body.read_until(DEADLINE, |bytes| frames().scan(bytes).last == Some(count(20) - 1));
    let report = frames().scan(&heard);
    assert!(report.is_whole() && report.is_continuous(), "{report:?}");
    assert_eq!(report.frames, u64::from(frames().count_in(Duration::from_secs(3))));
}

#[test]
fn a_listener_who_comes_first_waits_for_the_source() {
    let host = Host::with_stream(json!({}));
    let mut early = listen(&host, "/test");
    assert_eq!(early.header("Content-Type"), Some("audio/mpeg"));
    assert_eq!(early.header("X-Content-Start"), None);
    let mut offset = listen(&host, "/test?offset=60");
    play(&host, 0..200);
    for listener in [&mut early, &mut offset] {
        let heard = listener.body.read_exact(frames().position(200) as usize);
        frames().scan(&heard).assert_exactly(0..200);
    }
}

#[test]
fn listeners_stay_while_the_source_reconnects() {
    let host = Host::with_stream(json!({"burst": 1}));
    let (first, next) = on_air(&host, 2).stop().unwrap();
    let mut listener = listen(&host, "/test");
    first.close();
    wait_for_sources(&host, "test", 0);
    let mut again = source(&host);
    again.send(&frames().bytes(next..next + 100)).unwrap();
    again.close();
    let heard = listener.body.read_until(DEADLINE, |bytes| frames().scan(bytes).last == Some(next + 99));
    let report = frames().scan(&heard);
    assert!(report.is_continuous() && report.is_whole(), "{report:?}");
}

#[test]
fn a_half_closed_listener_goes_on() {
    let host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 2);
    let mut listener = listen(&host, "/test");
    listener.body.half_close();
    hear(&mut listener.body, bytes(3));
}

#[test]
fn a_kept_connection_that_is_half_closed_ends_in_audio_too() {
    let mut host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 2);
    let mut connection = kept_connection(host.listeners());
    // The server reads the request and the end of what it is sent at once.
    host.signal(Signal::STOP);
    let request = b"GET /test HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(request).expect("a kept connection takes a request");
    connection.half_close();
    host.signal(Signal::CONT);
    assert!(connection.read_head().expect("an answer has a head").starts_with("HTTP/1.1 200 OK\r\n"));
    hear(&mut connection, bytes(3));
}

#[test]
fn a_kept_connection_ends_in_the_same_audio() {
    let host = Host::with_stream(json!({"burst": 2}));
    let _source = on_air(&host, 4);
    let second = "GET /test HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (head, mut body) = over_kept_connection(host.listeners(), second);
    // As on a new one: the audio is no chunks, and ends with the connection.
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(status(&host, "test")["listeners"], 1);
    hear(&mut body, bytes(4));
    drop(body);
    eventually(DEADLINE, || (status(&host, "test")["listeners"] == 0).then_some(()));
}

#[test]
fn aac_is_heard_as_it_was_sent() {
    let host = Host::with_stream(json!({"format": "aac"}));
    let adts = AdtsFrames::new(48, 44_100, 2);
    let options = SourceOptions::new("/test", PASSWORD).header("Content-Type", "audio/aac");
    let mut source = connect(&host, options);
    source.send(&adts.bytes(0..200)).unwrap();
    source.close();
    eventually(DEADLINE, || (adts.scan(&pump_all(&host)).last == Some(199)).then_some(()));
    adts.scan(&pump_all(&host)).assert_exactly(0..200);
    let listener = listen(&host, "/test");
    assert_eq!(listener.header("Content-Type"), Some("audio/aacp"));
    assert_eq!(status(&host, "test")["vitals"]["streamKey"], "aac-44100-2-2");
}

#[test]
fn names_with_what_players_add_lead_to_the_stream() {
    let host = Host::with_stream(json!({"root_route": true, "burst": 2}));
    play(&host, 0..count(5));
    let expected = listen(&host, "/test?pump=2").read_body();
    for target in [
        "/test",
        "/test/",
        "/test;",
        "/test/;",
        "/test/;stream.nsv",
        "/test?",
        "/test?x=y",
        "/",
        "/;",
        "/;stream.nsv",
        "/%74est",
        "http://radio.example/test",
    ] {
        let mut listener = listen(&host, target);
        assert!(listener.body.read_exact(expected.len()) == expected, "{target}");
    }
    for target in ["/test2", "/tes", "/TEST", "/test/more", "//test", "/test/../test", "/..;/test"] {
        assert_eq!(page(&host, target), (404, "Invalid stream.\n".to_owned()), "{target}");
    }
}

#[test]
fn without_a_root_stream_the_root_is_nothing() {
    let host = Host::with_stream(json!({}));
    for target in ["/", "/;", "/;stream.nsv", "/listen.pls", "/listen.m3u"] {
        assert_eq!(page(&host, target), (404, "Invalid stream.\n".to_owned()), "{target}");
    }
    assert_eq!(page(&host, "/sg/group.m3u8"), (404, "Invalid stream group.\n".to_owned()));
}

#[test]
fn old_and_odd_players_get_the_stream() {
    let host = Host::with_stream(json!({"burst": 2}));
    play(&host, 0..count(5));
    let expected = listen(&host, "/test?pump=2").read_body();
    let mut range = listen_with(&host, "/test", &[("Range", "bytes=0-1")]);
    assert_eq!((range.header("Accept-Ranges"), range.header("Content-Range")), (Some("none"), None));
    assert!(range.body.read_exact(expected.len()) == expected);

    let mut plain = listen_with(&host, "/test", &[("Icy-MetaData", "0")]);
    assert_eq!(plain.header("icy-metaint"), None);
    assert!(plain.body.read_exact(expected.len()) == expected);

    let request = Request { version: "HTTP/1.0", ..Request::new("GET", "/test") };
    let mut old = ListenerClient::send(host.listeners(), &request);
    assert_eq!((old.version.as_str(), old.status), ("HTTP/1.0", 200));
    assert!(old.body.read_exact(expected.len()) == expected);

    let mut nameless = testkit::connection::Connection::open(host.listeners());
    nameless.send(b"GET /test HTTP/1.0\n\n").unwrap();
    assert!(nameless.read_head().unwrap().starts_with("HTTP/1.0 200 OK\r\n"));
    assert!(nameless.read_exact(expected.len()) == expected);
}
