//! Real players that start in the past: the first frame that they get is the one that was asked for, and they go on from
//! there. The audio lies still, so every address means the same frame each time.

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use testkit::process::Process;
use testkit::wait::{DEADLINE, eventually};

use crate::browsers::chromium;
use crate::harness::{FRAME_US, Host, content_start_us, count, frame_start_us, frames, listen, play};
use crate::programs::{required, succeed};

/// Seconds of audio.
const SECONDS: u64 = 60;
/// Tells where the answer to a request says that it starts, and when a player element has played it for a second.
const PLAYERS: &str = r#"
<script>
  for (const target of TARGETS) {
    const url = `http://ADDRESS${target}`;
    fetch(url).then((answer) => {
      console.log(`start of ${target}: ${answer.headers.get("X-Content-Start")}`);
      answer.body.cancel();
      const audio = new Audio(url);
      audio.onerror = () => console.log(`failed: ${audio.error.message}`);
      audio.ontimeupdate = () => {
        if (audio.currentTime < 1) return;
        audio.ontimeupdate = null;
        console.log(`played ${target}`);
      };
      return audio.play();
    }).catch((error) => console.log(`failed: ${error}`));
  }
</script>
"#;

/// A server with the past in it.
struct Past {
    host: Host,
    origin_us: i64,
}

impl Past {
    #[track_caller]
    fn new() -> Self {
        let host = Host::with_stream(json!({"burst": 2}));
        play(&host, 0..count(SECONDS));
        let origin_us = content_start_us(&listen(&host, "/test?pump=1000"));
        Past { host, origin_us }
    }

    /// An instant within the frame before `number`, in unix milliseconds: `number` is the next whole one.
    fn before_ms(&self, number: u32) -> i64 {
        (frame_start_us(self.origin_us, number) - FRAME_US / 2) / 1000
    }

    /// Addresses that start in the past, each with the frame that it starts with.
    fn addresses(&self) -> [(String, u32); 2] {
        let total = count(SECONDS);
        // So far before the live edge that it lies within frame 999.
        let behind_us = frame_start_us(0, total) - frame_start_us(0, 1_000) + FRAME_US / 2;
        let offset = format!("/test?offset={}.{:06}", behind_us / 1_000_000, behind_us % 1_000_000);
        [(format!("/test?start={}", self.before_ms(500)), 500), (offset, 1_000)]
    }

    /// Wants an answer that begins with frame `number` to say so, to a millisecond.
    #[track_caller]
    fn check_start(&self, told: &str, number: u32) {
        let told_us = told.parse::<Timestamp>().expect("the start is an instant").as_microsecond();
        let start_us = frame_start_us(self.origin_us, number);
        assert!((told_us - start_us).abs() <= 1_000, "frame {number} at {start_us}: {told}");
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.host.listeners())
    }
}

/// The last address is redirected to one that means the same tomorrow; where that is, only its answer tells.
#[test]
fn curl_hears_from_the_frame_that_was_asked_for() {
    let (past, directory) = (Past::new(), TempDir::new().unwrap());
    let asked = past.addresses().map(|(target, first)| (target, Some(first)));
    for (target, first) in asked.into_iter().chain([("/test?start=-30".to_owned(), None)]) {
        let [head, file] = ["head", "mp3"].map(|name| directory.path().join(name));
        let mut command = required("curl");
        command.args(["-sS", "--fail", "--location", "--no-buffer", "--dump-header"]).arg(&head);
        command.arg("--output").arg(&file).arg(past.url(&target));
        let mut player = Process::start(command);
        // More than the burst: it goes on at the pace of time.
        let bytes = frames().position(count(3));
        eventually(DEADLINE, || fs::metadata(&file).is_ok_and(|file| file.len() >= bytes).then_some(()));
        player.kill();
        player.wait(DEADLINE);
        let heard = frames().scan(&fs::read(&file).unwrap());
        assert!(heard.is_continuous() && heard.leading_bytes == 0, "{target}: {heard:?}");
        assert!(first.is_none() || heard.first == first, "{target}: {heard:?}");
        let head = fs::read_to_string(head).unwrap().to_ascii_lowercase();
        let told = head.lines().find_map(|line| line.strip_prefix("x-content-start: "));
        past.check_start(told.unwrap_or_else(|| panic!("{head}")), heard.first.unwrap());
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn ffprobe_counts_the_packets_of_a_span_and_of_what_goes_on() {
    let past = Past::new();
    let probe = |target: &str, more: &[&str]| {
        let mut command: Command = required("ffprobe");
        command.args(["-loglevel", "error", "-count_packets", "-of", "default=noprint_wrappers=1"]);
        command.args(["-show_entries", "stream=codec_name,sample_rate,channels,nb_read_packets"]).args(more);
        command.arg(past.url(target));
        let probe = succeed(command);
        assert_eq!(probe.stderr(), "", "{target}");
        probe.stdout()
    };
    let found =
        |packets: u32| format!("codec_name=mp3\nsample_rate=44100\nchannels=2\nnb_read_packets={packets}\n");
    let span = format!("/test?start={}&end={}", past.before_ms(500), past.before_ms(700));
    assert_eq!(probe(&span, &[]), found(200));
    for (target, _) in past.addresses() {
        assert_eq!(probe(&target, &["-read_intervals", "%+#120"]), found(120), "{target}");
    }
}

#[test]
fn chromium_plays_from_the_instant_that_was_asked_for() {
    let (past, directory) = (Past::new(), TempDir::new().unwrap());
    let addresses = past.addresses();
    let targets: Vec<&str> = addresses.iter().map(|(target, _)| target.as_str()).collect();
    let mut expected: Vec<String> = Vec::new();
    for (target, first) in &addresses {
        let answer = listen(&past.host, target);
        let told = answer.header("X-Content-Start").unwrap();
        past.check_start(told, *first);
        expected.extend([format!("start of {target}: {told}"), format!("played {target}")]);
    }
    let page = directory.path().join("page.html");
    let text = PLAYERS.replace("ADDRESS", &past.host.listeners().to_string());
    fs::write(&page, text.replace("TARGETS", &json!(targets).to_string())).unwrap();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    chromium(&directory, &[], &format!("file://{}", page.display()), &expected);
}
