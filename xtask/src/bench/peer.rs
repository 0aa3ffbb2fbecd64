//! The servers that are measured: how each is started, fed and stopped. All take the same audio on `/bench`, with the
//! same burst for new listeners.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use serde_json::json;
use tempfile::TempDir;
use testkit::listener::{self, ListenerClient};
use testkit::process::Process;
use testkit::programs;
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, poll};

use super::{BURST_BYTES, Peer};

const MOUNT: &str = "/bench";
const PASSWORD: &str = "bench";
/// The user that Icecast runs as, since it refuses root: Debian's `nobody`.
const NOBODY: u32 = 65_534;

/// What was sent at once may still be on its way in when the first burst goes out.
const SETTLE: Duration = Duration::from_secs(2);

/// A running server; dropping it stops it.
pub struct Running {
    child: Child,
    listeners: SocketAddr,
    sources: SocketAddr,
}

enum Child {
    Ours(Server),
    Other { process: Process, _directory: Option<TempDir> },
}

impl Running {
    /// Starts a server with seats for `listeners`; panics or fails when it is not ready.
    pub fn start(peer: Peer, tick: f64, listeners: usize) -> anyhow::Result<Self> {
        match peer {
            Peer::Ours => Ok(Self::ours(tick)),
            Peer::Null => Self::null(tick),
            Peer::Icecast2 => Self::icecast(listeners),
        }
    }

    fn ours(tick: f64) -> Self {
        let config = json!({
            "listen": "127.0.0.1",
            "port": 0,
            "source_port": 0,
            "chunk_duration": tick,
            "streams": {
                "bench": { "source_password": PASSWORD, "seconds": 3600, "burst": BURST_BYTES as f64 / 16_000.0 },
            },
        });
        let server = Server::start(&ServerOptions::new(server_path(), config.to_string()));
        let (listeners, sources) = (server.listeners(), server.sources());
        Self { child: Child::Ours(server), listeners, sources }
    }

    fn null(tick: f64) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["null-writer", "--tick", &tick.to_string(), "--burst-bytes", &BURST_BYTES.to_string()]);
        let process = Process::start(command);
        let address = poll(DEADLINE, || {
            process.stdout().lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
        });
        let address =
            address.with_context(|| format!("the null writer is not ready\n{}", process.output()))?;
        Ok(Self { child: Child::Other { process, _directory: None }, listeners: address, sources: address })
    }

    fn icecast(listeners: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        // Readable and writable for the user that Icecast becomes.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777))?;
        let config = directory.path().join("icecast.xml");
        let port = free_port()?;
        std::fs::write(&config, icecast_config(port, listeners, &directory.path().to_string_lossy()))?;
        let mut command = Command::new(programs::require("icecast2"));
        command.arg("-c").arg(&config);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut process = Process::start(command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        poll(DEADLINE, || (answers(address) || !process.is_running()).then_some(()));
        ensure!(process.is_running(), "icecast2 does not start\n{}", process.output());
        Ok(Self {
            child: Child::Other { process, _directory: Some(directory) },
            listeners: address,
            sources: address,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        match &self.child {
            Child::Ours(server) => server.pid(),
            Child::Other { process, .. } => process.pid(),
        }
    }

    /// Bytes of its heap and stacks; the rewind buffer is mapped.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        Ok(testkit::proc::memory(self.pid()).context("cannot read the server's memory")?.anonymous_bytes)
    }

    /// Its address for listeners.
    pub fn address(&self) -> SocketAddr {
        self.listeners
    }

    /// Where listeners go.
    pub fn url(&self) -> String {
        format!("http://{}{MOUNT}", self.listeners)
    }

    /// Sends `fill` of audio at once and goes on in real time; returns when a listener gets its whole burst.
    pub fn feed(&self, fill: Duration) -> anyhow::Result<PacedSource> {
        let frames = crate::load::audio();
        let count = frames.count_in(fill);
        let options = SourceOptions::new(MOUNT, PASSWORD);
        let mut source =
            SourceClient::connect(self.sources, options).map_err(|refusal| anyhow!("{refusal}"))?;
        source.send(&frames.bytes(0..count)).context("the server does not take the first audio")?;
        let paced = source.send_paced(frames, count);
        let mut listener = poll(DEADLINE, || {
            let listener = ListenerClient::get(self.listeners, MOUNT, &[]);
            (listener.status == 200).then_some(listener)
        })
        .context("the stream is not there")?;
        listener.body.read_exact(BURST_BYTES);
        std::thread::sleep(SETTLE);
        Ok(paced)
    }
}

/// Builds the server as it is released.
pub fn build_server() -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--package", "streammachine"]).current_dir(crate::repository());
    ensure!(command.status().context("cannot start cargo")?.success(), "the server does not build");
    Ok(())
}

/// The built server.
pub fn server_path() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    crate::repository().join(target).join("release/streammachine")
}

/// A port that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    free_ports().map(|[port]| port)
}

/// Ports in a row that are free now, below those that the system gives to clients: a connect to one of those that nobody
/// listens on yet can meet itself.
pub fn free_ports<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let row = |first: u16| std::array::from_fn(|place| first + place as u16);
    (21_000..22_000).map(row).find(|row| row.iter().all(is_free)).context("no ports are free")
}

/// Whether a server takes connections and answers on them.
pub fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok() && !listener::request(address, b"GET / HTTP/1.0\r\n\r\n").is_empty()
}

fn icecast_config(port: u16, listeners: usize, directory: &str) -> String {
    let clients = listeners + 100;
    format!(
        "<icecast>
  <limits>
    <clients>{clients}</clients><sources>2</sources>
    <queue-size>524288</queue-size><burst-size>{BURST_BYTES}</burst-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout><source-timeout>10</source-timeout>
  </limits>
  <authentication>
    <source-password>{PASSWORD}</source-password><relay-password>{PASSWORD}</relay-password>
    <admin-user>admin</admin-user><admin-password>{PASSWORD}</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <basedir>{directory}</basedir><logdir>{directory}</logdir>
    <webroot>{directory}</webroot><adminroot>{directory}</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
</icecast>
"
    )
}
