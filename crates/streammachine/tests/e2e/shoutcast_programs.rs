//! Real encoders that speak SHOUTcast v1: what they send is heard, their titles are heard in the right characters, and
//! what they are refused they understand.
//!
//! DarkIce is not among them: as Debian builds it, it sends no password line in this mode.

use std::net::TcpListener;

use serde_json::json;
use tempfile::TempDir;
use testkit::wait::{DEADLINE, eventually};

use crate::encoders::{
    assert_complaints, assert_heard_live, assert_kept, assert_liquidsoap_kept, ezstream, liquidsoap, vlc,
};
use crate::harness::{Host, PASSWORD, frames, merge, test_stream};
use crate::programs::{TITLE, succeed, wait_for_title, write_audio};
use crate::studio::{assert_butt_complains, assert_butt_heard};

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
    assert_liquidsoap_kept(&two_ports(), "icy");
}

#[test]
fn the_sound_and_the_title_of_butt_are_heard() {
    assert_butt_heard(&two_ports(), 0);
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
    assert_complaints(&host, encoders);
}

#[test]
fn a_wrong_password_is_what_butt_complains_of() {
    assert_butt_complains(&two_ports(), 0, "Connect: Invalid password!");
}
