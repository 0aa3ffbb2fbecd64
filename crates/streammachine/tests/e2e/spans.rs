//! Spans of the past as files: parts of them, and what is there of one whose source has gone for good.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::json;
use testkit::listener::{ListenerClient, Request, Response};

use crate::harness::{
    Host, content_start_us, count, dump, frame_start_us, frames, listen, load, over_kept_connection, play,
};

/// Seconds of audio.
const SECONDS: u64 = 60;

/// The address of the span of these frames, between the middles of those before, on a server that holds the past.
fn address(host: &Host, numbers: &Range<u32>) -> String {
    let [start, end] = [numbers.start, numbers.end].map(|number| middle_before_ms(host, number));
    format!("/test?start={start}&end={end}")
}

/// Middle of the frame before `number`, by the date of one a second before: dates follow the clock, which a busy machine lets
/// drift from the count of frames.
fn middle_before_ms(host: &Host, number: u32) -> i64 {
    let origin_us = content_start_us(&listen(host, "/test?pump=1000"));
    let near_ms = frame_start_us(origin_us, number) / 1000 - 1000;
    let mut near = listen(host, &format!("/test?start={near_ms}&end={}", near_ms + 500));
    let near_us = content_start_us(&near);
    let first = frames().scan(&near.read_body()).first.expect("there are frames");
    (frame_start_us(near_us, number - first) - 13_000) / 1000
}

/// The same audio, as if it had been on air a day earlier.
fn a_day_earlier(mut dump: Vec<u8>) -> Vec<u8> {
    let day = |ago: i64| {
        let then = Timestamp::now() - jiff::SignedDuration::from_hours(24 * ago);
        format!("\"{}T", then.to_zoned(jiff::tz::TimeZone::UTC).date())
    };
    // It may have been sent around midnight.
    let days = [0, 1, 2].map(day);
    let length = days[0].len();
    for place in 0..dump.len() - length {
        let found = days[..2].iter().position(|day| dump[place..].starts_with(day.as_bytes()));
        if let Some(ago) = found {
            dump[place..place + length].copy_from_slice(days[ago + 1].as_bytes());
        }
    }
    dump
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
    let host = Host::with_stream(json!({}));
    assert_eq!(load(&host, &a_day_earlier(dump(&first))).0, 200);
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

    check_nothing(&host, end + hour, end + 2 * hour);
}

/// Wants a span between two instants, in unix milliseconds, to be refused, however it is asked for, with the oldest and
/// the newest instant that there are.
#[track_caller]
fn check_nothing(host: &Host, start_ms: i64, end_ms: i64) {
    let instant = |ms| Timestamp::from_millisecond(ms).expect("an instant of our times");
    let (start, end) = (instant(start_ms), instant(end_ms));
    let target = format!("/test?start={start_ms}&end={end_ms}");
    let mut answer = get(host, &target, &[]);
    let text = answer.read_text();
    assert_eq!((answer.status, answer.header("X-Content-Start")), (404, None), "{text}");
    let words = format!("there is no audio between {start:.3} and {end:.3}: the rewind buffer holds ");
    let held = text.strip_prefix(&words).unwrap_or_else(|| panic!("{text}"));
    let (oldest, newest) = held.trim_end().split_once(" to ").unwrap_or_else(|| panic!("{text}"));
    let all = listen(host, "/test?start=1000000000");
    assert_eq!(Some(oldest), all.header("X-Content-Start"));
    let newest: Timestamp = newest.parse().expect("the newest is an instant");
    assert!(newest > oldest.parse().expect("the oldest is an instant"), "{text}");

    let seconds = (end_ms - start_ms) / 1000;
    for same in [format!("{target}&strict=1"), format!("/test?start={start_ms}&duration={seconds}")] {
        assert_eq!(get(host, &same, &[]).status, 404, "{same}");
    }
    let head = ListenerClient::send(host.listeners(), &Request::new("HEAD", &target));
    assert_eq!((head.status, head.header("X-Content-Start")), (404, None));
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, mut body) = over_kept_connection(host.listeners(), &request);
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(body.read_exact(text.len()), text.as_bytes());
}

#[test]
fn a_span_of_which_nothing_is_there_is_not_found_and_the_answer_tells_what_is() {
    let first = Host::with_stream(json!({}));
    play(&first, 0..count(SECONDS));
    let hour = 3_600_000;
    let oldest = content_start_us(&listen(&first, "/test?pump=1000")) / 1000;
    check_nothing(&first, oldest - 2 * hour, oldest - hour);
    check_nothing(&first, oldest - hour, oldest - 5);
    // What is there in part is given.
    let part = format!("/test?start={}&end={}", oldest - hour, oldest + 1_000);
    assert_eq!(frames().scan(&listen(&first, &part).read_body()).first, Some(0));

    // The same audio a day earlier makes a gap of a day.
    let earlier = a_day_earlier(dump(&first));
    let host = Host::with_stream(json!({"seconds": 3 * 86_400}));
    play(&host, 10_000..10_000 + count(5));
    assert_eq!(load(&host, &earlier).0, 200);
    let oldest = content_start_us(&listen(&host, "/test?start=1000000000")) / 1000;
    check_nothing(&host, oldest - 2 * hour, oldest - hour);
    check_nothing(&host, oldest + hour, oldest + 2 * hour);
    let across = format!("/test?start={}&end={}", oldest + hour, oldest + 48 * hour);
    let heard = frames().scan(&listen(&host, &across).body.read_exact(10_000));
    assert!(heard.first == Some(10_000) && heard.is_continuous(), "{heard:?}");
}

#[test]
fn a_span_of_an_empty_buffer_is_not_found() {
    let host = Host::with_stream(json!({}));
    let mut answer = get(&host, "/test?start=1000000000&end=1000003600", &[]);
    assert_eq!((answer.status, answer.read_text()), (404, "the rewind buffer is empty\n".to_owned()));
}
