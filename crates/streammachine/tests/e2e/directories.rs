//! Directories are told of streams while a source is on air: what they hear, and what becomes of those that answer badly.

use serde_json::json;
use testkit::directory::{Directory, Mood};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, count, frames, listen, merge, on_air, set_title, source, status, test_stream, wait_for_sources,
};

/// A server whose stream `/test` is public and listed in `directories`.
#[track_caller]
fn listed_in(directories: &[&Directory]) -> Host {
    let urls: Vec<_> = directories.iter().map(|directory| directory.url()).collect();
    let stream = json!({
        "name": "Rädio & Co", "genre": "Talk", "description": "All day", "url": "http://radio.example/", "burst": 1,
        "host": "radio.example:8000", "public": true, "directories": urls,
    });
    Host::start(merge(test_stream(stream), json!({"limits": {"listeners_max": 50}})))
}

/// The actions that the directory was called for.
fn actions(directory: &Directory) -> Vec<String> {
    directory.calls().iter().map(|call| call.get("action").to_owned()).collect()
}

#[test]
fn a_directory_hears_of_a_source_its_title_and_its_end() {
    let (directory, other) = (Directory::start("200"), Directory::start("60"));
    let host = listed_in(&[&directory, &other]);
    // Nothing is told of a stream without a source.
    assert_eq!(status(&host, "test")["listeners"], 0);
    assert_eq!(directory.calls(), []);
    let source = on_air(&host, 2);
    let added = &directory.wait_for(1)[0];
    let expected = json!({
        "action": "add", "sn": "Rädio & Co", "genre": "Talk", "cpswd": "", "desc": "All day",
        "url": "http://radio.example/", "listenurl": "http://radio.example:8000/test", "type": "audio/mpeg",
        "stype": "", "b": "64", "samplerate": "44100", "channels": "2",
        "audioinfo": "ice-samplerate=44100;ice-channels=2;ice-bitrate=64",
    });
    assert_eq!(serde_json::to_value(&added.fields).unwrap(), expected);
    set_title(&host, "Björk – Jóga; 100 %");
    let _listener = listen(&host, "/test");
    eventually(DEADLINE, || (status(&host, "test")["listeners"] == 1).then_some(()));

    for directory in [&directory, &other] {
        let touched = &directory.wait_for(2)[1];
        let told = ["action", "st", "listeners", "max_listeners"].map(|name| touched.get(name).to_owned());
        assert_eq!(told, ["touch", "Björk – Jóga; 100 %", "1", "50"]);
    }
    drop(source);
    wait_for_sources(&host, "test", 0);
    for directory in [&directory, &other] {
        let calls = directory.wait_for(3);
        assert_eq!((calls[2].get("action"), calls[2].get("sid")), ("remove", calls[1].get("sid")));
        directory.assert_flawless();
        assert!(directory.listed().is_empty());
    }
    assert_eq!(actions(&directory), ["add", "touch", "remove"]);
    // Who knows the id of an entry can take it out.
    assert!(!host.logs().contains(directory.calls()[1].get("sid")), "{}", host.logs());
}

#[test]
fn a_server_that_ends_takes_its_streams_out() {
    let (directory, silent) = (Directory::start("200"), Directory::start("200"));
    silent.treat_next([Mood::Fair, Mood::Silent]);
    let mut host = listed_in(&[&directory, &silent]);
    let _source = on_air(&host, 2);
    directory.wait_for(1);
    silent.wait_for(1);
    assert!(host.terminate().success(), "{}", host.logs());
    assert_eq!(actions(&directory), ["add", "remove"]);
    assert_eq!(actions(&silent), ["add", "remove"]);
    directory.assert_flawless();
    assert!(directory.listed().is_empty());
    assert!(host.logs().contains("directories were not told in time"), "{}", host.logs());
}

#[test]
fn a_refusal_is_told_with_its_reason_and_harms_nobody() {
    let (strict, broken, endless) =
        (Directory::start("200"), Directory::start("200"), Directory::start("200"));
    strict.treat_next([Mood::Refuse("the listen url is not reachable")]);
    broken.treat_next([Mood::Say(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_vec())]);
    endless.treat_next([Mood::Endless]);
    let host = listed_in(&[&strict, &broken, &endless]);
    let mut source = source(&host);
    source.send(&frames().bytes(0..count(3))).unwrap();
    for (directory, reason) in [
        (&strict, "refused: the listen url is not reachable"),
        (&broken, "the answer is 502 Bad Gateway"),
        (&endless, "no answer: "),
    ] {
        let line = host.wait_for_log(&directory.url());
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
        assert_eq!(actions(directory), ["add"]);
    }
    listen(&host, "/test").body.read_exact(1000);
}

#[test]
fn a_stream_that_is_not_public_and_one_on_its_fallback_are_not_told_of() {
    let directory = Directory::start("200");
    let stream = |public: bool, fallback: Option<&str>| {
        json!({"source_password": "x", "public": public, "directories": directory.url(), "host": "radio.example",
            "fallback": fallback})
    };
    let host = Host::start(json!({"streams": {
        "test": {"source_password": crate::harness::PASSWORD, "directories": directory.url(), "host": "radio.example"},
        "spare": stream(true, Some("builtin:programme")),
        "told": merge(stream(true, None), json!({"source": "test"})),
    }}));
    wait_for_sources(&host, "spare", 1);
    let _source = on_air(&host, 2);
    // The stream that is told of hears the same source as the one that is not.
    let calls = directory.wait_for(2);
    let told: Vec<_> = calls.iter().map(|call| call.get("action")).collect();
    assert_eq!((told, calls[0].get("listenurl")), (vec!["add", "touch"], "http://radio.example/told"));
    let unsaid = ["sn", "genre", "desc", "url"].map(|name| calls[0].get(name));
    assert_eq!(unsaid, ["told", "various", "", ""]);
    assert_eq!(directory.listed(), ["http://radio.example/told"]);
}
