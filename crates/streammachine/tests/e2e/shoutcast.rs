//! Sources that speak SHOUTcast v1, on the source port and on the one behind it, and the titles that they set.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};
use testkit::connection::Connection;
use testkit::listener::request;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, count, frames, line, listen, merge, play, pump_all, status, test_stream, wait_for_frame,
    wait_for_sources,
};

const WELCOME: &[u8] = b"OK2\r\nicy-caps:11\r\n\r\n";
const REFUSED: &[u8] = b"invalid password\r\n";
/// What BUTT sends behind its password.
const HEADERS: &str = "Host: 127.0.0.1:18241\r\nicy-name:I\r\nicy-genre:g\r\nicy-url:http://u\r\nicy-pub:0\r\n\
                       icy-br:128\r\ncontent-type:audio/mpeg\r\n\r\n";

/// A source that has waited for its welcome and sent its headers.
#[track_caller]
fn login(address: SocketAddr, line: &str) -> Connection {
    let mut connection = Connection::open(address);
    connection.send(format!("{line}\r\n").as_bytes()).expect("a new connection takes a line");
    assert_eq!(connection.read_exact(WELCOME.len()), WELCOME, "{line}");
    connection.send(HEADERS.as_bytes()).expect("the server takes headers");
    connection
}

/// The second source port.
#[track_caller]
fn second(host: &Host) -> SocketAddr {
    host.shoutcast().expect("there is a second source port")
}

/// Mounts that have a source.
#[track_caller]
fn taken(host: &Host) -> Vec<String> {
    let mounts = crate::harness::api(host, "GET", "/api/sources", None).1;
    let mounts = mounts.as_array().expect("mounts are listed").iter();
    let taken = mounts.filter(|mount| mount["sources"] != json!([]));
    taken.map(|mount| mount["key"].as_str().expect("keys are texts").to_owned()).collect()
}

#[test]
fn every_style_of_sending_is_welcome_on_both_ports() {
    let host = Host::with_stream(json!({}));
    let mut first = 0;
    for address in [host.sources(), second(&host)] {
        for (login, headers) in [
            // Waits for the answer before its headers: Liquidsoap, DarkIce, the Winamp plug-in.
            (format!("{PASSWORD}\r\n"), HEADERS.to_owned()),
            (format!("{PASSWORD}\n"), HEADERS.replace("\r\n", "\n")),
            // DarkIce with a mount; the oldest Icecast.
            (format!("SOURCE {PASSWORD}\n /test\n"), HEADERS.replace("\r\n", "\n")),
            (format!("SOURCE {PASSWORD} /test\n"), "x-audiocast-name: I\n\n".to_owned()),
            // All at once: BUTT and, with bare line ends, libshout.
            (format!("{PASSWORD}\r\n{HEADERS}"), String::new()),
            (format!("{PASSWORD}\n{}", HEADERS.replace("\r\n", "\n")), String::new()),
        ] {
            let audio = frames().bytes(first..first + 50);
            let mut connection = Connection::open(address);
            if headers.is_empty() {
                connection.send(&[login.as_bytes(), &audio].concat()).unwrap();
            } else {
                connection.send(login.as_bytes()).unwrap();
                assert_eq!(connection.read_exact(WELCOME.len()), WELCOME, "{login:?}");
                connection.send(&[headers.as_bytes(), &audio].concat()).unwrap();
            }
            connection.half_close();
            let rest: &[u8] = if headers.is_empty() { WELCOME } else { b"" };
            assert_eq!(connection.read_to_end(100), rest, "{login:?}");
            wait_for_frame(&host, "test", first + 49);
            first += 50;
        }
    }
    frames().scan(&pump_all(&host)).assert_exactly(0..first);
}

#[test]
fn bytes_may_come_one_by_one() {
    let host = Host::with_stream(json!({}));
    for (text, answer) in [
        (format!("{PASSWORD}\r\n{HEADERS}"), WELCOME),
        (format!("SOURCE {PASSWORD}\r\n /test\r\n{HEADERS}"), WELCOME),
        ("!POKE\nicy-name:libshout server poke request\n\n".to_owned(), REFUSED),
        ("Zebra\r\n".to_owned(), REFUSED),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), b"HTTP/1.1 204 No Content\r\n"),
    ] {
        let mut connection = Connection::open(host.sources());
        for byte in text.as_bytes() {
            // One that is refused is not heard out.
            connection.send(&[*byte]).ok();
        }
        assert_eq!(connection.read_exact(answer.len()), answer, "{text}");
    }
}

#[test]
fn what_is_no_login_is_closed_in_order() {
    let host = Host::with_stream(json!({}));
    for (bytes, answer, told) in [
        (&b"!POKE\nicy-name:libshout server poke request\n\n"[..], REFUSED, ""),
        (b"wrong\r\n", REFUSED, "wrong password on /test"),
        (b"\x5A\x00\x10\x09\x00\x03\x32\x2E\x31\x00", b"", "this is SHOUTcast v2 (Ultravox)"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", b"", "this is TLS"),
    ] {
        assert_eq!(request(host.sources(), bytes), answer, "{}", bytes.escape_ascii());
        if !told.is_empty() {
            host.wait_for_log(told);
        }
    }
    // DarkIce 1.3 of Debian 12 sends no password.
    let audio = frames().bytes(0..3);
    assert!(request(host.sources(), &audio).starts_with(b"HTTP/1.0 400 "));
    host.wait_for_log("this is audio without a login");
    assert!(!host.logs().contains(PASSWORD));
}

#[test]
fn headers_have_their_bounds() {
    let host = Host::with_stream(json!({}));
    for headers in ["icy-name:\x01\r\n\r\n", "a: b\r\n".repeat(101).as_str(), &"x".repeat(20_000)] {
        let mut connection = Connection::open(host.sources());
        connection.send(format!("{PASSWORD}\r\n").as_bytes()).unwrap();
        assert_eq!(connection.read_exact(WELCOME.len()), WELCOME);
        connection.send(headers.as_bytes()).unwrap();
        assert_eq!(connection.read_to_end(0), b"");
    }
    assert!(line(&host, "test").is_empty());
    play(&host, 0..50);
}

#[test]
fn a_password_leads_to_its_mount() {
    let stream = |password: &str| json!({"source_password": password});
    let host = Host::start(json!({
        "streams": {
            "a": stream("shared"), "b": {"source_password": "shared", "root_route": true},
            "c": stream("alone"), "live": stream("x:#y"),
        },
        "sources": {
            "far/away": {"password": "distant", "sid": 7},
            "m": {"password": "mine", "djs": {"anna": "secret", "live": "q"}},
        },
    }));
    for (line, mount) in [
        ("shared", "b"),
        ("source:shared", "b"),
        ("shared:#1", "a"),
        ("shared#2", "b"),
        ("source:shared:#1", "a"),
        ("distant#7", "far/away"),
        ("/a:shared", "a"),
        ("/far/away:distant", "far/away"),
        ("a:shared", "a"),
        ("alone", "c"),
        ("x:#y", "live"),
        ("live:x:#y", "live"),
        ("anna:secret", "m"),
        ("live:q", "m"),
        ("/m:anna:secret", "m"),
        // All mounts in the order of their keys: a b c far/away live m.
        ("mine:#6", "m"),
    ] {
        let source = login(second(&host), line);
        eventually(DEADLINE, || (taken(&host) == [mount]).then_some(()));
        drop(source);
        eventually(DEADLINE, || taken(&host).is_empty().then_some(()));
    }
    for line in
        ["shared:#3", "alone:#1", "/a:alone", "/nothing:shared", "shared#4", "anna:shar", "c:shared", "anna:"]
    {
        // Wrong ones are counted, and slow down those that follow.
        drop(login(host.sources(), "alone"));
        let answer = request(host.sources(), format!("{line}\r\n{HEADERS}").as_bytes());
        assert_eq!(answer, REFUSED, "{line}");
    }
}

#[test]
fn a_source_is_shown_with_what_it_announced() {
    let host = Host::with_stream(json!({}));
    let _source = login(host.sources(), PASSWORD);
    wait_for_sources(&host, "test", 1);
    let source = &line(&host, "test")[0];
    assert!(source["source"].as_str().unwrap().starts_with("SHOUTcast (127.0.0.1:"), "{source}");
    let announced = json!({
        "name": "I", "genre": "g", "url": "http://u", "description": null, "content_type": "audio/mpeg",
    });
    assert_eq!(source["announced"], announced);
}

#[test]
fn sources_beyond_the_limit_are_told_so() {
    let host = Host::start(merge(test_stream(json!({})), json!({"limits": {"sources_max": 1}})));
    let _first = login(host.sources(), PASSWORD);
    let answer = request(host.sources(), format!("{PASSWORD}\r\n").as_bytes());
    assert_eq!(answer, b"too many sources connected\r\n");
}

#[test]
fn the_second_port_is_the_next_one_and_can_be_done_without() {
    // Two ports in a row that nobody has, the second of them held by us.
    let (held, port) = eventually(DEADLINE, || {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port() - 1;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some((held, port))
    });
    let settings = || merge(test_stream(json!({})), json!({"source_port": port}));
    let mut host = Host::start(settings());
    assert_eq!(host.shoutcast(), None);
    host.wait_for_log("no second source port");
    drop(login(host.sources(), PASSWORD));
    assert!(host.terminate().success());
    drop(held);
    let host = Host::start(settings());
    assert_eq!((host.sources().port(), second(&host).port()), (port, port + 1));
    drop(login(second(&host), PASSWORD));
}

/// A server with an API user `admin`, whose password is `secret`.
fn host_with_admin() -> Host {
    let hash = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
    let streams = json!({
        "test": {"source_password": PASSWORD, "djs": {"anna": "hush"}, "root_route": true},
        "zwei": {"source_password": "other"},
    });
    Host::start(json!({"streams": streams, "users": {"admin": hash}}))
}

#[track_caller]
fn wait_for_title(host: &Host, key: &str, title: &str) -> Value {
    eventually(DEADLINE, || {
        let metadata = status(host, key)["metadata"].clone();
        (metadata["StreamTitle"] == title).then_some(metadata)
    })
}

#[test]
fn admin_cgi_sets_titles_on_all_ports() {
    let host = host_with_admin();
    let done = "<html><head><title>Admin request successful</title></head>\
                <body><p>Metadata update successful</p></body></html>";
    let ports = [host.sources(), second(&host), host.listeners()];
    for (number, (query, key)) in [
        ("pass=testing", "test"),
        ("pass=anna:hush", "test"),
        ("pass=source:testing", "test"),
        ("pass=testing:#1", "test"),
        ("pass=other:#2", "zwei"),
        ("pass=other%3A%232", "zwei"),
        ("pass=other&sid=2", "zwei"),
        ("pass=other&mount=/zwei", "zwei"),
        ("pass=other", "zwei"),
        ("pass=secret", "test"),
        ("pass=admin:secret&sid=2", "zwei"),
        ("pass=secret&mount=/zwei", "zwei"),
    ]
    .into_iter()
    .enumerate()
    {
        for (port, address) in ports.into_iter().enumerate() {
            let title = format!("Jóga {number} {port}");
            // Raw, as BUTT sends it.
            let head = format!(
                "GET /admin.cgi?{query}&mode=updinfo&song={}&url=http://u/{number} HTTP/1.0\r\n\
                 User-Agent: ShoutcastDSP (Mozilla Compatible)\r\n\r\n",
                title.replace(' ', "%20")
            );
            let answer = String::from_utf8(request(address, head.as_bytes())).unwrap();
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(done), "{query}: {answer}");
            let metadata = wait_for_title(&host, key, &title);
            assert_eq!(metadata["StreamUrl"], format!("http://u/{number}"));
        }
    }
    for query in
        ["pass=wrong", "", "pass=testing:#2", "pass=testing&mount=/zwei", "pass=secret2", "pass=ben:secret"]
    {
        let head = format!("GET /admin.cgi?{query}&mode=updinfo&song=No HTTP/1.0\r\n\r\n");
        let answer = request(host.sources(), head.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.0 401 Unauthorized\r\n"), "{query}");
    }
    for secret in [PASSWORD, "hush", "secret"] {
        assert!(!host.logs().contains(secret), "{secret}");
    }
}

/// The mode may be in the address or in the form, as all else.
#[test]
fn admin_cgi_takes_forms_on_all_ports() {
    let host = host_with_admin();
    let post = |address, target: &str, form: &str| {
        let length = form.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{form}");
        String::from_utf8(request(address, head.as_bytes())).unwrap()
    };
    let ports = [host.sources(), second(&host), host.listeners()];
    for (number, (target, form, key)) in [
        ("/admin.cgi", "mode=updinfo&pass=testing&song=", "test"),
        ("/admin.cgi?mode=updinfo&pass=anna:hush", "song=", "test"),
        ("/admin.cgi?sid=2", "pass=other&mode=updinfo&url=&song=", "zwei"),
        ("/admin.cgi?mode=updinfo", "pass=other:%232&song=", "zwei"),
        ("/admin.cgi", "mode=updinfo&pass=secret&mount=/zwei&song=", "zwei"),
    ]
    .into_iter()
    .enumerate()
    {
        for (port, address) in ports.into_iter().enumerate() {
            let answer = post(address, target, &format!("{form}J%C3%B3ga+{number}+{port}"));
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{target} {form}: {answer}");
            assert!(answer.contains("<p>Metadata update successful</p>"), "{answer}");
            wait_for_title(&host, key, &format!("Jóga {number} {port}"));
        }
    }
    for (form, status) in [
        ("mode=updinfo&pass=wrong&song=x", "401 Unauthorized"),
        ("mode=updinfo&song=x", "401 Unauthorized"),
        ("mode=viewxml&pass=testing", "200 OK"),
        (&"a=b&".repeat(100), "400 Bad Request"),
    ] {
        let answer = post(host.listeners(), "/admin.cgi", form);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{form}: {answer}");
        assert!(!answer.contains("successful"), "{answer}");
    }
    assert!(!host.logs().contains("hush"), "{}", host.logs());
}

#[test]
fn titles_may_be_posted_by_sources_djs_and_users_of_the_server() {
    let host = host_with_admin();
    let basic = |credentials: &str| match credentials {
        "source:testing" => "c291cmNlOnRlc3Rpbmc=",
        "anna:hush" => "YW5uYTpodXNo",
        "admin:secret" => "YWRtaW46c2VjcmV0",
        _ => "Ym9iOndyb25n",
    };
    let post = |target: &str, credentials: &str, body: &[u8]| {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            basic(credentials),
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let metadata = "/admin/metadata";
    for (target, who, body, key, title) in [
        (
            metadata,
            "source:testing",
            &b"mode=updinfo&mount=%2Ftest&song=Posted+song"[..],
            "test",
            "Posted song",
        ),
        (
            metadata,
            "anna:hush",
            b"mode=updinfo&mount=/test&artist=A&title=B&album=C&artwork=http://a",
            "test",
            "A - B",
        ),
        ("/admin/metadata?mode=updinfo&mount=/test", "admin:secret", b"song=Bj\xf6rk", "test", "Björk"),
        (metadata, "admin:secret", b"mode=updinfo&mount=/zwei&song=Zwei", "zwei", "Zwei"),
    ] {
        for address in [host.sources(), host.listeners()] {
            let answer = String::from_utf8(request(address, &post(target, who, body))).unwrap();
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{title}: {answer}");
            assert!(answer.contains("<return>1</return>"), "{title}: {answer}");
            wait_for_title(&host, key, title);
        }
    }
    let long = [b"mode=updinfo&mount=/test&song=".to_vec(), vec![b'x'; 70_000]].concat();
    for (bytes, status) in [
        (post(metadata, "bob:wrong", b"mode=updinfo&mount=/test&song=x"), "401"),
        (post(metadata, "anna:hush", b"mode=updinfo&mount=/zwei&song=x"), "401"),
        (post(metadata, "admin:secret", b"mode=updinfo&mount=/nothing&song=x"), "400"),
        (post(metadata, "source:testing", b"song=x"), "400"),
        (post(metadata, "source:testing", "a=b&".repeat(100).as_bytes()), "400"),
        (post(metadata, "source:testing", &long), "413"),
        (
            b"POST /admin/metadata HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
            "411",
        ),
    ] {
        let answer = String::from_utf8(request(host.sources(), &bytes)).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}

#[test]
fn a_listener_hears_a_source_of_shoutcast() {
    let host = Host::with_stream(json!({}));
    let mut source = login(second(&host), &format!("source:{PASSWORD}"));
    source.send(&frames().bytes(0..count(3))).unwrap();
    crate::harness::wait_for_buffer(&host, "test", 2.0);
    let mut listener = listen(&host, "/test");
    let bytes = frames().position(count(2)) as usize;
    frames().scan(&listener.body.read_exact(bytes)).assert_exactly(0..count(2));
}
