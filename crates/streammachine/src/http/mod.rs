//! The listener port: who connects, what is asked, and which of the two ways serves it.
//!
//! A request for a stream's audio is answered by the fast path, whatever came before it on its connection. Everything else
//! goes to the HTTP server.

pub mod front;
mod io;
mod kept;
mod pages;
mod programs;
mod router;
pub mod sources;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex::RegexSet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;
use wire::instant;
use wire::listen::{ListenPath, ListenQuery, Start};
use wire::path::split_target;

use crate::admin::Admin;
use crate::base::clock::{self, Clock};
use crate::base::cors::{Cors, Header};
use crate::base::gate::Gate;
use crate::base::live::Live;
use crate::hls::{self, Hls};
use crate::listener::delivery::Delivery;
use crate::listener::opening::{Opened, Refused, open};
use crate::listener::roster::{Roster, Who};
use crate::listener::{Audience, Hearing, Seat, answer, program};
use crate::mount::Mount;
use crate::mount::door::Door;
use crate::source::chain;
use crate::stream::Stream;
use crate::stream::registry::Registry;

/// What the listener port serves, and how.
#[derive(Debug)]
pub struct App {
    /// The host's clocks.
    pub clock: Clock,
    /// All streams.
    pub streams: Arc<Registry>,
    /// The API.
    pub admin: Arc<Admin>,
    /// What listeners go through.
    pub gate: Arc<Gate>,
    /// Takes metadata requests, which encoders send to any port.
    pub door: Arc<Door>,
    /// The seats.
    pub audience: Arc<Audience>,
    /// Who is listening.
    pub roster: Arc<Roster>,
    /// Connections that the HTTP server may have when all seats are taken: the API must answer then, too.
    pub http_reserve: Arc<Semaphore>,
    /// The fast path.
    pub delivery: Arc<Delivery>,
    /// The rule for pages of other origins.
    pub cors: Live<Cors>,
    /// User agents that are sent away.
    pub ua_skip: Live<RegexSet>,
    /// Whether `X-Forwarded-*` headers are believed.
    pub behind_proxy: bool,
    /// HTTP Live Streaming.
    pub hls: Arc<Hls>,
    /// Zone of times of day without one.
    pub zone: TimeZone,
    /// Connections whose head may be read at once.
    pub heads_max: usize,
    /// Whether every request is logged.
    pub log_requests: Live<bool>,
}

/// What a request says that decides about its answer, from whichever parser it came.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whether only the head of the answer is wanted.
    pub head_only: bool,
    /// Request target, as it came.
    pub target: &'a str,
    /// Who asks.
    pub who: Who<'a>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Icy-MetaData`.
    pub icy: Option<&'a str>,
    /// The mounts that are fed with it, if a server asks.
    pub puller: Option<&'a str>,
    /// `Range`, if it is to be heeded: `If-Range` asks for all when it cannot be said that nothing has changed.
    pub range: Option<&'a str>,
}

/// The answer to a request for audio.
#[derive(Debug)]
pub enum Answer {
    /// The audio of a stream.
    Audio {
        /// What was opened.
        opened: Box<Opened>,
        /// The listener's place.
        hearing: Hearing,
        /// The response's headers.
        headers: Vec<Header>,
    },
    /// The headers that the audio would have.
    Head(Vec<Header>),
    /// Something short.
    Short(Short),
}

/// What a connection of the HTTP server holds, given back when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held, not read")]
enum HttpPlace {
    Reserved(OwnedSemaphorePermit),
    Seat(Seat),
}

/// A short answer in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Status code.
    pub status: u16,
    /// Headers besides the content type.
    pub headers: Vec<Header>,
    /// The text.
    pub text: String,
}

impl Short {
    fn new(status: u16, text: impl Into<String>) -> Self {
        Short { status, headers: Vec::new(), text: text.into() }
    }

    fn with(mut self, headers: impl IntoIterator<Item = Header>) -> Self {
        self.headers.extend(headers);
        self
    }
}

impl App {
    /// The stream that a path names.
    pub fn find_stream(&self, path: &str) -> Option<Arc<Stream>> {
        // A key may look like something else, `news.pls` say: the exact key comes first.
        let exact = path.strip_prefix('/').and_then(|key| self.streams.find(key));
        exact.or_else(|| match ListenPath::decode(path) {
            ListenPath::Stream(key) => self.streams.find(&key),
            ListenPath::Root => self.streams.find_root(),
            _ => None,
        })
    }

    /// The stream whose audio a request for `path` is for; none if it is a browser's that wants to show a page. `header`
    /// finds a header as [`wire::head::Head`] decodes it: both ways of a request must come to the same.
    pub fn audio_at<'a>(
        &self,
        path: &str,
        header: impl Fn(&'static str) -> Option<Cow<'a, str>>,
    ) -> Option<Arc<Stream>> {
        let is_page =
            path == "/" && wants_page(header("accept").as_deref(), header("icy-metadata").as_deref());
        if is_page { None } else { self.find_stream(path) }
    }

    /// A place for a connection that the HTTP server keeps: of those set aside, else a listener's.
    fn http_place(&self) -> Option<HttpPlace> {
        let reserved = Arc::clone(&self.http_reserve).try_acquire_owned().ok().map(HttpPlace::Reserved);
        reserved.or_else(|| self.audience.seat().map(HttpPlace::Seat))
    }

    fn hls_context(&self) -> hls::answer::Context<'_> {
        hls::answer::Context { hls: &self.hls, streams: &self.streams, clock: &self.clock, zone: &self.zone }
    }

    /// Who makes a request with these headers over a connection from `peer`.
    pub fn who<'a>(&self, header: impl Fn(&str) -> Option<&'a str>, peer: SocketAddr) -> Who<'a> {
        Who {
            ip: wire::host::client_ip(&header, self.behind_proxy, peer.ip()),
            agent: header("user-agent"),
            referer: header("referer"),
        }
    }

    /// Refuses user agents that are not wanted.
    pub fn refuse_agent(&self, agent: Option<&str>, origin: Option<&str>) -> Option<Short> {
        let unwanted = agent.is_some_and(|agent| self.ua_skip.get().is_match(agent));
        unwanted.then(|| Short::new(403, "Invalid User Agent.").with(self.cors.get().headers(origin)))
    }

    /// Decides about a request for audio of `stream`.
    pub fn decide(&self, stream: &Arc<Stream>, ask: &Ask<'_>) -> Answer {
        if let Some(refusal) = self.refuse_agent(ask.who.agent, ask.origin) {
            return Answer::Short(refusal);
        }
        let cors = |short: Short| Answer::Short(short.with(self.cors.get().headers(ask.origin)));
        let opened = match self.open(stream, ask) {
            Ok(opened) => opened,
            Err(short) => return cors(short),
        };
        let mut headers = answer::headers(stream, &opened, &self.cors.get(), ask.origin);
        if ask.puller.is_some() {
            headers.push(("x-streammachine-source", chain::render(&self.chain_of(stream.mount()))));
        }
        if ask.head_only {
            return Answer::Head(headers);
        }
        let Some(seat) = self.audience.seat() else {
            return cors(Short::new(503, "No seat is free.\n").with([("retry-after", "30".to_owned())]));
        };
        let burst_bytes = opened.feed.due_bytes(self.clock.steady());
        let hearing = self.roster.enter(stream, seat, ask.who, burst_bytes);
        Answer::Audio { opened: Box::new(opened), hearing, headers }
    }

    fn open(&self, stream: &Arc<Stream>, ask: &Ask<'_>) -> Result<Opened, Short> {
        let bad = |reason: String| Short::new(400, reason + "\n");
        let (path, query) = split_target(ask.target).map_err(|error| bad(error.to_string()))?;
        let config = stream.config();
        let zone = config.timezone.as_ref().unwrap_or(&self.zone);
        let wall = self.clock.now().wall;
        let now = clock::timestamp(wall);
        let asked = ListenQuery::decode(&query, now, zone).map_err(|error| bad(error.to_string()))?;
        if let Some(canonical) = canonical_target(&path, &query, &asked) {
            let text = format!("The audio of that instant is at {canonical}\n");
            let headers = [("location", canonical), ("cache-control", "no-store".to_owned())];
            return Err(Short::new(302, text).with(headers));
        }
        let asked = program::resolve(stream, asked, wall).map_err(|missing| Short::new(404, missing.0))?;
        let mut burst = stream.config().burst;
        if let Some(puller) = ask.puller {
            self.admit_puller(stream, puller, &asked)?;
            // A server has no player to fill: its listeners would hear the burst's audio twice, once of each source.
            burst = Duration::ZERO;
        }
        let icy = ask.icy.is_some_and(|value| value.trim() == "1");
        let mut opened = open(stream, &asked, icy, burst, &self.clock).map_err(refusal)?;
        if !ask.head_only {
            opened.narrow(ask.range).map_err(refusal)?;
        }
        Ok(opened)
    }

    /// Refuses a server that would hear itself, and one that would hear the end of the last source at each of its tries.
    fn admit_puller(&self, stream: &Stream, puller: &str, asked: &ListenQuery) -> Result<(), Short> {
        let chain = self.chain_of(stream.mount());
        if chain::parse(Some(puller)).iter().any(|id| chain.contains(id)) {
            return Err(Short::new(403, "The stream would feed itself.\n"));
        }
        let heard = stream.mount().on_air().and_then(|source| source.format());
        if heard.is_some() || asked.start != Start::Live {
            return Ok(());
        }
        Err(Short::new(404, "No source is on air.\n"))
    }

    /// The mounts that `mount` hears, itself first. What those of this server hear is looked up, as it changes while they
    /// are pulled; other servers told at the start what theirs hear.
    fn chain_of(&self, mount: &Mount) -> Vec<Uuid> {
        let streams = self.streams.all();
        chain::follow(mount.id(), |id| {
            let found = streams.iter().map(|stream| stream.mount()).find(|mount| mount.id() == id);
            let line = found.map(|mount| mount.line());
            line.iter().flat_map(|line| line.iter()).flat_map(|source| source.upstreams().to_vec()).collect()
        })
    }
}

/// True if whoever asks is a browser that wants to show a page, not a player that wants to play.
fn wants_page(accept: Option<&str>, icy: Option<&str>) -> bool {
    icy.is_none() && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn refusal(refused: Refused) -> Short {
    let text = format!("{refused}\n");
    match refused {
        Refused::Outside { .. } | Refused::Nothing { .. } | Refused::Empty => Short::new(404, text),
        Refused::Beyond { length } => {
            Short::new(416, text).with([("content-range", format!("bytes */{length}"))])
        }
    }
}

/// Where `start` or `end` is said in a way that means another instant tomorrow, the target that always means this one.
fn canonical_target(path: &str, query: &wire::path::Query, asked: &ListenQuery) -> Option<String> {
    let relative = |name: &str| query.get(name).is_some_and(|text| !instant::is_absolute(text));
    if !relative("start") && !relative("end") {
        return None;
    }
    let wire::listen::Start::At(start) = asked.start else { return None };
    let mut pairs = vec![("start".to_owned(), seconds(start))];
    pairs.extend(asked.end.map(|end| ("end".to_owned(), seconds(end))));
    let replaced = ["start", "end", "duration", "tz", "fold"];
    let others = query.pairs().filter(|(name, _)| !replaced.contains(name));
    pairs.extend(others.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Some(wire::path::encode_target(path, &pairs))
}

fn seconds(instant: jiff::Timestamp) -> String {
    instant.as_second().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_for_browsers_and_audio_for_players() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(wants_page(Some(browser), None));
        assert!(!wants_page(Some("*/*"), None));
        assert!(!wants_page(None, None));
        assert!(!wants_page(Some(browser), Some("1")));
    }
}
