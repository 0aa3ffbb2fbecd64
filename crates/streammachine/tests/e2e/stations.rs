//! What is told of a station: what is set, else what the encoder on air announced.

use serde_json::{Value, json};
use testkit::directory::Directory;
use testkit::source::{SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, connect, frames, line, listen, page, set_title, status, wait_for_frame, wait_for_sources,
};

const ANNOUNCED: [(&str, &str); 4] = [
    ("ice-name", "Rädio <of> & \"Ben\""),
    ("icy-genre", "Jazz"),
    ("X-Audiocast-URL", "http://ben.example/"),
    ("Ice-Description", "All night"),
];

/// A source with these headers that has sent a hundred frames from `first` on, and is on air.
#[track_caller]
fn announcing(host: &Host, headers: &[(&str, &str)], first: u32) -> SourceClient {
    let mut options = SourceOptions::new("/test", PASSWORD);
    for (name, value) in headers {
        options = options.header(name, value);
    }
    let mut source = connect(host, options);
    source.send(&frames().bytes(first..first + 100)).expect("the server takes audio");
    wait_for_frame(host, "test", first + 98);
    source
}

/// `icy-name`, `icy-genre`, `icy-url` and `icy-description` as listeners get them.
#[track_caller]
fn told(host: &Host) -> [Option<String>; 4] {
    let listener = listen(host, "/test");
    ["icy-name", "icy-genre", "icy-url", "icy-description"]
        .map(|name| listener.header(name).map(str::to_owned))
}

fn texts(texts: [&str; 4]) -> [Option<String>; 4] {
    texts.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

#[test]
fn what_the_encoder_announces_is_told_everywhere() {
    let directory = Directory::start("200");
    let host = Host::with_stream(
        json!({"public": true, "directories": [directory.url()], "host": "radio.example", "burst": 1}),
    );
    let source = announcing(&host, &ANNOUNCED, 0);
    let [name, genre, url, description] = ANNOUNCED.map(|(_, text)| text);
    assert_eq!(told(&host), texts([name, genre, url, description]));

    let streams: Value = serde_json::from_str(&page(&host, "/streams.json").1).unwrap();
    assert_eq!(streams[0]["name"], name);
    assert!(page(&host, "/test.m3u").1.contains(&format!(",{name}\r\n")), "{}", page(&host, "/test.m3u").1);
    assert!(page(&host, "/test.xspf").1.contains("<title>Rädio &lt;of&gt; &amp; "));

    let icecast: Value = serde_json::from_str(&page(&host, "/status-json.xsl").1).unwrap();
    let shown = ["server_name", "genre", "server_url", "server_description"]
        .map(|name| icecast["icestats"]["source"][name].clone());
    assert_eq!(shown, [name, genre, url, description].map(Value::from));
    let shoutcast: Value = serde_json::from_str(&page(&host, "/stats?sid=1&json=1").1).unwrap();
    let shown = ["servertitle", "servergenre", "serverurl"].map(|name| shoutcast[name].clone());
    assert_eq!(shown, [name, genre, url].map(Value::from));

    let entry = &directory.wait_for(1)[0];
    assert_eq!(["sn", "genre", "url", "desc"].map(|field| entry.get(field)), [name, genre, url, description]);

    source.close();
    wait_for_sources(&host, "test", 0);
    assert_eq!(told(&host), texts(["test", "", "", ""]));
}

#[test]
fn each_setting_wins_over_what_is_announced() {
    let host = Host::with_stream(json!({"name": "Set", "genre": "", "metaUrl": "http://set.example/"}));
    let _source = announcing(&host, &ANNOUNCED, 0);
    assert_eq!(told(&host), texts(["Set", "Jazz", "http://set.example/", "All night"]));
}

#[test]
fn without_a_name_of_the_station_it_is_the_title_as_the_original_has_it() {
    let host = Host::with_stream(json!({}));
    let _source = announcing(&host, &[("ice-name", "no name")], 0);
    assert_eq!(told(&host), texts(["test", "", "", ""]));
    set_title(&host, "A song");
    assert_eq!(told(&host), texts(["A song", "", "", ""]));
}

#[test]
fn a_source_that_waits_announces_nothing_yet() {
    let host = Host::with_stream(json!({}));
    let first = announcing(&host, &[("ice-name", "First")], 0);
    let options = SourceOptions::new("/test", PASSWORD).header("ice-name", "Second");
    let mut second = connect(&host, options);
    second.send(&frames().bytes(1000..1100)).unwrap();
    eventually(DEADLINE, || (line(&host, "test").get(1)?["bytes"].as_u64()? > 10_000).then_some(()));
    assert_eq!(told(&host)[0].as_deref(), Some("First"));
    first.close();
    wait_for_sources(&host, "test", 1);
    assert_eq!(told(&host)[0].as_deref(), Some("Second"));
}

#[test]
fn a_name_is_text_whatever_the_encoder_sends() {
    let host = Host::with_stream(json!({}));
    let long = format!("{}\u{202e}\u{85}x", "é".repeat(2000));
    let _source = announcing(&host, &[("ice-name", &long)], 0);
    assert_eq!(told(&host)[0], Some("é".repeat(1000)));
    assert_eq!(status(&host, "test")["source"]["sources"][0]["announced"]["name"], "é".repeat(1000));
}
