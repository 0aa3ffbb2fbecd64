//! Short answers of the listener port: the player page and its parts, playlists, the original's small files.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use wire::listen::ListenPath;
use wire::path::Query;

use crate::base::clock::iso;
use crate::http::App;
use crate::listener::answer::content_type;
use crate::stream::Stream;

/// Only what comes from this server may run or be loaded; audio may come from where a playlist says.
const POLICY: &str =
    "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'";

/// The player page's parts: name, media type, content.
const ASSETS: [(&str, &str, &str); 3] = [
    ("player.js", "text/javascript; charset=utf-8", include_str!("../../assets/player.js")),
    ("player.css", "text/css; charset=utf-8", include_str!("../../assets/player.css")),
    ("favicon.svg", "image/svg+xml", include_str!("../../assets/favicon.svg")),
];

/// The player page.
pub async fn player() -> Response {
    let mut response = Html(include_str!("../../assets/index.html")).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A part of the player page.
pub async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, media_type, content)) = ASSETS.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "Not found.\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, *content).into_response()
}

/// What the original answers to load balancers.
pub async fn index() -> Html<&'static str> {
    Html("<html>\n<head><title>StreamMachine</title></head>\n<body>\n<h1>OK</h1>\n</body>\n</html>\n")
}

/// Lets old Flash players in.
pub async fn crossdomain() -> Response {
    let text = "<?xml version=\"1.0\"?>\n<!DOCTYPE cross-domain-policy SYSTEM \
                \"http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd\">\n<cross-domain-policy>\n\
                <allow-access-from domain=\"*\" />\n</cross-domain-policy>\n";
    ([(header::CONTENT_TYPE, "text/xml")], text).into_response()
}

/// Whether the server takes more listeners: logs are opened before it listens, so only a full house says no.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.audience.is_full() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no seat is free\n").into_response();
    }
    "ready\n".into_response()
}

/// What the player page shows of all streams; the one served at `/` comes first.
pub async fn streams(State(app): State<Arc<App>>) -> Response {
    let now = iso(app.clock.now().wall);
    let mut streams = app.streams.all();
    streams.sort_by_key(|stream| !stream.config().root_route);
    let streams: Vec<Value> = streams.iter().map(|stream| facts(&app, stream, &now)).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(streams)).into_response()
}

fn facts(app: &App, stream: &Stream, now: &str) -> Value {
    let (config, log) = (stream.config(), stream.log());
    let (span, format) = (log.span(), log.format());
    json!({
        "key": stream.key(),
        "name": stream.name(),
        "url": format!("/{}", stream.key()),
        "title": log.metadata().title,
        "format": format.map(|format| format.stream_key()),
        "content_type": content_type(&config, format),
        "buffer_seconds": span.map_or(0.0, |span| span.end.micros_since(span.start) as f64 / 1e6),
        "start": span.map(|span| iso(span.start)),
        "end": span.map(|span| iso(span.end)),
        "listeners": stream.listeners(),
        "live": stream.mount().on_air().is_some(),
        "now": now,
        "zone": config.timezone.as_ref().unwrap_or(&app.zone).iana_name(),
    })
}

/// The playlist that a path names, if it names one of a stream.
pub fn playlist(app: &App, path: &ListenPath, query: &Query, headers: &HeaderMap) -> Option<Response> {
    let (stream, kind) = match path {
        ListenPath::Playlist(key, kind) => (app.streams.find(key)?, kind),
        ListenPath::RootPlaylist(kind) => (app.streams.find_root()?, kind),
        _ => return None,
    };
    let config = stream.config();
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let base = wire::host::public_base(get, app.behind_proxy, config.host.as_deref());
    let pairs: Vec<(String, String)> =
        query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let url = base + &wire::path::encode_target(&format!("/{}/", stream.key()), &pairs);
    let text = kind.render(&stream.name(), &url);
    let headers = [(header::CONTENT_TYPE, kind.media_type()), (header::CACHE_CONTROL, "no-cache")];
    Some((headers, text).into_response())
}
