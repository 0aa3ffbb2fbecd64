//! ICY metadata: the block that carries a title between two runs of audio.
//!
//! ```text
//! │ metaint bytes of audio │ n │ 16·n bytes: StreamTitle='…';StreamUrl='…'; NUL… │ metaint bytes of audio │ 0 │ …
//! ```
//!
//! `n` is one byte; 0 means unchanged. There is no escape: texts must not hold `';` (see `metadata::clean`).

use bytes::Bytes;

/// The block that says "unchanged".
pub const EMPTY_BLOCK: &[u8] = &[0];
/// Longest text of a block: its first byte counts units of 16 bytes.
const TEXT_BYTES_MAX: usize = 255 * 16;

/// What is being played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `StreamTitle`.
    pub title: String,
    /// `StreamUrl`.
    pub url: String,
}

/// A block with both fields, at most 4,081 bytes: a long title is cut at a character.
pub fn encode_block(metadata: &Metadata) -> Bytes {
    let frame = "StreamTitle='';StreamUrl='';".len();
    let url = cut(&metadata.url, TEXT_BYTES_MAX - frame);
    let title = cut(&metadata.title, TEXT_BYTES_MAX - frame - url.len());
    let text = format!("StreamTitle='{title}';StreamUrl='{url}';");
    let units = text.len().div_ceil(16);
    let mut block = Vec::with_capacity(1 + units * 16);
    block.push(units as u8);
    block.extend_from_slice(text.as_bytes());
    block.resize(1 + units * 16, 0);
    block.into()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// What a reader finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Audio.
    Audio(&'a [u8]),
    /// A block that is not empty.
    Metadata(Metadata),
}

/// Takes a listener's bytes apart, as they come.
#[derive(Clone, Debug)]
pub struct Reader {
    metaint: usize,
    state: State,
}

#[derive(Clone, Debug)]
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
                if !text.is_empty() {
                    found(Event::Metadata(parse_text(text)));
                }
                self.state = State::Audio { left: self.metaint };
            }
            _ => {}
        }
    }
}

/// Reads the text of a block; fields that are not there are empty.
pub fn parse_text(text: &[u8]) -> Metadata {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| {
        let start = text.find(name)? + name.len();
        let length = text[start..].find("';")?;
        Some(text[start..start + length].to_owned())
    };
    Metadata {
        title: field("StreamTitle='").unwrap_or_default(),
        url: field("StreamUrl='").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata(title: &str, url: &str) -> Metadata {
        Metadata { title: title.to_owned(), url: url.to_owned() }
    }

    #[test]
    fn a_block_is_padded_to_sixteen_bytes() {
        let block = encode_block(&metadata("Björk - Jóga", "http://u"));
        let text = "StreamTitle='Björk - Jóga';StreamUrl='http://u';";
        assert_eq!(block[0], 4);
        assert_eq!(block.len(), 1 + 64);
        assert_eq!(&block[1..=text.len()], text.as_bytes());
        assert!(block[1 + text.len()..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_long_title_is_cut_at_a_character() {
        let block = encode_block(&metadata(&"é".repeat(3_000), ""));
        assert_eq!((block[0], block.len()), (255, 4_081));
        let read = parse_text(&block[1..]);
        assert_eq!(read.title, "é".repeat((4_080 - 28) / 2));
    }

    #[test]
    fn an_apostrophe_stays() {
        assert_eq!(parse_text(&encode_block(&metadata("It's", ""))[1..]), metadata("It's", ""));
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read_again_however_it_is_split(
            metaint in 1_usize..5_000,
            blocks in proptest::collection::vec("[a-zé]{0,40}", 1..6),
            split in 1_usize..700,
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
            for piece in sent.chunks(split) {
                reader.read(piece, |event| match event {
                    Event::Audio(bytes) => heard.extend_from_slice(bytes),
                    Event::Metadata(metadata) => read.push(metadata.title),
                });
            }
            prop_assert_eq!(heard, audio);
            prop_assert_eq!(read, titles);
        }
    }
}
