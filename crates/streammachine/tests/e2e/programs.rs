//! What the tests of real encoders and players share: their commands, what they send, and how they must end.
//!
//! No test belongs here: those of encoders are in `encoders` and `studio`, those of players in `players` and `browsers`.
//! What all of them say on the wire is checked byte by byte in `sources` and `listeners`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use testkit::audio::{AdtsFrames, Codec, Frames};
use testkit::process::Process;
use testkit::programs::{find_or_skip, require};
use testkit::tone;
use testkit::wait::DEADLINE;

use crate::harness::{Host, PASSWORD, count, listen_with};

/// A title that is not ASCII.
pub const TITLE: &str = "Björk - Jóga";
/// Its artist and its title, for programs that know them apart.
pub const ARTIST_AND_TITLE: [&str; 2] = ["Björk", "Jóga"];
pub fn aac_frames() -> AdtsFrames {
    AdtsFrames::new(64, 44_100, 2)
}

/// A server with the streams `/test` and `/aac`.
pub fn two_streams() -> Host {
    let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 30});
    Host::start(json!({"streams": {"test": stream("mp3"), "aac": stream("aac")}}))
}

/// A server that sends many blocks of metadata.
pub fn titled() -> Host {
    Host::with_stream(json!({"meta_interval": 1000, "burst": 30}))
}

/// A file with the frames of `seconds`.
pub fn write_audio<C: Codec>(directory: &TempDir, name: &str, frames: Frames<C>, seconds: u64) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, frames.bytes(0..count(seconds))).expect("a new directory takes a file");
    path
}

/// The command of a program that must be installed.
#[track_caller]
pub fn required(name: &str) -> Command {
    without_input(require(name))
}

/// The command of a program, or a line that says that its test is skipped.
pub fn program(name: &str) -> Option<Command> {
    find_or_skip(name).map(without_input)
}

fn without_input(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// Runs `command` to its end, and wants it to be content.
#[track_caller]
pub fn succeed(command: Command) -> Process {
    let mut process = Process::start(command);
    let end = process.wait(DEADLINE);
    assert!(end.success(), "{end}\n{}", process.output());
    process
}

/// ffmpeg, which sends `file` to the mount `key` as it is.
pub fn ffmpeg(host: &Host, key: &str, password: &str, file: &Path, options: &[&str]) -> Command {
    let format = if key == "aac" { ["audio/aac", "adts"] } else { ["audio/mpeg", "mp3"] };
    let mut command = required("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(file);
    command.args(["-c", "copy", "-content_type", format[0], "-f", format[1]]).args(options);
    command.arg(format!("icecast://source:{password}@{}/{key}", host.sources()));
    command
}

/// Waits until a listener of all that `/test` holds, and of what comes then, hears [`TITLE`].
#[track_caller]
pub fn wait_for_title(host: &Host) {
    let mut listener = listen_with(host, "/test?offset=1000000", &[("Icy-MetaData", "1")]);
    let mut reader = listener.icy_reader();
    while reader.titles().last() != Some(&TITLE) {
        reader.push(&listener.body.read_exact(1));
    }
}

/// Decodes MPEG audio, and wants every frame of it to be whole: samples as those of [`tone`].
#[track_caller]
pub fn decode(directory: &TempDir, audio: &[u8]) -> Vec<u8> {
    let (input, output) = (directory.path().join("heard.mp3"), directory.path().join("heard.pcm"));
    fs::write(&input, audio).expect("a new directory takes a file");
    let mut command = required("ffmpeg");
    command
        .args(["-nostdin", "-loglevel", "warning", "-xerror", "-err_detect", "explode", "-y", "-i"])
        .arg(input);
    command.args(["-f", "s16le", "-ar", &tone::SAMPLE_RATE_HZ.to_string(), "-ac", "2"]).arg(&output);
    succeed(command);
    fs::read(output).expect("ffmpeg has written its output")
}
