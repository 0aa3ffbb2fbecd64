//! hls.js in a real browser: live, back to the start of the window, a closed window to its end, close behind live.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use testkit::source::{PacedSource, SourceOptions};

use crate::browsers::chromium;
use crate::harness::{Host, PASSWORD, connect, on_air, page, wait_for_buffer};
use crate::playlists::Media;
use crate::programs::aac_frames;

/// Where `scripts/test.sh` puts the player.
const HLS_JS: &str = "../../target/tools/hls-1.7.4.min.js";
/// One after the other, since a browser opens six connections to a server and each player holds some.
const PAGE: &str = r#"<!doctype html>
<script src="hls.js"></script>
<script>
  const play = ([wanted, target]) => new Promise((done) => {
    const audio = new Audio();
    // What the guide says for low latency; but a loaded machine lets it stall, and then it must catch up in time.
    const near = {
      liveSyncDuration: 2, liveMaxLatencyDuration: 3, maxLiveSyncPlaybackRate: 1.2, liveSyncOnStallIncrease: 0,
    };
    const hls = new Hls(wanted === "near" ? near : {});
    const end = (said) => { done(`${said} ${target}`); audio.ontimeupdate = audio.onended = null; hls.destroy(); };
    hls.on(Hls.Events.ERROR, (_, error) => { if (error.fatal) end(`failed: ${error.details}`); });
    hls.on(Hls.Events.MANIFEST_PARSED, () => audio.play());
    let from = null;
    const gone = () => audio.currentTime - from;
    const steps = {
      // A second heard live, then one of the oldest that there are.
      oldest: () => {
        if (from !== -1 && gone() > 1) { from = -1; audio.currentTime = audio.seekable.start(0) + 0.1; }
        const heard = audio.currentTime - audio.seekable.start(0);
        if (from === -1 && heard > 1 && heard < 10) end("oldest");
      },
      // All of it: the last seconds are heard, the rest is skipped.
      closed: () => { if (gone() > 1 && audio.currentTime < 17) audio.currentTime = audio.duration - 2; },
      // Longer than a segment without a break, less than three seconds after it was on air.
      near: () => {
        if (Date.now() - hls.playingDate >= 3000) from = audio.currentTime;
        else if (gone() > 5) end("near");
      },
    };
    audio.ontimeupdate = () => { from ??= audio.currentTime; steps[wanted](); };
    audio.onseeking = audio.onwaiting = () => { if (wanted === "near") from = null; };
    audio.onended = () => end(audio.duration > 21.9 && audio.duration < 22.3 ? "closed" : `failed: ${audio.duration} s`);
    audio.onerror = () => end(`failed: ${audio.error.message}`);
    hls.loadSource(`http://ADDRESS${target}`);
    hls.attachMedia(audio);
  });
  (async () => { for (const one of CASES) console.log(await play(one)); })();
</script>
"#;

/// The player, if it is installed.
fn hls_js() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(HLS_JS);
    if !path.is_file() {
        writeln!(std::io::stderr(), "skipped: hls.js is not installed").ok();
        return None;
    }
    Some(path)
}

/// Plays `cases`, each what is wanted and of which address.
#[track_caller]
fn run(host: &Host, cases: &[(&str, String)]) {
    let Some(player) = hls_js() else { return };
    let directory = TempDir::new().expect("a directory");
    fs::copy(player, directory.path().join("hls.js")).expect("a new directory takes a file");
    let html =
        PAGE.replace("ADDRESS", &host.listeners().to_string()).replace("CASES", &json!(cases).to_string());
    let file = directory.path().join("page.html");
    fs::write(&file, html).expect("a new directory takes a file");
    let expected: Vec<String> =
        cases.iter().map(|(wanted, target)| format!("\"{wanted} {target}\"")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    chromium(&directory, &[], &format!("file://{}", file.display()), &expected);
}

/// A server with segments of so many seconds of `/test` and `/aac`, both on air with half a minute behind them.
fn server(segment_s: u64) -> (Host, [PacedSource; 2]) {
    let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 1});
    let host = Host::start(json!({
        "hls": {"segment_duration": segment_s},
        "streams": {"test": stream("mp3"), "aac": stream("aac")},
    }));
    let mut aac = connect(&host, SourceOptions::new("/aac", PASSWORD));
    aac.send(&aac_frames().bytes(0..1_300)).expect("the server takes audio");
    let sources = [on_air(&host, 30), aac.send_paced(aac_frames(), 1_300)];
    wait_for_buffer(&host, "test", 25.0);
    wait_for_buffer(&host, "aac", 25.0);
    (host, sources)
}

/// Eleven segments of `key` that are past: what is wanted of them, and their address.
fn closed<'a>(host: &Host, key: &str, more: &str) -> (&'a str, String) {
    let segments = Media::parse(&page(host, &format!("/{key}.m3u8")).1).segments;
    let middle_ms = |nth: usize| (segments[nth].date_us + segments[nth].length_us / 2) / 1000;
    ("closed", format!("/{key}.m3u8?start={}&end={}{more}", middle_ms(1), middle_ms(11)))
}

#[track_caller]
fn live_and_back(targets: &[&str]) {
    let (host, _sources) = server(2);
    run(&host, &targets.iter().map(|target| ("oldest", (*target).to_owned())).collect::<Vec<_>>());
}

#[test]
fn it_plays_live_and_goes_back_to_the_start_of_the_window() {
    live_and_back(&["/sg/test.m3u8", "/sg/aac.m3u8"]);
}

#[test]
fn it_does_so_in_other_containers() {
    live_and_back(&["/sg/aac.m3u8?container=fmp4", "/test.m3u8?container=ts"]);
}

#[test]
fn it_plays_parts_less_than_three_seconds_after_they_were_on_air() {
    let (host, _sources) = server(4);
    run(&host, &[("near", "/sg/aac.m3u8?container=fmp4".to_owned())]);
}

#[test]
fn it_plays_a_closed_window_to_its_end() {
    let (host, _sources) = server(2);
    let cases =
        [closed(&host, "test", ""), closed(&host, "aac", ""), closed(&host, "aac", "&container=fmp4")];
    run(&host, &cases);
}
