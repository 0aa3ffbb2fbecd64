//! Settings as one tree of JSON, laid together from file, command line and environment, with the origin of each value.
//!
//! Says nothing about which keys and values are right: that is `admit`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::coerce::Kind;
use super::findings::{ConfigError, Origin};
use super::keys::{self, Found};
use super::locate::{Path, Place, locate};
use super::table::KEYS;

/// The begin of a text.
const START: Place = Place { line: 1, column: 1 };

/// Settings and where they come from.
#[derive(Debug, Default)]
pub struct Tree {
    /// The settings.
    pub root: Map<String, Value>,
    /// Keys that the file holds more than once.
    pub doubles: Vec<(Path, Origin)>,
    origins: BTreeMap<Path, Origins>,
}

#[derive(Clone, Debug)]
struct Origins {
    key: Origin,
    value: Origin,
}

impl Tree {
    /// Reads a file's text, JSON5, which must be an object.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`].
    pub fn parse(file: &Arc<str>, text: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let syntax = |place, reason| ConfigError::Syntax { file: Arc::clone(file), place, reason };
        let value: Value = json5::from_str(text).map_err(|error| {
            let place =
                error.position().map_or(START, |at| Place { line: at.line + 1, column: at.column + 1 });
            let reason = error.code().map_or_else(|| error.to_string(), |code| code.to_string());
            // At the end of the text the place is the begin of the innermost object or list.
            let ended = reason.starts_with("EOF");
            syntax(place, if ended { "the file ends inside what begins here".to_owned() } else { reason })
        })?;
        let Value::Object(root) = value else {
            return Err(syntax(START, "expected an object of settings".to_owned()));
        };
        let found = locate(text);
        let origin = |place| Origin::File(Arc::clone(file), place);
        let origins = found.spots.into_iter();
        Ok(Tree {
            root,
            doubles: found.doubles.into_iter().map(|(path, place)| (path, origin(place))).collect(),
            origins: origins
                .map(|(path, spot)| (path, Origins { key: origin(spot.key), value: origin(spot.value) }))
                .collect(),
        })
    }

    /// Sets the value at `path` over what is there. Objects are laid over objects key by key.
    pub fn set(&mut self, path: &[String], value: Value, origin: &Origin) {
        let value = match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    self.set(&[path, &[name]].concat(), value, origin);
                }
                return;
            }
            value => value,
        };
        self.origins.retain(|known, _| !known.starts_with(path));
        self.origins.insert(path.to_vec(), Origins { key: origin.clone(), value: origin.clone() });
        insert(&mut self.root, path, value);
    }

    /// Where the value at `path` comes from.
    pub fn origin(&self, path: &[String]) -> Origin {
        self.nearest(path).map_or(Origin::Default, |origins| origins.value.clone())
    }

    /// Where the key at `path` stands.
    pub fn key_origin(&self, path: &[String]) -> Origin {
        self.nearest(path).map_or(Origin::Default, |origins| origins.key.clone())
    }

    /// All settings that are somewhere, with their origins, in the order of their paths.
    pub fn origins(&self) -> impl Iterator<Item = (String, &Origin)> {
        let leaf = |path: &Path| matches!(keys::find(path), Found::Key(_));
        self.origins
            .iter()
            .filter(move |(path, _)| leaf(path))
            .map(|(path, origins)| (path.join("."), &origins.value))
    }

    fn nearest(&self, path: &[String]) -> Option<&Origins> {
        (1..=path.len()).rev().find_map(|length| self.origins.get(&path[..length]))
    }
}

/// Puts `value` at `path`, making the objects on the way to it.
pub fn insert(root: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        root.insert(name.clone(), value);
        return;
    }
    let child = root.entry(name).or_insert(Value::Null);
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    if let Value::Object(child) = child {
        insert(child, rest, value);
    }
}

/// The value at `path`.
pub fn get<'a>(root: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (name, rest) = path.split_first()?;
    let value = root.get(name)?;
    if rest.is_empty() { Some(value) } else { get(value.as_object()?, rest) }
}

/// Adds the defaults of all settings that are in effect, and of each stream and mount.
pub fn fill(root: &mut Map<String, Value>) {
    for key in KEYS.iter().filter(|key| key.status == keys::Status::Active && !key.path.contains('*')) {
        fill_in(root, key.path, key.default_value());
    }
    root.entry("users").or_insert_with(|| Value::Object(Map::new()));
    for (section, holder) in [("streams", "streams.*."), ("sources", "sources.*.")] {
        let members = root.entry(section).or_insert_with(|| Value::Object(Map::new())).as_object_mut();
        for (name, member) in members.into_iter().flatten() {
            let Value::Object(member) = member else { continue };
            member.insert("key".into(), name.as_str().into());
            for (name, default) in defaults(holder) {
                member.entry(name).or_insert(default);
            }
        }
    }
}

/// Names and defaults of the settings directly below `holder`.
pub fn defaults(holder: &'static str) -> impl Iterator<Item = (&'static str, Value)> {
    let live = KEYS.iter().filter(|key| matches!(key.status, keys::Status::Active | keys::Status::Later));
    live.filter_map(move |key| Some((key.path.strip_prefix(holder)?, key.default_value())))
        .filter(|(name, _)| !name.contains('.'))
}

/// Puts `default` at `path` unless something is there, or a switch on the way is off. A switch that is on is an object.
fn fill_in(root: &mut Map<String, Value>, path: &str, default: Value) {
    let Some((name, rest)) = path.split_once('.') else {
        root.entry(path).or_insert(default);
        return;
    };
    let child = root.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if *child == Value::Bool(true) {
        *child = Value::Object(Map::new());
    }
    if let Value::Object(child) = child {
        fill_in(child, rest, default);
    }
}

/// Puts the mask in the place of everything secret in `object`, which is at `path`.
pub fn mask(object: &mut Map<String, Value>, path: &mut Path) {
    for (name, value) in object {
        path.push(name.clone());
        match (keys::find(path), value) {
            (Found::Key(key), value) if key.kind == Kind::Anything || !value.is_object() => {
                key.kind.mask(value);
            }
            (_, Value::Object(members)) => mask(members, path),
            _ => {}
        }
        path.pop();
    }
}

/// The value that a text of the command line or the environment gives to the setting at `path`; none for an object that
/// is none.
pub fn parse_text(path: &[String], text: &str) -> Option<Value> {
    let json = || json5::from_str::<Value>(text).ok();
    match keys::find(path) {
        Found::Section | Found::Nothing => json().filter(Value::is_object),
        Found::Key(key) => Some(match key.kind {
            Kind::Text | Kind::Secret | Kind::Hash => text.into(),
            kind if kind.is_list() || kind == Kind::Anything => json().unwrap_or_else(|| text.into()),
            Kind::Flag if text.starts_with('{') => json().unwrap_or_else(|| text.into()),
            _ if text == "null" => Value::Null,
            _ => text.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        text.split(':').map(str::to_owned).collect()
    }

    #[test]
    fn later_values_are_laid_over_earlier_ones_key_by_key() {
        let mut tree =
            Tree::parse(&"f".into(), "{log: {stdout: true, json: {file: 'a', level: 'info'}}}").unwrap();
        let origin = Origin::CommandLine("log".to_owned());
        tree.set(&path("log"), json!({"json": {"file": "b"}, "stdout": {"level": "debug"}}), &origin);
        assert_eq!(
            Value::Object(tree.root.clone()),
            json!({"log": {"stdout": {"level": "debug"}, "json": {"file": "b", "level": "info"}}})
        );
        assert_eq!(tree.origin(&path("log:json:file")), origin);
        assert_eq!(tree.origin(&path("log:json:level")).to_string(), "f:1:47");
        assert_eq!(tree.origin(&path("log:stdout:level:deeper")), origin);
        assert_eq!(tree.origin(&path("port")), Origin::Default);
    }

    #[test]
    fn every_way_of_saying_a_value_in_a_word_is_understood() {
        for (at, text, value) in [
            ("port", "9000", Some(json!("9000"))),
            ("api_port", "null", Some(Value::Null)),
            ("streams:x:metaTitle", "null", Some(json!("null"))),
            ("streams:x:source_password", "[1]", Some(json!("[1]"))),
            ("ua_skip", "[\"a\", 'b']", Some(json!(["a", "b"]))),
            ("ua_skip", "false", Some(json!(false))),
            ("ua_skip", "Bot|Spider", Some(json!("Bot|Spider"))),
            ("log:stdout", "false", Some(json!("false"))),
            ("log:stdout", "{level: 'debug'}", Some(json!({"level": "debug"}))),
            ("hls", "{segment_duration: 6}", Some(json!({"segment_duration": 6}))),
            ("session", "c2", None),
        ] {
            assert_eq!(parse_text(&path(at), text), value, "{at}={text}");
        }
    }
}
