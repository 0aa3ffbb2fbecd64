//! `STATS`: statistics as lines.

use testkit::connection::Connection;

use super::*;

/// Reads lines until one is `wanted`; all of them.
#[track_caller]
fn lines_until(connection: &mut Connection, wanted: &str) -> String {
    let line = format!("{wanted}\n");
    let read = connection.read_until(DEADLINE, |bytes| {
        String::from_utf8_lossy(bytes).contains(&line) && bytes.ends_with(b"\n")
    });
    String::from_utf8(read).expect("statistics are UTF-8")
}

#[test]
fn statistics_are_followed_as_lines() {
    let host = two_streams();
    let a = connect(&host, SourceOptions::new("/a", PASSWORD));
    wait_for_sources(&host, "a", 1);
    let mut follower = Connection::open(host.listeners());
    follower.send(b"STATS / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(follower.read_head().unwrap(), "HTTP/1.0 200 OK\r\n\r\n");
    let first = lines_until(&mut follower, "EVENT global stats_connections 0");
    assert!(
        first.contains("EVENT /a listeners 0\n") && first.contains("EVENT global sources 1\n"),
        "{first}"
    );
    assert!(first.lines().all(|line| line.starts_with("EVENT ")), "{first}");
    let _listener = listen(&host, "/a");
    assert!(!lines_until(&mut follower, "EVENT /a listeners 1").contains("server_id"));
    let _b = connect(&host, SourceOptions::new("/b", PASSWORD));
    lines_until(&mut follower, "NEW /b");
    a.close();
    lines_until(&mut follower, "DELETE /a");

    let mut one = Connection::open(host.listeners());
    one.send(b"STATS /b HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    one.half_close();
    let told = String::from_utf8(one.read_to_end(100_000)).unwrap();
    assert!(told.contains("EVENT /b listeners 0\n") && !told.contains("EVENT /a"), "{told}");
}

#[test]
fn lines_want_a_user_and_have_few_places() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let ask = |authorization: &str| {
        let mut connection = Connection::open(host.listeners());
        connection.send(format!("STATS / HTTP/1.0\r\n{authorization}\r\n").as_bytes()).unwrap();
        let head = connection.read_head().unwrap();
        (head, connection)
    };
    for header in ["", "Authorization: Basic YWRtaW46d3Jvbmc=\r\n"] {
        let (head, mut connection) = ask(header);
        assert!(head.starts_with("HTTP/1.0 401 Authentication Required\r\n"), "{head}");
        assert_eq!(connection.read_to_end(1_000), b"You need to authenticate\r\n");
    }
    let right = "Authorization: Basic YWRtaW46c2VjcmV0\r\n";
    let followers: Vec<_> = (0..16).map(|_| ask(right)).collect();
    assert!(followers.iter().all(|(head, _)| head == "HTTP/1.0 200 OK\r\n\r\n"));
    assert!(ask(right).0.starts_with("HTTP/1.0 503 "));
    drop(followers);
    eventually(DEADLINE, || ask(right).0.starts_with("HTTP/1.0 200 ").then_some(()));
}
