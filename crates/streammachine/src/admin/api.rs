//! The routes of the API.

// An error is a response, made once for a request: its size does not matter.
#![allow(clippy::result_large_err)]

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use wire::icy::Metadata;
use wire::metadata::clean;

use crate::admin::access::{CROWDED, Caller, Refusal};
use crate::admin::{Admin, connections, programs, show};
use crate::base::net::PeerAddress;
use crate::base::throttle::RETRY_AFTER_S;
use crate::mount::Mount;
use crate::stream::Stream;

/// Bodies of all requests but a dump's.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The routes, below `/api`.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/streams", get(streams))
        .route("/streams/{key}", get(stream))
        .route("/streams/{key}/config", get(stream_config).put(put_stream_config))
        .route("/streams/{key}/metadata", post(put_metadata))
        .route("/streams/{key}/rewind", get(dump).put(load).delete(clear).layer(DefaultBodyLimit::disable()))
        .route("/streams/{key}/programs", get(programs::list).post(programs::add))
        .route(
            "/streams/{key}/programs/{id}",
            get(programs::one).patch(programs::change).delete(programs::remove),
        )
        .route("/sources", get(mounts))
        .route("/sources/{key}", get(mount))
        .route("/sources/{key}/config", get(mount_config).put(put_mount_config))
        .route("/mounts/{key}/connections", get(connections))
        .route("/connections", get(strangers))
        .route("/config", get(config))
        .route("/config/reload", post(reload))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is no such route in the API") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), guard))
        .with_state(admin)
}

/// Lets in who may, answers preflights, and lets pages of other origins read what they may.
async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else {
        let (parts, body) = request.into_parts();
        match check(&admin, &parts).await {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
            Err(refusal) => refuse(refusal),
        }
    };
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
    ];
    (headers, StatusCode::OK).into_response()
}

async fn check(admin: &Admin, request: &Parts) -> Result<(), Refusal> {
    admin.check(caller(request)?, request.extensions.get()).await
}

/// What is known of a request.
pub(super) fn caller(request: &Parts) -> Result<Caller<'_>, Refusal> {
    let headers = &request.headers;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(PeerAddress(peer)) = request.extensions.get::<PeerAddress>() else {
        return Err(Refusal::NotLocal);
    };
    let forwarded =
        ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    Ok(Caller {
        peer: peer.ip(),
        forwarded,
        forwarded_for: headers.get_all("x-forwarded-for").iter().next_back().and_then(|it| it.to_str().ok()),
        authorization: text(header::AUTHORIZATION),
        host: text(header::HOST),
        origin: text(header::ORIGIN),
        reads: request.method == Method::GET || request.method == Method::HEAD,
    })
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized => {
            let mut response = problem(StatusCode::UNAUTHORIZED, "a user and a password are needed");
            let realm = HeaderValue::from_static("Basic realm=\"StreamMachine\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            response
        }
        Refusal::Crowded => {
            let mut response = problem(StatusCode::TOO_MANY_REQUESTS, CROWDED);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            response
        }
        Refusal::NotLocal => problem(
            StatusCode::FORBIDDEN,
            "without users the API answers this machine only: set admin.require_auth and users in the configuration",
        ),
        Refusal::ForeignOrigin => {
            problem(StatusCode::FORBIDDEN, "a page of another origin must not change anything")
        }
    }
}

/// An error in the form of RFC 9457.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "status": status.as_u16(), "title": title, "detail": detail });
    ([(header::CONTENT_TYPE, "application/problem+json")], (status, body.to_string())).into_response()
}

/// An error of input, in the original's form.
pub(super) fn invalid(errors: &[String]) -> Response {
    let body = json!({ "message": "Validation Failed", "errors": errors });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

fn stuck() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "the stream cannot keep up with its disk; try again")
}

pub(super) fn find(admin: &Admin, key: &str) -> Result<Arc<Stream>, Response> {
    admin.streams.find(key).ok_or_else(|| (StatusCode::NOT_FOUND, "Invalid stream.\n").into_response())
}

fn find_mount(admin: &Admin, key: &str) -> Result<Arc<Mount>, Response> {
    admin.mounts.find(key).ok_or_else(|| (StatusCode::NOT_FOUND, "Invalid source mount.\n").into_response())
}

pub(super) type Answer = Result<Response, Response>;

async fn streams(State(admin): State<Arc<Admin>>) -> Json<Vec<Value>> {
    Json(admin.streams.all().iter().map(|stream| show::stream(&admin, stream)).collect())
}

async fn stream(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    let stream = find(&admin, &key)?;
    Ok(Json(show::stream(&admin, &stream)).into_response())
}

async fn stream_config(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    Ok(Json(find(&admin, &key)?.config().to_json()).into_response())
}

async fn put_stream_config(
    State(admin): State<Arc<Admin>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let stream = find(&admin, &key)?;
    let patch = fields(&headers, &body)?;
    let old = stream.config();
    let new = old.merge(&patch).map_err(|errors| invalid(&errors))?;
    let fixed = old.fixed_changes(&new);
    if !fixed.is_empty() {
        let errors: Vec<String> = fixed
            .iter()
            .map(|key| format!("{key} cannot change while the stream runs: set it in the configuration file"))
            .collect();
        return Err(invalid(&errors));
    }
    let shown = new.to_json();
    if stream.set_config(new) { Ok(Json(shown).into_response()) } else { Err(stuck()) }
}

async fn put_metadata(State(admin): State<Arc<Admin>>, Path(key): Path<String>, request: Request) -> Answer {
    let stream = find(&admin, &key)?;
    let query = request.uri().query().map(form).unwrap_or_default();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|_| problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB"))?;
    let mut fields = if body.is_empty() { Map::new() } else { fields(&headers, &body)? };
    for (name, value) in query {
        fields.entry(name).or_insert(value);
    }
    let text =
        |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name)).and_then(Value::as_str).map(clean);
    let old = stream.log().metadata();
    let new = Metadata {
        title: text(["StreamTitle", "title"]).unwrap_or_else(|| old.title.clone()),
        url: text(["StreamUrl", "url"]).unwrap_or_else(|| old.url.clone()),
    };
    let shown = show::metadata(&new);
    if stream.set_metadata(new) { Ok(Json(shown).into_response()) } else { Err(stuck()) }
}

async fn dump(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    let stream = find(&admin, &key)?;
    let pieces = rewind::dump::write(stream.log());
    let body = Body::from_stream(futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

async fn load(State(admin): State<Arc<Admin>>, Path(key): Path<String>, request: Request) -> Answer {
    let stream = find(&admin, &key)?;
    // The index of a dump takes less than its audio.
    let limit = usize::try_from(stream.config().bytes_max().saturating_mul(2)).unwrap_or(usize::MAX);
    let body = axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| {
        problem(StatusCode::PAYLOAD_TOO_LARGE, "the dump is longer than the rewind buffer may be")
    })?;
    match stream.load(body).await {
        Some(Ok(loaded)) => {
            Ok(Json(json!({ "seconds": loaded.seconds, "length": loaded.chunks })).into_response())
        }
        Some(Err(error)) => Err(problem(StatusCode::BAD_REQUEST, &error.to_string())),
        None => Err(stuck()),
    }
}

async fn clear(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    let stream = find(&admin, &key)?;
    if !stream.clear().await {
        return Err(stuck());
    }
    Ok(Json(show::stream(&admin, &stream)).into_response())
}

async fn mounts(State(admin): State<Arc<Admin>>) -> Json<Vec<Value>> {
    Json(admin.mounts.all().iter().map(|mount| show::mount(mount)).collect())
}

async fn mount(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    Ok(Json(show::mount(&*find_mount(&admin, &key)?)).into_response())
}

async fn mount_config(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    Ok(Json(find_mount(&admin, &key)?.config().to_json()).into_response())
}

async fn put_mount_config(
    State(admin): State<Arc<Admin>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mount = find_mount(&admin, &key)?;
    let new = mount.config().merge(&fields(&headers, &body)?).map_err(|errors| invalid(&errors))?;
    if new.key != mount.key() {
        return Err(invalid(&["key cannot change while the mount is there".to_owned()]));
    }
    let shown = new.to_json();
    mount.set_config(new);
    Ok(Json(shown).into_response())
}

async fn connections(State(admin): State<Arc<Admin>>, Path(key): Path<String>) -> Answer {
    let mount = find_mount(&admin, &key)?;
    Ok(Json(connections::shown(mount.history(), Some(&mount))).into_response())
}

async fn strangers(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(connections::shown(admin.mounts.strangers(), None))
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let streams: Map<String, Value> = admin
        .streams
        .all()
        .iter()
        .map(|stream| (stream.key().to_owned(), stream.config().to_json()))
        .collect();
    let sources: Map<String, Value> =
        admin.mounts.all().iter().map(|mount| (mount.key().to_owned(), mount.config().to_json())).collect();
    Json(json!({ "streams": streams, "sources": sources }))
}

async fn reload(State(admin): State<Arc<Admin>>) -> Answer {
    let reloaded = tokio::task::spawn_blocking(move || admin.reload_config()).await;
    match reloaded
        .map_err(|_| problem(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed: see the log"))?
    {
        Ok(reloaded) => Ok(Json(reloaded).into_response()),
        Err(error) => Err(invalid(&error.to_string().lines().map(str::to_owned).collect::<Vec<_>>())),
    }
}

/// The fields of a body: JSON, or a form where its type says so.
pub(super) fn fields(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Response> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if media_type.starts_with("application/x-www-form-urlencoded") {
        let text = std::str::from_utf8(body)
            .map_err(|_| problem(StatusCode::BAD_REQUEST, "the form is not UTF-8"))?;
        return Ok(form(text));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(problem(StatusCode::BAD_REQUEST, "the body must be a JSON object")),
        Err(error) => Err(problem(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {error}"))),
    }
}

fn form(text: &str) -> Map<String, Value> {
    let Ok(query) = wire::path::Query::decode(text) else { return Map::new() };
    query.pairs().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
