//! Spans of the past as files: parts of them, and what is there of one whose source has gone for good.

use std::ops::Range;

use serde_json::json;
use testkit::listener::{ListenerClient, Request, Response};

use crate::harness::{
    Host, content_start_us, count, dump, frame_start_us, frames, listen, load, over_kept_connection, play,
};

/// Seconds of audio.
const SECONDS: u64 = 60;

/// The address of the span of these frames, between the middles of those before, on a server that holds the past.
fn address(host: &Host, numbers: &Range<u32>) -> String {
    let origin_us = content_start_us(&listen(host, "/test?pump=1000"));
    let middle_ms = |number: u32| (frame_start_us(origin_us, number) - 13_000) / 1000;
    format!("/test?start={}&end={}", middle_ms(numbers.start), middle_ms(numbers.end))
}

fn get(host: &Host, target: &str, headers: &[(&str, &str)]) -> Response {
    ListenerClient::get(host.listeners(), target, headers)
}

#[test]
fn parts_of_a_span_are_exactly_its_bytes() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(SECONDS));
    let numbers = 100..1500;
    let target = address(&host, &numbers);
    let whole = frames().bytes(numbers);
    let length = whole.len();
    let mut all = listen(&host, &target);
    assert_eq!((all.header("Accept-Ranges"), all.header("Content-Range")), (Some("bytes"), None));
    assert!(all.read_body() == whole);
    for (asked, part) in [
        ("bytes=0-", 0..length),
        ("bytes=0-1", 0..2),
        ("bytes=1000-1999", 1000..2000),
        ("bytes=-500", length - 500..length),
        ("bytes=5000-999999999", 5000..length),
    ] {
        let expected = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        let mut answer = get(&host, &target, &[("Range", asked)]);
        assert_eq!((answer.status, answer.reason.as_str()), (206, "Partial Content"), "{asked}");
        assert_eq!(answer.header("Content-Range"), Some(expected.as_str()));
        assert_eq!(answer.header("Content-Length"), Some(part.len().to_string().as_str()));
        assert!(answer.read_body() == whole[part.clone()], "{asked}");

        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nRange: {asked}\r\n\r\n");
        let (head, mut body) = over_kept_connection(host.listeners(), &request);
        assert!(head.starts_with("HTTP/1.1 206 ") && head.contains(&expected), "{head}");
        assert!(body.read_to_end(part.len()) == whole[part], "{asked}");
    }
    let mut beyond = get(&host, &target, &[("Range", &format!("bytes={length}-"))]);
    assert_eq!((beyond.status, beyond.read_text()), (416, format!("the span has {length} bytes\n")));
    assert_eq!(beyond.header("Content-Range"), Some(format!("bytes */{length}").as_str()));
}

#[test]
fn ranges_that_are_not_for_parts_of_a_span_are_answered_whole() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(SECONDS));
    let target = address(&host, &(100..200));
    let range = ("Range", "bytes=10-19");
    let length = frames().bytes(100..200).len().to_string();
    // Whether anything has changed since cannot be told.
    let growing = get(&host, &format!("{}&end=9999999999999", target.split_once("&end=").unwrap().0), &[]);
    assert_eq!(
        (growing.status, growing.header("Content-Length"), growing.header("icy-name")),
        (200, None, None)
    );
    let since = get(&host, &target, &[range, ("If-Range", "\"x\"")]);
    assert_eq!((since.status, since.header("Content-Length")), (200, Some(length.as_str())));
    let head = ListenerClient::send(
        host.listeners(),
        &Request { headers: &[range], ..Request::new("HEAD", &target) },
    );
    assert_eq!((head.status, head.header("Content-Length")), (200, Some(length.as_str())));
    // The last seconds are others at every moment, and so is a span whose beginning is gone.
    for target in ["/test", "/test?pump=10", "/test?offset=20", "/test?start=1000000000&end=9999999999999"] {
        let answer = get(&host, target, &[range]);
        assert_eq!((answer.status, answer.header("Accept-Ranges")), (200, Some("none")), "{target}");
    }
}

#[test]
fn a_span_beyond_the_last_audio_of_a_dead_source_ends_with_it() {
    let first = Host::with_stream(json!({}));
    play(&first, 0..count(SECONDS));
    // The same audio, as if it had been on air a year earlier.
    let mut dump = dump(&first);
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    let (year, earlier) = (format!("\"{year}-"), format!("\"{}-", year - 1));
    for place in 0..dump.len() - year.len() {
        if dump[place..].starts_with(year.as_bytes()) {
            dump[place..place + year.len()].copy_from_slice(earlier.as_bytes());
        }
    }
    let host = Host::with_stream(json!({}));
    assert_eq!(load(&host, &dump).0, 200);
    let edge = count(SECONDS);
    let hour = 3_600_000;
    let target = address(&host, &(edge - 100..edge));
    let (start, end) = target.split_once("&end=").unwrap();
    let end: i64 = end.parse().unwrap();
    let mut span = listen(&host, &format!("{start}&end={}", end + hour));
    assert_eq!(
        span.header("Content-Length"),
        Some(frames().bytes(edge - 100..edge).len().to_string().as_str())
    );
    frames().scan(&span.read_body()).assert_exactly(edge - 100..edge);

    let after = format!("/test?start={}&end={}", end + hour, end + 2 * hour);
    let mut nothing = listen(&host, &after);
    assert_eq!(nothing.header("Content-Length"), Some("0"));
    assert_eq!(nothing.read_body(), b"");
    assert_eq!(get(&host, &format!("{after}&strict=1"), &[]).status, 404);
}
