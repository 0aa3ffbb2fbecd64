//! What encoders tell about what they play: requests to `/admin/metadata`, and the texts they carry made safe.

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::icy::Metadata;
use crate::path::Query;

/// Longest text of a field, in characters.
const CHARACTERS_MAX: usize = 1_000;

/// A request to `/admin/metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest {
    /// The mount it is about, as a path.
    pub mount: Option<String>,
    mode: Option<String>,
    title: String,
    url: String,
}

impl MetadataRequest {
    /// Reads the fields of a query.
    pub fn decode(query: &Query) -> Self {
        let charset = query.get("charset").and_then(|label| Encoding::for_label(label.trim().as_bytes()));
        let text = |name| query.get_bytes(name).map(|bytes| clean(&decode(bytes, charset)));
        let title = text("song").unwrap_or_else(|| {
            let parts = [text("artist"), text("title")];
            let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            parts.join(" - ")
        });
        MetadataRequest {
            mount: query.get("mount").filter(|mount| !mount.is_empty()).map(str::to_owned),
            mode: query.get("mode").map(str::to_owned),
            title,
            url: text("url").unwrap_or_default(),
        }
    }

    /// True if it asks for the one thing that can be asked: to set what is being played.
    pub fn is_update(&self) -> bool {
        self.mode.as_deref() == Some("updinfo")
    }

    /// What is being played.
    pub fn metadata(&self) -> Metadata {
        Metadata { title: self.title.clone(), url: self.url.clone() }
    }
}

/// Text of whatever character set: the one that is named, else UTF-8 if it is that, else Windows-1252.
fn decode(bytes: &[u8], charset: Option<&'static Encoding>) -> String {
    match (charset, std::str::from_utf8(bytes)) {
        (Some(charset), _) => charset.decode_without_bom_handling(bytes).0.into_owned(),
        (None, Ok(text)) => text.to_owned(),
        (None, Err(_)) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Makes a text safe wherever it goes: no control or direction characters, no `';`, which would end an ICY field, one
/// blank where there were several, at most 1,000 characters.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(CHARACTERS_MAX * 4));
    let mut last = ' ';
    for character in text.chars().map(|it| if is_unsafe(it) { ' ' } else { it }).take(CHARACTERS_MAX) {
        let skip = (character == ' ' && last == ' ') || (character == ';' && last == '\'');
        if !skip {
            out.push(character);
            last = character;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(query: &str) -> String {
        MetadataRequest::decode(&Query::decode(query).unwrap()).metadata().title
    }

    #[test]
    fn titles_come_in_several_fields() {
        assert_eq!(title("mode=updinfo&song=A%20-%20B"), "A - B");
        assert_eq!(title("artist=A&title=B"), "A - B");
        assert_eq!(title("title=B"), "B");
        assert_eq!(title("mode=updinfo"), "");
    }

    #[test]
    fn titles_come_in_several_character_sets() {
        assert_eq!(title("song=Bj%C3%B6rk"), "Björk");
        assert_eq!(title("song=Björk"), "Björk");
        assert_eq!(title("song=Bj%F6rk"), "Björk");
        assert_eq!(title("song=Bj%F6rk%80&charset=ISO-8859-1"), "Björk€");
        assert_eq!(title("charset=ISO-8859-5&song=%BF%D8%E1%DC%DE"), "Писмо");
        assert_eq!(title("charset=nonsense&song=Bj%C3%B6rk"), "Björk");
    }

    #[test]
    fn texts_are_made_safe() {
        assert_eq!(clean("a\r\nb\0c\u{7f}"), "a b c");
        assert_eq!(clean("x';StreamUrl='http://evil.example"), "x'StreamUrl='http://evil.example");
        assert_eq!(clean("x'\u{1};y"), "x' ;y");
        assert_eq!(clean("x';;;y"), "x'y");
        assert_eq!(clean("  It's Oh So Quiet  "), "It's Oh So Quiet");
        assert_eq!(clean("\u{202e}abc"), "abc");
        assert_eq!(clean(&"é".repeat(5_000)).chars().count(), 1_000);
    }

    #[test]
    fn only_updates_are_known() {
        let read = |query: &str| MetadataRequest::decode(&Query::decode(query).unwrap());
        assert!(read("mode=updinfo").is_update());
        assert!(!read("mode=other").is_update() && !read("").is_update());
        assert_eq!(read("mount=%2ftest").mount.as_deref(), Some("/test"));
    }
}
