//! What encoders tell about what they play: requests to `/admin/metadata`, and the texts they carry made safe.

use encoding_rs::Encoding;

use crate::icy::Metadata;
use crate::path::Query;
use crate::text;

/// Longest text of a field, in characters.
pub const CHARACTERS_MAX: usize = 1_000;

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
        let label = query.get("charset").unwrap_or_default();
        let charset = Encoding::for_label_no_replacement(label.as_bytes());
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
    match charset {
        Some(charset) => charset.decode_without_bom_handling(bytes).0.into_owned(),
        None => text::decode(bytes),
    }
}

/// Makes a text safe wherever it goes: no control or direction characters, no `';`, which would end an ICY field, one
/// blank where there were several and none around it, at most [`CHARACTERS_MAX`] characters.
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
    out.trim().to_owned()
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn title(query: &str) -> String {
        MetadataRequest::decode(&Query::decode(query).unwrap()).metadata().title
    }

    #[test]
    fn titles_come_in_several_fields() {
        for (query, expected) in [
            ("mode=updinfo&song=A%20-%20B", "A - B"),
            ("artist=A&title=B", "A - B"),
            ("title=B", "B"),
            ("artist=A&title=", "A"),
            ("song=&artist=A&title=B", ""),
            ("song=S&artist=A&title=B", "S"),
            ("mode=updinfo", ""),
        ] {
            assert_eq!(title(query), expected, "{query}");
        }
        let request = MetadataRequest::decode(&Query::decode("song=A&url=http://u/%0d%0a").unwrap());
        assert_eq!(request.metadata(), Metadata { title: "A".to_owned(), url: "http://u/".to_owned() });
    }

    #[test]
    fn titles_come_in_several_character_sets() {
        for (query, expected) in [
            ("song=Bj%C3%B6rk", "Björk"),
            ("song=Björk", "Björk"),
            ("song=Bj%F6rk", "Björk"),
            ("song=%93Hi%94", "“Hi”"),
            ("song=Bj%C3%B6rk&charset=UTF-8", "Björk"),
            ("song=Bj%F6rk%80&charset=ISO-8859-1", "Björk€"),
            ("song=Bj%C3%B6rk&charset=latin1", "BjÃ¶rk"),
            ("charset=ISO-8859-5&song=%BF%D8%E1%EC%DC%DE", "Письмо"),
            ("charset=nonsense&song=Bj%C3%B6rk", "Björk"),
            ("charset=hz-gb-2312&song=A", "A"),
        ] {
            assert_eq!(title(query), expected, "{query}");
        }
    }

    #[test]
    fn texts_are_made_safe() {
        for (text, expected) in [
            ("a\r\nb\0c\u{7f}", "a b c"),
            ("a\u{85}b\u{9f}c", "a b c"),
            ("x';StreamUrl='http://evil.example", "x'StreamUrl='http://evil.example"),
            ("x'\u{1};y", "x' ;y"),
            ("x';;;y", "x'y"),
            ("x'';y", "x''y"),
            ("  It's Oh So Quiet  ", "It's Oh So Quiet"),
            ("\u{202e}abc\u{2028}\u{61c}d", "abc d"),
            ("\r\n\t", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_are_cut_at_their_longest() {
        let longest = "é".repeat(CHARACTERS_MAX);
        assert_eq!(clean(&longest), longest);
        assert_eq!(clean(&format!("{longest}x")), longest);
    }

    #[test]
    fn only_updates_are_known() {
        let read = |query: &str| MetadataRequest::decode(&Query::decode(query).unwrap());
        assert!(read("mode=updinfo").is_update());
        assert!(!read("mode=other").is_update() && !read("").is_update());
        assert_eq!(read("mount=%2ftest").mount.as_deref(), Some("/test"));
        assert_eq!(read("mount=").mount, None);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_safe_and_cleaning_it_again_changes_nothing(text in "([ -~]|';|\\PC|.|\n|\u{202e}){0,80}") {
            let clean = clean(&text);
            prop_assert!(!clean.contains("';") && !clean.contains(is_unsafe));
            prop_assert_eq!(super::clean(&clean), clean.as_str());
            prop_assert_eq!(clean.trim(), clean.as_str());
        }
    }
}
