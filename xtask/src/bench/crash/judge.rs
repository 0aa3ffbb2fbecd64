//! What must hold after a kill: what was in the rewind buffer, or was heard, is there, but for the chunk that was being
//! written. Pure: compares rows of frame numbers, of which every byte was compared before.

use std::ops::Range;

use testkit::audio::Report;

use super::Faults;

/// A chunk of the rewind buffer, 0.5 s, in whole frames of 26.1 ms.
pub const CHUNK_FRAMES: u32 = 20;

/// What a kill may cost in all: the chunk that was being written, and the audio on its way to the next.
const SENT_FRAMES: u32 = 2 * CHUNK_FRAMES;

/// Frames that kills have cost at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Of those that the buffer gave before.
    pub of_buffer: u32,
    /// Of those that a listener has heard.
    pub of_heard: u32,
    /// Of those that the source has sent.
    pub of_sent: u32,
}

/// Frames in rows without a gap, in the order in which they came.
pub fn runs(report: &Report) -> Vec<Range<u32>> {
    let Some((first, last)) = report.first.zip(report.last) else { return Vec::new() };
    let starts = std::iter::once(first).chain(report.breaks.iter().map(|gap| gap.next));
    let ends = report.breaks.iter().map(|gap| gap.after).chain([last]);
    starts.zip(ends).map(|(start, last)| start..last + 1).collect()
}

/// Checks that nothing is damaged, repeated or out of order, and that gaps are only between sessions of the source.
pub fn check_order(what: &str, report: &Report, sessions: &[Range<u32>], faults: &Faults) {
    if report.leading_bytes > 0 || report.junk_bytes > 0 || report.repeated_frames() > 0 {
        faults.tell(format!("{what}: damaged, repeated or out of order: {report:?}"));
    }
    for gap in report.breaks.iter().filter(|gap| !sessions.iter().any(|session| session.start == gap.next)) {
        faults.tell(format!("{what}: {gap:?} is where no session of the source begins"));
    }
}

/// Checks that what the buffer held `before` is there; how many frames are not.
pub fn check_kept(before: &[Range<u32>], after: &[Range<u32>], faults: &Faults) -> u32 {
    let Some((last, whole)) = before.split_last() else { return 0 };
    if after.get(..whole.len()) != Some(whole) {
        faults.tell(format!("the buffer held {before:?}, and now {after:?}"));
    }
    lost(last, after, CHUNK_FRAMES, "the buffer held", faults)
}

/// Checks that what was `heard` is there; the most frames of one place that are not.
pub fn check_heard(heard: &[Range<u32>], after: &[Range<u32>], faults: &Faults) -> u32 {
    heard.iter().map(|run| lost(run, after, CHUNK_FRAMES, "a listener heard", faults)).max().unwrap_or(0)
}

/// Checks that what was `sent` by sessions that were cut is there; the most frames of one session that are not.
pub fn check_sent(sent: &[Range<u32>], after: &[Range<u32>], faults: &Faults) -> u32 {
    sent.iter().map(|run| lost(run, after, SENT_FRAMES, "the source had sent", faults)).max().unwrap_or(0)
}

/// Frames at the end of `run` that are not in `after`; more than `most` are a fault.
fn lost(run: &Range<u32>, after: &[Range<u32>], most: u32, what: &str, faults: &Faults) -> u32 {
    let kept = after.iter().find(|kept| kept.contains(&run.start)).map_or(run.start, |kept| kept.end);
    let lost = run.end.saturating_sub(kept);
    if lost > most {
        faults.tell(format!("{what} frames {run:?}, but they are there only up to {kept}"));
    }
    lost
}

impl Losses {
    /// The worse of both.
    pub fn max(self, other: Self) -> Self {
        Losses {
            of_buffer: self.of_buffer.max(other.of_buffer),
            of_heard: self.of_heard.max(other.of_heard),
            of_sent: self.of_sent.max(other.of_sent),
        }
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "rows of one range are what is meant")]
mod tests {
    use super::*;
    use crate::load::audio;

    fn report(parts: &[Range<u32>]) -> Report {
        audio().scan(&parts.iter().flat_map(|part| audio().bytes(part.clone())).collect::<Vec<_>>())
    }

    #[test]
    fn runs_are_what_was_joined() {
        let parts = [3..9, 1_000..1_004, 2_000..2_001];
        assert_eq!(runs(&report(&parts)), parts);
        assert_eq!(runs(&report(&[])), []);
    }

    #[test]
    fn gaps_are_only_between_sessions_and_nothing_comes_twice() {
        for (parts, faults) in [
            (&[3..9, 1_000..1_004][..], 0),
            (&[3..9, 1_001..1_004], 1),
            (&[3..9, 10..12], 1),
            // It is out of order, and no session begins there.
            (&[3..9, 8..12], 2),
        ] {
            let found = Faults::default();
            check_order("it", &report(parts), &[0..20, 1_000..1_010], &found);
            assert_eq!(found.count(), faults, "{parts:?}");
        }
    }

    #[test]
    fn a_chunk_may_be_lost_at_the_end_and_nothing_else() {
        let before = [0..50, 100..150];
        for (after, lost, faults) in [
            (&[0..50, 100..150, 300..301][..], 0, 0),
            (&[0..50, 100..130], 20, 0),
            (&[0..50, 100..129], 21, 1),
            (&[0..50], 50, 1),
            (&[0..49, 100..150], 0, 1),
            (&[100..150], 0, 1),
            (&[], 50, 2),
        ] {
            let found = Faults::default();
            assert_eq!(check_kept(&before, after, &found), lost, "{after:?}");
            assert_eq!(found.count(), faults, "{after:?}");
        }
        assert_eq!(check_kept(&[], &[], &Faults::default()), 0);
    }

    #[test]
    fn what_was_heard_or_sent_is_there_too() {
        let (found, after) = (Faults::default(), [0..50, 100..150]);
        assert_eq!(check_heard(&[10..50, 100..155, 200..203], &after, &found), 5);
        assert_eq!((check_sent(&[0..90, 100..150], &after, &found), found.count()), (40, 0));
        assert_eq!((check_sent(&[0..91], &after, &found), found.count()), (41, 1));
    }
}
