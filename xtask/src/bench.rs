//! `cargo xtask bench`: this server, a null writer and Icecast one after the other under the same load, several times
//! in turn, and their ratios. Absolute numbers belong to the machine; ratios of one run hold.
//!
//! `peer` starts the servers, `table` renders the medians, `fetch` asks for what is no stream. Beside it: `hls`, `handoff`, and
//! `crash`, which measures less than it checks.

mod crash;
mod fetch;
mod handoff;
mod hls;
mod peer;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::load::{self, Offsets, Outcome, Verify};
use peer::Running;

/// Burst of all peers: 2 s of the audio.
const BURST_BYTES: usize = 32_000;
/// Audio sent at once before the load: more than any burst.
const FILL_LIVE: Duration = Duration::from_secs(10);
/// The same for rewound listeners, who find their past in it.
const FILL_REWOUND: Duration = Duration::from_secs(600);

/// Options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub struct Options {
    /// What to measure
    #[arg(value_enum, default_value = "fanout")]
    what: What,
    /// Listeners of each run: 10,000 by default, crash: 200
    #[arg(long)]
    listeners: Option<usize>,
    /// Seconds measured in each run
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// How often each case runs; medians are reported
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Whom to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ours,icecast2,null")]
    peers: Vec<Peer>,
    /// A look instead of a measurement: 1000 listeners, 6 s, once; 10 kills
    #[arg(long)]
    quick: bool,
    /// handoff: bytes in all rewind buffers together, such as 2G, beside what the sources send
    #[arg(long, value_parser = parse_bytes)]
    buffer: Option<u64>,
    /// handoff: where the rewind buffers are
    #[arg(long, value_enum, default_value_t = Store::Memory)]
    store: Store,
    /// crash: how often the server is killed
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// crash: chooses the moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write all numbers to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Endless listeners, against a null writer and Icecast.
    Fanout,
    /// Listeners over ten handoffs in a row.
    Handoff,
    /// Playlists and segments of HTTP Live Streaming, against nginx.
    Hls,
    /// A server that is killed again and again, and what it still has.
    Crash,
}

/// Where rewind buffers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// In memory: a new process gets the memory itself.
    Memory,
    /// In `rewind.dir`: a new process opens the files.
    Disk,
}

/// Whom to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// This server.
    Ours,
    /// Debian's Icecast.
    Icecast2,
    /// `cargo xtask null-writer`.
    Null,
}

impl Options {
    fn listeners(&self) -> usize {
        self.listeners.unwrap_or(10_000)
    }
}

/// A number of bytes: `2G` is 2 * 10^9.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes, such as 500M".to_owned())
}

/// One thing to measure.
#[derive(Debug, PartialEq)]
struct Case {
    name: &'static str,
    peer: Peer,
    /// Seconds between two deliveries; Icecast has no such thing.
    tick: f64,
    offsets: Offsets,
}

impl Case {
    const fn live(name: &'static str, peer: Peer, tick: f64) -> Self {
        Self { name, peer, tick, offsets: Offsets::None }
    }

    fn fill(&self) -> Duration {
        if self.offsets == Offsets::None { FILL_LIVE } else { FILL_REWOUND }
    }
}

const NULL_1: Case = Case::live("null writer, 1 s", Peer::Null, 1.0);
const NULL_2: Case = Case::live("null writer, 2 s", Peer::Null, 2.0);
const OURS_1: Case = Case::live("ours, 1 s", Peer::Ours, 1.0);
const OURS_2: Case = Case::live("ours, 2 s", Peer::Ours, 2.0);
const REWOUND: Case = Case { name: "ours, 2 s, rewound", offsets: Offsets::Spread, ..OURS_2 };
const ICECAST: Case = Case::live("icecast2", Peer::Icecast2, 0.0);
/// In the order of a round.
const CASES: [&Case; 6] = [&NULL_1, &OURS_1, &ICECAST, &NULL_2, &OURS_2, &REWOUND];

/// All runs of one case.
#[derive(Debug)]
struct Measured {
    case: &'static Case,
    outcomes: Vec<Outcome>,
}

/// Measures all and prints a table.
pub fn run(options: &Options) -> anyhow::Result<()> {
    crate::raise_descriptor_limit()?;
    match options.what {
        What::Fanout => {}
        What::Hls => return hls::run(options),
        What::Handoff => return handoff::run(options),
        What::Crash => return crash::run(options),
    }
    let (listeners, seconds, repeats) =
        if options.quick { (1000, 6.0, 1) } else { (options.listeners(), options.seconds, options.repeats) };
    if options.peers.contains(&Peer::Ours) {
        peer::build_server()?;
    }
    let cases = CASES.into_iter().filter(|case| options.peers.contains(&case.peer));
    let mut all: Vec<Measured> = cases.map(|case| Measured { case, outcomes: Vec::new() }).collect();
    for round in 1..=repeats {
        for measured in &mut all {
            let outcome = measure(measured.case, listeners, seconds)?;
            eprintln!("round {round} of {repeats}, {}\n{outcome}\n", measured.case.name);
            measured.outcomes.push(outcome);
        }
    }
    println!(
        "{listeners} listeners, {seconds} s, medians of {repeats} runs in turn\n\n{}",
        table::render(&all)
    );
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", to_json(&all)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// One run: a new server, a source in real time, and the load.
fn measure(case: &Case, listeners: usize, seconds: f64) -> anyhow::Result<Outcome> {
    let running = Running::start(case.peer, case.tick, listeners)?;
    let _source = running.feed(case.fill())?;
    let options = load::Options {
        url: running.url(),
        listeners,
        seconds,
        connect_rate: 2000.0,
        pid: Some(running.pid()),
        offsets: case.offsets,
        icy: false,
        verify: Verify::Sampled,
        json: false,
    };
    load::measure(&options)
}

fn to_json(all: &[Measured]) -> serde_json::Value {
    let runs = |measured: &Measured| measured.outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>();
    all.iter().map(|measured| json!({ "case": measured.case.name, "runs": runs(measured) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_or_none() {
        for (text, bytes) in [
            ("7", Some(7)),
            ("500M", Some(500_000_000)),
            ("2G", Some(2_000_000_000)),
            ("G", None),
            ("2GB", None),
        ] {
            assert_eq!(parse_bytes(text).ok(), bytes, "{text}");
        }
        assert!(parse_bytes("99999999999G").is_err());
    }
}
