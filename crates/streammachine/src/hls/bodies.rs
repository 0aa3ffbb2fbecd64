//! The latest bodies of segments and parts that had to be written anew, shared by all who ask for the same: players ask
//! for ranges in a row, and all who follow a stream for the same part at once. Packed audio is not kept here, since it is
//! slices of the log.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::hls::segment::SegmentBody;

/// Bytes that are kept of each stream: the parts of the newest segments in all their ranges, and some whole segments. One
/// of ten seconds at 320 kbit/s has 400 kB.
const BYTES_MAX: u64 = 2 << 20;

/// Bodies of one stream, the latest last, each with its tag.
#[derive(Debug, Default)]
pub struct Bodies {
    kept: Mutex<VecDeque<(String, SegmentBody)>>,
}

impl Bodies {
    /// The body with the tag `etag`, made by `build` if it is not there.
    pub fn get(&self, etag: &str, build: impl FnOnce() -> Option<SegmentBody>) -> Option<SegmentBody> {
        let known = self.kept.lock().iter().rev().find(|(tag, _)| tag == etag).map(|(_, body)| body.clone());
        if known.is_some() {
            return known;
        }
        let body = build()?;
        let mut kept = self.kept.lock();
        // Another request may have built it meanwhile.
        if body.len() <= BYTES_MAX && kept.iter().all(|(tag, _)| tag != etag) {
            kept.push_back((etag.to_owned(), body.clone()));
            let mut bytes: u64 = kept.iter().map(|(_, body)| body.len()).sum();
            while bytes > BYTES_MAX {
                bytes -= kept.pop_front().map_or(bytes, |(_, oldest)| oldest.len());
            }
        }
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn body(bytes: u64) -> Option<SegmentBody> {
        Some(SegmentBody::from(Bytes::from(vec![0; bytes as usize])))
    }

    #[test]
    fn a_body_is_built_once_while_it_is_among_the_latest() {
        let bodies = Bodies::default();
        let builds = |etag: &str, bytes: u64| {
            let mut is_built = false;
            let found = bodies.get(etag, || {
                is_built = true;
                body(bytes)
            });
            assert_eq!(found.map(|body| body.len()), Some(bytes));
            is_built
        };
        let half = BYTES_MAX / 2;
        assert!(builds("a", half) && builds("b", half));
        assert!(!builds("a", half) && !builds("b", half));
        // The oldest goes.
        assert!(builds("c", 1) && !builds("b", half) && builds("a", half));
        // What is larger than all that is kept takes no other's place.
        assert!(builds("d", BYTES_MAX + 1) && builds("d", BYTES_MAX + 1));
        assert!(!builds("a", half) && !builds("c", 1));
        assert!(bodies.get("e", || None).is_none());
        let bytes: u64 = bodies.kept.lock().iter().map(|(_, body)| body.len()).sum();
        assert_eq!(bytes, half + 1);
    }
}
