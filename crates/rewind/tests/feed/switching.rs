//! Feeds that go on with another log.

use std::num::NonZeroU32;

use rewind::{Pace, Request, Start};
use testkit::icy::Reader;
use wire::icy::Metadata;

use super::station::*;

#[test]
fn a_feed_goes_on_at_the_other_logs_live_edge_between_two_frames() {
    let (mut first, mut second) = (Station::on_air(40), Station::on_air(10));
    let mut listener = first.open(&request(Start::Live), first.edge());
    listener.listen(first.edge());
    first.append(1);
    // A chunk is due: it comes first.
    assert!(!listener.feed.switch(&second.log, first.edge()));
    listener.received();
    listener.listen(first.edge());
    first.assert_heard(&listener.received(), first.next - CHUNK_FRAMES..first.next);
    assert!(listener.feed.switch(&second.log, first.edge()));
    first.append(1);
    second.append(3);
    listener.listen(second.edge());
    second.assert_heard(&listener.received(), 10 * CHUNK_FRAMES..13 * CHUNK_FRAMES);
}

#[test]
fn its_metadata_framing_goes_on_and_tells_the_other_logs_title() {
    let (first, mut second) = (Station::on_air(40), Station::on_air(10));
    let title = Metadata { title: "Second".into(), url: String::new() };
    second.writer.set_metadata(title, second.edge());
    let with_titles = Request { metaint: NonZeroU32::new(1_000), ..request(Start::Live) };
    let mut listener = first.open(&with_titles, first.edge());
    listener.listen(first.edge());
    let mut reader = Reader::new(1_000);
    reader.push(&listener.received());
    let bytes_before = reader.audio.len();
    assert!(listener.feed.switch(&second.log, first.edge()));
    second.append(3);
    listener.listen(second.edge());
    reader.push(&listener.received());
    let audio = second.frames.bytes(10 * CHUNK_FRAMES..13 * CHUNK_FRAMES);
    assert!(reader.audio[bytes_before..] == audio);
    assert_eq!(reader.titles().last(), Some(&"Second"));
    assert_eq!(reader.blocks.last().unwrap().audio_bytes, bytes_before.next_multiple_of(1_000) as u64);
}

#[test]
fn a_feed_behind_live_goes_on_live_and_one_with_an_end_stays() {
    let (first, mut second) = (Station::on_air(200), Station::on_air(10));
    let mut behind = first.open(&request(Start::Behind(seconds(60))), first.edge());
    behind.listen(first.edge());
    assert!(behind.feed.switch(&second.log, first.edge()));
    second.append(1);
    behind.received();
    behind.listen(second.edge());
    second.assert_heard(&behind.received(), 10 * CHUNK_FRAMES..11 * CHUNK_FRAMES);

    let unpaced = Request { pace: Pace::Unpaced, ..request(Start::At(START)) };
    let mut span = first.open(&unpaced, first.edge());
    span.listen(first.edge());
    assert!(!span.feed.switch(&second.log, first.edge()));
}
