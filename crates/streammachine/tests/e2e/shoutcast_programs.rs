//! Real encoders that speak SHOUTcast v1: what they send is heard, their titles are heard in the right characters, and
//! what they are refused they understand.
//!
//! DarkIce is not among them: as Debian builds it, it sends no password line in this mode.

use std::fs;
use std::net::TcpListener;

use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::tone;
use testkit::wait::{DEADLINE, eventually};

use crate::encoders::{assert_heard_live, assert_kept, ezstream, liquidsoap, vlc};
use crate::harness::{Host, PASSWORD, frames, merge, pump_all, status, test_stream, wait_for_sources};
use crate::programs::{TITLE, decode, succeed, wait_for_title, write_audio};
use crate::studio::{Studio, assert_butt_heard, butt};

/// A server with a second source port behind the first: Liquidsoap and BUTT send their audio there, and their titles to
/// the first. Any free port will not do for that.
#[track_caller]
fn two_ports() -> Host {
    let port = eventually(DEADLINE, || {
        let second = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = second.local_addr().expect("a bound socket has an address").port() - 1;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    let stream = json!({"meta_interval": 1000, "burst": 30});
    Host::start(merge(test_stream(stream), json!({"source_port": port})))
}

#[test]
fn all_frames_and_the_title_of_ezstream_are_kept() {
    let directory = TempDir::new().unwrap();
    let host = two_ports();
    let file = write_audio(&directory, &format!("{TITLE}.mp3"), frames(), 2);
    succeed(ezstream(&host, &directory, "ICY", PASSWORD, &file));
    assert_kept(&host, "test", frames(), 2);
    wait_for_title(&host);
}

/// SHOUTcast is what it tries first.
#[test]
fn vlc_is_heard_from_its_first_frame_on() {
    let directory = TempDir::new().unwrap();
    let host = two_ports();
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let Some(command) = vlc(&host, &directory, PASSWORD, &file) else { return };
    assert_heard_live(&host, "test", frames(), command);
    assert!(!host.logs().contains("source refused"), "{}", host.logs());
}

/// It sends its titles in Latin-1 and does not say so.
#[test]
fn the_tone_and_the_title_of_liquidsoap_are_kept() {
    let directory = TempDir::new().unwrap();
    let host = two_ports();
    let file = directory.path().join("tone.wav");
    fs::write(&file, tone::wav(2)).unwrap();
    let Some(command) = liquidsoap(&host, &directory, "icy", PASSWORD, &file) else { return };
    succeed(command);
    wait_for_sources(&host, "test", 0);
    let heard = tone::hear(&decode(&directory, &pump_all(&host)));
    assert!(heard.is_tone(1.7), "{heard:?}");
    wait_for_title(&host);
}

#[test]
fn the_sound_and_the_title_of_butt_are_heard() {
    let host = two_ports();
    let Some(studio) = Studio::start() else { return };
    let Some(command) = butt(&studio, &host, 0, PASSWORD) else { return };
    let _encoder = Process::start_group(command);
    assert_butt_heard(&studio, &host);
}

#[test]
fn a_wrong_password_is_what_encoders_complain_of() {
    let directory = TempDir::new().unwrap();
    let host = two_ports();
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let encoders = [
        (Some(ezstream(&host, &directory, "ICY", "wrong", &file)), "Login failed", 1),
        (liquidsoap(&host, &directory, "icy", "wrong", &file), "refused: ", 3),
    ];
    let started: Vec<_> = encoders
        .into_iter()
        .filter_map(|(command, complaint, code)| Some((Process::start_group(command?), complaint, code)))
        .collect();
    for (mut process, complaint, code) in started {
        let end = process.wait(DEADLINE);
        assert!(process.output().contains(complaint), "{}", process.output());
        assert_eq!(end.code(), Some(code), "{}", process.output());
    }
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}

/// It stays, with its complaint in its window and its log.
#[test]
fn a_wrong_password_is_what_butt_complains_of() {
    let host = two_ports();
    let Some(studio) = Studio::start() else { return };
    let Some(command) = butt(&studio, &host, 0, "wrong") else { return };
    let _encoder = Process::start_group(command);
    eventually(DEADLINE, || studio.log().contains("Connect: Invalid password!").then_some(()));
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}
