//! The settings of the whole server, typed.
//!
//! Made from a tree that was held against the table and filled with its defaults, so nothing is judged here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex::{Regex, RegexSet};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Map, Value};
use wire::auth::Secret;

use super::mount::MountConfig;
use super::stream::StreamConfig;
use super::values;
use crate::base::cors::Cors;

/// The settings of the whole server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it does.
    pub mode: Mode,
    /// Address to listen on; none is all, IPv4 and IPv6.
    pub listen: Option<IpAddr>,
    /// Listeners' port; 0 is any free one.
    pub port: u16,
    /// Sources' port; 0 is any free one.
    pub source_port: u16,
    /// The API's own port; none has the API on `port`.
    pub api_port: Option<u16>,
    /// Whether a proxy in front sets `X-Forwarded-*`.
    pub behind_proxy: bool,
    /// Pages of which origins may play the streams.
    pub cors: Cors,
    /// User agents that are refused.
    pub ua_skip: RegexSet,
    /// Bounds.
    pub limits: Limits,
    /// Zone of clock times.
    pub timezone: TimeZone,
    /// Time between deliveries to a listener.
    pub chunk_duration: Duration,
    /// Length of an HLS segment.
    pub segment_duration: Duration,
    /// How much of the past an HLS playlist shows; none is all.
    pub hls_window: Option<Duration>,
    /// User agents that are shown all of it, others two minutes; none shows everybody the same.
    pub hls_full_index: Option<Regex>,
    /// A source is dropped after so long without audio.
    pub source_timeout: Duration,
    /// Directory of the rewind buffers; none keeps them in memory.
    pub rewind_dir: Option<PathBuf>,
    /// Socket at which a new process takes over.
    #[allow(dead_code, reason = "the handoff reads it")]
    pub handoff_socket: Option<PathBuf>,
    /// Streams by key.
    pub streams: BTreeMap<String, StreamConfig>,
    /// Mounts of their own, by key; see [`Settings::mounts`] for all.
    pub sources: BTreeMap<String, MountConfig>,
    /// Whether the API asks for a user.
    pub require_auth: bool,
    /// Hashes of the passwords of the API's users, by name.
    pub users: BTreeMap<String, Secret>,
    /// Log every request.
    pub debug_incoming_requests: bool,
    log_level: Option<&'static str>,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything.
    Standalone,
    /// Sources, for slaves.
    Master,
    /// Listeners, of a master's streams.
    Slave,
}

/// Bounds on what is served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Listeners; none is as many as descriptors allow.
    pub listeners_max: Option<usize>,
    /// Sources.
    pub sources_max: usize,
}

#[derive(Deserialize)]
struct CorsFields {
    enabled: bool,
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Seconds(#[serde(with = "values::seconds")] Duration);

impl Settings {
    /// Reads a filled tree.
    ///
    /// # Errors
    /// The path that holds something else than the table admits.
    pub(super) fn read(tree: &Map<String, Value>) -> Result<Self, (&'static str, Error)> {
        let zone = |name: String| TimeZone::get(&name).map_err(Error::custom);
        let seconds = |Seconds(duration)| Ok(duration);
        Ok(Settings {
            mode: at(tree, "mode", Ok)?,
            listen: at(tree, "listen", Ok)?,
            port: at(tree, "port", Ok)?,
            source_port: at(tree, "source_port", Ok)?,
            api_port: at(tree, "api_port", Ok)?,
            behind_proxy: at(tree, "behind_proxy", Ok)?,
            cors: at(tree, "cors", cors)?,
            ua_skip: at(tree, "ua_skip", |list: Vec<String>| RegexSet::new(list).map_err(Error::custom))?,
            limits: at(tree, "limits", Ok)?,
            timezone: at(tree, "timezone", zone)?,
            chunk_duration: at(tree, "chunk_duration", seconds)?,
            segment_duration: at(tree, "hls.segment_duration", seconds)?,
            hls_window: at(tree, "hls.window", |window: Option<Seconds>| Ok(window.map(|Seconds(it)| it)))?,
            hls_full_index: at(tree, "hls.limit_full_index", |pattern: Option<String>| {
                pattern.map(|pattern| Regex::new(&pattern).map_err(Error::custom)).transpose()
            })?,
            source_timeout: at(tree, "source_timeout", seconds)?,
            rewind_dir: at(tree, "rewind.dir", Ok)?,
            handoff_socket: at(tree, "handoff.socket", Ok)?,
            streams: at(tree, "streams", Ok)?,
            sources: at(tree, "sources", Ok)?,
            require_auth: at(tree, "admin.require_auth", Ok)?,
            users: at(tree, "users", users)?,
            debug_incoming_requests: at(tree, "debug_incoming_requests", Ok)?,
            log_level: at(tree, "log.stdout", |stdout: Value| Ok(log_level(&stdout)))?,
        })
    }

    /// All mounts by key: those of their own, and one for each stream that names no other.
    pub fn mounts(&self) -> Vec<MountConfig> {
        let mut mounts = self.sources.clone();
        for stream in self.streams.values().filter(|stream| stream.mount_key() == stream.key) {
            mounts.entry(stream.key.clone()).or_insert_with(|| MountConfig::of_stream(stream));
        }
        for stream in self.streams.values() {
            if let Some(mount) = mounts.get_mut(stream.mount_key()) {
                mount.fallback = mount.fallback.take().or_else(|| stream.fallback.clone());
            }
        }
        mounts.into_values().collect()
    }

    /// Least urgent level that is logged, as `tracing` names it; none logs nothing.
    pub fn log_level(&self) -> Option<&'static str> {
        self.log_level
    }
}

/// The value at `path`, read as `T` and made what the setting holds.
fn at<T: DeserializeOwned, U>(
    tree: &Map<String, Value>,
    path: &'static str,
    make: impl FnOnce(T) -> Result<U, Error>,
) -> Result<U, (&'static str, Error)> {
    let mut names = path.split('.');
    let first = names.next().and_then(|name| tree.get(name));
    let value = names.fold(first, |value, name| value?.get(name)).cloned().unwrap_or_default();
    serde_json::from_value(value).and_then(make).map_err(|error| (path, error))
}

fn cors(fields: CorsFields) -> Result<Cors, Error> {
    Ok(match fields.origin {
        _ if !fields.enabled => Cors::Off,
        Some(origin) => Cors::Only(origin),
        None => Cors::Reflect,
    })
}

fn users(hashes: BTreeMap<String, String>) -> Result<BTreeMap<String, Secret>, Error> {
    Ok(hashes.into_iter().map(|(name, hash)| (name, Secret::new(hash))).collect())
}

/// The original has more levels than `tracing`; each is the one it is most like.
fn log_level(stdout: &Value) -> Option<&'static str> {
    match stdout.get("level")?.as_str()? {
        "error" => Some("error"),
        "alert" | "warn" => Some("warn"),
        "event" | "info" => Some("info"),
        "silly" | "trace" => Some("trace"),
        _ => Some("debug"),
    }
}
