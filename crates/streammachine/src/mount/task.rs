//! The task that owns a mount: it puts sources in order and passes on the frames of the one on air.

use std::sync::Arc;
use std::time::Duration;

use audio::Batch;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use wire::icy::Metadata;

use crate::base::clock::Clock;
use crate::base::task as tasks;
use crate::mount::order::Order;
use crate::mount::{Command, Event, Fallback, Line, Tap};
use crate::source::{End, Origin, Output, Report, Source, builtin, file, proxy};

pub(super) struct Task {
    key: String,
    fallback: Option<Fallback>,
    clock: Clock,
    reports: mpsc::Sender<(Uuid, Report)>,
    announce: watch::Sender<Line>,
    order: Order,
    on_air: Option<Uuid>,
    metadata: Option<Metadata>,
    taps: Vec<Tap>,
    played_before: bool,
    ending: bool,
}

impl Task {
    pub(super) fn new(
        key: String,
        fallback: Option<Fallback>,
        clock: Clock,
        reports: mpsc::Sender<(Uuid, Report)>,
        announce: watch::Sender<Line>,
    ) -> Self {
        Task {
            key,
            fallback,
            clock,
            reports,
            announce,
            order: Order::default(),
            on_air: None,
            metadata: None,
            taps: Vec::new(),
            played_before: false,
            ending: false,
        }
    }

    /// Runs until every handle is gone.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut reports: mpsc::Receiver<(Uuid, Report)>,
    ) {
        loop {
            tokio::select! {
                biased;
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some((id, report)) = reports.recv() => self.hear(id, report),
            }
        }
        self.order.iter().for_each(|source| source.stop.cancel());
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add(source) => {
                tracing::info!(mount = self.key, source = %source, id = %source.id, "source connected");
                if self.ending {
                    source.stop.cancel();
                }
                self.order.add(source);
                self.settle();
            }
            Command::Metadata(metadata) => {
                self.metadata = Some(metadata.clone());
                self.tell(&Event::Metadata(metadata));
            }
            Command::Tap(mut tap) => {
                // One that comes late hears who is on air and what was said last.
                let started = self.order.active().cloned().map(Event::Started);
                let said = self.metadata.clone().map(Event::Metadata);
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
            Report::Frames(batches) => {
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
                if let Some(source) = self.order.remove(id) {
                    log_end(&end, &source);
                    // A fallback ends by itself only when it is stopped: it is wanted again at once, or not at all.
                    self.settle();
                }
            }
        }
    }

    /// A source that lost its connection gives nothing until it has another: others may take its place.
    fn begin_anew(&mut self, id: Uuid) {
        self.settle();
        if self.on_air == Some(id)
            && let Some(source) = self.order.active().cloned()
        {
            self.tell(&Event::Started(source));
        }
    }

    /// Makes what is on air agree with the order, and the fallback with the need for it.
    fn settle(&mut self) {
        if self.order.wants_fallback() {
            self.start_fallback();
        } else {
            self.stop_fallback();
        }
        let active = self.order.active().cloned();
        let id = active.as_ref().map(|source| source.id);
        if id != self.on_air {
            self.on_air = id;
            let event = active.map_or(Event::Stopped, Event::Started);
            self.tell(&event);
        }
        self.announce.send_replace(self.order.iter().cloned().collect());
    }

    fn start_fallback(&mut self) {
        // Without a tap nobody hears it: its first start waits for one.
        if self.ending || self.order.active().is_some() || self.taps.is_empty() {
            return;
        }
        let Some(fallback) = self.fallback.clone() else { return };
        let origin = match &fallback {
            Fallback::Programme { .. } => Origin::Programme,
            Fallback::File(path) => Origin::File(path.clone()),
            Fallback::Proxy { upstream, .. } => Origin::Proxy(upstream.clone()),
        };
        let source = Source::of_fallback(origin, self.clock.now().wall);
        let output = Output::new(Arc::clone(&source), self.reports.clone());
        self.order.add(source);
        let again = std::mem::replace(&mut self.played_before, true);
        let clock = self.clock;
        match fallback {
            Fallback::Programme { zone, lead_in } => {
                let lead_in = if again { Duration::ZERO } else { lead_in };
                tasks::spawn("programme", builtin::run(zone, lead_in, clock, output));
            }
            Fallback::File(path) => {
                tasks::spawn("file", async move { file::run(&path, clock, output).await });
            }
            Fallback::Proxy { upstream, limits } => {
                tasks::spawn("proxy", async move { proxy::run(&upstream, limits, clock, output).await });
            }
        }
    }

    fn stop_fallback(&mut self) {
        let fallbacks = self.order.iter().filter(|source| source.is_fallback());
        let ids: Vec<Uuid> =
            fallbacks.inspect(|source| source.stop.cancel()).map(|source| source.id).collect();
        for id in ids {
            if let Some(source) = self.order.remove(id) {
                log_end(&End::Stopped, &source);
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        let now = self.clock.now();
        self.taps.retain_mut(|tap| tap(event, now));
    }
}

fn log_end(end: &End, source: &Source) {
    tracing::info!(source = %source, id = %source.id, reason = %end, "source ended");
}

fn frames(batches: Vec<Batch>) -> Event {
    Event::Frames(batches.into())
}
