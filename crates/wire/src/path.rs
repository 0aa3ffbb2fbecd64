//! Request targets: the path decoded once, and the query as pairs.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// Most pairs of a query.
pub const PAIRS_MAX: usize = 64;

/// What is encoded in a path that we write.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'%');
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

/// A query as pairs, in order, decoded once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, Vec<u8>, String)>,
}

impl Query {
    /// Reads `name=value&name=value`; `+` is a blank, a bad escape stays as it is.
    ///
    /// # Errors
    /// Beyond [`PAIRS_MAX`] pairs.
    pub fn decode(text: &str) -> Result<Self, TargetError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(TargetError::TooManyPairs);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode_bytes(value);
            let shown = String::from_utf8_lossy(&value).into_owned();
            pairs.push((String::from_utf8_lossy(&decode_bytes(name)).into_owned(), value, shown));
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

    /// All pairs in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, _, value)| (name.as_str(), value.as_str()))
    }
}

/// Splits a target into its path, decoded once, and its query. `http://host` in front is skipped.
///
/// # Errors
/// Control characters, and queries beyond their bound.
pub fn split_target(target: &str) -> Result<(String, Query), TargetError> {
    let target = origin_form(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = percent_decode(path.as_bytes()).decode_utf8_lossy().into_owned();
    if path.chars().any(char::is_control) || query.chars().any(char::is_control) {
        return Err(TargetError::Control);
    }
    Ok((path, Query::decode(query)?))
}

fn origin_form(target: &str) -> &str {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    match rest {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    }
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
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        let path = |target| split_target(target).map(|(path, _)| path);
        assert_eq!(path("/test").unwrap(), "/test");
        assert_eq!(path("/te%73t?x=1").unwrap(), "/test");
        assert_eq!(path("/te%2573t").unwrap(), "/te%73t");
        assert_eq!(path("/%zz%").unwrap(), "/%zz%");
        assert_eq!(path("http://radio.example/test").unwrap(), "/test");
        assert_eq!(path("http://radio.example").unwrap(), "/");
        assert_eq!(path("/test%00"), Err(TargetError::Control));
        assert_eq!(path("/test%0d%0aX"), Err(TargetError::Control));
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
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let text = |count| vec!["a=1"; count].join("&");
        assert_eq!(Query::decode(&text(PAIRS_MAX)).unwrap().pairs().count(), PAIRS_MAX);
        assert_eq!(Query::decode(&text(PAIRS_MAX + 1)), Err(TargetError::TooManyPairs));
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let pairs = [("a b".to_owned(), "x&y=z+1'é%".to_owned()), ("c".to_owned(), String::new())];
        let target = encode_target("/te st?%/", &pairs);
        let (path, query) = split_target(&target).unwrap();
        assert_eq!(path, "/te st?%/");
        let read: Vec<_> = query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read, pairs);
    }
}
