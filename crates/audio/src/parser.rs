//! placeholder of the parser
use crate::{Batch, Codec, Format, Frame};

/// Counts of what a parser met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParserStats {
    /// Whole frames given.
    pub frames: u64,
    /// Bytes that were no frame: junk, ID3 tags, cut frames.
    pub skipped_bytes: u64,
    /// Times that sync was lost and found again.
    pub resyncs: u64,
}
/// Placeholder.
#[derive(Debug)]
pub struct Parser;
impl Parser {
    /// A parser.
    pub fn new(_hint: Option<Codec>) -> Self { Parser }
    /// Takes bytes.
    pub fn push(&mut self, _input: &[u8], _out: &mut Vec<Batch>) { }
    /// End of input.
    pub fn finish(&mut self, _out: &mut Vec<Batch>) {}
    /// Counts so far.
    pub fn stats(&self) -> ParserStats { ParserStats::default() }
}
/// Frames in data.
pub fn frames_in<'a>(_format: &Format, _data: &'a [u8]) -> impl Iterator<Item = Frame> + 'a { std::iter::empty() }
