//! Real encoders, as stations run them: what they send is heard frame by frame, their titles are heard in the right
//! characters, and what they are refused they understand.
//!
//! Encoders that record from a sound card are in `studio`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use testkit::audio::{Codec, Frames};
use testkit::process::Process;
use testkit::programs::unprivileged;
use testkit::tone;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, api, count, frames, listen, listen_with, on_air, pump_all, status, wait_for_buffer,
    wait_for_sources,
};
use crate::programs::{
    ARTIST_AND_TITLE, TITLE, aac_frames, decode, ffmpeg, program, required, succeed, titled, two_streams,
    wait_for_title, write_audio,
};

/// GStreamer, which sends `file` to `/test` in real time and sets the title from its tags.
fn gstreamer(host: &Host, password: &str, file: &Path) -> Option<Command> {
    let [artist, title] = ARTIST_AND_TITLE;
    let mut command = program("gst-launch-1.0")?;
    command.args(["-q", "filesrc"]).arg(format!("location={}", file.display()));
    // Behind the parser, whose tags are sent too, the title would be one that it does not know.
    command.args(["!", "taginject"]).arg(format!("tags=title=\"{title}\",artist=\"{artist}\""));
    command.args(["!", "mpegaudioparse"]);
    command
        .args(["!", "shout2send", "mount=/test", "send-title-info=true"])
        .arg(format!("password={password}"));
    command.arg(format!("ip={}", host.sources().ip())).arg(format!("port={}", host.sources().port()));
    Some(command)
}

/// VLC, which sends `file` to `/test` as it is: as Ogg unless told otherwise. It tries SHOUTcast first, then Icecast.
pub fn vlc(host: &Host, directory: &TempDir, password: &str, file: &Path) -> Option<Command> {
    let mut command = program("cvlc")?;
    command.args(["--no-color", "-vv", "--play-and-exit", "--sout-shout-mp3"]).arg(file).arg("--sout");
    command.arg(format!("#std{{access=shout,mux=raw,dst=source:{password}@{}/test}}", host.sources()));
    unprivileged(&mut command, directory.path());
    Some(command)
}

/// Liquidsoap, which encodes `file` and sends it once to `/test` over `http` or `icy`, with [`TITLE`]. It ends with code 3 when it is refused.
pub fn liquidsoap(
    host: &Host,
    directory: &TempDir,
    protocol: &str,
    password: &str,
    file: &Path,
) -> Option<Command> {
    let mut command = program("liquidsoap")?;
    let ([artist, title], address) = (ARTIST_AND_TITLE, host.sources());
    let text = format!(
        "log.stdout.set(true)\n\
         def refused(error)\n print(\"refused: #{{error}}\")\n shutdown(code=3)\n 60.\nend\n\
         source = once(single('annotate:artist=\"{artist}\",title=\"{title}\":{file}'))\n\
         output.icecast(%mp3(bitrate=64), host=\"{}\", port={}, password=\"{password}\", mount=\"/test\",\n\
         protocol=\"{protocol}\", fallible=true, on_stop=shutdown, on_error=refused, source)\n",
        address.ip(),
        address.port(),
        file = file.display(),
    );
    let script = directory.path().join("test.liq");
    fs::write(&script, text).expect("a new directory takes a file");
    command.arg(script);
    unprivileged(&mut command, directory.path());
    Some(command)
}

/// oggfwd, which sends its standard input to `/test` as Ogg.
fn oggfwd(host: &Host, password: &str, file: &Path) -> Option<Command> {
    let (mut command, address) = (program("oggfwd")?, host.sources());
    command.args([&address.ip().to_string(), &address.port().to_string(), password, "/test"]);
    command.stdin(File::open(file).expect("a written file opens"));
    Some(command)
}

/// ezstream, which sends `file` to `/test` once over `HTTP` or `ICY`. Its configuration is that of version 1.
pub fn ezstream(host: &Host, directory: &TempDir, protocol: &str, password: &str, file: &Path) -> Command {
    let (address, file) = (host.sources(), file.display());
    let config = directory.path().join("ezstream.xml");
    let text = format!(
        "<ezstream><servers><server><protocol>{protocol}</protocol><hostname>{}</hostname><port>{}</port><password>{password}</password>\
         <reconnect_attempts>1</reconnect_attempts></server></servers>\
         <streams><stream><mountpoint>/test</mountpoint><format>MP3</format></stream></streams>\
         <intakes><intake><type>file</type><filename>{file}</filename><stream_once>Yes</stream_once></intake>\
         </intakes></ezstream>",
        address.ip(),
        address.port()
    );
    fs::write(&config, text).expect("a new directory takes a file");
    let mut command = required("ezstream");
    command.arg("-v").arg("-c").arg(config);
    command
}

/// Waits until the only source of `key` has ended, and wants its frames of `seconds` to be there, each once.
#[track_caller]
pub fn assert_kept<C: Codec>(host: &Host, key: &str, frames: Frames<C>, seconds: u64) {
    wait_for_sources(host, key, 0);
    let heard = || frames.scan(&listen(host, &format!("/{key}?pump=1000")).read_body());
    eventually(DEADLINE, || (heard().last == Some(count(seconds) - 1)).then_some(()));
    heard().assert_exactly(0..count(seconds));
}

/// Starts `encoder`, and wants a listener to hear its frames from the first on while it is on air.
#[track_caller]
pub fn assert_heard_live<C: Codec>(host: &Host, key: &str, frames: Frames<C>, encoder: Command) {
    let encoder = Process::start_group(encoder);
    wait_for_buffer(host, key, 1.0);
    let mut listener = listen(host, &format!("/{key}"));
    let heard = frames.scan(&listener.body.read_exact(frames.position(count(3)) as usize));
    heard.assert_exactly(0..count(3));
    drop(encoder);
}

/// Runs Liquidsoap over `http` or `icy`, and wants the tone and the title that it sends to be kept.
#[track_caller]
pub fn assert_liquidsoap_kept(host: &Host, protocol: &str) {
    let directory = TempDir::new().expect("a directory is made");
    let file = directory.path().join("tone.wav");
    fs::write(&file, tone::wav(2)).expect("a new directory takes a file");
    let Some(command) = liquidsoap(host, &directory, protocol, PASSWORD, &file) else { return };
    succeed(command);
    wait_for_sources(host, "test", 0);
    let heard = tone::hear(&decode(&directory, &pump_all(host)));
    assert!(heard.is_tone(1.7), "{heard:?}");
    wait_for_title(host);
}

/// Runs all of the encoders that are installed at once, and wants each to say its complaint and to end with its code. Nothing
/// of them is kept.
#[track_caller]
pub fn assert_complaints(
    host: &Host,
    encoders: impl IntoIterator<Item = (Option<Command>, &'static str, i32)>,
) {
    let started: Vec<_> = encoders
        .into_iter()
        .filter_map(|(command, complaint, code)| Some((Process::start_group(command?), complaint, code)))
        .collect();
    for (mut process, complaint, code) in started {
        let end = process.wait(DEADLINE);
        assert!(process.output().contains(complaint), "{}", process.output());
        assert_eq!(end.code(), Some(code), "{}", process.output());
    }
    assert_eq!(status(host, "test")["rewind"]["buffer_length"], 0.0);
}

#[test]
fn all_frames_that_ffmpeg_puts_are_kept() {
    let directory = TempDir::new().unwrap();
    let host = two_streams();
    let mp3 = write_audio(&directory, "audio.mp3", frames(), 3);
    let aac = write_audio(&directory, "audio.aac", aac_frames(), 3);
    let mut encoder = Process::start(ffmpeg(&host, "test", PASSWORD, &mp3, &[]));
    succeed(ffmpeg(&host, "aac", PASSWORD, &aac, &[]));
    assert!(encoder.wait(DEADLINE).success(), "{}", encoder.output());
    assert_kept(&host, "test", frames(), 3);
    assert_kept(&host, "aac", aac_frames(), 3);
}

/// It sends audio before it is answered. It never reads the answer, so its last bytes are lost in the reset at its end.
#[test]
fn ffmpeg_in_its_legacy_mode_is_heard_from_its_first_frame_on() {
    let directory = TempDir::new().unwrap();
    let host = two_streams();
    let mp3 = write_audio(&directory, "audio.mp3", frames(), 60);
    let aac = write_audio(&directory, "audio.aac", aac_frames(), 60);
    let legacy = ["-legacy_icecast", "1"];
    assert_heard_live(&host, "test", frames(), ffmpeg(&host, "test", PASSWORD, &mp3, &legacy));
    assert_heard_live(&host, "aac", aac_frames(), ffmpeg(&host, "aac", PASSWORD, &aac, &legacy));
}

#[test]
fn a_listener_hears_the_frames_and_the_title_of_ezstream() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({"meta_interval": 1000, "burst": 30}));
    // A file without tags is announced by its name.
    let file = write_audio(&directory, &format!("{TITLE}.mp3"), frames(), 3);
    let mut encoder = Process::start(ezstream(&host, &directory, "HTTP", PASSWORD, &file));
    wait_for_buffer(&host, "test", 1.0);
    let mut listener = listen_with(&host, "/test", &[("Icy-MetaData", "1")]);
    let mut reader = listener.icy_reader();
    let audio_bytes = frames().position(count(3)) as usize;
    while reader.audio.len() < audio_bytes {
        reader.push(&listener.body.read_exact(1));
    }
    frames().scan(&reader.audio).assert_exactly(0..count(3));
    assert_eq!(reader.titles().last(), Some(&TITLE), "{:?}", reader.blocks);
    assert!(encoder.wait(DEADLINE).success(), "{}", encoder.output());
    assert_kept(&host, "test", frames(), 3);
}

#[test]
fn curl_is_a_source_too() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 3);
    let mut command = required("curl");
    command.args(["-sS", "--fail", "--upload-file", "-", "--user", &format!("source:{PASSWORD}")]);
    command.arg(format!("http://{}/test", host.sources())).stdin(File::open(file).unwrap());
    succeed(command);
    assert_kept(&host, "test", frames(), 3);
}

#[test]
fn curl_ends_when_its_file_is_sent() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    // Longer than what curl sends without asking first (`Expect: 100-continue`).
    let file = write_audio(&directory, "audio.mp3", frames(), 150);
    let Some(mut command) = program("curl") else { return };
    command.args(["-sS", "--fail", "--user", &format!("source:{PASSWORD}"), "--upload-file"]).arg(file);
    command.arg(format!("http://{}/test", host.sources()));
    succeed(command);
    assert_kept(&host, "test", frames(), 150);
}

#[test]
fn a_title_that_curl_sets_is_heard() {
    let host = Host::with_stream(json!({"meta_interval": 1000}));
    let _source = on_air(&host, 2);
    let mut command = required("curl");
    command.args(["-sS", "--fail", "--get", "--user", &format!("source:{PASSWORD}")]);
    for field in ["mode=updinfo", "mount=/test", &format!("song={TITLE}")] {
        command.args(["--data-urlencode", field]);
    }
    command.arg(format!("http://{}/admin/metadata", host.sources()));
    let answer = succeed(command).stdout();
    assert!(answer.contains("<message>Metadata update successful</message><return>1</return>"), "{answer}");
    wait_for_title(&host);
}

#[test]
fn all_frames_and_the_title_of_gstreamer_are_kept() {
    let directory = TempDir::new().unwrap();
    let host = titled();
    let file = write_audio(&directory, "audio.mp3", frames(), 2);
    let Some(command) = gstreamer(&host, PASSWORD, &file) else { return };
    succeed(command);
    assert_kept(&host, "test", frames(), 2);
    wait_for_title(&host);
}

/// It has no way to set a title, and forgets at its end what it has not sent yet.
#[test]
fn vlc_is_heard_from_its_first_frame_on() {
    let directory = TempDir::new().unwrap();
    let host = titled();
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let Some(command) = vlc(&host, &directory, PASSWORD, &file) else { return };
    assert_heard_live(&host, "test", frames(), command);
}

#[test]
fn the_tone_and_the_title_of_liquidsoap_are_kept() {
    assert_liquidsoap_kept(&titled(), "http");
}

/// It sends nothing but Ogg, and says so first.
#[test]
fn oggfwd_is_told_that_ogg_is_not_accepted() {
    let directory = TempDir::new().unwrap();
    let host = titled();
    let file = directory.path().join("audio.ogg");
    write_ogg(&file);
    let Some(command) = oggfwd(&host, PASSWORD, &file) else { return };
    let mut process = Process::start(command);
    assert!(!process.wait(DEADLINE).success(), "{}", process.output());
    host.wait_for_log("Ogg is not accepted yet: set the encoder to MP3 or AAC");
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}

/// It says that it sends MP3, so only the bytes tell.
#[test]
fn ffmpeg_that_sends_ogg_as_mp3_is_told_in_the_connections() {
    let directory = TempDir::new().unwrap();
    let host = titled();
    let file = directory.path().join("audio.ogg");
    write_ogg(&file);
    let mut command = required("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(file);
    command.args(["-c", "copy", "-content_type", "audio/mpeg", "-f", "ogg"]);
    command.arg(format!("icecast://source:{PASSWORD}@{}/test", host.sources()));
    Process::start(command).wait(DEADLINE);
    let ended = eventually(DEADLINE, || {
        let (_, records) = api(&host, "GET", "/api/mounts/test/connections", None);
        (records[0]["outcome"] == "ended").then(|| records[0].clone())
    });
    assert_eq!(ended["reason"], "Ogg is not accepted yet: set the encoder to MP3 or AAC");
}

fn write_ogg(file: &Path) {
    let mut encoder = required("ffmpeg");
    encoder.args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=d=1", "-f", "ogg"]).arg(file);
    succeed(encoder);
}

#[test]
fn a_wrong_password_is_what_encoders_complain_of() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let mut curl = required("curl");
    curl.args(["-sS", "--fail", "--user", "source:wrong", "--upload-file"]).arg(&file);
    curl.arg(format!("http://{}/test", host.sources()));
    let legacy = ["-legacy_icecast", "1"];
    let encoders = [
        (Some(curl), "The requested URL returned error: 401", 22),
        (Some(ffmpeg(&host, "test", "wrong", &file, &[])), "Server returned 401 Unauthorized", 1),
        // It does not read the answer, and sees only that it is not heard.
        (Some(ffmpeg(&host, "test", "wrong", &file, &legacy)), "Error closing file icecast://", 1),
        (Some(ezstream(&host, &directory, "HTTP", "wrong", &file)), "Login failed", 1),
        (gstreamer(&host, "wrong", &file), "shout_open() failed: err=Login failed", 1),
        (liquidsoap(&host, &directory, "http", "wrong", &file), "refused: 401, Unauthorized", 3),
        (oggfwd(&host, "wrong", &file), "Login failed", 1),
    ];
    assert_complaints(&host, encoders);
}

/// It tries again every half a minute for ever.
#[test]
fn a_wrong_password_is_what_vlc_complains_of() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let Some(command) = vlc(&host, &directory, "wrong", &file) else { return };
    let process = Process::start_group(command);
    let complaint = "failed to connect using 'http' (icecast 2.x) protocol";
    eventually(DEADLINE, || process.stderr().contains(complaint).then_some(()));
    host.wait_for_log("wrong password for user");
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}
