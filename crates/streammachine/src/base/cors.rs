//! Which pages of other origins may use what is answered here.

use http::header::{self, HeaderMap, HeaderValue};

/// Request headers that such pages may send.
const ALLOW_HEADERS: &str = "Icy-MetaData, Range, Authorization, Content-Type, Origin, X-Playback-Session-Id";
/// Response headers that they may read.
const EXPOSE_HEADERS: &str = "icy-metaint, icy-name, icy-genre, icy-br, icy-url, icy-description, X-Content-Start, \
                              X-Content-Behind, Content-Range, Content-Length, ETag, Date";
/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE_S: &str = "86400";

/// A response header: its name in lower case and its value.
pub type Header = (&'static str, String);

/// The rule for other origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// No other origin may.
    Off,
    /// Any may; the origin that asks is named back.
    Reflect,
    /// This one may.
    Only(String),
}

impl Cors {
    /// Headers for the answer to a request from `origin`.
    pub fn headers(&self, origin: Option<&str>) -> Vec<Header> {
        let (allowed, varies) = match (self, origin) {
            (Cors::Off, _) => return Vec::new(),
            (Cors::Reflect, Some(origin)) => (origin.to_owned(), true),
            (Cors::Reflect, None) => ("*".to_owned(), true),
            (Cors::Only(allowed), _) => (allowed.clone(), false),
        };
        let mut headers = vec![
            ("access-control-allow-origin", allowed),
            ("access-control-expose-headers", EXPOSE_HEADERS.to_owned()),
        ];
        if varies {
            headers.push(("vary", "Origin".to_owned()));
        }
        headers
    }

    /// Sets the headers for the answer to a request from `origin`.
    pub fn put(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        let (allowed, varies) = match (self, origin) {
            (Cors::Off, _) => return,
            (Cors::Reflect, Some(origin)) => (Some(origin.clone()), true),
            (Cors::Reflect, None) => (Some(HeaderValue::from_static("*")), true),
            (Cors::Only(allowed), _) => (HeaderValue::from_str(allowed).ok(), false),
        };
        let Some(allowed) = allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let exposed = HeaderValue::from_static(EXPOSE_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        if varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// Headers for the answer to a preflight from `origin`.
    pub fn preflight(&self, origin: Option<&str>, methods: &str) -> Vec<Header> {
        let mut headers = self.headers(origin);
        if !headers.is_empty() {
            headers.push(("access-control-allow-methods", methods.to_owned()));
            headers.push(("access-control-allow-headers", ALLOW_HEADERS.to_owned()));
            headers.push(("access-control-max-age", MAX_AGE_S.to_owned()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
        headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_asking_origin_is_named_back() {
        let headers = Cors::Reflect.headers(Some("https://radio.example"));
        assert_eq!(find(&headers, "access-control-allow-origin"), Some("https://radio.example"));
        assert_eq!(find(&headers, "vary"), Some("Origin"));
    }

    #[test]
    fn a_fixed_origin_stays_fixed() {
        let headers = Cors::Only("https://radio.example".into()).headers(Some("https://other.example"));
        assert_eq!(find(&headers, "access-control-allow-origin"), Some("https://radio.example"));
        assert_eq!(find(&headers, "vary"), None);
    }

    #[test]
    fn a_preflight_lets_players_ask_for_titles() {
        let headers = Cors::Reflect.preflight(Some("https://radio.example"), "GET,HEAD");
        assert_eq!(find(&headers, "access-control-allow-methods"), Some("GET,HEAD"));
        assert!(find(&headers, "access-control-allow-headers").unwrap().contains("Icy-MetaData"));
        assert!(Cors::Off.preflight(Some("https://radio.example"), "GET").is_empty());
    }
}
