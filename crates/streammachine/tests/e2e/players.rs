//! Real players, as listeners run them: what they write are the frames that were sent, what they decode is the tone that
//! was sent, live and rewound, and those that show a title show the right one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::programs::unprivileged;
use testkit::source::SourceOptions;
use testkit::tone;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{Host, PASSWORD, connect, count, frames, on_air, wait_for_buffer};
use crate::programs::{TITLE, ffmpeg, program, required, succeed};

/// Live, and from three seconds ago.
const LIVE_AND_REWOUND: [&str; 2] = ["/test", "/test?offset=3"];
/// What a player must get, in seconds: more than the burst, so that it goes on as the source does.
const HEARD_SECONDS: u64 = 3;

/// A server whose `/test` has a title and a burst of two seconds.
fn titled() -> Host {
    Host::with_stream(json!({"meta_interval": 1000, "burst": 2, "metaTitle": TITLE}))
}

/// Encodes a tone of ten seconds, each frame by itself, and sends it over and over, after five seconds of it at once.
fn tone_on_air(host: &Host, directory: &TempDir) -> Process {
    let (wav, mp3) = (directory.path().join("tone.wav"), directory.path().join("tone.mp3"));
    fs::write(&wav, tone::wav(10)).expect("a new directory takes a file");
    let mut encoder = required("ffmpeg");
    encoder.args(["-nostdin", "-loglevel", "error", "-i"]).arg(wav);
    encoder.args(["-c:a", "libmp3lame", "-b:a", "64k", "-reservoir", "0", "-write_xing", "0"]);
    encoder.args(["-id3v2_version", "0"]).arg(&mp3);
    succeed(encoder);
    let mut source = connect(host, SourceOptions::new("/test", PASSWORD));
    let audio = fs::read(&mp3).expect("ffmpeg has written its output");
    source.send(&audio[..frames().position(count(5)) as usize]).expect("the server takes audio");
    source.close();
    wait_for_buffer(host, "test", 4.5);
    let source = Process::start_group(ffmpeg(host, "test", PASSWORD, &mp3, &[]));
    wait_for_buffer(host, "test", 5.5);
    source
}

/// Starts a player live and one rewound, each with a directory of its own for its file `name`.
fn start_both(
    host: &Host,
    directory: &TempDir,
    name: &str,
    command: impl Fn(&Host, &str, &Path) -> Option<Command>,
) -> Vec<(Process, PathBuf)> {
    let start = |(number, target): (usize, &&str)| {
        let home = directory.path().join(number.to_string());
        fs::create_dir(&home).expect("a new directory takes another");
        let file = home.join(name);
        Some((Process::start_group(command(host, target, &file)?), file))
    };
    LIVE_AND_REWOUND.iter().enumerate().filter_map(start).collect()
}

/// Runs players that write what they receive to a file, until the frames of [`HEARD_SECONDS`] are there. Players that show
/// it must show `shown`.
#[track_caller]
fn assert_frames_written(shown: &str, command: impl Fn(&Host, &str, &Path) -> Option<Command>) {
    let directory = TempDir::new().expect("a directory is made");
    let host = titled();
    let _source = on_air(&host, 5);
    let bytes = frames().position(count(HEARD_SECONDS));
    for (mut player, file) in start_both(&host, &directory, "heard.mp3", command) {
        eventually(DEADLINE, || fs::metadata(&file).is_ok_and(|file| file.len() >= bytes).then_some(()));
        player.kill();
        player.wait(DEADLINE);
        assert!(player.output().contains(shown), "no {shown} in {}", player.output());
        let heard = frames().scan(&fs::read(&file).expect("what was written is there"));
        assert!(heard.is_continuous() && heard.leading_bytes == 0, "{heard:?}");
    }
}

/// Runs players that decode to a WAV file, until [`HEARD_SECONDS`] of the tone are there. They must show `shown`.
#[track_caller]
fn assert_tone_decoded(shown: &str, command: impl Fn(&Host, &str, &Path) -> Option<Command>) {
    let directory = TempDir::new().expect("a directory is made");
    let host = titled();
    let _source = tone_on_air(&host, &directory);
    let heard = |file: &Path| tone::samples_of_wav(&fs::read(file).ok()?).map(tone::hear);
    for (mut player, file) in start_both(&host, &directory, "heard.wav", command) {
        eventually(DEADLINE, || heard(&file)?.is_tone(HEARD_SECONDS as f64).then_some(()));
        player.kill();
        player.wait(DEADLINE);
        assert!(player.output().contains(shown), "no {shown} in {}", player.output());
    }
}

#[test]
fn wget_writes_whole_frames_in_a_row() {
    assert_frames_written("", |host, target, file| {
        let mut command = program("wget")?;
        command.arg("--quiet").arg("-O").arg(file).arg(format!("http://{}{target}", host.listeners()));
        Some(command)
    });
}

/// VLC, which writes what it plays to `file`.
pub fn vlc(host: &Host, target: &str, file: &Path) -> Option<Command> {
    let mut command = program("cvlc")?;
    command.args(["--no-color", "-vv", "--play-and-exit"]);
    command.arg(format!("http://{}{target}", host.listeners())).arg("--sout");
    command.arg(format!("#std{{access=file,mux=raw,dst={}}}", file.display()));
    let home = file.parent().expect("a file is in a directory");
    unprivileged(&mut command, home);
    // As another user it must get through to there.
    let above = home.parent().expect("a directory of a test is not the root");
    fs::set_permissions(above, Permissions::from_mode(0o755)).expect("the directory is ours");
    Some(command)
}

/// It asks twice: once without ICY, and as it finds `icy-name`, once more.
#[test]
fn vlc_writes_whole_frames_and_shows_the_title() {
    assert_frames_written(&format!("New Icy-Title={TITLE}"), vlc);
}

#[test]
fn vlc_ends_with_the_end_of_a_span() {
    let directory = TempDir::new().unwrap();
    let host = titled();
    let _source = on_air(&host, 5);
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let file = home.join("heard.mp3");
    let Some(command) = vlc(&host, "/test?pump=3", &file) else { return };
    succeed(command);
    let heard = frames().scan(&fs::read(&file).unwrap());
    assert!(heard.is_continuous() && heard.leading_bytes == 0, "{heard:?}");
    assert!((count(2)..=count(4)).contains(&(heard.frames as u32)), "{heard:?}");
}

#[test]
fn gstreamer_writes_whole_frames_and_shows_the_title() {
    assert_frames_written(&format!("title: {TITLE}"), |host, target, file| {
        let mut command = program("gst-launch-1.0")?;
        command.args(["--tags", "souphttpsrc", "iradio-mode=true"]);
        command.arg(format!("location=http://{}{target}", host.listeners()));
        command.args(["!", "icydemux", "!", "filesink", "buffer-mode=unbuffered"]);
        command.arg(format!("location={}", file.display()));
        Some(command)
    });
}

#[test]
fn streamripper_writes_whole_frames_and_shows_the_title() {
    assert_frames_written(TITLE, |host, target, file| {
        let mut command = program("streamripper")?;
        command.arg(format!("http://{}{target}", host.listeners()));
        command.arg("-d").arg(file.parent()?).args(["-a", "heard", "-A", "-s", "-l", "4"]);
        command.args(["--codeset-metadata=UTF-8", "--codeset-filesys=UTF-8"]).env("LC_ALL", "C.UTF-8");
        Some(command)
    });
}

#[test]
fn mpg123_decodes_the_tone_and_shows_the_title() {
    assert_tone_decoded(&format!("ICY-META: StreamTitle='{TITLE}'"), |host, target, file| {
        let mut command = program("mpg123")?;
        command.arg("-w").arg(file).arg(format!("http://{}{target}", host.listeners()));
        command.env("LC_ALL", "C.UTF-8");
        Some(command)
    });
}

#[test]
fn mplayer_decodes_the_tone_and_shows_the_title() {
    assert_tone_decoded(&format!("ICY Info: StreamTitle='{TITLE}'"), |host, target, file| {
        let mut command = program("mplayer")?;
        command.args(["-nolirc", "-noconsolecontrols", "-nocache", "-vo", "null", "-ao"]);
        command
            .arg(format!("pcm:file={}", file.display()))
            .arg(format!("http://{}{target}", host.listeners()));
        Some(command)
    });
}

#[test]
fn ffmpeg_decodes_the_tone() {
    assert_tone_decoded("", |host, target, file| {
        let mut command = required("ffmpeg");
        command
            .args(["-nostdin", "-loglevel", "error", "-i"])
            .arg(format!("http://{}{target}", host.listeners()));
        command.args(["-flush_packets", "1"]).arg(file);
        Some(command)
    });
}

#[test]
fn curl_hears_whole_frames_in_a_row() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 5);
    let file = directory.path().join("heard.mp3");
    let mut command = required("curl");
    command.args(["-sS", "--fail", "--no-buffer", "--output"]).arg(&file);
    command.arg(format!("http://{}/test", host.listeners()));
    let player = Process::start(command);
    // More than the burst: it goes on as the source does.
    let bytes = frames().position(count(7));
    eventually(DEADLINE, || fs::metadata(&file).is_ok_and(|file| file.len() >= bytes).then_some(()));
    drop(player);
    let heard = frames().scan(&fs::read(&file).unwrap());
    assert!(heard.is_continuous() && heard.leading_bytes == 0, "{heard:?}");
}

#[test]
fn ffprobe_finds_the_format_and_the_title() {
    let host =
        Host::with_stream(json!({"meta_interval": 1000, "name": "Rädio", "metaTitle": "Björk - It's Jóga"}));
    let _source = on_air(&host, 5);
    let mut command = required("ffprobe");
    command.args(["-loglevel", "error", "-of", "default=noprint_wrappers=1", "-show_entries"]);
    command.arg("stream=codec_name,sample_rate,channels,bit_rate:format_tags=icy-name,icy-br,StreamTitle");
    command.arg(format!("http://{}/test", host.listeners()));
    let probe = succeed(command);
    assert_eq!(probe.stderr(), "");
    let found = probe.stdout();
    for line in [
        "codec_name=mp3",
        "sample_rate=44100",
        "channels=2",
        "bit_rate=64000",
        "TAG:icy-name=Rädio",
        "TAG:icy-br=64",
        "TAG:StreamTitle=Björk - It's Jóga",
    ] {
        assert!(found.lines().any(|known| known == line), "no {line} in\n{found}");
    }
}

#[test]
fn mpv_plays() {
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 5);
    for (target, end) in [("/test", "2"), ("/test?offset=4", "2"), ("/test?pump=2", "100")] {
        let mut command = required("mpv");
        command.args(["--no-config", "--ao=null", "--no-video", "--term-status-msg="]);
        command.arg(format!("--length={end}")).arg(format!("http://{}{target}", host.listeners()));
        let player = succeed(command);
        let output = player.stdout();
        assert!(output.contains("AO: [null] 44100Hz stereo"), "{target}: {}", player.output());
        assert!(output.contains("Exiting... (End of file)"), "{target}: {}", player.output());
    }
}
