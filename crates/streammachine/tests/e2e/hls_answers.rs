//! HTTP Live Streaming as HTTP: what each answer tells caches and pages of other origins, how playlists are compressed,
//! ranges, and who counts as a listener.

use std::io::Read as _;

use serde_json::json;
use testkit::audio::AdtsFrames;
use testkit::listener::{ListenerClient, Request, Response};
use testkit::source::SourceOptions;

use crate::harness::{
    Host, PASSWORD, connect, count, merge, page, play, status, test_stream, wait_for_buffer, wait_for_sources,
};
use crate::playlists::media;

const ORIGIN: &str = "https://page.example";

/// A server with segments of two seconds, and a minute of MP3 in `/test` and of AAC in `/aac`; its sources have gone.
fn server() -> Host {
    let aac = json!({"format": "aac", "source_password": PASSWORD});
    let ours = json!({"hls": {"segment_duration": 2}, "streams": {"aac": aac}});
    let host = Host::start(merge(test_stream(json!({})), ours));
    play(&host, 0..count(60));
    let mut source = connect(&host, SourceOptions::new("/aac", PASSWORD));
    source.send(&AdtsFrames::new(64, 44_100, 2).bytes(0..2_600)).expect("the server takes audio");
    source.close();
    wait_for_sources(&host, "aac", 0);
    wait_for_buffer(&host, "aac", 59.0);
    host
}

fn ask(host: &Host, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [headers, &[("Connection", "close")]].concat();
    ListenerClient::send(host.listeners(), &Request { headers: &headers, ..Request::new(method, target) })
}

/// All values of a header, joined; how long a segment is still kept is left out of them.
fn all(response: &Response, name: &str) -> String {
    let named = response.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
    let text = named.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
    if !text.ends_with(", immutable") {
        return text;
    }
    text.chars().filter(|it| !it.is_ascii_digit()).collect()
}

#[test]
fn every_answer_tells_caches_and_other_origins_what_they_may() {
    const LIFE: &str = "public, max-age=, immutable";
    const ANY: &str = "Accept-Encoding, Origin";
    let host = server();
    let (mp3, aac) = (media(&host, "/test.m3u8"), media(&host, "/aac.m3u8?container=fmp4"));
    let (first, last) = (&mp3.segments[0], mp3.segments.last().unwrap());
    let past = format!("/test.m3u8?start={}&end={}", first.date_us / 1_000_000 + 3, last.date_us / 1_000_000);
    let test = |name: String| format!("/test/ts/{name}");
    let part = |segment: u64, part: usize| format!("/aac/ts/{segment}.{part}.m4s");
    let newest = aac.segments.last().unwrap().seq;
    for (target, accepted, status, cached, coding, varies) in [
        ("/test.m3u8".to_owned(), "", 200, "public, max-age=1", "", ANY),
        ("/test.m3u8".to_owned(), "deflate, gzip", 200, "public, max-age=1", "gzip", ANY),
        ("/test.m3u8".to_owned(), "gzip, deflate, br, zstd", 200, "public, max-age=1", "br", ANY),
        ("/test.m3u8".to_owned(), "gzip, br;q=0.5", 200, "public, max-age=1", "gzip", ANY),
        ("/test.m3u8".to_owned(), "gzip;q=0, identity", 200, "public, max-age=1", "", ANY),
        (format!("/test.m3u8?_HLS_msn={}", last.seq), "br", 200, "public, max-age=12", "br", ANY),
        (past, "*", 200, "public, max-age=60", "br", ANY),
        ("/aac.m3u8?container=fmp4&_HLS_skip=YES".to_owned(), "br", 200, "public, max-age=1", "br", ANY),
        ("/test.m3u8?start=1000000000&end=1000000010".to_owned(), "br", 404, "max-age=2", "", "Origin"),
        (format!("/test.m3u8?_HLS_msn={}", last.seq + 3), "br", 400, "", "", "Origin"),
        ("/test.m3u8?container=fmp4".to_owned(), "br", 400, "", "", "Origin"),
        ("/test.m3u8?start=now".to_owned(), "br", 302, "no-store", "", "Origin"),
        ("/none.m3u8".to_owned(), "br", 404, "max-age=1", "", "Origin"),
        ("/sg/test.m3u8".to_owned(), "br", 200, "private, no-store", "", "Origin"),
        ("/sg/none.m3u8".to_owned(), "br", 404, "max-age=1", "", "Origin"),
        (first.uri.clone(), "br", 200, LIFE, "", "Origin"),
        (test(format!("{}.ts", first.seq)), "gzip", 200, LIFE, "", "Origin"),
        (test(format!("{}.aac", first.seq)), "", 404, "max-age=1", "", "Origin"),
        (test(format!("{}.mp3", first.seq - 1)), "", 404, "max-age=1", "", "Origin"),
        (test(format!("{}.mp3", last.seq + 2)), "", 404, "max-age=1", "", "Origin"),
        (aac.segments[0].uri.clone(), "br", 200, LIFE, "", "Origin"),
        (part(newest, 0), "br", 200, LIFE, "", "Origin"),
        (part(newest, 99), "br", 404, "max-age=1", "", "Origin"),
        (part(newest + 2, 0), "br", 404, "max-age=1", "", "Origin"),
        (part(aac.segments[0].seq - 9, 0), "br", 404, "max-age=1", "", "Origin"),
        (aac.map.clone().unwrap(), "br", 200, LIFE, "", "Origin"),
    ] {
        let headers = [("Accept-Encoding", accepted), ("Origin", ORIGIN)];
        let mut get = ask(&host, "GET", &target, &headers);
        let head = ask(&host, "HEAD", &target, &headers);
        for (method, answer) in [("GET", &get), ("HEAD", &head)] {
            let told = ["Cache-Control", "Content-Encoding", "Vary"].map(|name| all(answer, name));
            assert_eq!(answer.status, status, "{method} {target} {accepted}");
            assert_eq!(told, [cached, coding, varies], "{method} {target} {accepted}");
            assert_eq!(all(answer, "Access-Control-Allow-Origin"), ORIGIN, "{method} {target}");
            let exposed = all(answer, "Access-Control-Expose-Headers");
            for name in ["Date", "Content-Length", "Content-Range", "ETag"] {
                assert!(exposed.contains(name), "{method} {target}: {exposed}");
            }
        }
        // A multivariant playlist names a new session each time, of the same length.
        assert_eq!(head.header("Content-Length"), get.header("Content-Length"), "{target}");
        let length: usize = get.header("Content-Length").expect(&target).parse().unwrap();
        assert_eq!(get.read_body().len(), length, "{target}");
        let Some(etag) = get.header("ETag") else { continue };
        let known = ask(&host, "GET", &target, &[headers[0], headers[1], ("If-None-Match", etag)]);
        assert_eq!(known.status, 304, "{target}");
        for name in ["ETag", "Cache-Control", "Vary", "Access-Control-Allow-Origin"] {
            assert_eq!(all(&known, name), all(&get, name), "{target}: {name}");
        }
    }
}

#[test]
fn each_coding_is_the_same_text_under_a_tag_of_its_own() {
    let host = server();
    let fetch = |accepted: &str, more: &[(&str, &str)]| {
        ask(&host, "GET", "/test.m3u8", &[&[("Accept-Encoding", accepted)], more].concat())
    };
    let mut plain = fetch("identity", &[]);
    let text = plain.read_text();
    let (mut gzip, mut brotli) = (fetch("gzip", &[]), fetch("br", &[]));
    let bodies = [gzip.read_body(), brotli.read_body()];
    let mut unpacked = [String::new(), String::new()];
    flate2::read::GzDecoder::new(&bodies[0][..]).read_to_string(&mut unpacked[0]).unwrap();
    brotli::Decompressor::new(&bodies[1][..], 4096).read_to_string(&mut unpacked[1]).unwrap();
    assert!(unpacked.iter().all(|it| *it == text), "{unpacked:?}");
    assert!(bodies[1].len() < bodies[0].len() && bodies[0].len() < text.len() / 2);
    let tags = [&plain, &gzip, &brotli].map(|answer| answer.header("ETag").unwrap().to_owned());
    for (nth, accepted) in ["identity", "gzip", "br"].iter().enumerate() {
        let known = |tag: &str| fetch(accepted, &[("If-None-Match", tag)]).status;
        assert_eq!(
            tags.each_ref().map(|tag| known(tag)),
            [0, 1, 2].map(|it| if it == nth { 304 } else { 200 })
        );
    }
}

#[test]
fn ranges_in_a_row_are_those_of_one_body_in_every_container() {
    let host = server();
    let segment = &media(&host, "/aac.m3u8?container=fmp4").segments[3];
    let named = |ending: &str| segment.uri.replace(".m4s", ending);
    for uri in [named(".m4s"), named(".ts"), named(".1.m4s"), named(".aac")] {
        let ranged = |range: &str| ask(&host, "GET", &uri, &[("Range", range)]);
        let mut first = ranged("bytes=0-");
        let whole = first.read_body();
        assert_eq!((first.status, whole.len() > 1000), (206, true), "{uri}");
        let mut joined = Vec::new();
        for start in (0..whole.len()).step_by(1000) {
            let mut part = ranged(&format!("bytes={start}-{}", start + 999));
            let end = (start + 1000).min(whole.len());
            let told = format!("bytes {start}-{}/{}", end - 1, whole.len());
            assert_eq!((part.status, part.header("Content-Range")), (206, Some(told.as_str())), "{uri}");
            joined.extend(part.read_body());
        }
        assert!(joined == whole && ask(&host, "GET", &uri, &[]).read_body() == whole, "{uri}");
        let beyond = ranged(&format!("bytes={}-", whole.len()));
        let told = format!("bytes */{}", whole.len());
        assert_eq!((beyond.status, beyond.header("Content-Range")), (416, Some(told.as_str())), "{uri}");
    }
}

#[test]
fn players_that_fetch_are_counted_once_each() {
    let host = server();
    let listeners = || status(&host, "test")["hls_listeners"].as_u64().unwrap();
    let uri = media(&host, "/test.m3u8").segments[0].uri.clone();
    // The test itself, which names nothing.
    assert_eq!(listeners(), 1);
    let by = |method: &str, target: &str, header: (&str, &str)| ask(&host, method, target, &[header]);
    let variant = page(&host, "/sg/test.m3u8?session_id=mine").1.lines().last().unwrap().to_owned();
    assert_eq!(listeners(), 1, "who has only read what there is does not listen");
    for (method, target, header, count) in [
        ("GET", "/test.m3u8", ("User-Agent", "A"), 2),
        ("GET", "/test.m3u8?_HLS_skip=YES", ("User-Agent", "A"), 2),
        ("GET", &uri, ("User-Agent", "A"), 2),
        ("GET", &uri, ("User-Agent", "B"), 3),
        ("GET", "/test.m3u8?ua=A", ("User-Agent", "B"), 3),
        ("HEAD", "/test.m3u8", ("User-Agent", "C"), 3),
        ("GET", "/test/ts/7.mp3", ("User-Agent", "C"), 3),
        ("GET", "/test.m3u8?container=fmp4", ("User-Agent", "C"), 3),
        ("GET", &variant, ("User-Agent", "D"), 4),
        ("GET", &uri, ("User-Agent", "D"), 4),
        ("GET", &variant, ("User-Agent", "E"), 4),
        ("GET", "/test.m3u8?session_id=other", ("User-Agent", "D"), 5),
        ("GET", "/test.m3u8", ("X-Playback-Session-Id", "apple"), 6),
        ("GET", &uri, ("X-Playback-Session-Id", "apple"), 6),
    ] {
        assert!((200..=404).contains(&by(method, target, header).status));
        assert_eq!(listeners(), count, "{method} {target} {header:?}");
    }
    let other = status(&host, "aac");
    assert_eq!((&other["hls_listeners"], &other["listeners"]), (&json!(0), &json!(0)));
}
