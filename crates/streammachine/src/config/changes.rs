//! What differs between the settings in effect and those of a file that was read anew, and what of it can take effect
//! while the server runs.

use std::fmt;

use serde_json::{Map, Value};

use super::keys::{self, Found, Key, Status};
use super::stream::StreamConfig;
use super::tree::{get, insert};

/// Settings of the whole server and of mounts that take effect while it runs. Those of streams do, but for the ones that
/// `StreamConfig` names.
const LIVE: &[&str] = &[
    "cors.enabled",
    "cors.origin",
    "ua_skip",
    "limits.listeners_max",
    "limits.sources_max",
    "hls.limit_full_index",
    "hls.window",
    "admin.require_auth",
    "users.*",
    "debug_incoming_requests",
    "log.stdout",
    "log.stdout.level",
    "sources.*.password",
    "sources.*.djs.*",
    "sources.*.sid",
    "sources.*.charset",
    "sources.*.format",
];
/// Settings of a stream that are those of the mount that it makes, which take effect there.
const OF_MOUNT: &[&str] = &["source_password", "djs", "sid", "charset"];

/// All settings in effect, by name, secrets too: to be compared, never to be shown.
#[derive(Clone, Default)]
pub struct InEffect(Map<String, Value>);

/// One setting that differs, or one stream or mount that is there or gone.
#[derive(Clone)]
pub struct Change {
    path: Vec<String>,
    /// None if it is gone.
    value: Option<Value>,
}

impl InEffect {
    pub(super) fn new(taken: Map<String, Value>) -> Self {
        InEffect(taken)
    }

    /// In what `new` differs, in the order of names.
    pub fn changes(&self, new: &InEffect) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(Some(&self.0), Some(&new.0), &mut Vec::new(), &mut changes);
        changes
    }

    /// Takes over a change.
    pub fn adopt(&mut self, change: &Change) {
        match &change.value {
            Some(value) => insert(&mut self.0, &change.path, value.clone()),
            None => remove(&mut self.0, &change.path),
        }
    }

    /// True if there is a mount of its own with this key.
    pub fn has_mount(&self, key: &str) -> bool {
        self.0.get("sources").is_some_and(|mounts| mounts.get(key).is_some())
    }
}

impl Change {
    /// The setting, segments joined by dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// True if it takes effect while the server runs.
    pub fn is_live(&self) -> bool {
        let Found::Key(key) = keys::find(&self.path) else { return false };
        key.status == Status::Later || LIVE.contains(&key.path) || is_live_in_stream(key)
    }
}

/// The changed members of each stream and mount, as patches: `streams` and `sources`, then by key. What is gone is null.
pub fn patches(changes: &[Change]) -> Map<String, Value> {
    let mut patches = Map::new();
    for change in changes {
        insert(&mut patches, &change.path, change.value.clone().unwrap_or_default());
    }
    patches
}

/// The patch for the stream or mount `key` in `section`.
pub fn patch<'a>(
    patches: &'a Map<String, Value>,
    section: &str,
    key: &str,
) -> Option<&'a Map<String, Value>> {
    get(patches, &[section.to_owned(), key.to_owned()])?.as_object()
}

/// By names only: values may be secret.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for InEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InEffect")
    }
}

fn is_live_in_stream(key: &Key) -> bool {
    let Some(name) = key.path.strip_prefix("streams.*.") else { return false };
    let name = name.split('.').next().unwrap_or(name);
    OF_MOUNT.contains(&name) || !StreamConfig::FIXED.contains(&name)
}

fn compare(
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    path: &mut Vec<String>,
    changes: &mut Vec<Change>,
) {
    let both = old.into_iter().chain(new).flat_map(Map::keys);
    let mut names: Vec<&String> = both.collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |side: Option<&Map<String, Value>>| side.and_then(|members| members.get(name)).cloned();
        let (old, new) = (of(old), of(new));
        if old == new {
            continue;
        }
        path.push(name.clone());
        let objects = [&old, &new].map(|side| side.as_ref().is_none_or(Value::is_object));
        // A stream or mount is there or gone as a whole.
        let is_whole = is_member(path) && (old.is_none() || new.is_none());
        if objects == [true, true] && keys::has_children(path) && !is_whole {
            let members = [&old, &new].map(|side| side.as_ref().and_then(Value::as_object));
            compare(members[0], members[1], path, changes);
        } else {
            changes.push(Change { path: path.clone(), value: new });
        }
        path.pop();
    }
}

/// True for the path of a stream or mount.
fn is_member(path: &[String]) -> bool {
    matches!(path, [section, _] if section == "streams" || section == "sources")
}

fn remove(root: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [name] => drop(root.remove(name)),
        [name, rest @ ..] => {
            if let Some(Value::Object(child)) = root.get_mut(name) {
                remove(child, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_text;
    use crate::config::table::KEYS;

    fn in_effect(text: &str) -> InEffect {
        load_text("f", text).unwrap().in_effect
    }

    /// The names of all changes from `old` to `new`, those marked that need a restart.
    fn told(old: &str, new: &str) -> Vec<String> {
        let changes = in_effect(old).changes(&in_effect(new));
        changes.iter().map(|it| if it.is_live() { it.name() } else { format!("! {}", it.name()) }).collect()
    }

    #[test]
    fn every_setting_that_changes_is_named_and_whether_it_takes_effect() {
        const HASH: &str = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
        for (old, new, expected) in [
            ("{}", "{}", vec![]),
            ("{port: 8000}", "{port: '8000'}", vec![]),
            ("{}", "{port: 1, cors: {enabled: false}}", vec!["cors.enabled", "! port"]),
            ("{}", "{hls: {window: 60, segment_duration: 6}}", vec!["! hls.segment_duration", "hls.window"]),
            ("{}", "{rewind: {dir: '/a'}, chunk_duration: 1}", vec!["! chunk_duration", "! rewind.dir"]),
            ("{}", "{log: {stdout: {level: 'debug'}}}", vec!["log.stdout.level"]),
            ("{}", "{log: {stdout: false}}", vec!["log.stdout"]),
            ("{}", &format!("{{users: {{jo: '{HASH}'}}}}"), vec!["users.jo"]),
            (&format!("{{users: {{jo: '{HASH}'}}}}"), "{}", vec!["users.jo"]),
            ("{streams: {a: {}}}", "{streams: {b: {}}}", vec!["! streams.a", "! streams.b"]),
            ("{}", "{sources: {m: {password: 'x'}}}", vec!["! sources.m"]),
            (
                "{sources: {m: {password: 'x', djs: {jo: 'a'}}}}",
                "{sources: {m: {source_password: 'y', djs: {ben: 'a'}}}}",
                vec!["sources.m.djs.ben", "sources.m.djs.jo", "sources.m.password"],
            ),
            (
                "{streams: {a: {source_password: 'x', djs: {jo: 'a'}}}}",
                "{streams: {a: {source_password: 'y', burst: 5, format: 'aac', fallback: 'builtin:programme'}}}",
                vec![
                    "streams.a.burst",
                    "streams.a.djs.jo",
                    "! streams.a.fallback",
                    "! streams.a.format",
                    "streams.a.source_password",
                ],
            ),
        ] {
            assert_eq!(told(old, new), expected, "{old} {new}");
        }
    }

    #[test]
    fn what_is_taken_over_is_no_change_any_more() {
        let old = "{port: 1, streams: {a: {burst: 1, djs: {jo: 'x'}}}}";
        let (mut running, new) = (in_effect(old), in_effect("{port: 2, streams: {a: {burst: 2}}}"));
        for change in running.changes(&new).iter().filter(|change| change.is_live()) {
            running.adopt(change);
        }
        let left: Vec<String> = running.changes(&new).iter().map(Change::name).collect();
        assert_eq!(left, ["port"]);
    }

    #[test]
    fn patches_hold_what_has_changed_and_null_for_what_is_gone() {
        let old = in_effect("{streams: {a: {name: 'A', djs: {jo: 'x'}}, b: {}}}");
        let new = in_effect("{streams: {a: {burst: 2}, b: {}}}");
        let patches = patches(&old.changes(&new));
        let patch = |key| patch(&patches, "streams", key).cloned().map(Value::Object);
        assert_eq!(patch("a"), Some(serde_json::json!({"burst": 2, "djs": {"jo": null}, "name": null})));
        assert_eq!(patch("b"), None);
        assert!(!format!("{old:?}{:?}", old.changes(&new)).contains('x'));
    }

    #[test]
    fn every_live_setting_is_one() {
        for path in LIVE {
            assert!(KEYS.iter().any(|key| key.path == *path), "{path}");
        }
    }
}
