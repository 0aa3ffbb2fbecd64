//! The example, the schema and the reference page say what the table says.

use serde_json::{Map, Value, json};

use super::load_all;
use crate::config::keys::Status;
use crate::config::schema;
use crate::config::table::KEYS;

const EXAMPLE: &str = include_str!("../../../../../config/standalone.json");
const PAGE: &str = include_str!("../../../../../docs/ref/configuration.md");

/// What in `value` breaks `schema`, as far as the schema's words are those that are used here.
fn violations(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer number",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = schema["type"].as_array();
    if types.is_some_and(|types| !types.iter().any(|it| kind.split(' ').any(|kind| it == kind))) {
        found.push(format!("{path} is {kind}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{path} is none of the words"));
    }
    if let Some(number) = value.as_f64() {
        let outside = |word: &str, holds: fn(f64, f64) -> bool| {
            schema[word].as_f64().is_some_and(|it| !holds(number, it))
        };
        if outside("minimum", |number, it| number >= it) || outside("maximum", |number, it| number <= it) {
            found.push(format!("{path} is out of bounds"));
        }
    }
    for (name, member) in value.as_object().unwrap_or(&empty) {
        let path = format!("{path}/{name}");
        match properties.get(name).unwrap_or(&schema["additionalProperties"]) {
            Value::Bool(false) => found.push(format!("{path} is unknown")),
            schema => found.extend(violations(schema, member, &path)),
        }
    }
    found
}

#[test]
fn the_example_is_without_fault_and_fits_the_schema() {
    let loaded = load_all(EXAMPLE, &[], &[]).unwrap();
    assert_eq!(loaded.warnings, []);
    let settings = loaded.settings;
    assert_eq!((settings.port, settings.source_port), (8001, 8002));
    let stream = &settings.streams["test"];
    assert_eq!(stream.source_password.as_ref().unwrap().expose(), "testing");
    assert!(stream.root_route && stream.fallback.is_some());

    let example: Value = json5::from_str(EXAMPLE).unwrap();
    assert_eq!(violations(&schema::json_schema(), &example, ""), [""; 0]);
}

#[test]
fn the_schema_refuses_what_loading_refuses() {
    let schema = schema::json_schema();
    for (value, found) in [
        (
            json!({"port": 65_535, "log": {"stdout": false}, "ua_skip": false, "streams": {"a": {"host": null}}}),
            vec![],
        ),
        (json!({"port": 65_536}), vec!["/port is out of bounds"]),
        (json!({"prot": 1}), vec!["/prot is unknown"]),
        (
            json!({"streams": {"a": {"seconds": 0.5, "format": "ogg", "x": 1}}}),
            vec![
                "/streams/a/format is none of the words",
                "/streams/a/seconds is out of bounds",
                "/streams/a/x is unknown",
            ],
        ),
        (
            json!({"log": {"stdout": {"level": "loud", "x": 1}}}),
            vec!["/log/stdout/level is none of the words", "/log/stdout/x is unknown"],
        ),
        (json!({"users": {"jo": 1}}), vec!["/users/jo is integer number"]),
        (json!({"log": {"campfire": {}}}), vec!["/log/campfire is unknown"]),
        (json!({"alerts": {"email": {"mailer_options": {"host": "a", "port": 25}}}}), vec![]),
    ] {
        assert_eq!(violations(&schema, &value, ""), found, "{value}");
    }
}

#[test]
fn the_schema_describes_every_live_key() {
    let schema = schema::json_schema();
    for key in KEYS.iter().filter(|key| !matches!(key.status, Status::Dead(_))) {
        let described = key.path.split('.').fold(&schema, |schema, name| match name {
            "*" => &schema["additionalProperties"],
            name => &schema["properties"][name],
        });
        assert!(
            described["description"].as_str().is_some_and(|text| text.starts_with(key.doc)),
            "{}",
            key.path
        );
    }
}

#[test]
fn the_reference_page_is_what_the_program_prints_and_lists_every_key() {
    assert_eq!(PAGE, schema::reference(), "run: streammachine config reference > docs/ref/configuration.md");
    for key in KEYS {
        assert!(PAGE.contains(&format!("| `{}` | ", key.title())), "{}", key.path);
    }
}
