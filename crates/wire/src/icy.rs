//! ICY metadata: the block that carries a title between two runs of audio.
//!
//! ```text
//! │ metaint bytes of audio │ n │ 16·n bytes: StreamTitle='…';StreamUrl='…'; NUL… │ metaint bytes of audio │ 0 │ …
//! ```
//!
//! `n` is one byte; 0 means unchanged. There is no escape: texts must not hold `';` (see `metadata::clean`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::text;

/// The block that says "unchanged".
pub const EMPTY_BLOCK: &[u8] = &[0];
/// Longest text of a block: its first byte counts units of 16 bytes.
const TEXT_BYTES_MAX: usize = 255 * 16;
/// Longest URL of a block: it leaves the title as much room.
const URL_BYTES_MAX: usize = TEXT_BYTES_MAX / 2;
/// What a block says besides its two texts.
const FRAME: &str = "StreamTitle='';StreamUrl='';";

/// What is being played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `StreamTitle`.
    pub title: String,
    /// `StreamUrl`.
    pub url: String,
}

/// A block with both fields, at most 4,081 bytes: a long title is cut at a character. A URL beyond 2,040 bytes is left
/// out: cut, it would lead elsewhere.
pub fn encode_block(metadata: &Metadata) -> Bytes {
    let url = if metadata.url.len() > URL_BYTES_MAX { "" } else { &metadata.url };
    let title_bytes_max = TEXT_BYTES_MAX - FRAME.len() - url.len();
    let title = &metadata.title[..metadata.title.floor_char_boundary(title_bytes_max)];
    let text = format!("StreamTitle='{title}';StreamUrl='{url}';");
    let units = text.len().div_ceil(16);
    let mut block = Vec::with_capacity(1 + units * 16);
    block.push(units as u8);
    block.extend_from_slice(text.as_bytes());
    block.resize(1 + units * 16, 0);
    block.into()
}

/// What a reader finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Audio.
    Audio(&'a [u8]),
    /// A block that is not empty.
    Metadata(Metadata),
    /// A block that holds no fields: audio most likely, because the distance is not what was told.
    Garbage,
}

/// Takes a listener's bytes apart, as they come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reader {
    metaint: usize,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Audio { left: usize },
    Length,
    Block { left: usize, text: Vec<u8> },
}

impl Reader {
    /// A reader at the start of a connection; a `metaint` of 0 is read as 1.
    pub fn new(metaint: usize) -> Self {
        let metaint = metaint.max(1);
        Reader { metaint, state: State::Audio { left: metaint } }
    }

    /// Reads on, telling what it finds in order.
    pub fn read(&mut self, mut input: &[u8], mut found: impl FnMut(Event<'_>)) {
        while !input.is_empty() {
            let taken = match &mut self.state {
                State::Audio { left } => {
                    let count = input.len().min(*left);
                    found(Event::Audio(&input[..count]));
                    *left -= count;
                    count
                }
                State::Length => {
                    let left = usize::from(input[0]) * 16;
                    self.state = State::Block { left, text: Vec::new() };
                    1
                }
                State::Block { left, text } => {
                    let count = input.len().min(*left);
                    text.extend_from_slice(&input[..count]);
                    *left -= count;
                    count
                }
            };
            input = &input[taken..];
            self.step(&mut found);
        }
    }

    fn step(&mut self, found: &mut impl FnMut(Event<'_>)) {
        match &self.state {
            State::Audio { left: 0 } => self.state = State::Length,
            State::Block { left: 0, text } => {
                match unpadded(text) {
                    [] => {}
                    text if has_fields(text) => found(Event::Metadata(parse_text(text))),
                    _ => found(Event::Garbage),
                }
                self.state = State::Audio { left: self.metaint };
            }
            _ => {}
        }
    }
}

/// The text of a block without the NULs behind it.
fn unpadded(text: &[u8]) -> &[u8] {
    let padding = text.iter().rev().take_while(|&&byte| byte == 0).count();
    &text[..text.len() - padding]
}

/// True if a block begins as all do: with the name of a field.
fn has_fields(text: &[u8]) -> bool {
    let name = text.trim_ascii_start().split(|&byte| byte == b'=').next().unwrap_or_default();
    let is_name =
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    is_name && name.len() < text.trim_ascii_start().len()
}

/// Reads the text of a block, fields in any order; those that are not there are empty. A text whose end was cut off goes
/// to the end of the block.
pub fn parse_text(text: &[u8]) -> Metadata {
    let text = text::decode(unpadded(text));
    let mut metadata = Metadata::default();
    let mut rest = text.as_str();
    while let Some((name, behind)) = rest.split_once("='") {
        let (value, next) = behind.split_once("';").unwrap_or((behind, ""));
        match name.trim() {
            "StreamTitle" => metadata.title = value.to_owned(),
            "StreamUrl" => metadata.url = value.to_owned(),
            _ => {}
        }
        rest = next;
    }
    metadata
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metadata::clean;

    fn metadata(title: &str, url: &str) -> Metadata {
        Metadata { title: title.to_owned(), url: url.to_owned() }
    }

    #[test]
    fn a_block_is_padded_to_sixteen_bytes() {
        for (title, url, units) in
            [("", "", 2), ("1234", "", 2), ("12345", "", 3), ("Björk - Jóga", "http://u", 4)]
        {
            let text = format!("StreamTitle='{title}';StreamUrl='{url}';");
            let mut expected = vec![units];
            expected.extend_from_slice(text.as_bytes());
            expected.resize(1 + usize::from(units) * 16, 0);
            assert_eq!(encode_block(&metadata(title, url)), expected, "{title}");
        }
    }

    #[test]
    fn a_long_title_is_cut_at_a_character() {
        let room = TEXT_BYTES_MAX - FRAME.len();
        let longest = "é".repeat(room / 2);
        for title in [longest.clone(), longest.clone() + "é", longest.repeat(2)] {
            let block = encode_block(&metadata(&title, ""));
            assert_eq!((block[0], block.len()), (255, 4_081));
            assert_eq!(parse_text(&block[1..]), metadata(&longest, ""));
        }
        // An odd place: half a character does not fit.
        let block = encode_block(&metadata(&("x".to_owned() + &longest), ""));
        assert_eq!(parse_text(&block[1..]).title, "x".to_owned() + &longest[..room - 2]);
    }

    #[test]
    fn a_url_that_is_too_long_is_left_out_and_the_title_stays() {
        let url = "u".repeat(URL_BYTES_MAX);
        let title = "t".repeat(TEXT_BYTES_MAX);
        let read = |url: &str| parse_text(&encode_block(&metadata(&title, url))[1..]);
        let room = TEXT_BYTES_MAX - FRAME.len();
        assert_eq!(read(&url), metadata(&title[..room - URL_BYTES_MAX], &url));
        assert_eq!(read(&(url + "u")), metadata(&title[..room], ""));
    }

    #[test]
    fn blocks_of_other_servers_are_read() {
        for (text, title, url) in [
            (&b"StreamTitle='A - B';\0\0\0"[..], "A - B", ""),
            (b"StreamUrl='http://u';StreamTitle='A';", "A", "http://u"),
            (b"StreamTitle='It's';StreamUrl='';adw_ad='true';", "It's", ""),
            (b"StreamTitle='Bj\xf6rk';", "Björk", ""),
            (b"StreamTitle='x' StreamUrl='evil';", "x' StreamUrl='evil", ""),
            (b"StreamTitle='cut of", "cut of", ""),
            (b"StreamTitle='cut of\0\0", "cut of", ""),
            (b"StreamTitle='A'; StreamUrl='u';", "A", "u"),
            (b"StreamTitle=A;", "", ""),
            (b"", "", ""),
        ] {
            assert_eq!(parse_text(text), metadata(title, url));
        }
    }

    #[test]
    fn the_counter_runs_over_audio_only() {
        let mut events = Vec::new();
        let mut reader = Reader::new(2);
        let block = encode_block(&metadata("t", ""));
        let sent = [b"ab".as_slice(), &block, b"cd", EMPTY_BLOCK, b"e"].concat();
        reader.read(&sent, |event| {
            events.push(match event {
                Event::Audio(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Event::Metadata(metadata) => format!("title {}", metadata.title),
                Event::Garbage => "garbage".to_owned(),
            });
        });
        assert_eq!(events, ["ab", "title t", "cd", "e"]);
    }

    #[test]
    fn a_block_without_fields_is_no_metadata() {
        for (text, event) in [
            (&b"StreamTitle='A';"[..], Some(Event::Metadata(metadata("A", "")))),
            (b" \r\nadw_ad='true';StreamTitle='A';", Some(Event::Metadata(metadata("A", "")))),
            (b"StreamTitle='';", Some(Event::Metadata(metadata("", "")))),
            (b"\0\0\0", None),
            (b"='A'", Some(Event::Garbage)),
            (b"StreamTitle", Some(Event::Garbage)),
            (b"   ", Some(Event::Garbage)),
            (b"\xff\xfb\x90=", Some(Event::Garbage)),
            (b"Stream Title='A';", Some(Event::Garbage)),
        ] {
            let units = text.len().div_ceil(16);
            let mut sent = vec![b'x', units as u8];
            sent.extend_from_slice(text);
            sent.resize(2 + units * 16, 0);
            let mut found = Vec::new();
            Reader::new(1).read(&sent, |event| match event {
                Event::Audio(audio) => assert_eq!(audio, b"x"),
                Event::Metadata(metadata) => found.push(Event::Metadata(metadata)),
                Event::Garbage => found.push(Event::Garbage),
            });
            assert_eq!(found, Vec::from_iter(event), "{text:?}");
        }
    }

    fn metaint() -> impl Strategy<Value = usize> {
        prop_oneof![1_usize..64, 1_usize..=70_000, Just(70_000)]
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read_again_however_it_is_split(
            metaint in metaint(),
            blocks in proptest::collection::vec("[a-zé']{0,40}", 1..6),
            splits in proptest::collection::vec(prop_oneof![1_usize..20, 1_usize..70_000], 1..20),
        ) {
            let (mut sent, mut audio, mut titles) = (Vec::new(), Vec::new(), Vec::new());
            for title in &blocks {
                let run: Vec<u8> = (0..metaint).map(|n| n as u8).collect();
                audio.extend_from_slice(&run);
                sent.extend_from_slice(&run);
                if title.is_empty() {
                    sent.extend_from_slice(EMPTY_BLOCK);
                } else {
                    sent.extend_from_slice(&encode_block(&metadata(title, "")));
                    titles.push(title.clone());
                }
            }
            let (mut reader, mut heard, mut read) = (Reader::new(metaint), Vec::new(), Vec::new());
            let mut rest = sent.as_slice();
            for split in splits.into_iter().cycle() {
                let (piece, behind) = rest.split_at(split.min(rest.len()));
                reader.read(piece, |event| match event {
                    Event::Audio(bytes) => heard.extend_from_slice(bytes),
                    Event::Metadata(metadata) => read.push(metadata.title),
                    Event::Garbage => unreachable!("every block has fields"),
                });
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(heard, audio);
            prop_assert_eq!(read, titles);
        }

        #[test]
        fn clean_texts_come_back_whole(title in "\\PC{0,60}", url in "\\PC{0,60}") {
            let said = metadata(&clean(&title), &clean(&url));
            prop_assert_eq!(parse_text(&encode_block(&said)[1..]), said);
        }

        #[test]
        fn all_audio_and_no_more_is_found_in_any_bytes(
            metaint in 1_usize..40,
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut at_once = Vec::new();
            Reader::new(metaint).read(&bytes, |event| if let Event::Audio(audio) = event { at_once.extend_from_slice(audio) });
            let (mut reader, mut one_by_one) = (Reader::new(metaint), Vec::new());
            for byte in bytes.chunks(1) {
                reader.read(byte, |event| if let Event::Audio(audio) = event { one_by_one.extend_from_slice(audio) });
            }
            prop_assert_eq!(at_once, one_by_one);
        }
    }
}
