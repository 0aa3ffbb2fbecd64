//! Credentials as requests carry them, and secrets that do not leak.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Serialize, Serializer};
use subtle::ConstantTimeEq as _;

use crate::text;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name; encoders send whatever they like.
    pub user: String,
    /// Password, colons and all.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Credentials of an `Authorization` header with the scheme Basic, in any case; anything else is none.
pub fn basic(header: Option<&str>) -> Option<Credentials> {
    let (scheme, encoded) = header?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded = encoded.trim();
    let bytes = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()?;
    let text = text::decode(&bytes);
    let (user, password) = text.split_once(':')?;
    Some(Credentials { user: user.to_owned(), password: password.to_owned() })
}

/// A text that is shown to nobody and compared in constant time.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// What is shown in its place.
    pub const MASK: &'static str = "***";

    /// Keeps `text` from being shown.
    pub fn new(text: String) -> Self {
        Secret(text)
    }

    /// True if `given` is the secret, which is never empty. The time taken tells at most whether the lengths agree.
    pub fn matches(&self, given: &str) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given.as_bytes()))
    }

    /// The text itself, for where it must be used.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_in_all_their_forms() {
        let read = |header| basic(Some(header)).map(|it| (it.user, it.password));
        let expected = Some(("source".to_owned(), "srcpass".to_owned()));
        assert_eq!(read("Basic c291cmNlOnNyY3Bhc3M="), expected);
        assert_eq!(read("bAsIc  c291cmNlOnNyY3Bhc3M="), expected);
        assert_eq!(read("Basic c291cmNlOnNyY3Bhc3M"), expected);
        assert_eq!(read("Basic OmE6Yjpj"), Some((String::new(), "a:b:c".to_owned())));
        assert_eq!(read("Basic Og=="), Some((String::new(), String::new())));
        assert_eq!(read("Basic czpw5A=="), Some(("s".to_owned(), "pä".to_owned())));
    }

    #[test]
    fn anything_else_is_none() {
        let bearer = "Bearer c291cmNlOnNyY3Bhc3M=";
        for header in ["", "Basic", "Basic ", "Basic !!!", "Basic YTpi=", bearer, "Basic bm9jb2xvbg=="] {
            assert_eq!(basic(Some(header)), None, "{header:?}");
        }
        assert_eq!(basic(None), None);
    }

    #[test]
    fn secrets_match_only_themselves() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(secret("hackme").matches("hackme"));
        for other in ["hackmE", "Hackme", "hackme ", "hackm", ""] {
            assert!(!secret("hackme").matches(other), "{other:?}");
            assert_ne!(secret("hackme"), secret(other));
        }
        assert_eq!(secret("hackme"), secret("hackme"));
        assert!(!secret("").matches(""));
    }

    #[test]
    fn secrets_and_passwords_are_not_shown() {
        let secret = Secret::new("hackme".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(fmt::from_fn(|f| secret.serialize(f)).to_string(), "***");
        assert_eq!(secret.expose(), "hackme");
        let credentials = basic(Some("Basic YTpoYWNrbWU=")).unwrap();
        assert_eq!(credentials.password, "hackme");
        assert!(!format!("{credentials:?}").contains("hackme"));
    }
}
