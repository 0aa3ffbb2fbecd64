//! Request targets: the path decoded once, and the query as pairs.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use crate::text;

/// Most pairs of a query.
pub const PAIRS_MAX: usize = 64;

/// What is encoded in a path that we write. Browsers take `\` for `/`, and so a path for a host.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'%').add(b'\\');
/// What is encoded in a name or value of a query that we write.
const IN_QUERY: &AsciiSet = &IN_PATH.add(b'&').add(b'=').add(b'+').add(b'\'').add(b';');

/// Why a target cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A control character, encoded or not.
    #[error("the request target holds a control character")]
    Control,
    /// More than [`PAIRS_MAX`] pairs.
    #[error("the query has more than {PAIRS_MAX} parameters")]
    TooManyPairs,
}

/// A query as pairs, in order, decoded once: text where it is UTF-8 or Windows-1252, and the bytes themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, Vec<u8>, String)>,
}

impl Query {
    /// Reads `name=value&name=value`; `+` is a blank, a bad escape stays as it is.
    ///
    /// # Errors
    /// Beyond [`PAIRS_MAX`] pairs.
    pub fn decode(query: &str) -> Result<Self, TargetError> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(TargetError::TooManyPairs);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode_bytes(name), decode_bytes(value));
            let shown = text::decode(&value);
            pairs.push((text::decode(&name), value, shown));
        }
        Ok(Query { pairs })
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, ..)| found == name).map(|(_, _, value)| value.as_str())
    }

    /// The bytes of the first value of that name, in whatever character set they are.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(found, ..)| found == name).map(|(_, bytes, _)| bytes.as_slice())
    }

    /// The same with other pairs behind; of equal names the first counts.
    pub fn and(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let more = pairs.into_iter().map(|(name, value)| (name, value.clone().into_bytes(), value));
        self.pairs.extend(more);
        self
    }

    /// All pairs in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, _, value)| (name.as_str(), value.as_str()))
    }
}

/// Splits a target into its path, decoded once, and its query. `http://host` in front is skipped, an empty path is `/`,
/// and dots mean nothing: a path is looked up as it is.
///
/// # Errors
/// Control characters, and queries beyond their bound.
pub fn split_target(target: &str) -> Result<(String, Query), TargetError> {
    let target = origin_form(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path.is_empty() { "/" } else { path };
    let path = text::decode(&percent_decode(path.as_bytes()).collect::<Vec<u8>>());
    if path.chars().any(char::is_control) || query.chars().any(char::is_control) {
        return Err(TargetError::Control);
    }
    Ok((path, Query::decode(query)?))
}

fn origin_form(target: &str) -> &str {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    rest.map_or(target, |rest| rest.find(['/', '?']).map_or("", |end| &rest[end..]))
}

/// Writes a target from a decoded path and pairs.
pub fn encode_target(path: &str, pairs: &[(String, String)]) -> String {
    let mut target = utf8_percent_encode(path, IN_PATH).to_string();
    for (number, (name, value)) in pairs.iter().enumerate() {
        target.push(if number == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(name, IN_QUERY));
        target.push('=');
        target.extend(utf8_percent_encode(value, IN_QUERY));
    }
    target
}

fn decode_bytes(text: &str) -> Vec<u8> {
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        for (target, path) in [
            ("/test", "/test"),
            ("/te%73t?x=1", "/test"),
            ("/te%2573t", "/te%73t"),
            ("/%zz%", "/%zz%"),
            ("/a+b%2B", "/a+b+"),
            ("/Bj%F6rk", "/Björk"),
            ("/test/../x/.", "/test/../x/."),
            ("", "/"),
            ("*", "*"),
            ("http://radio.example/test", "/test"),
            ("https://radio.example:8000/test?x=1", "/test"),
            ("http://radio.example", "/"),
            ("http://radio.example?x=/y", "/"),
        ] {
            assert_eq!(split_target(target).unwrap().0, path, "{target}");
        }
    }

    #[test]
    fn control_characters_are_refused_raw_or_encoded() {
        for target in ["/test%00", "/test%0d%0aX", "/test%7F", "/test%C2%85", "/te\0st", "/?a=\r"] {
            assert_eq!(split_target(target), Err(TargetError::Control), "{target:?}");
        }
    }

    #[test]
    fn queries_are_pairs_in_order() {
        let (_, query) = split_target("/m?song=Bj%C3%B6rk+-+J%c3%b3ga&song=2&empty&x[a]=1").unwrap();
        assert_eq!(query.get("song"), Some("Björk - Jóga"));
        assert_eq!(query.get("empty"), Some(""));
        assert_eq!(query.get("x[a]"), Some("1"));
        assert_eq!(query.get("absent"), None);
        assert_eq!(query.pairs().count(), 4);
    }

    #[test]
    fn bytes_of_other_character_sets_are_kept() {
        let query = Query::decode("song=Bj%F6rk").unwrap();
        assert_eq!(query.get_bytes("song"), Some(&b"Bj\xf6rk"[..]));
        assert_eq!(query.get("song"), Some("Björk"));
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let text = |count| vec!["a=1"; count].join("&&");
        assert_eq!(Query::decode(&text(PAIRS_MAX)).unwrap().pairs().count(), PAIRS_MAX);
        assert_eq!(Query::decode(&text(PAIRS_MAX + 1)), Err(TargetError::TooManyPairs));
    }

    #[test]
    fn what_is_written_is_encoded() {
        let pairs = [("a b".to_owned(), "x&y=z+1'é%".to_owned()), ("c".to_owned(), String::new())];
        let target = "/te%20st%3F%25/%5C?a%20b=x%26y%3Dz%2B1%27%C3%A9%25&c=";
        assert_eq!(encode_target("/te st?%/\\", &pairs), target);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            path in "/[^\\p{Cc}]{0,20}",
            pairs in proptest::collection::vec((".{1,10}", ".{0,10}"), 0..8),
        ) {
            let (read, query) = split_target(&encode_target(&path, &pairs)).unwrap();
            prop_assert_eq!(read, path);
            let read: Vec<_> = query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn no_target_panics(target in "(http://)?[/?&=%+a-f0-9é;.]{0,60}") {
            // That it returns is the fact.
            let _ = split_target(&target);
        }
    }
}
