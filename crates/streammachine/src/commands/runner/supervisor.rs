//! Does what the plan says: starts and ends servers, collects the dead, and tells people and the service manager.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::WaitOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::HANDOFF_SOCKET;
use super::child::{Child, Recipe, Word};
use super::place::Place;
use super::plan::{Act, Event, News, Number, Plan};
use super::watch::{self, Look, Watch};
use crate::base::clock::Clock;
use crate::base::service;

/// Words of servers that may wait for us.
const WORDS_MAX: usize = 16;
/// How long the service manager is asked to wait for a watched file, from each look on.
const FILE_TIME: Duration = Duration::from_secs(30);

/// The signals that mean something to the runner.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    child: Signal,
}

/// The runner at work.
pub struct Supervisor {
    recipe: Recipe,
    place: Place,
    watched: Option<(PathBuf, Watch)>,
    plan: Plan,
    children: Vec<Child>,
    words: mpsc::Sender<(Number, Word)>,
    inbox: mpsc::Receiver<(Number, Word)>,
    is_watchdog_wanted: bool,
    clock: Clock,
}

impl Signals {
    /// Takes them from now on.
    pub fn register() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            child: signal(SignalKind::child())?,
        })
    }
}

/// Waits until `file` is there and whole; false if a signal ends that.
pub async fn wait_for(file: &Path, signals: &mut Signals) -> bool {
    if Look::at(file).is_some() {
        return true;
    }
    let text = format!("waiting for {}", file.display());
    // There is no log yet: the configuration says where to.
    eprintln!("streammachine: {text}");
    service::status(&text);
    let mut watch = Watch::default();
    let mut looks = looks();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return false,
            _ = signals.interrupt.recv() => return false,
            _ = looks.tick() => {
                if watch.has_changed(Look::at(file)) {
                    return true;
                }
                service::extend_start(FILE_TIME);
            }
        }
    }
}

fn looks() -> Interval {
    let mut looks = interval(watch::PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

impl Supervisor {
    /// Starts the first server.
    pub fn start(recipe: Recipe, place: Place, watched: Option<PathBuf>) -> Self {
        let clock = Clock::start();
        let (words, inbox) = mpsc::channel(WORDS_MAX);
        let (plan, acts) = Plan::begin(clock.mono());
        let watched = watched.map(|file| {
            let watch = Watch::on(Look::at(&file));
            (file, watch)
        });
        let is_watchdog_wanted = service::watchdog().is_some();
        let children = Vec::new();
        let mut supervisor =
            Supervisor { recipe, place, watched, plan, children, words, inbox, is_watchdog_wanted, clock };
        supervisor.act(acts);
        supervisor
    }

    /// Goes on until a signal has ended all servers.
    pub async fn run(mut self, mut signals: Signals) {
        let mut looks = looks();
        while !self.plan.is_over() {
            let pause = self.plan.wake_at().map(|at| at.since(self.clock.mono()));
            tokio::select! {
                _ = signals.terminate.recv() => self.stop(),
                _ = signals.interrupt.recv() => self.stop(),
                _ = signals.hangup.recv() => {
                    tracing::info!("SIGHUP: a new server is wanted");
                    self.step(Event::Wanted);
                }
                _ = signals.child.recv() => self.collect(),
                Some((number, word)) = self.inbox.recv() => self.hear(number, word),
                _ = looks.tick() => self.look(),
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => self.step(Event::Time),
            }
        }
        tracing::info!("all servers have ended");
    }

    fn step(&mut self, event: Event) {
        let acts = self.plan.step(event, self.clock.mono());
        self.act(acts);
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Start { number, alone } => self.start_server(number, alone),
                Act::Terminate(number) => self.child(number).into_iter().for_each(Child::terminate),
                Act::Kill(number) => self.child(number).into_iter().for_each(Child::kill),
                Act::Tell(news) => tell(news),
            }
        }
    }

    fn child(&self, number: Number) -> Option<&Child> {
        self.children.iter().find(|child| child.number == number)
    }

    fn start_server(&mut self, number: Number, alone: bool) {
        if alone {
            // One that crashed has left it behind: nobody is there to take over from.
            let _ = std::fs::remove_file(self.place.path(HANDOFF_SOCKET));
        }
        let ear = self.place.path(&format!("notify-{number}"));
        match Child::start(&self.recipe, number, &ear, self.words.clone()) {
            Ok(child) => {
                let pid = child.pid.as_raw_pid();
                tracing::info!(pid, program = %self.recipe.program.display(), "a server was started");
                self.children.push(child);
            }
            Err(error) => {
                let reason = format!("{error:#}");
                tracing::error!(reason, "a server could not be started");
                self.forget(number);
            }
        }
    }

    fn hear(&mut self, number: Number, word: Word) {
        match word {
            Word::Ready => self.step(Event::Ready(number)),
            // A server that gives no sign of life leaves us silent, too.
            Word::Alive => service::alive(),
        }
    }

    fn look(&mut self) {
        if self.is_watchdog_wanted && !self.plan.is_ready() {
            service::alive();
        }
        let Some((file, watch)) = &mut self.watched else { return };
        if watch.has_changed(Look::at(file)) {
            tracing::info!(file = %file.display(), "the watched file has changed: a new server is wanted");
            self.step(Event::Wanted);
        }
    }

    fn stop(&mut self) {
        tracing::info!("stopping all servers");
        service::stopping();
        self.step(Event::Stop);
    }

    /// Collects the dead: servers, and, where we are the first process of a container, what others have left behind.
    fn collect(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let Some(child) = self.children.iter().find(|child| child.pid == pid) else { continue };
            let number = child.number;
            let pid = pid.as_raw_pid();
            match (status.exit_status(), status.terminating_signal()) {
                (Some(0), _) => tracing::info!(pid, "a server has ended"),
                (Some(code), _) => tracing::error!(pid, code, "a server has failed"),
                (None, Some(signal)) => tracing::error!(pid, signal, "a server was killed"),
                (None, None) => continue,
            }
            self.forget(number);
        }
    }

    fn forget(&mut self, number: Number) {
        self.children.retain(|child| child.number != number);
        let _ = std::fs::remove_file(self.place.path(&format!("notify-{number}")));
        self.step(Event::Ended(number));
    }
}

fn tell(news: News) {
    match news {
        News::Ready => {
            tracing::info!("the server serves");
            service::ready("serving");
        }
        News::TakingOver => {
            tracing::info!("a new server takes over");
            service::reloading();
        }
        News::TakenOver => {
            tracing::info!("the new server serves: the old one ends");
            service::ready("serving");
        }
        News::TooSlow => tracing::error!("the new server is not ready in time"),
        News::GoesOn => {
            tracing::error!("THE NEW SERVER HAS FAILED: the old one goes on as it was");
            service::ready("serving; the last new server has failed, see the log");
        }
        News::Queued => tracing::info!("a server is starting already: another one follows it"),
        News::Again(pause) => {
            let pause_s = pause.as_secs_f64();
            tracing::warn!(pause_s, "the server is gone and starts again");
            service::status("the server is gone and starts again");
        }
    }
}
