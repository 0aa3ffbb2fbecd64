//! Text of which nobody said what character set it is in. Which characters are safe to show is in `metadata`.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// What bytes mean that are no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// The character set of this name, in any case, as the web knows them: `ISO-8859-2`, `latin2`, `KOI8-R`. None for
    /// those whose bytes are not told apart from ASCII or UTF-8: UTF-16, ISO-2022.
    pub fn find(label: &str) -> Option<Self> {
        let known = Encoding::for_label_no_replacement(label.as_bytes());
        known.filter(|encoding| encoding.is_ascii_compatible()).map(Charset)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// UTF-8 if it is that, else this.
    pub fn decode(self, bytes: &[u8]) -> String {
        // What is no UTF-8 although it should be is more likely this than anything else.
        let other = if self.0 == UTF_8 { WINDOWS_1252 } else { self.0 };
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => other.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }
}

impl Default for Charset {
    /// Windows-1252: what senders of "Latin-1" mean, with its quotation marks and the euro sign.
    fn default() -> Self {
        Charset(WINDOWS_1252)
    }
}

/// UTF-8 if it is that, else Windows-1252.
pub(crate) fn decode(bytes: &[u8]) -> String {
    Charset::default().decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_comes_first_and_everything_else_is_windows_1252() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"Bj\xc3\xb6rk", "Björk"),
            (b"Bj\xf6rk", "Björk"),
            (b"\x93Hi\x94 \x80", "“Hi” €"),
            (b"\xc3", "Ã"),
        ] {
            assert_eq!(decode(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn character_sets_have_several_names_and_come_after_utf8() {
        for (label, name, bytes, text) in [
            ("latin2", "ISO-8859-2", &b"\xa3\xf3d\xbc"[..], "Łódź"),
            ("KOI8-R", "KOI8-R", b"\xf0\xc9\xd3\xd8\xcd\xcf", "Письмо"),
            ("Shift_JIS", "Shift_JIS", b"\x93\x8c\x8b\x9e", "東京"),
            ("koi8-r", "KOI8-R", b"Bj\xc3\xb6rk", "Björk"),
            ("utf8", "UTF-8", b"Bj\xf6rk", "Björk"),
            ("ISO-8859-1", "windows-1252", b"\x80", "€"),
        ] {
            let charset = Charset::find(label).unwrap();
            assert_eq!((charset.name(), charset.decode(bytes).as_str()), (name, text), "{label}");
        }
        for label in ["", "nonsense", "utf-16le", "iso-2022-jp", "hz-gb-2312", "replacement"] {
            assert_eq!(Charset::find(label), None, "{label}");
        }
    }
}
