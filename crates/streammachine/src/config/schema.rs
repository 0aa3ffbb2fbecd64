//! The settings described for others: a JSON Schema for editors, and the reference page.
//!
//! Both are made from the table, so that they cannot fall behind.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::coerce::Kind;
use super::keys::{Key, Status};
use super::table::KEYS;

/// The settings as a JSON Schema, draft 2020-12. It admits the proper form of each value.
pub fn json_schema() -> Value {
    let mut root = section();
    for key in KEYS.iter().filter(|key| !matches!(key.status, Status::Dead(_))) {
        let names: Vec<&str> = key.path.split('.').collect();
        add(&mut root, &names, key);
    }
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "StreamMachine configuration".into();
    root
}

fn section() -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": false })
}

fn add(parent: &mut Value, names: &[&str], key: &Key) {
    let Some((name, rest)) = names.split_first() else { return };
    if name == &"*" {
        let below = if rest.is_empty() { describe(key) } else { section() };
        let member = &mut parent["additionalProperties"];
        if member == &Value::Bool(false) {
            *member = below;
        }
        return add(member, rest, key);
    }
    if rest.is_empty() {
        parent["properties"][*name] = describe(key);
        return;
    }
    let member = &mut parent["properties"][*name];
    match member {
        Value::Null => *member = section(),
        // A switch that may also be an object of settings.
        Value::Object(known) if known["type"] == json!(["boolean", "null"]) => {
            known.insert("type".into(), json!(["boolean", "object", "null"]));
            known.insert("additionalProperties".into(), Value::Bool(false));
        }
        _ => {}
    }
    add(member, rest, key);
}

fn describe(key: &Key) -> Value {
    let mut schema = shape(&key.kind);
    schema.insert("description".into(), described(key).into());
    let default = key.default_value();
    if !default.is_null() {
        schema.insert("default".into(), default);
    }
    Value::Object(schema)
}

fn described(key: &Key) -> String {
    match key.status {
        Status::Later => format!("{} Not implemented in this version.", key.doc),
        Status::Active | Status::Alias(_) | Status::Dead(_) => key.doc.to_owned(),
    }
}

fn shape(kind: &Kind) -> Map<String, Value> {
    let shape = match kind {
        Kind::Flag => json!({ "type": ["boolean", "null"] }),
        Kind::Port => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u16::MAX }),
        Kind::Whole { min, max, .. } => {
            json!({ "type": ["integer", "null"], "minimum": min, "maximum": max })
        }
        Kind::Seconds { min, max } => json!({ "type": ["number", "null"], "minimum": min, "maximum": max }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Patterns | Kind::WebAddresses | Kind::Languages => {
            json!({ "type": ["array", "boolean", "null"], "items": { "type": "string" } })
        }
        Kind::Schedule => json!({ "type": ["array", "boolean", "null"], "items": { "type": "object" } }),
        Kind::Origin => json!({ "type": ["string", "boolean", "null"] }),
        Kind::Anything => json!({}),
        Kind::Text
        | Kind::Secret
        | Kind::Hash
        | Kind::Pattern
        | Kind::Address
        | Kind::Zone
        | Kind::Fallback
        | Kind::Path
        | Kind::Name
        | Kind::MountName
        | Kind::MediaType
        | Kind::Charset
        | Kind::WebAddress
        | Kind::Country
        | Kind::Subdivision => json!({ "type": ["string", "null"] }),
    };
    match shape {
        Value::Object(shape) => shape,
        _ => Map::new(),
    }
}

/// The reference page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let of = |wanted: fn(Status) -> bool| KEYS.iter().filter(move |key| wanted(key.status));
    page.push_str("\n## In effect\n\n| Key | Default | Value | |\n| --- | --- | --- | --- |\n");
    for key in of(|status| status == Status::Active) {
        row(&mut page, key);
    }
    page.push_str("\n## Other names\n\n| Key | Use instead |\n| --- | --- |\n");
    for key in of(|status| matches!(status, Status::Alias(_))) {
        let target = KEYS.iter().find(|target| key.status == Status::Alias(target.path));
        let _ = writeln!(page, "| `{}` | `{}` |", key.title(), target.map(Key::title).unwrap_or_default());
    }
    page.push_str(LATER);
    for key in of(|status| status == Status::Later) {
        row(&mut page, key);
    }
    page.push_str("\n## Without effect\n\n| Key | Why |\n| --- | --- |\n");
    for key in of(|status| matches!(status, Status::Dead(_))) {
        let _ = writeln!(page, "| `{}` | {} |", key.title(), key.doc);
    }
    page
}

fn row(page: &mut String, key: &Key) {
    let value = key.kind.expected().replace('|', "\\|");
    let _ = writeln!(page, "| `{}` | `{}` | {value} | {} |", key.title(), key.default, key.doc);
}

const INTRODUCTION: &str = "# Configuration

This page is made by `streammachine config reference`. [config/standalone.json](../../config/standalone.json) is a file to
start from.

Settings come from the environment, the command line, a file and the defaults; the first of these that has a setting
wins.

- The file is named by `--config FILE`, else by the environment variable `config` or `CONFIG`, else it is
  `/etc/streammachine.conf`, which may be missing. It is JSON; comments, trailing commas, bare keys and the rest of JSON5
  are fine.
- On the command line: `--port=9000` or `--port 9000`; nested settings with colons, `--hls:segment_duration=6`,
  `--streams:KEY:seconds=3600`; switches `--behind_proxy` and `--no-log:stdout`.
- In the environment: a variable with the setting's exact name, `port=9000`; nested ones with colons or double
  underscores, `hls__segment_duration=6`.

Numbers and switches may be written as texts. `null` is the default. Unknown keys are warned of at the start and are errors
of `streammachine config check`; a wrong value stops the start, with its file, line and column.
";

const LATER: &str = "
## Not implemented yet

These are known, their values are checked, and they have no effect in this version; `mode` can only be `standalone`.

| Key | Default | Value | |
| --- | --- | --- | --- |
";
