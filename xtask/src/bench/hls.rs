//! `cargo xtask bench hls`: requests per second for playlists and segments, against nginx with the same bytes as files.
//!
//! Some connections ask in turn, each as soon as it has its answer; both servers get the same requests in one run.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use testkit::process::Process;
use testkit::programs;
use testkit::wait::{DEADLINE, poll};

use super::fetch::Connection;
use super::peer::{Running, answers, build_server, free_port};
use super::{Options, Peer};
use crate::stats::median;

/// Connections that ask at once.
const CONNECTIONS: usize = 32;
/// Audio in the playlist: 59 segments. A source may not run ahead further.
const FILL: Duration = Duration::from_secs(595);

/// Measures and prints a table.
pub fn run(options: &Options) -> anyhow::Result<()> {
    build_server()?;
    let (seconds, repeats) =
        if options.quick { (1.0, 1) } else { (options.seconds.min(10.0), options.repeats) };
    let ours = Running::start(Peer::Ours, 2.0, CONNECTIONS)?;
    let source = ours.feed(FILL)?;
    // The files must stay what they are.
    drop(source);
    let root = tempfile::tempdir()?;
    let segments = copy(ours.address(), root.path())?;
    let (_nginx, nginx) = start_nginx(&root)?;
    println!("{} segments, {CONNECTIONS} connections, {seconds} s, medians of {repeats}\n", segments.len());
    println!("| | ours, requests/s | nginx, requests/s | ours ÷ nginx | resident MiB before, after |");
    println!("| --- | --- | --- | --- | --- |");
    let playlist = ["/bench.m3u8".to_owned()];
    for (what, targets) in [("playlist", &playlist[..]), ("segments", &segments)] {
        let before = ours.resident_bytes()?;
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..repeats {
            for (rates, address) in rates.iter_mut().zip([ours.address(), nginx]) {
                rates.push(measure(address, targets, Duration::from_secs_f64(seconds))?);
            }
        }
        let [ours_rate, nginx_rate] = rates.map(|rates| median(&rates).unwrap_or_default());
        let [before, after] = [before, ours.resident_bytes()?].map(|bytes| bytes >> 20);
        let ratio = ours_rate / nginx_rate;
        println!("| {what} | {ours_rate:.0} | {nginx_rate:.0} | {ratio:.2} | {before}, {after} |");
    }
    Ok(())
}

/// Writes the playlist and its segments into `root`; the segments' targets.
fn copy(address: SocketAddr, root: &Path) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(address)?;
    let playlist = get(&mut connection, "/bench.m3u8")?.to_vec();
    fs::create_dir_all(root.join("bench/ts"))?;
    fs::write(root.join("bench.m3u8"), &playlist)?;
    let text = String::from_utf8(playlist).context("a playlist is text")?;
    let targets: Vec<String> = text.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
    for target in &targets {
        fs::write(root.join(&target[1..]), get(&mut connection, target)?)?;
    }
    ensure!(targets.len() > 50, "only {} segments", targets.len());
    Ok(targets)
}

fn start_nginx(root: &TempDir) -> anyhow::Result<(Process, SocketAddr)> {
    let port = free_port()?;
    let directory = root.path().display();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
    let text = format!(
        "daemon off; worker_processes 2; pid {directory}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  types {{ application/vnd.apple.mpegurl m3u8; audio/mpeg mp3; }}
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; root {directory}; }}
}}
"
    );
    let config = root.path().join("nginx.conf");
    fs::write(&config, text)?;
    let mut command = Command::new(programs::require("nginx"));
    command.arg("-c").arg(&config);
    let mut process = Process::start(command);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    poll(DEADLINE, || (answers(address) || !process.is_running()).then_some(()));
    ensure!(process.is_running(), "nginx does not start\n{}", process.output());
    Ok((process, address))
}

/// Requests per second for `targets` in turn.
fn measure(address: SocketAddr, targets: &[String], time: Duration) -> anyhow::Result<f64> {
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let ask = |first: usize| {
        let mut connection = Connection::open(address)?;
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            get(&mut connection, &targets[(first + count) % targets.len()])?;
            count += 1;
        }
        anyhow::Ok(count as u64)
    };
    let ask = &ask;
    let counts: Vec<anyhow::Result<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || ask(number * 7))).collect();
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect()
    });
    let count: u64 = counts.into_iter().sum::<anyhow::Result<u64>>()?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn get<'a>(connection: &'a mut Connection, target: &str) -> anyhow::Result<&'a [u8]> {
    let (status, body) = connection.get(target)?;
    ensure!(status == 200, "{target}: {status}");
    Ok(body)
}
