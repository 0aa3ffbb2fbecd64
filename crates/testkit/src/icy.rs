//! An independent reader of ICY audio: takes the metadata blocks out and says at which byte of audio each stood.

/// A title, and where in the audio it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bytes of audio before the block, from the start of the connection.
    pub audio_bytes: u64,
    /// The block's text without its padding; not empty.
    pub text: String,
}

impl Block {
    /// The text between `StreamTitle='` and the first `';`.
    pub fn title(&self) -> Option<&str> {
        self.field("StreamTitle")
    }

    /// The text between `StreamUrl='` and the first `';`.
    pub fn url(&self) -> Option<&str> {
        self.field("StreamUrl")
    }

    fn field(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("{name}='"))?;
        rest.split_once("';").map(|(value, _)| value)
    }
}

/// A block that carries `text`, its length in front: at most 4,080 bytes; none is the empty block.
pub fn block(text: &[u8]) -> Vec<u8> {
    let units = u8::try_from(text.len().div_ceil(16)).expect("a text fits a block");
    let mut block = vec![units];
    block.extend_from_slice(text);
    block.resize(1 + usize::from(units) * 16, 0);
    block
}

/// Splits what an ICY listener receives into audio and metadata; takes pieces of any size.
#[derive(Clone, Debug)]
pub struct Reader {
    metaint_bytes: usize,
    state: State,
    /// All audio so far.
    pub audio: Vec<u8>,
    /// Blocks with text so far; empty ones mean no change.
    pub blocks: Vec<Block>,
    /// Empty blocks so far.
    pub empty_blocks: u64,
    audio_bytes: u64,
}

#[derive(Clone, Debug)]
enum State {
    Audio { left: usize },
    Length,
    Text { left: usize, text: Vec<u8> },
}

impl Reader {
    /// A reader of a stream with a block behind every `metaint_bytes` of audio, at least 1.
    pub fn new(metaint_bytes: usize) -> Self {
        assert!(metaint_bytes > 0, "metaint is at least 1");
        let state = State::Audio { left: metaint_bytes };
        Self { metaint_bytes, state, audio: Vec::new(), blocks: Vec::new(), empty_blocks: 0, audio_bytes: 0 }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
    }

    /// The audio since the last call; blocks go on counting from the start.
    pub fn take_audio(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.audio)
    }

    /// The titles so far, in order.
    pub fn titles(&self) -> Vec<&str> {
        self.blocks.iter().filter_map(Block::title).collect()
    }

    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.state {
            State::Audio { left } => {
                let (audio, rest) = bytes.split_at(bytes.len().min(*left));
                self.audio.extend_from_slice(audio);
                self.audio_bytes += audio.len() as u64;
                *left -= audio.len();
                if *left == 0 {
                    self.state = State::Length;
                }
                rest
            }
            State::Length => {
                self.state = match usize::from(bytes[0]) * 16 {
                    0 => {
                        self.empty_blocks += 1;
                        State::Audio { left: self.metaint_bytes }
                    }
                    left => State::Text { left, text: Vec::new() },
                };
                &bytes[1..]
            }
            State::Text { left, text } => {
                let (part, rest) = bytes.split_at(bytes.len().min(*left));
                text.extend_from_slice(part);
                *left -= part.len();
                if *left == 0 {
                    let text = decode(text);
                    self.blocks.push(Block { audio_bytes: self.audio_bytes, text });
                    self.state = State::Audio { left: self.metaint_bytes };
                }
                rest
            }
        }
    }
}

/// Padding is zeros at the end, less than 16 of them; anything else is kept to be seen.
fn decode(block: &[u8]) -> String {
    let end = block.iter().rposition(|&byte| byte != 0).map_or(0, |place| place + 1);
    String::from_utf8_lossy(&block[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"abcde\x02StreamTitle='It's';StreamUrl=''\0fghij\0klmno\x01StreamTitle='';\0pq";

    fn read(sizes: usize) -> Reader {
        let mut reader = Reader::new(5);
        STREAM.chunks(sizes).for_each(|piece| reader.push(piece));
        reader
    }

    #[test]
    fn pieces_of_any_size_give_the_same_audio_and_blocks() {
        let text = "StreamTitle='It's';StreamUrl=''".to_owned();
        for size in 1..=STREAM.len() {
            let reader = read(size);
            assert_eq!(reader.audio, b"abcdefghijklmnopq", "pieces of {size}");
            assert_eq!(reader.blocks.len(), 2);
            assert_eq!(reader.blocks[0], Block { audio_bytes: 5, text: text.clone() });
            assert_eq!(reader.blocks[1], Block { audio_bytes: 15, text: "StreamTitle='';".to_owned() });
            assert_eq!(reader.empty_blocks, 1);
        }
    }

    #[test]
    fn a_quote_inside_a_title_is_part_of_it() {
        let reader = read(7);
        assert_eq!(reader.titles(), ["It's", ""]);
        assert_eq!(reader.blocks[0].url(), None, "the field is not closed by `';`");
    }

    #[test]
    fn taking_audio_leaves_the_count() {
        let mut reader = Reader::new(2);
        reader.push(b"ab");
        assert_eq!(reader.take_audio(), b"ab");
        reader.push(b"\0cd\x01StreamTitle='x';");
        assert_eq!((reader.take_audio(), reader.blocks[0].audio_bytes), (b"cd".to_vec(), 4));
    }

    #[test]
    fn the_longest_block_is_read_whole() {
        let mut reader = Reader::new(1);
        let text = "x".repeat(255 * 16);
        reader.push(b"a\xFF");
        reader.push(text.as_bytes());
        reader.push(b"b");
        assert_eq!((reader.blocks[0].text.len(), reader.audio.as_slice()), (4080, b"ab".as_slice()));
    }
}
