//! Changing one stream's or mount's settings, as the API does: known keys only, values held against the table.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::auth::Secret;

use super::coerce::Kind;
use super::keys::{self, Found, Status};
#[cfg(test)]
use super::tree::defaults;

/// Longest name of a DJ.
const DJ_CHARS_MAX: usize = 64;
/// Most DJs of a mount: each costs a comparison at every login.
pub const DJS_MAX: usize = 1_000;

/// `old` with the members of `patch` that are settings of `section` (`streams` or `sources`). Unknown members are left
/// out, null sets the default.
///
/// # Errors
/// A line for each value that cannot be.
pub fn merge<T>(section: &'static str, old: &T, patch: &Map<String, Value>) -> Result<T, Vec<String>>
where
    T: Serialize + DeserializeOwned,
{
    let mut members = to_map(old);
    let mut errors = Vec::new();
    for (name, value) in patch {
        let Found::Key(key) = keys::find(&[section, "*", name]) else { continue };
        let name = match key.status {
            Status::Dead(_) => continue,
            Status::Alias(target) => target.rsplit('.').next().unwrap_or(target),
            Status::Active | Status::Later => name,
        };
        match key.kind.coerce(value) {
            // A setting's other name yields to its own.
            Ok(_) if matches!(key.status, Status::Alias(_)) && patch.contains_key(name) => {}
            Ok(Value::Null) => drop(members.insert(name.to_owned(), key.default_value())),
            Ok(value) => drop(members.insert(name.to_owned(), value)),
            Err(error) => errors.push(format!("{name}: {error}")),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| vec![error.to_string()])
}

/// `old` with the members of `patch`, an object of passwords by name, if there is one: null removes, a mask leaves.
///
/// # Errors
/// A line for each value that cannot be.
pub fn merge_djs(
    old: &BTreeMap<String, Secret>,
    patch: Option<&Value>,
) -> Result<BTreeMap<String, Secret>, Vec<String>> {
    let mut djs = old.clone();
    let members = match patch {
        None => return Ok(djs),
        Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(vec!["djs: expected an object of passwords by name".to_owned()]),
    };
    let mut errors = Vec::new();
    for (name, value) in members {
        let checked = check_dj(name).map_err(str::to_owned).and_then(|()| Kind::Secret.coerce(value));
        match checked {
            Ok(Value::String(text)) if text == Secret::MASK => {}
            Ok(Value::String(text)) => drop(djs.insert(name.clone(), Secret::new(text))),
            Ok(_) => drop(djs.remove(name)),
            Err(error) => errors.push(format!("djs.{name}: {error}")),
        }
    }
    if djs.len() > DJS_MAX {
        errors.push(format!("djs: more than {DJS_MAX} names"));
    }
    if errors.is_empty() { Ok(djs) } else { Err(errors) }
}

/// Whether `name` can be the user name of a DJ.
///
/// # Errors
/// What it must be.
pub fn check_dj(name: &str) -> Result<(), &'static str> {
    let fits = (1..=DJ_CHARS_MAX).contains(&name.chars().count())
        && !name.contains(|it: char| it.is_control() || it == ':');
    if fits { Ok(()) } else { Err("a name has 1 to 64 characters and no colon") }
}

/// The defaults of a stream (`streams.*.`) or mount (`sources.*.`), with this key.
#[cfg(test)]
pub fn default<T: DeserializeOwned>(holder: &'static str, key: &str) -> T {
    let mut members: Map<String, Value> =
        defaults(holder).map(|(name, value)| (name.to_owned(), value)).collect();
    members.insert("key".to_owned(), key.into());
    serde_json::from_value(Value::Object(members)).expect("defaults in the table are what the settings hold")
}

/// All settings with the original's names; secrets are masked.
pub fn to_map<T: Serialize>(settings: &T) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(members)) => members,
        other => unreachable!("settings are an object of JSON: {other:?}"),
    }
}

/// A mask that comes back in place of a secret stands for the secret.
pub fn unmask(new: &mut Option<Secret>, old: &Option<Secret>) {
    if new.as_ref().is_some_and(|secret| secret.expose() == Secret::MASK) {
        new.clone_from(old);
    }
}
