//! What the runner does next: pure steps from what happened to what is to be done. Starts no process and reads no clock.
//!
//! ```text
//!             start          ready             a new one is ready        it has ended
//!   (nobody) ──────▶ serving ─────▶ serving, ready ──────────▶ leaving ─────▶ (forgotten)
//!       ▲               │ ended        │ wanted
//!       └─── backoff ◀──┘              └──▶ next ── ready ──▶ serving; ended ──▶ the old one goes on
//! ```

use std::time::Duration;

use audio::Mono;

/// Pause before the first start after a crash; it doubles with each crash in a row.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest pause: after any crash a station is back within two seconds, and a start that fails costs little.
const BACKOFF_MAX: Duration = Duration::from_millis(1500);
/// A server that lived so long was healthy: its crash is the first in a row.
const HEALTHY: Duration = Duration::from_secs(60);
/// A new server must serve within this, else the old one goes on. Opening full rewind buffers takes less than a second.
const TAKE_OVER_TIME: Duration = Duration::from_secs(30);
/// The old server must end within this when the new one serves: it gives the answers that it has begun a minute.
const LEAVE_TIME: Duration = Duration::from_secs(75);
/// A server that is asked to end must do so within this, else it is killed. It gives its sources and disks two seconds each.
const GRACE: Duration = Duration::from_secs(10);

/// Tells servers of one runner apart; counts from 1.
pub type Number = u32;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server serves.
    Ready(Number),
    /// A server's process has ended, or could not be started.
    Ended(Number),
    /// A new server is wanted: a signal came, or the watched file has changed.
    Wanted,
    /// All is to end; the second time, at once.
    Stop,
    /// Time has passed.
    Time,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Start a server. Where it is not alone, it takes over from the one that serves.
    Start {
        /// Its number.
        number: Number,
        /// True if no other server serves.
        alone: bool,
    },
    /// Ask a server to end.
    Terminate(Number),
    /// End a server.
    Kill(Number),
    /// Tell people and the service manager.
    Tell(News),
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The server serves.
    Ready,
    /// A new server is started beside the one that serves.
    TakingOver,
    /// The new server serves, and the old one ends.
    TakenOver,
    /// The new server is not ready in time.
    TooSlow,
    /// The new server has failed, and the old one goes on.
    GoesOn,
    /// Another new server is wanted while one is starting: it follows once.
    Queued,
    /// The server is gone and starts again after this.
    Again(Duration),
}

/// The servers, and what is meant for them.
#[derive(Debug, Default)]
pub struct Plan {
    started: Number,
    serving: Option<Member>,
    next: Option<Member>,
    leaving: Vec<Member>,
    /// A new server is to be started when it can be.
    is_wanted: bool,
    crashes: u32,
    start_at: Option<Mono>,
    is_stopping: bool,
}

#[derive(Debug)]
struct Member {
    number: Number,
    since: Mono,
    is_ready: bool,
    limit: Option<Limit>,
}

/// When patience with a server ends, and with what.
#[derive(Clone, Copy, Debug)]
struct Limit {
    at: Mono,
    kills: bool,
}

impl Plan {
    /// Starts the first server.
    pub fn begin(now: Mono) -> (Self, Vec<Act>) {
        let mut plan = Plan::default();
        let start = plan.start(now);
        (plan, vec![start])
    }

    /// When [`Event::Time`] is wanted at the latest.
    pub fn wake_at(&self) -> Option<Mono> {
        self.members().filter_map(|member| Some(member.limit?.at)).chain(self.start_at).min()
    }

    /// True while a server serves.
    pub fn is_ready(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| serving.is_ready)
    }

    /// True when all is to end and has ended.
    pub fn is_over(&self) -> bool {
        self.is_stopping && self.members().next().is_none()
    }

    /// Takes in what happened, and says what is to be done.
    pub fn step(&mut self, event: Event, now: Mono) -> Vec<Act> {
        match event {
            Event::Ready(number) => self.ready(number, now),
            Event::Ended(number) => self.ended(number, now),
            Event::Wanted => self.wanted(now),
            Event::Stop => self.stop(now),
            Event::Time => self.time(now),
        }
    }

    fn ready(&mut self, number: Number, now: Mono) -> Vec<Act> {
        if self.is_stopping {
            return Vec::new();
        }
        let news = if let Some(next) = self.next.take_if(|next| next.number == number) {
            let limit = None;
            let old = self.serving.replace(Member { is_ready: true, limit, ..next });
            let limit = Some(Limit { at: now.plus(LEAVE_TIME), kills: false });
            self.leaving.extend(old.map(|old| Member { limit, ..old }));
            News::TakenOver
        } else {
            let starting = |serving: &&mut Member| serving.number == number && !serving.is_ready;
            let Some(serving) = self.serving.as_mut().filter(starting) else { return Vec::new() };
            serving.is_ready = true;
            News::Ready
        };
        let mut acts = vec![Act::Tell(news)];
        acts.extend(self.follow_up(now));
        acts
    }

    fn ended(&mut self, number: Number, now: Mono) -> Vec<Act> {
        self.leaving.retain(|member| member.number != number);
        if self.next.take_if(|next| next.number == number).is_some() && !self.is_stopping {
            let mut acts = vec![Act::Tell(News::GoesOn)];
            acts.extend(self.follow_up(now));
            return acts;
        }
        let Some(gone) = self.serving.take_if(|serving| serving.number == number) else { return Vec::new() };
        if self.is_stopping {
            return Vec::new();
        }
        if let Some(next) = self.next.take() {
            // It has everything, or finds that nobody is there to take over from.
            self.serving = Some(Member { limit: None, ..next });
            return Vec::new();
        }
        // The next one starts with what is on disk now.
        self.is_wanted = false;
        self.crashes = if now.since(gone.since) >= HEALTHY { 1 } else { self.crashes.saturating_add(1) };
        let pause = backoff(self.crashes);
        self.start_at = Some(now.plus(pause));
        vec![Act::Tell(News::Again(pause))]
    }

    fn wanted(&mut self, now: Mono) -> Vec<Act> {
        if self.is_stopping {
            return Vec::new();
        }
        if self.start_at.take().is_some() {
            return vec![self.start(now)];
        }
        let was_wanted = std::mem::replace(&mut self.is_wanted, true);
        let acts = self.follow_up(now);
        if acts.is_empty() && !was_wanted { vec![Act::Tell(News::Queued)] } else { acts }
    }

    /// Starts a new server beside the one that serves, if one is wanted and this is the time for it.
    fn follow_up(&mut self, now: Mono) -> Vec<Act> {
        if !self.is_wanted || self.next.is_some() || !self.is_ready() {
            return Vec::new();
        }
        self.is_wanted = false;
        vec![Act::Tell(News::TakingOver), self.start(now)]
    }

    /// A new server: the one that serves if there is none, else the next.
    fn start(&mut self, now: Mono) -> Act {
        self.started += 1;
        let number = self.started;
        let member = Member { number, since: now, is_ready: false, limit: None };
        // One that leaves has given everything away.
        let alone = self.serving.is_none();
        if self.serving.is_none() {
            self.serving = Some(member);
        } else {
            let limit = Some(Limit { at: now.plus(TAKE_OVER_TIME), kills: true });
            self.next = Some(Member { limit, ..member });
        }
        Act::Start { number, alone }
    }

    fn stop(&mut self, now: Mono) -> Vec<Act> {
        let act = if self.is_stopping { Act::Kill } else { Act::Terminate };
        self.start_at = None;
        self.is_stopping = true;
        let members = self.serving.iter_mut().chain(&mut self.next).chain(&mut self.leaving);
        members
            .map(|member| {
                member.limit = Some(Limit { at: now.plus(GRACE), kills: true });
                act(member.number)
            })
            .collect()
    }

    fn time(&mut self, now: Mono) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.start_at.take_if(|at| *at <= now).is_some() {
            acts.push(self.start(now));
        }
        let is_late = |member: &Member| member.limit.is_some_and(|limit| limit.at <= now);
        if self.next.as_ref().is_some_and(is_late) && !self.is_stopping {
            acts.push(Act::Tell(News::TooSlow));
        }
        for member in self.serving.iter_mut().chain(&mut self.next).chain(&mut self.leaving) {
            let Some(limit) = member.limit.take_if(|limit| limit.at <= now) else { continue };
            if limit.kills {
                acts.push(Act::Kill(member.number));
            } else {
                member.limit = Some(Limit { at: now.plus(GRACE), kills: true });
                acts.push(Act::Terminate(member.number));
            }
        }
        acts
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.serving.iter().chain(&self.next).chain(&self.leaving)
    }
}

/// The pause before the start after so many crashes in a row, from 1.
fn backoff(crashes: u32) -> Duration {
    let doubled = 2u32.saturating_pow(crashes.saturating_sub(1));
    BACKOFF_MIN.saturating_mul(doubled).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1_000_000);

    fn after(seconds: f64) -> Mono {
        START.plus(Duration::from_secs_f64(seconds))
    }

    /// A plan whose first server serves.
    fn serving() -> Plan {
        let (mut plan, acts) = Plan::begin(START);
        assert_eq!(acts, [Act::Start { number: 1, alone: true }]);
        assert!(!plan.is_ready());
        assert_eq!(plan.step(Event::Ready(1), START), [Act::Tell(News::Ready)]);
        assert!(plan.is_ready());
        plan
    }

    const TAKING_OVER: [Act; 2] = [Act::Tell(News::TakingOver), Act::Start { number: 2, alone: false }];

    #[test]
    fn a_crash_is_followed_by_a_start_ever_later_until_a_server_was_healthy() {
        let mut plan = serving();
        let mut at = 1.0;
        let pauses = [0.2, 0.4, 0.8, 1.5, 1.5, 1.5, 1.5];
        for (number, pause) in (1..).zip(pauses) {
            let again = Act::Tell(News::Again(Duration::from_secs_f64(pause)));
            assert_eq!(plan.step(Event::Ended(number), after(at)), [again]);
            assert_eq!(plan.step(Event::Time, after(at + pause - 0.001)), []);
            assert_eq!(plan.wake_at(), Some(after(at + pause)));
            at += pause;
            let start = Act::Start { number: number + 1, alone: true };
            assert_eq!(plan.step(Event::Time, after(at)), [start]);
        }
        let again = Act::Tell(News::Again(BACKOFF_MIN));
        assert_eq!(plan.step(Event::Ended(8), after(at + 60.0)), [again]);
        // Whoever wants a new server gets it at once.
        assert_eq!(plan.step(Event::Wanted, after(at + 60.1)), [Act::Start { number: 9, alone: true }]);
        assert_eq!(plan.step(Event::Time, after(at + 70.0)), []);
    }

    #[test]
    fn a_new_server_takes_over_and_the_old_one_ends_by_itself() {
        let mut plan = serving();
        assert_eq!(plan.step(Event::Wanted, after(1.0)), TAKING_OVER);
        assert_eq!(plan.step(Event::Ready(2), after(2.0)), [Act::Tell(News::TakenOver)]);
        assert_eq!(plan.step(Event::Ended(1), after(3.0)), []);
        assert_eq!(plan.wake_at(), None);
        // And again.
        let again = [Act::Tell(News::TakingOver), Act::Start { number: 3, alone: false }];
        assert_eq!(plan.step(Event::Wanted, after(4.0)), again);
    }

    #[test]
    fn the_old_server_may_end_before_the_new_one_says_that_it_serves() {
        let mut plan = serving();
        assert_eq!(plan.step(Event::Wanted, after(1.0)), TAKING_OVER);
        assert_eq!(plan.step(Event::Ended(1), after(2.0)), []);
        assert_eq!(plan.wake_at(), None);
        assert_eq!(plan.step(Event::Ready(2), after(2.0)), [Act::Tell(News::Ready)]);
        // A repeated word changes nothing.
        assert_eq!(plan.step(Event::Ready(2), after(2.0)), []);
    }

    #[test]
    fn a_new_server_that_fails_leaves_the_old_one_alone() {
        let mut plan = serving();
        assert_eq!(plan.step(Event::Wanted, after(1.0)), TAKING_OVER);
        assert_eq!(plan.step(Event::Ended(2), after(2.0)), [Act::Tell(News::GoesOn)]);
        assert!(plan.is_ready());
        assert_eq!(plan.wake_at(), None);
    }

    #[test]
    fn a_new_server_that_hangs_is_killed() {
        let mut plan = serving();
        assert_eq!(plan.step(Event::Wanted, START), TAKING_OVER);
        assert_eq!(plan.wake_at(), Some(after(30.0)));
        assert_eq!(plan.step(Event::Time, after(30.0)), [Act::Tell(News::TooSlow), Act::Kill(2)]);
        assert_eq!(plan.step(Event::Time, after(31.0)), []);
        assert_eq!(plan.step(Event::Ended(2), after(31.0)), [Act::Tell(News::GoesOn)]);
    }

    #[test]
    fn an_old_server_that_stays_is_asked_to_end_and_then_killed() {
        let mut plan = serving();
        plan.step(Event::Wanted, START);
        plan.step(Event::Ready(2), START);
        assert_eq!(plan.step(Event::Time, after(74.0)), []);
        assert_eq!(plan.step(Event::Time, after(75.0)), [Act::Terminate(1)]);
        assert_eq!(plan.step(Event::Time, after(85.0)), [Act::Kill(1)]);
        assert_eq!(plan.step(Event::Ended(1), after(41.0)), []);
        assert!(plan.is_ready());
    }

    #[test]
    fn a_start_beside_one_that_leaves_takes_nothing_over() {
        let mut plan = serving();
        plan.step(Event::Wanted, START);
        plan.step(Event::Ready(2), START);
        plan.step(Event::Ended(2), START);
        assert_eq!(plan.step(Event::Wanted, START), [Act::Start { number: 3, alone: true }]);
    }

    #[test]
    fn requests_during_a_handoff_are_one_follow_up_whatever_becomes_of_it() {
        for end in [Event::Ready(2), Event::Ended(2)] {
            let mut plan = serving();
            assert_eq!(plan.step(Event::Wanted, after(1.0)), TAKING_OVER);
            assert_eq!(plan.step(Event::Wanted, after(1.1)), [Act::Tell(News::Queued)]);
            assert_eq!(plan.step(Event::Wanted, after(1.2)), []);
            let acts = plan.step(end, after(2.0));
            assert_eq!(acts[1..], [Act::Tell(News::TakingOver), Act::Start { number: 3, alone: false }]);
            assert_eq!(plan.step(Event::Ready(3), after(3.0)), [Act::Tell(News::TakenOver)]);
        }
    }

    #[test]
    fn a_request_before_the_first_server_serves_waits_for_that() {
        let (mut plan, _) = Plan::begin(START);
        assert_eq!(plan.step(Event::Wanted, START), [Act::Tell(News::Queued)]);
        let acts = plan.step(Event::Ready(1), after(1.0));
        assert_eq!(acts, [&[Act::Tell(News::Ready)], &TAKING_OVER[..]].concat());
    }

    #[test]
    fn all_servers_end_when_the_runner_is_to_end() {
        let mut plan = serving();
        plan.step(Event::Wanted, START);
        plan.step(Event::Ready(2), START);
        plan.step(Event::Wanted, START);
        let acts = plan.step(Event::Stop, after(1.0));
        assert_eq!(acts, [Act::Terminate(2), Act::Terminate(3), Act::Terminate(1)]);
        for event in [Event::Wanted, Event::Ready(3), Event::Time, Event::Ended(1), Event::Ended(2)] {
            assert_eq!(plan.step(event, after(2.0)), [], "{event:?}");
        }
        assert!(!plan.is_over());
        assert_eq!(plan.step(Event::Time, after(11.0)), [Act::Kill(3)]);
        assert_eq!(plan.step(Event::Ended(3), after(11.0)), []);
        assert!(plan.is_over());
    }

    #[test]
    fn a_second_wish_to_end_kills() {
        let mut plan = serving();
        assert_eq!(plan.step(Event::Stop, START), [Act::Terminate(1)]);
        assert_eq!(plan.step(Event::Stop, START), [Act::Kill(1)]);
    }

    #[test]
    fn a_pause_before_a_start_ends_at_once_when_all_is_to_end() {
        let mut plan = serving();
        plan.step(Event::Ended(1), START);
        assert_eq!(plan.step(Event::Stop, START), []);
        assert!(plan.is_over());
    }
}
