//! Real encoders and players, as stations and listeners run them: what they send is heard frame by frame, what they
//! hear plays, and what they are refused they understand.
//!
//! What they say on the wire is checked byte by byte in `sources` and `listeners`.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use testkit::audio::{AdtsFrames, Codec, Frames};
use testkit::process::Process;
use testkit::programs::require;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, count, frames, listen, listen_with, on_air, status, wait_for_buffer, wait_for_sources,
};

/// A title that is not ASCII.
const TITLE: &str = "Björk - Jóga";
/// Switches of a Chromium without a screen, a sandbox, calls home and questions; the console goes to standard error.
const CHROMIUM: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-logging=stderr",
];
/// Tells when both elements have played for a second.
const TWO_PLAYERS: &str = r#"
<audio src="http://ADDRESS/test" autoplay></audio>
<audio src="http://ADDRESS/aac" autoplay></audio>
<script>
  for (const audio of document.querySelectorAll("audio")) {
    audio.onerror = () => console.log(`failed: ${audio.error.message}`);
    audio.ontimeupdate = () => {
      if (audio.currentTime < 1) return;
      audio.ontimeupdate = null;
      console.log(`played ${new URL(audio.src).pathname}`);
    };
  }
</script>
"#;
/// An extension that runs `press.js` in the server's pages.
const MANIFEST: &str = r#"{
  "manifest_version": 3, "name": "Press play", "version": "1",
  "content_scripts": [{"matches": ["http://127.0.0.1/*"], "js": ["press.js"]}]
}"#;
/// Presses play, and tells when the clock of what is heard has moved twice.
const PRESS: &str = r#"
const element = (id) => document.getElementById(id);
const clocks = new Set();
const watch = setInterval(() => {
  const play = element("play");
  if (play.disabled) return;
  if (play.dataset.state === "stopped") play.click();
  if (play.dataset.state === "playing") clocks.add(element("clock").textContent);
  if (clocks.size < 3) return;
  clearInterval(watch);
  console.log(`played ${element("behind").textContent}: ${element("name").textContent}, ${element("title").textContent}`);
}, 50);
"#;

fn aac_frames() -> AdtsFrames {
    AdtsFrames::new(64, 44_100, 2)
}

/// A server with the streams `/test` and `/aac`.
fn two_streams() -> Host {
    let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 30});
    Host::start(json!({"streams": {"test": stream("mp3"), "aac": stream("aac")}}))
}

/// A file with the frames of `seconds`.
fn write_audio<C: Codec>(directory: &TempDir, name: &str, frames: Frames<C>, seconds: u64) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, frames.bytes(0..count(seconds))).expect("a new directory takes a file");
    path
}

/// The command of a program that must be installed.
#[track_caller]
fn program(name: &str) -> Command {
    let mut command = Command::new(require(name));
    command.stdin(std::process::Stdio::null());
    command
}

/// Runs `command` to its end, and wants it to be content.
#[track_caller]
fn succeed(command: Command) -> Process {
    let mut process = Process::start(command);
    let end = process.wait(DEADLINE);
    assert!(end.success(), "{end}\n{}", process.output());
    process
}

/// ffmpeg, which sends `file` to the mount `key` as it is.
fn ffmpeg(host: &Host, key: &str, password: &str, file: &Path, options: &[&str]) -> Command {
    let format = if key == "aac" { ["audio/aac", "adts"] } else { ["audio/mpeg", "mp3"] };
    let mut command = program("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(file);
    command.args(["-c", "copy", "-content_type", format[0], "-f", format[1]]).args(options);
    command.arg(format!("icecast://source:{password}@{}/{key}", host.sources()));
    command
}

/// ezstream, which sends `file` to `/test` once.
fn ezstream(host: &Host, directory: &TempDir, password: &str, file: &Path) -> Command {
    ezstream_speaking("HTTP", host.sources(), directory, password, file)
}

/// The same, speaking `protocol`. Its configuration is that of version 1.
fn ezstream_speaking(
    protocol: &str,
    address: SocketAddr,
    directory: &TempDir,
    password: &str,
    file: &Path,
) -> Command {
    let file = file.display();
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
    let mut command = program("ezstream");
    command.arg("-v").arg("-c").arg(config);
    command
}

/// Waits until the only source of `key` has ended, and wants its frames of `seconds` to be there, each once.
#[track_caller]
fn assert_kept<C: Codec>(host: &Host, key: &str, frames: Frames<C>, seconds: u64) {
    wait_for_sources(host, key, 0);
    let heard = || frames.scan(&listen(host, &format!("/{key}?pump=1000")).read_body());
    eventually(DEADLINE, || (heard().last == Some(count(seconds) - 1)).then_some(()));
    heard().assert_exactly(0..count(seconds));
}

/// Sends `file` with ffmpeg, and wants a listener to hear its frames from the first on while it is on air.
#[track_caller]
fn assert_heard_live<C: Codec>(host: &Host, key: &str, frames: Frames<C>, file: &Path, options: &[&str]) {
    let encoder = Process::start(ffmpeg(host, key, PASSWORD, file, options));
    wait_for_buffer(host, key, 1.0);
    let mut listener = listen(host, &format!("/{key}"));
    let heard = frames.scan(&listener.body.read_exact(frames.position(count(3)) as usize));
    heard.assert_exactly(0..count(3));
    drop(encoder);
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
    assert_heard_live(&host, "test", frames(), &mp3, &legacy);
    assert_heard_live(&host, "aac", aac_frames(), &aac, &legacy);
}

#[test]
fn a_listener_hears_the_frames_and_the_title_of_ezstream() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({"meta_interval": 1000, "burst": 30}));
    // A file without tags is announced by its name.
    let file = write_audio(&directory, &format!("{TITLE}.mp3"), frames(), 3);
    let mut encoder = Process::start(ezstream(&host, &directory, PASSWORD, &file));
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

/// libshout's own SHOUTcast v1: it probes with `!POKE`, sends bare line ends, and adds one to the port that it is told.
/// Its titles go to the port itself, which is another server's or nobody's here.
#[test]
fn ezstream_speaks_shoutcast_too() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 3);
    let mut address = host.shoutcast().unwrap();
    address.set_port(address.port() - 1);
    let mut encoder = Process::start(ezstream_speaking("ICY", address, &directory, PASSWORD, &file));
    assert!(encoder.wait(DEADLINE).success(), "{}", encoder.output());
    assert_kept(&host, "test", frames(), 3);
    let mut encoder = Process::start(ezstream_speaking("ICY", address, &directory, "wrong", &file));
    assert!(!encoder.wait(DEADLINE).success(), "{}", encoder.output());
}

#[test]
fn curl_is_a_source_too() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 3);
    let mut command = program("curl");
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
    let mut command = program("curl");
    command.args(["-sS", "--fail", "--user", &format!("source:{PASSWORD}"), "--upload-file"]).arg(file);
    command.arg(format!("http://{}/test", host.sources()));
    succeed(command);
    assert_kept(&host, "test", frames(), 150);
}

#[test]
fn a_title_that_curl_sets_is_heard() {
    let host = Host::with_stream(json!({"meta_interval": 1000}));
    let _source = on_air(&host, 2);
    let mut listener = listen_with(&host, "/test", &[("Icy-MetaData", "1")]);
    let mut command = program("curl");
    command.args(["-sS", "--fail", "--get", "--user", &format!("source:{PASSWORD}")]);
    for field in ["mode=updinfo", "mount=/test", &format!("song={TITLE}")] {
        command.args(["--data-urlencode", field]);
    }
    command.arg(format!("http://{}/admin/metadata", host.sources()));
    let answer = succeed(command).stdout();
    assert!(answer.contains("<message>Metadata update successful</message><return>1</return>"), "{answer}");
    let mut reader = listener.icy_reader();
    eventually(DEADLINE, || {
        reader.push(&listener.body.read_exact(500));
        (reader.titles().last() == Some(&TITLE)).then_some(())
    });
}

#[test]
fn a_wrong_password_is_what_clients_complain_of() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let file = write_audio(&directory, "audio.mp3", frames(), 60);
    let mut curl = program("curl");
    curl.args(["-sS", "--fail", "--user", "source:wrong", "--upload-file"]).arg(&file);
    curl.arg(format!("http://{}/test", host.sources()));
    for (command, complaint) in [
        (curl, "The requested URL returned error: 401"),
        (ffmpeg(&host, "test", "wrong", &file, &[]), "Server returned 401 Unauthorized"),
        (ezstream(&host, &directory, "wrong", &file), "Login failed"),
    ] {
        let mut process = Process::start(command);
        assert!(!process.wait(DEADLINE).success(), "{}", process.output());
        assert!(process.stderr().contains(complaint), "{}", process.output());
    }
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}

#[test]
fn curl_hears_whole_frames_in_a_row() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({}));
    let _source = on_air(&host, 5);
    let file = directory.path().join("heard.mp3");
    let mut command = program("curl");
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
    let mut command = program("ffprobe");
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
        let mut command = program("mpv");
        command.args(["--no-config", "--ao=null", "--no-video", "--term-status-msg="]);
        command.arg(format!("--length={end}")).arg(format!("http://{}{target}", host.listeners()));
        let player = succeed(command);
        let output = player.stdout();
        assert!(output.contains("AO: [null] 44100Hz stereo"), "{target}: {}", player.output());
        assert!(output.contains("Exiting... (End of file)"), "{target}: {}", player.output());
    }
}

/// Opens `page` and waits until its console says all of `expected`; `failed` there is the end.
#[track_caller]
fn chromium(directory: &TempDir, options: &[String], page: &str, expected: &[&str]) {
    let mut command = program("chromium");
    command.args(CHROMIUM).args(options).arg(page);
    // Its profile, and what it writes elsewhere, goes with the directory.
    command.arg(format!("--user-data-dir={}", directory.path().join("profile").display()));
    command.env("HOME", directory.path());
    let mut browser = Process::start(command);
    let console = |browser: &Process| {
        let stderr = browser.stderr();
        stderr.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n")
    };
    eventually(DEADLINE, || {
        let said = console(&browser);
        let done = expected.iter().all(|text| said.contains(text));
        (done || said.contains("failed") || !browser.is_running()).then_some(())
    });
    let said = console(&browser);
    assert_eq!(said.lines().count(), expected.len(), "{said}\n{}", browser.output());
    assert!(expected.iter().all(|text| said.contains(text)), "{said}\n{}", browser.output());
    // It ends in order, lest its children write into the directory while that is removed.
    browser.signal(rustix::process::Signal::TERM);
    browser.wait(DEADLINE);
}

#[test]
fn chromium_plays_mp3_and_aac() {
    let directory = TempDir::new().unwrap();
    let host = two_streams();
    let aac = write_audio(&directory, "audio.aac", aac_frames(), 60);
    let _mp3_source = on_air(&host, 5);
    let _aac_source = Process::start(ffmpeg(&host, "aac", PASSWORD, &aac, &[]));
    wait_for_buffer(&host, "aac", 1.0);
    let page = directory.path().join("page.html");
    fs::write(&page, TWO_PLAYERS.replace("ADDRESS", &host.listeners().to_string())).unwrap();
    chromium(&directory, &[], &format!("file://{}", page.display()), &["played /test", "played /aac"]);
}

#[test]
fn the_player_page_plays_in_chromium_without_a_complaint() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({"root_route": true, "name": "Rädio", "metaTitle": TITLE}));
    let _source = on_air(&host, 5);
    let extension = directory.path().join("extension");
    fs::create_dir(&extension).unwrap();
    fs::write(extension.join("manifest.json"), MANIFEST).unwrap();
    fs::write(extension.join("press.js"), PRESS).unwrap();
    let options = [
        format!("--load-extension={}", extension.display()),
        "--disable-features=DisableLoadExtensionCommandLineSwitch".to_owned(),
    ];
    let expected = format!("played live: Rädio, {TITLE}");
    chromium(&directory, &options, &format!("http://{}/", host.listeners()), &[&expected]);
}
