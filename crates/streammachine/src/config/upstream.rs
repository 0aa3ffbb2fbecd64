//! The address of another server's stream, as configured. Asking for it is the source's.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Position, Url};
use wire::auth::{Credentials, Secret};

use super::coerce::is_url;

/// An address of `http` or `https` with a host. Shown without what may be secret: the user, the password, the query.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream(Url);

impl Upstream {
    /// Reads an address as it is written in a configuration; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        // What the address's own rules take out or mend silently is a slip here.
        if !is_url(text) || text.contains(|it: char| it.is_whitespace() || it.is_control() || it == '\\') {
            return None;
        }
        Self::from_url(Url::parse(text).ok()?)
    }

    /// What a redirect or a playlist of this address names, absolute or relative; none for what is not of `http` or
    /// `https`. The user and password stay within the same scheme, host and port.
    pub fn join(&self, place: &str) -> Option<Self> {
        let mut url = self.0.join(place).ok()?;
        if url.origin() == self.0.origin() && url.username().is_empty() && url.password().is_none() {
            url.set_username(self.0.username()).ok()?;
            url.set_password(self.0.password()).ok()?;
        }
        Self::from_url(url)
    }

    fn from_url(url: Url) -> Option<Self> {
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Upstream(url))
    }

    /// The address as it was written, user and password included: for those only who may know them.
    pub fn in_full(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host to look up, an IPv6 address without its brackets; and the port.
    pub fn host_and_port(&self) -> (&str, u16) {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port_or_known_default().unwrap_or_default();
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// Host as a request tells it: with its port, unless that is the usual one.
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// Path and query, encoded.
    pub fn target(&self) -> &str {
        &self.0[Position::BeforePath..Position::AfterQuery]
    }

    /// The user and password in the address.
    pub fn credentials(&self) -> Option<Credentials> {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (self.0.username(), self.0.password());
        (!user.is_empty() || password.is_some())
            .then(|| Credentials { user: decoded(user), password: decoded(password.unwrap_or_default()) })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.0.scheme())?;
        if self.credentials().is_some() {
            write!(f, "{}@", Secret::MASK)?;
        }
        f.write_str(&self.0[Position::BeforeHost..Position::AfterPath])?;
        if self.0.query().is_some() { write!(f, "?{}", Secret::MASK) } else { Ok(()) }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> Upstream {
        Upstream::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn an_address_has_these_parts() {
        for (text, host, port, authority, target) in [
            ("http://radio.example", "radio.example", 80, "radio.example", "/"),
            ("http://radio.example:80/live", "radio.example", 80, "radio.example", "/live"),
            ("https://radio.example/live?a=1#b", "radio.example", 443, "radio.example", "/live?a=1"),
            ("http://u:p@[::1]:8000/;", "::1", 8000, "[::1]:8000", "/;"),
            ("http://127.0.0.1:1/ä", "127.0.0.1", 1, "127.0.0.1:1", "/%C3%A4"),
        ] {
            let upstream = upstream(text);
            assert_eq!(upstream.host_and_port(), (host, port), "{text}");
            assert_eq!((upstream.authority(), upstream.target()), (authority, target), "{text}");
        }
        assert!(upstream("https://a").is_https() && !upstream("http://a").is_https());
    }

    #[test]
    fn what_is_no_address_of_a_stream_is_none() {
        for text in [
            "",
            "http://",
            "http:///live",
            "radio.example/live",
            "ftp://radio.example/live",
            "file:///live.mp3",
            "http://radio.example/a b",
            " http://radio.example/",
            "http://radio.example/\n",
            "http:\\\\radio.example\\a",
            "http://radio.example:99999/",
            "http://[::1/",
        ] {
            assert_eq!(Upstream::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (text, shown) in [
            ("http://radio.example/live", "http://radio.example/live"),
            ("http://jo:pw@radio.example:8000/live?token=t", "http://***@radio.example:8000/live?***"),
            ("http://:pw@radio.example", "http://***@radio.example/"),
        ] {
            assert_eq!(upstream(text).to_string(), shown);
            assert_eq!(format!("{:?}", upstream(text)), format!("Upstream({shown})"));
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let read = |text: &str| upstream(text).credentials().map(|it| (it.user, it.password));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("http://radio.example"), None);
        assert_eq!(read("http://jo:p%3Aw%40@radio.example"), pair("jo", "p:w@"));
        assert_eq!(read("http://jo@radio.example"), pair("jo", ""));
    }

    #[test]
    fn a_user_goes_no_further_than_the_same_server() {
        let from = upstream("http://jo:pw@radio.example/a/b.pls");
        for (place, target, user) in [
            ("c.mp3", "/a/c.mp3", true),
            ("/c.mp3", "/c.mp3", true),
            ("http://radio.example:80/c", "/c", true),
            ("http://radio.example:8000/c", "/c", false),
            ("https://radio.example/c", "/c", false),
            ("//other.example/c", "/c", false),
        ] {
            let joined = from.join(place).unwrap();
            assert_eq!((joined.target(), joined.credentials().is_some()), (target, user), "{place}");
        }
        assert_eq!(from.join("http://a:b@other.example/").unwrap().credentials().unwrap().user, "a");
        for place in ["file:///etc/passwd", "ftp://radio.example/", "http://", "data:,x"] {
            assert_eq!(from.join(place), None, "{place}");
        }
    }
}
