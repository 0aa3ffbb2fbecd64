//! `cargo xtask bench crash`: the server is killed again and again under load, and a runner starts it. After each kill all
//! that is promised is checked; what does not hold is printed, and the command fails.
//!
//! `moments` says when to kill, `runner` is the server, `encoder`, `crowd` and `player` are its clients, `judge` and
//! `playlist` know what must hold.

mod crowd;
mod encoder;
mod judge;
mod moments;
mod player;
mod playlist;
mod runner;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use testkit::audio::Report;
use testkit::wait::{DEADLINE, poll};

use super::Options;
use super::fetch::Connection;
use super::peer::build_server;
use crate::load;
use crate::stats::{median, percentile};
use crowd::{Count, Crowd};
use encoder::Encoder;
use judge::{CHUNK_FRAMES, Losses, runs};
use moments::{Moment, Moments};
use player::{Player, Sum};
use runner::Runner;

const PASSWORD: &str = "bench";
/// Length of a segment: many servers live shorter, and many longer.
const SEGMENT_S: u32 = 2;
/// All of the buffer.
const PUMP: &str = "/bench?pump=7200";
/// What is asked until it is answered.
const PROBE: &str = "/bench?pump=1";
const PROBE_PAUSE: Duration = Duration::from_millis(2);
/// A server is back within this, beside the pause that the runner makes.
const GOAL: Duration = Duration::from_secs(2);
/// Audio before the first kill, and behind the last: some segments.
const SETTLE: Duration = Duration::from_secs(7);
/// Faults that are printed; the others are counted.
const SHOWN_MAX: usize = 50;

/// What did not hold.
#[derive(Default)]
struct Faults {
    count: AtomicUsize,
    kill: AtomicUsize,
    places: Mutex<()>,
}

impl Faults {
    /// Prints and counts one.
    fn tell(&self, text: String) {
        // One at a time, so that lines stay whole.
        let _place = self.places.lock();
        if self.count.fetch_add(1, Ordering::Relaxed) < SHOWN_MAX {
            eprintln!("VIOLATION, kill {}: {text}", self.kill.load(Ordering::Relaxed));
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// All that takes part.
struct Bench {
    runner: Runner,
    encoder: Encoder,
    crowd: Crowd,
    player: Player,
    faults: Faults,
    is_over: AtomicBool,
}

/// What was measured, a value for each kill that was followed by an answer.
#[derive(Default)]
struct Measured {
    kills: usize,
    while_starting: usize,
    back_ms: Vec<f64>,
    pauses_ms: Vec<f64>,
    losses: Losses,
    /// Segments that were fetched again.
    again: usize,
    /// The buffer's frames at the last look.
    runs: Vec<Range<u32>>,
}

/// Kills and checks; fails if anything did not hold.
pub fn run(options: &Options) -> anyhow::Result<()> {
    build_server()?;
    let kills = if options.quick { 10 } else { options.kills };
    let listeners = options.listeners.unwrap_or(200);
    println!("{kills} kills, seed {}, {listeners} listeners", options.seed);
    let bench = Bench {
        runner: Runner::start()?,
        encoder: Encoder::default(),
        crowd: Crowd::default(),
        player: Player::default(),
        faults: Faults::default(),
        is_over: AtomicBool::new(false),
    };
    let (measured, count) = thread::scope(|scope| {
        let Bench { runner, encoder, crowd, player, faults, is_over } = &bench;
        scope.spawn(|| encoder.run(runner.sources, is_over, faults));
        scope.spawn(|| player.run(runner.listeners, is_over, faults));
        let crowd = scope.spawn(|| crowd.run(runner.listeners, listeners, is_over));
        let measured = bench.kill_all(kills, options.seed);
        is_over.store(true, Ordering::Relaxed);
        let count = crowd.join().map_err(|_| anyhow!("the listeners panicked"))?;
        anyhow::Ok((measured?, count?))
    })?;
    bench.finish(&measured, &count, listeners)?;
    let count = bench.faults.count();
    ensure!(count == 0, "{count} violations with seed {}\n{}", options.seed, bench.runner.log());
    Ok(())
}

impl Bench {
    fn kill_all(&self, kills: usize, seed: u64) -> anyhow::Result<Measured> {
        let mut measured = Measured::default();
        self.wait_for_answer(Instant::now())?;
        thread::sleep(SETTLE);
        let mut moments = Moments::new(seed).take(kills).peekable();
        while let Some(moment) = moments.next() {
            self.wait_for(moment, &mut measured)?;
            let sent = self.encoder.sessions();
            let began = self.runner.kill()?;
            measured.kills += 1;
            self.faults.kill.store(measured.kills, Ordering::Relaxed);
            self.runner.wait_for(measured.kills + 1)?;
            if matches!(moments.peek(), Some(Moment::Starting(_))) {
                continue;
            }
            let pause = self.runner.last_pause();
            measured.pauses_ms.push(pause.as_secs_f64() * 1e3);
            measured.back_ms.push(self.wait_for_answer(began)?.as_secs_f64() * 1e3);
            self.check(&sent, &mut measured)?;
            if measured.kills.is_multiple_of(10) {
                eprintln!("{} kills, {} violations", measured.kills, self.faults.count());
            }
        }
        thread::sleep(SETTLE);
        let sent = self.encoder.sessions();
        self.check(&sent[..sent.len().saturating_sub(1)], &mut measured)?;
        Ok(measured)
    }

    /// Waits for the moment of a kill, with a last look at the buffer.
    fn wait_for(&self, moment: Moment, measured: &mut Measured) -> anyhow::Result<()> {
        match moment {
            Moment::Starting(after) => {
                measured.while_starting += 1;
                thread::sleep(after);
            }
            Moment::Serving(life, gap) => {
                thread::sleep(life);
                let before = std::mem::replace(&mut measured.runs, runs(&self.look()?));
                // Nothing goes while nobody is killed.
                if judge::check_kept(&before, &measured.runs, &self.faults) > 0 {
                    self.faults.tell("the buffer has lost audio without a kill".to_owned());
                }
                thread::sleep(gap);
                let started = self.runner.started();
                if started != measured.kills + 1 {
                    self.faults.tell(format!("{started} servers were started"));
                }
            }
        }
        Ok(())
    }

    /// Waits until the server answers with audio; how long that is since `began`.
    fn wait_for_answer(&self, began: Instant) -> anyhow::Result<Duration> {
        let found = poll_fast(|| {
            let mut connection = Connection::open(self.runner.listeners).ok()?;
            let (status, body) = connection.get(PROBE).ok()?;
            let is_audio = status == 200 && !body.is_empty();
            if !is_audio && self.faults.kill.load(Ordering::Relaxed) > 0 {
                let text = String::from_utf8_lossy(body).into_owned();
                self.faults.tell(format!("it is back without the audio of before: {status} {text}"));
            }
            is_audio.then(|| began.elapsed())
        });
        found.with_context(|| format!("the server is not back\n{}", self.runner.log()))
    }

    /// All that the buffer gives, which is in order.
    fn look(&self) -> anyhow::Result<Report> {
        let mut connection = Connection::open(self.runner.listeners)?;
        let (status, body) = connection.get(PUMP)?;
        ensure!(status == 200, "{PUMP}: {status}");
        let report = load::audio().scan(body);
        let sessions = self.encoder.sessions();
        judge::check_order("the buffer", &report, &sessions, &self.faults);
        let begins = |session: &Range<u32>| Some(session.start) == report.first;
        if !report.is_whole() || !sessions.iter().any(begins) {
            self.faults.tell(format!("the buffer is not whole: {report:?}"));
        }
        Ok(report)
    }

    /// Checks all that must hold after a kill; `sent` is what sessions had sent that it has cut.
    fn check(&self, sent: &[Range<u32>], measured: &mut Measured) -> anyhow::Result<()> {
        // What was heard before the look is in it.
        let heard = self.crowd.take_ended();
        let after = runs(&self.look()?);
        let sessions = self.encoder.sessions();
        for report in &heard {
            judge::check_order("a listener", report, &sessions, &self.faults);
        }
        let of_heard = |report: &Report| judge::check_heard(&runs(report), &after, &self.faults);
        measured.losses = measured.losses.max(Losses {
            of_buffer: judge::check_kept(&measured.runs, &after, &self.faults),
            of_heard: heard.iter().map(of_heard).max().unwrap_or_default(),
            of_sent: judge::check_sent(sent, &after, &self.faults),
        });
        measured.again += self.player.check_again(self.runner.listeners, &self.faults)?;
        let Sum { runs, .. } = self.player.sum(&self.faults);
        let is_same = runs.iter().zip(&after).rev().enumerate().all(|(back, (segments, buffer))| {
            // The newest audio is in no segment yet.
            segments.start == buffer.start
                && (segments.end == buffer.end || (back == 0 && segments.end < buffer.end))
        });
        if !is_same || runs.len() > after.len() {
            self.faults.tell(format!("segments have {runs:?}, the buffer {after:?}"));
        }
        measured.runs = after;
        Ok(())
    }

    /// Checks the sums, and prints.
    fn finish(&self, measured: &Measured, count: &Count, listeners: usize) -> anyhow::Result<()> {
        let (faults, kills) = (&self.faults, measured.kills);
        let Sum { segments, discontinuities, .. } = self.player.sum(faults);
        if discontinuities != measured.runs.len() {
            let runs = measured.runs.len();
            faults.tell(format!("{discontinuities} discontinuities for {runs} runs of audio"));
        }
        let sessions = self.encoder.sessions().len();
        if sessions > kills + 1 || count.connections_max > kills + 1 {
            let most = count.connections_max;
            faults.tell(format!("cut without a kill: {sessions} sessions, {most} connections of a listener"));
        }
        if count.live != listeners {
            faults.tell(format!("{} of {listeners} listeners have audio at the end", count.live));
        }
        for line in self.runner.troubles().iter().take(SHOWN_MAX) {
            eprintln!("{line}");
        }
        measured.print()?;
        let Count { connections, .. } = count;
        println!(
            "{connections} connections of listeners, {sessions} sessions of the source, {} runs of audio.\n\
             {segments} segments, {discontinuities} discontinuities (one is the beginning), {} segments fetched again.\n\
             {} violations.",
            measured.runs.len(),
            measured.again,
            faults.count(),
        );
        Ok(())
    }
}

impl Measured {
    fn print(&self) -> anyhow::Result<()> {
        let own: Vec<f64> =
            self.back_ms.iter().zip(&self.pauses_ms).map(|(all, pause)| all - pause).collect();
        println!("{} kills, {} of them while the server was starting\n", self.kills, self.while_starting);
        println!("| from the kill to the first answer | median, ms | max, ms |\n| --- | --- | --- |");
        for (name, values) in
            [("all", &self.back_ms), ("the runner's pause", &self.pauses_ms), ("without it", &own)]
        {
            let middle = median(values).context("there was no kill")?;
            println!("| {name} | {middle:.0} | {:.0} |", percentile(values, 100.0).unwrap_or_default());
        }
        let longest = percentile(&own, 100.0).unwrap_or_default();
        let is_met = if longest < GOAL.as_secs_f64() * 1e3 { "met" } else { "NOT MET" };
        println!("\nGoal: without the pause back within {} ms: {is_met}.", GOAL.as_millis());
        let Losses { of_buffer, of_heard, of_sent } = self.losses;
        println!(
            "Frames lost at most by a kill: {of_buffer} of the buffer, {of_heard} of those heard (a chunk has {CHUNK_FRAMES}), \
             {of_sent} of those sent."
        );
        Ok(())
    }
}

/// As [`poll`], for what is measured in milliseconds.
fn poll_fast<T>(mut find: impl FnMut() -> Option<T>) -> Option<T> {
    poll(DEADLINE, || {
        find().or_else(|| {
            thread::sleep(PROBE_PAUSE);
            find()
        })
    })
}
