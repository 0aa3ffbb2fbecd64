//! Handoffs: a new process takes over sockets, sources, rewind buffers and listeners, and nobody hears it; whatever happens
//! to either process at any step, there is one that goes on.

mod fallbacks;
mod kept;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::audio::{Codec, Frames};
use testkit::connection::Connection;
use testkit::listener::Response;
use testkit::process::Process;
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, Protocol, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    BINARY, Host, PASSWORD, connect, count, frames, line, listen, listen_with, merge, page, pump_all,
    set_title, source, status, wait_for_buffer, wait_for_sources,
};
use crate::programs::{TITLE, aac_frames};

/// Patience of the processes with each other in these tests.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A server, and those that take over from it.
struct Relay {
    directory: TempDir,
    settings: Value,
    patience: Duration,
}

impl Relay {
    fn new(settings: Value) -> Self {
        let directory = TempDir::new().expect("a directory");
        let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 2, "meta_interval": 1000, "seconds": 600});
        let ours = json!({
            "chunk_duration": 0.1,
            "handoff": {"socket": directory.path().join("handoff")},
            "hls": {"segment_duration": 2},
            "streams": {"test": stream("mp3"), "aac": stream("aac")},
        });
        Relay { directory, settings: merge(ours, settings), patience: PATIENCE }
    }

    fn options(&self, fault: Option<&str>) -> ServerOptions {
        let patience = ("STREAMMACHINE_PATIENCE_MS".to_owned(), self.patience.as_millis().to_string());
        let fault = fault.map(|fault| ("STREAMMACHINE_FAULT".to_owned(), fault.to_owned()));
        ServerOptions {
            environment: fault.into_iter().chain([patience]).collect(),
            ..ServerOptions::new(BINARY, self.settings.to_string())
        }
    }

    #[track_caller]
    fn start(&self) -> Host {
        Host::from(Server::start(&self.options(None)))
    }

    #[track_caller]
    fn start_with(&self, fault: &str) -> Host {
        Host::from(Server::start(&self.options(Some(fault))))
    }

    /// A new process that may fail to take over.
    fn try_take_over(&self, fault: Option<&str>) -> Process {
        let options = self.options(fault);
        let config = self.directory.path().join("next.json");
        let ports = json!({"listen": "127.0.0.1", "port": 0, "source_port": 0});
        std::fs::write(&config, merge(ports, self.settings.clone()).to_string()).expect("a file");
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(config).envs(options.environment);
        Process::start(command)
    }

    /// A new process that stops as it is about to take over, for longer than this takes, and goes on when told to.
    fn take_over_slowly(&self) -> Process {
        self.stopped_at("ready")
    }

    /// A new process that has stopped at `step`.
    fn stopped_at(&self, step: &str) -> Process {
        let new = self.try_take_over(Some(&format!("stop@{step}")));
        eventually(DEADLINE, || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", new.pid())).ok()?;
            stat.rsplit(')').next()?.trim_start().starts_with('T').then_some(())
        });
        new
    }

    /// A new process takes over from `old`, which ends.
    #[track_caller]
    fn hand_over(&self, mut old: Host) -> Host {
        let ports = (old.listeners(), old.sources(), old.shoutcast());
        let new = self.start();
        assert_eq!((new.listeners(), new.sources(), new.shoutcast()), ports);
        let end = old.process().wait(DEADLINE);
        assert!(end.success(), "{end}\n{}", old.logs());
        new
    }

    /// A new process fails to take over from `old`, which goes on; the next one succeeds.
    #[track_caller]
    fn hand_over_at_second_try(&self, old: Host) -> Host {
        let mut new = self.try_take_over(Some("exit@ready"));
        old.wait_for_log("the handoff failed: going on as before");
        new.wait(DEADLINE);
        self.hand_over(old)
    }
}

/// A listener, and what it has heard.
struct Listener {
    what: &'static str,
    response: Response,
    heard: Vec<u8>,
}

impl Listener {
    fn new(what: &'static str, response: Response) -> Self {
        Listener { what, response, heard: Vec::new() }
    }

    fn hear(&mut self, bytes: usize) {
        self.heard.extend(self.response.body.read_exact(bytes));
    }

    /// Checks that all of it are frames in a row, with blocks of metadata where they should be; the titles.
    #[track_caller]
    fn check<C: Codec>(&self, frames: Frames<C>) -> Vec<String> {
        let (audio, titles) = if self.response.header("icy-metaint").is_some() {
            let mut reader = self.response.icy_reader();
            reader.push(&self.heard);
            let titles = reader.titles().iter().map(ToString::to_string).collect();
            (reader.take_audio(), titles)
        } else {
            (self.heard.clone(), Vec::new())
        };
        let report = frames.scan(&audio);
        assert!(report.is_continuous() && report.leading_bytes == 0, "{}: {report:?}", self.what);
        assert!(report.frames > 100, "{}: {report:?}", self.what);
        titles
    }
}

fn sources(host: &Host) -> [PacedSource; 2] {
    let mut test = source(host);
    test.send(&frames().bytes(0..count(30))).expect("the server takes audio");
    let put = Protocol::Put { expect: true, chunked: true };
    let mut aac = connect(host, SourceOptions::new("/aac", PASSWORD).protocol(put));
    aac.send(&aac_frames().bytes(0..1_000)).expect("the server takes audio");
    wait_for_buffer(host, "test", 28.0);
    wait_for_buffer(host, "aac", 20.0);
    [test.send_paced(frames(), count(30)), aac.send_paced(aac_frames(), 1_000)]
}

/// What the API says of the source on air that must not change.
fn identity(host: &Host, key: &str) -> [Value; 3] {
    ["uuid", "connected_at", "source"].map(|name| line(host, key)[0][name].clone())
}

fn crosses(relay: &Relay) {
    let mut host = relay.start();
    let sources = sources(&host);
    let icy: &[(&str, &str)] = &[("Icy-MetaData", "1")];
    let mut test = [
        Listener::new("live", listen(&host, "/test")),
        Listener::new("with titles", listen_with(&host, "/test", icy)),
        Listener::new("rewound", listen(&host, "/test?offset=20")),
        Listener::new("rewound with titles", listen_with(&host, "/test?offset=15", icy)),
        Listener::new("delayed", listen(&host, "/test?delay=10")),
    ];
    let mut aac = Listener::new("AAC", listen(&host, "/aac"));
    // One that is not read yet: its socket is full.
    let mut span = Connection::open_small(host.listeners(), 4_096);
    span.send(b"GET /test?pump=28 HTTP/1.0\r\n\r\n").expect("a new connection takes a request");
    let before = (identity(&host, "test"), identity(&host, "aac"));
    for nth in 0..10 {
        host = relay.hand_over(host);
        if nth == 3 {
            set_title(&host, TITLE);
        }
        test.iter_mut().chain([&mut aac]).for_each(|listener| listener.hear(4_000));
    }
    assert_eq!((identity(&host, "test"), identity(&host, "aac")), before, "no source came again");
    let seen = status(&host, "test");
    assert_eq!((seen["listeners"].as_u64(), seen["lost_batches"].as_u64()), (Some(6), Some(0)), "{seen}");
    for listener in &mut test {
        listener.hear(8_000);
    }
    let head = span.read_head().expect("an answer has a head").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next()?.parse().ok());
    let all = span.read_exact(length.expect("a length"));
    let report = frames().scan(&all);
    assert!(report.is_continuous() && report.is_whole(), "{report:?}");
    let titles: Vec<Vec<String>> = test.iter().map(|listener| listener.check(frames())).collect();
    aac.check(aac_frames());
    assert_eq!(titles[1].last().map(String::as_str), Some(TITLE), "{titles:?}");
    // The buffer has no gap, and playlists know no discontinuity but the first.
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_continuous() && report.first == Some(0), "{report:?}");
    let playlist = page(&host, "/test.m3u8").1;
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
    for source in sources {
        source.stop().expect("no source was cut");
    }
}

#[test]
fn sources_and_listeners_cross_ten_handoffs_and_lose_nothing() {
    crosses(&Relay::new(json!({})));
}

#[test]
fn so_they_do_with_a_buffer_on_disk() {
    let directory = TempDir::new().unwrap();
    crosses(&Relay::new(json!({"rewind": {"dir": directory.path()}})));
}

/// A listener and a source over a failed handoff.
struct Witness {
    listener: Listener,
    source: PacedSource,
}

impl Witness {
    fn new(host: &Host) -> Self {
        let mut source = source(host);
        source.send(&frames().bytes(0..count(5))).expect("the server takes audio");
        wait_for_buffer(host, "test", 4.0);
        let source = source.send_paced(frames(), count(5));
        Witness { listener: Listener::new("witness", listen(host, "/test")), source }
    }

    /// Nothing was lost so far, and it goes on.
    #[track_caller]
    fn check(&mut self) {
        self.listener.hear(24_000);
        self.listener.check(frames());
    }
}

/// The new process fails at `step`; the old one goes on, and hands over to the next.
fn new_fails(steps: &[&str], is_stopped: bool) {
    for step in steps {
        let relay = Relay::new(json!({}));
        let host = relay.start();
        let mut witness = Witness::new(&host);
        let fault = if is_stopped { format!("stop@{step}") } else { format!("exit@{step}") };
        let mut new = relay.try_take_over(Some(&fault));
        host.wait_for_log("the handoff failed: going on as before");
        if is_stopped && new.is_running() {
            new.signal(Signal::CONT);
        }
        let end = new.wait(DEADLINE);
        assert!(!end.success(), "{step}: {}", new.output());
        witness.check();
        let host = relay.hand_over(host);
        witness.check();
        assert_eq!(line(&host, "test").len(), 1);
        witness.source.stop().expect("the source was not cut");
    }
}

#[test]
fn a_new_process_that_dies_leaves_everything_to_the_old_one() {
    new_fails(&["hello", "part", "taken", "ready", "commit"], false);
}

#[test]
fn a_new_process_that_hangs_leaves_everything_to_the_old_one() {
    new_fails(&["part", "taken", "ready", "commit"], true);
}

/// The old process dies at `step`: the new one goes on with what it was given.
#[test]
fn an_old_process_that_dies_leaves_what_it_gave_to_the_new_one() {
    for (step, is_all_given) in [
        ("welcome", false),
        ("stopped", false),
        ("streams", false),
        ("end", true),
        ("ready", true),
        ("commit", true),
    ] {
        let directory = TempDir::new().unwrap();
        let relay = Relay::new(json!({"rewind": {"dir": directory.path()}}));
        let old = relay.start_with(&format!("exit@{step}"));
        let mut witness = Witness::new(&old);
        let new = relay.start();
        let report = frames().scan(&pump_all(&new));
        assert!(report.is_continuous() && report.frames > 100, "{step}: the buffer is there: {report:?}");
        if is_all_given {
            witness.check();
            witness.source.stop().expect("the source was not cut");
        } else {
            eventually(DEADLINE, || line(&new, "test").is_empty().then_some(()));
        }
        drop(old);
        let mut again = source_again(&new);
        again.send(&frames().bytes(10_000..10_100)).expect("the server takes audio");
    }
}

#[test]
fn sources_that_have_given_no_audio_yet_keep_their_place() {
    let relay = Relay::new(json!({}));
    let host = relay.start();
    let mut silent = source(&host);
    wait_for_sources(&host, "test", 1);
    let mut playing = source_again(&host);
    playing.send(&frames().bytes(0..count(5))).unwrap();
    wait_for_buffer(&host, "test", 4.0);
    let ids =
        |host: &Host| line(host, "test").iter().map(|source| source["uuid"].clone()).collect::<Vec<_>>();
    let before = ids(&host);
    assert_eq!(before.len(), 2);
    let host = relay.hand_over(host);
    assert_eq!(ids(&host), before);
    // The one that came first takes the air when it has something to play, as it would have without the handoff.
    silent.send(&frames().bytes(0..count(5))).unwrap();
    eventually(DEADLINE, || (identity(&host, "test")[0] == before[1]).then_some(()));
    wait_for_buffer(&host, "test", 8.0);
    playing.close();
}

#[test]
fn a_process_that_says_it_is_ready_can_be_taken_over_from() {
    let relay = Relay::new(json!({}));
    let mut old = relay.start();
    // It does nothing behind the word: the next one finds it all the same.
    let mut host = relay.start_with("stop@announced");
    let mut next = relay.stopped_at("hello");
    host.signal(Signal::CONT);
    next.signal(Signal::CONT);
    assert!(old.process().wait(DEADLINE).success());
    assert!(host.process().wait(DEADLINE).success(), "{}", host.logs());
    assert!(next.is_running(), "{}", next.output());
}

#[test]
fn what_the_new_process_closes_is_closed_at_once() {
    let relay = Relay::new(json!({}));
    let mut old = relay.start();
    let mut source = source(&old);
    source.send(&frames().bytes(0..count(5))).unwrap();
    wait_for_buffer(&old, "test", 4.0);
    let mut listener = listen(&old, "/test");
    listener.body.read_exact(4_000);
    // A request that is half there keeps the old process for seconds.
    let mut half = Connection::open(old.listeners());
    half.send(b"GET /heal").unwrap();
    let new = relay.start();
    assert_eq!(page(&new, "/admin/killsource?mount=/test").0, 200);
    assert!(source.is_closed_within(DEADLINE));
    assert!(old.process().is_running(), "it still has a request to read");
    half.send(b"thz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(half.read_head().expect("an answer has a head").starts_with("HTTP/1.1 200"));
    assert!(old.process().wait(DEADLINE).success());
}

fn source_again(host: &Host) -> testkit::source::SourceClient {
    connect(host, SourceOptions::new("/test", PASSWORD))
}

/// The old process hangs: the new one gives up, and the old one goes on when it can.
#[test]
fn an_old_process_that_hangs_goes_on_when_it_can() {
    for step in ["welcome", "streams", "ready"] {
        let relay = Relay::new(json!({}));
        let mut host = relay.start_with(&format!("stop@{step}"));
        let mut witness = Witness::new(&host);
        let mut new = relay.try_take_over(None);
        let end = new.wait(DEADLINE);
        assert!(!end.success(), "{step}: {}", new.output());
        host.signal(Signal::CONT);
        witness.check();
        witness.source.stop().expect("the source was not cut");
    }
}

#[test]
fn another_version_is_refused_and_told_why() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let relay = Relay::new(json!({}));
    let host = relay.start();
    let mut witness = Witness::new(&host);
    let path: &Path = &relay.directory.path().join("handoff");
    let mut socket = UnixStream::connect(path).unwrap();
    let hello = br#"{"version":99,"program":"9.9.9"}"#;
    let mut message = (hello.len() as u32).to_le_bytes().to_vec();
    message.extend([0; 4]);
    message.extend(hello);
    socket.write_all(&message).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[8..]).into_owned();
    assert!(answer.contains("Refused") && answer.contains("version 99"), "{answer}");
    // Nor does nonsense disturb it.
    for nonsense in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x02\0\0\0\0\0\0\0{}"]
    {
        let mut socket = UnixStream::connect(path).unwrap();
        socket.write_all(nonsense).unwrap();
        drop(socket);
    }
    witness.check();
    let _host = relay.hand_over(host);
    witness.check();
}
