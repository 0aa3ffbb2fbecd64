//! Real players of HTTP Live Streaming: live over a multivariant playlist, and a closed window to its end, in the
//! containers that each of them takes.

use std::fs;

use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::source::{PacedSource, SourceOptions};
use testkit::wait::DEADLINE;

use crate::browsers::chromium;
use crate::harness::{Host, PASSWORD, connect, count, frames, page, play, wait_for_buffer};
use crate::players::vlc;
use crate::programs::{aac_frames, program, required, succeed};

/// Plays until two seconds have gone by.
const PLAYERS: &str = r#"
<script>
  for (const target of TARGETS) {
    const audio = new Audio(`http://ADDRESS${target}`);
    audio.onerror = () => console.log(`failed ${target}: ${audio.error.message}`);
    audio.ontimeupdate = () => {
      if (audio.currentTime < 2) return;
      audio.ontimeupdate = null;
      audio.pause();
      console.log(`played ${target}`);
    };
    audio.play();
  }
</script>
"#;

/// A server with segments of two seconds of the streams `/test` and `/aac`.
fn server() -> Host {
    let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 1});
    Host::start(json!({
        "hls": {"segment_duration": 2},
        "streams": {"test": stream("mp3"), "aac": stream("aac")},
    }))
}

/// The address of twenty seconds of `/test` that are past.
fn closed_window(host: &Host, more: &str) -> String {
    play(host, 0..count(60));
    let text = page(host, "/test.m3u8").1;
    let dates: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:")).collect();
    format!("/test.m3u8?start={}&end={}{more}", dates[10], dates[20])
}

/// Sends half a minute of AAC to `/aac` at once, and goes on in real time.
fn aac_on_air(host: &Host) -> PacedSource {
    let mut source = connect(host, SourceOptions::new("/aac", PASSWORD));
    source.send(&aac_frames().bytes(0..1_300)).expect("the server takes audio");
    wait_for_buffer(host, "aac", 25.0);
    source.send_paced(aac_frames(), 1_300)
}

#[test]
fn mpv_plays_a_closed_window_to_its_end() {
    let host = server();
    for container in ["", "&container=ts"] {
        let target = closed_window(&host, container);
        let mut command = required("mpv");
        // A file is written as fast as it is decoded.
        command.args([
            "--no-config",
            "--ao=pcm",
            "--ao-pcm-file=/dev/null",
            "--no-video",
            "--term-status-msg=",
        ]);
        command.arg(format!("http://{}{target}", host.listeners()));
        let output = succeed(command).output();
        assert!(output.contains("Exiting... (End of file)"), "{target}: {output}");
        assert!(output.contains("mp3 2ch 44100Hz"), "{target}: {output}");
    }
}

#[test]
fn players_that_know_no_parts_play_a_live_playlist_with_them() {
    let host = server();
    let _source = aac_on_air(&host);
    let target = "/sg/aac.m3u8?container=fmp4";
    assert!(page(&host, "/aac.m3u8?container=fmp4").1.contains("#EXT-X-PART:"));
    let address = format!("http://{}{target}", host.listeners());
    let mut probe = required("ffprobe");
    probe.args(["-loglevel", "error", "-read_intervals", "%+3", "-select_streams", "a", "-count_packets"]);
    probe.args(["-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0"]).arg(&address);
    let told = succeed(probe).output();
    let three_seconds = ["aac,129", "aac,130", "aac,131"];
    assert!(three_seconds.iter().any(|packets| told.contains(packets)), "{told}");
    let mut player = required("mpv");
    player.args(["--no-config", "--ao=pcm", "--ao-pcm-file=/dev/null", "--no-video", "--end=3"]);
    let heard = succeed({
        player.arg("--term-status-msg=").arg(&address);
        player
    });
    assert!(heard.output().contains("aac 2ch 44100Hz"), "{}", heard.output());
    let Some(mut player) = program("gst-launch-1.0") else { return };
    player.args(["playbin3", "audio-sink=fakesink num-buffers=80", "video-sink=fakesink"]);
    let heard = succeed({
        player.arg(format!("uri={address}"));
        player
    });
    assert!(heard.output().contains("Got EOS from element"), "{}", heard.output());
}

/// Decodes eleven segments of a closed window by the elements of `source`, to the end.
#[track_caller]
fn gstreamer_plays_a_closed_window(source: impl Fn(&str) -> Vec<String>) {
    let host = server();
    let target = closed_window(&host, "");
    let Some(mut command) = program("gst-launch-1.0") else { return };
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("heard.pcm");
    command.arg("-q").args(source(&format!("http://{}{target}", host.listeners())));
    command.args(["!", "audioconvert", "!", "audioresample", "!"]);
    command.args(["audio/x-raw,format=S16LE,rate=44100,channels=1", "!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    succeed(command);
    let seconds = fs::metadata(&file).expect("it has written").len() / 2 / 44_100;
    assert!((21..=23).contains(&seconds), "{seconds} s were heard of eleven segments");
}

#[test]
fn gstreamer_plays_a_closed_window_to_its_end() {
    gstreamer_plays_a_closed_window(|address| {
        let location = format!("location={address}");
        ["souphttpsrc", &location, "!", "hlsdemux", "!", "decodebin"].map(str::to_owned).to_vec()
    });
}

/// It is chosen by what knows of streams.
#[test]
fn the_newer_demultiplexer_of_gstreamer_does_so_too() {
    gstreamer_plays_a_closed_window(|address| vec!["uridecodebin3".to_owned(), format!("uri={address}")]);
}

#[test]
fn vlc_writes_the_frames_of_a_closed_window() {
    let host = server();
    let target = closed_window(&host, "");
    let directory = TempDir::new().unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let file = home.join("heard.mp3");
    let Some(command) = vlc(&host, &target, &file) else { return };
    let mut player = Process::start_group(command);
    assert!(player.wait(DEADLINE).success(), "{}", player.output());
    let heard = frames().scan(&fs::read(&file).unwrap());
    assert!(heard.is_continuous() && heard.leading_bytes == 0, "{heard:?}");
    let whole = frames().count_in(std::time::Duration::from_secs(22));
    assert!(heard.frames + 3 >= u64::from(whole), "{heard:?}");
}

#[test]
fn chromium_plays_aac_in_every_container() {
    let directory = TempDir::new().unwrap();
    let host = server();
    let _source = aac_on_air(&host);
    let targets = ["/sg/aac.m3u8", "/sg/aac.m3u8?container=ts", "/sg/aac.m3u8?container=fmp4"];
    let html =
        PLAYERS.replace("ADDRESS", &host.listeners().to_string()).replace("TARGETS", &format!("{targets:?}"));
    let file = directory.path().join("page.html");
    fs::write(&file, html).unwrap();
    // The first is a part of the others: each is looked for with its end.
    let played = targets.map(|target| format!("played {target}\""));
    let expected = played.each_ref().map(String::as_str);
    chromium(&directory, &[], &format!("file://{}", file.display()), &expected);
}
