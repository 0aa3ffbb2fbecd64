//! A log goes on in another process: the same audio, titles, positions and numbers, wherever its blocks lie. Here both
//! processes are one, as the descriptors do not mind.

use std::path::Path;
use std::sync::Arc;

use audio::Time;
use rewind::{Feed, Handed, Log, OpenError, Pace, Pieces, Request, SegmentSeq, Start, Turn, Writer};
use wire::icy::Metadata;

use crate::common::{BLOCK_BYTES, START, chunk, chunks, config, open, seconds};

/// As if it had gone through a socket.
fn carried(handed: Handed) -> Handed {
    let state = serde_json::to_vec(&handed.state).unwrap();
    let files = handed.files.iter().map(|file| file.try_clone().unwrap()).collect();
    Handed { state: serde_json::from_slice(&state).unwrap(), files }
}

fn take_over(dir: Option<&Path>, writer: &Writer) -> (Writer, Arc<Log>) {
    let handed = carried(writer.hand().unwrap());
    let (writer, log, recovery) = Log::take_over(config(dir), handed, START).unwrap();
    assert_eq!(recovery.findings, []);
    (writer, log)
}

fn title(text: &str) -> Metadata {
    Metadata { title: text.to_owned(), url: String::new() }
}

/// Everything that readers can tell of a log.
fn seen(log: &Log) -> impl PartialEq + std::fmt::Debug {
    let titles: Vec<_> = chunks(log).iter().map(|chunk| log.metadata_at(chunk.position)).collect();
    let history = log.metadata_history(100);
    (
        chunks(log),
        titles,
        history,
        log.span(),
        log.edge(),
        log.list_segments(SegmentSeq(0), 100),
        log.segments(),
    )
}

fn fill(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        if number % 7 == 0 {
            writer.set_metadata(title(&format!("title {number}")), seconds(number as i64));
        }
        let mut chunk = chunk(number, BLOCK_BYTES / 5);
        chunk.discontinuity |= number == 33;
        chunk.starts_segment |= number == 33;
        writer.append(&chunk);
    }
}

fn check(dir: Option<&Path>) {
    let (mut first, first_log, _) = open(dir);
    fill(&mut first, 0..60);
    first.set_metadata(title("still to come"), seconds(60));
    let (mut next, next_log) = take_over(dir, &first);
    assert_eq!(seen(&next_log), seen(&first_log));
    assert_eq!((next.last_end(), next_log.metadata()), (first.last_end(), title("still to come")));
    // Again, at once, and after more.
    let (mut third, third_log) = take_over(dir, &next);
    assert_eq!(seen(&third_log), seen(&first_log));
    fill(&mut third, 60..90);
    let (_fourth, fourth_log) = take_over(dir, &third);
    assert_eq!(seen(&fourth_log), seen(&third_log));
    // What one process alone would have made of it.
    let (mut alone, alone_log, _) = open(None);
    fill(&mut alone, 0..60);
    alone.set_metadata(title("still to come"), seconds(60));
    fill(&mut alone, 60..90);
    assert_eq!(seen(&fourth_log), seen(&alone_log));
    // Nobody else writes any more.
    next.clear();
}

#[test]
fn a_log_in_memory_goes_on_in_another_process() {
    check(None);
}

#[test]
fn a_log_in_a_directory_goes_on_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, first_log, _) = open(Some(dir.path()));
    fill(&mut first, 0..60);
    first.set_metadata(title("still to come"), seconds(60));
    let (mut next, next_log) = take_over(Some(dir.path()), &first);
    assert_eq!(seen(&next_log), seen(&first_log));
    assert!(matches!(Log::open(config(Some(dir.path())), START), Err(OpenError::Locked { .. })));
    drop(first);
    assert!(
        matches!(Log::open(config(Some(dir.path())), START), Err(OpenError::Locked { .. })),
        "still shared"
    );
    fill(&mut next, 60..90);
    let before = format!("{:?}", seen(&next_log));
    drop((next, next_log));
    let (_writer, log, recovery) = open(Some(dir.path()));
    assert_eq!(
        (format!("{:?}", seen(&log)), recovery.findings),
        (before, Vec::new()),
        "all of it is on disk"
    );
}

#[test]
fn a_feed_goes_on_to_the_byte() {
    let (mut first, log, _) = open(None);
    fill(&mut first, 0..60);
    let now = seconds(60);
    let request = Request {
        start: Start::At(seconds(20)),
        end: None,
        burst: std::time::Duration::from_secs(10),
        metaint: std::num::NonZeroU32::new(1_000),
        pace: Pace::Live,
    };
    let pump = |feed: &mut Feed, now: Time, most: usize| {
        let (mut out, mut pieces) = (Vec::<u8>::new(), Pieces::default());
        while out.len() < most && feed.fill(now, 5_000, &mut pieces) == Turn::Ready {
            let sent: Vec<u8> = pieces.data().flat_map(|piece| piece.to_vec()).collect();
            let part = sent.len().min(777);
            out.extend(&sent[..part]);
            feed.consume(&pieces, part);
        }
        out
    };
    let mut wanted = Feed::open(&log, &request, now);
    wanted.prefix(bytes::Bytes::from_static(b"HTTP/1.0 200 OK"));
    let mut feed = Feed::resume(&log, wanted.state());
    let all = pump(&mut wanted, now.plus_micros(30_000_000), usize::MAX);
    let mut heard = Vec::new();
    let mut writer = first;
    for _ in 0..20 {
        heard.extend(pump(&mut feed, now.plus_micros(30_000_000), 12_345));
        let state = serde_json::from_str(&serde_json::to_string(&feed.state()).unwrap()).unwrap();
        let (next, log) = take_over(None, &writer);
        writer = next;
        feed = Feed::resume(&log, state);
    }
    heard.extend(pump(&mut feed, now.plus_micros(30_000_000), usize::MAX));
    assert_eq!(feed.jumps(), 0);
    assert!(heard == all, "{} of {} bytes", heard.len(), all.len());
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let (mut first, _log, _) = open(None);
    fill(&mut first, 0..60);
    let mut handed = first.hand().unwrap();
    handed.files.pop();
    assert!(matches!(Log::take_over(config(None), handed, START), Err(OpenError::Handed { .. })));
}
