//! Programmes: named spans of a stream. How they are made, what they are called by listeners and in playlists, and that
//! they stay with their audio.

use std::fs;

use serde_json::{Value, json};
use testkit::listener::{ListenerClient, Request};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    FRAME_US, Host, api, content_start_us, count, frame_start_us, frames, get, listen, merge, page, play,
    set_title, test_stream,
};
use crate::playlists::Media;

/// Seconds of audio.
const SECONDS: u64 = 120;
/// Programmes of `/test` over the API.
const PROGRAMS: &str = "/api/streams/test/programs";

/// A server with the past in it, and the instant of its first frame.
fn past() -> (Host, i64) {
    let host = Host::start(merge(test_stream(json!({})), json!({"hls": {"segment_duration": 2}})));
    play(&host, 0..count(SECONDS));
    let origin_us = content_start_us(&listen(&host, "/test?pump=1000"));
    (host, origin_us)
}

/// The middle of frame `number` as the API takes it, exact to a millisecond: the next whole frame is the one behind it.
fn middle(origin_us: i64, number: u32) -> f64 {
    ((frame_start_us(origin_us, number) + FRAME_US / 2) / 1000) as f64 / 1000.0
}

fn date(seconds: f64) -> String {
    format!("{:.3}", jiff::Timestamp::from_microsecond((seconds * 1e6).round() as i64).expect("an instant"))
}

#[track_caller]
fn add(host: &Host, program: &Value) -> Value {
    let (status, answer) = api(host, "POST", PROGRAMS, Some(program));
    assert_eq!(status, 201, "{answer}");
    answer
}

#[track_caller]
fn public(host: &Host) -> Vec<Value> {
    let (status, text) = page(host, "/test/programs.json");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("programs are JSON")
}

fn column(programs: &[Value], name: &str) -> Vec<Value> {
    programs.iter().map(|program| program[name].clone()).collect()
}

#[test]
fn a_programme_is_heard_from_its_first_frame() {
    let (host, origin_us) = past();
    let (start, end) = (middle(origin_us, 1000), middle(origin_us, 2000));
    add(&host, &json!({"id": "news-9", "name": "News", "start": start, "end": end}));
    add(&host, &json!({"name": "Music", "start": middle(origin_us, 2500)}));
    for wanted in ["News", "news", "nEWS", "news-9", "previous"] {
        let mut response = listen(&host, &format!("/test?program={wanted}"));
        assert_eq!(response.header("Content-Length"), None, "it goes on behind the end");
        let error_us = content_start_us(&response) - frame_start_us(origin_us, 1001);
        assert!(error_us.abs() <= 1000, "{error_us}");
        let heard = frames().scan(&response.body.read_exact(20_000));
        assert_eq!((heard.first, heard.leading_bytes), (Some(1001), 0), "{wanted}");
        assert!(heard.is_continuous());
        // All of it and nothing else.
        let mut span = listen(&host, &format!("/test?program={wanted}&pump=1"));
        let bytes = frames().position(2001) - frames().position(1001);
        assert_eq!(span.header("Content-Length"), Some(bytes.to_string().as_str()));
        frames().scan(&span.body.read_to_end(bytes as usize)).assert_exactly(1001..2001);
    }
    let mut running = listen(&host, "/test?program=current");
    let heard = frames().scan(&running.body.read_exact(8_000));
    assert_eq!(heard.first, Some(2501));
    frames()
        .scan(&listen(&host, "/test?program=music&pump=1").read_body())
        .assert_exactly(2501..count(SECONDS));
    let head = Request { headers: &[("Connection", "close")], ..Request::new("HEAD", "/test?program=news") };
    let head = ListenerClient::send(host.listeners(), &head);
    assert!((content_start_us(&head) - frame_start_us(origin_us, 1001)).abs() <= 1000);
}

#[test]
fn a_programme_that_begins_behind_the_live_edge_has_no_burst_of_what_was_before() {
    let (host, origin_us) = past();
    add(&host, &json!({"name": "Just now"}));
    let last = count(SECONDS) - 1;
    let response = listen(&host, "/test?program=current");
    let start_us = content_start_us(&response);
    let edge_us = frame_start_us(origin_us, last + 1);
    assert!((edge_us - 150_000..edge_us).contains(&start_us), "{} µs before the edge", edge_us - start_us);
    assert_eq!(get(&host, "/test?program=current&strict=1").status, 404);
    assert_eq!(
        page(&host, "/test?program=current&pump=1"),
        (404, "nothing of \"Just now\" is in the rewind buffer\n".to_owned())
    );
}

#[test]
fn playlists_of_a_programme_are_those_of_its_instants() {
    let (host, origin_us) = past();
    let (start, end) = (middle(origin_us, 1000), middle(origin_us, 2000));
    add(&host, &json!({"id": "a", "name": "Röck & Pop", "start": start, "end": end}));
    add(&host, &json!({"id": "b", "name": "Live", "start": middle(origin_us, 2500)}));
    let seconds =
        |instant: f64| format!("{instant:.3}").trim_end_matches('0').trim_end_matches('.').to_owned();
    for (target, location) in [
        ("/test.m3u8?program=a", format!("/test.m3u8?start={}&end={}", seconds(start), seconds(end))),
        (
            "/test.m3u8?container=ts&program=r%C3%B6ck+%26+pop&strict=1",
            format!("/test.m3u8?start={}&end={}&container=ts&strict=1", seconds(start), seconds(end)),
        ),
        (
            "/sg/test.m3u8?program=previous",
            format!("/sg/test.m3u8?start={}&end={}", seconds(start), seconds(end)),
        ),
        ("/test.m3u8?program=current", format!("/test.m3u8?start={}", seconds(middle(origin_us, 2500)))),
    ] {
        let response = get(&host, target);
        assert_eq!(response.status, 302, "{target}: {}", response.head);
        assert_eq!(response.header("Location"), Some(location.as_str()), "{target}");
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(get(&host, &location).status, 200, "{location}");
    }
    // The links that are told are the same addresses.
    let programs = public(&host);
    let links = |nth: usize| programs[nth]["links"].clone();
    assert_eq!(links(0)["hls"], format!("/test.m3u8?start={}&end={}", seconds(start), seconds(end)));
    assert_eq!(links(0)["listen"], format!("/test?start={}", seconds(start)));
    assert_eq!(links(0)["download"], format!("/test?start={}&end={}", seconds(start), seconds(end)));
    assert_eq!(links(1)["download"], Value::Null);
    let text = page(&host, links(0)["hls"].as_str().unwrap()).1;
    let media = Media::parse(&text);
    assert!(media.is_closed);
    let (first, last) = (media.segments.first().unwrap(), media.segments.last().unwrap());
    let micros = |seconds: f64| (seconds * 1e6) as i64;
    assert!((first.date_us..first.date_us + first.length_us).contains(&micros(start)));
    assert!((last.date_us..last.date_us + last.length_us + 1).contains(&micros(end)));
    let span = listen(&host, links(0)["download"].as_str().unwrap()).read_body();
    frames().scan(&span).assert_exactly(1001..2001);
}

#[test]
fn a_playlist_has_the_programmes_of_its_time_as_date_ranges() {
    let (host, origin_us) = past();
    let plain = get(&host, "/test.m3u8").header("ETag").unwrap().to_owned();
    let starts = [100, 1000, 2500].map(|number| middle(origin_us, number));
    let name = "A \"b\"\n#EXT-X-ENDLIST";
    add(&host, &json!({"id": "a", "name": name, "start": starts[0], "end": starts[1]}));
    add(&host, &json!({"id": "b", "name": "B", "start": starts[2]}));
    let lines = |target: &str| {
        let text = page(&host, target).1;
        Media::parse(&text);
        let head = text.split("#EXT-X-PROGRAM-DATE-TIME").next().unwrap();
        assert_eq!(head.matches("#EXT-X-DATERANGE").count(), text.matches("#EXT-X-DATERANGE").count());
        let ranges = text.lines().filter(|line| line.starts_with("#EXT-X-DATERANGE:"));
        let without_id = |line: &str| {
            let (id, rest) =
                line.strip_prefix("#EXT-X-DATERANGE:ID=\"program-").unwrap().split_once('"').unwrap();
            assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
            (id.to_owned(), rest.to_owned())
        };
        ranges.map(without_id).collect::<Vec<_>>()
    };
    let class = ",CLASS=\"org.streammachine.program\"";
    let first = format!(
        "{class},START-DATE=\"{}\",END-DATE=\"{}\",X-NAME=\"A 'b' #EXT-X-ENDLIST\",X-PROGRAM-ID=\"a\"",
        date(starts[0]),
        date(starts[1])
    );
    let second = format!("{class},START-DATE=\"{}\",X-NAME=\"B\",X-PROGRAM-ID=\"b\"", date(starts[2]));
    let found = lines("/test.m3u8");
    assert_eq!(found.iter().map(|(_, rest)| rest).collect::<Vec<_>>(), [&first, &second]);
    // All are listed again in an update without the old part.
    assert_eq!(lines("/test.m3u8?_HLS_skip=YES"), found);
    assert_eq!(lines(&format!("/test.m3u8?start={}", starts[1] + 5.0)), found[1..]);
    assert_eq!(lines(&format!("/test.m3u8?start={}&end={}", starts[1] + 5.0, starts[2] - 5.0)), []);
    let known = get(&host, "/test.m3u8").header("ETag").unwrap().to_owned();
    assert_ne!(known, plain);
    assert_eq!(get(&host, "/test.m3u8").header("ETag"), Some(known.as_str()));
    // An end is added to what was published; anything else makes another range of it.
    let end = json!({"end": starts[2] + 3.0});
    assert_eq!(api(&host, "PATCH", &format!("{PROGRAMS}/b"), Some(&end)).0, 200);
    let ended = lines("/test.m3u8");
    assert_eq!((&ended[0], &ended[1].0), (&found[0], &found[1].0));
    assert!(ended[1].1.contains(&format!(",END-DATE=\"{}\"", date(starts[2] + 3.0))), "{ended:?}");
    assert_eq!(api(&host, "PATCH", &format!("{PROGRAMS}/b"), Some(&json!({"name": "C"}))).0, 200);
    assert_ne!(lines("/test.m3u8")[1].0, found[1].0);
    assert_eq!(api(&host, "DELETE", &format!("{PROGRAMS}/b"), None).0, 200);
    assert_eq!(lines("/test.m3u8"), found[..1]);
}

#[test]
fn everybody_may_see_what_there_is_and_be_told_that_nothing_is_new() {
    let (host, origin_us) = past();
    assert_eq!(public(&host), Vec::<Value>::new());
    let whole = json!({
        "id": "a", "name": "A", "start": middle(origin_us, 1000), "end": middle(origin_us, 2000),
        "description": "What it is", "url": "https://radio.example/a", "image": "https://radio.example/a.png",
    });
    let made = add(&host, &whole);
    add(&host, &json!({"id": "early", "name": "Early", "start": "-7200", "end": middle(origin_us, 500)}));
    add(&host, &json!({"id": "now", "name": "Now", "start": "now"}));
    let programs = public(&host);
    assert_eq!(column(&programs, "id"), ["early", "a", "now"]);
    assert_eq!(column(&programs, "complete")[..2], [false, true]);
    assert_eq!(column(&programs, "running"), [false, false, true]);
    assert_eq!(programs[2]["end"], Value::Null);
    for name in ["description", "url", "image", "name", "id"] {
        assert_eq!(programs[1][name], whole[name]);
    }
    assert_eq!((&made["made_by"], &programs[1]["made_by"]), (&json!("api"), &Value::Null));
    let first = get(&host, "/test/programs.json");
    assert_eq!(first.header("Content-Type"), Some("application/json"));
    assert_eq!(first.header("Cache-Control"), Some("public, max-age=2"));
    assert_eq!(first.header("Access-Control-Allow-Origin"), Some("*"));
    let etag = first.header("ETag").unwrap();
    let again = [("If-None-Match", etag), ("Connection", "close")];
    assert_eq!(ListenerClient::get(host.listeners(), "/test/programs.json", &again).status, 304);
    add(&host, &json!({"name": "Later"}));
    assert_eq!(ListenerClient::get(host.listeners(), "/test/programs.json", &again).status, 200);
    assert_eq!(get(&host, "/other/programs.json").status, 404);
}

#[test]
fn one_without_an_end_ends_where_the_next_begins() {
    let (host, origin_us) = past();
    let starts = [1000, 2000].map(|number| middle(origin_us, number));
    add(&host, &json!({"id": "a", "name": "A", "start": starts[0]}));
    let (status, one) = api(&host, "GET", &format!("{PROGRAMS}/a"), None);
    assert_eq!((status, &one["end"], &one["running"]), (200, &Value::Null, &json!(true)));
    add(&host, &json!({"id": "b", "name": "B", "start": starts[1]}));
    let (_, one) = api(&host, "GET", &format!("{PROGRAMS}/a"), None);
    assert_eq!((&one["end"], &one["running"]), (&json!(date(starts[1])), &json!(false)));
}

#[test]
fn programmes_are_kept_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = Host::with_directory(directory.path());
    play(&first, 0..count(30));
    let origin_us = content_start_us(&listen(&first, "/test?pump=1000"));
    let start = middle(origin_us, 400);
    add(&first, &json!({"id": "a", "name": "A", "start": start, "end": middle(origin_us, 800)}));
    add(&first, &json!({"id": "b", "name": "B"}));
    let before = api(&first, "GET", PROGRAMS, None);
    // Killed: what was answered is written.
    drop(first);
    let second = Host::with_directory(directory.path());
    assert_eq!(api(&second, "GET", PROGRAMS, None), before);
    let mut heard = listen(&second, "/test?program=a");
    assert_eq!(frames().scan(&heard.body.read_exact(8_000)).first, Some(401));
    drop(second);
    let file = directory.path().join("test/programs.json");
    fs::write(&file, "{\"version\": 1, \"progr").unwrap();
    let third = Host::with_directory(directory.path());
    assert_eq!(api(&third, "GET", PROGRAMS, None), (200, json!([])));
    assert!(third.logs().contains("the programmes that were kept cannot be read"), "{}", third.logs());
    assert_eq!(fs::read(file.with_extension("json.damaged")).unwrap(), b"{\"version\": 1, \"progr");
    // The audio is not touched by it.
    assert_eq!(frames().scan(&listen(&third, "/test?pump=1000").read_body()).first, Some(0));
}

#[test]
fn the_schedule_begins_programmes() {
    // Three of eight hours each: one is on, whatever the time.
    let entry = |name: &str, start: &str, end: &str| json!({"name": name, "start": start, "end": end});
    let schedule = [
        entry("Night", "22:00", "06:00"),
        entry("Morning", "06:00", "14:00"),
        entry("Evening", "14:00", "22:00"),
    ];
    let host = Host::with_stream(json!({"schedule": schedule, "timezone": "America/Los_Angeles"}));
    let programs = public(&host);
    assert_eq!(programs.len(), 1, "{programs:?}");
    let zone = jiff::tz::TimeZone::get("America/Los_Angeles").unwrap();
    let local = |name: &str| {
        let instant: jiff::Timestamp = programs[0][name].as_str().unwrap().parse().unwrap();
        instant.to_zoned(zone.clone()).strftime("%H:%M").to_string()
    };
    let name = programs[0]["name"].as_str().unwrap();
    let entry = schedule.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!((json!(local("start")), json!(local("end"))), (entry["start"].clone(), entry["end"].clone()));
    assert_eq!(programs[0]["running"], true);
    let (_, config) = api(&host, "GET", "/api/streams/test/config", None);
    assert_eq!(config["schedule"][0]["days"], "mon-sun");
    assert_eq!(api(&host, "PUT", "/api/streams/test/config", Some(&json!({"schedule": []}))).0, 200);
    assert_eq!(public(&host), programs, "the past stays");
    let (status, answer) = api(
        &host,
        "PUT",
        "/api/streams/test/config",
        Some(&json!({"schedule": [{"name": "A", "start": "6"}]})),
    );
    assert_eq!(status, 422, "{answer}");
    assert!(
        answer["errors"][0].as_str().unwrap().starts_with("schedule: programme 1: start: expected"),
        "{answer}"
    );
}

#[test]
fn titles_are_programmes_where_that_is_set() {
    let host = Host::with_stream(json!({"programs_from_metadata": true, "metaTitle": "Station"}));
    play(&host, 0..count(20));
    set_title(&host, "One");
    let names = || column(&public(&host), "name");
    eventually(DEADLINE, || (names() == ["Station", "One"]).then_some(()));
    let id = public(&host)[1]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("title-"), "{id}");
    let (status, answer) = api(&host, "DELETE", &format!("{PROGRAMS}/{id}"), None);
    assert_eq!(status, 422, "{answer}");
    assert_eq!(get(&host, "/test?program=station&pump=1").status, 200);
}

#[test]
fn who_names_no_programme_is_told_which_there_are() {
    let (host, origin_us) = past();
    let there_are_none = "no programme is called \"x\": there are none\n";
    for target in
        ["/test?program=x", "/test.m3u8?program=x", "/sg/test.m3u8?program=x", "/test?program=x&pump=1"]
    {
        assert_eq!(page(&host, target), (404, there_are_none.to_owned()), "{target}");
    }
    for nth in 0..40 {
        add(&host, &json!({"name": format!("N{nth}"), "start": middle(origin_us, 100 + nth)}));
    }
    let told = page(&host, "/test?program=%0d%0aX-Evil:+1").1;
    assert!(told.starts_with("no programme is called \"X-Evil: 1\"; there are\n  N39\n  N38\n"), "{told}");
    assert_eq!(told.lines().count(), 31, "{told}");
    for (target, other) in [
        ("/test?program=N1&start=09:00", "start"),
        ("/test.m3u8?program=N1&start=0&end=5", "start"),
        ("/sg/test.m3u8?offset=5&program=N1", "offset"),
        ("/test?program=N1&duration=5", "duration"),
    ] {
        let text = format!("program says where to start: {other} contradicts it\n");
        assert_eq!(page(&host, target), (400, text), "{target}");
    }
    assert_eq!(page(&host, "/none.m3u8?program=N1").0, 404);
}

#[test]
fn bad_input_is_refused_with_its_reasons_and_changes_nothing() {
    let (host, origin_us) = past();
    add(&host, &json!({"id": "a", "name": "A", "start": middle(origin_us, 1000)}));
    let before = api(&host, "GET", PROGRAMS, None);
    let long = "x".repeat(201);
    for (body, error) in [
        (json!({}), "name: is needed"),
        (json!({"name": "\u{1b}"}), "name: must not be empty"),
        (json!({"name": long}), "name: must be a text of at most 200 characters"),
        (json!({"name": 5}), "name: must be a text of at most 200 characters"),
        (json!({"name": "B", "id": "current"}), "id: must be 1 to 64 letters"),
        (json!({"name": "B", "id": "title-1"}), "id: must be 1 to 64 letters"),
        (json!({"name": "B", "id": "a/b"}), "id: must be 1 to 64 letters"),
        (json!({"name": "B", "id": "a"}), "id: another programme has it"),
        (json!({"name": "B", "start": "soon"}), "start: \"soon\" is no instant"),
        (json!({"name": "B", "start": "2099-01-01T00:00:00Z"}), "start: lies in the future"),
        (json!({"name": "B", "start": middle(origin_us, 1000)}), "start: another programme without an end"),
        (json!({"name": "B", "end": "-3600"}), "end: is not after the start"),
        (
            json!({"name": "B", "start": "-7200", "end": "-3600"}),
            "end: nothing before it is in the rewind buffer",
        ),
        (json!({"name": "B", "url": "javascript:alert(1)"}), "url: must be a web address"),
        (json!({"name": "B", "nmae": "C"}), "nmae: is unknown"),
    ] {
        let (status, answer) = api(&host, "POST", PROGRAMS, Some(&body));
        let told = answer["errors"][0].as_str().unwrap_or_default().to_owned();
        assert!(status == 422 && told.starts_with(error), "{body}: {status} {answer}");
    }
    assert_eq!(api(&host, "POST", PROGRAMS, Some(&json!([]))).0, 400);
    assert_eq!(api(&host, "PATCH", &format!("{PROGRAMS}/a"), Some(&json!({"id": "b"}))).0, 422);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(api(&host, method, &format!("{PROGRAMS}/none"), Some(&json!({}))).0, 404, "{method}");
    }
    assert_eq!(api(&host, "GET", "/api/streams/none/programs", None).0, 404);
    assert_eq!(api(&host, "GET", PROGRAMS, None), before);
    // What is shown can be sent back.
    let (_, one) = api(&host, "GET", &format!("{PROGRAMS}/a"), None);
    assert_eq!(api(&host, "PATCH", &format!("{PROGRAMS}/a"), Some(&one)).0, 200);
}
