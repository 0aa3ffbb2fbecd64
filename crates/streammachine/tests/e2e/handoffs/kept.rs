//! HTTP connections that are kept over a handoff: what waits on them is answered by the new process, what is being
//! answered is answered to its end, and the next request comes over the same connection.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::audio::Mp3Frames;
use testkit::connection::Connection;
use testkit::source::SourceOptions;
use testkit::wait::DEADLINE;

use super::{Relay, sources};
use crate::harness::{
    HASH, Host, PASSWORD, connect, count, frames, kept_connection, over_kept_connection, play, status,
    wait_for_buffer,
};
use crate::hls_parts::fragment;
use crate::playlists::media;
use crate::programs::aac_frames;

/// A connection over which one request follows the other.
struct Kept(Connection);

impl Kept {
    #[track_caller]
    fn open(address: SocketAddr) -> Self {
        Kept(kept_connection(address))
    }

    fn send(&mut self, text: &str) {
        self.0.send(text.as_bytes()).expect("a kept connection takes a request");
    }

    fn ask(&mut self, target: &str) {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    /// Status, head in lower case, and body of the next answer.
    #[track_caller]
    fn read(&mut self) -> (u16, String, Vec<u8>) {
        let head = self.0.read_head().expect("an answer has a head").to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        let length = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
        let body = self.0.read_exact(length.and_then(|it| it.parse().ok()).expect("a length"));
        (status, head, body)
    }

    #[track_caller]
    fn get(&mut self, target: &str) -> (u16, Vec<u8>) {
        self.ask(target);
        let (status, _, body) = self.read();
        (status, body)
    }
}

#[test]
fn a_connection_between_two_requests_is_kept() {
    let relay = Relay::new(json!({}));
    let mut host = relay.start();
    play(&host, 0..count(10));
    let mut idle = Kept::open(host.listeners());
    let mut begun = Kept::open(host.listeners());
    begun.send("GET /api/streams/te");
    host = relay.hand_over(host);
    host = relay.hand_over(host);
    assert_eq!(idle.get("/healthz"), (200, b"ok\n".to_vec()));
    begun.send("st HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = begun.read();
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["key"], "test");
    assert_eq!(begun.read().2, b"ok\n");
    drop(host);
}

#[test]
fn what_is_held_comes_from_the_new_process() {
    const PLAYLIST: &str = "/aac.m3u8?container=fmp4";
    let relay = Relay::new(json!({}));
    let mut host = relay.start();
    let mut source = connect(&host, SourceOptions::new("/aac", PASSWORD));
    source.send(&aac_frames().bytes(0..1_000)).unwrap();
    wait_for_buffer(&host, "aac", 20.0);
    let before = media(&host, PLAYLIST);
    let hint = before.hint.clone().expect("a part is hinted at");
    let (segment, part) = before.newest_part();
    let mut reload = Kept::open(host.listeners());
    reload.ask(&format!("{PLAYLIST}&_HLS_msn={segment}&_HLS_part={}", part + 1));
    let mut held = Kept::open(host.listeners());
    held.ask(&hint);
    host = relay.hand_over(host);
    source.send(&aac_frames().bytes(1_000..1_100)).unwrap();
    let (status, _, playlist) = reload.read();
    let playlist = String::from_utf8(playlist).unwrap();
    assert!(status == 200 && playlist.contains(&hint), "{status}: it waited for the part\n{playlist}");
    let (status, _, data) = held.read();
    assert_eq!(status, 200);
    let audio = fragment(&data).2;
    let all: Vec<u8> = (0..1_100).flat_map(|nth| aac_frames().bytes(nth..nth + 1)[7..].to_vec()).collect();
    assert!(!audio.is_empty() && all.windows(audio.len()).any(|window| window == audio));
    assert_eq!(held.get(&hint), (200, data));
    let after = media(&host, PLAYLIST);
    after.check_after(&before);
}

#[test]
fn audio_on_a_kept_connection_loses_nothing() {
    let relay = Relay::new(json!({}));
    let mut host = relay.start();
    let [source, aac] = sources(&host);
    let request = "GET /test HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*;q=0.8\r\n\r\n";
    let (head, mut body) = over_kept_connection(host.listeners(), request);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let mut heard = body.read_exact(8_000);
    for _ in 0..3 {
        host = relay.hand_over(host);
        heard.extend(body.read_exact(8_000));
    }
    let report = frames().scan(&heard);
    assert!(report.is_continuous() && report.leading_bytes == 0 && report.frames > 100, "{report:?}");
    assert_eq!(status(&host, "test")["listeners"], 1);
    source.stop().unwrap();
    aac.stop().unwrap();
}

#[test]
fn a_change_asked_for_meanwhile_is_made_by_the_new_process() {
    let relay = Relay { patience: DEADLINE, ..Relay::new(json!({})) };
    let host = relay.start();
    play(&host, 0..count(10));
    let [mut whole, mut pieces, mut chunked, mut other] = [(); 4].map(|()| Kept::open(host.listeners()));
    let mut new = relay.take_over_slowly();
    let head =
        "POST /api/streams/test/programs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let program = |id: &str| json!({"id": id, "name": "Jóga"}).to_string();
    let body = program("whole");
    let next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    whole.send(&format!("{head}Content-Length: {}\r\n\r\n{body}{next}", body.len()));
    let body = program("pieces");
    let (first, second) = body.split_at(7);
    pieces.send(&format!("{head}Content-Length: {}\r\n\r\n{first}", body.len()));
    let body = program("chunked");
    chunked.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    // What changes nothing is answered meanwhile.
    assert_eq!(other.get("/healthz").0, 200);
    new.signal(Signal::CONT);
    assert_eq!(whole.read().0, 201);
    assert_eq!(whole.read().2, b"ok\n");
    pieces.send(second);
    assert_eq!(pieces.read().0, 201);
    // What was taken out of its chunks has to come again.
    let (status, head, _) = chunked.read();
    assert!(status == 201 || (status == 503 && head.contains("\r\nretry-after: 0\r\n")), "{head}");
    let (_, programs) = whole.get("/test/programs.json");
    let programs: Value = serde_json::from_slice(&programs).unwrap();
    let ids: Vec<&str> = programs.as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
    for (id, made) in [("whole", 1), ("pieces", 1), ("chunked", usize::from(status == 201))] {
        assert_eq!(ids.iter().filter(|it| **it == id).count(), made, "{id}: {ids:?}");
    }
    drop((host, new));
}

#[test]
fn an_answer_is_sent_to_its_end_and_the_requests_behind_it_are_answered_too() {
    let relay = Relay::new(json!({"hls": {"segment_duration": 20}}));
    let mut host = relay.start();
    let large = Mp3Frames::new(320, 44_100, 2);
    let mut source = connect(&host, SourceOptions::new("/test", PASSWORD));
    source.send(&large.bytes(0..4_000)).unwrap();
    wait_for_buffer(&host, "test", 100.0);
    let uri = media(&host, "/test.m3u8").segments[1].uri.clone();
    let (_, whole) = Kept::open(host.listeners()).get(&uri);
    // Together they are more than sockets take: some are answered by the one process, some by the other.
    const TIMES: usize = 12;
    assert!(whole.len() * TIMES > 8_000_000, "{}", whole.len());
    let mut slow = Kept(Connection::open_small(host.listeners(), 4_096));
    (0..TIMES).for_each(|_| slow.ask(&uri));
    let mut answers = vec![slow.read()];
    let new = relay.start();
    assert!(host.process().is_running(), "it has an answer to give");
    answers.extend((1..TIMES).map(|_| slow.read()));
    for (status, head, body) in answers {
        assert!(status == 200 && !head.contains("\r\nconnection: close"), "{head}");
        assert!(body == whole);
    }
    let end = host.process().wait(DEADLINE);
    assert!(end.success(), "{end}\n{}", host.logs());
    assert_eq!(slow.get("/healthz").0, 200);
    drop(new);
}

#[test]
fn a_kept_connection_does_not_get_the_api_of_another_port() {
    let relay = Relay::new(json!({"api_port": 0}));
    let mut host = relay.start();
    let mut visitor = Kept::open(host.listeners());
    let mut user = Kept::open(host.api());
    for _ in 0..2 {
        assert_eq!(visitor.get("/api/streams").0, 404);
        assert_eq!(user.get("/api/streams").0, 200);
        assert_eq!(user.get("/test").0, 404);
        host = relay.hand_over(host);
    }
}

#[test]
fn wrong_guesses_at_a_password_hold_up_no_handoff() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let relay = Relay::new(users);
    let mut host = relay.start();
    let request =
        "GET /admin/stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YWRtaW46d3Jvbmc=\r\n\r\n";
    // The more there were, the later they are answered: the last ones after seconds.
    let guessing = |host: &Host| {
        let mut guess = Kept::open(host.listeners());
        guess.send(request);
        guess
    };
    let mut guesses: Vec<Kept> = (0..11).map(|_| guessing(&host)).collect();
    guesses.iter_mut().for_each(|guess| assert_eq!(guess.read().0, 401));
    let mut late: Vec<Kept> = (0..7).map(|_| guessing(&host)).collect();
    host = relay.hand_over(host);
    late.iter_mut().for_each(|guess| assert_eq!(guess.read().0, 401));
    drop(host);
}
