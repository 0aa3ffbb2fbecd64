//! The bytes at hand, and how many headers in a row they show. Nothing here remembers anything.

use super::header::{Mark, Stream, look};
use crate::Found;

/// The bytes that are not yet decided on.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes of the stream before them.
    pub(super) position: u64,
    /// True if nothing will follow them.
    pub(super) ended: bool,
}

impl View<'_> {
    /// What stands at `at`, which may be past the bytes at hand.
    pub(super) fn look(&self, at: usize) -> Found<Mark> {
        self.bytes.get(at..).map_or(Found::More, look)
    }

    /// True if a run of `headers` headers of `stream`, each at the end of the frame before, begins at `at`.
    ///
    /// In place of the last one a tag is as good, and so is the end of the input, even within a header. The last
    /// one's frame need not be there. Never asks for more at the end of the input.
    pub(super) fn proves(&self, mut at: usize, stream: &Stream, headers: usize) -> Found<Stream> {
        for seen in 1..=headers {
            let is_last = seen == headers;
            match self.look(at) {
                Found::Yes(Mark::Header(header)) => match stream.frame_bytes(&header) {
                    Some(bytes) => at += bytes,
                    None => return Found::No,
                },
                Found::Yes(Mark::Tag(_)) if is_last => break,
                Found::More if !self.ended => return Found::More,
                Found::More if is_last && at <= self.bytes.len() => break,
                _ => return Found::No,
            }
        }
        Found::Yes(*stream)
    }
}
