//! Fallbacks over a handoff: a file, the programme and another server's stream play on.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use serde_json::json;
use tempfile::TempDir;
use testkit::upstream::Reserved;
use testkit::wait::{DEADLINE, eventually};

use super::{Listener, Relay, identity, sources};
use crate::harness::{
    Host, frames, line, listen, listen_with, page, pump_all, set_title, source, status, wait_for_buffer,
};
use crate::programs::TITLE;

/// Playlists know no discontinuity but the first.
#[track_caller]
fn check_discontinuities(host: &Host, keys: &[&str]) {
    for key in keys {
        let playlist = page(host, &format!("/{key}.m3u8")).1;
        assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
    }
}

#[test]
fn a_fallback_plays_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("fallback.mp3");
    std::fs::write(&file, frames().bytes(0..2_000)).unwrap();
    let file = format!("file://{}", file.display());
    let settings = json!({"streams": {
        "test": {"fallback": file},
        "aac": {"format": "mp3", "fallback": "builtin:programme"},
    }});
    let relay = Relay::new(settings);
    let mut host = relay.start();
    wait_for_buffer(&host, "test", 2.0);
    wait_for_buffer(&host, "aac", 2.0);
    let mut listener = Listener::new("of the fallback", listen(&host, "/test"));
    let before = (identity(&host, "test"), identity(&host, "aac"));
    for _ in 0..5 {
        host = relay.hand_over(host);
        listener.hear(12_000);
    }
    listener.check(frames());
    assert_eq!((identity(&host, "test"), identity(&host, "aac")), before);
    check_discontinuities(&host, &["test", "aac"]);
    // It gives way, and begins anew behind a source.
    let mut live = source(&host);
    live.send(&frames().bytes(10_000..10_100)).unwrap();
    eventually(DEADLINE, || line(&host, "test")[0].get("isFallback").is_none().then_some(()));
    let host = relay.hand_over(host);
    assert_eq!(line(&host, "test").len(), 1);
    live.close();
    eventually(DEADLINE, || (line(&host, "test").first()?["isFallback"] == true).then_some(()));
    let mut heard = Vec::new();
    listener.response.body.read_until(DEADLINE, |bytes| {
        heard = frames().scan(bytes).breaks;
        heard.len() == 2
    });
    assert_eq!((heard[0].next, heard[1].after, heard[1].next), (10_000, 10_099, 0), "{heard:?}");
}

#[test]
fn the_stream_of_another_server_is_read_on() {
    let upstream = Relay::new(json!({})).start();
    let sources = sources(&upstream);
    let address = |key: &str| format!("http://jo:hush@{}/{key}", upstream.listeners());
    let directory = TempDir::new().unwrap();
    let relay = Relay::new(json!({"rewind": {"dir": directory.path()}, "streams": {
        "test": {"fallback": address("test"), "acceptSourceMeta": true},
        "aac": {"fallback": address("aac")},
    }}));
    let mut host = relay.start();
    wait_for_buffer(&host, "test", 2.0);
    wait_for_buffer(&host, "aac", 2.0);
    let mut listener = Listener::new("relayed", listen_with(&host, "/test", &[("Icy-MetaData", "1")]));
    let before = (identity(&host, "test"), identity(&host, "aac"));
    let connected = status(&upstream, "test")["listeners"].clone();
    for nth in 0..5 {
        host = if nth == 2 { relay.hand_over_at_second_try(host) } else { relay.hand_over(host) };
        if nth == 3 {
            set_title(&upstream, TITLE);
        }
        listener.hear(12_000);
    }
    listener.hear(40_000);
    let titles = listener.check(frames());
    assert_eq!(titles.last().map(String::as_str), Some(TITLE), "{titles:?}");
    assert_eq!((identity(&host, "test"), identity(&host, "aac")), before);
    check_discontinuities(&host, &["test", "aac"]);
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_continuous() && report.is_whole(), "{report:?}");
    assert_eq!(status(&upstream, "test")["listeners"], connected);
    assert!(!host.logs().contains("hush"), "{}", host.logs());
    for source in sources {
        source.stop().expect("no source was cut");
    }
}

#[test]
fn one_that_cannot_be_reached_holds_nothing_up() {
    let nobody = Reserved::new();
    let settings = json!({"streams": {"test": {"fallback": format!("http://{}/live", nobody.address())}}});
    let relay = Relay::new(settings);
    let mut host = relay.start();
    host.wait_for_log("no audio from the upstream");
    host = relay.hand_over(host);
    let upstream = nobody.start(|_, _| {
        testkit::upstream::Reply::new("HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg", &frames().bytes(0..200))
            .hold()
    });
    wait_for_buffer(&host, "test", 4.0);
    host = relay.hand_over(host);
    assert_eq!((line(&host, "test").len(), upstream.requests().len()), (1, 1));
    let report = frames().scan(&pump_all(&host));
    assert_eq!((report.first, report.is_continuous()), (Some(0), true), "{report:?}");
}
