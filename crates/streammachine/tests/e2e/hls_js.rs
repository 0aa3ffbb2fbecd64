//! hls.js in a real browser: live, back to the start of the window, a closed window to its end, close behind live.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::audio::{Codec, Frames};
use testkit::source::{PacedSource, SourceOptions};

use crate::browsers::chromium;
use crate::harness::{Host, PASSWORD, connect, frames, on_air, page, wait_for_buffer};
use crate::hls_titles;
use crate::playlists::Media;
use crate::programs::aac_frames;

/// Where `scripts/test.sh` puts the player.
const HLS_JS: &str = "../../target/tools/hls-1.7.4.min.js";
/// One after the other, since a browser opens six connections to a server and each player holds some.
const PAGE: &str = r#"<!doctype html>
<script src="hls.js"></script>
<script>
  const play = ([wanted, target, titles]) => new Promise((done) => {
    const audio = new Audio();
    // What the guide says for low latency; but a loaded machine lets it stall, and then it must catch up in time.
    const near = {
      liveSyncDuration: 2, liveMaxLatencyDuration: 3, maxLiveSyncPlaybackRate: 1.2, liveSyncOnStallIncrease: 0,
    };
    const hls = new Hls(wanted === "near" ? near : {});
    const end = (said) => { done(`${said} ${target}`); audio.ontimeupdate = audio.onended = null; hls.destroy(); };
    hls.on(Hls.Events.ERROR, (_, error) => { if (error.fatal) end(`failed: ${error.details}`); });
    hls.on(Hls.Events.MANIFEST_PARSED, () => { if (wanted !== "titles") audio.play(); });
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
      // All of it is loaded without being played.
      titles: () => {},
      // Less than three seconds after it was on air, for three seconds without a break: of segments of four seconds there is
      // never so much left that near.
      near: () => {
        if (Date.now() - hls.playingDate >= 3000) from = audio.currentTime;
        else if (gone() > 3) end("near");
      },
    };
    // Titles and when they are due: by tags of ID3 as they are found, and by date ranges.
    const tags = [], text = new TextDecoder();
    hls.on(Hls.Events.FRAG_PARSING_METADATA, (_, { samples }) => {
      for (const { data, pts } of samples) {
        // Those of segments without a title hold a time stamp only.
        const tag = text.decode(data);
        if (tag.includes("TIT2")) tags.push([tag, pts]);
      }
    });
    hls.on(Hls.Events.BUFFER_EOS, () => {
      if (wanted !== "titles") return;
      const known = Object.values(hls.latestLevelDetails.dateRanges);
      const ranges = known.map((range) => [range.attr["X-TITLE"], range.startTime]);
      const is = (title, at) => ([found, time]) => found.includes(title) && Math.abs(time - at) < 0.0265;
      const all = titles.tags.every(([title, at]) => tags.some(is(title, at)))
        && titles.ranges.every(([title, at]) => ranges.some(is(title, at)));
      const count = [tags.length, ranges.length, titles.tags.length, titles.ranges.length];
      const fits = all && count[0] === count[2] && count[1] === count[3];
      end(fits ? "titles" : `failed: ${JSON.stringify([count, tags, ranges, titles])}`);
    });
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
    let cases: Vec<_> = cases.iter().map(|(wanted, target)| (*wanted, target.clone(), Value::Null)).collect();
    run_with(host, &cases);
}

/// The same with the titles that are to be found.
#[track_caller]
fn run_with(host: &Host, cases: &[(&str, String, Value)]) {
    let Some(player) = hls_js() else { return };
    let directory = TempDir::new().expect("a directory");
    fs::copy(player, directory.path().join("hls.js")).expect("a new directory takes a file");
    let html =
        PAGE.replace("ADDRESS", &host.listeners().to_string()).replace("CASES", &json!(cases).to_string());
    let file = directory.path().join("page.html");
    fs::write(&file, html).expect("a new directory takes a file");
    let expected: Vec<String> =
        cases.iter().map(|(wanted, target, _)| format!("\"{wanted} {target}\"")).collect();
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

/// The last segments of `key` as a closed window, with the titles in it: those that tags tell, at the start of each segment
/// and within, by what packed AAC has; those within by date ranges.
#[track_caller]
fn titles<C: Codec + Clone>(host: &Host, key: &str, frames: &Frames<C>, samples: f64) -> (String, Value) {
    let segments = Media::parse(&page(host, &format!("/{key}.m3u8")).1).segments;
    let middle_ms = |nth: usize| (segments[nth].date_us + segments[nth].length_us / 2) / 1000;
    let (first, last) = (segments.len() - 8, segments.len() - 1);
    let target = format!("/{key}.m3u8?start={}&end={}", middle_ms(first), middle_ms(last));
    let (mut at_us, mut tags) = (0, Vec::new());
    for segment in &segments[first..] {
        for told in hls_titles::titles(host, &segment.uri, frames) {
            tags.push(json!([told.title, at_us as f64 / 1e6 + told.frames as f64 * samples / 44_100.0]));
        }
        at_us += segment.length_us;
    }
    let start_us = segments[first].date_us;
    let ranges = hls_titles::ranges(&page(host, &target).1);
    let ranges = ranges.into_iter().map(|(title, date)| {
        let date: jiff::Timestamp = date.parse().expect("a date");
        json!([title, (date.as_microsecond() - start_us) as f64 / 1e6])
    });
    let ranges: Vec<Value> = ranges.collect();
    (target, json!({"tags": tags, "ranges": ranges}))
}

#[test]
fn it_finds_each_title_at_the_time_of_its_frame() {
    let host = hls_titles::server(json!({}));
    let changes = hls_titles::TITLES.map(|title| (title, ""));
    hls_titles::play(&host, "aac", aac_frames(), &changes);
    hls_titles::play(&host, "test", frames(), &changes);
    let (aac, in_aac) = titles(&host, "aac", &aac_frames(), 1024.0);
    let (mp3, in_mp3) = titles(&host, "test", &frames(), 1152.0);
    assert_eq!(in_aac["ranges"].as_array().map(Vec::len), Some(4));
    run_with(
        &host,
        &[
            ("titles", aac.clone(), in_aac.clone()),
            ("titles", format!("{aac}&container=fmp4"), in_aac.clone()),
            ("titles", format!("{aac}&container=ts"), in_aac),
            ("titles", mp3, in_mp3),
        ],
    );
}
