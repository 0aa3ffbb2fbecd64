//! The heads of answers on the listener port: what players and pages are told, and who is sent away.

use serde_json::json;
use testkit::connection::Connection;
use testkit::listener::{ListenerClient, Request, Response};

use crate::harness::{
    Host, PASSWORD, api, count, kept_connection, listen, listen_with, merge, on_air, page, play, status,
    test_stream, wait_for_sources,
};

const ORIGIN: (&str, &str) = ("Origin", "https://page.example");

fn get(host: &Host, target: &str, headers: &[(&str, &str)]) -> Response {
    ListenerClient::get(host.listeners(), target, headers)
}

#[test]
fn the_head_of_a_stream_has_these_lines() {
    let host = Host::with_stream(json!({
        "name": "Radio Ä", "genre": "Talk", "description": "All day", "url": "http://radio.example/", "burst": 2,
        "metaTitle": "A title",
    }));
    play(&host, 0..count(5));
    let listener = listen_with(&host, "/test", &[("Icy-MetaData", "1")]);
    let start = listener.header("X-Content-Start").unwrap().to_owned();
    let behind = listener.header("X-Content-Behind").unwrap().to_owned();
    assert_eq!(
        listener.head,
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\naccept-ranges: none\r\ncache-control: no-cache, no-store\r\n\
             expires: Mon, 26 Jul 1997 05:00:00 GMT\r\npragma: no-cache\r\nserver: StreamMachine\r\n\
             x-powered-by: StreamMachine\r\nx-content-type-options: nosniff\r\naccess-control-allow-origin: *\r\n\
             access-control-expose-headers: icy-metaint, icy-name, icy-genre, icy-br, icy-url, icy-description, \
             X-Content-Start, X-Content-Behind, Content-Range, Content-Length, ETag, Date\r\nvary: Origin\r\nicy-name: Radio Ä\r\n\
             icy-genre: Talk\r\nicy-url: http://radio.example/\r\nicy-description: All day\r\nicy-pub: 0\r\n\
             icy-br: 64\r\nice-audio-info: ice-samplerate=44100;ice-channels=2;ice-bitrate=64\r\n\
             icy-metaint: 32768\r\nx-content-start: {start}\r\nx-content-behind: {behind}\r\nconnection: close\r\n\r\n"
        )
    );
    assert!((1.97..=2.0).contains(&behind.parse().unwrap()), "{behind}");
}

/// The `icy-*` lines of the head of `/test`, but for those of its audio.
fn station_lines(host: &Host) -> Vec<String> {
    let head = listen(host, "/test").head;
    let lines = head.lines().filter(|line| line.starts_with("icy-") && !line.starts_with("icy-br"));
    lines.map(str::to_owned).collect()
}

#[test]
fn facts_about_the_station_are_told_where_they_are_set() {
    let host = Host::with_stream(json!({
        "name": "N", "public": true, "index_metadata": true, "do_not_index": true,
        "main_stream_url": "http://radio.example/main", "logo_url": "https://radio.example/logo.png",
        "country_code": "de", "country_subdivision_code": "DE-BE", "language_codes": ["de", "en"],
    }));
    assert_eq!(
        station_lines(&host),
        [
            "icy-name: N",
            "icy-pub: 1",
            "icy-version: 2",
            "icy-index-metadata: 1",
            "icy-do-not-index: 1",
            "icy-main-stream-url: http://radio.example/main",
            "icy-logo: https://radio.example/logo.png",
            "icy-country-code: DE",
            "icy-country-subdivison-code: DE-BE",
            "icy-language-codes: de,en",
        ]
    );
    let change = json!({"public": false, "index_metadata": null, "do_not_index": null, "main_stream_url": null,
        "logo_url": null, "country_subdivision_code": null, "language_codes": null});
    assert_eq!(api(&host, "PUT", "/api/streams/test/config", Some(&change)).0, 200);
    assert_eq!(station_lines(&host), ["icy-name: N", "icy-pub: 0", "icy-version: 2", "icy-country-code: DE"]);
}

#[test]
fn head_tells_the_same_without_audio_and_is_no_listener() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(5));
    let known = |response: &Response| response.head.replace(response.header("X-Content-Behind").unwrap(), "");
    let heads = ["/test", "/test?pump=2", "/test?offset=3"].map(|target| {
        let mut head = ListenerClient::send(host.listeners(), &Request::new("HEAD", target));
        assert!(head.body.read_to_end(1).is_empty());
        assert_eq!(status(&host, "test")["listeners"], 0);
        (target, known(&head))
    });
    for (target, head) in heads {
        assert_eq!(head, known(&listen(&host, target)), "{target}");
    }
    for (target, status) in [("/nothing", 404), ("/test?start=nonsense", 400)] {
        let request = Request { headers: &[("Connection", "close")], ..Request::new("HEAD", target) };
        let mut refused = ListenerClient::send(host.listeners(), &request);
        assert_eq!((refused.status, refused.body.read_to_end(1)), (status, Vec::new()), "{target}");
        assert_ne!(refused.header("Content-Length"), Some("0"), "{target}: it says how long it would be");
    }
}

#[test]
fn preflights_let_pages_of_other_origins_play() {
    let host = Host::with_stream(json!({}));
    let headers = [
        ORIGIN,
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "icy-metadata"),
    ];
    for target in ["/test", "/nothing", "/streams.json"] {
        let request = Request { headers: &headers, ..Request::new("OPTIONS", target) };
        let answer = ListenerClient::send(host.listeners(), &request);
        assert_eq!(answer.status, 204, "{target}");
        let header = |name| answer.header(name).unwrap_or_else(|| panic!("no {name}: {}", answer.head));
        assert_eq!(header("Access-Control-Allow-Origin"), "https://page.example");
        assert_eq!(header("Access-Control-Allow-Methods"), "GET,HEAD");
        assert!(header("Access-Control-Allow-Headers").contains("Icy-MetaData"));
        assert_eq!(header("Vary"), "Origin");
    }
}

#[test]
fn errors_too_say_that_pages_of_other_origins_may_read_them() {
    let settings = json!({"ua_skip": ["BadBot"], "limits": {"listeners_max": 1}});
    let host = Host::start(merge(test_stream(json!({})), settings));
    play(&host, 0..count(3));
    let _only = listen(&host, "/test");
    for (target, agent, status) in [
        ("/test", "Player", 503),
        ("/test", "BadBot/1.0", 403),
        ("/nothing", "Player", 404),
        ("/test?start=nonsense", "Player", 400),
        ("/test?start=-1", "Player", 302),
        ("/test?start=2001-01-01T00:00:00Z&strict=1", "Player", 404),
        ("/test.pls", "Player", 200),
    ] {
        let answer = get(&host, target, &[ORIGIN, ("User-Agent", agent), ("Connection", "close")]);
        assert_eq!(answer.status, status, "{target}: {}", answer.head);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://page.example"), "{target}");
        assert_eq!(answer.header("Vary"), Some("Origin"), "{target}");
    }
}

#[test]
fn other_origins_are_kept_out_where_the_configuration_says_so() {
    let off = Host::start(merge(test_stream(json!({})), json!({"cors": {"enabled": false}})));
    let one =
        Host::start(merge(test_stream(json!({})), json!({"cors": {"origin": "https://radio.example"}})));
    for target in ["/test", "/nothing", "/index.html"] {
        assert_eq!(get(&off, target, &[ORIGIN]).header("Access-Control-Allow-Origin"), None, "{target}");
        let answer = get(&one, target, &[ORIGIN]);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://radio.example"), "{target}");
    }
}

#[test]
fn unwanted_user_agents_are_sent_away_on_every_route() {
    let host = Host::start(merge(test_stream(json!({})), json!({"ua_skip": ["^BadBot", "scanner"]})));
    for target in
        ["/test", "/test.pls", "/nothing", "/", "/index.html", "/crossdomain.xml", "/player", "/streams.json"]
    {
        for agent in ["BadBot/1.0", "some scanner"] {
            let mut answer = get(&host, target, &[("User-Agent", agent), ("Connection", "close")]);
            assert_eq!(
                (answer.status, answer.read_text()),
                (403, "Invalid User Agent.".to_owned()),
                "{target}"
            );
        }
        assert_ne!(get(&host, target, &[("User-Agent", "Good BadBot")]).status, 403, "{target}");
        assert_ne!(get(&host, target, &[]).status, 403, "{target}");
    }
}

#[test]
fn other_methods_are_told_what_there_is() {
    let host = Host::with_stream(json!({}));
    for method in ["POST", "PUT", "DELETE", "SOURCE", "PROPFIND"] {
        let answer = ListenerClient::send(host.listeners(), &Request::new(method, "/test"));
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
}

#[test]
fn without_a_free_seat_listeners_are_asked_to_come_again() {
    let host = Host::start(merge(test_stream(json!({"burst": 1})), json!({"limits": {"listeners_max": 2}})));
    let _source = on_air(&host, 2);
    assert_eq!(page(&host, "/readyz"), (200, "ready\n".to_owned()));
    let (first, _second) = (listen(&host, "/test"), listen(&host, "/test"));
    let mut refused = get(&host, "/test", &[]);
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("30")));
    assert_eq!(refused.read_text(), "No seat is free.\n");
    assert_eq!(page(&host, "/readyz"), (503, "no seat is free\n".to_owned()));
    assert_eq!(page(&host, "/healthz"), (200, "ok\n".to_owned()));
    // Sources and the API do not need a seat.
    wait_for_sources(&host, "test", 1);
    drop(first);
    testkit::wait::eventually(testkit::wait::DEADLINE, || (page(&host, "/readyz").0 == 200).then_some(()));
    listen(&host, "/test");
}

#[test]
fn playlists_have_these_texts() {
    let host =
        Host::with_stream(json!({"root_route": true, "name": "Rock & <Roll>", "host": "radio.example"}));
    let pls = |base: &str| format!("[playlist]\nNumberOfEntries=1\nFile1={base}/test/\n");
    for (target, headers, media_type, text) in [
        ("/test.pls", &[][..], "audio/x-scpls", pls(&format!("http://{}", host.listeners()))),
        ("/listen.pls", &[], "audio/x-scpls", pls(&format!("http://{}", host.listeners()))),
        ("/test.pls?offset=60&x=%22", &[], "audio/x-scpls", {
            format!(
                "[playlist]\nNumberOfEntries=1\nFile1=http://{}/test/?offset=60&x=%22\n",
                host.listeners()
            )
        }),
        ("/test.m3u", &[], "audio/x-mpegurl", {
            format!("#EXTM3U\r\n#EXTINF:-1,Rock & <Roll>\r\nhttp://{}/test/\r\n", host.listeners())
        }),
        ("/test.xspf", &[], "application/xspf+xml; charset=utf-8", {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  \
                 <title>Rock &amp; &lt;Roll&gt;</title>\n  <trackList>\n    <track>\n      \
                 <location>http://{}/test/</location>\n      <title>Rock &amp; &lt;Roll&gt;</title>\n    </track>\n  \
                 </trackList>\n</playlist>\n",
                host.listeners()
            )
        }),
        ("/test.vclt", &[], "audio/x-vclt", {
            format!("STREAMURL=http://{}/test/\nTITLE=Rock & <Roll>\n", host.listeners())
        }),
        ("/listen.vclt?token=a%26b&start=09:00", &[], "audio/x-vclt", {
            let url = format!("http://{}/test/?token=a%26b&start=09:00", host.listeners());
            format!("STREAMURL={url}\nTITLE=Rock & <Roll>\n")
        }),
        // Who is not behind a proxy does not believe one.
        (
            "/test.pls",
            &[("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")],
            "audio/x-scpls",
            pls(&format!("http://{}", host.listeners())),
        ),
    ] {
        let mut answer = get(&host, target, headers);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(media_type)), "{target}");
        assert_eq!(answer.read_text(), text, "{target}");
    }
    // What a listener would ask goes into the address in each of them, escaped as the form wants it.
    for (suffix, and) in [("pls", "&"), ("m3u", "&"), ("vclt", "&"), ("xspf", "&amp;")] {
        for name in ["test", "listen"] {
            let text = page(&host, &format!("/{name}.{suffix}?token=%0a%22x&offset=60")).1;
            let url = format!("http://{}/test/?token=%0A%22x{and}offset=60", host.listeners());
            assert!(text.contains(&url), "{name}.{suffix}: {text}");
        }
    }
    let nameless = testkit::listener::request(host.listeners(), b"GET /test.pls HTTP/1.0\r\n\r\n");
    assert!(String::from_utf8(nameless).unwrap().ends_with(&pls("http://radio.example")));
    assert_eq!(page(&host, "/nothing.pls"), (404, "Invalid stream.\n".to_owned()));
}

#[test]
fn behind_a_proxy_playlists_name_what_the_proxy_is_called() {
    let host = Host::start(json!({"behind_proxy": true, "streams": {"test": {"source_password": PASSWORD}}}));
    let headers = [("X-Forwarded-Host", "radio.example"), ("X-Forwarded-Proto", "https")];
    let text = get(&host, "/test.pls", &headers).read_text();
    assert_eq!(text, "[playlist]\nNumberOfEntries=1\nFile1=https://radio.example/test/\n");
}

#[test]
fn small_files_of_the_original_are_there() {
    let host = Host::with_stream(json!({"root_route": true}));
    let mut index = get(&host, "/index.html", &[]);
    assert_eq!((index.status, index.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let text = index.read_text();
    assert!(text.contains("<title>StreamMachine</title>") && text.contains("<h1>OK</h1>"), "{text}");
    let mut policy = get(&host, "/crossdomain.xml", &[]);
    assert_eq!((policy.status, policy.header("Content-Type")), (200, Some("text/xml")));
    let text = policy.read_text();
    assert!(text.starts_with("<?xml ") && text.contains("<allow-access-from domain=\"*\" />"), "{text}");
}

#[test]
fn browsers_get_the_player_page_and_players_the_stream() {
    let host = Host::with_stream(json!({"root_route": true}));
    play(&host, 0..count(3));
    let accept = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let mut player = get(&host, "/", &[accept]);
    assert_eq!((player.status, player.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = player.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(player.read_text().contains("<html"));
    for part in ["/assets/player.js", "/assets/player.css", "/assets/favicon.svg"] {
        assert_eq!(page(&host, part).0, 200, "{part}");
    }
    for missing in ["/assets/", "/assets/..", "/assets/..%2f..%2fmain.rs", "/assets/player.js%00"] {
        assert!(matches!(page(&host, missing).0, 400 | 404), "{missing}");
    }
    assert_eq!(get(&host, "/", &[]).header("Content-Type"), Some("audio/mpeg"));
    assert_eq!(get(&host, "/", &[accept, ("Icy-MetaData", "1")]).header("Content-Type"), Some("audio/mpeg"));
    // A browser that is sent to the stream itself plays it.
    assert_eq!(get(&host, "/test", &[accept]).header("Content-Type"), Some("audio/mpeg"));
}

#[test]
fn a_request_means_the_same_over_a_new_connection_and_a_kept_one() {
    let host = Host::with_stream(json!({"root_route": true}));
    let _source = on_air(&host, 5);
    let ask = |address, kept: bool, request: &[u8]| {
        let mut connection = if kept { kept_connection(address) } else { Connection::open(address) };
        connection.send(request).unwrap();
        let head = connection.read_head().expect("it is answered").to_ascii_lowercase();
        let kind = head.split("content-type: ").nth(1).and_then(|it| it.split("\r\n").next());
        (head[9..12].to_owned(), kind.unwrap_or_default().to_owned())
    };
    let (page, audio) = (("200", "text/html; charset=utf-8"), ("200", "audio/mpeg"));
    for (line, headers, expected) in [
        ("/", &b"Accept: text/html"[..], page),
        ("/", b"Accept: text/html \xe9", page),
        ("/", b"Accept: text/html \xc3\xa9", page),
        ("/", b"Accept: text/html\r\nAccept: */*", page),
        ("/", b"Accept: */*\r\nAccept: text/html", audio),
        ("/", b"Accept: text/html\r\nIcy-MetaData: \xff", audio),
        ("/", b"Accept: text/html\r\nIcy-MetaData:", audio),
        ("http://localhost", b"Accept: text/html", page),
        ("http://localhost?x=1", b"Accept: */*", audio),
        ("http://localhost/test", b"Accept: text/html", audio),
        ("/test?a=%C3%A9", b"Accept: text/html", audio),
        ("/test", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0", audio),
        ("/test", b"Content-Length: 3\r\n\r\nabc", audio),
    ] {
        let request =
            [format!("GET {line} HTTP/1.1\r\nHost: a\r\n").as_bytes(), headers, b"\r\n\r\n"].concat();
        for kept in [false, true] {
            let (status, kind) = ask(host.listeners(), kept, &request);
            assert_eq!((&*status, &*kind), expected, "kept: {kept}, {}", request.escape_ascii());
        }
    }
}
