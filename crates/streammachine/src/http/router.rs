//! Everything but audio, through the HTTP server.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Extensions, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use wire::hls::HlsPath;
use wire::listen::ListenPath;
use wire::path::{Query, split_target};
use wire::text::Charset;

use crate::admin::{api, icecast};
use crate::base::cors::Header;
use crate::base::net::PeerAddress;
use crate::hls::answer::{Asked, answer};
use crate::http::front::Port;
use crate::http::{App, Short, pages, programs};
use crate::listener::roster::Who;

/// Methods of the listener port.
const METHODS: &str = "GET,HEAD";

/// The routes of a port.
pub fn build(app: Arc<App>, port: Port) -> Router {
    let health = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(pages::ready))
        .with_state(Arc::clone(&app));
    let api = api::router(Arc::clone(&app.admin));
    let health = health.merge(icecast::router(Arc::clone(&app.admin)));
    match port {
        Port::Api => health.nest("/api", api).fallback(|| async { (StatusCode::NOT_FOUND, "Not found.\n") }),
        Port::Listeners { api: with_api } => {
            let listeners = Router::new()
                .route("/index.html", get(pages::index))
                .route("/crossdomain.xml", get(pages::crossdomain))
                .route("/player", get(pages::player))
                .route("/streams.json", get(pages::streams))
                .route("/assets/{name}", get(pages::asset))
                .fallback(other)
                .layer(middleware::from_fn_with_state(Arc::clone(&app), common))
                .with_state(app);
            let routes = listeners.merge(health);
            if with_api { routes.nest("/api", api) } else { routes }
        }
    }
}

/// Stands for an address that nobody has told.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What all routes of the listener port share: unwanted agents, preflights, the rule for other origins.
async fn common(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if let Some(refusal) = refuse_agent(&app, request.headers()) {
        return refusal;
    }
    if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let origin = text(request.headers(), header::ORIGIN);
        put(response.headers_mut(), &app.cors.get().preflight(origin, METHODS));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        return response;
    }
    let mut response = next.run(request).await;
    app.cors.get().put(response.headers_mut(), origin.as_ref());
    response
}

fn refuse_agent(app: &App, headers: &HeaderMap) -> Option<Response> {
    let (agent, origin) = (text(headers, header::USER_AGENT), text(headers, header::ORIGIN));
    app.refuse_agent(agent, origin).map(|refusal| short(&refusal))
}

/// What a request for a stream comes to.
pub enum Found {
    /// Its audio is asked for, which the fast path serves.
    Audio,
    /// A playlist or a segment of HTTP Live Streaming.
    Answer(Response),
    /// It is for something else.
    Nothing,
}

/// Answers a request for a stream. Players ask all the time, so it does not go through the other routes first.
pub async fn stream(app: &App, request: &Parts) -> Found {
    let is_asked = request.method == Method::GET || request.method == Method::HEAD;
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let Some((path, query)) = split_target(target).ok().filter(|_| is_asked) else { return Found::Nothing };
    let header = |name| {
        let value = request.headers.get(name)?;
        Some(Cow::Owned(Charset::default().decode(value.as_bytes())))
    };
    // First, as a key may look like a playlist's.
    if app.audio_at(&path, header).is_some() {
        return Found::Audio;
    }
    hls(app, request, &path, &query).await.map_or(Found::Nothing, Found::Answer)
}

async fn hls(app: &App, request: &Parts, path: &str, query: &Query) -> Option<Response> {
    let (method, headers) = (&request.method, &request.headers);
    if let Some(refusal) = refuse_agent(app, headers).filter(|_| HlsPath::decode(path).is_some()) {
        return Some(refusal);
    }
    let forwarded_for = headers.get_all("x-forwarded-for").iter().next_back().and_then(|it| it.to_str().ok());
    let peer = peer(&request.extensions);
    let client = wire::host::nearest_ip(forwarded_for, app.behind_proxy, peer.ip());
    let who = who(app, headers, peer);
    let asked = Asked { path, query, method, headers, who, client };
    let mut response = answer(&app.hls_context(), &asked).await?;
    app.cors.get().put(response.headers_mut(), headers.get(header::ORIGIN));
    Some(response)
}

fn peer(extensions: &Extensions) -> SocketAddr {
    let unknown = SocketAddr::new(UNKNOWN, 0);
    extensions.get::<PeerAddress>().map_or(unknown, |peer| peer.0)
}

fn who<'a>(app: &App, headers: &'a HeaderMap, peer: SocketAddr) -> Who<'a> {
    app.who(|name| headers.get(name).and_then(|value| value.to_str().ok()), peer)
}

/// What has no route of its own, and what is nothing of ours.
async fn other(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, headers) = (request.method(), request.headers());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    if *method != Method::GET && *method != Method::HEAD {
        let text = format!("{method} is not understood here; sources connect on the source port.\n");
        let allow = ("allow", "GET, HEAD, OPTIONS".to_owned());
        return short(&Short::new(405, text).with([allow]));
    }
    let (path, query) = match split_target(target) {
        Ok(found) => found,
        Err(error) => return short(&Short::new(400, format!("{error}\n"))),
    };
    // A browser's visit: players of the root were on the fast path before.
    if path == "/" && app.find_stream(&path).is_some() {
        return pages::player().await;
    }
    if let Some(response) = programs::answer(&app, &path, headers) {
        return response;
    }
    if let Some(response) = icecast::public(&app.admin, &path, &query, headers) {
        return response;
    }
    pages::playlist(&app, &ListenPath::decode(&path), &query, headers).unwrap_or_else(|| {
        let missing = if path.starts_with("/sg/") { "Invalid stream group.\n" } else { "Invalid stream.\n" };
        // Caches keep what is missing for as long as they like, unless they are told.
        let age = path.ends_with(".m3u8").then(|| ("cache-control", "max-age=1".to_owned()));
        short(&Short::new(404, missing).with(age))
    })
}

/// A short answer as a response.
pub fn short(short: &Short) -> Response {
    let status = StatusCode::from_u16(short.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, short.text.clone()).into_response();
    put(response.headers_mut(), &short.headers);
    response
}

/// Sets headers; a value that HTTP forbids is left out.
pub(super) fn put(headers: &mut HeaderMap, new: &[Header]) {
    for (name, value) in new {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
