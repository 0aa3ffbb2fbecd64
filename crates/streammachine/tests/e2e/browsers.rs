//! A real browser, without a screen: its player elements, its requests from pages of other origins, and the player page.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{Host, PASSWORD, api, on_air, wait_for_buffer};
use crate::programs::{TITLE, aac_frames, ffmpeg, required, two_streams, write_audio};

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
/// A page that plays is done within this, on a machine with much else to do.
const PLAYED: Duration = Duration::from_secs(60);
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
/// Reads the first block of metadata as icecast-metadata-js does, from a page that comes from nowhere.
const ICY_FETCH: &str = r#"
<script>
  const read = async (target) => {
    const answer = await fetch(`http://ADDRESS${target}`, { headers: { "Icy-MetaData": "1" } });
    const metaint = Number(answer.headers.get("icy-metaint"));
    const reader = answer.body.getReader();
    let bytes = new Uint8Array();
    const more = async (count) => {
      while (bytes.length < count) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the stream ended");
        bytes = Uint8Array.from([...bytes, ...value]);
      }
    };
    await more(metaint + 1);
    const end = metaint + 1 + 16 * bytes[metaint];
    await more(end);
    const text = new TextDecoder().decode(bytes.slice(metaint + 1, end)).replace(/\0+$/, "");
    console.log(`read ${target}: ${metaint}, ${text}`);
    reader.cancel();
  };
  for (const target of ["/test", "/test?offset=3"]) {
    read(target).catch((error) => console.log(`failed: ${error}`));
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
/// Presses the older of two programmes, and tells where what is heard comes from.
const PRESS_PROGRAM: &str = r#"
const watch = setInterval(() => {
  const buttons = [...document.querySelectorAll("ol#program-list button")];
  const play = document.getElementById("play");
  if (buttons.length < 2 || play.disabled) return;
  if (play.dataset.state === "stopped") return buttons[1].click();
  if (play.dataset.state !== "playing") return;
  clearInterval(watch);
  const name = (button) => button.querySelector("span").textContent;
  const start = Date.parse(buttons[1].querySelector("time").dateTime);
  const [minutes, seconds] = document.getElementById("clock").textContent.split(":").slice(1).map(Number);
  const heard = (minutes * 60 + seconds - start / 1000 % 3600 + 3600) % 3600;
  const place = heard < 10 || heard > 3598 ? "the start of" : `${heard} s behind`;
  console.log(`heard ${buttons.map(name).join(", ")}: from ${place} ${name(buttons[1])}`);
}, 50);
"#;

/// Opens `page` and waits until its console says all of `expected`; `failed` there is the end.
#[track_caller]
pub fn chromium(directory: &TempDir, options: &[String], page: &str, expected: &[&str]) {
    let mut command = required("chromium");
    command.args(CHROMIUM).args(options).arg(page);
    // Its profile, and what it writes elsewhere, goes with the directory.
    command.arg(format!("--user-data-dir={}", directory.path().join("profile").display()));
    command.env("HOME", directory.path());
    let mut browser = Process::start_group(command);
    let console = |browser: &Process| {
        let stderr = browser.stderr();
        stderr.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n")
    };
    eventually(PLAYED, || {
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
    let _aac_source = Process::start_group(ffmpeg(&host, "aac", PASSWORD, &aac, &[]));
    wait_for_buffer(&host, "aac", 1.0);
    let page = directory.path().join("page.html");
    fs::write(&page, TWO_PLAYERS.replace("ADDRESS", &host.listeners().to_string())).unwrap();
    chromium(&directory, &[], &format!("file://{}", page.display()), &["played /test", "played /aac"]);
}

/// Opens the player page with `script` in it and waits until its console says `expected`, and nothing else.
#[track_caller]
fn player_page(host: &Host, script: &str, expected: &str) {
    let directory = TempDir::new().expect("a directory");
    let extension = directory.path().join("extension");
    fs::create_dir(&extension).expect("a new directory takes files");
    fs::write(extension.join("manifest.json"), MANIFEST).expect("a new directory takes files");
    fs::write(extension.join("press.js"), script).expect("a new directory takes files");
    let options = [
        format!("--load-extension={}", extension.display()),
        "--disable-features=DisableLoadExtensionCommandLineSwitch".to_owned(),
    ];
    chromium(&directory, &options, &format!("http://{}/", host.listeners()), &[expected]);
}

#[test]
fn a_programme_is_played_by_a_click_on_its_name() {
    let host = Host::with_stream(json!({"root_route": true}));
    let _source = on_air(&host, 60);
    for program in [
        json!({"name": "<i>News</i>", "start": "-40", "end": "-30"}),
        json!({"name": "Music", "start": "-20"}),
    ] {
        assert_eq!(api(&host, "POST", "/api/streams/test/programs", Some(&program)).0, 201);
    }
    player_page(&host, PRESS_PROGRAM, "heard Music, <i>News</i>: from the start of <i>News</i>");
}

#[test]
fn the_player_page_plays_in_chromium_without_a_complaint() {
    let host = Host::with_stream(json!({"root_route": true, "name": "Rädio", "metaTitle": TITLE}));
    let _source = on_air(&host, 5);
    player_page(&host, PRESS, &format!("played live: Rädio, {TITLE}"));
}

/// The header makes the browser ask by OPTIONS first whether the page may send it.
#[test]
fn a_page_of_another_origin_reads_titles_with_fetch() {
    let directory = TempDir::new().unwrap();
    let host = Host::with_stream(json!({"meta_interval": 1000, "metaTitle": TITLE}));
    let _source = on_air(&host, 5);
    let page = directory.path().join("page.html");
    fs::write(&page, ICY_FETCH.replace("ADDRESS", &host.listeners().to_string())).unwrap();
    let expected = ["/test", "/test?offset=3"]
        .map(|target| format!("read {target}: 1000, StreamTitle='{TITLE}';StreamUrl='';"));
    let expected = expected.each_ref().map(String::as_str);
    chromium(&directory, &[], &format!("file://{}", page.display()), &expected);
}
