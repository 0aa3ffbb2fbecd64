//! The programmes of a stream over the API: listed, made, changed and removed.

// An error is a response, made once for a request: its size does not matter.
#![allow(clippy::result_large_err)]

use std::sync::Arc;

use audio::Time;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use wire::instant;
use wire::metadata::{CHARACTERS_MAX, clean};
use wire::path::encode_target;

use crate::admin::Admin;
use crate::admin::api::{Answer, fields, find, invalid, problem};
use crate::base::clock::{self, iso};
use crate::config::{PROGRAM_NAME_CHARS_MAX, is_web_address};
use crate::listener::program::playlist_pairs;
use crate::stream::Stream;
use crate::stream::programs::{Maker, Program, ProgramError, TITLE_PREFIX};

/// Longest id.
const ID_BYTES_MAX: usize = 64;
/// Most lines about one request.
const ERRORS_MAX: usize = 20;
/// What `program=` means something else by.
const WORDS: [&str; 2] = ["current", "previous"];

/// A programme of `stream` as everybody may see it at `now`.
pub fn shown(stream: &Stream, program: &Program, now: Time) -> Value {
    let span = stream.log().span();
    let ended = program.ended(now);
    let is_whole =
        span.is_some_and(|span| span.start <= program.start && ended.unwrap_or(program.start) <= span.end);
    let text = |time: Option<Time>| time.map(|time| instant::encode(clock::timestamp(time)));
    let pairs = |end: Option<Time>| {
        let instants = [("start", text(Some(program.start))), ("end", text(end))];
        instants.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect::<Vec<_>>()
    };
    let raw = format!("/{}", stream.key());
    let playlist = format!("/{}.m3u8", stream.key());
    json!({
        "id": program.id,
        "name": program.name,
        "start": iso(program.start),
        "end": program.end.map(iso),
        "description": program.description,
        "url": program.url,
        "image": program.image,
        "running": program.is_running(now),
        "complete": is_whole,
        "links": {
            "listen": encode_target(&raw, &pairs(None)),
            "hls": encode_target(&playlist, &playlist_pairs(program, now)),
            "download": ended.map(|end| encode_target(&raw, &pairs(Some(end)))),
        },
    })
}

/// The same with what only operators need.
fn described(stream: &Stream, program: &Program, now: Time) -> Value {
    let mut shown = shown(stream, program, now);
    shown["made_by"] = match program.made_by {
        Maker::Api => "api",
        Maker::Schedule => "schedule",
        Maker::Metadata => "metadata",
    }
    .into();
    shown
}

pub(super) async fn list(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    let (stream, now) = (find(&admin, &key)?, admin.clock.now().wall);
    let listed = stream.programs().list(now);
    let programs = listed.programs.iter().map(|program| described(&stream, program, now));
    Ok(Json(programs.collect::<Vec<_>>()).into_response())
}

pub(super) async fn one(State(admin): State<Arc<Admin>>, Path((key, id)): Path<(String, String)>) -> Answer {
    let (stream, now) = (find(&admin, &key)?, admin.clock.now().wall);
    let listed = stream.programs().list(now);
    let program = listed.programs.iter().find(|program| program.id == id);
    let program = program.ok_or_else(|| refused(&ProgramError::Unknown))?;
    Ok(Json(described(&stream, program, now)).into_response())
}

pub(super) async fn add(
    State(admin): State<Arc<Admin>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (stream, now) = (find(&admin, &key)?, admin.clock.now().wall);
    let mut fields = fields(&headers, &body)?;
    let id = fields.remove("id").filter(|id| !id.is_null());
    let zone = stream.programs().zone();
    let added = stream.programs().add(now, |program| {
        let mut errors = Vec::new();
        match id.as_ref().map(parse_id).transpose() {
            Ok(id) => program.id = id.unwrap_or_else(|| std::mem::take(&mut program.id)),
            Err(error) => errors.push(error),
        }
        if fields.get("name").is_none_or(Value::is_null) {
            errors.push("name: is needed".to_owned());
        }
        errors.extend(apply(program, &fields, now, &zone));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    });
    let added = added.map_err(|error| refused(&error))?;
    stream.programs().save().await;
    Ok((StatusCode::CREATED, Json(described(&stream, &added, now))).into_response())
}

pub(super) async fn change(
    State(admin): State<Arc<Admin>>,
    Path((key, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (stream, now) = (find(&admin, &key)?, admin.clock.now().wall);
    let mut fields = fields(&headers, &body)?;
    // What is shown can be sent back, and an id stays.
    if fields.get("id").is_some_and(|given| *given == id) {
        fields.remove("id");
    }
    let zone = stream.programs().zone();
    let changed = stream.programs().change(&id, now, |program| {
        let errors = apply(program, &fields, now, &zone);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    });
    let changed = changed.map_err(|error| refused(&error))?;
    stream.programs().save().await;
    Ok(Json(described(&stream, &changed, now)).into_response())
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path((key, id)): Path<(String, String)>,
) -> Answer {
    let (stream, now) = (find(&admin, &key)?, admin.clock.now().wall);
    let removed = stream.programs().remove(&id, now).map_err(|error| refused(&error))?;
    stream.programs().save().await;
    Ok(Json(described(&stream, &removed, now)).into_response())
}

fn refused(error: &ProgramError) -> Response {
    match error {
        ProgramError::Unknown => problem(StatusCode::NOT_FOUND, &error.to_string()),
        ProgramError::Facts(errors) => invalid(errors),
        ProgramError::FromTitle
        | ProgramError::EndBeforeStart
        | ProgramError::Ahead
        | ProgramError::Gone
        | ProgramError::Misplaced(_) => invalid(&[error.to_string()]),
    }
}

/// Writes `fields` into `program`; null unsets. A line for each that cannot be.
fn apply(program: &mut Program, fields: &Map<String, Value>, now: Time, zone: &TimeZone) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, value) in fields {
        let result = match name.as_str() {
            "name" => parse_text(value, PROGRAM_NAME_CHARS_MAX)
                .and_then(|name| name.ok_or_else(|| "must not be empty".to_owned()))
                .map(|name| program.name = name),
            "start" => parse_instant(value, now, zone)
                .and_then(|start| start.ok_or_else(|| "must be an instant".to_owned()))
                .map(|start| program.start = start),
            "end" => parse_instant(value, now, zone).map(|end| program.end = end),
            "description" => parse_text(value, CHARACTERS_MAX).map(|text| program.description = text),
            "url" => parse_address(value).map(|url| program.url = url),
            "image" => parse_address(value).map(|image| program.image = image),
            "id" => Err("stays as it is".to_owned()),
            "running" | "complete" | "links" | "made_by" => Ok(()),
            _ => Err("is unknown: use name, start, end, description, url or image".to_owned()),
        };
        let name: String = name.chars().take(ID_BYTES_MAX).collect();
        errors.extend(result.err().map(|error| format!("{name}: {error}")));
        if errors.len() == ERRORS_MAX {
            break;
        }
    }
    errors
}

fn parse_id(value: &Value) -> Result<String, String> {
    let is_id = |id: &&str| {
        (1..=ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !WORDS.contains(id)
            && !id.starts_with(TITLE_PREFIX)
    };
    let id = value.as_str().filter(is_id).map(str::to_owned);
    id.ok_or_else(|| {
        format!(
            "id: must be 1 to {ID_BYTES_MAX} letters, digits, dots, dashes and underscores, not \"current\" or \
             \"previous\", and not begin with {TITLE_PREFIX:?}"
        )
    })
}

fn parse_text(value: &Value, characters_max: usize) -> Result<Option<String>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.chars().count() <= characters_max => clean(text),
        _ => return Err(format!("must be a text of at most {characters_max} characters")),
    };
    Ok((!text.is_empty()).then_some(text))
}

fn parse_address(value: &Value) -> Result<Option<String>, String> {
    let text = parse_text(value, CHARACTERS_MAX)?;
    match text {
        Some(text) if !is_web_address(&text) => {
            Err("must be a web address such as \"https://radio.example/morning\"".to_owned())
        }
        text => Ok(text),
    }
}

fn parse_instant(value: &Value, now: Time, zone: &TimeZone) -> Result<Option<Time>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("must be an instant".to_owned()),
    };
    let instant = instant::parse(&text, clock::timestamp(now), zone, false);
    instant.map(|instant| Some(clock::time(instant))).map_err(|error| error.to_string())
}
