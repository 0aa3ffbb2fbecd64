//! The faces of Icecast and SHOUTcast: what panels, encoders and widgets read, and what they may do. What a real Icecast
//! says is compared in `icecast`.

mod deeds;
mod guesses;
mod lines;
mod visitors;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::{Value, json};
use testkit::listener::{ListenerClient, Request, Response};
use testkit::process::Process;
use testkit::programs;
use testkit::source::SourceOptions;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    HASH, Host, PASSWORD, buffer_seconds, connect, count, frames, hear, listen, listen_with, merge, on_air,
    over_kept_connection, page, play, set_title, source, status, test_stream, wait_for_buffer,
    wait_for_sources,
};

/// The user that programs run as which refuse root: Debian's `nobody`.
const NOBODY: u32 = 65_534;
const ADMIN: (&str, &str) = ("Authorization", "Basic YWRtaW46c2VjcmV0");
const WRONG: (&str, &str) = ("Authorization", "Basic YWRtaW46d3Jvbmc=");
const CLOSE: (&str, &str) = ("Connection", "close");

fn get(host: &Host, target: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [headers, &[CLOSE]].concat();
    ListenerClient::get(host.listeners(), target, &headers)
}

/// A document that every reader of XML reads.
#[track_caller]
fn admin(host: &Host, target: &str) -> String {
    let mut response = get(host, target, &[]);
    let text = response.read_text();
    assert_eq!(response.status, 200, "{target}: {text}");
    assert_eq!(response.header("Content-Type"), Some("text/xml; charset=utf-8"), "{target}");
    roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    text
}

/// Texts of all elements of that name.
fn texts(xml: &str, name: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).expect("the document was read before");
    let found = document.descendants().filter(|node| node.has_tag_name(name));
    found.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn icestats(host: &Host, target: &str) -> Value {
    let (status, text) = page(host, target);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))["icestats"].take()
}

fn outcome(message: &str, value: u8) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<iceresponse><message>{message}</message><return>{value}</return></iceresponse>\n"
    )
}

/// Streams `/a` and `/b` with mounts of their own.
fn two_streams() -> Host {
    let stream = json!({"source_password": PASSWORD, "burst": 1});
    Host::start(json!({"streams": {"a": stream, "b": stream}}))
}

/// The number of the listener of `/a` or another with this user agent.
#[track_caller]
fn id_of(host: &Host, mount: &str, agent: &str) -> String {
    let xml = admin(host, &format!("/admin/listclients?mount={mount}"));
    let place = texts(&xml, "UserAgent").iter().position(|found| found == agent);
    texts(&xml, "ID")[place.unwrap_or_else(|| panic!("no {agent}: {xml}"))].clone()
}

#[test]
fn the_status_is_an_object_for_one_source_a_list_for_several_and_a_dummy_for_none() {
    let host = two_streams();
    let none = icestats(&host, "/status-json.xsl");
    assert_eq!((none.get("source"), none.get("dummy")), (None, Some(&Value::Null)));
    let start = |mount| connect(&host, SourceOptions::new(mount, PASSWORD));
    let _a = start("/a");
    wait_for_sources(&host, "a", 1);
    let one = icestats(&host, "/status-json.xsl");
    assert!(one["source"].is_object() && one.get("dummy").is_none(), "{one}");
    let _b = start("/b");
    wait_for_sources(&host, "b", 1);
    let two = icestats(&host, "/status-json.xsl");
    let urls: Vec<&str> =
        two["source"].as_array().unwrap().iter().map(|it| it["listenurl"].as_str().unwrap()).collect();
    let base = format!("http://{}", host.listeners());
    assert_eq!(urls, [format!("{base}/a"), format!("{base}/b")]);
    let b = icestats(&host, "/status-json.xsl?mount=/b");
    assert_eq!(b["source"]["listenurl"], format!("{base}/b"));
    let unknown = icestats(&host, "/status-json.xsl?mount=/none");
    assert_eq!((unknown.get("source"), unknown.get("dummy")), (None, Some(&Value::Null)));
}

#[test]
fn titles_are_told_as_they_are_whatever_they_look_like() {
    let host = Host::with_stream(json!({"name": "R & <D>"}));
    let _source = on_air(&host, 2);
    for title in ["A & B <x> It's \"q\"", "]]> &amp; <!--", "1984", "true", "Björk – Jóga 😀", "\\ / \\u0041"]
    {
        set_title(&host, title);
        let shown = icestats(&host, "/status-json.xsl");
        assert_eq!(shown["source"]["title"], title);
        assert_eq!(shown["source"]["server_name"], "R & <D>");
        assert_eq!(texts(&admin(&host, "/admin/stats"), "title"), [title]);
        assert_eq!(page(&host, "/currentsong?sid=1"), (200, title.to_owned()));
        assert_eq!(texts(&page(&host, "/stats?sid=1").1, "SONGTITLE"), [title]);
        assert_eq!(texts(&page(&host, "/played?type=xml").1, "TITLE")[0], title);
        let json: Value = serde_json::from_str(&page(&host, "/played?type=json").1).unwrap();
        assert_eq!(json[0]["title"], title);
    }
    // Control characters are blanks before they get here.
    let set = "/admin/metadata?mode=updinfo&mount=/test&song=a%01b%0d%0ac%7f";
    let headers = [("Authorization", "Basic c291cmNlOnRlc3Rpbmc="), CLOSE];
    assert_eq!(ListenerClient::get(host.listeners(), set, &headers).status, 200);
    eventually(DEADLINE, || {
        (icestats(&host, "/status-json.xsl")["source"]["title"] == "a b c").then_some(())
    });
    assert_eq!(texts(&admin(&host, "/admin/stats"), "title"), ["a b c"]);
}

#[test]
fn many_streams_are_listed_in_the_order_of_their_keys() {
    let streams: serde_json::Map<String, Value> =
        (0..40).map(|number| (format!("s{number:02}"), json!({"source": "studio"}))).collect();
    let host = Host::start(json!({"streams": streams, "sources": {"studio": {"password": PASSWORD}}}));
    let mut studio = connect(&host, SourceOptions::new("/studio", PASSWORD));
    studio.send(&frames().bytes(0..count(3))).unwrap();
    wait_for_sources(&host, "studio", 1);
    let lines: String = (0..40).map(|number| format!("/s{number:02}\r\n")).collect();
    let mut list = get(&host, "/admin/streamlist.txt", &[]);
    assert_eq!(list.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(list.read_text(), lines);
    assert_eq!(icestats(&host, "/status-json.xsl")["source"].as_array().unwrap().len(), 40);
    assert_eq!(texts(&admin(&host, "/admin/stats"), "listenurl").len(), 40);
    assert_eq!(admin(&host, "/admin/listmounts"), admin(&host, "/admin/streamlist"));
    assert_eq!(texts(&admin(&host, "/admin/listmounts"), "content-type"), vec!["audio/mpeg"; 40]);
    assert_eq!(texts(&page(&host, "/stats?sid=7").1, "STREAMPATH"), ["/s06"]);
    assert_eq!(texts(&page(&host, "/statistics").1, "STREAMPATH").len(), 40);
}

#[test]
fn azuracast_and_butt_find_what_they_read() {
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 2);
    set_title(&host, "Artist - Title");
    let mut listener =
        listen_with(&host, "/test", &[("User-Agent", "VLC/3.0.18 & <co>"), ("Referer", "http://r/?a&b")]);
    hear(&mut listener.body, 8_000);
    let xml = admin(&host, "/admin/stats?mount=/test");
    let document = roxmltree::Document::parse(&xml).unwrap();
    let source =
        document.root_element().children().find(|it| it.attribute("mount") == Some("/test")).unwrap();
    for (name, value) in
        [("title", "Artist - Title"), ("bitrate", "64"), ("server_type", "audio/mpeg"), ("listeners", "1")]
    {
        let found = source.children().find(|it| it.has_tag_name(name)).and_then(|it| it.text());
        assert_eq!(found, Some(value), "{xml}");
    }
    let xml = admin(&host, "/admin/listclients?mount=/test");
    let path = |name: &str| texts(&xml, name);
    assert_eq!((path("IP"), path("UserAgent")), (vec!["127.0.0.1".into()], vec!["VLC/3.0.18 & <co>".into()]));
    assert_eq!((path("Listeners"), path("Referer")), (vec!["1".into()], vec!["http://r/?a&b".into()]));
    assert!(path("Connected")[0].parse::<u64>().is_ok() && path("ID")[0].parse::<u64>().is_ok(), "{xml}");
    let sent: u64 = path("total_bytes_sent")[0].parse().unwrap();
    assert!(sent >= 8_000, "{xml}");

    let shown = icestats(&host, "/status-json.xsl");
    assert!(shown["source"]["listenurl"].as_str().unwrap().ends_with("/test"));
    assert_eq!(shown["source"]["listeners"], 1);
}

#[test]
fn the_source_port_has_the_pages_too_and_names_the_port_of_the_streams() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let _source = source(&host);
    eventually(DEADLINE, || icestats(&host, "/status-json.xsl").get("source").cloned());
    let ask = |method, target, headers: &[(&str, &str)]| {
        ListenerClient::send(host.sources(), &Request { headers, ..Request::new(method, target) })
    };
    let mut status = ask("GET", "/status-json.xsl", &[]);
    assert_eq!((status.status, status.header("Connection")), (200, Some("close")));
    let shown: Value = serde_json::from_str(&status.read_text()).unwrap();
    let url = format!("http://{}/test", host.listeners());
    assert_eq!(shown["icestats"]["source"]["listenurl"], url);
    assert!(status.body.is_closed_within(DEADLINE));
    let xml = ask("GET", "/admin/stats", &[ADMIN]).read_text();
    assert_eq!(texts(&xml, "listenurl"), [url]);
    assert_eq!(texts(&ask("GET", "/stats?sid=1", &[]).read_text(), "STREAMSTATUS"), ["1"]);
    assert_eq!(ask("GET", "/admin/stats", &[WRONG]).status, 401);
    // All else is as it was there.
    for target in ["/test", "/", "/api/streams", "/admin"] {
        assert_eq!(
            ask("GET", target, &[ADMIN]).read_text(),
            "This port is for sources: SOURCE or PUT.\n",
            "{target}"
        );
    }
    assert_eq!(ask("GET", "/admin/!POKE", &[]).status, 400);
}

#[test]
fn an_api_port_of_its_own_has_the_admin_pages_and_no_others() {
    let host = Host::start(merge(test_stream(json!({})), json!({"api_port": 0})));
    assert_ne!(host.api(), host.listeners());
    let ask = |target| ListenerClient::get(host.api(), target, &[CLOSE]).status;
    assert_eq!((ask("/admin/stats"), ask("/status-json.xsl")), (200, 404));
    assert_eq!(get(&host, "/admin/stats", &[]).status, 200);
}

#[test]
fn how_far_behind_a_listener_is_is_told_in_bytes() {
    let host = Host::with_stream(json!({"burst": 1}));
    play(&host, 0..count(30));
    // Nothing is on air any more: the edge stays, and this one waits for its time. It is listed nevertheless.
    let mut early = listen_with(&host, "/test?offset=25", &[("User-Agent", "early")]);
    let report = hear(&mut early.body, 7_000);
    let xml = admin(&host, "/admin/listclients?mount=/test");
    let lag: u64 = texts(&xml, "lag")[0].parse().unwrap();
    let behind = frames().position(count(30)) - frames().position(report.first.unwrap());
    assert!((1..behind).contains(&lag), "{lag} of {behind}");
}

#[test]
fn heads_have_no_body() {
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 2);
    for target in [
        "/status-json.xsl",
        "/7.html",
        "/stats?sid=1",
        "/statistics",
        "/currentsong",
        "/played",
        "/admin/stats",
        "/admin/listmounts",
        "/admin/streamlist.txt",
    ] {
        let request = Request { headers: &[CLOSE], ..Request::new("HEAD", target) };
        let mut response = ListenerClient::send(host.listeners(), &request);
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(response.body.read_to_end(1_000), b"", "{target}");
    }
}

#[test]
fn admin_pages_want_a_user_and_the_public_ones_do_not() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let _source = source(&host);
    for command in ["stats", "listmounts", "streamlist.txt", "killsource?mount=/test", "nonsense"] {
        let target = format!("/admin/{command}");
        for headers in [&[][..], &[WRONG]] {
            let mut response = get(&host, &target, headers);
            assert_eq!(response.status, 401, "{target}");
            assert_eq!(response.header("WWW-Authenticate"), Some("Basic realm=\"Icecast2 Server\""));
            assert_eq!(response.read_text(), "You need to authenticate\r\n");
        }
    }
    assert_eq!(get(&host, "/admin/stats", &[ADMIN]).status, 200);
    assert_eq!(get(&host, "/status-json.xsl", &[]).status, 200);
    assert_eq!(get(&host, "/7.html", &[]).status, 200);
    // A user may set titles too.
    let target = "/admin/metadata?mode=updinfo&mount=/test&song=By%20an%20admin";
    let mut response = get(&host, target, &[ADMIN]);
    assert_eq!((response.status, response.read_text()), (200, outcome("Metadata update successful", 1)));
    eventually(DEADLINE, || {
        (icestats(&host, "/status-json.xsl")["source"]["title"] == "By an admin").then_some(())
    });
    assert_eq!(get(&host, target, &[WRONG]).status, 401);
    assert!(!host.logs().contains("secret") && !host.logs().contains("YWRtaW4"), "{}", host.logs());
}

#[test]
fn what_cannot_be_is_refused_in_icecasts_words() {
    let host = two_streams();
    let _a = connect(&host, SourceOptions::new("/a", PASSWORD));
    wait_for_sources(&host, "a", 1);
    for (command, reason) in [
        ("nonsense", "Unrecognised command"),
        ("stats?mount=/none", "Source does not exist"),
        ("stats?mount=/b", "Source does not exist"),
        ("listclients", "Unknown admin request"),
        ("listclients?mount=/none", "Source does not exist"),
        ("killclient?mount=/a", "Missing parameter"),
        ("killsource?mount=/b", "Source does not exist"),
        ("moveclients?mount=/a&destination=/none", "No such destination"),
        ("moveclients?mount=/a&destination=/a", "supplied mountpoints are identical"),
        ("fallbacks?mount=/a", "Missing parameter"),
        ("fallbacks?mount=/a&fallback=/b", "Fallbacks are set in the configuration"),
    ] {
        let mut response = get(&host, &format!("/admin/{command}"), &[]);
        assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"), "{command}");
        let text = format!(
            "<html><head><title>Error 400</title></head><body><b>400 - {reason}</b></body></html>\r\n"
        );
        assert_eq!((response.status, response.read_text()), (400, text), "{command}");
    }
    let post = Request { headers: &[CLOSE], ..Request::new("POST", "/admin/stats") };
    assert!(ListenerClient::send(host.listeners(), &post).read_text().contains("400 - unknown request"));
    // A head changes nothing.
    let head = Request { headers: &[CLOSE], ..Request::new("HEAD", "/admin/killsource?mount=/a") };
    assert_eq!(ListenerClient::send(host.listeners(), &head).status, 400);
    assert_eq!(texts(&admin(&host, "/admin/stats"), "sources"), ["1"]);
    for id in ["99999", "0", "x", "-1", "18446744073709551616"] {
        let number = id.parse::<u64>().unwrap_or(0);
        let xml = admin(&host, &format!("/admin/killclient?mount=/a&id={id}"));
        assert_eq!(xml, outcome(&format!("Client {number} not found"), 0));
    }
    let xml = admin(&host, "/admin/updatemetadata?mount=/a");
    assert_eq!(xml, "<?xml version=\"1.0\"?>\n<icestats><source mount=\"/a\"/></icestats>\n");
}

#[test]
fn what_one_player_opens_at_its_start_counts_once() {
    let host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 3);
    let vlc = [("User-Agent", "VLC/3.0.18 LibVLC/3.0.18")];
    let connections: Vec<Response> = (0..2).map(|_| listen_with(&host, "/test", &vlc)).collect();
    let counts = || {
        let source = &icestats(&host, "/status-json.xsl")["source"];
        (source["listeners"].clone(), source["listener_peak"].clone())
    };
    assert_eq!(counts(), (json!(1), json!(1)));
    assert_eq!(texts(&admin(&host, "/admin/stats"), "listener_connections"), ["1"]);
    // Connections are still what they are.
    assert_eq!(status(&host, "test")["listeners"], 2);
    assert_eq!(texts(&admin(&host, "/admin/listclients?mount=/test"), "Listeners"), ["2"]);
    let other = listen_with(&host, "/test", &[("User-Agent", "mpv 0.35")]);
    assert_eq!(counts(), (json!(2), json!(2)));
    drop((connections, other));
    eventually(DEADLINE, || (counts() == (json!(0), json!(2))).then_some(()));
}

#[test]
fn a_real_vlc_connects_twice_and_is_one_listener() {
    let Some(program) = programs::find("cvlc") else {
        println!("skipped: a_real_vlc_connects_twice_and_is_one_listener (apt-get install vlc)");
        return;
    };
    let host = Host::with_stream(json!({"burst": 5}));
    let _source = on_air(&host, 6);
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(program);
    command.args(["-q", "--aout=dummy", "--no-video"]).arg(format!("http://{}/test", host.listeners()));
    command.env("HOME", home.path());
    if rustix::process::geteuid().is_root() {
        // It refuses root.
        command.uid(NOBODY).gid(NOBODY);
    }
    let _player = Process::start(command);
    let list = || admin(&host, "/admin/listclients?mount=/test");
    eventually(DEADLINE, || (texts(&list(), "ID") == ["2"]).then_some(()));
    assert!(texts(&list(), "UserAgent")[0].starts_with("VLC/"), "{}", list());
    let xml = admin(&host, "/admin/stats");
    assert_eq!(texts(&xml, "listener_connections"), ["1"]);
    assert_eq!((texts(&xml, "listener_peak"), &texts(&xml, "listeners")[1]), (vec!["1".into()], &"1".into()));
}

#[test]
fn shoutcasts_pages_tell_the_same() {
    let host = Host::with_stream(json!({"name": "A, B", "genre": "Talk", "url": "http://r.example/"}));
    assert_eq!(texts(&page(&host, "/stats").1, "STREAMSTATUS"), ["0"]);
    let _source = on_air(&host, 2);
    set_title(&host, "First");
    // Of two titles at one place nobody hears the first.
    wait_for_buffer(&host, "test", buffer_seconds(&host, "test") + 0.3);
    set_title(&host, "A & B <x>, \"q\"");
    let _listener = listen(&host, "/test");
    let xml = page(&host, "/stats?sid=1").1;
    for (name, value) in [
        ("CURRENTLISTENERS", "1"),
        ("PEAKLISTENERS", "1"),
        ("UNIQUELISTENERS", "1"),
        ("SERVERGENRE", "Talk"),
        ("SERVERURL", "http://r.example/"),
        ("SERVERTITLE", "A, B"),
        ("STREAMHITS", "1"),
        ("STREAMSTATUS", "1"),
        ("STREAMPATH", "/test"),
        ("BITRATE", "64"),
        ("SAMPLERATE", "44100"),
        ("CONTENT", "audio/mpeg"),
    ] {
        assert_eq!(texts(&xml, name), [value], "{name}");
    }
    let seats = texts(&xml, "MAXLISTENERS")[0].clone();
    assert_eq!(
        page(&host, "/7.html").1,
        format!(
            "<HTML><meta http-equiv=\"Pragma\" content=\"no-cache\"></head><body>1,1,1,{seats},1,64,\
             A &amp; B &lt;x&gt;, &quot;q&quot;</body></html>"
        )
    );
    let json: Value = serde_json::from_str(&page(&host, "/stats?sid=1&json=1").1).unwrap();
    assert_eq!((&json["currentlisteners"], &json["songtitle"]), (&json!(1), &json!("A & B <x>, \"q\"")));
    let call = page(&host, "/stats?sid=1&json=1&callback=cb.x").1;
    assert!(call.starts_with("cb.x({") && call.ends_with("})"), "{call}");
    assert!(page(&host, "/stats?json=1&callback=alert(1)//").1.starts_with('{'));
    let all: Value = serde_json::from_str(&page(&host, "/statistics?json=1").1).unwrap();
    assert_eq!((&all["activestreams"], &all["streams"][0]["id"]), (&json!(1), &json!(1)));
    let played = page(&host, "/played?type=xml").1;
    assert_eq!(texts(&played, "TITLE"), ["A & B <x>, \"q\"", "First"]);
    assert!(page(&host, "/played").1.contains("<td>A &amp; B &lt;x&gt;, &quot;q&quot;</td>"));
    for sid in ["0", "2", "x", "-1", "99999999999999999999"] {
        assert_eq!(page(&host, &format!("/currentsong?sid={sid}")), (200, String::new()), "{sid}");
    }
}

#[test]
fn a_stream_keeps_its_name_although_a_page_has_it_too() {
    let host = Host::start(json!({"streams": {"stats": {"source_password": PASSWORD}}}));
    let mut source = connect(&host, SourceOptions::new("/stats", PASSWORD));
    source.send(&frames().bytes(0..count(3))).unwrap();
    wait_for_buffer(&host, "stats", 2.5);
    hear(&mut listen(&host, "/stats").body, 8_000);
    assert_eq!(texts(&page(&host, "/statistics").1, "STREAMPATH"), ["/stats"]);
}

#[test]
fn behind_a_proxy_listeners_and_urls_are_those_of_the_outside() {
    let settings = json!({"behind_proxy": true, "users": {"admin": HASH}});
    let host = Host::start(merge(test_stream(json!({})), settings));
    let mut source = source(&host);
    source.send(&frames().bytes(0..count(3))).unwrap();
    let headers = [("X-Forwarded-For", "203.0.113.9, 10.0.0.1"), ("User-Agent", "x")];
    let mut listener = listen_with(&host, "/test", &headers);
    listener.body.read_exact(1_000);
    let listed = get(&host, "/admin/listclients?mount=/test", &[ADMIN]).read_text();
    assert_eq!(texts(&listed, "IP"), ["203.0.113.9"]);
    let headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "radio.example:8443")];
    let text = get(&host, "/status-json.xsl", &headers).read_text();
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["icestats"]["source"]["listenurl"], "https://radio.example:8443/test");
    assert_eq!(shown["icestats"]["host"], "radio.example");
    // There everybody comes from this machine, whatever the proxy tells or does not tell.
    for headers in [&[][..], &[("X-Forwarded-For", "127.0.0.1")], &[WRONG]] {
        assert_eq!(get(&host, "/admin/stats", headers).status, 401);
        assert_eq!(get(&host, "/api/streams", headers).status, 401);
    }
}
