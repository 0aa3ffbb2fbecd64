//! The past by address: where a listener starts and ends, to the frame, and what is answered where that is not possible.
//!
//! Everything is asked of audio that lies still: minutes of it, sent at once by a source that has gone. How it survives
//! is in `keeping`.

use std::ops::Range;

use serde_json::json;
use testkit::connection::Connection;
use testkit::listener::{ListenerClient, Response};
use testkit::wait::DEADLINE;

use crate::harness::{FRAME_US, Host, content_start_us, count, frame_start_us, frames, listen, play};

/// Seconds of audio.
const SECONDS: u64 = 300;

/// A server with the past in it.
struct Past {
    host: Host,
    origin_us: i64,
}

impl Past {
    #[track_caller]
    fn new() -> Self {
        let host = Host::with_stream(json!({"burst": 20}));
        play(&host, 0..count(SECONDS));
        let origin_us = content_start_us(&listen(&host, "/test?pump=1000"));
        Past { host, origin_us }
    }

    /// Start of a frame.
    fn time_us(&self, number: u32) -> i64 {
        frame_start_us(self.origin_us, number)
    }

    /// The middle of a frame in unix milliseconds: the next whole frame is the one behind it.
    fn middle_ms(&self, number: u32) -> i64 {
        (self.time_us(number) + FRAME_US / 2) / 1000
    }

    fn get(&self, target: &str) -> Response {
        ListenerClient::get(self.host.listeners(), target, &[])
    }

    /// Asks for a span, which must be exactly the frames of `numbers`.
    fn check_span(&self, target: &str, numbers: Range<u32>) {
        let mut response = self.get(target);
        assert_eq!(response.status, 200, "{target}: {}", response.head);
        let bytes = frames().position(numbers.end) - frames().position(numbers.start);
        assert_eq!(response.header("Content-Length"), Some(bytes.to_string().as_str()), "{target}");
        let body = response.body.read_to_end(bytes as usize);
        frames().scan(&body).assert_exactly(numbers.clone());
        if !numbers.is_empty() {
            self.check_start(&response, numbers.start);
        }
    }

    /// The answer says that it begins with frame `number`.
    fn check_start(&self, response: &Response, number: u32) {
        let error_us = content_start_us(response) - self.time_us(number);
        assert!(error_us.abs() <= 1000, "{error_us} µs off: {}", response.head);
    }
}

#[test]
fn an_instant_is_found_to_the_frame() {
    let past = Past::new();
    for number in [0, 1, 17, 18, 19, 20, 1000, 4321, count(SECONDS) - 800] {
        let ms = past.middle_ms(number);
        let (seconds, rest) = (ms / 1000, ms % 1000);
        let rfc = jiff::Timestamp::from_millisecond(ms).unwrap();
        let shifted =
            rfc.to_zoned(jiff::tz::TimeZone::get("Asia/Tokyo").unwrap()).strftime("%Y-%m-%dT%H:%M:%S.%3f");
        for instant in
            [format!("{ms}"), format!("{seconds}.{rest:03}"), rfc.to_string(), format!("{shifted}%2B09:00")]
        {
            let mut response = listen(&past.host, &format!("/test?start={instant}"));
            assert_eq!(response.header("Content-Length"), None);
            past.check_start(&response, number + 1);
            let report = frames().scan(&response.body.read_exact(8_000));
            assert_eq!((report.first, report.leading_bytes), (Some(number + 1), 0), "{instant}");
            assert!(report.is_continuous(), "{report:?}");
        }
    }
}

#[test]
fn a_span_has_its_exact_length_and_frames() {
    let past = Past::new();
    for (first, last) in [(0, 1), (5, 6), (100, 2000), (4000, count(SECONDS) - 2)] {
        let (start, end) = (past.middle_ms(first), past.middle_ms(last));
        past.check_span(&format!("/test?start={start}&end={end}"), first + 1..last + 1);
        past.check_span(&format!("/test/;stream.nsv?end={end}&strict=1&start={start}"), first + 1..last + 1);
        let duration = (end - start) as f64 / 1000.0;
        past.check_span(&format!("/test?start={start}&duration={duration}"), first + 1..last + 1);
    }
}

#[test]
fn a_span_in_which_no_frame_starts_is_not_found() {
    let past = Past::new();
    let start = past.middle_ms(500);
    let mut answer = past.get(&format!("/test?start={start}&end={}", start + 2));
    let text = answer.read_text();
    assert!(answer.status == 404 && text.starts_with("there is no audio between "), "{text}");
}

#[test]
fn a_span_with_its_end_behind_the_edge_goes_up_to_it() {
    let past = Past::new();
    let last = count(SECONDS) - 100;
    // Live it has no length yet: it is heard at the pace of time, here within the burst.
    let start = past.middle_ms(last);
    let mut response = listen(&past.host, &format!("/test?start={start}&duration=3600"));
    assert_eq!(response.header("Content-Length"), None);
    let heard =
        response.body.read_exact((frames().position(last + 100) - frames().position(last + 1)) as usize);
    frames().scan(&heard).assert_exactly(last + 1..last + 100);
}

#[test]
fn pumps_give_the_last_seconds_at_once_and_end() {
    let past = Past::new();
    let (total, edge_us) = (count(SECONDS), past.time_us(count(SECONDS)));
    let at_or_after = |back_us: i64| {
        (0..=total)
            .find(|&number| past.time_us(number) + 500 >= edge_us - back_us)
            .expect("the edge is at the end")
    };
    for seconds in [1, 10, 100, 299] {
        let first = at_or_after(seconds * 1_000_000);
        past.check_span(&format!("/test?pump={seconds}"), first..total);
    }
    for (from, length) in [(100, 10), (299, 1), (10, 10)] {
        let numbers = at_or_after(from * 1_000_000)..at_or_after((from - length) * 1_000_000);
        past.check_span(&format!("/test?from={from}&pump={length}"), numbers);
    }
    // More than there is: what there is.
    past.check_span("/test?pump=301", 0..total);
    past.check_span("/test?pump=1e300", 0..total);
    past.check_span("/test?from=1000&pump=1000", 0..total);
    past.check_span("/test?from=5&pump=1000", at_or_after(5_000_000)..total);
}

#[test]
fn a_delay_starts_so_far_behind_the_edge() {
    let past = Past::new();
    for delay in ["60", "120.5"] {
        let mut response = listen(&past.host, &format!("/test?delay={delay}"));
        let behind: f64 = response.header("X-Content-Behind").unwrap().parse().unwrap();
        let delay: f64 = delay.parse().unwrap();
        assert!(behind <= delay && behind > delay - 0.03, "{behind}");
        let report = frames().scan(&response.body.read_exact(8_000));
        past.check_start(&response, report.first.unwrap());
    }
}

#[test]
fn ways_to_say_an_instant_that_mean_another_tomorrow_are_redirected() {
    let past = Past::new();
    let redirected = |target: &str| {
        let mut response = past.get(target);
        assert_eq!(response.status, 302, "{target}: {}", response.head);
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        let location = response.header("Location").unwrap().to_owned();
        assert_eq!(response.read_text(), format!("The audio of that instant is at {location}\n"));
        location
    };
    let now = || jiff::Timestamp::now().as_second();
    let before = now();
    let location = redirected("/test?start=-100&x=1");
    let start: i64 =
        location.strip_prefix("/test?start=").unwrap().strip_suffix("&x=1").unwrap().parse().unwrap();
    assert!((before - 101..=now() - 100).contains(&start), "{location}");
    // Followed, it is that instant to the frame.
    let response = listen(&past.host, &location);
    let error_us = content_start_us(&response) - start * 1_000_000;
    assert!((-1000..FRAME_US + 1000).contains(&error_us), "{error_us} µs");

    let location = redirected("/test/;stream.nsv?start=-100&duration=10");
    let (_, query) = location.split_once("?start=").unwrap();
    let (start, end) = query.split_once("&end=").unwrap();
    assert_eq!(end.parse::<i64>().unwrap() - start.parse::<i64>().unwrap(), 10);
    assert!(location.starts_with("/test/;stream.nsv?"), "{location}");

    // A time of day is its most recent occurrence, in the zone that is asked for.
    for (time, zone) in [("09:00", "Europe/Berlin"), ("23:59:59", "America/New_York"), ("00:00", "UTC")] {
        let location = redirected(&format!("/test?start={time}&tz={zone}"));
        let start: i64 = location.strip_prefix("/test?start=").unwrap().parse().unwrap();
        assert!(start <= now() && start > now() - 90_001, "{location}");
        let local = jiff::Timestamp::from_second(start)
            .unwrap()
            .in_tz(zone)
            .unwrap()
            .strftime("%H:%M:%S")
            .to_string();
        assert!(local.starts_with(time), "{time} in {zone} is {local}");
    }
    redirected("/test?start=2026-01-01T09:00");
}

#[test]
fn what_is_not_there_is_answered_with_the_nearest_unless_strict() {
    let past = Past::new();
    let (total, day) = (count(SECONDS), 86_400_000);
    let (early, late) = (past.middle_ms(0) - day, past.middle_ms(0) + day);
    let oldest = listen(&past.host, &format!("/test?start={early}"));
    past.check_start(&oldest, 0);
    past.check_span(&format!("/test?start={early}&end={}", past.middle_ms(9)), 0..10);
    // An instant still to come is live: the burst, and then as audio comes.
    let mut live = listen(&past.host, &format!("/test?start={late}"));
    let report = frames().scan(&live.body.read_exact(8_000));
    past.check_start(&live, report.first.unwrap());
    assert_eq!(report.first, frames().scan(&listen(&past.host, "/test").body.read_exact(8_000)).first);
    listen(&past.host, "/test?offset=100000");

    for start in [early, late] {
        let mut missing = past.get(&format!("/test?start={start}&strict=1"));
        let text = missing.read_text();
        assert_eq!(missing.status, 404, "{text}");
        let (_, held) =
            text.split_once(" is outside the rewind buffer, which holds ").expect("the reason is told");
        let held = held
            .trim_end()
            .split(" to ")
            .map(|text| text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        for (told, is) in held.zip([past.origin_us, past.time_us(total)]) {
            assert!((told - is).abs() <= 1000, "{text}");
        }
    }
    assert_eq!(past.get("/test?offset=100000&strict=1").status, 404);
    listen(&past.host, "/test?offset=100&strict=1");
}

#[test]
fn what_means_nothing_is_a_400_with_the_reason_or_ignored_as_ever() {
    let past = Past::new();
    let seconds = |name| format!("{name} must be a number of seconds, 0 or more\n");
    let instant = |name, text: &str| {
        format!(
            "{name}: {text:?} is no instant: use 2026-11-23T09:00:00Z, unix seconds, -3600 (seconds before now), \
             09:00, or a local date and time\n"
        )
    };
    for (query, reason) in [
        ("start=yesterday", instant("start", "yesterday")),
        ("start=", instant("start", "")),
        ("start=NaN", instant("start", "NaN")),
        ("start=-", instant("start", "-")),
        ("start=25:00", instant("start", "25:00")),
        ("start=2026-02-30T00:00:00Z", instant("start", "2026-02-30T00:00:00Z")),
        ("start=99999999999999999999", instant("start", "99999999999999999999")),
        ("start=1&end=tomorrow", instant("end", "tomorrow")),
        ("delay=-5", seconds("delay")),
        ("delay=soon", seconds("delay")),
        ("delay=inf", seconds("delay")),
        ("start=1&duration=long", seconds("duration")),
        ("start=100&end=100", "the end is not after the start\n".to_owned()),
        ("start=100&duration=0", "the end is not after the start\n".to_owned()),
        ("end=100", "end and duration need a start\n".to_owned()),
        ("duration=10", "end and duration need a start\n".to_owned()),
        ("start=09:00&tz=Nowhere/Land", "tz must name a time zone, for example Europe/Berlin\n".to_owned()),
    ] {
        let mut response = past.get(&format!("/test?{query}"));
        assert_eq!((response.status, response.read_text()), (400, reason), "{query}");
    }
    let live = listen(&past.host, "/test").header("X-Content-Start").unwrap().to_owned();
    for query in [
        "offset=x",
        "offset=-5",
        "offset=NaN",
        "offset=",
        "offset[a][b]=1",
        "pump=x",
        "pump=-1",
        "pump=0",
        "from=5",
    ] {
        let response = listen(&past.host, &format!("/test?{query}"));
        assert_eq!(response.header("X-Content-Start"), Some(live.as_str()), "{query}");
    }
}

#[test]
fn an_empty_buffer_gives_empty_bodies_and_no_instants() {
    let host = Host::with_stream(json!({}));
    for target in ["/test?pump=10", "/test?from=10&pump=5"] {
        let mut response = listen(&host, target);
        assert_eq!(response.header("Content-Length"), Some("0"), "{target}");
        assert_eq!(response.header("X-Content-Start"), None, "{target}");
        assert_eq!(response.body.read_to_end(0), b"", "{target}");
    }
    listen(&host, "/test?start=1000000000");
    let mut strict = ListenerClient::get(host.listeners(), "/test?start=1000000000&strict=1", &[]);
    assert_eq!((strict.status, strict.read_text()), (404, "the rewind buffer is empty\n".to_owned()));
}

#[test]
fn a_span_over_a_kept_connection_leaves_it_in_order() {
    let past = Past::new();
    let target = format!("/test?start={}&end={}", past.middle_ms(10), past.middle_ms(20));
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, mut body): (String, Connection) =
        crate::harness::over_kept_connection(past.host.listeners(), &request);
    let bytes = frames().position(21) - frames().position(11);
    assert!(head.to_ascii_lowercase().contains(&format!("\r\ncontent-length: {bytes}\r\n")), "{head}");
    frames().scan(&body.read_exact(bytes as usize)).assert_exactly(11..21);
    assert!(body.is_closed_within(DEADLINE));
}
