//! What a feed wants sent, in order: slices for one vectored write.

use std::{io::IoSlice, sync::Arc};

use bytes::Bytes;

use crate::{MetaEntry, Position};

/// Pieces of one `fill` at most: what one vectored write takes at once is limited anyway (1,024 by the kernel).
pub(super) const PIECES_MAX: usize = 64;

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

#[derive(Debug)]
pub(super) enum Kind {
    /// What goes before the audio.
    Prefix,
    /// Audio from this position on.
    Audio(Position),
    /// A block of metadata, or the rest of one, with what it says.
    Metadata(Arc<MetaEntry>),
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

    /// The pieces as they are to be sent.
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
        self.bytes += data.len();
        self.pieces.push(Piece { data, kind });
    }
}
