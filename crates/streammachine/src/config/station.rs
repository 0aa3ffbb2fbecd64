//! What a station tells about itself to directories: codes of countries and languages, and addresses on the web.
//!
//! The forms only; whether a code is given to a country or language is not looked up.

use serde_json::{Value, json};

use super::coerce::is_url;

/// Most languages of a stream.
const LANGUAGES_MAX: usize = 20;
/// Most directories of a stream.
const URLS_MAX: usize = 8;

/// A country as ISO 3166-1 alpha-2 has it, in upper case.
pub fn country(text: &str) -> Option<String> {
    let fits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    fits.then(|| text.to_ascii_uppercase())
}

/// A part of a country as ISO 3166-2 has it, in upper case: the country, a dash, one to three letters or digits.
pub fn subdivision(text: &str) -> Option<String> {
    let (of, part) = text.split_once('-')?;
    let fits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    country(of).filter(|_| fits)?;
    Some(text.to_ascii_uppercase())
}

/// Languages as ISO 639 has them, of two or three letters, in lower case: a list, or a text with commas.
pub fn languages(value: &Value) -> Option<Value> {
    let codes: Vec<String> = words(value)?.iter().map(|code| language(code)).collect::<Option<_>>()?;
    (codes.len() <= LANGUAGES_MAX).then(|| json!(codes))
}

fn language(code: &str) -> Option<String> {
    let fits = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    fits.then(|| code.to_ascii_lowercase())
}

/// Addresses on the web: a list, or one as a text.
pub fn urls(value: &Value) -> Option<Value> {
    let list = match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        _ => words(value)?,
    };
    (list.len() <= URLS_MAX && list.iter().all(|url| is_web_address(url))).then(|| json!(list))
}

/// True for an address that can stand in a header and a form, and is no secret: `http` or `https`, a host, no user, nothing
/// that is no character of addresses.
pub fn is_web_address(text: &str) -> bool {
    let host = text.split('/').nth(2).unwrap_or_default();
    is_url(text)
        && !host.contains('@')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Bool(false) => Some(Vec::new()),
        Value::String(text) => {
            Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
        }
        Value::Array(list) => list.iter().map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
