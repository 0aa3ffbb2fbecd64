//! Pages on the source port: encoders count their listeners there, and some panels know no other port.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wire::head::Head;
use wire::path::split_target;
use wire::source::answers;

use crate::admin::icecast::lines;
use crate::admin::{Admin, icecast};
use crate::base::cors::Cors;
use crate::base::head::answer_and_close;
use crate::base::live::Live;
use crate::base::task;
use crate::http::kept::{Routes, serve_http};
use crate::http::router::put;
use crate::mount::reception::{Reception, Visitor};

/// Visitors at once: encoders and panels ask for one short page every few seconds. More would take descriptors from sources.
const VISITORS_MAX: usize = 64;
/// A visitor must have taken its page within this, so that who does not read takes nobody's place for good.
const VISIT_TIME: Duration = Duration::from_secs(30);
/// Methods of the pages.
const METHODS: &str = "GET,HEAD";

/// What visitors are served with.
#[derive(Clone)]
struct Pages {
    admin: Arc<Admin>,
    routes: Routes,
    /// Where the streams are.
    listeners_port: u16,
}

/// Serves those who ask for a page or for statistics as lines; `listeners_port` is where the streams are.
pub fn reception(admin: Arc<Admin>, cors: Live<Cors>, listeners_port: u16) -> Reception {
    let public = Router::new().fallback(page).with_state(Arc::clone(&admin));
    let public = public.layer(middleware::from_fn(move |request, next| share(cors.get(), request, next)));
    let routes = public
        .merge(icecast::router(Arc::clone(&admin)))
        .layer(middleware::from_fn(move |request, next| name_listeners_port(listeners_port, request, next)));
    let pages = Pages { admin, routes: Routes { streams: None, gate: None, all: routes }, listeners_port };
    let places = Arc::new(Semaphore::new(VISITORS_MAX));
    Reception::new(move |visitor| {
        let head = &visitor.request.head;
        if head.method != "STATS" && !asks_for_page(head) {
            return Some(visitor);
        }
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => task::spawn("visitor of the source port", pages.clone().serve(visitor, place)),
            Err(_) => task::spawn("visitor of the source port", turn_away(visitor)),
        };
        None
    })
}

impl Pages {
    async fn serve(self, visitor: Visitor, place: OwnedSemaphorePermit) {
        let Visitor { socket, peer, request } = visitor;
        if request.head.method == "STATS" {
            // Those have places of their own, and stay.
            drop(place);
            let host = request.head.header("host").map(|host| with_port(host, self.listeners_port));
            return lines::serve(&self.admin, socket, peer, &request.head, host.as_deref()).await;
        }
        let visit = serve_http(socket, peer, request.bytes(), self.routes, false, std::future::pending());
        if timeout(VISIT_TIME, visit).await.is_err() {
            tracing::debug!(%peer, "a page was not taken in time");
        }
    }
}

async fn turn_away(visitor: Visitor) {
    answer_and_close(visitor.socket, &answers::refusal(503, "Service Unavailable", "too many visitors\n"))
        .await;
}

/// An `OPTIONS` is a browser's question about a page, if it names its origin; else libshout's about sources.
fn asks_for_page(head: &Head) -> bool {
    let Ok((path, _)) = split_target(&head.target) else { return false };
    match head.method.as_str() {
        "GET" | "HEAD" => path.starts_with("/admin/") || icecast::is_public(&path),
        "OPTIONS" => head.header("origin").is_some() && icecast::is_public(&path),
        _ => false,
    }
}

/// The rule for other origins, for what everybody may see.
async fn share(cors: Arc<Cors>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let origin = origin.map(str::to_owned);
    if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        put(response.headers_mut(), &cors.preflight(origin.as_deref(), METHODS));
        return response;
    }
    let mut response = next.run(request).await;
    put(response.headers_mut(), &cors.headers(origin.as_deref()));
    response
}

async fn page(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let is_get = request.method() == Method::GET || request.method() == Method::HEAD;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let found = split_target(target).ok().filter(|_| is_get);
    let answer = found.and_then(|(path, query)| icecast::public(&admin, &path, &query, request.headers()));
    answer.unwrap_or_else(|| (StatusCode::NOT_FOUND, "Not found.\n").into_response())
}

/// The streams are not on the port that was asked: answers name the one where they are.
async fn name_listeners_port(port: u16, mut request: Request, next: Next) -> Response {
    if let Some(host) = host_with_port(request.headers(), port) {
        request.headers_mut().insert(header::HOST, host);
    }
    next.run(request).await
}

fn host_with_port(headers: &HeaderMap, port: u16) -> Option<HeaderValue> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    HeaderValue::from_str(&with_port(host, port)).ok()
}

fn with_port(host: &str, port: u16) -> String {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    format!("{name}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_streams_takes_the_place_of_the_one_asked() {
        for (host, expected) in [
            ("radio.example:8002", "radio.example:8001"),
            ("radio.example", "radio.example:8001"),
            ("[::1]:8002", "[::1]:8001"),
            ("[::1]", "[::1]:8001"),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(host_with_port(&headers, 8001).unwrap(), expected);
        }
        assert_eq!(host_with_port(&HeaderMap::new(), 8001), None);
    }
}
