//! What encoders tell about what they play: requests to set titles, and the texts they carry made safe.

use encoding_rs::Encoding;
use percent_encoding::{CONTROLS, percent_encode};

use crate::auth::{Credentials, Secret};
use crate::icy::Metadata;
use crate::path::{Query, TargetError};
use crate::shoutcast::{Login, Place};
use crate::text::Charset;

/// Longest text of a field, in characters.
pub const CHARACTERS_MAX: usize = 1_000;

/// A request to set what is being played: `/admin/metadata` of Icecast, or `/admin.cgi` of SHOUTcast v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest {
    /// How its sender speaks, and so what it understands as an answer.
    pub dialect: Dialect,
    /// The mount it is about, as a path.
    pub mount: Option<String>,
    mode: Option<String>,
    password: Option<Secret>,
    stream: Option<u16>,
    charset: Option<&'static Encoding>,
    song: Option<Vec<u8>>,
    artist_and_title: [Option<Vec<u8>>; 2],
    url_and_artwork: [Option<Vec<u8>>; 2],
}

/// Whose requests they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Names its mount; user and password are in a header.
    Icecast,
    /// The password is in the query, and may name the mount or stream.
    Shoutcast,
}

impl MetadataRequest {
    /// Reads the fields of a query.
    pub fn decode(query: &Query, dialect: Dialect) -> Self {
        let label = query.get("charset").unwrap_or_default();
        let bytes = |name| query.get_bytes(name).map(<[u8]>::to_vec);
        let said = |name| query.get(name).filter(|value| !value.is_empty());
        MetadataRequest {
            dialect,
            mount: said("mount").map(str::to_owned),
            mode: query.get("mode").map(str::to_owned),
            password: said("pass").map(|pass| Secret::new(pass.to_owned())),
            stream: said("sid").and_then(|sid| sid.parse().ok()),
            charset: Encoding::for_label_no_replacement(label.as_bytes()),
            song: bytes("song"),
            artist_and_title: [bytes("artist"), bytes("title")],
            url_and_artwork: [bytes("url"), bytes("artwork")],
        }
    }

    /// Reads a form that was posted to `target`; fields of the target's query come first.
    ///
    /// # Errors
    /// Too many fields.
    pub fn decode_form(target: &str, body: &[u8], dialect: Dialect) -> Result<Self, TargetError> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        // What is no UTF-8 is escaped, so that its bytes stay what they are.
        let form = match std::str::from_utf8(body) {
            Ok(form) => form.trim_ascii_end().to_owned(),
            Err(_) => percent_encode(body.trim_ascii_end(), CONTROLS).to_string(),
        };
        Ok(MetadataRequest::decode(&Query::decode(&format!("{query}&{form}"))?, dialect))
    }

    /// What a SHOUTcast encoder says to be let in; `header` are the credentials of its header, for encoders that use that.
    pub fn login(&self, header: Option<&Credentials>) -> Option<Login> {
        let place = match (&self.mount, self.stream) {
            (Some(mount), _) => Some(Place::Mount(mount.clone())),
            (None, Some(number)) => Some(Place::Stream(number)),
            (None, None) => None,
        };
        match (&self.password, header) {
            (Some(password), _) => Some(Login::new(password.expose(), place)),
            (None, Some(header)) => Some(Login::new(&format!("{}:{}", header.user, header.password), place)),
            (None, None) => None,
        }
    }

    /// True if it asks for the one thing that can be asked: to set what is being played.
    pub fn is_update(&self) -> bool {
        self.mode.as_deref() == Some("updinfo")
    }

    /// What is being played: in the character set that is named, else UTF-8 if it is that, else `charset`.
    pub fn metadata(&self, charset: Charset) -> Metadata {
        let text = |bytes: &Vec<u8>| match self.charset {
            Some(named) => clean(&named.decode_without_bom_handling(bytes).0),
            None => clean(&charset.decode(bytes)),
        };
        let texts = |fields: &[Option<Vec<u8>>]| -> Vec<String> {
            fields.iter().flatten().map(text).filter(|text| !text.is_empty()).collect()
        };
        Metadata {
            title: self.song.as_ref().map_or_else(|| texts(&self.artist_and_title).join(" - "), text),
            // ICY has one address: players that know nothing of pictures show it as a link.
            url: texts(&self.url_and_artwork).into_iter().next().unwrap_or_default(),
        }
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

/// `text` as it stands in HTML and in XML, in attributes too.
pub fn escape_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> MetadataRequest {
        MetadataRequest::decode(&Query::decode(query).unwrap(), Dialect::Icecast)
    }

    fn title(query: &str) -> String {
        read(query).metadata(Charset::default()).title
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
        let request = read("song=A&url=http://u/%0d%0a");
        assert_eq!(
            request.metadata(Charset::default()),
            Metadata { title: "A".to_owned(), url: "http://u/".to_owned() }
        );
    }

    #[test]
    fn the_address_is_that_of_the_song_or_of_its_picture() {
        for (query, url) in [
            ("url=http://u&artwork=http://a", "http://u"),
            ("url=&artwork=http://a", "http://a"),
            ("album=X", ""),
        ] {
            assert_eq!(read(query).metadata(Charset::default()).url, url, "{query}");
        }
    }

    #[test]
    fn forms_are_read_in_their_character_set_behind_the_query() {
        let read = |target: &str, body: &[u8]| {
            MetadataRequest::decode_form(target, body, Dialect::Icecast)
                .map(|it| (it.mount.clone(), it.metadata(Charset::default()).title))
        };
        let expected = |mount: &str, title: &str| Ok((Some(mount.to_owned()), title.to_owned()));
        assert_eq!(read("/admin/metadata", b"mount=/m&song=a+b%21\r\n"), expected("/m", "a b!"));
        assert_eq!(read("/admin/metadata?mount=/m", b"mount=/x&song=Bj\xf6rk"), expected("/m", "Björk"));
        assert_eq!(read("/x?mount=/m", "song=Bj\u{f6}rk".as_bytes()), expected("/m", "Björk"));
        assert_eq!(read("/x?mount=/m&charset=ISO-8859-2", b"song=\xa3\xf3d\xbc"), expected("/m", "Łódź"));
        assert!(read("/x", "a=1&".repeat(100).as_bytes()).is_err());
    }

    #[test]
    fn shoutcast_encoders_say_their_password_in_the_query_or_in_a_header() {
        let login = |query: &str| read(query).login(None);
        let place = |mount: &str| Some(Place::Mount(mount.to_owned()));
        assert_eq!(login("pass=pw:#2"), Some(Login::new("pw:#2", None)));
        assert_eq!(login("pass=pw&sid=2"), Some(Login::new("pw", Some(Place::Stream(2)))));
        assert_eq!(login("pass=pw&sid=2&mount=/m"), Some(Login::new("pw", place("/m"))));
        assert_eq!(login("pass=pw&sid=x"), Some(Login::new("pw", None)));
        assert_eq!(login("pass="), None);
        let header = Credentials { user: "jo".to_owned(), password: "pw".to_owned() };
        assert_eq!(read("mount=/m").login(Some(&header)), Some(Login::new("jo:pw", place("/m"))));
        assert!(!format!("{:?}", read("pass=hackme")).contains("hackme"));
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
    fn a_charset_of_the_mount_is_for_what_is_no_utf8_and_named_no_charset() {
        let latin2 = Charset::find("latin2").unwrap();
        for (query, expected) in [
            ("song=%A3%F3d%BC", "Łódź"),
            ("artist=%A3&title=%F3", "Ł - ó"),
            ("song=Bj%C3%B6rk", "Björk"),
            ("song=%A3&charset=ISO-8859-1", "£"),
        ] {
            assert_eq!(read(query).metadata(latin2).title, expected, "{query}");
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
