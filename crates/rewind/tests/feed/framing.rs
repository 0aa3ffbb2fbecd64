//! Metadata blocks among the audio, compared with a framing that is made byte by byte, with no thought of speed.

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use rewind::{Request, Start, Turn};
use testkit::icy::Reader;
use wire::icy::Metadata;

use super::station::*;

/// A station that changes its title with the chunks of these numbers, and its 40 chunks.
struct Titled {
    station: Station,
    /// For each title, the byte of audio that it starts at, and its block.
    titles: Vec<(usize, Vec<u8>)>,
}

impl Titled {
    fn new(changes: &[(u32, &str)]) -> Self {
        let mut station = Station::new();
        let mut titles = vec![(0, block(""))];
        for (chunk, title) in changes {
            station.append(chunk - station.next / CHUNK_FRAMES);
            let metadata = Metadata { title: (*title).into(), url: String::new() };
            station.writer.set_metadata(metadata, station.edge());
            titles.push((station.frames.position(station.next) as usize, block(title)));
        }
        station.append(40 - station.next / CHUNK_FRAMES);
        Titled { station, titles }
    }

    /// All from byte `first` of the audio on.
    fn expected(&self, first: usize, metaint: usize) -> Vec<u8> {
        let audio = self.station.frames.bytes(0..self.station.next);
        let (mut out, mut told) = (Vec::new(), None);
        for (place, byte) in audio.iter().enumerate().skip(first) {
            if place > first && (place - first).is_multiple_of(metaint) {
                let title = self.titles.iter().rev().find(|title| title.0 <= place).map(|title| &title.1);
                out.extend_from_slice(if told == title { &[0] } else { title.unwrap() });
                told = title;
            }
            out.push(*byte);
        }
        out
    }

    fn open(&self, frame: u32, metaint: usize) -> Listener {
        let metaint = NonZeroU32::new(metaint as u32);
        let start = Start::Position(self.station.position_of(frame));
        let burst = seconds(3_600);
        self.station.open(&Request { metaint, burst, ..request(start) }, self.station.edge())
    }

    #[track_caller]
    fn check(&self, frame: u32, metaint: usize) {
        let mut listener = self.open(frame, metaint);
        assert_eq!(listener.listen(self.station.edge()), Turn::Wait);
        let expected = self.expected(self.station.frames.position(frame) as usize, metaint);
        // Compared as a whole, and not shown: it is hundreds of kilobytes.
        assert!(listener.received == expected, "metaint {metaint} from frame {frame}");
    }
}

/// The block of a title, made by the book: a length in units of 16 bytes, the text, zeros.
fn block(title: &str) -> Vec<u8> {
    let text = format!("StreamTitle='{title}';StreamUrl='';");
    let units = text.len().div_ceil(16);
    let mut block = vec![units as u8];
    block.extend_from_slice(text.as_bytes());
    block.resize(1 + 16 * units, 0);
    block
}

fn titled() -> Titled {
    Titled::new(&[
        (0, "Erste"),
        (3, "Björk – Jóga"),
        (4, "Zweite"),
        (17, "Erste"),
        (18, "x"),
        (19, "Erste"),
        (39, ""),
    ])
}

#[test]
fn blocks_are_where_they_belong_at_every_interval() {
    let titled = titled();
    let small = 1..=300;
    let sampled = (301..70_000).step_by(997);
    let borders = [255, 256, 417, 418, 4_096, 8_000, 8_192, 16_000, 16_384, 32_768, 65_535, 65_536, 70_000];
    for metaint in small.chain(sampled).chain(borders) {
        titled.check(0, metaint);
    }
    for frame in [1, 18, 19, 56, 57, 400, 759] {
        titled.check(frame, 1_000);
    }
}

#[test]
fn an_interval_that_ends_with_the_audio_has_its_block_before_the_audio_that_follows() {
    let mut station = Station::on_air(1);
    let bytes = station.frames.position(CHUNK_FRAMES);
    let metaint = NonZeroU32::new(bytes as u32);
    let mut listener = station.open(&Request { metaint, ..request(Start::Live) }, station.edge());
    assert_eq!(listener.listen(station.edge()), Turn::Wait);
    station.assert_heard(&listener.received(), 0..CHUNK_FRAMES);
    // So a title that is set now is told at once.
    station.writer.set_metadata(Metadata { title: "now".into(), url: String::new() }, station.edge());
    assert_eq!(listener.listen(station.edge()), Turn::Wait);
    assert_eq!(listener.received(), b"");
    station.append(1);
    listener.listen(station.edge());
    let audio = station.frames.bytes(CHUNK_FRAMES..2 * CHUNK_FRAMES);
    let mut expected = block("now");
    expected.extend_from_slice(&audio[..bytes as usize]);
    if audio.len() > bytes as usize {
        expected.push(0);
        expected.extend_from_slice(&audio[bytes as usize..]);
    }
    assert_eq!(listener.received(), expected);
}

#[test]
fn a_title_that_went_and_came_back_between_two_blocks_is_not_told_again() {
    let titled = Titled::new(&[(0, "A"), (10, "B"), (11, "A")]);
    let metaint = titled.station.frames.position(10 * CHUNK_FRAMES) as usize - 1_000;
    let mut listener = titled.open(0, metaint);
    listener.listen(titled.station.edge());
    let mut reader = Reader::new(metaint);
    reader.push(&listener.received);
    assert_eq!(reader.blocks.len(), 1);
    assert_eq!((reader.blocks[0].title(), reader.blocks[0].audio_bytes), (Some("A"), metaint as u64));
    assert_eq!(reader.audio, titled.station.frames.bytes(0..titled.station.next));
}

#[test]
fn a_listener_in_the_past_hears_the_titles_of_then() {
    let titled = Titled::new(&[(0, "old"), (20, "new")]);
    let change = titled.station.frames.position(20 * CHUNK_FRAMES);
    let mut listener = titled.open(0, 1_000);
    listener.listen(titled.station.edge());
    let mut reader = Reader::new(1_000);
    reader.push(&listener.received);
    let told: Vec<_> =
        reader.blocks.iter().map(|block| (block.title().unwrap(), block.audio_bytes)).collect();
    assert_eq!(told, [("old", 1_000), ("new", change.next_multiple_of(1_000))]);
}

#[test]
fn the_longest_title_fits_its_block() {
    let title = "ä".repeat(3_000);
    let titled = Titled::new(&[(0, &title)]);
    let mut listener = titled.open(0, 5_000);
    listener.listen(titled.station.edge());
    assert_eq!(listener.received[5_000], 255);
    let mut reader = Reader::new(5_000);
    reader.push(&listener.received);
    assert_eq!(reader.audio, titled.station.frames.bytes(0..titled.station.next));
    assert!(title.starts_with(reader.blocks[0].title().unwrap()));
}

#[test]
fn a_prefix_comes_first_and_is_no_audio() {
    let titled = titled();
    let mut listener = titled.open(0, 100);
    let head = b"HTTP/1.0 200 OK\r\n\r\n";
    listener.feed.prefix(Bytes::from_static(head));
    assert_eq!(
        listener.feed.due_bytes(titled.station.edge()),
        head.len() as u64 + titled.station.frames.position(760)
    );
    listener.listen(titled.station.edge());
    assert_eq!(listener.received, [&head[..], &titled.expected(0, 100)].concat());
}

#[test]
fn one_write_holds_many_intervals_and_is_bounded() {
    let titled = titled();
    let mut listener = titled.open(0, 100);
    assert_eq!(listener.take(titled.station.edge(), ALL, 0), Turn::Ready);
    assert_eq!(listener.pieces.data().count(), rewind::PIECES_MAX);
    let mut slices = [std::io::IoSlice::new(&[]); 10];
    assert_eq!(listener.pieces.io_slices(&mut slices), 10);
    let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(bytes, titled.expected(0, 100)[..bytes.len()]);
    let mut raw = titled.station.open(&request(Start::Live), titled.station.edge());
    for (audio_max, given) in [(0, 1), (1, 1), (417, 417), (418, 418)] {
        assert_eq!(raw.take(titled.station.edge(), audio_max, 0), Turn::Ready);
        assert_eq!(raw.pieces.len_bytes(), given);
    }
}

#[test]
fn filling_again_gives_the_same_again() {
    let titled = titled();
    let now = titled.station.edge();
    let mut listener = titled.open(0, 100);
    listener.feed.prefix(Bytes::from_static(b"head"));
    // Cuts in the prefix, in audio, in a block, and where each begins.
    for taken in [0, 2, 2, 60, 40, 10, 39, 100, 1, 0] {
        let (state, due) = (listener.feed.state(), listener.feed.due_bytes(now));
        let fill = |listener: &mut Listener| {
            assert_eq!(listener.take(now, 5_000, 0), Turn::Ready);
            listener.pieces.data().cloned().collect::<Vec<_>>()
        };
        let pieces = fill(&mut listener);
        assert_eq!(fill(&mut listener), pieces);
        assert_eq!((listener.feed.state(), listener.feed.due_bytes(now)), (state, due));
        listener.take(now, 5_000, taken);
    }
}

#[test]
#[should_panic(expected = "were sent of")]
fn more_than_was_given_cannot_have_been_sent() {
    let titled = titled();
    let mut listener = titled.open(0, 100);
    listener.take(titled.station.edge(), 100, 0);
    listener.feed.consume(&listener.pieces, 101);
}

proptest! {
    #[test]
    fn however_writes_are_cut_the_bytes_are_the_same(
        metaint in prop_oneof![1_usize..50, 1_usize..20_000],
        cuts in proptest::collection::vec((1_usize..9_000, prop_oneof![0_usize..40, 0_usize..9_000]), 1..200),
    ) {
        let titled = titled();
        let mut listener = titled.open(0, metaint);
        listener.feed.prefix(Bytes::from_static(b"head"));
        for (audio_max, bytes_max) in cuts {
            listener.take(titled.station.edge(), audio_max, bytes_max);
        }
        listener.listen(titled.station.edge());
        prop_assert!(listener.received == [&b"head"[..], &titled.expected(0, metaint)].concat());
    }

    #[test]
    fn titles_are_told_at_the_first_block_of_their_audio(
        metaint in 1_usize..30_000,
        frame in 0_u32..700,
        changes in proptest::collection::vec((0_u32..40, "[ab]{1,2}"), 0..20),
    ) {
        let mut changes: Vec<(u32, &str)> = changes.iter().map(|(chunk, title)| (*chunk, title.as_str())).collect();
        changes.sort_by_key(|change| change.0);
        Titled::new(&changes).check(frame, metaint);
    }
}
