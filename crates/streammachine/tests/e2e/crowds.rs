//! Too many, too slow, too odd: what must hold when connections are many and say nothing, when descriptors run out, and
//! whatever bytes come.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use testkit::connection::Connection;
use testkit::listener::ListenerClient;
use testkit::server::{Server, ServerOptions};
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    BINARY, Host, PASSWORD, count, frames, hear, listen, merge, on_air, page, source, test_stream,
};

#[test]
fn silent_connections_keep_nobody_out() {
    let host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 2);
    let mut listener = listen(&host, "/test");
    // More than the heads that may be read at once.
    let silent: Vec<Connection> = (0..600).map(|_| Connection::open(host.listeners())).collect();
    let mut late = listen(&host, "/test");
    hear(&mut late.body, 8_000);
    let second = source(&host);
    assert_eq!(page(&host, "/healthz").0, 200);
    hear(&mut listener.body, 16_000);
    drop((silent, second));
}

#[test]
fn listeners_who_use_up_the_descriptors_leave_some_for_sources_and_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let few = directory.path().join("few-descriptors");
    fs::write(&few, format!("#!/bin/sh\nulimit -n 256\nexec '{BINARY}' \"$@\"\n")).unwrap();
    fs::set_permissions(&few, fs::Permissions::from_mode(0o755)).unwrap();
    let config = merge(json!({"chunk_duration": 0.1}), test_stream(json!({"burst": 1}))).to_string();
    let server = Server::start(&ServerOptions::new(&few, config));

    let options = SourceOptions::new("/test", PASSWORD);
    let mut source = SourceClient::connect(server.sources(), options.clone()).unwrap();
    source.send(&frames().bytes(0..count(3))).unwrap();
    let _source = source.send_paced(frames(), count(3));
    let answers: Vec<_> = (0..300).map(|_| ListenerClient::get(server.listeners(), "/test", &[])).collect();
    let (mut seated, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((seated.len(), refused.len()), (64, 236));
    assert!(refused.iter().all(|answer| answer.status == 503));
    drop(refused);
    SourceClient::connect(server.sources(), options).unwrap();
    assert_eq!(ListenerClient::get(server.api(), "/api/streams/test", &[]).status, 200);
    for listener in &mut seated {
        let report = frames().scan(&listener.body.read_exact(16_000));
        assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    }
    drop(seated);
    eventually(DEADLINE, || {
        (ListenerClient::get(server.listeners(), "/test", &[]).status == 200).then_some(())
    });
    assert!(!server.logs().contains("panicked"), "{}", server.logs());
}

/// Requests as they are sent, for either port, to be damaged.
const REQUESTS: [&str; 10] = [
    "GET /test?start=-5&end=09:00&tz=Europe/Berlin&offset=3&pump=4 HTTP/1.1\r\nHost: a\r\nIcy-MetaData: 1\r\n\r\n",
    "GET /test.xspf?a=%C3%A9 HTTP/1.1\r\nHost: [::1]:80\r\nX-Forwarded-For: 1.2.3.4\r\nRange: bytes=0-\r\n\r\n",
    "SOURCE /test ICE/1.0\r\nAuthorization: Basic c291cmNlOnRlc3Rpbmc=\r\nContent-Type: audio/mpeg\r\n\r\n",
    "PUT /test HTTP/1.1\r\nAuthorization: Basic c291cmNlOnRlc3Rpbmc=\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    "GET /admin/metadata?mode=updinfo&mount=/test&song=%E9&charset=latin1 HTTP/1.0\r\nAuthorization: Basic Og==\r\n\r\n",
    "GET /admin/listclients?mount=/test&id=1&destination=%2Fx HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /admin.cgi?sid=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nmode=updinfo&pass=x&song=y",
    "GET /admin/buildm3u?mount=/test&username=%0d&password=%FF HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "STATS /test HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic Og==\r\n\r\n",
    "POST /api/streams/test/metadata HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n{\"title\":\"x\"}",
];

/// A change of some bytes at a place: how many go, and what comes instead.
fn damage() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    (any::<Index>(), 0_usize..8, proptest::collection::vec(any::<u8>(), 0..8))
}

#[test]
fn no_bytes_stop_the_server() {
    let host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 2);
    let mut listener = listen(&host, "/test");
    let requests = (any::<Index>(), proptest::collection::vec(damage(), 0..4), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&requests, |(request, changes, is_source)| {
        let mut bytes = request.get(&REQUESTS).as_bytes().to_vec();
        for (place, gone, new) in changes {
            let place = place.index(bytes.len() + 1);
            let end = (place + gone).min(bytes.len());
            bytes.splice(place..end, new);
        }
        let address = if is_source { host.sources() } else { host.listeners() };
        let mut connection = Connection::open(address);
        connection.send(&bytes).expect("a new connection takes a request");
        connection.half_close();
        // What is answered is for others to say; some wait for more and are left alone.
        connection.is_closed_within(std::time::Duration::from_millis(2));
        prop_assert!(!host.logs().contains("panicked"), "{}", host.logs());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(page(&host, "/healthz").0, 200);
    hear(&mut listener.body, 16_000);
}
