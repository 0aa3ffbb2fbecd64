//! Texts as they are sent: plain or compressed, as the player's `Accept-Encoding` has it (RFC 9110, section 12.5.3).

use std::io::Write as _;
use std::sync::OnceLock;

use axum::http::HeaderValue;
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A playlist of eight hours (2,880 segments, 264 kB) becomes 24.5 kB in 1.2 ms; level 6 takes twice as long and saves nothing.
const GZIP_LEVEL: u32 = 4;
/// The same becomes 15.3 kB in 2.9 ms; with quality 4 it is 21.0 kB in 1.3 ms, and higher ones save nothing.
const BROTLI_QUALITY: u32 = 5;
/// Binary logarithm of the window: larger ones make no playlist smaller, and need more memory to unpack.
const BROTLI_WINDOW: u32 = 18;
/// Room for what the encoder has ready.
const BUFFER_BYTES: usize = 4096;
/// A compressed form that is not made yet counts as the text's size divided by this: playlists become smaller still.
const RESERVED_PART: usize = 2;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
}

/// A text with its compressed forms, each made when it is first asked for and shared by all who ask.
#[derive(Debug)]
pub struct Coded {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
    etags: [HeaderValue; 3],
}

impl Coding {
    /// The one that `accepted`, an `Accept-Encoding`, likes best; Brotli, then gzip, where it makes no difference.
    pub fn choose(accepted: &str) -> Self {
        let weight = |name: &str| {
            let mut all = accepted.split(',').map(named_weight);
            all.find(|(coding, _)| coding.eq_ignore_ascii_case(name)).map(|(_, weight)| weight)
        };
        // What is not named is what `*` says; but none is never wanted more for that.
        let others = weight("*").unwrap_or(0.0);
        let identity = weight("identity").unwrap_or(0.0);
        let [brotli, gzip] = ["br", "gzip"].map(|name| weight(name).unwrap_or(others));
        if brotli > 0.0 && brotli >= gzip.max(identity) {
            Coding::Brotli
        } else if gzip > 0.0 && gzip >= identity {
            Coding::Gzip
        } else {
            Coding::Identity
        }
    }

    /// As `Content-Encoding` names it; none for the text as it is.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Brotli => Some("br"),
        }
    }
}

/// A coding of the list, and its weight from 0 to 1; 0 where that cannot be read.
fn named_weight(coding: &str) -> (&str, f32) {
    let mut fields = coding.split(';').map(str::trim);
    let name = fields.next().unwrap_or_default();
    let weight = fields.find_map(|field| field.strip_prefix("q=").or_else(|| field.strip_prefix("Q=")));
    let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
    (name, if (0.0..=1.0).contains(&weight) { weight } else { 0.0 })
}

impl Coded {
    /// A text; `tag` changes when it does, and is plain text without quotes.
    pub fn new(text: String, tag: &str) -> Self {
        let etags = ["", "z", "b"]
            .map(|coding| HeaderValue::from_str(&format!("\"{coding}{tag}\"")).expect("a tag is plain text"));
        Coded { plain: text.into(), gzip: OnceLock::new(), brotli: OnceLock::new(), etags }
    }

    /// The text in `coding`.
    pub fn body(&self, coding: Coding) -> &Bytes {
        match coding {
            Coding::Identity => &self.plain,
            Coding::Gzip => self.gzip.get_or_init(|| gzip(&self.plain)),
            Coding::Brotli => self.brotli.get_or_init(|| brotli(&self.plain)),
        }
    }

    /// Tells the text in `coding` from all others, those in other codings included.
    pub fn etag(&self, coding: Coding) -> &HeaderValue {
        match coding {
            Coding::Identity => &self.etags[0],
            Coding::Gzip => &self.etags[1],
            Coding::Brotli => &self.etags[2],
        }
    }

    /// Bytes of all forms, with room for those that are still to be made.
    pub fn bytes(&self) -> usize {
        let reserved = self.plain.len() / RESERVED_PART;
        let compressed = [&self.gzip, &self.brotli].map(|form| form.get().map_or(reserved, Bytes::len));
        self.plain.len() + compressed.iter().sum::<usize>()
    }
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

fn brotli(text: &[u8]) -> Bytes {
    let mut encoder = CompressorWriter::new(Vec::new(), BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW);
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text);
    encoder.into_inner().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_coding_is_the_one_that_is_liked_best() {
        use Coding::{Brotli, Gzip, Identity};
        for (accepted, wanted) in [
            ("gzip", Gzip),
            ("deflate, gzip", Gzip),
            ("gzip, deflate, br, zstd", Brotli),
            ("br;q=1.0, GZIP;q=0.5", Brotli),
            ("gzip;q=0.8, BR;q=0.7", Gzip),
            ("br ; Q=0.3, gzip;q=0.3", Brotli),
            ("gzip, identity;q=1, *;q=0", Gzip),
            ("*", Brotli),
            ("*;q=0.1, br;q=0", Gzip),
            ("identity;q=0.5, *;q=0.1", Identity),
            ("identity;q=0, *", Brotli),
            ("br;q=0, gzip;q=0", Identity),
            ("gzip;q=0.000", Identity),
            ("br;q=much, gzip;q=nan", Identity),
            ("br;q=2, gzip;q=-1", Identity),
            ("brotli, x-gzip", Identity),
            ("identity", Identity),
            (",;,", Identity),
            ("", Identity),
        ] {
            assert_eq!(Coding::choose(accepted), wanted, "{accepted}");
        }
    }

    #[test]
    fn every_form_is_the_text_made_once_and_its_room_is_kept() {
        // As short as a playlist is: three segments.
        let mut text =
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:179563110\n\
                        #EXT-X-DISCONTINUITY-SEQUENCE:29927185\n#EXT-X-INDEPENDENT-SEGMENTS\n"
                .to_owned();
        for nth in 1..=3 {
            text += &format!(
                "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T18:36:{nth}0.01{nth}Z\n#EXTINF:9.99{nth}183,\n/test/ts/17956311{nth}.mp3\n"
            );
        }
        let coded = Coded::new(text.clone(), "7");
        let reserved = coded.bytes();
        let mut unpacked = [String::new(), String::new()];
        flate2::read::GzDecoder::new(&coded.body(Coding::Gzip)[..]).read_to_string(&mut unpacked[0]).unwrap();
        brotli::Decompressor::new(&coded.body(Coding::Brotli)[..], 4096)
            .read_to_string(&mut unpacked[1])
            .unwrap();
        assert!(unpacked.iter().all(|it| *it == text), "{unpacked:?}");
        let forms = [Coding::Identity, Coding::Gzip, Coding::Brotli];
        assert_eq!(coded.bytes(), forms.map(|it| coded.body(it).len()).iter().sum::<usize>());
        assert!(coded.bytes() < reserved);
        assert_eq!(coded.body(Coding::Brotli).as_ptr(), coded.body(Coding::Brotli).as_ptr());
        assert_eq!(forms.map(|it| coded.etag(it).to_str().unwrap()), ["\"7\"", "\"z7\"", "\"b7\""]);
    }
}
