//! Visitors of the source port, who are no sources: pages of other origins, followers of statistics, and too many of them.

use testkit::connection::Connection;

use super::*;

const ORIGIN: (&str, &str) = ("Origin", "https://panel.example");

#[test]
fn pages_of_other_origins_may_read_what_everybody_may() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let ask = |method, target, headers: &[(&str, &str)]| {
        ListenerClient::send(host.sources(), &Request { headers, ..Request::new(method, target) })
    };
    for target in ["/status-json.xsl", "/stats?sid=1", "/7.html"] {
        let asked = [ORIGIN, ("Access-Control-Request-Method", "GET")];
        let preflight = ask("OPTIONS", target, &asked);
        assert_eq!(preflight.status, 204, "{target}");
        assert_eq!(preflight.header("Access-Control-Allow-Origin"), Some(ORIGIN.1));
        assert_eq!(preflight.header("Access-Control-Allow-Methods"), Some("GET,HEAD"));
        assert!(preflight.header("Access-Control-Allow-Headers").unwrap().contains("Authorization"));
        let page = ask("GET", target, &[ORIGIN]);
        assert_eq!((page.status, page.header("Access-Control-Allow-Origin")), (200, Some(ORIGIN.1)));
        assert_eq!(ask("GET", target, &[]).header("Access-Control-Allow-Origin"), Some("*"));
    }
    assert_eq!(ask("GET", "/admin/stats", &[ORIGIN, ADMIN]).header("Access-Control-Allow-Origin"), None);
    // What libshout asks is answered as ever.
    for (target, headers) in
        [("*", &[][..]), ("/status-json.xsl", &[]), ("*", &[ORIGIN]), ("/test", &[ORIGIN])]
    {
        let probe = ask("OPTIONS", target, headers);
        assert_eq!(probe.header("Allow"), Some("GET, PUT, SOURCE, OPTIONS"), "{target}");
        assert_eq!(probe.header("Access-Control-Allow-Origin"), None, "{target}");
    }
}

#[test]
fn a_configured_origin_holds_on_the_source_port_too() {
    let host = Host::start(merge(
        test_stream(json!({})),
        json!({"cors": {"enabled": true, "origin": "https://a.example"}}),
    ));
    let headers = [ORIGIN];
    let request = Request { headers: &headers, ..Request::new("GET", "/status-json.xsl") };
    let page = ListenerClient::send(host.sources(), &request);
    assert_eq!(page.header("Access-Control-Allow-Origin"), Some("https://a.example"));
}

#[test]
fn statistics_are_followed_on_the_source_port_too() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let _source = source(&host);
    eventually(DEADLINE, || icestats(&host, "/status-json.xsl").get("source").cloned());
    let ask = |authorization: &str| {
        let mut connection = Connection::open(host.sources());
        let head = format!("STATS / HTTP/1.0\r\nHost: {}\r\n{authorization}\r\n", host.sources());
        connection.send(head.as_bytes()).unwrap();
        (connection.read_head().unwrap(), connection)
    };
    assert!(ask("").0.starts_with("HTTP/1.0 401 Authentication Required\r\n"));
    let (head, mut follower) = ask("Authorization: Basic YWRtaW46c2VjcmV0\r\n");
    assert_eq!(head, "HTTP/1.0 200 OK\r\n\r\n");
    let line = format!("EVENT /test listenurl http://{}/test\n", host.listeners());
    follower.read_until(DEADLINE, |bytes| String::from_utf8_lossy(bytes).contains(&line));
}

/// Wrong passwords of many clients: the answers that wait for their time hold places.
#[test]
fn visitors_have_few_places_and_leave_others_to_sources() {
    let users = json!({"users": {"admin": HASH}, "behind_proxy": true});
    let host = Host::start(merge(test_stream(json!({})), users));
    let guess = |number: usize| {
        let mut guess = Connection::open(host.sources());
        let (client, (name, value)) = (number % 8, WRONG);
        let head = format!(
            "GET /admin/stats HTTP/1.0\r\nX-Forwarded-For: 192.0.2.{client}\r\n{name}: {value}\r\n\r\n"
        );
        guess.send(head.as_bytes()).unwrap();
        guess
    };
    let visit = || ListenerClient::get(host.sources(), "/status-json.xsl", &[]);
    let mut guesses = Vec::new();
    let mut turned_away = eventually(DEADLINE, || {
        guesses.extend((0..64).map(guess));
        Some(visit()).filter(|visit| visit.status == 503)
    });
    assert_eq!(turned_away.read_text(), "too many visitors\n");
    let _source = source(&host);
    assert_eq!(page(&host, "/status-json.xsl").0, 200);
    drop(guesses);
    eventually(DEADLINE, || (visit().status == 200).then_some(()));
}
