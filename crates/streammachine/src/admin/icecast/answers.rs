//! Answers in Icecast 2.4's own words, which panels compare.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::xml::Xml;
use crate::admin::access::CROWDED;
use crate::base::throttle::RETRY_AFTER_S;

/// What no cache may keep, and since when.
const NOT_KEPT: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    (header::EXPIRES, HeaderValue::from_static("Mon, 26 Jul 1997 05:00:00 GMT")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
];

/// Why a request is not done: texts of Icecast 2.4 where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such command.
    #[error("Unrecognised command")]
    UnknownCommand,
    /// A method other than GET and HEAD.
    #[error("unknown request")]
    UnknownRequest,
    /// A command that needs a mount, without one.
    #[error("Unknown admin request")]
    NoMount,
    /// No stream of that name with a source on air.
    #[error("Source does not exist")]
    NoSource,
    /// Another parameter is missing.
    #[error("Missing parameter")]
    Missing,
    /// Nowhere to move to.
    #[error("No such destination")]
    NoDestination,
    /// Moving to where they are.
    #[error("supplied mountpoints are identical")]
    SamePlace,
    /// Moving to what the players do not play.
    #[error("The destination has another codec")]
    OtherCodec,
    /// Not done here.
    #[error("Fallbacks are set in the configuration")]
    FixedFallback,
}

/// The status of 2.4 for all of these.
pub fn refuse(refused: Refused) -> Response {
    let text =
        format!("<html><head><title>Error 400</title></head><body><b>400 - {refused}</b></body></html>\r\n");
    answer(StatusCode::BAD_REQUEST, "text/html; charset=utf-8", text)
}

/// No user and password, or wrong ones.
pub fn unauthorized() -> Response {
    let text = "You need to authenticate\r\n".to_owned();
    let mut response = answer(StatusCode::UNAUTHORIZED, "text/plain; charset=utf-8", text);
    let realm = HeaderValue::from_static("Basic realm=\"Icecast2 Server\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}

/// No password is looked at now.
pub fn crowded() -> Response {
    let text = format!("{CROWDED}\n");
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

/// Whoever asks may not.
pub fn forbidden(reason: &str) -> Response {
    answer(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", format!("{reason}\n"))
}

/// A document.
pub fn xml(xml: Xml) -> Response {
    text("text/xml; charset=utf-8", xml.finish())
}

/// What came of a command.
pub fn outcome(message: &str, is_done: bool) -> Response {
    let mut document = Xml::new("iceresponse");
    document.text("message", message);
    document.text("return", u8::from(is_done));
    xml(document)
}

/// Any other text.
pub fn text(media_type: &'static str, text: String) -> Response {
    answer(StatusCode::OK, media_type, text)
}

fn answer(status: StatusCode, media_type: &'static str, text: String) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, media_type)], text).into_response();
    response.headers_mut().extend(NOT_KEPT);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
