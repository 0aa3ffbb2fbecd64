//! What is not framed here, known by its media type or by its first bytes. It is told by name, so that whoever set the
//! encoder knows what to change.

/// Bytes of a source that are looked at.
pub const FIRST_BYTES: usize = 8;

/// A container or codec that is not framed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not accepted yet: set the encoder to MP3 or AAC")]
pub struct Foreign(&'static str);

impl Foreign {
    /// What a media type tells, parameters or not. Types that encoders send with MP3 and AAC too tell nothing.
    pub fn of_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let name = match essence.as_str() {
            "application/ogg" | "application/x-ogg" | "audio/ogg" | "audio/x-ogg" | "video/ogg" => "Ogg",
            "audio/opus" => "Opus",
            "audio/vorbis" => "Vorbis",
            "audio/flac" | "audio/x-flac" => "FLAC",
            "audio/webm" | "video/webm" => "WebM",
            "audio/x-matroska" | "video/x-matroska" => "Matroska",
            _ => return None,
        };
        Some(Foreign(name))
    }

    /// What the first bytes of a source tell, at most [`FIRST_BYTES`].
    pub fn of_bytes(first: &[u8]) -> Option<Self> {
        let name = match first {
            [b'O', b'g', b'g', b'S', ..] => "Ogg",
            [b'f', b'L', b'a', b'C', ..] => "FLAC",
            // EBML (RFC 8794, 11.2.1).
            [0x1A, 0x45, 0xDF, 0xA3, ..] => "Matroska or WebM",
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => "MP4",
            [b'R', b'I', b'F', b'F', ..] => "WAV",
            [b'F', b'L', b'V', 1, ..] => "FLV",
            _ => return None,
        };
        Some(Foreign(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_of_what_is_not_framed_are_named() {
        for (media_type, name) in [
            ("application/ogg", Some("Ogg")),
            ("Audio/OGG; codecs=opus", Some("Ogg")),
            ("audio/opus", Some("Opus")),
            ("audio/flac", Some("FLAC")),
            ("video/webm", Some("WebM")),
            ("audio/mpeg", None),
            ("audio/aacp", None),
            ("audio/mp4", None),
            ("image/png", None),
            ("", None),
        ] {
            assert_eq!(Foreign::of_type(media_type), name.map(Foreign), "{media_type}");
        }
        let reason = "Ogg is not accepted yet: set the encoder to MP3 or AAC";
        assert_eq!(Foreign("Ogg").to_string(), reason);
    }

    #[test]
    fn first_bytes_of_what_is_not_framed_are_named() {
        for (bytes, name) in [
            (&b"OggS\0\x02\0\0"[..], Some("Ogg")),
            (b"OggS", Some("Ogg")),
            (b"fLaC\0\0\0\x22", Some("FLAC")),
            (b"\x1A\x45\xDF\xA3", Some("Matroska or WebM")),
            (b"\0\0\0\x20ftyp", Some("MP4")),
            (b"RIFF\0\0\0\0", Some("WAV")),
            (b"Ogg", None),
            (b"ID3\x04\0\0\0\0", None),
            (b"\xFF\xFB\x90\0OggS", None),
            (b"", None),
        ] {
            assert_eq!(Foreign::of_bytes(bytes), name.map(Foreign), "{bytes:?}");
        }
    }
}
