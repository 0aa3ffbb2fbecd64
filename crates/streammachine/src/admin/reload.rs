//! Reads the configuration anew and puts into effect what can change while the server runs.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::RegexSet;
use serde::Serialize;
use tokio::sync::Notify;

use crate::admin::Admin;
use crate::admin::access::Access;
use crate::base::cors::Cors;
use crate::base::live::Live;
use crate::base::service;
use crate::config::changes::{self, Change, InEffect};
use crate::config::{ConfigError, Loaded, Settings, Severity, Sources, load};
use crate::hls::HlsConfig;

/// Sets the least urgent level that is logged; none logs nothing.
pub type SetLogLevel = Box<dyn Fn(Option<&'static str>) + Send + Sync>;

/// What is needed to read the configuration anew, and what it changes.
pub struct Reload {
    /// Settings that are shared with who heeds them.
    pub live: LiveSettings,
    /// Asks for a reload; see [`Admin::reload_when_wanted`].
    pub wanted: Notify,
    sources: Sources,
    in_effect: Mutex<InEffect>,
    /// Cannot change while the server runs, and decides with others about the access to the API.
    behind_proxy: bool,
    set_log_level: SetLogLevel,
}

/// Settings that are shared with who heeds them.
#[derive(Debug)]
pub struct LiveSettings {
    /// The rule for pages of other origins.
    pub cors: Live<Cors>,
    /// User agents that are sent away.
    pub ua_skip: Live<RegexSet>,
    /// HTTP Live Streaming; the length of a segment stays.
    pub hls: Live<HlsConfig>,
    /// Who may use the API.
    pub access: Live<Access>,
    /// The API's users, who may set titles.
    pub users: Live<Access>,
    /// Sources at once.
    pub sources_max: Live<usize>,
    /// Whether every request is logged.
    pub log_requests: Live<bool>,
}

/// What a reload has done. Names of settings only: values may be secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What is in effect now.
    pub changed: Vec<String>,
    /// What differs from the file and stays until a restart.
    pub needs_restart: Vec<String>,
    /// What was found in the file that is no error.
    pub warnings: Vec<String>,
}

impl LiveSettings {
    fn new(settings: &Settings) -> Self {
        LiveSettings {
            cors: Live::new(settings.cors.clone()),
            ua_skip: Live::new(settings.ua_skip.clone()),
            hls: Live::new(hls(settings)),
            access: Live::new(access(settings, settings.behind_proxy)),
            users: Live::new(Access::Users(settings.users.clone())),
            sources_max: Live::new(settings.limits.sources_max),
            log_requests: Live::new(settings.debug_incoming_requests),
        }
    }

    fn set(&self, settings: &Settings, behind_proxy: bool) {
        self.cors.set(settings.cors.clone());
        self.ua_skip.set(settings.ua_skip.clone());
        self.hls.set(HlsConfig { segment: self.hls.get().segment, ..hls(settings) });
        self.access.set(access(settings, behind_proxy));
        self.users.set(Access::Users(settings.users.clone()));
        self.sources_max.set(settings.limits.sources_max);
        self.log_requests.set(settings.debug_incoming_requests);
    }
}

impl Reload {
    /// For a server that starts with `loaded`, which came from `sources`.
    pub fn new(sources: Sources, loaded: &Loaded, set_log_level: SetLogLevel) -> Self {
        Reload {
            live: LiveSettings::new(&loaded.settings),
            wanted: Notify::new(),
            sources,
            in_effect: Mutex::new(loaded.in_effect.clone()),
            behind_proxy: loaded.settings.behind_proxy,
            set_log_level,
        }
    }
}

impl Admin {
    /// Reads the configuration anew, and puts into effect what can be. What was changed over the API stays unless the file
    /// has changed there, too. Blocks while it reads.
    ///
    /// # Errors
    /// The configuration cannot be; nothing has changed then.
    pub fn reload_config(&self) -> Result<Reloaded, ConfigError> {
        let reload = &self.reload;
        // One after another, from reading on: the last one asked for is the last one in effect.
        let mut in_effect = reload.in_effect.lock();
        let loaded = load(&reload.sources).inspect_err(|error| {
            for line in error.to_string().lines() {
                tracing::error!(error = line, "the configuration was not reloaded: nothing has changed");
            }
        })?;
        let (live, fixed): (Vec<Change>, Vec<Change>) =
            in_effect.changes(&loaded.in_effect).into_iter().partition(Change::is_live);
        reload.live.set(&loaded.settings, reload.behind_proxy);
        self.audience.set_limit(loaded.settings.limits.listeners_max);
        (reload.set_log_level)(loaded.settings.log_level());
        self.patch(&live, &in_effect);
        live.iter().for_each(|change| in_effect.adopt(change));
        let names = |changes: &[Change]| changes.iter().map(Change::name).collect();
        let warnings = loaded.warnings.iter().filter(|finding| finding.severity != Severity::Note);
        let reloaded = Reloaded {
            changed: names(&live),
            needs_restart: names(&fixed),
            warnings: warnings.map(ToString::to_string).collect(),
        };
        reloaded.log();
        Ok(reloaded)
    }

    /// Reloads whenever [`Reload::wanted`] says so.
    pub async fn reload_when_wanted(self: Arc<Self>) {
        loop {
            self.reload.wanted.notified().await;
            service::reloading();
            let admin = Arc::clone(&self);
            // Its outcome is logged.
            let _ = tokio::task::spawn_blocking(move || admin.reload_config()).await;
            service::ready("serving");
        }
    }

    /// Gives streams and mounts what has changed for them.
    fn patch(&self, changes: &[Change], in_effect: &InEffect) {
        let patches = changes::patches(changes);
        for stream in self.streams.all() {
            let Some(patch) = changes::patch(&patches, "streams", stream.key()) else { continue };
            match stream.config().merge(patch) {
                Ok(config) => {
                    if !stream.set_config(config) {
                        tracing::warn!(stream = stream.key(), "the stream cannot keep up with its disk");
                    }
                }
                Err(errors) => tracing::error!(stream = stream.key(), ?errors, "settings were not taken"),
            }
        }
        for mount in self.mounts.all() {
            // A stream makes the mount that is not in the configuration by itself.
            let section = if in_effect.has_mount(mount.key()) { "sources" } else { "streams" };
            let Some(patch) = changes::patch(&patches, section, mount.key()) else { continue };
            match mount.config().merge(patch) {
                Ok(config) => mount.set_config(config),
                Err(errors) => tracing::error!(mount = mount.key(), ?errors, "settings were not taken"),
            }
        }
    }
}

impl Reloaded {
    fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        let changed = self.changed.join(" ");
        tracing::info!(changed, "the configuration was reloaded");
        if !self.needs_restart.is_empty() {
            let settings = self.needs_restart.join(" ");
            tracing::warn!(settings, "these settings have changed and need a restart");
        }
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its sources hold the environment and the command line, secrets and all.
        f.debug_struct("Reload").field("live", &self.live).finish_non_exhaustive()
    }
}

fn hls(settings: &Settings) -> HlsConfig {
    HlsConfig {
        segment: settings.segment_duration,
        window: settings.hls_window,
        full_index: settings.hls_full_index.clone(),
    }
}

fn access(settings: &Settings, behind_proxy: bool) -> Access {
    // Behind a proxy everybody comes from this machine.
    if settings.require_auth || behind_proxy {
        Access::Users(settings.users.clone())
    } else {
        Access::Loopback
    }
}
