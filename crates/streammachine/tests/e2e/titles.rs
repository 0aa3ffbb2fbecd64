//! Titles in the audio: after exactly so many bytes, what was played at that place, said once.

use serde_json::{Value, json};
use testkit::connection::Connection;
use testkit::listener::Response;
use testkit::wait::DEADLINE;

use crate::harness::{
    Host, PASSWORD, content_start_us, count, frames, listen, listen_with, on_air, over_kept_connection, play,
    set_title,
};

const ICY: &[(&str, &str)] = &[("Icy-MetaData", "1")];
const METAINTS: [usize; 6] = [1, 16, 1000, 16_000, 65_536, 1_000_000];

/// `audio` as an ICY listener gets it, if its title is `text` all the time.
fn framed(audio: &[u8], metaint: usize, text: &str) -> Vec<u8> {
    let mut block = text.as_bytes().to_vec();
    block.resize(text.len().next_multiple_of(16), 0);
    block.insert(0, (block.len() / 16) as u8);
    let mut out = Vec::new();
    for (number, run) in audio.chunks(metaint).enumerate() {
        match number {
            0 => {}
            1 => out.extend(&block),
            _ => out.push(0),
        }
        out.extend(run);
    }
    out
}

/// A server whose streams `m1`, `m16`, … share the mount `/test` and differ in their metaint; 12 s of audio.
fn server_of_metaints() -> Host {
    let stream = |metaint: usize| {
        let stream = json!({
            "source": "test", "meta_interval": metaint, "burst": 10, "metaTitle": "Søren – Títle",
            "metaUrl": "http://radio.example/",
        });
        (format!("m{metaint}"), stream)
    };
    let mut streams = serde_json::Map::from_iter(METAINTS.map(stream));
    streams.insert("test".to_owned(), json!({}));
    let host =
        Host::start(json!({"streams": Value::Object(streams), "sources": {"test": {"password": PASSWORD}}}));
    play(&host, 0..count(12));
    host
}

#[test]
fn blocks_come_after_exactly_metaint_bytes_and_the_first_holds_the_title() {
    let host = server_of_metaints();
    for metaint in METAINTS {
        let audio = listen(&host, &format!("/m{metaint}?pump=10")).read_body();
        let expected =
            framed(&audio, metaint, "StreamTitle='Søren – Títle';StreamUrl='http://radio.example/';");
        let mut listener = listen_with(&host, &format!("/m{metaint}"), ICY);
        assert_eq!(listener.header("icy-metaint"), Some(metaint.to_string().as_str()));
        assert!(listener.body.read_exact(expected.len()) == expected, "metaint {metaint}");
    }
}

#[test]
fn a_kept_connection_gets_the_same_blocks() {
    let host = server_of_metaints();
    for metaint in METAINTS {
        let target = format!("/m{metaint}");
        let mut fast = listen_with(&host, &target, ICY);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nIcy-MetaData: 1\r\n\r\n");
        let (head, mut slow) = over_kept_connection(host.listeners(), &request);
        for (name, value) in
            fast.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-content-behind"))
        {
            assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{name} is not in {head}");
        }
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        let bytes = 70_000;
        assert!(slow.read_exact(bytes) == fast.body.read_exact(bytes), "metaint {metaint}");
    }
}

#[test]
fn a_narrow_connection_gets_every_byte_in_its_place() {
    let host = server_of_metaints();
    for metaint in [1, 16, 1000] {
        let audio = listen(&host, &format!("/m{metaint}?pump=10")).read_body();
        let expected =
            framed(&audio, metaint, "StreamTitle='Søren – Títle';StreamUrl='http://radio.example/';");
        let request = format!("GET /m{metaint} HTTP/1.1\r\nHost: localhost\r\nIcy-MetaData: 1\r\n\r\n");
        for first in ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            // Writes are cut anywhere: in audio, in lengths, in blocks.
            let mut narrow = Connection::open_small(host.listeners(), 512);
            narrow.send(format!("{first}{request}").as_bytes()).unwrap();
            if !first.is_empty() {
                narrow.read_head().unwrap();
                narrow.read_exact(3);
            }
            narrow.read_head().unwrap();
            assert!(narrow.read_exact(expected.len()) == expected, "metaint {metaint} after {first:?}");
        }
    }
}

/// Reads until the listener has met so many titles, then a second more; the titles and the audio's frames.
fn titles(listener: &mut Response, count: usize) -> Vec<String> {
    let mut icy = listener.icy_reader();
    listener.body.read_until(DEADLINE, |bytes| {
        icy = icy_reader_of(bytes);
        icy.titles().len() >= count
    });
    icy.push(&listener.body.read_exact(8_000));
    let report = frames().scan(&icy.audio);
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    icy.titles().into_iter().map(str::to_owned).collect()
}

/// What came with a metaint of 1,000.
fn icy_reader_of(bytes: &[u8]) -> testkit::icy::Reader {
    let mut icy = testkit::icy::Reader::new(1000);
    icy.push(bytes);
    icy
}

#[test]
fn a_change_of_title_is_told_once() {
    let host = Host::with_stream(json!({"burst": 1, "meta_interval": 1000, "metaTitle": "First"}));
    let _source = on_air(&host, 3);
    let mut listener = listen_with(&host, "/test", ICY);
    set_title(&host, "Second");
    // Said again it is no change.
    set_title(&host, "Second");
    assert_eq!(titles(&mut listener, 2), ["First", "Second"]);
}

#[test]
fn without_a_title_the_first_block_says_so() {
    let host = Host::with_stream(json!({"burst": 1, "meta_interval": 1000}));
    play(&host, 0..count(3));
    let mut listener = listen_with(&host, "/test", ICY);
    assert_eq!(listener.header("icy-name"), Some("test"));
    let icy = icy_reader_of(&listener.body.read_exact(4_000));
    assert_eq!(
        icy.blocks.iter().map(|block| block.text.as_str()).collect::<Vec<_>>(),
        ["StreamTitle='';StreamUrl='';"]
    );
}

#[test]
fn a_title_of_any_length_and_script_fits_its_block() {
    let host = Host::with_stream(json!({"burst": 1, "meta_interval": 1000}));
    play(&host, 0..count(3));
    for (title, told) in [
        ("東京事変".to_owned(), "東京事変".to_owned()),
        ("it's; a 'test';StreamUrl='evil';".to_owned(), "it's; a 'test'StreamUrl='evil'".to_owned()),
        ("a\r\nSet-Cookie: b\0c".to_owned(), "a Set-Cookie: b c".to_owned()),
        ("é".repeat(5000), "é".repeat(1000)),
        ("𝄞".repeat(1000), "𝄞".repeat(1000)),
    ] {
        set_title_as(&host, &title, &told);
        let mut listener = listen_with(&host, "/test", ICY);
        assert!(!listener.head.contains("\r\nSet-Cookie"), "{}", listener.head);
        // The block of the longest title has 4,081 bytes.
        let icy = icy_reader_of(&listener.body.read_exact(6_000));
        assert_eq!(icy.titles(), [told]);
        let report = frames().scan(&icy.audio);
        assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    }
}

fn set_title_as(host: &Host, title: &str, told: &str) {
    let body = json!({"StreamTitle": title});
    let (status, answer) = crate::harness::api(host, "POST", "/api/streams/test/metadata", Some(&body));
    assert_eq!((status, answer["StreamTitle"].as_str()), (200, Some(told)));
    testkit::wait::eventually(DEADLINE, || {
        (crate::harness::status(host, "test")["metadata"]["StreamTitle"] == told).then_some(())
    });
    // A title holds from the next audio on.
    let next = frames().scan(&crate::harness::pump_all(host)).last.expect("some audio is there") + 1;
    play(host, next..next + count(3));
}

#[test]
fn titles_of_the_past_are_at_their_places() {
    let host = Host::with_stream(json!({"burst": 60, "meta_interval": 1000, "metaTitle": "One"}));
    let counts = [count(20), count(25), count(30)];
    play(&host, 0..counts[0]);
    set_title(&host, "Two");
    play(&host, counts[0]..counts[1]);
    set_title(&host, "Three");
    play(&host, counts[1]..counts[2]);
    let origin_ms = content_start_us(&listen(&host, "/test?pump=1000")) / 1000;
    // From within the first title, and from within the second.
    for (first, places, told) in [
        (count(10), &counts[..2], &["One", "Two", "Three"][..]),
        (count(22), &counts[1..2], &["Two", "Three"]),
    ] {
        let start_ms = origin_ms + (frames().start_us(first) / 1000) as i64;
        let mut listener = listen_with(&host, &format!("/test?start={start_ms}"), ICY);
        let heard = listener.body.read_until(DEADLINE, |bytes| {
            frames().scan(&icy_reader_of(bytes).audio).last == Some(counts[2] - 1)
        });
        let icy = icy_reader_of(&heard);
        let report = frames().scan(&icy.audio);
        let first = report.first.unwrap();
        report.assert_exactly(first..counts[2]);
        assert_eq!(icy.titles(), told);
        for (block, &place) in icy.blocks[1..].iter().zip(places) {
            let changed = frames().position(place) - frames().position(first);
            assert_eq!(block.audio_bytes, changed.next_multiple_of(1000), "{}", block.text);
        }
    }
}
