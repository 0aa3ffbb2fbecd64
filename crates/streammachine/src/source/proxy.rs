//! The stream of another server as a source: pulled as a player does it, again and again, titles and all.
//!
//! It is one source however often its connection breaks. How a stream is asked for is in `proxy/client.rs`.

mod client;
mod patience;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::seldom::Seldom;
use crate::config::Upstream;
use crate::source::reader::{self, Limits};
use crate::source::{End, Output};
use client::{Ask, Trouble};
use patience::{TitleTrust, Told};
use wire::icy::Metadata;

/// From one try to the next at least; as the original. A connection that lasted longer is followed by the next at once.
const RETRY: Duration = Duration::from_secs(1);

/// What an upstream is asked for, and what is logged of it.
struct Proxy<'a> {
    upstream: &'a Upstream,
    mount: Uuid,
    limits: Limits,
    clock: Clock,
    output: &'a Output,
    titles: TitleTrust,
    news: Seldom,
    told: Told,
}

/// Relays `upstream` to `mount` until it is stopped.
pub async fn run(upstream: &Upstream, mount: Uuid, limits: Limits, clock: Clock, output: Output) {
    let (titles, news, told) = (TitleTrust::default(), Seldom::default(), Told::default());
    let mut proxy = Proxy { upstream, mount, limits, clock, output: &output, titles, news, told };
    let stop = &output.source.stop;
    loop {
        let next = Instant::now() + RETRY;
        match proxy.pull().await {
            Ok(End::Stopped) => break,
            Ok(end) => proxy.complain(&end),
            Err(trouble) => proxy.complain(&trouble),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep_until(next) => {}
        }
    }
    output.ended(End::Stopped).await;
}

impl Proxy<'_> {
    /// Asks once, and relays what is given to its end.
    async fn pull(&mut self) -> Result<End, Trouble> {
        let source = &self.output.source;
        let ask = Ask { mount: self.mount, titles: self.titles.asks(Instant::now()) };
        let (connection, opened) = tokio::select! {
            () = source.stop.cancelled() => return Ok(End::Stopped),
            opened = client::open(self.upstream, &ask) => opened?,
        };
        self.output.fed_by(opened.mounts);
        if self.news.ready() {
            tracing::info!(%source, id = %source.id, "upstream connected");
        }
        let before = source.audio_bytes();
        // The reader looks after stopping by itself, so that no frame is lost that was found.
        let end = reader::read(connection, opened.content, self.limits, self.clock, self.output).await;
        if ask.titles && self.titles.ended(&end, Instant::now()) {
            // What was told last would stay for good.
            self.output.metadata(Metadata::default()).await;
        }
        if end != End::Stopped && source.audio_bytes() > before && !self.output.interrupted().await {
            return Ok(End::Stopped);
        }
        Ok(end)
    }

    fn complain(&mut self, reason: &dyn std::fmt::Display) {
        if self.told.is_news(&reason.to_string(), Instant::now()) {
            let source = &self.output.source;
            tracing::warn!(%source, id = %source.id, %reason, "no audio from the upstream; trying again");
        }
    }
}
