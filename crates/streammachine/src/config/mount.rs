//! The settings of one mount.

use std::collections::BTreeMap;

use audio::Codec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::auth::{Credentials, Secret};
use wire::text::Charset;

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
    /// Passwords of users beside that, by name.
    #[serde(default, with = "values::secrets")]
    pub djs: BTreeMap<String, Secret>,
    /// Its number for SHOUTcast sources; none is its place among all mounts.
    #[serde(default)]
    pub sid: Option<u16>,
    /// Character set of titles that are no UTF-8; none is Windows-1252.
    #[serde(default, with = "values::charset")]
    pub charset: Option<Charset>,
    /// Codec that is expected; the bytes decide.
    #[serde(with = "values::codec")]
    pub format: Codec,
    /// Tell when it has no source.
    pub monitored: bool,
    /// What plays while no source is there: the fallback of a stream that it feeds.
    #[serde(skip)]
    pub fallback: Option<Fallback>,
}

/// Who a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    /// Somebody who knows the mount's password, under whatever user name.
    Source,
    /// A DJ with this name.
    Dj(String),
}

impl Person {
    /// The DJ's name.
    pub fn into_dj(self) -> Option<String> {
        match self {
            Person::Source => None,
            Person::Dj(name) => Some(name),
        }
    }
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
            djs: stream.djs.clone(),
            sid: stream.sid,
            charset: stream.charset,
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
        new.djs = patch::merge_djs(&self.djs, patch.get("djs"))?;
        new.fallback.clone_from(&self.fallback);
        Ok(new)
    }

    /// Who comes with these credentials; none if they fit nobody. Each password is compared in constant time.
    pub fn admit(&self, given: &Credentials) -> Option<Person> {
        let dj = self.djs.get(&given.user).is_some_and(|password| password.matches(&given.password));
        let source = self.password.as_ref().is_some_and(|password| password.matches(&given.password));
        if dj { Some(Person::Dj(given.user.clone())) } else { source.then_some(Person::Source) }
    }

    /// True if nobody may connect, whatever the password.
    pub fn is_closed(&self) -> bool {
        self.password.is_none() && self.djs.is_empty()
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
                json!({
                    "key": "m", "password": "***", "djs": {}, "sid": null, "charset": null, "format": "mp3",
                    "monitored": false,
                })
            );
            let same = new.merge(new.to_json().as_object().unwrap()).unwrap();
            assert_eq!(same, new);
        }
    }

    #[test]
    fn djs_are_added_changed_and_removed_one_by_one_and_never_shown() {
        let merge = |old: &MountConfig, patch: Value| old.merge(patch.as_object().unwrap());
        let old = merge(&MountConfig::with_key("m"), json!({"djs": {"anna": "a", "ben": 2}})).unwrap();
        assert_eq!(old.to_json()["djs"], json!({"anna": "***", "ben": "***"}));
        assert_eq!(merge(&old, old.to_json()), Ok(old.clone()));
        let new = merge(&old, json!({"djs": {"anna": null, "ben": "***", "cleo": "c"}})).unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let expected = [("ben".to_owned(), secret("2")), ("cleo".to_owned(), secret("c"))];
        assert_eq!(new.djs, BTreeMap::from(expected));
        assert!(merge(&new, json!({"djs": null})).unwrap().djs.is_empty());
        assert_eq!(
            merge(&new, json!({"djs": {"a:b": "x", "d": [1]}})).unwrap_err(),
            [
                "djs.a:b: a name has 1 to 64 characters and no colon",
                "djs.d: expected a password in one line, found a list",
            ]
        );
        assert_eq!(
            merge(&new, json!({"djs": "x"})).unwrap_err(),
            ["djs: expected an object of passwords by name"]
        );
    }

    #[test]
    fn djs_are_known_by_their_own_passwords_and_all_others_by_that_of_the_mount() {
        let patch = json!({"password": "pw", "djs": {"anna": "secret", "ben": "pw"}});
        let config = MountConfig::with_key("m").merge(patch.as_object().unwrap()).unwrap();
        let admit = |user: &str, password: &str| {
            config.admit(&Credentials { user: user.to_owned(), password: password.to_owned() })
        };
        let dj = |name: &str| Some(Person::Dj(name.to_owned()));
        for (user, password, person) in [
            ("anna", "secret", dj("anna")),
            ("ben", "pw", dj("ben")),
            ("anna", "pw", Some(Person::Source)),
            ("source", "pw", Some(Person::Source)),
            ("", "pw", Some(Person::Source)),
            ("ben", "secret", None),
            ("source", "secret", None),
            ("Anna", "secret", None),
            ("anna", "", None),
        ] {
            assert_eq!(admit(user, password), person, "{user} {password}");
        }
    }

    #[test]
    fn a_patch_leaves_the_fallback_alone() {
        let old = MountConfig { fallback: Some(Fallback::Programme), ..MountConfig::with_key("m") };
        let new = old.merge(json!({"format": "aac"}).as_object().unwrap()).unwrap();
        assert_eq!(new, MountConfig { format: Codec::Aac, ..old });
    }
}
