//! The runner: it starts the server again, replaces it, tells the service manager, and ends with it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::audio::Report;
use testkit::listener::ListenerClient;
use testkit::process::Process;
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually, poll};

use crate::harness::{BINARY, PASSWORD, frames, merge, test_stream};

/// A runner that spoke for itself would break this.
const SILENCE: Duration = Duration::from_millis(2500);

/// A runner in a directory of its own, where its configuration, its sockets and its service manager are.
struct Runner {
    process: Process,
    directory: TempDir,
    manager: Manager,
}

/// What a service manager is told.
struct Manager(UnixDatagram);

/// How a runner is started.
struct Start<'a> {
    /// What it is called by; a program that is there is its server.
    name: PathBuf,
    arguments: &'a [&'a str],
    watchdog_us: Option<u32>,
}

impl Default for Start<'_> {
    fn default() -> Self {
        Start { name: BINARY.into(), arguments: &[], watchdog_us: None }
    }
}

/// A configuration on free ports, with its buffers in `directory`.
fn config(directory: &Path) -> Value {
    let ports = json!({"listen": "127.0.0.1", "port": 0, "source_port": 0});
    merge(merge(ports, test_stream(json!({}))), json!({"rewind": {"dir": directory.join("rewind")}}))
}

impl Runner {
    #[track_caller]
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("there is room for a directory"), &Start::default())
    }

    #[track_caller]
    fn start_in(directory: TempDir, start: &Start<'_>) -> Self {
        let path = |name: &str| directory.path().join(name);
        fs::write(path("config.json"), config(directory.path()).to_string())
            .expect("there is room for a file");
        fs::create_dir(path("run")).expect("there is room for a directory");
        let manager = UnixDatagram::bind(path("manager")).expect("a new path takes a socket");
        manager.set_nonblocking(true).expect("a socket can be asked without waiting");
        let mut command = Command::new(BINARY);
        command.arg0(&start.name).arg("runner").arg("--config").arg(path("config.json"));
        command.args(start.arguments);
        command.env("NOTIFY_SOCKET", path("manager")).env("XDG_RUNTIME_DIR", path("run"));
        command.env("STAND_IN", directory.path()).env_remove("RUNTIME_DIRECTORY");
        if let Some(micros) = start.watchdog_us {
            command.env("WATCHDOG_USEC", micros.to_string());
        }
        Runner { process: Process::start(command), directory, manager: Manager(manager) }
    }

    /// A runner whose servers are stand-ins, which can hand over.
    #[track_caller]
    fn with_stand_in(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let name = directory.path().join("stand-in");
        fs::write(&name, include_str!("stand_in.pl")).expect("there is room for a file");
        fs::set_permissions(&name, fs::Permissions::from_mode(0o755)).expect("files can be made programs");
        Self::start_in(directory, &Start { name, arguments, ..Start::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The process ids of all servers that were started so far.
    fn servers(&self) -> Vec<i32> {
        let logs = self.process.stderr();
        let pids = logs.lines().filter(|line| line.contains("a server was started"));
        pids.filter_map(|line| line.split_once("pid=")?.1.split(' ').next()?.parse().ok()).collect()
    }

    /// The process id of server `number`, from 1, once it says that it serves.
    #[track_caller]
    fn wait_for_server(&mut self, number: usize) -> i32 {
        self.manager.wait_for("READY=1");
        let servers = self.servers();
        assert_eq!(servers.len(), number, "{}", self.process.output());
        servers[number - 1]
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        let found = poll(DEADLINE, || self.process.stderr().contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} was not logged\n{}", self.process.output());
    }

    /// Where server `number`, from 1, takes listeners.
    #[track_caller]
    fn listeners(&self, number: usize) -> SocketAddr {
        self.address("listeners on http://", number)
    }

    /// Where it takes sources.
    #[track_caller]
    fn sources(&self, number: usize) -> SocketAddr {
        self.address("sources on ", number)
    }

    #[track_caller]
    fn address(&self, what: &str, number: usize) -> SocketAddr {
        eventually(DEADLINE, || {
            let stdout = self.process.stdout();
            let mut lines = stdout.lines().filter_map(|line| line.strip_prefix(what));
            lines.nth(number - 1)?.trim_end_matches('/').parse().ok()
        })
    }

    /// Directories for sockets that there are.
    fn places(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("run")).expect("the directory is there");
        entries.map(|entry| entry.expect("it can be read").path()).collect()
    }
}

impl Manager {
    /// Waits for a message with this line; the message.
    #[track_caller]
    fn wait_for(&self, line: &str) -> String {
        let mut heard = Vec::new();
        let found = poll(DEADLINE, || {
            let message = self.hear()?;
            heard.push(message.clone());
            message.lines().any(|it| it == line).then_some(message)
        });
        found.unwrap_or_else(|| panic!("{line} was not told, but {heard:?}"))
    }

    fn hear(&self) -> Option<String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    }
}

#[track_caller]
fn serves(address: SocketAddr) -> bool {
    let headers = [("Connection", "close")];
    ListenerClient::get(address, "/healthz", &headers).read_text() == "ok\n"
}

fn kill(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("no process has the number 0");
    kill_process(pid, signal).expect("a server that was not collected takes signals");
}

/// Waits until a process is dead, buried or not: it has no command line then.
#[track_caller]
fn wait_for_end(pid: i32) {
    eventually(DEADLINE, || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.is_empty().then_some(())
    });
}

#[test]
fn a_server_that_crashes_is_back() {
    let mut runner = Runner::start();
    let first = runner.wait_for_server(1);
    assert!(serves(runner.listeners(1)));
    kill(first, Signal::KILL);
    let second = runner.wait_for_server(2);
    assert!(second != first && serves(runner.listeners(2)));
    runner.wait_for_log(&format!("a server was killed pid={first} signal=9"));
    runner.wait_for_log("pause_s=0.2");
}

/// All that the server at `address` has of `/test`.
fn buffer(address: SocketAddr) -> Report {
    let mut answer = ListenerClient::get(address, "/test?pump=1000", &[("Connection", "close")]);
    frames().scan(&answer.read_body())
}

#[test]
fn a_crash_loses_at_most_the_chunk_that_was_being_written() {
    let mut runner = Runner::start();
    let (mut first_frame, mut last_segment) = (0, 0);
    let mut server = runner.wait_for_server(1);
    for number in 1..=5 {
        let options = SourceOptions::new("/test", PASSWORD);
        let mut source = SourceClient::connect(runner.sources(number), options).expect("it is let in");
        source.send(&frames().bytes(first_frame..first_frame + 200)).expect("the server takes audio");
        let source = source.send_paced(frames(), first_frame + 200);
        let address = runner.listeners(number);
        eventually(DEADLINE, || (buffer(address).last? >= first_frame + 220).then_some(()));
        kill(server, Signal::KILL);
        let sent = source.next_frame();
        server = runner.wait_for_server(number + 1);
        let report = buffer(runner.listeners(number + 1));
        assert!(report.is_whole(), "{report:?}");
        // A chunk and what was on its way to it: half a second each.
        let newest = report.last.expect("there is audio");
        assert!((sent.saturating_sub(40)..=sent).contains(&newest), "{newest} of {sent}: {report:?}");
        let gaps = report.breaks.iter().filter(|gap| gap.next % 1_000 != 0).count();
        assert_eq!((gaps, report.breaks.len()), (0, number - 1), "{report:?}");
        let mut status = ListenerClient::get(runner.listeners(number + 1), "/api/streams/test", &[]);
        let status: Value = serde_json::from_str(&status.read_text()).expect("the API speaks JSON");
        let segment = status["rewind"]["hls_last_seg_id"].as_u64().expect("a number");
        assert!(segment >= last_segment, "numbers go on");
        (first_frame, last_segment) = (first_frame + 1_000, segment);
    }
}

#[test]
fn a_signal_ends_all_and_nothing_is_left() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut runner = Runner::start();
        let server = runner.wait_for_server(1);
        let [place] = runner.places().try_into().expect("there is one directory for sockets");
        assert_eq!(fs::metadata(place).expect("it is there").permissions().mode() & 0o777, 0o700);
        runner.process.signal(signal);
        assert_eq!(runner.process.wait(DEADLINE).code(), Some(0), "{}", runner.process.output());
        runner.manager.wait_for("STOPPING=1");
        wait_for_end(server);
        assert_eq!(runner.places(), [] as [PathBuf; 0]);
        runner.wait_for_log(&format!("a server has ended pid={server}"));
    }
}

#[test]
fn a_runner_that_is_killed_leaves_no_server_behind() {
    let mut runner = Runner::start();
    let server = runner.wait_for_server(1);
    runner.process.kill();
    wait_for_end(server);
    runner.wait_for_log("the runner is gone: stopping");
}

#[test]
fn a_new_server_that_fails_leaves_the_old_one_serving() {
    let mut runner = Runner::start();
    let server = runner.wait_for_server(1);
    fs::write(runner.path("config.json"), "{port: 'x'}").expect("the file can be replaced");
    runner.process.signal(Signal::HUP);
    runner.manager.wait_for("RELOADING=1");
    runner.manager.wait_for("READY=1");
    runner.wait_for_log("THE NEW SERVER HAS FAILED");
    let servers = runner.servers();
    assert_eq!((servers.len(), servers[0]), (2, server));
    runner.wait_for_log(&format!("a server has failed pid={} code=1", servers[1]));
    assert!(serves(runner.listeners(1)));
    assert!(fs::read(format!("/proc/{server}/cmdline")).is_ok_and(|line| !line.is_empty()));
}

#[test]
fn a_hangup_brings_a_new_server_and_the_old_one_ends_by_itself() {
    let mut runner = Runner::with_stand_in(&["--title", "news"]);
    let first = runner.wait_for_server(1);
    for number in 2..4 {
        runner.process.signal(Signal::HUP);
        let reloading = runner.manager.wait_for("RELOADING=1");
        assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
        let next = runner.wait_for_server(number);
        assert_eq!(fs::read_to_string(runner.path("serving")).ok(), Some(next.to_string()));
    }
    runner.wait_for_log(&format!("a server has ended pid={first}"));
    let name = fs::read_to_string(format!("/proc/{}/comm", runner.process.pid()));
    assert_eq!(name.ok().as_deref(), Some("news\n"));
    runner.process.signal(Signal::TERM);
    assert_eq!(runner.process.wait(DEADLINE).code(), Some(0), "{}", runner.process.output());
}

// The handoff makes it true: a server that is started with the socket of another takes its ports over.
#[test]
fn a_hangup_brings_a_new_server_on_the_same_ports() {
    let mut runner = Runner::start();
    let first = runner.wait_for_server(1);
    runner.process.signal(Signal::HUP);
    let second = runner.wait_for_server(2);
    wait_for_end(first);
    assert!(second != first && runner.listeners(1) == runner.listeners(2));
    assert!(serves(runner.listeners(2)));
}

#[test]
fn a_watched_file_is_waited_for_and_its_change_brings_a_new_server() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let watched = directory.path().join("watched");
    let arguments = ["--watch", watched.to_str().expect("temporary paths are UTF-8")];
    let mut runner = Runner::with_stand_in(&arguments);
    runner.manager.wait_for(&format!("STATUS=waiting for {}", watched.display()));
    assert_eq!(runner.servers(), [] as [i32; 0]);
    fs::write(&watched, "1").expect("there is room for a file");
    let first = runner.wait_for_server(1);
    // As programs are installed: a whole file in the place of another.
    let new = directory.path().join("new");
    fs::write(&new, "1").expect("there is room for a file");
    fs::rename(&new, &watched).expect("a file can be replaced");
    let second = runner.wait_for_server(2);
    assert_ne!(first, second);
    runner.wait_for_log(&format!("a server has ended pid={first}"));
}

#[test]
fn a_runner_that_waits_for_a_file_ends_on_a_signal() {
    let runner = &mut Runner::with_stand_in(&["--watch", "/nowhere/at/all"]);
    runner.manager.wait_for("STATUS=waiting for /nowhere/at/all");
    runner.process.signal(Signal::TERM);
    assert_eq!(runner.process.wait(DEADLINE).code(), Some(0));
}

#[test]
fn signs_of_life_of_the_server_are_passed_on() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let start = Start { watchdog_us: Some(500_000), ..Start::default() };
    let mut runner = Runner::start_in(directory, &start);
    let server = runner.wait_for_server(1);
    for _ in 0..2 {
        runner.manager.wait_for("WATCHDOG=1");
    }
    kill(server, Signal::STOP);
    // What was said before may still be on its way; then there is silence for longer than the runner itself would take.
    eventually(DEADLINE, || poll(SILENCE, || runner.manager.hear()).is_none().then_some(()));
    kill(server, Signal::CONT);
    runner.manager.wait_for("WATCHDOG=1");
}

#[test]
fn settings_for_the_server_stand_anywhere() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let arguments = ["--streams:test:name=One", "--", "--streams:more:name", "Two", "--no-cors:enabled"];
    let mut runner = Runner::start_in(directory, &Start { arguments: &arguments, ..Start::default() });
    runner.wait_for_server(1);
    let stdout = eventually(DEADLINE, || Some(runner.process.stdout()).filter(|it| it.contains("ready\n")));
    assert!(stdout.contains("stream more: ") && stdout.contains("stream test: "), "{stdout}");
}

#[test]
fn a_mistake_is_told_before_anything_is_started() {
    for (arguments, told) in [
        (&["--port=x"][..], "option --port: port: expected a port from 0 to 65,535, found \"x\""),
        (&["--", "--prot=1"], "error: there is no option or setting --prot; did you mean --port?"),
        (&["--", "man"], "streammachine: only options of `serve` can stand behind --"),
    ] {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let mut runner = Runner::start_in(directory, &Start { arguments, ..Start::default() });
        let status = runner.process.wait(DEADLINE);
        assert!(!status.success() && runner.servers().is_empty());
        assert!(runner.process.stderr().contains(told), "{}", runner.process.output());
    }
}
