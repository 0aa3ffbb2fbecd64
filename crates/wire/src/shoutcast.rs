//! SHOUTcast v1 as its sources speak it: a line with a password, headers, audio. Also tells by the first bytes of a
//! connection to the source port what speaks there.
//!
//! Which mounts there are and whose password fits is not known here: a line is read as the claims that it may mean.

use std::fmt;

pub use crate::head::parse_headers;

use crate::auth::Credentials;
use crate::text;

/// Longest line with a password, its end not counted: far beyond what people type.
pub const LOGIN_MAX: usize = 512;
/// Lets a source in. It must come right behind the password line: most encoders wait for it before they send headers.
pub const WELCOME: &[u8] = b"OK2\r\nicy-caps:11\r\n\r\n";
/// Refuses a source, and the probe of libshout, which would probe for ever after anything that begins with `OK`.
pub const INVALID_PASSWORD: &[u8] = b"invalid password\r\n";

/// What libshout sends instead of a password to find out what speaks here.
const POKE: &[u8] = b"!POKE";
/// Methods that no password line begins with. `SOURCE` is not among them: DarkIce writes one in front of a password.
const METHODS: [&[u8]; 7] = [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"STATS"];
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// First two bytes of an Ultravox frame. The first alone is a `Z`, as a password may begin.
const ULTRAVOX: [u8; 2] = [0x5A, 0x00];

/// What speaks on a connection to the source port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// HTTP, or what its parser should refuse.
    Http,
    /// A source of SHOUTcast v1.
    Login {
        /// What it says to be let in.
        login: Login,
        /// Bytes up to where its headers begin.
        length: usize,
    },
    /// libshout, which wants to be refused.
    Poke,
    /// SHOUTcast v2, which is not spoken here.
    Ultravox,
    /// TLS, which is not spoken here.
    Tls,
    /// Audio without a login.
    Audio,
}

/// Tells what speaks; `None` while more bytes are needed. A verdict stands, whatever follows.
pub fn recognise(input: &[u8]) -> Option<Opening> {
    match *input {
        [] | [0x5A | 0xFF] => return None,
        [TLS_HANDSHAKE, ..] => return Some(Opening::Tls),
        [first, second, ..] if [first, second] == ULTRAVOX => return Some(Opening::Ultravox),
        // The sync word of a frame.
        [0xFF, 0xE0..=0xFF, ..] => return Some(Opening::Audio),
        _ => {}
    }
    let (line, length) = match first_line(input) {
        Line::Whole(line, length) => (line, length),
        Line::Part => return None,
        Line::Other => return Some(Opening::Http),
    };
    let last = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    let is_http = last.starts_with(b"HTTP/") || last.starts_with(b"ICE/");
    if line.is_empty() || is_http || (method.len() < line.len() && METHODS.contains(&method)) {
        return Some(Opening::Http);
    }
    if line == POKE {
        return Some(Opening::Poke);
    }
    match line.strip_prefix(b"SOURCE ") {
        Some(rest) => old_login(rest, input, length),
        None => Some(Opening::Login { login: Login::new(&text::decode(line), None), length }),
    }
}

/// `SOURCE pw /mount` of the oldest Icecast, or DarkIce's `SOURCE pw` with ` /mount` in a line of its own.
fn old_login(rest: &[u8], input: &[u8], length: usize) -> Option<Opening> {
    let login = |password: &str, mount: Option<&str>, length| {
        let place = mount.map(|mount| Place::Mount(mount.trim().to_owned()));
        Some(Opening::Login { login: Login::new(password, place), length })
    };
    let rest = text::decode(rest);
    if let Some((password, mount)) = rest.rsplit_once(" /") {
        return login(password, Some(&format!("/{mount}")), length);
    }
    match input[length..].first() {
        None => None,
        Some(b' ' | b'/') => match first_line(&input[length..]) {
            Line::Whole(line, more) => login(&rest, Some(&text::decode(line)), length + more),
            Line::Part => None,
            Line::Other => Some(Opening::Http),
        },
        Some(_) => login(&rest, None, length),
    }
}

enum Line<'a> {
    /// A line without its end, and its length with it.
    Whole(&'a [u8], usize),
    /// Its end has not come.
    Part,
    /// Too long, or with control characters.
    Other,
}

fn first_line(input: &[u8]) -> Line<'_> {
    let end = memchr::memchr(b'\n', input);
    let line = &input[..end.unwrap_or(input.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > LOGIN_MAX || line.iter().any(u8::is_ascii_control) {
        return Line::Other;
    }
    end.map_or(Line::Part, |end| Line::Whole(line, end + 1))
}

/// What a source of SHOUTcast v1 says to be let in: its password line, and the mount or stream if it named one apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    text: String,
    place: Option<Place>,
}

/// Where a source wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the mount with this path.
    Mount(String),
    /// To the stream of this number, as SHOUTcast counts them from 1.
    Stream(u16),
    /// Wherever its password fits.
    Any,
}

/// One thing that a password line may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where it wants to go.
    pub place: Place,
    /// As whom; the user is empty if the line names none.
    pub credentials: Credentials,
}

impl Claim {
    fn new(place: Place, user: &str, password: &str) -> Self {
        Claim { place, credentials: Credentials { user: user.to_owned(), password: password.to_owned() } }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Login {
    /// What the line `text` says; `place` is where it must go, if that was said elsewhere.
    pub fn new(text: &str, place: Option<Place>) -> Self {
        Login { text: text.to_owned(), place }
    }

    /// All that it may mean, in the order in which it is tried: `pw:#SID`, `pw#SID`, `/mount:pw`, `mount:pw`, `user:pw`,
    /// `pw`. There are at most eight.
    pub fn claims(&self) -> Vec<Claim> {
        let text = self.text.as_str();
        let numbered = split_number(text);
        let mut claims = Vec::new();
        if let Some(place) = &self.place {
            if let Some((text, _)) = numbered {
                claim(&mut claims, place, text);
            }
            claim(&mut claims, place, text);
            return claims;
        }
        if let Some((text, number)) = numbered {
            claim(&mut claims, &Place::Stream(number), text);
        }
        match text.split_once(':') {
            Some((mount, rest)) if mount.starts_with('/') => {
                claim(&mut claims, &Place::Mount(mount.to_owned()), rest);
                // A mount is named for certain: its password leads to no other.
                claims.push(Claim::new(Place::Any, "", text));
                return claims;
            }
            Some((mount, password)) if !mount.is_empty() => {
                claims.push(Claim::new(Place::Mount(format!("/{mount}")), "", password));
            }
            _ => {}
        }
        claim(&mut claims, &Place::Any, text);
        claims
    }
}

/// Adds `text` as `user:pw` and as `pw`.
fn claim(claims: &mut Vec<Claim>, place: &Place, text: &str) {
    if let Some((user, password)) = text.split_once(':').filter(|(user, _)| !user.is_empty()) {
        claims.push(Claim::new(place.clone(), user, password));
    }
    claims.push(Claim::new(place.clone(), "", text));
}

/// Splits `pw:#2` or `pw#2`.
fn split_number(text: &str) -> Option<(&str, u16)> {
    let (text, number) = text.rsplit_once('#')?;
    let number = Some(number).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    Some((text.strip_suffix(':').unwrap_or(text), number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login(input: &[u8]) -> (Login, usize) {
        match recognise(input) {
            Some(Opening::Login { login, length }) => (login, length),
            other => panic!("{}: {other:?}", input.escape_ascii()),
        }
    }

    /// Claims as `place user password`.
    fn claims(login: &Login) -> Vec<String> {
        let show = |claim: &Claim| {
            let place = match &claim.place {
                Place::Mount(mount) => mount.clone(),
                Place::Stream(number) => format!("#{number}"),
                Place::Any => "any".to_owned(),
            };
            format!("{place} {} {}", claim.credentials.user, claim.credentials.password)
        };
        login.claims().iter().map(show).collect()
    }

    #[test]
    fn all_that_speaks_on_one_port_is_told_apart() {
        for (input, opening) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Opening::Http)),
            (b"SOURCE /m HTTP/1.0\n", Some(Opening::Http)),
            (b"SOURCE /m ICE/1.0\r\n", Some(Opening::Http)),
            (b"GET /\r\n", Some(Opening::Http)),
            (b"get / HTTP/1.1\r\n", Some(Opening::Http)),
            (b"PRI * HTTP/2.0\r\n", Some(Opening::Http)),
            (b"\r\n", Some(Opening::Http)),
            (b"\0", Some(Opening::Http)),
            (b"pw\x01", Some(Opening::Http)),
            (b"pw\rx", Some(Opening::Http)),
            (b"!POKE\n", Some(Opening::Poke)),
            (b"!POKE\r\n", Some(Opening::Poke)),
            (b"\x5A\x00", Some(Opening::Ultravox)),
            (b"\x16", Some(Opening::Tls)),
            (b"\xFF\xFB\x90", Some(Opening::Audio)),
            (b"", None),
            (b"Z", None),
            (b"\xFF", None),
            (b"srcpass", None),
            (b"srcpass\r", None),
            (b"!POKE", None),
            (b"SOURCE pw\n", None),
            (b"SOURCE pw\n /m", None),
        ] {
            assert_eq!(recognise(input), opening, "{}", input.escape_ascii());
        }
        assert_eq!(recognise(&[b'a'; LOGIN_MAX]), None);
        assert_eq!(recognise(&[b'a'; LOGIN_MAX + 1]), Some(Opening::Http));
    }

    #[test]
    fn every_style_of_a_login_is_read() {
        for (input, length, expected) in [
            (&b"srcpass\r\nicy-name:x"[..], 9, vec!["any  srcpass"]),
            (b"srcpass\nicy-name:x", 8, vec!["any  srcpass"]),
            (b"Zpass\r\n", 7, vec!["any  Zpass"]),
            (b"two words\r\n", 11, vec!["any  two words"]),
            (b"GET\r\n", 5, vec!["any  GET"]),
            (b"p\xe4ss\n", 5, vec!["any  päss"]),
            (b"SOURCE pw\n /mount\nicy-name:x", 18, vec!["/mount  pw"]),
            (b"SOURCE pw\r\n/mount\r\n", 19, vec!["/mount  pw"]),
            (b"SOURCE pw /mount\nx-audiocast-name: x", 17, vec!["/mount  pw"]),
            (b"SOURCE pw\nicy-name:x", 10, vec!["any  pw"]),
        ] {
            let (login, read) = login(input);
            assert_eq!((read, claims(&login)), (length, expected.iter().map(ToString::to_string).collect()));
        }
    }

    #[test]
    fn a_password_line_means_what_it_may_mean_in_this_order() {
        for (text, expected) in [
            ("pw", vec!["any  pw"]),
            ("pw:#2", vec!["#2  pw", "/pw  #2", "any pw #2", "any  pw:#2"]),
            ("pw#2", vec!["#2  pw", "any  pw#2"]),
            ("jo:pw:#12", vec!["#12 jo pw", "#12  jo:pw", "/jo  pw:#12", "any jo pw:#12", "any  jo:pw:#12"]),
            ("jo:pw", vec!["/jo  pw", "any jo pw", "any  jo:pw"]),
            ("/m/a:pw", vec!["/m/a  pw", "any  /m/a:pw"]),
            ("/m:jo:pw", vec!["/m jo pw", "/m  jo:pw", "any  /m:jo:pw"]),
            (":pw", vec!["any  :pw"]),
            ("pw#", vec!["any  pw#"]),
            ("pw#70000", vec!["any  pw#70000"]),
            ("pw#+1", vec!["any  pw#+1"]),
        ] {
            assert_eq!(claims(&Login::new(text, None)), expected, "{text}");
        }
        let at = |text| claims(&Login::new(text, Some(Place::Stream(3))));
        assert_eq!(at("pw"), ["#3  pw"]);
        assert_eq!(at("jo:pw"), ["#3 jo pw", "#3  jo:pw"]);
        assert_eq!(at("pw:#2"), ["#3  pw", "#3 pw #2", "#3  pw:#2"]);
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        assert!(!format!("{:?}", login(b"hackme\r\n")).contains("hackme"));
    }

    #[test]
    fn headers_are_those_of_http_without_a_request_line() {
        let input = b"icy-name:LS\r\nicy-br: 128\ncontent-type:audio/mpeg\r\n\r\n\xFF\xFB";
        let (headers, length) = parse_headers(input).unwrap().unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("icy-name", "LS"), ("icy-br", "128"), ("content-type", "audio/mpeg")]);
        assert_eq!(length, input.len() - 2);
        for end in 0..length {
            assert_eq!(parse_headers(&input[..end]), Ok(None));
        }
        assert_eq!(parse_headers(b"\r\naudio"), Ok(Some((vec![], 2))));
        assert!(parse_headers(b"icy-name:\x01").is_err());
    }

    proptest! {
        #[test]
        fn a_verdict_stands_whatever_follows(
            input in "(SOURCE |GET |!POKE|Z|ab| /m|/|:|#2|\r\n|\n|\r| HTTP/1.0|\0|\u{16}|ÿ){0,9}",
        ) {
            let input = input.as_bytes();
            let mut verdict = None;
            for end in 0..=input.len() {
                let now = recognise(&input[..end]);
                prop_assert!(verdict.is_none() || verdict == now);
                verdict = now;
            }
        }

        #[test]
        fn claims_are_few_and_hold_nothing_but_the_line(text in "[a/:#0-9]{0,24}") {
            let claims = Login::new(&text, None).claims();
            prop_assert!((1..=8).contains(&claims.len()));
            for claim in claims {
                prop_assert!(text.contains(&claim.credentials.user) && text.contains(&claim.credentials.password));
            }
        }
    }
}
