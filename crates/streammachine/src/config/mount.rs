//! The settings of one mount.

use audio::Codec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::auth::Secret;

use super::fallback::Fallback;
use super::patch;
use super::stream::StreamConfig;
use super::values;

/// The settings of one mount. Names in JSON are the original's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MountConfig {
    /// Its key: its path on the source port without the leading slash.
    pub key: String,
    /// Password of sources; without one, no source may connect.
    #[serde(with = "values::secret")]
    pub password: Option<Secret>,
    /// Codec that is expected; the bytes decide.
    #[serde(with = "values::codec")]
    pub format: Codec,
    /// Tell when it has no source.
    pub monitored: bool,
    /// What plays while no source is there: the fallback of a stream that it feeds.
    #[serde(skip)]
    pub fallback: Option<Fallback>,
}

impl MountConfig {
    /// All defaults, under this key.
    #[cfg(test)]
    pub fn with_key(key: &str) -> Self {
        patch::default("sources.*.", key)
    }

    /// The mount that a stream makes for itself.
    pub fn of_stream(stream: &StreamConfig) -> Self {
        MountConfig {
            key: stream.key.clone(),
            password: stream.source_password.clone(),
            format: stream.format,
            monitored: stream.monitored,
            fallback: None,
        }
    }

    /// These settings with the known members of `patch`; as [`StreamConfig::merge`].
    ///
    /// # Errors
    /// A line for each value that cannot be.
    pub fn merge(&self, patch: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut new: Self = patch::merge("sources", self, patch)?;
        patch::unmask(&mut new.password, &self.password);
        new.fallback.clone_from(&self.fallback);
        Ok(new)
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

    #[test]
    fn a_password_has_two_names_and_the_shorter_wins() {
        let old = MountConfig::with_key("m");
        for (patch, password) in [
            (json!({"source_password": "a"}), "a"),
            (json!({"password": "a"}), "a"),
            (json!({"password": "a", "source_password": "b"}), "a"),
        ] {
            let new = old.merge(patch.as_object().unwrap()).unwrap();
            assert_eq!(new.password, Some(Secret::new(password.into())), "{patch}");
            assert_eq!(
                new.to_json(),
                json!({"key": "m", "password": "***", "format": "mp3", "monitored": false})
            );
            let same = new.merge(new.to_json().as_object().unwrap()).unwrap();
            assert_eq!(same, new);
        }
    }

    #[test]
    fn a_patch_leaves_the_fallback_alone() {
        let old = MountConfig { fallback: Some(Fallback::Programme), ..MountConfig::with_key("m") };
        let new = old.merge(json!({"format": "aac"}).as_object().unwrap()).unwrap();
        assert_eq!(new, MountConfig { format: Codec::Aac, ..old });
    }
}
