//! The parser: bytes as they come from a source become batches of whole frames. Time, chunks and what to do about a
//! change of format are for others.
//!
//! ```text
//!   push ──► held bytes ──► Sync: frame, skip or more? ──► Collector ──► batches
//! ```
//!
//! Memory is bounded whatever comes, and so is the work for each byte. How the bytes are split over calls changes
//! which batch a frame is in, and nothing else.

mod collector;
mod frames_in;
mod free;
mod header;
mod sync;
mod view;

use serde::{Deserialize, Serialize};

use crate::{Batch, Codec};
use collector::Collector;
pub use frames_in::frames_in;
use header::Header;
use sync::{Step, Sync};
use view::View;

/// Bytes that are taken in before the next look.
const STEP_BYTES: usize = 4 * 1_024;
/// Bytes done with that are kept before the rest is moved to the front.
const DONE_BYTES_MAX: usize = 8 * 1_024;

/// Counts of what a parser met. The bytes of given frames, the skipped ones and the unparsed ones are all there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParserStats {
    /// Whole frames given.
    pub frames: u64,
    /// Frames left out because they describe a file and hold no audio (`Xing`, `Info`, `VBRI`).
    pub info_frames: u64,
    /// Bytes not given: junk, tags, cut frames, info frames.
    pub skipped_bytes: u64,
    /// Times that sync was lost and found again.
    pub resyncs: u64,
}

/// Finds whole frames of MPEG audio and ADTS in a stream of bytes.
///
/// The format of MPEG frames names the first frame's bitrate until another one is seen, then 0; it starts afresh with
/// another format or another file (an `Info` frame).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parser {
    held: Held,
    sync: Sync,
    collector: Collector,
    stats: ParserStats,
}

impl Parser {
    /// A parser at the start of a source. Both codecs are found: the one not announced by `hint` must prove itself
    /// with one more frame.
    pub fn new(hint: Option<Codec>) -> Self {
        Parser {
            held: Held::default(),
            sync: Sync::new(hint),
            collector: Collector::default(),
            stats: ParserStats::default(),
        }
    }

    /// Takes bytes, and adds the frames that they complete to `out`: one batch, or one for each format if it changes.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<Batch>) {
        let mut left_bytes = input.len();
        for piece in input.chunks(STEP_BYTES) {
            left_bytes -= piece.len();
            self.held.append(piece);
            self.advance(false, left_bytes, out);
        }
        self.collector.flush(out);
    }

    /// Takes the end of the input: gives a last whole frame, drops what is left. Nothing is unparsed afterwards.
    pub fn finish(&mut self, out: &mut Vec<Batch>) {
        self.advance(true, 0, out);
        self.collector.flush(out);
        self.skip(self.held.bytes().len());
    }

    /// Counts so far.
    pub fn stats(&self) -> ParserStats {
        ParserStats { resyncs: self.sync.resyncs, ..self.stats }
    }

    /// Bytes held that are neither given nor skipped: less than 48 KiB + 32 bytes. Pushed into another parser they
    /// go on as if nothing had happened.
    pub fn unparsed(&self) -> &[u8] {
        self.held.bytes()
    }

    fn advance(&mut self, ended: bool, left_bytes: usize, out: &mut Vec<Batch>) {
        loop {
            match self.sync.step(&self.held.view(ended)) {
                Step::Frame { header, bytes } => self.take_frame(&header, bytes, left_bytes, out),
                Step::Skip(bytes) => self.skip(bytes),
                Step::More => return,
            }
        }
    }

    fn take_frame(&mut self, header: &Header, bytes: usize, left_bytes: usize, out: &mut Vec<Batch>) {
        let held = self.held.bytes();
        let frame = &held[..bytes];
        let info = match header {
            Header::Mpeg(header) => header.info_frame(frame),
            Header::Adts(_) => None,
        };
        match info {
            Some(info) => {
                self.collector.begin_file(header, info, out);
                self.stats.info_frames += 1;
                self.skip(bytes);
            }
            None => {
                self.collector.add(header, frame, held.len() + left_bytes, out);
                self.stats.frames += 1;
                self.held.consume(bytes);
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.stats.skipped_bytes += bytes as u64;
        self.held.consume(bytes);
    }
}

/// The bytes that are not decided on, behind some that are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Held {
    buffer: Vec<u8>,
    done_bytes: usize,
    /// Bytes of the stream before the undecided ones.
    position: u64,
}

impl Held {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.done_bytes..]
    }

    fn view(&self, ended: bool) -> View<'_> {
        View { bytes: self.bytes(), position: self.position, ended }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn consume(&mut self, bytes: usize) {
        self.done_bytes += bytes;
        self.position += bytes as u64;
        if self.done_bytes == self.buffer.len() {
            self.buffer.clear();
            self.done_bytes = 0;
        } else if self.done_bytes >= DONE_BYTES_MAX {
            self.buffer.drain(..self.done_bytes);
            self.done_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mpeg;

    /// Looks at headers that parsing `input` takes, in pieces of `piece_bytes`.
    fn looks_at(input: &[u8], piece_bytes: usize) -> u64 {
        let mut parser = Parser::new(None);
        let mut out = Vec::new();
        let before = header::LOOKS.get();
        for piece in input.chunks(piece_bytes) {
            parser.push(piece, &mut out);
            assert!(parser.held.buffer.capacity() <= 64 * 1_024, "{} bytes", parser.held.buffer.capacity());
        }
        parser.finish(&mut out);
        header::LOOKS.get() - before
    }

    /// Headers of free format among 0xFF, of which no three are evenly spaced within the reach of a search: each
    /// search looks at all that is in its reach, and fails.
    fn free_format_bait(bytes: usize) -> Vec<u8> {
        const REACH_BYTES: usize = mpeg::FREE_FRAME_BYTES_MAX as usize;
        let has_no_digit_2 = |mut number: usize| loop {
            match (number, number % 3) {
                (0, _) => break true,
                (_, 2) => break false,
                _ => number /= 3,
            }
        };
        // Numbers without the digit 2 in base 3: no three of them are evenly spaced.
        let mut block = vec![0xFF; 2 * REACH_BYTES + 4];
        for at in (0..REACH_BYTES / 4).filter(|number| has_no_digit_2(*number)) {
            block[4 * at..4 * at + 4].copy_from_slice(&[0xFF, 0xFB, 0x00, 0x00]);
        }
        block.repeat(bytes / block.len())
    }

    #[test]
    fn work_and_memory_are_bounded_whatever_comes() {
        const BYTES: usize = 400_000;
        const LOOKS_PER_BYTE: u64 = 8;
        let repeated = |pattern: &[u8]| pattern.repeat(BYTES / pattern.len());
        let largest_adts = [&[0xFF, 0xF1, 0x50, 0x83, 0xFF, 0xFF, 0xFC][..], &[0xFF; 8_183]].concat();
        let largest_free = [&[0xFF, 0xFB, 0x00, 0x00][..], &[0xFF; 16_379]].concat();
        let tag = b"ID3\x04\x00\x00\x7F\x7F\x7F\x7F";
        for (what, input) in [
            ("0xFF", repeated(&[0xFF])),
            ("MPEG headers", repeated(&[0xFF, 0xFB])),
            ("whole MPEG headers", repeated(&[0xFF, 0xFB, 0x90, 0x00])),
            ("ADTS headers", repeated(&[0xFF, 0xF1, 0x50, 0x80])),
            ("ADTS frames of 7 bytes", repeated(&[0xFF, 0xF1, 0x50, 0x80, 0x00, 0xFF, 0xFC])),
            ("ADTS frames of 8,190 bytes", repeated(&largest_adts)),
            ("free-format headers", repeated(&[0xFF, 0xFB, 0x00, 0x00])),
            ("free-format headers and 0xFF", repeated(&[0xFF, 0xFB, 0x00, 0x00, 0xFF])),
            ("free-format frames of 16,383 bytes", repeated(&largest_free)),
            ("free-format bait", free_format_bait(BYTES)),
            ("starts of tags", repeated(b"IDTA")),
            ("tags", repeated(tag)),
            ("a tag of headers", [&tag[..], &repeated(&[0xFF, 0xF1, 0x50, 0x80])].concat()),
        ] {
            for piece_bytes in [1, 1_000, BYTES] {
                let looks = looks_at(&input, piece_bytes);
                let bound = LOOKS_PER_BYTE * input.len() as u64;
                assert!(looks <= bound, "{what} in pieces of {piece_bytes}: {looks} looks");
            }
        }
    }
}
