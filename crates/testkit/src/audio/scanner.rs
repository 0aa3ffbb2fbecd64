//! Reads received bytes and reports which numbered frames are in them. Every byte of a frame is compared with what was
//! sent; what is no such frame is junk.

use super::{Codec, Found, Frames};

/// A place where a frame does not follow its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// Number of the frame before.
    pub after: u32,
    /// Number of the frame behind it; equal or lower is a repetition, higher a loss.
    pub next: u32,
}

impl Break {
    /// Number of the frame that should have come.
    fn due(self) -> u64 {
        u64::from(self.after) + 1
    }
}

/// What a scanner has read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of the first frame.
    pub first: Option<u32>,
    /// Number of the last frame.
    pub last: Option<u32>,
    /// Whole frames received.
    pub frames: u64,
    /// Where numbers do not count up by one, in order.
    pub breaks: Vec<Break>,
    /// Bytes before the first frame.
    pub leading_bytes: u64,
    /// Bytes between frames that belong to none.
    pub junk_bytes: u64,
    /// Bytes behind the last frame: so far none or the beginning of one.
    pub trailing_bytes: u64,
}

impl Report {
    /// Frames that are missing between those received.
    pub fn lost_frames(&self) -> u64 {
        self.breaks.iter().map(|gap| u64::from(gap.next).saturating_sub(gap.due())).sum()
    }

    /// Frames that were received again, or out of order: how far numbers went back in all.
    pub fn repeated_frames(&self) -> u64 {
        self.breaks.iter().map(|gap| gap.due().saturating_sub(u64::from(gap.next))).sum()
    }

    /// Whether frames came without loss, doubling or damage; the two ends may be partial.
    pub fn is_continuous(&self) -> bool {
        self.breaks.is_empty() && self.junk_bytes == 0
    }

    /// Whether there is nothing but whole frames.
    pub fn is_whole(&self) -> bool {
        self.leading_bytes == 0 && self.junk_bytes == 0 && self.trailing_bytes == 0
    }

    /// Panics unless exactly the frames `first` to before `end` came, whole, each once.
    #[track_caller]
    pub fn assert_exactly(&self, numbers: std::ops::Range<u32>) {
        let last = numbers.end.checked_sub(1).filter(|_| !numbers.is_empty());
        let first = last.map(|_| numbers.start);
        assert!(self.is_whole() && self.is_continuous(), "expected whole frames in a row: {self:?}");
        assert_eq!((self.first, self.last), (first, last), "expected frames {numbers:?}: {self:?}");
    }
}

/// Reads a stream of numbered frames, in pieces of any size.
#[derive(Clone, Debug)]
pub struct Scanner<C> {
    frames: Frames<C>,
    pending: Vec<u8>,
    report: Report,
}

impl<C: Codec> Scanner<C> {
    /// A scanner for what `frames` generates.
    pub fn new(frames: Frames<C>) -> Self {
        Self { frames, pending: Vec::new(), report: Report::default() }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut place = 0;
        loop {
            match self.frames.find_frame(&pending[place..]) {
                Found::Frame { number, frame_bytes } => {
                    self.count(number);
                    place += frame_bytes;
                }
                Found::Junk => {
                    match self.report.first {
                        None => self.report.leading_bytes += 1,
                        Some(_) => self.report.junk_bytes += 1,
                    }
                    place += 1;
                }
                Found::Partial => break,
            }
        }
        pending.drain(..place);
        self.pending = pending;
    }

    /// What came so far.
    pub fn report(&self) -> Report {
        Report { trailing_bytes: self.pending.len() as u64, ..self.report.clone() }
    }

    fn count(&mut self, number: u32) {
        if let Some(after) = self.report.last
            && u64::from(after) + 1 != u64::from(number)
        {
            self.report.breaks.push(Break { after, next: number });
        }
        self.report.first.get_or_insert(number);
        self.report.last = Some(number);
        self.report.frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AdtsFrames, Mp3Frames};
    use super::*;

    fn mp3() -> Mp3Frames {
        Mp3Frames::new(128, 44_100, 2)
    }

    #[test]
    fn whole_frames_in_a_row_are_clean() {
        let report = mp3().scan(&mp3().bytes(100..200));
        report.assert_exactly(100..200);
        assert_eq!(report.frames, 100);
        AdtsFrames::new(64, 44_100, 1)
            .scan(&AdtsFrames::new(64, 44_100, 1).bytes(5..50))
            .assert_exactly(5..50);
    }

    #[test]
    fn nothing_received_is_an_empty_report() {
        assert_eq!(mp3().scan(&[]), Report::default());
        mp3().scan(&[]).assert_exactly(0..0);
    }

    #[test]
    fn pieces_of_any_size_give_the_same_report() {
        let bytes = [&mp3().bytes(7..9)[100..], &mp3().bytes(9..12), &mp3().bytes(14..17)[..900]].concat();
        let whole = mp3().scan(&bytes);
        for size in [1, 2, 3, 40, 41, 416, 417, 418, 1000] {
            let mut scanner = Scanner::new(mp3());
            bytes.chunks(size).for_each(|piece| scanner.push(piece));
            assert_eq!(scanner.report(), whole, "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_missing_frame_is_a_loss() {
        let report = mp3().scan(&[mp3().bytes(0..5), mp3().bytes(8..10)].concat());
        assert_eq!(report.breaks, [Break { after: 4, next: 8 }]);
        assert_eq!((report.lost_frames(), report.repeated_frames(), report.frames), (3, 0, 7));
        assert!(report.is_whole() && !report.is_continuous());
    }

    #[test]
    fn a_doubled_frame_is_a_repetition() {
        let report = mp3().scan(&[mp3().bytes(0..5), mp3().bytes(4..6)].concat());
        assert_eq!(report.breaks, [Break { after: 4, next: 4 }]);
        assert_eq!((report.lost_frames(), report.repeated_frames()), (0, 1));
    }

    #[test]
    fn partial_frames_at_both_ends_are_counted() {
        let bytes = mp3().bytes(0..10);
        let report = mp3().scan(&bytes[1..bytes.len() - 1]);
        assert_eq!((report.first, report.last), (Some(1), Some(8)));
        assert_eq!(report.leading_bytes, mp3().frame_bytes(0) as u64 - 1);
        assert_eq!(report.trailing_bytes, mp3().frame_bytes(9) as u64 - 1);
        assert!(report.is_continuous() && !report.is_whole());
    }

    #[test]
    fn every_changed_byte_is_found() {
        let clean = mp3().bytes(0..3);
        let size = mp3().frame_bytes(0);
        for place in size..size + mp3().frame_bytes(1) {
            let mut bytes = clean.clone();
            bytes[place] ^= 1;
            let report = mp3().scan(&bytes);
            assert_eq!(report.breaks, [Break { after: 0, next: 2 }], "byte {place}");
            assert_eq!(report.junk_bytes, mp3().frame_bytes(1) as u64, "byte {place}");
        }
    }

    #[test]
    fn a_splice_inside_frames_is_junk_and_loss() {
        let (first, second) = (mp3().bytes(0..2), mp3().bytes(5..8));
        let report = mp3().scan(&[&first[..600], &second[200..]].concat());
        assert_eq!(report.breaks, [Break { after: 0, next: 6 }]);
        assert_eq!(report.junk_bytes as usize, 600 - mp3().frame_bytes(0) + mp3().frame_bytes(5) - 200);
    }

    #[test]
    #[should_panic(expected = "expected frames 0..10")]
    fn assert_exactly_fails_on_other_frames() {
        mp3().scan(&mp3().bytes(0..11)).assert_exactly(0..10);
    }
}
