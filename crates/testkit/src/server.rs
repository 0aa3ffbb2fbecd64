//! The server under test as a child process: a configuration, ports of its own, its logs, its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::wait::{DEADLINE, poll};

/// Settings that a configuration gets unless it names them: free ports of this machine only.
const DEFAULTS: [(&str, &str); 3] = [("listen", "\"127.0.0.1\""), ("port", "0"), ("source_port", "0")];

/// How to start the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The built program, `env!("CARGO_BIN_EXE_streammachine")` in its own tests.
    pub binary: PathBuf,
    /// Configuration, an object of JSON. `listen`, `port` and `source_port` are added unless the text names them.
    pub config: String,
    /// Arguments behind `--config FILE`.
    pub arguments: Vec<String>,
    /// Environment variables to set.
    pub environment: Vec<(String, String)>,
}

impl ServerOptions {
    /// Only a program and a configuration.
    pub fn new(binary: impl Into<PathBuf>, config: impl Into<String>) -> Self {
        Self { binary: binary.into(), config: config.into(), arguments: Vec::new(), environment: Vec::new() }
    }
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    addresses: Addresses,
    directory: Directory,
}

impl Server {
    /// Starts the server and waits until it is ready; panics with its output when it is not.
    #[track_caller]
    pub fn start(options: &ServerOptions) -> Self {
        let directory = Directory::new();
        let config = directory.0.join("streammachine.json");
        std::fs::write(&config, with_free_ports(&options.config)).expect("a new directory takes a file");
        let mut command = Command::new(&options.binary);
        command.arg("--config").arg(&config).args(&options.arguments);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(command);
        let addresses = poll(DEADLINE, || {
            let is_running = process.is_running();
            Addresses::parse(&process.stdout()).map(Some).or((!is_running).then_some(None))
        });
        match addresses.flatten() {
            Some(addresses) => Self { process, addresses, directory },
            None => panic!("the server is not ready\n{}", process.output()),
        }
    }

    /// Where listeners connect.
    pub fn listeners(&self) -> SocketAddr {
        self.addresses.listeners
    }

    /// Where sources connect.
    pub fn sources(&self) -> SocketAddr {
        self.addresses.sources
    }

    /// Where sources of SHOUTcast v1 connect that add one to the port; none if the server has no such port.
    pub fn shoutcast(&self) -> Option<SocketAddr> {
        self.addresses.shoutcast
    }

    /// Where the API answers: its own port, else that of the listeners.
    pub fn api(&self) -> SocketAddr {
        self.addresses.api.unwrap_or(self.addresses.listeners)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its configuration file, in a directory of its own.
    pub fn config_path(&self) -> PathBuf {
        self.directory.0.join("streammachine.json")
    }

    /// What it has logged so far.
    pub fn logs(&self) -> String {
        self.process.stderr()
    }

    /// The child itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits for the first log line that holds `text`; panics with the logs when none comes.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let line = poll(DEADLINE, || self.logs().lines().find(|line| line.contains(text)).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{text:?} was not logged\n{}", self.process.output()))
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills it as a crash would, and waits.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, and waits for that.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait(DEADLINE)
    }

    /// Waits for its end; panics with its output when it runs on after `deadline`.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        self.process.wait(deadline)
    }
}

/// What the server prints when it starts.
#[derive(Debug, PartialEq, Eq)]
struct Addresses {
    listeners: SocketAddr,
    sources: SocketAddr,
    shoutcast: Option<SocketAddr>,
    api: Option<SocketAddr>,
}

impl Addresses {
    /// `None` until the line `ready` is there.
    fn parse(stdout: &str) -> Option<Self> {
        stdout.lines().find(|line| line.trim() == "ready")?;
        let find = |name: &str| stdout.lines().find_map(|line| parse_address(line.strip_prefix(name)?));
        Some(Self {
            listeners: find("listeners on ")?,
            sources: find("sources on ")?,
            shoutcast: find("shoutcast sources on "),
            api: find("api on "),
        })
    }
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let text = text.strip_prefix("http://").unwrap_or(text);
    let authority = text.split('/').next()?;
    let address: SocketAddr = authority.parse().ok()?;
    let any = address.ip().is_unspecified();
    Some(if any { SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()) } else { address })
}

fn with_free_ports(config: &str) -> String {
    let (before, members) = config.split_once('{').expect("a configuration is an object");
    let mut added = String::new();
    for (name, value) in DEFAULTS {
        if !config.contains(&format!("\"{name}\"")) {
            added += &format!("\"{name}\":{value},");
        }
    }
    if members.trim() == "}" {
        added.pop();
    }
    format!("{before}{{{added}{members}")
}

/// A new directory for temporary files, removed when dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("streammachine-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A file left behind is no reason to fail a test.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "listeners on http://127.0.0.1:4000/\nsources on 127.0.0.1:4001\n";

    #[test]
    fn addresses_are_known_once_it_is_ready() {
        assert_eq!(Addresses::parse(LINES), None);
        let more = "shoutcast sources on 127.0.0.1:4003\napi on http://0.0.0.0:4002/\nready\n";
        let addresses = Addresses::parse(&format!("{LINES}{more}")).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!((addresses.listeners, addresses.sources), (at(4000), at(4001)));
        assert_eq!((addresses.shoutcast, addresses.api), (Some(at(4003)), Some(at(4002))));
        assert_eq!(Addresses::parse(&format!("ready\n{LINES}")).unwrap().api, None);
    }

    #[test]
    fn free_ports_are_added_unless_named() {
        let all = "\"listen\":\"127.0.0.1\",\"port\":0,\"source_port\":0";
        assert_eq!(with_free_ports("{}"), format!("{{{all}}}"));
        assert_eq!(with_free_ports("{\"a\":1}"), format!("{{{all},\"a\":1}}"));
        let named = "{\"listen\":null, \"port\": 8000, \"source_port\":1}";
        assert_eq!(with_free_ports(named), named);
    }

    #[test]
    fn a_program_that_prints_the_lines_is_a_server() {
        let directory = Directory::new();
        let program = directory.0.join("program");
        // Written by a child: were it open here while another test forks, starting it would fail as busy.
        let script =
            format!("#!/bin/sh\nprintf '{LINES}ready\\n'\necho started with $1 >&2\nexec sleep 60\n");
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script]).arg(&program);
        assert!(writer.status().unwrap().success());
        let mut server = Server::start(&ServerOptions::new(&program, "{}"));
        assert_eq!(
            (server.listeners().port(), server.sources().port(), server.api().port()),
            (4000, 4001, 4000)
        );
        assert_eq!(server.wait_for_log("started"), "started with --config");
        let config = server.config_path();
        assert!(config.exists());
        assert!(!server.terminate().success());
        drop(server);
        assert!(!config.exists());
    }

    #[test]
    #[should_panic(expected = "the server is not ready")]
    fn a_program_that_ends_is_no_server() {
        Server::start(&ServerOptions::new("true", "{}"));
    }
}
