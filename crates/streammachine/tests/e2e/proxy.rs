//! The stream of another server as a fallback: pulled from one that says what the test wants, from a real Icecast, and
//! from another of our own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use testkit::audio::Report;
use testkit::listener::{ListenerClient, Request, Response};
use testkit::source::{SourceClient, SourceOptions};
use testkit::upstream::{Reply, Reserved, Upstream, chunks, with_titles};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, api, count, frames, line, listen, listen_with, merge, on_air, pump_all, set_title,
    source, status, wait_for_buffer,
};
use crate::icecast::Icecast;

const OK: &str = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg";
const TITLE: &str = "Björk - Jóga";
const BLOCK: &str = "StreamTitle='Björk - Jóga';StreamUrl='http://bjork.example/';";
const METAINT: usize = 8192;

/// A server whose `/test` falls back to `url`, and takes its titles.
#[track_caller]
fn relay(url: &str) -> Host {
    relay_with(url, json!({"acceptSourceMeta": true}))
}

#[track_caller]
fn relay_with(url: &str, stream: Value) -> Host {
    Host::with_stream(merge(json!({"fallback": url, "metaTitle": "Ours", "burst": 1}), stream))
}

/// Frames whose bytes are all told: the connection that brings them is closed, and the next ones are refused.
fn once(reply: Reply) -> impl Fn(usize, &str) -> Reply + Send + Sync {
    move |number, _| if number == 0 { reply.clone() } else { Reply::status("404 Not Found") }
}

/// Waits until `/test` holds exactly these bytes.
#[track_caller]
fn wait_for_audio(host: &Host, audio: &[u8]) {
    let held = testkit::wait::poll(DEADLINE, || (pump_all(host) == audio).then_some(()));
    assert!(held.is_some(), "{:?}\n{}", frames().scan(&pump_all(host)), host.logs());
}

#[track_caller]
fn wait_for_title(host: &Host, title: &str) {
    eventually(DEADLINE, || (status(host, "test")["metadata"]["StreamTitle"] == title).then_some(()));
}

#[test]
fn servers_of_all_ages_are_understood() {
    let audio = frames().bytes(0..200);
    let framed = with_titles(&audio, METAINT, &[BLOCK.as_bytes()]);
    let icy = format!("icy-name:Up\r\nicy-metaint:{METAINT}");
    let chunked = [chunks(&framed, 1000), b"0\r\n\r\n".to_vec()].concat();
    let latin1: Vec<u8> = BLOCK.chars().map(|it| u8::try_from(it).unwrap()).collect();
    for reply in [
        Reply::new(&format!("ICY 200 OK\r\n{icy}"), &framed),
        Reply::raw([format!("HTTP/1.0 200 OK\n{icy}\n\n").replace('\r', "").as_bytes(), &framed].concat()),
        Reply::new(&format!("HTTP/1.1 200 OK\r\n{icy}\r\nTransfer-Encoding: chunked"), &chunked).hold(),
        Reply::new(&format!("{OK}\r\n{icy}\r\nContent-Length: {}", framed.len()), &framed).hold(),
        Reply::new(&format!("{OK}\r\n{icy}"), &with_titles(&audio, METAINT, &[&latin1])),
    ] {
        let upstream = Upstream::start(once(reply));
        let host = relay(&upstream.url("/live"));
        wait_for_audio(&host, &audio);
        let metadata = json!({"StreamTitle": TITLE, "StreamUrl": "http://bjork.example/"});
        assert_eq!(status(&host, "test")["metadata"], metadata);
    }
}

#[test]
fn it_asks_as_a_player_does_and_shows_no_password() {
    let audio = frames().bytes(0..200);
    let upstream = Upstream::start(move |_, _| Reply::new(OK, &audio).hold());
    let address = upstream.address();
    let host = relay(&format!("http://jo:p%20w@{address}/live?token=hush#x"));
    wait_for_buffer(&host, "test", 4.0);
    let shown = line(&host, "test");
    let expected = format!("Proxy (http://***@{address}/live?***)");
    assert_eq!((shown.len(), &shown[0]["source"], &shown[0]["url"]), (1, &json!(expected), &json!(expected)));
    assert_eq!((&shown[0]["connected"], &shown[0]["isFallback"]), (&json!(true), &json!(true)));
    assert_eq!(shown[0]["streamKey"], status(&host, "test")["vitals"]["streamKey"]);
    let id = mount_id(&host, "test");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        upstream.requests(),
        [format!(
            "GET /live?token=hush HTTP/1.1\r\nHost: {address}\r\nUser-Agent: StreamMachine/{version}\r\nAccept: */*\r\n\
             Authorization: Basic am86cCB3\r\nIcy-MetaData: 1\r\nX-StreamMachine-Source: {id}\r\nConnection: close\r\n\r\n"
        )]
    );
    let config = api(&host, "GET", "/api/streams/test/config", None).1;
    assert_eq!(config["fallback"], format!("http://***@{address}/live?***"));
    let logs = host.logs();
    assert!(logs.contains(&expected) && !logs.contains("hush") && !logs.contains("p%20w"), "{logs}");
}

#[test]
fn a_title_is_told_where_it_was_in_the_audio() {
    let audio = frames().bytes(0..400);
    let framed = with_titles(&audio, METAINT, &[b"StreamTitle='';", BLOCK.as_bytes()]);
    let reply = Reply::new(&format!("{OK}\r\nicy-metaint: {METAINT}"), &framed).hold();
    let upstream = Upstream::start(move |_, _| reply.clone());
    let host = relay_with(&upstream.url("/live"), json!({"acceptSourceMeta": true, "meta_interval": 1000}));
    wait_for_title(&host, TITLE);
    wait_for_buffer(&host, "test", 9.0);
    let mut listener = listen_with(&host, "/test?offset=3600", &[("Icy-MetaData", "1")]);
    let mut heard = testkit::icy::Reader::new(1000);
    let all = frames().bytes(0..399).len();
    listener.body.read_until(DEADLINE, |bytes| {
        heard = testkit::icy::Reader::new(1000);
        heard.push(bytes);
        heard.audio.len() == all
    });
    assert_eq!(heard.audio, audio[..all]);
    // An empty title says nothing before there was one: until then it is ours.
    assert_eq!(heard.titles().last(), Some(&TITLE));
    assert_eq!(heard.titles().len(), heard.titles().iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn titles_of_an_upstream_are_taken_only_where_the_stream_says_so() {
    let audio = frames().bytes(0..200);
    for accepts in [Value::Null, json!(false)] {
        let framed = with_titles(&audio, METAINT, &[BLOCK.as_bytes()]);
        let upstream = Upstream::start(once(Reply::new(&format!("{OK}\r\nicy-metaint: {METAINT}"), &framed)));
        let host = relay_with(&upstream.url("/live"), json!({"acceptSourceMeta": accepts}));
        wait_for_audio(&host, &audio);
        assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "Ours");
        set_title(&host, "From the API");
    }
}

#[test]
fn redirects_and_playlists_are_followed() {
    let audio = frames().bytes(0..200);
    let plays = audio.clone();
    let other = Upstream::start(move |_, _| Reply::new(OK, &plays).hold());
    let stream = other.url("/live");
    let upstream = Upstream::start(move |_, head| {
        let found = |place: &str| Reply::new(&format!("HTTP/1.1 302 Found\r\nLocation: {place}"), b"");
        let list =
            |kind: &str, text: &str| Reply::new(&format!("HTTP/1.1 200 OK\r\n{kind}"), text.as_bytes());
        match head.split(' ').nth(1).unwrap() {
            "/1" => found("2"),
            "/2" => found("/3"),
            "/3" => list("Content-Type: audio/x-scpls", "[playlist]\nNumberOfEntries=1\nFile1=/list.m3u\n"),
            "/list.m3u" => list("Content-Length: 10", "#EXTM3U\n/5x").hold(),
            "/5" => found(&stream),
            "/m3u" => {
                list("Content-Type: audio/x-mpegurl", &format!("#EXTM3U\r\n#EXTINF:-1,x\r\n{stream}\r\n"))
            }
            "/over" => found("/1"),
            "/round" => found("/round"),
            "/file" => found("file:///etc/passwd"),
            "/list" => list("Content-Type: audio/x-mpegurl", "#EXTM3U\n"),
            "/hls" => {
                list("Content-Type: application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-VERSION:3\na.ts\n")
            }
            "/page" => list("Content-Type: text/html; charset=utf-8", "<html>"),
            "/cloud" => found("http://169.254.169.254/latest/"),
            "/lan" => list("Content-Type: audio/x-scpls", "[playlist]\nFile1=http://10.0.0.1/\n"),
            _ => Reply::status("500 Internal Server Error"),
        }
    });
    for target in ["/1", "/m3u"] {
        let host = relay(&upstream.url(target));
        wait_for_audio(&host, &audio[..frames().bytes(0..199).len()]);
    }
    for (target, reason) in [
        ("/over", "more than 5 redirects and playlists one after the other"),
        ("/round", "more than 5 redirects and playlists one after the other"),
        ("/file", "a redirect to no address of http"),
        ("/list", "a playlist without an address of http"),
        ("/hls", "this is HTTP Live Streaming, which cannot be relayed"),
        ("/page", "this is text/html, no audio"),
        (
            "/cloud",
            "http://169.254.169.254/latest/: an address of this machine must not lead to a link-local address",
        ),
        ("/lan", "http://10.0.0.1/: an address of this machine must not lead to a private address"),
    ] {
        let host = relay(&upstream.url(target));
        let told = host.wait_for_log("no audio from the upstream; trying again");
        assert!(told.contains(reason), "{target}: {told}");
        assert_eq!(line(&host, "test")[0]["connected"], false);
    }
}

#[test]
fn it_is_asked_again_until_it_plays() {
    let audio = frames().bytes(0..200);
    let replies = [
        Reply::status("404 Not Found"),
        Reply::raw(""),
        Reply::raw("invalid password\r\n"),
        Reply::new(OK, b""),
        Reply::new(OK, &audio),
    ];
    let upstream = Upstream::start(move |number, _| match replies.get(number) {
        Some(reply) => reply.clone(),
        None => Reply::status("404 Not Found"),
    });
    let host = relay(&upstream.url("/live"));
    wait_for_audio(&host, &audio);
    upstream.wait_for_requests(6);
    // All of it was one source, and each trouble was told once.
    assert_eq!(host.logs().matches("trying again").count(), 4, "{}", host.logs());
    let told = host.wait_for_log("trying again");
    assert!(told.contains("the answer is 404 Not Found"), "{told}");
    eventually(DEADLINE, || (line(&host, "test")[0]["connected"] == false).then_some(()));
}

#[test]
fn an_upstream_that_is_down_at_the_start_is_heard_when_it_is_up() {
    let reserved = Reserved::new();
    let host = relay(&format!("http://{}/live", reserved.address()));
    let told = host.wait_for_log("no audio from the upstream; trying again");
    assert!(told.contains("cannot connect: Connection refused"), "{told}");
    let audio = frames().bytes(0..200);
    let upstream = reserved.start(once(Reply::new(OK, &audio)));
    wait_for_audio(&host, &audio);
    assert_eq!(upstream.requests()[0].lines().next(), Some("GET /live HTTP/1.1"));
}

#[test]
fn a_connection_that_breaks_is_followed_by_another_of_the_same_source() {
    // The first ends within a title, the second within a frame.
    let first = frames().bytes(0..200);
    let framed = with_titles(&first, METAINT, &[BLOCK.as_bytes(); 1]);
    let torn = [&framed[..METAINT + 20], &[]].concat();
    let whole = METAINT / frames().frame(0).len();
    let second = [frames().bytes(1000..1200), frames().frame(1200)[..50].to_vec()].concat();
    let third = frames().bytes(2000..2200);
    let replies = [
        Reply::new(&format!("{OK}\r\nicy-metaint: {METAINT}"), &torn),
        Reply::new(OK, &second),
        Reply::new(OK, &third),
    ];
    let upstream = Upstream::start(move |number, _| match replies.get(number) {
        Some(reply) => reply.clone(),
        None => Reply::status("404 Not Found"),
    });
    let host = relay(&upstream.url("/live"));
    let id = line(&host, "test")[0]["uuid"].clone();
    let report: Report = eventually(DEADLINE, || {
        let report = frames().scan(&pump_all(&host));
        (report.last == Some(2199)).then_some(report)
    });
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(report.breaks.len(), 2, "{report:?}");
    assert!((whole as u32 - 2..=whole as u32).contains(&report.breaks[0].after), "{report:?}");
    assert_eq!((report.breaks[0].next, report.breaks[1].after, report.breaks[1].next), (1000, 1199, 2000));
    assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "Ours");
    assert_eq!(line(&host, "test")[0]["uuid"], id);
}

#[test]
fn a_server_whose_titles_are_not_where_it_says_is_asked_for_none() {
    let audio = frames().bytes(0..200);
    let plays = audio.clone();
    let upstream = Upstream::start(move |number, head| {
        // It names a distance, and sends audio only.
        let reply = Reply::new(&format!("{OK}\r\nicy-metaint: {}", METAINT + 1), &plays);
        if number < 3 || head.contains("Icy-MetaData") { reply } else { reply.hold() }
    });
    let host = relay(&upstream.url("/live"));
    let requests = upstream.wait_for_requests(4);
    let asks = |request: &String| request.contains("\r\nIcy-MetaData: 1\r\n");
    assert_eq!(requests.iter().map(asks).collect::<Vec<_>>(), [true, true, true, false]);
    let told = host.wait_for_log("no audio from the upstream; trying again");
    assert!(told.contains("there are no titles where `icy-metaint` says"), "{told}");
    let report = eventually(DEADLINE, || {
        let report = frames().scan(&pump_all(&host));
        (report.last == Some(198)).then_some(report)
    });
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(status(&host, "test")["metadata"]["StreamTitle"], "Ours");
}

#[test]
fn what_is_no_audio_is_given_up_and_asked_for_again() {
    let upstream = Upstream::start(|_, _| Reply::new(OK, &[0x55; 4096]).hold());
    let host = relay(&upstream.url("/live"));
    let told = host.wait_for_log("no audio from the upstream; trying again");
    assert!(told.contains("no MP3 or AAC frame within 3 s of the first byte"), "{told}");
    upstream.wait_for_ends(1);
    upstream.wait_for_requests(2);
    assert_eq!(pump_all(&host), b"");
}

#[test]
fn a_live_source_interrupts_it_and_it_returns() {
    let upstream = Upstream::start(|number, _| {
        let first = 100_000 * (number as u32 + 1);
        let framed = with_titles(&frames().bytes(first..first + 400), METAINT, &[BLOCK.as_bytes()]);
        Reply::new(&format!("{OK}\r\nicy-metaint: {METAINT}"), &framed).hold()
    });
    let host = relay(&upstream.url("/live"));
    wait_for_title(&host, TITLE);
    wait_for_buffer(&host, "test", 9.0);
    let mut listener = listen(&host, "/test");
    let mut live = source(&host);
    live.send(&frames().bytes(0..100)).unwrap();
    eventually(DEADLINE, || line(&host, "test")[0].get("isFallback").is_none().then_some(()));
    // The upstream is let go meanwhile, and what it was playing is not shown.
    upstream.wait_for_ends(1);
    wait_for_title(&host, "Ours");
    assert_eq!((line(&host, "test").len(), upstream.requests().len()), (1, 1));
    live.close();
    eventually(DEADLINE, || (line(&host, "test").first()?["isFallback"] == true).then_some(()));
    upstream.wait_for_requests(2);
    wait_for_title(&host, TITLE);

    let mut heard = Vec::new();
    listener.body.read_until(DEADLINE, |bytes| {
        let report = frames().scan(bytes);
        assert_eq!((report.junk_bytes, report.leading_bytes), (0, 0), "{report:?}");
        heard.clone_from(&report.breaks);
        heard.len() == 2
    });
    assert!((heard[0].after, heard[0].next) == (100_398, 0), "{heard:?}");
    assert!((heard[1].after, heard[1].next) == (99, 200_000), "{heard:?}");
}

#[test]
fn the_streams_of_a_mount_share_one_upstream() {
    let audio = frames().bytes(0..200);
    let upstream = Upstream::start(once(Reply::new(OK, &audio)));
    let host = Host::start(json!({"streams": {
        "test": {"fallback": upstream.url("/live"), "source_password": PASSWORD},
        "second": {"source": "test"},
    }}));
    wait_for_audio(&host, &audio);
    eventually(DEADLINE, || (listen(&host, "/second?pump=1000").read_body() == audio).then_some(()));
    assert_eq!(
        upstream.requests().iter().filter(|head| head.starts_with("GET /live ")).count(),
        upstream.requests().len()
    );
}

#[test]
fn a_real_icecast_is_relayed_with_its_titles() {
    let Some(icecast) = Icecast::start() else { return };
    let upstream = SourceClient::connect(icecast.address(), SourceOptions::new("/live.mp3", PASSWORD));
    let mut upstream = upstream.unwrap_or_else(|refusal| panic!("{refusal}"));
    let host = relay(&format!("http://{}/live.mp3", icecast.address()));
    upstream.send(&frames().bytes(0..count(2))).unwrap();
    let update = "/admin/metadata?mode=updinfo&mount=/live.mp3&charset=UTF-8&song=Bj%C3%B6rk%20-%20J%C3%B3ga";
    let admin = [("Authorization", "Basic YWRtaW46c2VjcmV0")];
    let request = Request { version: "HTTP/1.0", headers: &admin, ..Request::new("GET", update) };
    assert_eq!(ListenerClient::send(icecast.address(), &request).status, 200);
    upstream.send(&frames().bytes(count(2)..count(60))).unwrap();
    wait_for_title(&host, TITLE);
    // It gives its burst first: from some frame on all of them come. What fills no block of its own it keeps.
    let report = eventually(DEADLINE, || {
        let audio = pump_all(&host);
        let report = frames().scan(&audio);
        (report.last >= Some(count(60) - 10)).then(|| {
            let first = report.first.unwrap();
            assert!(audio == frames().bytes(first..report.last.unwrap() + 1), "{report:?}");
            report
        })
    });
    assert!(report.is_whole() && report.breaks.is_empty(), "{report:?}");
    assert!(line(&host, "test")[0]["source"].as_str().unwrap().starts_with("Proxy (http://127.0.0.1:"));
}

#[test]
fn one_of_our_own_is_relayed_with_its_titles() {
    let first = Host::with_stream(json!({"burst": 3600, "meta_interval": 1000}));
    let second = relay(&format!("http://{}/test", first.listeners()));
    // Nobody is on air there: whoever pulls is told so, and hears no end of what was.
    let told = second.wait_for_log("no audio from the upstream; trying again");
    assert!(told.contains("the answer is 404 Not Found"), "{told}");
    let _source = on_air(&first, 5);
    set_title(&first, TITLE);
    wait_for_title(&second, TITLE);
    wait_for_buffer(&second, "test", 5.0);
    let report = frames().scan(&pump_all(&second));
    assert!(report.is_whole() && report.breaks.is_empty(), "{report:?}");
}

/// What the stream `key`, which is on air, is called to servers that pull it.
#[track_caller]
fn mount_id(host: &Host, key: &str) -> String {
    chain_of(host, key).remove(0)
}

/// The mounts that the stream `key`, which is on air, says it comes from.
#[track_caller]
fn chain_of(host: &Host, key: &str) -> Vec<String> {
    let answer = listen_with(host, &format!("/{key}"), &[("X-StreamMachine-Source", "of a test")]);
    let told = answer.header("x-streammachine-source").expect("it is told");
    told.split(", ").map(str::to_owned).collect()
}

#[test]
fn streams_that_fall_back_to_each_other_do_not_feed_themselves() {
    // Their own address is known only when they run.
    let address = Arc::new(OnceLock::<SocketAddr>::new());
    let known = Arc::clone(&address);
    let upstream = Upstream::start(move |_, head| match known.get() {
        Some(address) => {
            let target = head.split(' ').nth(1).unwrap();
            Reply::new(&format!("HTTP/1.1 302 Found\r\nLocation: http://{address}{target}"), b"")
        }
        None => Reply::status("404 Not Found"),
    });
    let stream = |to: &str| json!({"source_password": PASSWORD, "burst": 5, "fallback": upstream.url(to)});
    let host =
        Host::start(json!({"streams": {"test": stream("/b"), "b": stream("/c"), "c": stream("/test")}}));
    address.set(host.listeners()).unwrap();
    let source = on_air(&host, 5);
    wait_for_buffer(&host, "b", 1.0);
    let (b, c) = (chain_of(&host, "b"), chain_of(&host, "c"));
    assert_eq!(c, [mount_id(&host, "c"), mount_id(&host, "test")]);
    assert_eq!(b, [&[mount_id(&host, "b")], &c[..]].concat());
    drop(source);
    host.wait_for_log("the answer is 403 Forbidden");
    // Nothing was given twice.
    for key in ["test", "b", "c"] {
        let report = frames().scan(&listen(&host, &format!("/{key}?pump=3600")).read_body());
        assert!(report.is_whole() && report.breaks.is_empty(), "{key}: {report:?}");
    }
}

#[test]
fn an_upstream_that_is_down_is_no_source_on_air() {
    let is_up = Arc::new(AtomicBool::new(false));
    let (asked, audio) = (Arc::clone(&is_up), frames().bytes(0..200));
    let upstream = Upstream::start(move |_, _| match asked.load(Ordering::Relaxed) {
        true => Reply::new(OK, &audio).hold(),
        false => Reply::status("404 Not Found"),
    });
    let host = relay(&upstream.url("/live"));
    let get = |target: &str| -> Value {
        serde_json::from_str(&listen(&host, target).read_text()).expect("it is JSON")
    };
    let shown = || {
        [
            json!(get("/status-json.xsl")["icestats"].get("source").is_some()),
            get("/streams.json")[0]["live"].clone(),
            get("/statistics?json=1")["activestreams"].clone(),
            json!(listen(&host, "/admin/streamlist").read_text().contains("/test")),
        ]
    };
    host.wait_for_log("no audio from the upstream; trying again");
    assert_eq!(shown(), [json!(false), json!(false), json!(0), json!(false)]);
    is_up.store(true, Ordering::Relaxed);
    wait_for_buffer(&host, "test", 4.0);
    assert_eq!(shown(), [json!(true), json!(true), json!(1), json!(true)]);
}

#[test]
fn a_stream_does_not_feed_itself() {
    let audio = frames().bytes(0..200);
    let upstream = Upstream::start(move |_, _| Reply::new(OK, &audio).hold());
    let host = relay(&upstream.url("/live"));
    wait_for_buffer(&host, "test", 4.0);
    let id = mount_id(&host, "test");
    let ask = |id: &str| {
        ListenerClient::get(
            host.listeners(),
            "/test",
            &[("X-StreamMachine-Source", id), ("Connection", "close")],
        )
    };
    let mut refused = ask(&id);
    assert_eq!((refused.status, refused.read_text().as_str()), (403, "The stream would feed itself.\n"));
    assert_eq!(ask(&format!("of another server, {id}")).status, 403);
    // It is given no burst: nothing of what was heard before.
    let given = |answer: &Response| (answer.status, answer.header("x-content-start").is_some());
    assert_eq!(given(&ask("of another server")), (200, false));
    assert_eq!(given(&listen(&host, "/test")), (200, true));
}
