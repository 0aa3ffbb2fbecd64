//! A server that a runner keeps running: where it is, who it is now, and how it is killed.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::wait::{DEADLINE, poll};

use super::super::peer::{free_ports, server_path};
use super::{PASSWORD, SEGMENT_S};

/// The runner and its server; all ends when it is dropped.
pub struct Runner {
    process: Process,
    /// Where listeners connect, after each start the same.
    pub listeners: SocketAddr,
    /// Where sources connect.
    pub sources: SocketAddr,
    _directory: TempDir,
}

impl Runner {
    /// Starts it with a buffer on disk.
    pub fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        // The port behind that of the sources is for SHOUTcast.
        let [port, source_port, _] = free_ports()?;
        let config = json!({
            "listen": "127.0.0.1",
            "port": port,
            "source_port": source_port,
            "rewind": {"dir": path("rewind")},
            "hls": {"segment_duration": SEGMENT_S},
            "streams": {"bench": {"source_password": PASSWORD, "seconds": 7200, "burst": 2}},
        });
        std::fs::write(path("config.json"), config.to_string())?;
        std::fs::create_dir(path("rewind"))?;
        let mut command = Command::new(server_path());
        command.arg("runner").arg("--config").arg(path("config.json"));
        command.env("XDG_RUNTIME_DIR", directory.path()).env_remove("RUNTIME_DIRECTORY");
        let process = Process::start(command);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Runner { process, listeners: at(port), sources: at(source_port), _directory: directory })
    }

    /// Servers that were started so far.
    pub fn started(&self) -> usize {
        self.pids().len()
    }

    /// Waits until server `number`, from 1, is started.
    pub fn wait_for(&self, number: usize) -> anyhow::Result<()> {
        let found = poll(DEADLINE, || (self.started() >= number).then_some(()));
        found.with_context(|| format!("no server {number}\n{}", self.log()))
    }

    /// Kills the newest server; when that was.
    pub fn kill(&self) -> anyhow::Result<Instant> {
        let pid = self.pids().last().copied().and_then(Pid::from_raw).context("there is no server")?;
        let now = Instant::now();
        kill_process(pid, Signal::KILL).with_context(|| format!("it is gone\n{}", self.log()))?;
        Ok(now)
    }

    /// The pause that the runner made last before a start.
    pub fn last_pause(&self) -> Duration {
        let log = self.process.stderr();
        let mut pauses = log.lines().filter_map(|line| line.split_once("pause_s=")?.1.trim().parse().ok());
        Duration::from_secs_f64(pauses.next_back().unwrap_or_default())
    }

    /// What was logged last, for messages.
    pub fn log(&self) -> String {
        let log = self.process.stderr();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Lines of the log that tell of more than the kills.
    pub fn troubles(&self) -> Vec<String> {
        let log = self.process.stderr();
        let known = ["a server was killed", "the server is gone and starts again"];
        let is_trouble = |line: &&str| {
            [" WARN ", "ERROR"].iter().any(|level| line.contains(level))
                && !known.iter().any(|known| line.contains(known))
        };
        log.lines().filter(is_trouble).map(str::to_owned).collect()
    }

    fn pids(&self) -> Vec<i32> {
        let log = self.process.stderr();
        let lines = log.lines().filter(|line| line.contains("a server was started"));
        lines.filter_map(|line| line.split_once("pid=")?.1.split(' ').next()?.parse().ok()).collect()
    }
}
