//! Text of which nobody said what character set it is in. Which characters are safe to show is in `metadata`.

use encoding_rs::WINDOWS_1252;

/// UTF-8 if it is that, else Windows-1252: what senders of "Latin-1" mean, with its quotation marks and the euro sign.
pub(crate) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
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
}
