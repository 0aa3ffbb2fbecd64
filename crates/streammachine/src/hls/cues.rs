//! Titles within a segment, each at the frame from which it is in force. They follow from the log alone.

use std::sync::Arc;

use audio::container::{TimedTag, id3_text_tag};
use rewind::{Log, MetaEntry, Position, Segment};

/// A title in a segment: that at its start, and each one that follows.
#[derive(Clone, Debug)]
pub struct Cue {
    /// Position of the frame.
    pub position: Position,
    /// Samples of the segment before it.
    pub samples: u64,
    entry: Arc<MetaEntry>,
    /// Whether another title was in force before.
    is_change: bool,
}

/// The titles of `segment`, the first at its start; one more at most for each of its chunks.
pub fn of(log: &Log, segment: &Segment) -> Vec<Cue> {
    let entry = log.metadata_at(segment.start);
    let mut cues = vec![Cue { position: segment.start, samples: 0, entry, is_change: false }];
    let mut chunks = log.chunks(segment.start).peekable();
    let mut samples = 0;
    for (position, entry) in log.metadata_between(segment.start, segment.end, usize::MAX) {
        while let Some(chunk) = chunks.next_if(|chunk| chunk.position < position) {
            samples += u64::from(chunk.samples);
        }
        cues.push(Cue { position, samples, entry, is_change: true });
    }
    cues
}

impl Cue {
    /// The frames of an ID3 tag that says it.
    pub fn texts(&self) -> [(&str, &str); 2] {
        let metadata = &self.entry.metadata;
        // That a title ends must be told, and players pass over a text that is empty.
        let is_end = self.is_change && metadata.title.is_empty();
        let title = if is_end { " " } else { metadata.title.as_str() };
        [("TIT2", title), ("WXXX", metadata.url.as_str())]
    }

    /// A tag that says it, where the first of the samples that are looked at is number `first` of the segment; none where
    /// there is nothing to say.
    pub fn timed_tag(&self, first: u64) -> Option<TimedTag> {
        let tag = id3_text_tag(&self.texts());
        (!tag.is_empty()).then(|| TimedTag { samples: self.samples - first, tag })
    }
}
