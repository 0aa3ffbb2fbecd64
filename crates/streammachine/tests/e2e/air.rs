//! Who is on air at a mount, and what encoders tell of what they play.

use serde_json::json;
use testkit::audio::Mp3Frames;
use testkit::listener::request;
use testkit::source::SourceOptions;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, connect, count, frames, line, listen, play, pump_all, set_title, source, status,
    wait_for_buffer, wait_for_frame, wait_for_sources,
};

/// `source:testing`
const CREDENTIALS: &str = "c291cmNlOnRlc3Rpbmc=";

#[test]
fn the_second_source_waits_and_takes_over_when_the_first_ends() {
    let host = Host::with_stream(json!({}));
    let mut first = source(&host);
    first.send(&frames().bytes(0..100)).unwrap();
    // A source that has given no audio yet keeps no other waiting.
    eventually(DEADLINE, || (line(&host, "test").first()?["bytes"].as_u64()? > 0).then_some(()));
    let mut second = source(&host);
    wait_for_sources(&host, "test", 2);
    // Nobody hears what a waiting source sends.
    second.send(&frames().bytes(5000..5100)).unwrap();
    eventually(DEADLINE, || (line(&host, "test")[1]["bytes"].as_u64()? > 20_000).then_some(()));
    first.send(&frames().bytes(100..200)).unwrap();
    first.close();
    wait_for_sources(&host, "test", 1);
    second.send(&frames().bytes(5100..5200)).unwrap();
    second.close();
    wait_for_sources(&host, "test", 0);
    wait_for_frame(&host, "test", 5199);
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.first, report.last, report.breaks.len()), (Some(0), Some(5199), 1), "{report:?}");
    // The newest frame of a source is only certain when the next one has come.
    let taken_over = report.breaks[0];
    assert_eq!(taken_over.after, 199);
    assert!((5099..=5100).contains(&taken_over.next), "{report:?}");
}

#[test]
fn a_source_interrupts_the_fallback_which_returns_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.mp3");
    std::fs::write(&file, frames().bytes(1_000_000..1_000_000 + count(60))).unwrap();
    let host = Host::with_stream(json!({"fallback": format!("file://{}", file.display()), "burst": 0.5}));
    wait_for_buffer(&host, "test", 0.5);
    assert_eq!(line(&host, "test")[0]["isFallback"], true);

    let mut listener = listen(&host, "/test");
    let mut live = source(&host);
    live.send(&frames().bytes(0..100)).unwrap();
    eventually(DEADLINE, || line(&host, "test")[0].get("isFallback").is_none().then_some(()));
    live.close();
    eventually(DEADLINE, || (line(&host, "test").first()?["isFallback"] == true).then_some(()));

    // The listener hears the fallback, the source, and the fallback again.
    let mut heard = Vec::new();
    listener.body.read_until(DEADLINE, |bytes| {
        let report = frames().scan(bytes);
        heard.clone_from(&report.breaks);
        assert_eq!((report.junk_bytes, report.leading_bytes), (0, 0), "{report:?}");
        heard.len() == 2
    });
    assert!(heard[0].after >= 1_000_000 && heard[0].next == 0, "{heard:?}");
    assert!(heard[1].after == 99 && heard[1].next >= 1_000_000, "{heard:?}");
}

#[test]
fn encoders_set_titles_on_either_port_with_the_password() {
    let host = Host::with_stream(json!({"metaTitle": "Nothing"}));
    play(&host, 0..50);
    let update = |query: &str, password: &str| {
        format!(
            "GET /admin/metadata?mode=updinfo&mount=/test&{query} HTTP/1.0\r\nAuthorization: Basic {password}\r\n\r\n"
        )
    };
    for (port, query, title) in [
        (host.sources(), "song=First+song", "First song"),
        (host.listeners(), "song=Second%20song", "Second song"),
        (host.sources(), "artist=Someone&title=Something", "Someone - Something"),
        (host.sources(), "song=M%FCnchen&charset=ISO-8859-1", "München"),
        (host.sources(), "song=%E6%9D%B1%E4%BA%AC", "東京"),
        (host.sources(), "song=a%0D%0Ab%00c';StreamUrl='x", "a b c'StreamUrl='x"),
    ] {
        let answer = String::from_utf8(request(port, update(query, CREDENTIALS).as_bytes())).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        let done =
            "<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>\n";
        assert!(answer.ends_with(done), "{answer}");
        eventually(DEADLINE, || (status(&host, "test")["metadata"]["StreamTitle"] == title).then_some(()));
    }
    for refused in [
        update("song=x", "c291cmNlOndyb25n"),
        "GET /admin/metadata?mode=updinfo&mount=/test&song=x HTTP/1.0\r\n\r\n".into(),
    ] {
        let answer = String::from_utf8(request(host.sources(), refused.as_bytes())).unwrap();
        assert!(answer.starts_with("HTTP/1.0 401 Unauthorized\r\n"), "{answer}");
    }
    assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "a b c'StreamUrl='x");
}

#[test]
fn titles_of_sources_are_ignored_where_the_stream_says_so() {
    let host = Host::with_stream(json!({"acceptSourceMeta": false, "metaTitle": "Ours"}));
    play(&host, 0..50);
    let update = format!(
        "GET /admin/metadata?mode=updinfo&mount=/test&song=Theirs HTTP/1.0\r\nAuthorization: Basic {CREDENTIALS}\r\n\r\n"
    );
    request(host.sources(), update.as_bytes());
    // The mount has passed the title on before it hears of the next source.
    play(&host, 50..100);
    assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "Ours");
    set_title(&host, "From the API");
}

#[test]
fn a_source_of_another_format_goes_on_in_whole_frames() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..100);
    let other = Mp3Frames::new(128, 48_000, 1);
    let mut source = connect(&host, SourceOptions::new("/test", PASSWORD));
    source.send(&other.bytes(0..100)).unwrap();
    source.close();
    let expected = [frames().bytes(0..100), other.bytes(0..100)].concat();
    eventually(DEADLINE, || (pump_all(&host) == expected).then_some(()));
    assert_eq!(status(&host, "test")["vitals"]["streamKey"], "mp3-48000-128-m");
}

#[test]
fn the_built_in_programme_is_on_air_from_the_start_with_a_past() {
    let host = Host::with_stream(json!({"fallback": "builtin:programme", "burst": 2}));
    wait_for_buffer(&host, "test", 299.0);
    assert_eq!(line(&host, "test")[0]["isFallback"], true);
    let mut past = listen(&host, "/test?offset=290");
    let behind: f64 = past.header("X-Content-Behind").unwrap().parse().unwrap();
    assert!((289.0..=290.0).contains(&behind), "{behind}");
    past.body.read_exact(20_000);
    listen(&host, "/test").body.read_exact(30_000);
    // A source is heard at once, and it alone.
    let mut live = source(&host);
    live.send(&frames().bytes(0..100)).unwrap();
    live.close();
    eventually(DEADLINE, || (line(&host, "test").first()?["isFallback"] == true).then_some(()));
    // The mount tells who is on air before the stream has written the source's last frames.
    let kept = eventually(DEADLINE, || {
        let kept = frames().scan(&pump_all(&host));
        (kept.last == Some(99)).then_some(kept)
    });
    assert_eq!((kept.first, kept.last, kept.frames), (Some(0), Some(99), 100));
}
