//! The settings of one stream.

use std::collections::BTreeMap;
use std::time::Duration;

use audio::Codec;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::auth::Secret;
use wire::text::Charset;

use super::fallback::Fallback;
use super::patch;
use super::schedule::ScheduleEntry;
use super::values;

/// Bytes a second of the densest format, MPEG layer II or III at 384 kbit/s rounded up.
const BYTES_PER_SECOND_MAX: u64 = 48_000;
/// Least bound on a rewind buffer's bytes: a few blocks, however few seconds are wanted.
const BYTES_MAX_MIN: u64 = 16 << 20;

/// The settings of one stream. Names in JSON are the original's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamConfig {
    /// Its key: its path without the leading slash.
    pub key: String,
    /// Station name for players.
    pub name: Option<String>,
    /// Description for players.
    pub description: Option<String>,
    /// Genre for players.
    pub genre: Option<String>,
    /// The station's web address for players.
    pub url: Option<String>,
    /// Codec that is expected; the bytes decide.
    #[serde(with = "values::codec")]
    pub format: Codec,
    /// Media type for listeners; none follows the format.
    pub content_type: Option<String>,
    /// Length of the rewind buffer.
    #[serde(with = "values::seconds")]
    pub seconds: Duration,
    bytes_max: Option<u64>,
    /// Audio sent at once to a new listener.
    #[serde(with = "values::seconds")]
    pub burst: Duration,
    /// Password of sources of a mount that the stream makes.
    #[serde(with = "values::secret")]
    pub source_password: Option<Secret>,
    /// The same mount's passwords of users beside that, by name.
    #[serde(default, with = "values::secrets")]
    pub djs: BTreeMap<String, Secret>,
    /// The same mount's number for SHOUTcast sources.
    #[serde(default)]
    pub sid: Option<u16>,
    /// The same mount's character set of titles.
    #[serde(default, with = "values::charset")]
    pub charset: Option<Charset>,
    /// Mount that feeds it; none is the one of its own key.
    pub source: Option<String>,
    /// What plays while no source is there.
    #[serde(with = "values::fallback")]
    pub fallback: Option<Fallback>,
    /// Title until another is set.
    #[serde(rename = "metaTitle")]
    pub meta_title: String,
    /// Web address sent with titles.
    #[serde(rename = "metaUrl")]
    pub meta_url: String,
    /// Whether titles from sources are taken: none takes those of authenticated requests, but not those in an upstream's
    /// audio.
    #[serde(rename = "acceptSourceMeta")]
    pub accept_source_meta: Option<bool>,
    /// Bytes of audio between two titles; at least 1.
    pub meta_interval: u32,
    /// A listener is closed when so many bytes are due and unsent.
    pub max_buffer: u64,
    /// Host in playlists for clients that name none.
    pub host: Option<String>,
    /// Where listeners elsewhere reach it, as written; see [`StreamConfig::listen_url`].
    listen_url: Option<String>,
    /// Whether directories may list it.
    pub public: bool,
    /// Addresses of the directories that it is announced to.
    pub directories: Vec<String>,
    /// What Radio-Browser is told.
    #[serde(flatten)]
    pub facts: StationFacts,
    /// Zone of its clock times; none is the server's.
    #[serde(with = "jiff::fmt::serde::tz::optional")]
    pub timezone: Option<TimeZone>,
    /// Programmes that come again.
    pub schedule: Vec<ScheduleEntry>,
    /// Whether each title is a programme of its own.
    pub programs_from_metadata: bool,
    /// Also served at `/`.
    pub root_route: bool,
    /// Group of streams that it is a variant of.
    pub group: Option<String>,
    /// Bits per second told in the group's playlist; 0 is what is measured.
    pub bandwidth: u64,
    /// Codec told in the group's playlist, as RFC 6381 names it; none is that of the audio.
    pub codec: Option<String>,
    /// Tell when its mount has no source.
    pub monitored: bool,
    /// Settings that have no effect in this version, as written.
    #[serde(flatten)]
    later: Map<String, Value>,
}

/// What listeners' heads tell Radio-Browser about the station, by its second version of stream metadata. Addresses and
/// codes are ASCII.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StationFacts {
    /// Take the facts from the heads.
    pub index_metadata: bool,
    /// Do not list the stream.
    pub do_not_index: bool,
    /// The stream that this is a variant of.
    pub main_stream_url: Option<String>,
    /// The logo's address.
    pub logo_url: Option<String>,
    /// Country, ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Part of the country, ISO 3166-2.
    pub country_subdivision_code: Option<String>,
    /// Languages, ISO 639.
    pub language_codes: Vec<String>,
}

impl StreamConfig {
    /// Settings that cannot change while the stream runs.
    pub(super) const FIXED: [&str; 10] = [
        "key",
        "format",
        "source",
        "source_password",
        "djs",
        "sid",
        "charset",
        "fallback",
        "acceptSourceMeta",
        "directories",
    ];

    /// All defaults, under this key.
    #[cfg(test)]
    pub fn with_key(key: &str) -> Self {
        patch::default("streams.*.", key)
    }

    /// Key of the mount that feeds it.
    pub fn mount_key(&self) -> &str {
        self.source.as_deref().unwrap_or(&self.key)
    }

    /// Most bytes of audio in the rewind buffer: as set, else what its seconds can take.
    pub fn bytes_max(&self) -> u64 {
        let needed = self.seconds.as_secs().saturating_mul(BYTES_PER_SECOND_MAX).max(BYTES_MAX_MIN);
        self.bytes_max.unwrap_or(needed)
    }

    /// Where listeners elsewhere reach it; none if neither the address nor a host is set.
    pub fn listen_url(&self) -> Option<String> {
        let at_host = || Some(format!("http://{}/{}", self.host.as_ref()?, self.key));
        self.listen_url.clone().or_else(at_host)
    }

    /// These settings with the known members of `patch`, which are named as in files; null sets the default, and a mask
    /// leaves a secret as it is.
    ///
    /// # Errors
    /// A line for each value that cannot be.
    pub fn merge(&self, patch: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut new: Self = patch::merge("streams", self, patch)?;
        patch::unmask(&mut new.source_password, &self.source_password);
        // What is shown stands for what is set, secrets and all.
        if let Some(old) = &self.fallback
            && new.fallback == Fallback::parse(&old.to_string())
        {
            new.fallback.clone_from(&self.fallback);
        }
        new.djs = patch::merge_djs(&self.djs, patch.get("djs"))?;
        Ok(new)
    }

    /// Names of the settings in which `new` differs that cannot change while the stream runs.
    pub fn fixed_changes(&self, new: &Self) -> Vec<&'static str> {
        let (old_values, new_values) = (patch::to_map(self), patch::to_map(new));
        let changed = |name: &&str| match *name {
            "source_password" => self.source_password != new.source_password,
            "djs" => self.djs != new.djs,
            "fallback" => self.fallback != new.fallback,
            name => old_values.get(name) != new_values.get(name),
        };
        Self::FIXED.into_iter().filter(changed).collect()
    }

    /// All settings with the original's names, defaults and all; secrets are masked.
    pub fn to_json(&self) -> Value {
        Value::Object(patch::to_map(self))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_api_shows_every_setting_under_its_name() {
        let config = StreamConfig::with_key("test").merge(&patch(json!({"source_password": "pw"}))).unwrap();
        // A text, because the macro for JSON cannot take so many members.
        let shown = r#"{
                "key": "test", "name": null, "description": null, "genre": null, "url": null, "format": "mp3",
                "content_type": null, "seconds": 14400, "bytes_max": null, "burst": 30, "source_password": "***",
                "djs": {}, "sid": null, "charset": null, "source": null, "fallback": null, "metaTitle": "", "metaUrl": "",
                "acceptSourceMeta": null,
                "meta_interval": 32768, "max_buffer": 4194304, "host": null, "listen_url": null,
                "public": false, "directories": [], "index_metadata": false, "do_not_index": false,
                "main_stream_url": null, "logo_url": null, "country_code": null, "country_subdivision_code": null,
                "language_codes": [], "timezone": null, "schedule": [], "programs_from_metadata": false, "root_route": false,
                "monitored": false, "group": null, "bandwidth": 0, "codec": null, "ffmpeg_args": null, "preroll": "",
                "preroll_key": "", "transcoder": "", "stream_key": null, "impression_delay": 5000,
                "log_interval": 30000, "log_minutes": true
            }"#;
        assert_eq!(config.to_json(), serde_json::from_str::<Value>(shown).unwrap());
    }

    #[test]
    fn what_the_api_shows_can_be_sent_back() {
        let all = json!({
            "name": "N", "burst": 2.5, "source_password": "pw", "fallback": "http://radio.example/live",
            "acceptSourceMeta": false, "timezone": "Europe/Berlin", "charset": "koi8-r", "preroll": "http://ads.example", "bytes_max": 2_000_000,
            "schedule": [{"name": "Night", "days": "fri-sun", "start": "22:00", "end": "02:00"}],
        });
        let config = StreamConfig::with_key("test").merge(&patch(all)).unwrap();
        assert_eq!(config.merge(&patch(config.to_json())), Ok(config));
    }

    #[test]
    fn a_patch_takes_known_keys_and_near_misses_only() {
        let old =
            StreamConfig::with_key("test").merge(&patch(json!({"burst": 5, "host": "a.example"}))).unwrap();
        let new = old
            .merge(&patch(json!({
                "key": "other", "seconds": "60", "root_route": "yes", "burst": null, "host": null, "nonsense": 1,
                "geolock": {"enabled": true}, "source_password": 1234,
            })))
            .unwrap();
        assert_eq!((new.key.as_str(), new.seconds, new.root_route), ("other", Duration::from_secs(60), true));
        assert_eq!((new.burst, new.host), (Duration::from_secs(30), None));
        assert_eq!(new.source_password, Some(Secret::new("1234".into())));
    }

    #[test]
    fn every_wrong_value_of_a_patch_is_told() {
        let errors =
            StreamConfig::with_key("test").merge(&patch(json!({"seconds": 0, "key": "a b", "burst": 1})));
        assert_eq!(
            errors.unwrap_err(),
            [
                "key: expected a key of 1 to 64 letters, digits, dots, dashes and underscores that is not reserved, \
                 found \"a b\"",
                "seconds: expected a number of seconds from 1 to 31,536,000, found 0",
            ]
        );
    }

    #[test]
    fn a_secret_stays_when_its_mask_comes_back_and_goes_when_null_comes() {
        let config = StreamConfig::with_key("test").merge(&patch(json!({"source_password": "pw"}))).unwrap();
        let same = config.merge(&patch(json!({"source_password": "***"}))).unwrap();
        assert_eq!(same.source_password, Some(Secret::new("pw".into())));
        for none in [json!(null), json!(""), json!(false)] {
            assert_eq!(config.merge(&patch(json!({"source_password": none}))).unwrap().source_password, None);
        }
    }

    #[test]
    fn settings_that_are_fixed_while_the_stream_runs_are_named() {
        let old = StreamConfig::with_key("test").merge(&patch(json!({"source_password": "pw"}))).unwrap();
        for (change, fixed) in [
            (
                json!({"key": "b", "format": "aac", "fallback": "builtin:programme"}),
                vec!["key", "format", "fallback"],
            ),
            (json!({"source_password": "other"}), vec!["source_password"]),
            (json!({"djs": {"anna": "x"}, "sid": 2, "charset": "latin2"}), vec!["djs", "sid", "charset"]),
            (json!({"source_password": "***", "seconds": 5, "name": "N", "root_route": true}), vec![]),
        ] {
            assert_eq!(old.fixed_changes(&old.merge(&patch(change)).unwrap()), fixed);
        }
    }

    #[test]
    fn what_is_secret_in_an_upstream_stays_when_its_mask_comes_back() {
        let address = "http://jo:pw@radio.example/live?token=t";
        let old = StreamConfig::with_key("test").merge(&patch(json!({"fallback": address}))).unwrap();
        assert_eq!(old.to_json()["fallback"], "http://***@radio.example/live?***");
        assert_eq!(old.fallback, Fallback::parse(address));
        for same in [old.to_json(), json!({"name": "N"}), json!({"fallback": address})] {
            assert_eq!(old.merge(&patch(same)).unwrap().fallback, old.fallback);
        }
        let other =
            old.merge(&patch(json!({"fallback": "http://jo:px@radio.example/live?token=t"}))).unwrap();
        assert_eq!(old.fixed_changes(&other), ["fallback"]);
    }

    #[test]
    fn the_bytes_of_a_rewind_buffer_follow_its_seconds_unless_set() {
        let bytes_max = |value| StreamConfig::with_key("test").merge(&patch(value)).unwrap().bytes_max();
        assert_eq!(bytes_max(json!({"seconds": 3600})), 172_800_000);
        assert_eq!(bytes_max(json!({"seconds": 1})), 16_777_216);
        assert_eq!(bytes_max(json!({"seconds": 3600, "bytes_max": 1_048_576})), 1_048_576);
    }
}
