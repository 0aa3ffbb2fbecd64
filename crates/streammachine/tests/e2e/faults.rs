//! What clients do wrong, and what must hold then: an answer or the end of the connection, a server that goes on, and
//! healthy listeners who miss nothing.

use serde_json::json;
use testkit::audio::Scanner;
use testkit::connection::Connection;
use testkit::listener::{ListenerClient, Request, Response, request};
use testkit::proc;
use testkit::source::PacedSource;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, count, frames, listen, merge, on_air, over_kept_connection, page, source, status, test_stream,
    wait_for_sources,
};

/// A server on air with a listener who must miss nothing.
struct Station {
    host: Host,
    source: PacedSource,
    listener: Response,
}

impl Station {
    #[track_caller]
    fn start(stream: serde_json::Value) -> Self {
        let host = Host::with_stream(merge(json!({"burst": 1}), stream));
        let source = on_air(&host, 2);
        let listener = listen(&host, "/test");
        Station { host, source, listener }
    }

    /// The source is still the first one, and the listener has missed nothing up to now.
    #[track_caller]
    fn check(mut self) {
        wait_for_sources(&self.host, "test", 1);
        let target = self.source.next_frame() + 20;
        let mut scanner = Scanner::new(frames());
        let report = eventually(DEADLINE, || {
            scanner.push(&self.listener.body.read_exact(2000));
            Some(scanner.report()).filter(|report| report.last >= Some(target))
        });
        assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    }
}

/// Requests that are no requests, and the statuses of their answers; none: the connection only ends.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let head = |middle: &str| format!("GET /test HTTP/1.1\r\nHost: a\r\n{middle}\r\n").into_bytes();
    vec![
        (b"\r\n\r\n".to_vec(), "400"),
        (b"hello\r\n\r\n".to_vec(), "400"),
        (b"get /test HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"GET /test\r\n\r\n".to_vec(), "400"),
        (b"GET /test HTTP/2.0\r\n\r\n".to_vec(), "400"),
        (b"GET  HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"GET /te\0st HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"GET /te\rst HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "400"),
        (b"VERYLONGMETHODNAMES /test HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".to_vec(), "400"),
        (b"\x00\x00\x00\x00".to_vec(), "400"),
        (vec![0xFF; 300], "400"),
        (head("X: a\r\n folded: b\r\n"), "400"),
        (head("X : a\r\n"), "400"),
        (head("X: a\rb\r\n"), "400"),
        (head("X: a\0b\r\n"), "400"),
        (head(": a\r\n"), "400"),
        (head("Content-Length: 1\r\nContent-Length: 2\r\n"), "400"),
        (head("Content-Length: -1\r\n"), "400"),
        (head("Content-Length: 99999999999999999999\r\n"), "400"),
        (head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"),
        (head("Transfer-Encoding: gzip, chunked\r\n"), "400"),
        (head(&format!("X: {}\r\n", "x".repeat(16 * 1024))), "431"),
        (head(&"X: y\r\n".repeat(100)), "431"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(8 * 1024)).into_bytes(), "414"),
        (vec![b'A'; 100_000], "400"),
        ([b"GET /".to_vec(), vec![b'A'; 100_000]].concat(), "414"),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(), "400"),
        (b"GET /%ff%fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(), "404"),
        (b"GET /test?x=%0a HTTP/1.0\r\n\r\n".to_vec(), "200"),
    ]
}

#[test]
fn malformed_requests_are_answered_and_harm_nobody() {
    let station = Station::start(json!({}));
    for (bytes, expected) in malformed() {
        let shown = bytes[..bytes.len().min(80)].escape_ascii().to_string();
        let mut connection = Connection::open(station.host.listeners());
        // The server may answer and end before it has read everything.
        connection.send(&bytes).ok();
        let head = connection.read_head().unwrap_or_else(|| panic!("no answer to {shown}"));
        assert_eq!(head.split(' ').nth(1), Some(expected), "{shown}: {head}");
    }
    assert_eq!(page(&station.host, "/healthz").0, 200);
    station.check();
}

#[test]
fn malformed_requests_of_sources_are_answered_and_harm_nobody() {
    let station = Station::start(json!({}));
    for (bytes, expected) in malformed() {
        // What is well formed is for listeners. All that is not is a 400: encoders know no other. A line that is no
        // request is a password of SHOUTcast, and TLS understands no answer.
        let is_well_formed = bytes.starts_with(b"GET /%") || expected == "200";
        let start = match &bytes[..] {
            b"hello\r\n\r\n" => "invalid password\r\n",
            [0x16, ..] => "",
            _ if is_well_formed => "HTTP/1.0 404 ",
            _ => "HTTP/1.0 400 ",
        };
        let shown = bytes[..bytes.len().min(80)].escape_ascii().to_string();
        let answer = request(station.host.sources(), &bytes);
        let right = if start.is_empty() { answer.is_empty() } else { answer.starts_with(start.as_bytes()) };
        assert!(right, "{shown}: {}", answer.escape_ascii());
    }
    station.check();
}

#[test]
fn heads_at_their_limits_are_taken() {
    let host = Host::with_stream(json!({}));
    // 16 KiB with the empty line; 8 KiB of request line without its end; 100 headers.
    let start = "GET /healthz HTTP/1.0\r\nX: ";
    let longest = format!("{start}{}\r\n\r\n", "x".repeat(16 * 1024 - start.len() - 4));
    let line = format!("GET /healthz?{} HTTP/1.0\r\n\r\n", "x".repeat(8 * 1024 - 22));
    let many = format!("GET /healthz HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!((longest.len(), line.len()), (16 * 1024, 8 * 1024 + 4));
    for head in [&longest, &line, &many] {
        let answer = request(host.listeners(), head.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"), "{}", answer.escape_ascii());
    }
    for head in
        [longest.replacen("x", "xx", 1), line.replacen("x", "xx", 1), many.replacen("X", "Z: z\r\nX", 1)]
    {
        let answer = request(host.listeners(), head.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.0 4"), "{}", answer.escape_ascii());
    }
}

#[test]
fn queries_have_a_bound() {
    let host = Host::with_stream(json!({}));
    let query = |pairs: usize| vec!["a=b"; pairs].join("&");
    listen(&host, &format!("/test?{}", query(64)));
    assert_eq!(page(&host, &format!("/test?{}", query(65))).0, 400);
    listen(&host, "/test?offset[a][b]=1&offset[a]=2&__proto__=1&constructor=2");
    listen(&host, "/test?&&&=&=a&%&%zz&offset=%31");
}

#[test]
fn a_slow_head_is_given_up() {
    let station = Station::start(json!({}));
    let mut slow = Connection::open(station.host.listeners());
    slow.send(b"GET /test HTTP/1.1\r\nX: ").unwrap();
    let mut silent = Connection::open(station.host.listeners());
    let answer = slow.read_to_end(1000);
    assert!(answer.starts_with(b"HTTP/1.0 408 Request Timeout\r\n"), "{}", answer.escape_ascii());
    // Who never spoke is not spoken to.
    assert_eq!(silent.read_to_end(0), b"");
    station.check();
}

#[test]
fn a_listener_who_never_reads_is_cut_and_the_others_miss_nothing() {
    let tight = json!({"streams": {"tight": {"source": "test", "max_buffer": 20_000}}});
    let host = Host::start(merge(test_stream(json!({"burst": 1})), tight));
    let (first, next) = on_air(&host, 2).stop().unwrap();
    let mut healthy = listen(&host, "/test");
    let stalled = Request { receive_bytes: Some(2048), ..Request::new("GET", "/tight") };
    let stalled = ListenerClient::send(host.listeners(), &stalled);
    assert_eq!(status(&host, "tight")["listeners"], 1);
    // More than the kernel holds for it comes at once, so it is behind without waiting.
    first.close();
    let mut second = source(&host);
    second.send(&frames().bytes(next..next + count(120))).unwrap();
    second.close();
    host.wait_for_log("listeners too slow for the stream were disconnected");
    eventually(DEADLINE, || (status(&host, "tight")["listeners"] == 0).then_some(()));
    drop(stalled);
    let last = next + count(120) - 1;
    let heard = healthy.body.read_until(DEADLINE, |bytes| {
        let tail = &bytes[bytes.len().saturating_sub(1000)..];
        frames().scan(tail).last == Some(last)
    });
    let report = frames().scan(&heard);
    assert!(report.is_continuous() && report.is_whole(), "{report:?}");
}

#[test]
fn who_never_reads_is_cut_over_a_kept_connection_too() {
    let tight = json!({"streams": {"tight": {"source": "test", "max_buffer": 20_000}}});
    let host = Host::start(merge(test_stream(json!({"burst": 1})), tight));
    let (mut source, next) = on_air(&host, 2).stop().unwrap();
    let mut stalled = Connection::open_small(host.listeners(), 2048);
    stalled.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /tight HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually(DEADLINE, || (status(&host, "tight")["listeners"] == 1).then_some(()));
    // Much more than the kernel holds for it, so that it is behind without waiting.
    source.send(&frames().bytes(next..next + count(500))).unwrap();
    host.wait_for_log("listeners too slow for the stream were disconnected");
    eventually(DEADLINE, || (status(&host, "tight")["listeners"] == 0).then_some(()));
}

#[test]
fn a_burst_larger_than_the_buffer_that_is_allowed_is_given_whole() {
    let other = json!({"streams": {"other": {"source": "test"}}});
    let host = Host::start(merge(test_stream(json!({"burst": 1000, "max_buffer": 20_000})), other));
    let source = on_air(&host, 500);
    let mut slow = listen(&host, "/test");
    // It stays blocked while others are given their audio for several ticks.
    let mut other = listen(&host, "/other?offset=1");
    other.body.read_exact(12_000);
    let bytes = frames().position(count(500)) as usize;
    frames().scan(&slow.body.read_exact(bytes)).assert_exactly(0..count(500));
    drop(source);
}

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let station = Station::start(json!({}));
    let descriptors = proc::descriptors(station.host.pid()).unwrap();
    for number in 0..200 {
        let mut connection = Connection::open(station.host.listeners());
        match number % 4 {
            0 => {}
            1 => connection.send(b"GET /te").unwrap(),
            2 => connection.send(b"GET /test HTTP/1.1\r\nHost: a\r\n\r\n").unwrap(),
            _ => {
                connection.send(b"GET /test HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                connection.read_head();
            }
        }
        connection.reset();
    }
    eventually(DEADLINE, || (status(&station.host, "test")["listeners"] == 1).then_some(()));
    eventually(DEADLINE, || {
        (proc::descriptors(station.host.pid()).unwrap() <= descriptors + 3).then_some(())
    });
    assert!(station.host.logs().lines().count() < 50, "{}", station.host.logs());
    station.check();
}

#[test]
fn sources_that_break_off_anywhere_harm_nobody() {
    let station = Station::start(json!({}));
    let head =
        testkit::source::SourceOptions::new("/test", crate::harness::PASSWORD).encode(station.host.sources());
    let whole = [head.as_bytes(), &frames().bytes(0..10)].concat();
    for end in (0..whole.len()).step_by(37) {
        let mut connection = Connection::open(station.host.sources());
        connection.send(&whole[..end]).unwrap();
        connection.reset();
    }
    for chunk in ["zz\r\n", "ffffffffffffffffff\r\n", "-1\r\n", "5\r\nabcdeX\r\n", "\r\n\r\n"] {
        let head = head.replace("SOURCE", "PUT").replace("HTTP/1.0", "HTTP/1.1");
        let head = head.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = request(station.host.sources(), [head.as_bytes(), chunk.as_bytes()].concat().as_slice());
        assert_eq!(answer, b"HTTP/1.0 200 OK\r\n\r\n", "{chunk:?}");
    }
    station.check();
}

#[test]
fn bodies_and_pipelined_requests_are_no_way_around_the_limits() {
    let station = Station::start(json!({}));
    let address = station.host.listeners();
    // Two requests at once: each gets its answer, in order.
    let two = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = String::from_utf8(request(address, two)).unwrap();
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404"]);
    // A stream ends the connection's requests: what follows is not read as one.
    let mut connection = Connection::open(address);
    connection
        .send(b"GET /test HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    connection.read_head().unwrap();
    let report = frames().scan(&connection.read_exact(16_000));
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    station.check();
}

#[test]
fn every_head_of_a_kept_connection_leaves_no_doubt_where_its_request_ends() {
    let host = Host::with_stream(json!({}));
    let kept = |header: &str| {
        let second = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        over_kept_connection(host.listeners(), &second)
    };
    for header in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Transfer-Encoding: gzip",
        "X : a",
        "X: a\r\n folded: b",
    ] {
        let (head, _connection) = kept(header);
        assert_eq!(head.split(' ').nth(1), Some("400"), "{header:?}: {head}");
    }
    // Both lengths at once: no other request follows (RFC 9112, 6.1).
    let (head, mut connection) = kept("Content-Length: 5\r\nTransfer-Encoding: chunked");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    connection.send(b"0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").ok();
    assert_eq!(connection.read_to_end(100), b"ok\n");
}
