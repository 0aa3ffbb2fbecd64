//! What a feed wants sent, in order: slices for one vectored write.

use std::io::IoSlice;

use bytes::Bytes;

/// Pieces of one `fill` at most: 32 metadata intervals, more than a second of audio at any usual interval. The kernel
/// takes 1,024 at once.
pub const PIECES_MAX: usize = 64;

/// Pieces to send; made once and filled again and again.
#[derive(Debug)]
pub struct Pieces {
    pieces: Vec<Piece>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Piece {
    pub data: Bytes,
    pub kind: Kind,
}

/// What a piece is to its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What goes before audio: the prefix, or the rest of a metadata block.
    Front,
    Audio,
    /// A block of metadata, and the mark of the title that it leaves the listener with.
    Block(u32),
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces { pieces: Vec::with_capacity(PIECES_MAX), bytes: 0 }
    }
}

impl Pieces {
    /// Bytes of all pieces.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The pieces as they are to be sent, none of them empty.
    pub fn data(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter().map(|piece| &piece.data)
    }

    /// Puts the first pieces into `slices`; how many.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(self.data()).map(|(slice, data)| *slice = IoSlice::new(data)).count()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES_MAX
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, data: Bytes, kind: Kind) {
        if !data.is_empty() {
            self.bytes += data.len();
            self.pieces.push(Piece { data, kind });
        }
    }
}
