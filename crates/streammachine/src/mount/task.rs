//! The task that owns a mount: it puts sources in order and passes on the frames of the one on air.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use audio::Batch;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::mount::fallback::{FallbackState, Player};
use crate::mount::order::Order;
use crate::mount::titles::{Sender, Title, Titles};
use crate::mount::{Command, Event, Fallback, Handed, Line, MountState, Tap};
use crate::source::{End, Output, Place, Report, Source, proxy};

/// A fallback may take so long to pause: behind that its connection is not handed over.
const PAUSE_TIME: Duration = Duration::from_secs(2);

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
    /// Lets the fallback pause if it has a connection.
    proxy: Option<proxy::Control>,
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
            proxy: None,
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
                        let socket = self.pause(&mut reports).await;
                        // Whoever asked may be gone.
                        let _ = reply.send(Handed { state: self.state(), socket });
                        if !self.rest(&mut inbox).await {
                            break;
                        }
                        if let Some(proxy) = &self.proxy {
                            proxy.go_on();
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

    /// Hears all that was reported, and stops a fallback that has a connection; that, if another process can read it on.
    async fn pause(&mut self, reports: &mut mpsc::Receiver<(Uuid, Report)>) -> Option<OwnedFd> {
        let mut paused = None;
        if let Some(proxy) = &mut self.proxy {
            proxy.pause();
            let until = Instant::now() + PAUSE_TIME;
            while let Some(proxy) = &mut self.proxy {
                tokio::select! {
                    given = timeout_at(until, proxy.paused()) => {
                        paused = given.ok().flatten();
                        break;
                    }
                    // It may wait for that.
                    Some((id, report)) = reports.recv() => self.hear(id, report),
                }
            }
        }
        while let Ok((id, report)) = reports.try_recv() {
            self.hear(id, report);
        }
        let proxy::Paused { reader, socket } = paused?;
        self.place = Some(Box::new(Place::Proxy(reader)));
        Some(socket)
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
        let fallback = self.order.fallback().zip(self.place.as_deref());
        MountState {
            id: self.id,
            sources: self.order.live().iter().map(|source| source.id).collect(),
            on_air: self.on_air,
            titles: self.titles.clone(),
            shown: self.shown.clone(),
            fallback: fallback.map(|(source, place)| {
                Box::new(FallbackState { source: source.state(), place: place.clone() })
            }),
        }
    }

    fn restore(&mut self, handed: Handed, sources: Vec<Arc<Source>>) {
        let Handed { state, socket } = handed;
        let MountState { id, on_air, titles, shown, fallback, .. } = state;
        self.id = id;
        (self.on_air, self.titles, self.shown) = (on_air, titles, shown);
        sources.into_iter().for_each(|source| self.order.add(source));
        // The fallback has been heard in the other process.
        self.played_before = true;
        if let Some(state) = fallback {
            self.resume_fallback(*state, socket);
        }
        self.settle();
    }

    /// Goes on with the fallback of another process, if it is ours too.
    fn resume_fallback(&mut self, FallbackState { source, place }: FallbackState, socket: Option<OwnedFd>) {
        let source = Source::resume(source);
        let ours = self.fallback.as_ref().filter(|fallback| fallback.origin() == source.origin);
        let Some(player) = ours.and_then(|fallback| fallback.resume(place.clone(), socket)) else {
            return self.titles.leave(source.id, self.clock.mono());
        };
        self.order.add(Arc::clone(&source));
        self.play(player, source);
        self.place = Some(Box::new(place));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Hand(_) | Command::GoOn(_) => {}
            Command::Restore(handed, sources) => self.restore(*handed, sources),
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
        let player = fallback.start(!self.played_before, self.clock);
        let source = Source::of_fallback(fallback.origin(), self.clock.now().wall);
        self.add(Arc::clone(&source));
        self.play(player, source);
    }

    fn play(&mut self, player: Player, source: Arc<Source>) {
        self.played_before = true;
        self.place = None;
        self.proxy = player.play(self.id, self.clock, Output::new(source, self.reports.clone()));
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
