//! Pages on the source port: encoders count their listeners there, and some panels know no other port.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use wire::head::Head;
use wire::path::split_target;

use crate::admin::{Admin, icecast};
use crate::base::task;
use crate::http::front::{Routes, serve_http};
use crate::mount::reception::Reception;

/// Serves those who ask for a page; `listeners_port` is where the streams are.
pub fn reception(admin: Arc<Admin>, listeners_port: u16) -> Reception {
    let routes =
        Router::new().fallback(page).with_state(Arc::clone(&admin)).merge(icecast::router(admin)).layer(
            middleware::from_fn(move |request, next| name_listeners_port(listeners_port, request, next)),
        );
    let routes = Routes { hls: None, all: routes };
    Reception::new(move |visitor| {
        if !asks_for_page(&visitor.request.head) {
            return Some(visitor);
        }
        let served = serve_http(visitor.socket, visitor.peer, visitor.request, routes.clone(), false);
        task::spawn("page on the source port", served);
        None
    })
}

fn asks_for_page(head: &Head) -> bool {
    let Ok((path, _)) = split_target(&head.target) else { return false };
    let is_get = head.method == "GET" || head.method == "HEAD";
    is_get && (path.starts_with("/admin/") || icecast::is_public(&path))
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
    if let Some(host) = with_port(request.headers(), port) {
        request.headers_mut().insert(header::HOST, host);
    }
    next.run(request).await
}

fn with_port(headers: &HeaderMap, port: u16) -> Option<HeaderValue> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    HeaderValue::from_str(&format!("{name}:{port}")).ok()
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
            assert_eq!(with_port(&headers, 8001).unwrap(), expected);
        }
        assert_eq!(with_port(&HeaderMap::new(), 8001), None);
    }
}
