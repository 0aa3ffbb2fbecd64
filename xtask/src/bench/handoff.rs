//! `cargo xtask bench handoff`: ten handoffs in a row under load, and a round without any under the same load before.
//! Every listener is checked byte by byte; what is reported is how long a handoff takes, what silence it adds, and how
//! much audio a player must hold to hear nothing of it.
//!
//! `buffer` makes rewind buffers as large as they are wanted.

mod buffer;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, poll};

use super::peer::{build_server, server_path};
use super::{Options, Store};
use crate::load::{self, Offsets, Outcome, Verify};
use crate::stats::{median, percentile};
use buffer::Dump;

/// Handoffs in a row.
const HANDOFFS: usize = 10;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);
/// A handoff takes no longer, whatever the buffers hold.
const GOAL: Duration = Duration::from_secs(2);
/// Time between two deliveries.
const TICK_S: f64 = 1.0;
/// Audio that each source sends at once: rewound listeners find their past in it.
const FILL: Duration = Duration::from_secs(580);
/// What is kept beside the dump: what the source sends, and what lies between.
const KEPT_S: u64 = 3600;
/// Streams, each with a source.
const STREAMS: [&str; 4] = ["one", "two", "three", "four"];
const PASSWORD: &str = "bench";
/// Connects a second of each kind of listener.
const CONNECT_RATE: f64 = 700.0;
/// Kinds of listeners: their name, where they start, whether they ask for titles.
const KINDS: [(&str, Offsets, bool); 3] =
    [("raw", Offsets::None, false), ("ICY", Offsets::None, true), ("rewound", Offsets::Spread, true)];

/// What all servers of a run share.
struct Place<'a> {
    directory: &'a TempDir,
    store: Store,
    kept: Duration,
}

/// What a round came to.
struct Round {
    outcomes: Vec<Outcome>,
    handoffs_ms: Vec<f64>,
}

/// Measures and prints a table.
pub fn run(options: &Options) -> anyhow::Result<()> {
    build_server()?;
    let listeners = if options.quick { 500 } else { options.listeners() };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("dump");
    let dump = options.buffer.map(|bytes| Dump::write(&file, bytes / STREAMS.len() as u64)).transpose()?;
    let past = dump.as_ref().map_or(Duration::ZERO, Dump::length);
    let kept = past + Duration::from_secs(KEPT_S);
    let place = Place { directory: &directory, store: options.store, kept };
    let mut server = place.fill_and_start(dump.as_ref())?;
    let first_frame = dump.as_ref().map_or(0, |dump| dump.frames);
    let sources: Vec<PacedSource> =
        STREAMS.iter().map(|key| feed(&server, key, first_frame)).collect::<anyhow::Result<_>>()?;
    if let Some(dump) = dump.as_ref().filter(|_| options.store == Store::Memory) {
        STREAMS.iter().try_for_each(|key| dump.put(server.api(), key))?;
    }
    let check = |server: &Server| {
        let check = |dump: &Dump<'_>, key| dump.check(server.listeners(), server.api(), key);
        STREAMS.iter().try_for_each(|key| dump.as_ref().map_or(Ok(()), |dump| check(dump, key)))
    };
    check(&server)?;
    let control = round(&mut server, listeners, None)?;
    let measured = round(&mut server, listeners, Some(&place))?;
    check(&server).context("after the handoffs")?;
    for source in sources {
        source.stop().context("a source was cut")?;
    }
    let gigabytes = dump.as_ref().map_or(0, Dump::bytes) as f64 * STREAMS.len() as f64 / 1e9;
    println!(
        "{listeners} listeners, {} sources, {HANDOFFS} handoffs, tick {TICK_S} s, {gigabytes:.2} GB of the past in {}\n",
        STREAMS.len(),
        match options.store {
            Store::Memory => "memory",
            Store::Disk => "files",
        },
    );
    print_table(&control, &measured);
    print_goals(&control, &measured);
    ensure!(measured.is_whole(), "listeners were dropped, lost bytes or heard frames twice");
    Ok(())
}

/// The same load each time; with a place, servers take over from each other meanwhile.
fn round(server: &mut Server, listeners: usize, place: Option<&Place<'_>>) -> anyhow::Result<Round> {
    let base = format!("http://{}", server.listeners());
    let seconds = HANDOFFS as f64 * (PAUSE + GOAL).as_secs_f64() + 5.0;
    let mut handoffs_ms = Vec::new();
    let outcomes = thread::scope(|scope| -> anyhow::Result<Vec<Outcome>> {
        let loads: Vec<_> = KINDS
            .iter()
            .zip(STREAMS)
            .map(|((_, offsets, icy), key)| {
                let load = load::Options {
                    url: format!("{base}/{key}"),
                    listeners: listeners / KINDS.len(),
                    seconds,
                    connect_rate: CONNECT_RATE,
                    pid: None,
                    offsets: *offsets,
                    icy: *icy,
                    verify: Verify::All,
                    json: false,
                };
                scope.spawn(move || load::measure(&load))
            })
            .collect();
        // All are connected and measured by then.
        let connecting = Duration::from_secs_f64(listeners as f64 / KINDS.len() as f64 / CONNECT_RATE);
        thread::sleep(connecting + load::SETTLE + PAUSE);
        for _ in 0..place.map_or(0, |_| HANDOFFS) {
            handoffs_ms.extend(place.map(|place| hand_over(server, place)).transpose()?);
            thread::sleep(PAUSE);
        }
        loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("a load panicked"))?).collect()
    })?;
    Ok(Round { outcomes, handoffs_ms })
}

/// A new server takes over; milliseconds from its start until it serves.
fn hand_over(server: &mut Server, place: &Place<'_>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let next = place.start();
    let time = began.elapsed();
    let end = server.process().wait(DEADLINE);
    ensure!(end.success(), "the old process ended with {end}\n{}", server.logs());
    for line in next.logs().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")) {
        eprintln!("{line}");
    }
    *server = next;
    Ok(time.as_secs_f64() * 1e3)
}

fn print_table(control: &Round, measured: &Round) {
    println!(
        "| listeners | connected at the end | dropped | checked | lost bytes | repeated frames | longest silence, ms | \
         without handoffs, ms | audio a player must hold, ms | without handoffs, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for ((name, ..), (before, it)) in KINDS.iter().zip(control.outcomes.iter().zip(&measured.outcomes)) {
        println!(
            "| {name} | {} | {} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            it.live,
            it.dropped,
            it.verified,
            it.lost_bytes,
            it.repeated_frames,
            it.silence_max_ms,
            before.silence_max_ms,
            it.need_max_ms,
            before.need_max_ms,
        );
    }
    let most = |round: &Round, value: fn(&Outcome) -> f64| {
        round.outcomes.iter().map(value).fold(0.0, f64::max) - TICK_S * 1e3
    };
    let both = |value| (most(measured, value), most(control, value));
    let (silence, silence_before) = both(|it| it.silence_max_ms);
    let (need, need_before) = both(|it| it.need_max_ms);
    println!(
        "\nBeyond the tick: longest silence {silence:.0} ms, without handoffs {silence_before:.0} ms; audio a player must \
         hold {need:.0} ms, without handoffs {need_before:.0} ms: handoffs add {:.0} ms.",
        need - need_before
    );
}

fn print_goals(control: &Round, measured: &Round) {
    let is_met = |met: bool| if met { "met" } else { "NOT MET" };
    let longest = percentile(&measured.handoffs_ms, 100.0).unwrap_or_default();
    println!(
        "A handoff, from the start of the new process until it serves: median {:.0} ms, at most {longest:.0} ms. \
         Goal: under {} ms: {}.\nNo listener is dropped, no byte lost, no frame repeated: {} (without handoffs: {}).",
        median(&measured.handoffs_ms).unwrap_or_default(),
        GOAL.as_millis(),
        is_met(longest < GOAL.as_secs_f64() * 1e3),
        is_met(measured.is_whole()),
        is_met(control.is_whole()),
    );
}

impl Round {
    /// Whether every listener stayed, and heard everything once.
    fn is_whole(&self) -> bool {
        self.outcomes.iter().all(|it| {
            it.dropped == 0 && it.lost_bytes == 0 && it.repeated_frames == 0 && it.live == it.listeners
        })
    }
}

impl Place<'_> {
    /// The first server; a dump for its files is put there before.
    fn fill_and_start(&self, dump: Option<&Dump<'_>>) -> anyhow::Result<Server> {
        if self.store == Store::Disk {
            let directory = self.directory.path().join("rewind");
            std::fs::create_dir(&directory)?;
            for key in STREAMS {
                dump.map_or(Ok(()), |dump| dump.import(&directory, key))?;
            }
        }
        Ok(self.start())
    }

    /// A server, which takes over from the one before if there is one.
    fn start(&self) -> Server {
        let stream = json!({"source_password": PASSWORD, "seconds": self.kept.as_secs().next_multiple_of(60), "burst": 2});
        let streams: serde_json::Map<String, Value> =
            STREAMS.iter().map(|key| ((*key).to_owned(), stream.clone())).collect();
        let path = |name: &str| -> Value { json!(self.directory.path().join(name)) };
        let config = json!({
            "listen": "127.0.0.1",
            "port": 0,
            "source_port": 0,
            "chunk_duration": TICK_S,
            "handoff": {"socket": path("handoff")},
            "rewind": {"dir": if self.store == Store::Disk { path("rewind") } else { Value::Null }},
            "streams": streams,
        });
        Server::start(&ServerOptions::new(server_path(), config.to_string()))
    }
}

fn feed(server: &Server, key: &str, first: u32) -> anyhow::Result<PacedSource> {
    let frames = load::audio();
    let count = frames.count_in(FILL);
    let options = SourceOptions::new(&format!("/{key}"), PASSWORD);
    let mut source =
        SourceClient::connect(server.sources(), options).map_err(|refusal| anyhow!("{refusal}"))?;
    let before = buffer::held(server.api(), key).unwrap_or_default();
    source.send(&frames.bytes(first..first + count)).context("the server does not take the first audio")?;
    // A listener that came before all of it is there would be far behind at once.
    poll(DEADLINE, || {
        let held = buffer::held(server.api(), key)?;
        (held > before + FILL.as_secs_f64() - 1.0).then_some(())
    })
    .context("the stream is not there")?;
    Ok(source.send_paced(frames, first + count))
}
