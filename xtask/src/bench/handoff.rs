//! `cargo xtask bench handoff`: ten handoffs in a row under load. Every listener is checked byte by byte; what is reported
//! is the longest silence, and how long a handoff takes.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::listener::ListenerClient;
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, poll};

use super::Options;
use super::peer::{build_server, server_path};
use crate::load::{self, Offsets, Outcome, Verify};

/// Handoffs in a row.
const HANDOFFS: usize = 10;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);
/// Time between two deliveries.
const TICK_S: f64 = 1.0;
/// Audio in each buffer at the start: rewound listeners find their past in it.
const FILL: Duration = Duration::from_secs(580);
/// Streams, each with a source.
const STREAMS: [&str; 4] = ["one", "two", "three", "four"];
const PASSWORD: &str = "bench";

/// Measures and prints a table.
pub fn run(options: &Options) -> anyhow::Result<()> {
    build_server()?;
    let listeners = if options.quick { 500 } else { options.listeners };
    let directory = tempfile::tempdir()?;
    let mut server = start(&directory);
    let sources: Vec<PacedSource> =
        STREAMS.iter().map(|key| feed(&server, key)).collect::<anyhow::Result<_>>()?;
    let seconds = (HANDOFFS + 2) as f64 * PAUSE.as_secs_f64() + 5.0;
    let (base, mut times) = (format!("http://{}", server.listeners()), Vec::new());
    let kinds =
        [("raw", Offsets::None, false), ("ICY", Offsets::None, true), ("rewound", Offsets::Spread, true)];
    let outcomes = thread::scope(|scope| -> anyhow::Result<Vec<Outcome>> {
        let loads: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(nth, (_, offsets, icy))| {
                let load = load::Options {
                    url: format!("{base}/{}", STREAMS[nth]),
                    listeners: listeners / kinds.len(),
                    seconds,
                    connect_rate: 700.0,
                    pid: None,
                    offsets: *offsets,
                    icy: *icy,
                    verify: Verify::All,
                    json: false,
                };
                scope.spawn(move || load::measure(&load))
            })
            .collect();
        // All are connected by then.
        thread::sleep(Duration::from_secs_f64(listeners as f64 / kinds.len() as f64 / 700.0) + PAUSE);
        for _ in 0..HANDOFFS {
            let began = Instant::now();
            let next = start(&directory);
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            let end = server.process().wait(DEADLINE);
            ensure!(end.success(), "the old process ended with {end}\n{}", server.logs());
            for line in next.logs().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")) {
                eprintln!("{line}");
            }
            server = next;
            thread::sleep(PAUSE);
        }
        loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("a load panicked"))?).collect()
    })?;
    for source in sources {
        source.stop().context("a source was cut")?;
    }
    println!("{listeners} listeners, {} sources, {HANDOFFS} handoffs, tick {TICK_S} s\n", STREAMS.len());
    println!(
        "| listeners | connected at the end | dropped | checked | lost bytes | repeated frames | longest silence, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for ((name, ..), it) in kinds.iter().zip(&outcomes) {
        println!(
            "| {name} | {} | {} | {} | {} | {} | {:.0} |",
            it.live, it.dropped, it.verified, it.lost_bytes, it.repeated_frames, it.silence_max_ms
        );
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    println!("\nA handoff, from the start of the new process until it serves: at most {longest:.0} ms.");
    Ok(())
}

fn start(directory: &TempDir) -> Server {
    let streams: serde_json::Map<String, Value> = STREAMS
        .iter()
        .map(|key| ((*key).to_owned(), json!({"source_password": PASSWORD, "seconds": 3600, "burst": 2})))
        .collect();
    let socket: &Path = &directory.path().join("handoff");
    let config = json!({
        "listen": "127.0.0.1",
        "port": 0,
        "source_port": 0,
        "chunk_duration": TICK_S,
        "handoff": {"socket": socket},
        "streams": streams,
    });
    Server::start(&ServerOptions::new(server_path(), config.to_string()))
}

fn feed(server: &Server, key: &str) -> anyhow::Result<PacedSource> {
    let frames = load::audio();
    let count = frames.count_in(FILL);
    let options = SourceOptions::new(&format!("/{key}"), PASSWORD);
    let mut source =
        SourceClient::connect(server.sources(), options).map_err(|refusal| anyhow!("{refusal}"))?;
    source.send(&frames.bytes(0..count)).context("the server does not take the first audio")?;
    // A listener that came before all of it is there would be far behind at once.
    poll(DEADLINE, || {
        let mut answer = ListenerClient::get(server.api(), &format!("/api/streams/{key}"), &[]);
        let status: Value = serde_json::from_str(&answer.read_text()).ok()?;
        (status["rewind"]["buffer_length"].as_f64()? > FILL.as_secs_f64() - 1.0).then_some(())
    })
    .context("the stream is not there")?;
    Ok(source.send_paced(frames, count))
}
