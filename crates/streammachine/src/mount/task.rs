//! The task that owns a mount: it puts sources in order and passes on the frames of the one on air.

use std::sync::Arc;
use std::time::Duration;

use audio::Batch;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::task as tasks;
use crate::mount::order::Order;
use crate::mount::titles::{Sender, Title, Titles};
use crate::mount::{Command, Event, Fallback, FallbackState, Line, MountState, Tap};
use crate::source::{End, Origin, Output, Place, Report, Source, builtin, file, proxy};

pub(super) struct Task {
    key: String,
    id: Uuid,
    fallback: Option<Fallback>,
    clock: Clock,
    reports: mpsc::Sender<(Uuid, Report)>,
    announce: watch::Sender<Line>,
    order: Order,
    on_air: Option<Uuid>,
    titles: Titles,
    /// The title that was told last.
    shown: Option<Title>,
    taps: Vec<Tap>,
    played_before: bool,
    /// Where the fallback goes on behind what was heard of it.
    place: Option<Box<Place>>,
    ending: bool,
}

impl Task {
    pub(super) fn new(
        key: String,
        id: Uuid,
        fallback: Option<Fallback>,
        clock: Clock,
        reports: mpsc::Sender<(Uuid, Report)>,
        announce: watch::Sender<Line>,
    ) -> Self {
        Task {
            key,
            id,
            fallback,
            clock,
            reports,
            announce,
            order: Order::default(),
            on_air: None,
            titles: Titles::default(),
            shown: None,
            taps: Vec::new(),
            played_before: false,
            place: None,
            ending: false,
        }
    }

    /// Runs until every handle is gone.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut reports: mpsc::Receiver<(Uuid, Report)>,
    ) {
        // The streams of a mount come one after the other, and each is to hear all of its fallback.
        if !self.rest(&mut inbox).await {
            return;
        }
        loop {
            tokio::select! {
                biased;
                command = inbox.recv() => match command {
                    Some(Command::Hand(reply)) => {
                        while let Ok((id, report)) = reports.try_recv() {
                            self.hear(id, report);
                        }
                        // Whoever asked may be gone.
                        let _ = reply.send(self.state());
                        if !self.rest(&mut inbox).await {
                            break;
                        }
                    }
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some((id, report)) = reports.recv() => self.hear(id, report),
            }
        }
        self.order.iter().for_each(|source| source.stop.cancel());
    }

    /// Waits until it may go on, and does what it was told meanwhile. False if nobody is left.
    async fn rest(&mut self, inbox: &mut mpsc::Receiver<Command>) -> bool {
        let mut meanwhile = Vec::new();
        loop {
            match inbox.recv().await {
                None => return false,
                Some(Command::GoOn(reply)) => {
                    meanwhile.into_iter().for_each(|command| self.obey(command));
                    // Whoever asked may be gone.
                    let _ = reply.send(());
                    return true;
                }
                Some(command) => meanwhile.push(command),
            }
        }
    }

    fn state(&self) -> MountState {
        let live = self.order.iter().filter(|source| !source.is_fallback());
        let fallback = self.order.fallback().zip(self.place.as_deref());
        MountState {
            id: self.id,
            sources: live.map(|source| source.id).collect(),
            on_air: self.on_air,
            titles: self.titles.clone(),
            shown: self.shown.clone(),
            fallback: fallback.map(|(source, place)| {
                Box::new(FallbackState { source: source.state(), place: place.clone() })
            }),
        }
    }

    fn restore(&mut self, state: MountState, sources: Vec<Arc<Source>>) {
        let MountState { id, on_air, titles, shown, fallback, .. } = state;
        self.id = id;
        (self.on_air, self.titles, self.shown) = (on_air, titles, shown);
        sources.into_iter().for_each(|source| self.order.add(source));
        // The fallback has been heard in the other process.
        self.played_before = true;
        if let Some(state) = fallback {
            self.resume_fallback(*state);
        }
        self.settle();
    }

    /// Goes on with the fallback of another process, if it is ours too.
    fn resume_fallback(&mut self, FallbackState { source, place }: FallbackState) {
        let source = Source::resume(source);
        match (&self.fallback, &place) {
            (Some(Fallback::Programme { .. }), Place::Programme(_)) => {}
            (Some(Fallback::File(path)), Place::File(_)) if source.origin == Origin::File(path.clone()) => {}
            _ => return self.titles.leave(source.id, self.clock.mono()),
        }
        self.order.add(Arc::clone(&source));
        self.play_fallback(source, Some(place));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Hand(_) | Command::GoOn(_) => {}
            Command::Restore(state, sources) => self.restore(state, sources),
            Command::Join(tap) => {
                self.taps.push(tap);
                self.settle();
            }
            Command::Add(source) => {
                tracing::info!(mount = self.key, source = %source, id = %source.id, "source connected");
                if self.ending {
                    source.stop.cancel();
                }
                self.add(source);
                self.settle();
            }
            Command::Expect(id, sender) => self.titles.expect(id, sender, self.clock.mono()),
            Command::Withdraw(id) => self.titles.withdraw(id),
            Command::Metadata(teller, metadata) => {
                let title = self.titles.tell(&teller, metadata, self.on_air, self.clock.mono());
                if self.on_air.is_none_or(|id| self.titles.of(id) == Some(&title)) {
                    self.show(title);
                }
            }
            Command::Tap(mut tap) => {
                // One that comes late hears who is on air and what was said last.
                let started = self.order.active().map(|_| Event::Started);
                let said = self.shown.clone().map(|title| Event::Metadata(title.told));
                let upstream = self.order.active().and_then(|source| source.metadata());
                let upstream = upstream.map(Event::UpstreamMetadata);
                let now = self.clock.now();
                if [started, said, upstream].iter().flatten().all(|event| tap(event, now)) {
                    self.taps.push(tap);
                }
                self.settle();
            }
            Command::End => {
                self.ending = true;
                // Each reports its last frames, and then its end.
                self.order.iter().for_each(|source| source.stop.cancel());
            }
        }
    }

    fn hear(&mut self, id: Uuid, report: Report) {
        match report {
            Report::Frames(batches, place) => {
                if self.order.fallback().is_some_and(|fallback| fallback.id == id) {
                    self.place = place;
                }
                // Its first ones may bring it on air.
                if self.on_air != Some(id) && self.order.active().is_some_and(|source| source.id == id) {
                    self.settle();
                }
                if self.on_air == Some(id) {
                    self.tell(&frames(batches));
                }
            }
            Report::Metadata(metadata) => {
                if self.on_air == Some(id) {
                    self.tell(&Event::UpstreamMetadata(metadata));
                }
            }
            Report::Interrupted => self.begin_anew(id),
            Report::Ended(end) => {
                if self.remove(id, &end) {
                    // A fallback ends by itself only when it is stopped: it is wanted again at once, or not at all.
                    self.settle();
                }
            }
        }
    }

    /// A source that lost its connection gives nothing until it has another: others may take its place.
    fn begin_anew(&mut self, id: Uuid) {
        self.settle();
        if self.on_air == Some(id) {
            self.tell(&Event::Started);
        }
    }

    /// Makes what is on air agree with the order, and the fallback with the need for it.
    fn settle(&mut self) {
        if self.order.wants_fallback() {
            self.start_fallback();
        } else {
            self.stop_fallback();
        }
        let id = self.order.active().map(|source| source.id);
        if id != self.on_air {
            self.on_air = id;
            self.tell(if id.is_some() { &Event::Started } else { &Event::Stopped });
            let title = id.and_then(|id| self.titles.of(id)).cloned();
            // One that comes back after a short break goes on under what is shown, be it from another than a source.
            if let Some(title) = title.filter(|title| self.shown.as_ref() != Some(title)) {
                self.show(title);
            }
        }
        self.announce.send_replace(self.order.iter().cloned().collect());
    }

    fn start_fallback(&mut self) {
        // Without a tap nobody hears it: its first start waits for one.
        if self.ending || self.order.active().is_some() || self.taps.is_empty() {
            return;
        }
        let Some(fallback) = &self.fallback else { return };
        let origin = match fallback {
            Fallback::Programme { .. } => Origin::Programme,
            Fallback::File(path) => Origin::File(path.clone()),
            Fallback::Proxy { upstream, .. } => Origin::Proxy(upstream.clone()),
        };
        let source = Source::of_fallback(origin, self.clock.now().wall);
        self.add(Arc::clone(&source));
        self.play_fallback(source, None);
    }

    /// Starts the task of the fallback `source`, which goes on at a `place` if there is one.
    fn play_fallback(&mut self, source: Arc<Source>, place: Option<Place>) {
        let Some(fallback) = self.fallback.clone() else { return };
        self.place = place.clone().map(Box::new);
        let output = Output::new(source, self.reports.clone());
        let again = std::mem::replace(&mut self.played_before, true);
        let clock = self.clock;
        match fallback {
            Fallback::Programme { zone, lead_in } => {
                let lead_in = if again { Duration::ZERO } else { lead_in };
                let place = match place {
                    Some(Place::Programme(place)) => place,
                    _ => builtin::Place::start(lead_in, clock),
                };
                tasks::spawn("programme", builtin::run(zone, place, clock, output));
            }
            Fallback::File(path) => {
                let place = place.and_then(|place| match place {
                    Place::File(place) => Some(place),
                    Place::Programme(_) => None,
                });
                tasks::spawn("file", async move { file::run(&path, place, clock, output).await });
            }
            Fallback::Proxy { upstream, limits } => {
                let id = self.id;
                tasks::spawn("proxy", async move { proxy::run(&upstream, id, limits, clock, output).await });
            }
        }
    }

    fn stop_fallback(&mut self) {
        let fallbacks = self.order.iter().filter(|source| source.is_fallback());
        let ids: Vec<Uuid> =
            fallbacks.inspect(|source| source.stop.cancel()).map(|source| source.id).collect();
        for id in ids {
            self.remove(id, &End::Stopped);
        }
    }

    fn add(&mut self, source: Arc<Source>) {
        self.titles.arrive(source.id, Sender::of(&source), self.clock.mono());
        self.order.add(source);
    }

    /// False if it was not there.
    fn remove(&mut self, id: Uuid, end: &End) -> bool {
        let Some(source) = self.order.remove(id) else { return false };
        self.titles.leave(id, self.clock.mono());
        tracing::info!(source = %source, id = %source.id, reason = %end, "source ended");
        true
    }

    fn show(&mut self, title: Title) {
        self.tell(&Event::Metadata(title.told.clone()));
        self.shown = Some(title);
    }

    fn tell(&mut self, event: &Event) {
        let now = self.clock.now();
        self.taps.retain_mut(|tap| tap(event, now));
    }
}

fn frames(batches: Vec<Batch>) -> Event {
    Event::Frames(batches.into())
}
