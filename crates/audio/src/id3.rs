//! Tags between frames: ID3v2 (id3.org, "ID3 tag version 2.4.0 - Main Structure" section 3.1) and ID3v1. Only their
//! length is of use here: tags describe files, and a stream's metadata comes another way.

use crate::Found;

/// Bytes of an ID3v2 header, and of its footer.
pub const HEADER_BYTES: usize = 10;
/// Bytes of an ID3v1 tag.
const V1_BYTES: u64 = 128;
/// The flag that says that a footer follows the tag.
const FOOTER_FLAG: u8 = 0x10;

/// Bytes that the tag at the start of `bytes` claims, header and footer included, up to 256 MiB and 19 bytes.
///
/// The claim of an ID3v2 tag may be a lie: never set memory aside for it.
pub fn tag_bytes(bytes: &[u8]) -> Found<u64> {
    let seen = bytes.len().min(3);
    match &bytes[..seen] {
        b"TAG" => Found::Yes(V1_BYTES),
        b"ID3" => match bytes.first_chunk() {
            Some(header) => v2_bytes(header).map_or(Found::No, Found::Yes),
            None => Found::More,
        },
        start if b"TAG".starts_with(start) || b"ID3".starts_with(start) => Found::More,
        _ => Found::No,
    }
}

fn v2_bytes(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    let [_, _, _, major, revision, flags, size @ ..] = *header;
    let is_tag =
        major != 0xFF && revision != 0xFF && flags & 0x0F == 0 && size.iter().all(|byte| *byte < 0x80);
    let body = size.iter().fold(0, |body, byte| (body << 7) | u64::from(*byte));
    let footer = if flags & FOOTER_FLAG != 0 { HEADER_BYTES as u64 } else { 0 };
    is_tag.then_some(HEADER_BYTES as u64 + body + footer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_tag_asks_for_more() {
        let header = b"ID3\x04\x00\x00\x00\x00\x02\x01";
        for len in 0..header.len() {
            assert_eq!(tag_bytes(&header[..len]), Found::More, "{len} bytes");
        }
        assert_eq!(tag_bytes(header), Found::Yes(10 + 257));
        for len in 0..3 {
            assert_eq!(tag_bytes(&b"TAG"[..len]), Found::More, "{len} bytes");
        }
        assert_eq!(tag_bytes(b"TAG"), Found::Yes(128));
    }

    #[test]
    fn sizes_have_seven_bits_a_byte() {
        for (size, flags, expected) in [
            ([0, 0, 0, 0], 0x00, 10),
            ([0, 0, 0, 0], 0x10, 20), // a footer
            ([0, 0, 1, 0], 0x00, 10 + 128),
            ([0x7F; 4], 0xE0, 10 + (1 << 28) - 1),
            ([0x7F; 4], 0x10, 20 + (1 << 28) - 1),
        ] {
            let [a, b, c, d] = size;
            let header = [b'I', b'D', b'3', 4, 0, flags, a, b, c, d];
            assert_eq!(tag_bytes(&header), Found::Yes(expected), "{header:02x?}");
        }
    }

    #[test]
    fn other_bytes_are_no_tag() {
        for (what, bytes) in [
            ("mark", b"ID4\x04\x00\x00\x00\x00\x00\x00"),
            ("mark", b"TAD\x04\x00\x00\x00\x00\x00\x00"),
            ("version", b"ID3\xFF\x00\x00\x00\x00\x00\x00"),
            ("revision", b"ID3\x04\xFF\x00\x00\x00\x00\x00"),
            ("flags", b"ID3\x04\x00\x01\x00\x00\x00\x00"),
            ("size", b"ID3\x04\x00\x00\x00\x00\x00\x80"),
            ("size", b"ID3\x04\x00\x00\x80\x00\x00\x00"),
        ] {
            assert_eq!(tag_bytes(bytes), Found::No, "{what}");
        }
    }
}
