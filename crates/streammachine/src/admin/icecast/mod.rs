//! The faces that panels, encoders and widgets know from Icecast 2.4 and from SHOUTcast, with their spelling. They show
//! what is there and hold nothing. What differs from Icecast on purpose is in docs/ref/icecast.md.

mod answers;
mod commands;
pub mod lines;
mod shoutcast;
mod stats;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::any;
use wire::path::Query;

use crate::admin::access::{Caller, Refusal};
use crate::admin::{Admin, api};
use answers::Refused;
use stats::OnAir;

/// The admin requests, below `/admin`.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/admin/{command}", any(command)).with_state(admin)
}

/// The page of Icecast that everybody may see.
const STATUS: &str = "/status-json.xsl";

/// True for the path of a page that everybody may see.
pub fn is_public(path: &str) -> bool {
    path == STATUS || shoutcast::PAGES.contains(&path)
}

/// The answer to a request for a page that everybody may see, if `path` is one.
pub fn public(admin: &Admin, path: &str, query: &Query, headers: &HeaderMap) -> Option<Response> {
    if path == STATUS {
        let shown = match query.get("mount") {
            None => OnAir::all(admin),
            Some(mount) => OnAir::named(admin, mount).into_iter().collect(),
        };
        let status = stats::status_json(admin, &shown, &base(admin, headers));
        return Some(answers::text("application/json; charset=UTF-8", status.to_string()));
    }
    shoutcast::answer(admin, path, query)
}

/// The server's address as the client knows it.
fn base(admin: &Admin, headers: &HeaderMap) -> String {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    wire::host::public_base(get, admin.behind_proxy, None)
}

async fn command(State(admin): State<Arc<Admin>>, Path(command): Path<String>, request: Request) -> Response {
    // Who asks for a head does not mean to change anything.
    let is_read = request.method() == Method::HEAD && !commands::changes(&command);
    if request.method() != Method::GET && !is_read {
        return answers::refuse(Refused::UnknownRequest);
    }
    let (parts, _) = request.into_parts();
    if let Err(refusal) = check(&admin, &command, &parts).await {
        return refuse(refusal);
    }
    let Ok(query) = Query::decode(parts.uri.query().unwrap_or_default()) else {
        return answers::refuse(Refused::UnknownRequest);
    };
    let request = commands::Request { admin: &admin, query: &query, headers: &parts.headers };
    commands::run(&command, &request).await.unwrap_or_else(answers::refuse)
}

async fn check(admin: &Admin, command: &str, request: &Parts) -> Result<(), Refusal> {
    let changes = commands::changes(command);
    // These are changes by GET: a page elsewhere could make one with an image, and the browser would add the password.
    let from_elsewhere = text(&request.headers, "sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site");
    if changes && from_elsewhere {
        return Err(Refusal::ForeignOrigin);
    }
    admin.check(Caller { reads: !changes, ..api::caller(request)? }, request.extensions.get()).await
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized => answers::unauthorized(),
        Refusal::Crowded => answers::crowded(),
        Refusal::NotLocal => answers::forbidden("without users these pages answer this machine only"),
        Refusal::ForeignOrigin => answers::forbidden("a page of another origin must not change anything"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
