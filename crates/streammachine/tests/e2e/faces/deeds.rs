//! What the admin requests do: listeners and sources that are closed and moved, and nothing else that is touched.

use super::*;

#[test]
fn a_playlist_with_a_password_is_built_and_no_line_can_be_slipped_in() {
    let users = json!({"users": {"admin": HASH}, "admin": {"require_auth": true}});
    let host = Host::start(merge(test_stream(json!({})), users));
    let target = "/admin/buildm3u?mount=/test&username=jo%0d%0ahttp://evil/&password=a@b:c/%C3%A9%23%00";
    let url =
        format!("http://jo%0D%0Ahttp%3A%2F%2Fevil%2F:a%40b%3Ac%2F%C3%A9%23%00@{}/test\r\n", host.listeners());
    for address in [host.listeners(), host.sources()] {
        let mut answer = ListenerClient::get(address, target, &[ADMIN, CLOSE]);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("audio/x-mpegurl")));
        assert_eq!(answer.header("Cache-Control"), Some("no-cache, no-store"));
        assert_eq!(answer.header("Content-Disposition"), Some("attachment; filename=\"listen.m3u\""));
        assert_eq!(answer.read_text(), url);
    }
    for (query, reason) in [
        ("mount=/none&username=a&password=b", "Source does not exist"),
        ("username=a&password=b", "Unknown admin request"),
        ("mount=/test&username=a", "Missing parameter"),
        ("mount=/test&password=a", "Missing parameter"),
    ] {
        let mut answer = get(&host, &format!("/admin/buildm3u?{query}"), &[ADMIN]);
        let text = answer.read_text();
        assert!(answer.status == 400 && text.contains(reason), "{query}: {text}");
    }
    assert_eq!(get(&host, target, &[]).status, 401);
    assert_eq!(get(&host, target, &[WRONG]).status, 401);
}

#[test]
fn killclient_closes_exactly_that_listener_and_no_other_loses_a_byte() {
    let host = Host::with_stream(json!({"burst": 2}));
    let _source = on_air(&host, 4);
    let mut listeners: Vec<Response> = (0..6)
        .map(|number| listen_with(&host, "/test", &[("User-Agent", &format!("player {number}"))]))
        .collect();
    let mut kept = {
        let request = "GET /test HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kept\r\n\r\n";
        over_kept_connection(host.listeners(), request).1
    };
    for listener in &mut listeners {
        hear(&mut listener.body, 8_000);
    }
    let id = id_of(&host, "/test", "player 3");
    // A number of another stream is nobody's here.
    assert_eq!(
        admin(&host, &format!("/admin/killclient?mount=/test&id={id}")),
        outcome(&format!("Client {id} removed"), 1)
    );
    let mut closed = listeners.remove(3);
    let rest = closed.body.read_to_end(1_000_000);
    assert!(frames().scan(&rest).is_continuous());
    assert_eq!(
        admin(&host, &format!("/admin/killclient?mount=/test&id={id}")),
        outcome(&format!("Client {id} not found"), 0)
    );
    let names = texts(&admin(&host, "/admin/listclients?mount=/test"), "UserAgent");
    assert_eq!(names, ["player 0", "player 1", "player 2", "player 4", "player 5", "kept"]);
    for listener in &mut listeners {
        let report = frames().scan(&listener.body.read_exact(32_000));
        assert!(report.is_continuous(), "{report:?}");
    }

    let id = id_of(&host, "/test", "kept");
    admin(&host, &format!("/admin/killclient?mount=/test&id={id}"));
    let report = frames().scan(&kept.read_to_end(1_000_000));
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    assert_eq!(texts(&admin(&host, "/admin/listclients?mount=/test"), "Listeners"), ["5"]);
}

#[test]
fn killsource_ends_the_source_that_is_on_air_and_leaves_a_fallback_alone() {
    let host = Host::with_stream(json!({"fallback": "builtin:programme"}));
    wait_for_buffer(&host, "test", 1.0);
    let refused = outcome("The fallback cannot be removed", 0);
    assert_eq!(admin(&host, "/admin/killsource?mount=/test"), refused);
    let mut live = source(&host);
    live.send(&frames().bytes(0..20)).unwrap();
    eventually(DEADLINE, || {
        let agent = texts(&admin(&host, "/admin/stats?mount=/test"), "user_agent");
        (agent == ["testkit"]).then_some(())
    });
    assert_eq!(admin(&host, "/admin/killsource?mount=/test"), outcome("Source Removed", 1));
    assert!(live.is_closed_within(DEADLINE));
    eventually(DEADLINE, || {
        let agent = texts(&admin(&host, "/admin/stats?mount=/test"), "user_agent");
        (agent == ["StreamMachine"]).then_some(())
    });
}

#[test]
fn moved_listeners_keep_their_connection_and_go_on_with_the_other_stream() {
    let host = two_streams();
    // Far apart in their numbers, so that each frame tells its stream.
    const B_FIRST: u32 = 500_000;
    let start = |mount: &str, first: u32| {
        let mut source = connect(&host, SourceOptions::new(mount, PASSWORD));
        source.send(&frames().bytes(first..first + count(4))).unwrap();
        wait_for_buffer(&host, mount.trim_start_matches('/'), 3.5);
        source.send_paced(frames(), first + count(4))
    };
    let (a, _b) = (start("/a", 0), start("/b", B_FIRST));
    let listing = admin(&host, "/admin/moveclients?mount=/a");
    assert_eq!(texts(&listing, "current_source"), ["/a"]);
    let mut moved = listen_with(&host, "/a", &[("User-Agent", "moved")]);
    let mut stays = listen_with(&host, "/b", &[("User-Agent", "stays")]);
    let before = hear(&mut moved.body, 10_000);
    assert!(before.last.unwrap() < B_FIRST);
    let message = outcome("Clients moved from /a to /b", 1);
    assert_eq!(admin(&host, "/admin/moveclients?mount=/a&destination=/b"), message);
    let heard = moved.body.read_until(DEADLINE, |bytes| {
        frames().scan(bytes).last.is_some_and(|last| last > B_FIRST + count(5))
    });
    let report = frames().scan(&heard);
    assert_eq!((report.junk_bytes, report.breaks.len()), (0, 1), "{report:?}");
    assert!(report.breaks[0].after < a.next_frame() && report.breaks[0].next > B_FIRST, "{report:?}");
    let names = |mount: &str| texts(&admin(&host, &format!("/admin/listclients?mount={mount}")), "UserAgent");
    assert_eq!((names("/a"), names("/b")), (vec![], vec!["moved".to_owned(), "stays".to_owned()]));
    assert_eq!((&status(&host, "a")["listeners"], &status(&host, "b")["listeners"]), (&json!(0), &json!(2)));
    hear(&mut stays.body, 16_000);
    // It can still be closed.
    let id = id_of(&host, "/b", "moved");
    admin(&host, &format!("/admin/killclient?mount=/b&id={id}"));
    moved.body.read_to_end(1_000_000);
}

#[test]
fn listeners_of_a_stream_without_a_source_can_be_moved_but_not_to_another_codec() {
    let stream = json!({"source_password": PASSWORD, "burst": 1});
    let aac = merge(stream.clone(), json!({"format": "aac"}));
    let host = Host::start(json!({"streams": {"a": stream, "b": stream, "c": aac}}));
    let mut waits = listen(&host, "/a");
    let _c = connect(&host, SourceOptions::new("/c", PASSWORD).header("Content-Type", "audio/aac"));
    let mut b = connect(&host, SourceOptions::new("/b", PASSWORD));
    wait_for_sources(&host, "b", 1);
    wait_for_sources(&host, "c", 1);
    let mut refused = get(&host, "/admin/moveclients?mount=/a&destination=/c", &[]);
    assert!(refused.read_text().contains("400 - The destination has another codec"));
    admin(&host, "/admin/moveclients?mount=/a&destination=/b");
    eventually(DEADLINE, || (status(&host, "b")["listeners"] == 1).then_some(()));
    b.send(&frames().bytes(0..count(3))).unwrap();
    hear(&mut waits.body, 16_000);
}

#[test]
fn pages_of_other_origins_change_nothing() {
    let host = Host::with_stream(json!({"burst": 1}));
    let _source = on_air(&host, 2);
    let mut listener = listen_with(&host, "/test", &[("User-Agent", "x")]);
    let id = id_of(&host, "/test", "x");
    for header in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        for command in [format!("killclient?mount=/test&id={id}"), "killsource?mount=/test".to_owned()] {
            assert_eq!(get(&host, &format!("/admin/{command}"), &[header]).status, 403, "{command}");
        }
    }
    hear(&mut listener.body, 16_000);
}
