//! `/KEY/programs.json`: the programmes of a stream, for pages and players.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::admin::programs::shown;
use crate::http::App;

/// What the path ends in, behind the stream's key.
const NAME: &str = "/programs.json";
/// A programme begins and ends at its second; so late may a cache tell it.
const MAX_AGE: &str = "public, max-age=2";

/// The answer, if `path` is that of a stream's programmes.
pub fn answer(app: &App, path: &str, headers: &HeaderMap) -> Option<Response> {
    let stream = app.streams.find(path.strip_prefix('/')?.strip_suffix(NAME)?)?;
    let now = app.clock.now().wall;
    let listed = stream.programs().list(now);
    let programs: Vec<Value> = listed.programs.iter().map(|program| shown(&stream, program, now)).collect();
    let text = Value::Array(programs).to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let etag = format!("\"{:x}\"", hasher.finish());
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let is_known =
        known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == etag);
    let head = [(header::CACHE_CONTROL, MAX_AGE.to_owned()), (header::ETAG, etag)];
    if is_known {
        return Some((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Some((head, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}
