//! Where in one connection's audio the blocks of metadata go, and what was said there last.

use std::{num::NonZeroU32, sync::Arc};

use bytes::Bytes;

use crate::{Log, MetaEntry, Position};

/// The framing of one connection.
#[derive(Clone, Debug)]
pub(super) struct Icy {
    metaint: NonZeroU32,
    /// Audio bytes until the next block.
    audio_left: u32,
    /// What the last block said; unchanged metadata is not said again.
    said: Option<Arc<MetaEntry>>,
    /// Bytes of a block that are not sent yet.
    rest: Bytes,
}

impl Icy {
    /// The framing at the start of a connection.
    pub fn new(metaint: NonZeroU32) -> Self {
        Icy { metaint, audio_left: metaint.get(), said: None, rest: Bytes::new() }
    }

    /// Audio bytes until the next block.
    pub fn audio_left(&self) -> u64 {
        u64::from(self.audio_left)
    }

    /// Counts audio; never beyond the next block.
    pub fn audio_sent(&mut self, bytes: usize) {
        self.audio_left -= bytes as u32;
    }

    /// The rest of a block that was sent in part.
    pub fn take_rest(&mut self) -> Option<(Bytes, Arc<MetaEntry>)> {
        let said = self.said.clone()?;
        (!self.rest.is_empty()).then(|| (std::mem::take(&mut self.rest), said))
    }

    /// The block that must come before the audio at `position`, if one is due there; it counts as sent.
    pub fn block_before(&mut self, log: &Log, position: Position) -> Option<(Bytes, Arc<MetaEntry>)> {
        if self.audio_left > 0 {
            return None;
        }
        let entry = log.metadata_at(position);
        let is_said = self.said.as_ref().is_some_and(|said| said.metadata == entry.metadata);
        let block = if is_said { Bytes::from_static(wire::icy::EMPTY_BLOCK) } else { entry.block.clone() };
        self.audio_left = self.metaint.get();
        self.said = Some(entry.clone());
        Some((block, entry))
    }

    /// Notes that `sent` bytes of `block` were sent, which says `entry`.
    pub fn block_sent(&mut self, block: &Bytes, sent: usize, entry: &Arc<MetaEntry>) {
        self.audio_left = self.metaint.get();
        self.said = Some(entry.clone());
        self.rest = if sent < block.len() { block.slice(sent..) } else { Bytes::new() };
    }
}
