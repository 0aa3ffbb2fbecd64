//! The metadata of a log along its positions: which title was on at which place. How it is stored on disk is in
//! `index.rs`; how it is said to listeners is in `wire::icy`.

use std::{collections::VecDeque, sync::Arc};

use audio::Time;
use bytes::Bytes;
use wire::icy::{self, Metadata};

use crate::Position;

/// Metadata as it was from one place on, shared by all listeners who hear that place.
#[derive(Debug, PartialEq, Eq)]
pub struct MetaEntry {
    /// Title and URL.
    pub metadata: Metadata,
    /// Its ICY block, ready to be sent.
    pub block: Bytes,
    /// When it was set.
    pub time: Time,
}

impl MetaEntry {
    pub(crate) fn new(metadata: Metadata, time: Time) -> Arc<Self> {
        let block = icy::encode_block(&metadata);
        Arc::new(MetaEntry { metadata, block, time })
    }
}

/// Changes of the metadata in the order of their positions; the first is in force from the oldest audio on.
#[derive(Debug)]
pub(crate) struct Titles {
    changes: VecDeque<(Position, Arc<MetaEntry>)>,
}

impl Titles {
    /// No title, from the beginning on.
    pub fn new(time: Time) -> Self {
        Titles { changes: VecDeque::from([(Position(0), MetaEntry::new(Metadata::default(), time))]) }
    }

    /// What is in force from `position` on.
    pub fn at(&self, position: Position) -> &Arc<MetaEntry> {
        let after = self.changes.partition_point(|(start, _)| *start <= position);
        &self.changes[after.saturating_sub(1)].1
    }

    /// What was set last.
    pub fn current(&self) -> &Arc<MetaEntry> {
        &self.changes[self.changes.len() - 1].1
    }

    /// The first change beyond `position`.
    pub fn after(&self, position: Position) -> Option<(Position, Arc<MetaEntry>)> {
        let after = self.changes.partition_point(|(start, _)| *start <= position);
        self.changes.get(after).cloned()
    }

    /// The latest `max` of the changes beyond `start` and before `end`, in order.
    pub fn between(&self, start: Position, end: Position, max: usize) -> Vec<(Position, Arc<MetaEntry>)> {
        let from = self.changes.partition_point(|(at, _)| *at <= start);
        let to = self.changes.partition_point(|(at, _)| *at < end).max(from);
        self.changes.range(from.max(to.saturating_sub(max))..to).cloned().collect()
    }

    /// From `position` on, `entry` is in force, unless it says the same as the last; positions never go back. Of several
    /// changes at one place the last one counts: nobody heard the others. False if it changes nothing.
    pub fn set(&mut self, position: Position, entry: Arc<MetaEntry>) -> bool {
        if self.current().metadata == entry.metadata {
            return false;
        }
        if self.changes.len() > 1 && self.changes[self.changes.len() - 1].0 == position {
            self.changes.pop_back();
        }
        if self.current().metadata != entry.metadata {
            self.changes.push_back((position, entry));
        }
        true
    }

    /// The last `max` changes, newest first.
    pub fn last(&self, max: usize) -> Vec<Arc<MetaEntry>> {
        self.changes.iter().rev().take(max).map(|(_, entry)| entry.clone()).collect()
    }

    /// The last `max` changes and their places, oldest first.
    pub fn changes(&self, max: usize) -> Vec<(Position, Arc<MetaEntry>)> {
        self.changes.iter().skip(self.changes.len().saturating_sub(max)).cloned().collect()
    }

    /// Forgets what is not in force at `first` or later.
    pub fn trim(&mut self, first: Position) {
        while self.changes.get(1).is_some_and(|(start, _)| *start <= first) {
            self.changes.pop_front();
        }
    }

    /// Puts the changes of older audio, in order, before those of the audio from `first` on.
    pub fn prepend(&mut self, older: Vec<(Position, Arc<MetaEntry>)>, first: Position) {
        self.trim(first);
        if let Some(in_force) = self.changes.front_mut() {
            in_force.0 = first;
        }
        for change in older.into_iter().rev() {
            self.changes.push_front(change);
        }
    }

    /// Bytes of the list itself.
    pub fn list_bytes(&self) -> usize {
        self.changes.capacity() * size_of::<(Position, Arc<MetaEntry>)>()
    }
}
