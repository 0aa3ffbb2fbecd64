//! Who guesses passwords of users, of whatever page: it gets slower, and where too many wait, no further one is looked at.

use testkit::connection::Connection;

use super::*;

/// Guesses beyond those that may wait at once.
const MANY: usize = 42;

#[test]
fn guesses_are_refused_where_many_wait_and_others_get_in() {
    let users = json!({"users": {"admin": HASH}, "behind_proxy": true});
    let host = Host::start(merge(test_stream(json!({})), users));
    // What a proxy writes behind what its client has made up: in the same header or in one of its own.
    let from = |ip: &str, number: usize| {
        let between = if number.is_multiple_of(2) { ", " } else { "\r\nX-Forwarded-For: " };
        format!("X-Forwarded-For: 203.0.113.{number}{between}{ip}\r\n")
    };
    let send = |target: &str, number: usize| {
        let mut connection = Connection::open(host.listeners());
        let (from, (name, value)) = (from("192.0.2.1", number), WRONG);
        let head = format!("{target} HTTP/1.0\r\nHost: a\r\n{from}{name}: {value}\r\n\r\n");
        connection.send(head.as_bytes()).unwrap();
        connection
    };
    // Typing errors cost nothing.
    for number in 0..10 {
        let head = send("GET /api/streams", number).read_head().unwrap();
        assert!(head.starts_with("HTTP/1.0 401 "), "{head}");
    }
    let title = "/admin/metadata?mode=updinfo&mount=/test&song=x";
    let metadata = format!("GET {title}");
    let pages = ["GET /api/streams", "GET /admin/stats", "STATS /", &metadata];
    let guesses: Vec<_> =
        (0..MANY).map(|number| (pages[number % 4], send(pages[number % 4], number))).collect();
    let mut refused: Vec<&str> = Vec::new();
    let right = |ip: &str| {
        let forwarded = format!("203.0.113.1, {ip}");
        get(&host, "/api/streams", &[ADMIN, ("X-Forwarded-For", &forwarded)]).status
    };
    assert_eq!(right("192.0.2.2"), 200);
    let source = ("Authorization", "Basic c291cmNlOnRlc3Rpbmc=");
    assert_eq!(get(&host, title, &[source, ("X-Forwarded-For", "192.0.2.2")]).status, 200);
    for (page, mut guess) in guesses {
        let head = guess.read_head().unwrap();
        let text = String::from_utf8(guess.read_to_end(1_000)).unwrap();
        if head.starts_with("HTTP/1.0 429 Too Many Requests\r\n") {
            assert!(head.to_ascii_lowercase().contains("\r\nretry-after: 5\r\n"), "{head}");
            assert!(
                text.contains("too many wrong passwords came from your address: try again later"),
                "{text}"
            );
            refused.push(page);
        } else {
            assert!(head.starts_with("HTTP/1.0 401 "), "{head}");
        }
    }
    // Encoders are told as ever that they need to authenticate.
    for page in &pages[..3] {
        assert!(refused.contains(page), "{page}: {refused:?}");
    }
    // They wait no more.
    assert_eq!(right("192.0.2.1"), 200);
}

#[test]
fn wrong_passwords_of_sources_and_of_users_are_counted_together() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let source = b"SOURCE /test HTTP/1.0\r\nAuthorization: Basic c291cmNlOndyb25n\r\n\r\n";
    let mut guesses: Vec<Connection> = Vec::new();
    // The first of them wait half a second, later ones longer: where this thread was held up, the next round meets those.
    eventually(DEADLINE, || {
        for _ in 0..MANY {
            let mut guess = Connection::open(host.sources());
            guess.send(source).unwrap();
            guesses.push(guess);
        }
        (get(&host, "/admin/stats", &[WRONG]).status == 429).then_some(())
    });
    for mut guess in guesses {
        assert!(guess.read_head().unwrap().starts_with("HTTP/1.0 401 "));
    }
}
