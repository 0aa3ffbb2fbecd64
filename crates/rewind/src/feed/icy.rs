//! Where in one connection's audio the blocks of metadata go, and which title was told last.
//!
//! A block stands directly before the audio that its title belongs to, and is chosen only when that audio is there: by
//! then the title is settled. So nothing but audio is at the end of what was sent.

use std::{num::NonZeroU32, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::icy::EMPTY_BLOCK;

use super::pieces::{Kind, Pieces};
use crate::{Log, MetaEntry, Position, Run};

/// The metadata framing of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framing {
    /// Audio bytes between two blocks.
    pub metaint: NonZeroU32,
    /// Audio bytes until the next block.
    pub left_bytes: u32,
    /// Mark of the title told last, the CRC-32 of its block; none before the first.
    pub told: Option<u32>,
}

/// The title at a place is no longer known.
#[derive(Debug)]
pub(super) struct TitleGone;

impl Framing {
    /// The framing at the start of a connection.
    pub(super) fn new(metaint: NonZeroU32) -> Self {
        Framing { metaint, left_bytes: metaint.get(), told: None }
    }

    /// Puts `run` into `pieces` as far as it fits, with the blocks that belong into it. If `is_exact`, a title that may
    /// not be the one of its place is an error.
    pub(super) fn frame(
        mut self,
        log: &Log,
        run: &Run,
        is_exact: bool,
        pieces: &mut Pieces,
    ) -> Result<(), TitleGone> {
        let mut given = 0;
        while given < run.data.len() && !pieces.is_full() {
            if self.left_bytes == 0 {
                let (block, mark) = self.block_at(log, run.position.plus(given as u64), is_exact)?;
                pieces.push(block, Kind::Block(mark));
                self.block_sent(mark);
                continue;
            }
            let bytes = (run.data.len() - given).min(self.left_bytes as usize);
            pieces.push(run.data.slice(given..given + bytes), Kind::Audio);
            self.audio_sent(bytes);
            given += bytes;
        }
        Ok(())
    }

    /// Counts audio; never beyond the next block.
    pub(super) fn audio_sent(&mut self, bytes: usize) {
        self.left_bytes -= bytes as u32;
    }

    /// Notes that a block was begun, which leaves the listener with the title marked `mark`.
    pub(super) fn block_sent(&mut self, mark: u32) {
        self.left_bytes = self.metaint.get();
        self.told = Some(mark);
    }

    /// The block that goes before the audio at `position`, and the mark of the title there.
    fn block_at(&self, log: &Log, position: Position, is_exact: bool) -> Result<(Bytes, u32), TitleGone> {
        let entry = if is_exact { known_title(log, position)? } else { log.metadata_at(position) };
        let mark = mark_of(&entry);
        let is_told = self.told == Some(mark);
        Ok((if is_told { Bytes::from_static(EMPTY_BLOCK) } else { entry.block.clone() }, mark))
    }

    /// Bytes of all blocks in the audio from `from` up to `to`. Blocks may be millions, titles are few: only these are
    /// looked at.
    pub(super) fn blocks_bytes(&self, log: &Log, from: Position, to: Position) -> u64 {
        let metaint = u64::from(self.metaint.get());
        let first = u64::from(self.left_bytes);
        // Blocks in the first `audio` bytes: one directly before the audio that follows is not among them.
        let count_in = |audio: u64| if audio > first { (audio - first - 1) / metaint + 1 } else { 0 };
        let mut told = self.told;
        let (mut entry, mut start) = (log.metadata_at(from), from);
        let mut bytes = count_in(log.bytes_between(from, to)) * EMPTY_BLOCK.len() as u64;
        loop {
            let next = log.metadata_after(start).filter(|(place, _)| *place < to);
            let title_end = next.as_ref().map_or(to, |(place, _)| *place);
            let has_block =
                count_in(log.bytes_between(from, title_end)) > count_in(log.bytes_between(from, start));
            if has_block && told != Some(mark_of(&entry)) {
                bytes += (entry.block.len() - EMPTY_BLOCK.len()) as u64;
                told = Some(mark_of(&entry));
            }
            let Some(next) = next else { return bytes };
            (start, entry) = next;
        }
    }
}

/// What tells one title from another, in this process and the next.
fn mark_of(entry: &MetaEntry) -> u32 {
    crc32fast::hash(&entry.block)
}

/// The title at `position`. Where the log no longer reaches back to it, its list of titles may not either.
fn known_title(log: &Log, position: Position) -> Result<Arc<MetaEntry>, TitleGone> {
    log.ask(|shared| match shared.blocks.front() {
        Some(oldest) if oldest.block.start() <= position => Ok(shared.titles.at(position).clone()),
        _ => Err(TitleGone),
    })
}
