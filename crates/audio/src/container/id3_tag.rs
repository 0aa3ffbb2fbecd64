//! ID3v2.4 tags in front of packed audio segments (id3.org, "ID3 tag version 2.4.0", Main Structure and Native Frames):
//! the time stamp that HTTP Live Streaming wants there, texts and a link. Reading tags is `id3`'s.
//!
//! ```text
//!   tag:    "ID3" 4 0  flags  size (4 × 7 bits, without these ten bytes)  frames
//!   frame:  id (4)  size (4 × 7 bits, without these ten bytes)  flags (2)  body
//!   PRIV:   owner 0  data          T...:  encoding  text          WXXX:  encoding  description 0  address
//! ```

use super::PTS_MASK;

/// Bytes of a tag's header, and of a frame's.
const HEADER_BYTES: usize = 10;
/// Whose data the time stamp is (draft-pantos-hls-rfc8216bis section 3.1.3), with the zero that ends it.
const TIMESTAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// Bytes of the time stamp: 31 zero bits, then 33 of the clock.
const TIMESTAMP_BYTES: usize = 8;
/// Says that a text is UTF-8.
const UTF_8: u8 = 3;
/// Most bytes of a text: all that an ICY metadata block can hold (255 × 16).
const TEXT_BYTES_MAX: usize = 4_080;

/// The tag in front of a packed audio segment whose first frame is due at `pts_90khz` (units of 1/90,000 s; its lower
/// 33 bits count), with `texts`: frame id (`TIT2`, `TPE1`) and text. 73 bytes without texts.
///
/// An id that is not a text frame's, and an empty text, is left out; control characters become spaces, as zeros divide
/// texts; a text ends before it would pass 4,080 bytes. `WXXX` is an address, without a description: left out if it is
/// not all printable ASCII, or longer.
pub fn id3_timestamp_tag(pts_90khz: u64, texts: &[(&str, &str)]) -> Vec<u8> {
    tag(|out| {
        frame("PRIV", out, |out| {
            out.extend_from_slice(TIMESTAMP_OWNER);
            out.extend_from_slice(&(pts_90khz & PTS_MASK).to_be_bytes());
        });
        text_frames(texts, out);
    })
}

/// A tag with `texts` and no time stamp, for containers that have one of their own; else like
/// [`id3_timestamp_tag`]. Empty if no text is left.
pub fn id3_text_tag(texts: &[(&str, &str)]) -> Vec<u8> {
    let tag = tag(|out| text_frames(texts, out));
    if tag.len() == HEADER_BYTES { Vec::new() } else { tag }
}

fn tag(write_frames: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * HEADER_BYTES + TIMESTAMP_OWNER.len() + TIMESTAMP_BYTES);
    out.extend_from_slice(b"ID3\x04\0\0\0\0\0\0");
    write_frames(&mut out);
    let size = seven_bits_a_byte(out.len() - HEADER_BYTES);
    out[HEADER_BYTES - size.len()..HEADER_BYTES].copy_from_slice(&size);
    out
}

/// Appends a frame with what `write_body` appends.
fn frame(id: &str, out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(id.as_bytes());
    let size_at = out.len();
    // The size, known later, and two bytes of flags.
    out.extend_from_slice(&[0; 6]);
    write_body(out);
    let size = seven_bits_a_byte(out.len() - size_at - 6);
    out[size_at..size_at + size.len()].copy_from_slice(&size);
}

fn text_frames(texts: &[(&str, &str)], out: &mut Vec<u8>) {
    for (id, text) in texts.iter().filter(|(id, text)| is_text_id(id) && !text.is_empty()) {
        frame(id, out, |out| {
            out.push(UTF_8);
            let kept = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            let mut bytes = [0; 4];
            for char in kept.chars().map(|char| if char.is_control() { ' ' } else { char }) {
                out.extend_from_slice(char.encode_utf8(&mut bytes).as_bytes());
            }
        });
    }
    for (id, address) in texts.iter().filter(|(id, text)| *id == "WXXX" && is_address(text)) {
        frame(id, out, |out| {
            out.extend_from_slice(&[UTF_8, 0]);
            out.extend_from_slice(address.as_bytes());
        });
    }
}

/// True for `T` and three capital letters or digits, but for `TXXX`, whose body has another shape.
fn is_text_id(id: &str) -> bool {
    let is_frame = id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    id.len() == 4 && id.starts_with('T') && is_frame && id != "TXXX"
}

/// Addresses are in ISO 8859-1, whatever the description is in: what both have is ASCII.
fn is_address(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The lower 28 bits of `size`, so that no byte of it looks like a sync word.
fn seven_bits_a_byte(size: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (size >> shift) as u8 & 0x7F)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Found, id3};

    /// A tag at 0x1_2345_6789, byte by byte.
    const TAG: &[u8; 73] = b"ID3\x04\0\0\0\0\0\x3F\
        PRIV\0\0\0\x35\0\0com.apple.streaming.transportStreamTimestamp\0\0\0\0\x01\x23\x45\x67\x89";

    #[test]
    fn a_tag_without_texts_has_these_73_bytes() {
        assert_eq!(id3_timestamp_tag(0x1_2345_6789, &[]), TAG);
    }

    #[test]
    fn the_clock_has_33_bits() {
        for (pts, stamp) in [
            (0, [0; 8]),
            ((1 << 33) - 1, [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
            (1 << 33, [0; 8]),
            ((1 << 33) + 1, [0, 0, 0, 0, 0, 0, 0, 1]),
            (u64::MAX, [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
        ] {
            let tag = id3_timestamp_tag(pts, &[]);
            assert_eq!((&tag[..65], &tag[65..]), (&TAG[..65], &stamp[..]), "{pts}");
        }
    }

    #[test]
    fn texts_follow_the_time_stamp_in_utf_8() {
        let tag = id3_timestamp_tag(0x1_2345_6789, &[("TIT2", "Jóga"), ("TPE1", "Björk")]);
        assert_eq!(tag[..10], *b"ID3\x04\0\0\0\0\0\x60");
        assert_eq!(tag[10..73], TAG[10..]);
        assert_eq!(tag[73..], *"TIT2\0\0\0\x06\0\0\x03JógaTPE1\0\0\0\x07\0\0\x03Björk".as_bytes());
    }

    #[test]
    fn a_tag_of_texts_has_no_time_stamp() {
        assert_eq!(id3_text_tag(&[("TIT2", "A")]), b"ID3\x04\0\0\0\0\0\x0CTIT2\0\0\0\x02\0\0\x03A");
        assert_eq!(id3_text_tag(&[("TIT2", ""), ("PRIV", "x")]), b"");
    }

    #[test]
    fn what_is_no_text_frame_is_left_out() {
        for (id, text) in
            [("TIT2", ""), ("PRIV", "x"), ("TXXX", "x"), ("tit2", "x"), ("TT", "x"), ("Tü2", "x")]
        {
            assert_eq!(id3_timestamp_tag(0x1_2345_6789, &[(id, text)]), TAG, "{id:?} {text:?}");
        }
    }

    #[test]
    fn an_address_is_plain_ascii_or_left_out() {
        let tag = id3_text_tag(&[("WXXX", "http://a/")]);
        assert_eq!(tag, b"ID3\x04\0\0\0\0\0\x15WXXX\0\0\0\x0B\0\0\x03\0http://a/");
        for address in ["", "http://\u{fc}/", "a b", "a\nb", &"x".repeat(4_081)] {
            assert_eq!(id3_text_tag(&[("WXXX", address)]), b"", "{address:?}");
        }
    }

    #[test]
    fn control_characters_become_spaces() {
        let tag = id3_timestamp_tag(0, &[("TIT2", "a\0b\r\nc\u{85}d")]);
        assert_eq!(tag[73..], *b"TIT2\0\0\0\x09\0\0\x03a b  c d");
    }

    #[test]
    fn a_long_text_ends_with_a_whole_character() {
        for (text, kept) in [("ü".repeat(3_000), 4_080), ("x".to_owned() + &"ü".repeat(3_000), 4_079)] {
            let tag = id3_timestamp_tag(0, &[("TIT2", &text)]);
            assert_eq!(std::str::from_utf8(&tag[84..]), Ok(&text[..kept]));
            let size = kept as u8 + 1;
            assert_eq!(tag[77..81], [0, 0, 31, size & 0x7F], "seven bits a byte");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_as_long_as_it_claims(
            pts: u64,
            texts in prop::collection::vec(("(TIT2|TPE1|TALB|WXXX|.{0,5})", ".{0,300}"), 0..5),
        ) {
            let texts: Vec<(&str, &str)> = texts.iter().map(|(id, text)| (&**id, &**text)).collect();
            for tag in [id3_timestamp_tag(pts, &texts), id3_text_tag(&texts)] {
                if !tag.is_empty() {
                    prop_assert_eq!(id3::tag_bytes(&tag), Found::Yes(tag.len() as u64));
                }
            }
        }
    }
}
