//! Whose title is shown: that of the source on air, whoever else has told one.

use serde_json::{Value, json};
use testkit::connection::Connection;
use testkit::listener::request;
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, api, connect, frames, line, set_title, source, status, wait_for_frame, wait_for_sources,
};

/// `/test` with two DJs; each password is the name twice.
fn host(stream: Value) -> Host {
    let base = json!({"metaTitle": "Default", "djs": {"anna": "annaanna", "ben": "benben"}});
    Host::with_stream(crate::harness::merge(base, stream))
}

/// A DJ's source that has sent a hundred frames from `first` on.
fn dj(host: &Host, name: &str, first: u32) -> SourceClient {
    let options = SourceOptions::new("/test", &name.repeat(2));
    let mut source = connect(host, SourceOptions { user: name.to_owned(), ..options });
    source.send(&frames().bytes(first..first + 100)).expect("the server takes audio");
    source
}

/// Tells a title over a connection of its own, as encoders of SHOUTcast do.
#[track_caller]
fn tell(host: &Host, login: &str, title: &str) {
    let target = format!("/admin.cgi?mode=updinfo&pass={login}&song={title}");
    let answer = request(host.sources(), format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
    assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
}

#[track_caller]
fn wait_for_title(host: &Host, title: &str) {
    eventually(DEADLINE, || (shown(host) == title).then_some(()));
}

#[track_caller]
fn shown(host: &Host) -> String {
    status(host, "test")["metadata"]["StreamTitle"].as_str().expect("the title is a text").to_owned()
}

#[track_caller]
fn wait_for_dj(host: &Host, name: &str) {
    let on_air =
        |first: &Value| first["dj"] == name && first["bytes"].as_u64().is_some_and(|bytes| bytes > 0);
    eventually(DEADLINE, || on_air(line(host, "test").first()?).then_some(()));
}

#[test]
fn a_waiting_djs_title_is_shown_when_the_dj_takes_the_air() {
    let host = host(json!({}));
    let anna = dj(&host, "anna", 0);
    wait_for_dj(&host, "anna");
    let ben = dj(&host, "ben", 1000);
    wait_for_sources(&host, "test", 2);
    tell(&host, "ben:benben", "Bens");
    tell(&host, "anna:annaanna", "Annas");
    // The mount has heard of both, in this order.
    wait_for_title(&host, "Annas");
    anna.close();
    wait_for_title(&host, "Bens");
    drop(ben);
}

#[test]
fn a_source_that_has_told_nothing_shows_the_streams_title() {
    let host = host(json!({}));
    let anna = dj(&host, "anna", 0);
    wait_for_dj(&host, "anna");
    tell(&host, "anna:annaanna", "Annas");
    wait_for_title(&host, "Annas");
    let ben = dj(&host, "ben", 1000);
    wait_for_sources(&host, "test", 2);
    anna.close();
    wait_for_title(&host, "Default");
    wait_for_dj(&host, "ben");
    // From the API the title is that of whoever is on air.
    set_title(&host, "Live");
    drop(ben);
}

#[test]
fn a_dj_who_comes_back_after_another_has_the_title_still() {
    let host = host(json!({}));
    dj(&host, "anna", 0).close();
    wait_for_sources(&host, "test", 0);
    wait_for_frame(&host, "test", 99);
    // Between two connections.
    tell(&host, "anna:annaanna", "Annas");
    wait_for_title(&host, "Annas");
    let ben = dj(&host, "ben", 1000);
    wait_for_title(&host, "Default");
    let anna = dj(&host, "anna", 2000);
    wait_for_sources(&host, "test", 2);
    ben.close();
    wait_for_title(&host, "Annas");
    drop(anna);
}

#[test]
fn a_title_from_the_api_outlasts_a_break_of_the_source() {
    let host = host(json!({}));
    for first in [0, 1000] {
        dj(&host, "anna", first).close();
        wait_for_sources(&host, "test", 0);
        wait_for_frame(&host, "test", first + 99);
        match first {
            0 => set_title(&host, "From the API"),
            _ => assert_eq!(shown(&host), "From the API"),
        }
    }
    dj(&host, "ben", 2000).close();
    wait_for_title(&host, "Default");
}

#[test]
fn titles_that_are_no_utf8_are_in_the_character_set_of_the_mount() {
    let charset = |charset: &str| json!({"password": PASSWORD, "charset": charset});
    let host = Host::start(json!({
        "streams": {
            "test": {"source_password": PASSWORD, "charset": "ISO-8859-2"},
            "b": {"source": "mount"}, "c": {"source_password": PASSWORD},
        },
        "sources": {"mount": charset("KOI8-R")},
    }));
    for (mount, key, song, title) in [
        ("test", "test", &b"%A3%F3d%BC"[..], "Łódź"),
        ("test", "test", b"\xa3\xf3d", "Łód"),
        ("test", "test", b"Bj%C3%B6rk", "Björk"),
        ("test", "test", b"%A3&charset=latin1", "£"),
        ("mount", "b", b"%F0%C9%D3%D8%CD%CF", "Письмо"),
        ("c", "c", b"%A3", "£"),
    ] {
        let target = format!("/admin/metadata?mode=updinfo&mount=/{mount}&song=");
        let rest = b" HTTP/1.0\r\nAuthorization: Basic c291cmNlOnRlc3Rpbmc=\r\n\r\n";
        let answer = request(host.sources(), &[b"GET ", target.as_bytes(), song, rest].concat());
        assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
        eventually(DEADLINE, || (status(&host, key)["metadata"]["StreamTitle"] == title).then_some(()));
    }
    let path = "/api/sources/mount/config";
    let (code, _) = api(&host, "PUT", path, Some(&json!({"charset": "nonsense"})));
    assert_eq!((code, api(&host, "GET", path, None).1["charset"].clone()), (422, json!("KOI8-R")));
}

/// A SHOUTcast encoder that was let in and has not sent its headers.
#[track_caller]
fn let_in(host: &Host, login: &str) -> Connection {
    let mut connection = Connection::open(host.sources());
    connection.send(format!("{login}\r\n").as_bytes()).expect("a new connection takes a line");
    assert_eq!(connection.read_exact(b"OK2\r\nicy-caps:11\r\n\r\n".len()), b"OK2\r\nicy-caps:11\r\n\r\n");
    connection
}

#[track_caller]
fn send_headers_and_audio(connection: &mut Connection) {
    let audio = frames().bytes(1000..1100);
    connection
        .send(&[&b"icy-name:N\r\ncontent-type:audio/mpeg\r\n\r\n"[..], &audio].concat())
        .expect("it is taken");
}

#[test]
fn a_title_that_comes_before_the_headers_of_its_source_is_kept_for_it() {
    let host = host(json!({}));
    let anna = dj(&host, "anna", 0);
    wait_for_dj(&host, "anna");
    let mut ben = let_in(&host, "ben:benben");
    tell(&host, "ben:benben", "Bens");
    tell(&host, "anna:annaanna", "Annas");
    wait_for_title(&host, "Annas");
    send_headers_and_audio(&mut ben);
    wait_for_sources(&host, "test", 2);
    assert_eq!(shown(&host), "Annas");
    anna.close();
    wait_for_title(&host, "Bens");
}

#[test]
fn the_first_title_is_shown_although_it_comes_before_the_headers() {
    let host = host(json!({}));
    // Somebody else was there.
    dj(&host, "anna", 0).close();
    wait_for_sources(&host, "test", 0);
    let mut encoder = let_in(&host, PASSWORD);
    tell(&host, PASSWORD, "First");
    send_headers_and_audio(&mut encoder);
    wait_for_frame(&host, "test", 1098);
    assert_eq!(shown(&host), "First");
}

#[test]
fn the_fallback_shows_the_streams_title_and_the_source_its_own_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.mp3");
    std::fs::write(&file, frames().bytes(1_000_000..1_001_000)).unwrap();
    let host = host(json!({"fallback": format!("file://{}", file.display())}));
    let wait_for_fallback =
        || eventually(DEADLINE, || (line(&host, "test").first()?["isFallback"] == true).then_some(()));
    let mut live = source(&host);
    live.send(&frames().bytes(0..100)).unwrap();
    eventually(DEADLINE, || line(&host, "test").first()?.get("isFallback").is_none().then_some(()));
    tell(&host, PASSWORD, "Song");
    wait_for_title(&host, "Song");
    live.close();
    wait_for_title(&host, "Default");
    wait_for_fallback();
    // Its next song begins before it is back: it is not what the fallback plays.
    tell(&host, PASSWORD, "Next");
    let options = SourceOptions::new("/test", "annaanna");
    let silent = connect(&host, SourceOptions { user: "anna".to_owned(), ..options });
    // The mount hears of the title before it hears of her.
    wait_for_sources(&host, "test", 2);
    assert_eq!(shown(&host), "Default");
    let mut live = source(&host);
    live.send(&frames().bytes(100..200)).unwrap();
    eventually(DEADLINE, || line(&host, "test").first()?.get("isFallback").is_none().then_some(()));
    wait_for_title(&host, "Next");
    drop(silent);
}

#[test]
fn titles_that_are_only_the_apis_are_changed_by_no_source() {
    let host = host(json!({"acceptSourceMeta": false}));
    set_title(&host, "From the API");
    for (name, first) in [("anna", 0), ("ben", 1000)] {
        let source = dj(&host, name, first);
        wait_for_dj(&host, name);
        tell(&host, &format!("{name}:{name}{name}"), "Theirs");
        source.close();
        wait_for_sources(&host, "test", 0);
        wait_for_frame(&host, "test", first + 99);
    }
    assert_eq!(shown(&host), "From the API");
    let (code, _) = api(&host, "PUT", "/api/streams/test/config", Some(&json!({"metaTitle": "Ours"})));
    assert_eq!(code, 200);
    wait_for_title(&host, "Ours");
}
