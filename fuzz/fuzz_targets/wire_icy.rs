//! Any bytes as what a server sends with ICY metadata, at once and in pieces; any text as what is being played.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::icy::{Event, Metadata, Reader, encode_block, parse_text};
use wire::metadata::{CHARACTERS_MAX, MetadataRequest, clean};
use wire::path::Query;
use wire::text::Charset;

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (metaint, length, bytes) = input;
    let metaint = usize::from(metaint);
    let at_once = read(metaint, [bytes]);
    assert_eq!(read(metaint, bytes.chunks(usize::from(length).max(1))), at_once);
    assert!(at_once.0.len() <= bytes.len());
    let text = String::from_utf8_lossy(bytes);
    if let Ok(query) = Query::decode(&text) {
        check(
            &MetadataRequest::decode(&query, wire::metadata::Dialect::Icecast).metadata(Charset::default()),
        );
    }
    check(&Metadata { title: clean(&text), url: clean(&text) });
});

fn read<'a>(metaint: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Metadata>) {
    let (mut reader, mut audio, mut said) = (Reader::new(metaint), Vec::new(), Vec::new());
    for piece in pieces {
        reader.read(piece, |event| match event {
            Event::Audio(bytes) => audio.extend_from_slice(bytes),
            Event::Metadata(metadata) => said.push(metadata),
            Event::Garbage => {}
        });
    }
    (audio, said)
}

/// A text that was cleaned is in bounds, and comes out of a block as it went in, or cut.
fn check(metadata: &Metadata) {
    for text in [&metadata.title, &metadata.url] {
        assert!(text.chars().count() <= CHARACTERS_MAX && !text.contains("';"));
        assert!(!text.contains(char::is_control));
    }
    let block = encode_block(metadata);
    assert_eq!(block.len(), 1 + usize::from(block[0]) * 16);
    let read = parse_text(&block[1..]);
    assert!(metadata.title.starts_with(&read.title));
    assert!(read.url == metadata.url || read.url.is_empty());
}
