//! Changing one stream's or mount's settings, as the API does: known keys only, values held against the table.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::auth::Secret;

use super::keys::{self, Found, Status};
#[cfg(test)]
use super::tree::defaults;

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
