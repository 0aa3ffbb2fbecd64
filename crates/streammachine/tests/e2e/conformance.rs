//! Conformance to HTTP Live Streaming over minutes: a player reloads a live window as each segment comes, while sources come
//! and go, the server restarts and crashes, and time stamps wrap at 33 bits.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::audio::{Codec, Frames};
use testkit::programs::require;
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, SourceOptions};
use testkit::wait::DEADLINE;

use crate::harness::{
    BINARY, Host, PASSWORD, connect, count, frames, get, wait_for_buffer, wait_for_sources,
};
use crate::playlists::{Listed, Media};
use crate::programs::aac_frames;

/// Ticks of 90 kHz after which time stamps begin again.
const WRAP: u64 = 1 << 33;
/// Stream time between the start and the wrap.
const BEFORE_WRAP_US: i64 = 25_000_000;
/// Audio that a source sends at once.
const BURST_S: u64 = 10;
/// What a playlist shows.
const WINDOW_S: u64 = 20;
/// Bytes before the audio of a packed segment without a title.
const TAG_BYTES: usize = 73;

/// Where Debian keeps the library that shifts a program's clock; its test is skipped, and says so, where it is missing.
fn clock_shifter() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = places.map(|it| it.path().join("faketime/libfaketime.so.1"));
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        writeln!(std::io::stderr(), "skipped: faketime is not installed").ok();
    }
    found
}

/// Seconds to add to the clock so that time stamps, which count from the Unix epoch, wrap soon.
fn shift_s() -> i64 {
    let now_us = i128::from(jiff::Timestamp::now().as_microsecond() + BEFORE_WRAP_US);
    let ticks = now_us * 9 / 100;
    let left = i128::from(WRAP) - ticks % i128::from(WRAP);
    (left / 90_000) as i64
}

/// How the server is started, again and again.
struct Station {
    directory: TempDir,
    shifter: PathBuf,
    shift_s: i64,
}

impl Station {
    fn start(&self) -> Host {
        let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "seconds": 600});
        let settings: Value = json!({
            "chunk_duration": 0.1,
            "hls": {"segment_duration": 2, "window": WINDOW_S},
            "rewind": {"dir": self.directory.path()},
            "streams": {"test": stream("mp3"), "aac": stream("aac")},
        });
        let environment = [
            ("LD_PRELOAD", self.shifter.display().to_string()),
            ("FAKETIME", format!("+{}", self.shift_s)),
            // Only the calendar is shifted: waits are as long as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Host::from(Server::start(&ServerOptions {
            environment,
            ..ServerOptions::new(BINARY, settings.to_string())
        }))
    }

    fn now_us(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond() + self.shift_s * 1_000_000
    }
}

/// A player of one stream that reloads its playlist and fetches each segment once.
struct Player<C> {
    key: &'static str,
    frames: Frames<C>,
    samples_per_frame: u64,
    list: Option<Media>,
    /// Time stamp of the first segment, and samples since.
    base: Option<u64>,
    samples: u64,
    newest_frame: Option<u32>,
    stamps: Vec<u64>,
    /// What was fetched, in order.
    segments: Vec<(Listed, Vec<u8>)>,
}

impl<C: Codec> Player<C> {
    fn new(key: &'static str, frames: Frames<C>, samples_per_frame: u64) -> Self {
        Player {
            key,
            frames,
            samples_per_frame,
            list: None,
            base: None,
            samples: 0,
            newest_frame: None,
            stamps: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn next(&self) -> Option<u64> {
        self.segments.last().map(|(segment, _)| segment.seq + 1)
    }

    /// Reloads until the next segment has come.
    #[track_caller]
    fn follow(&mut self, host: &Host, station: &Station) {
        let wait = self.next().map_or(String::new(), |next| format!("?_HLS_msn={next}"));
        self.reload(host, station, &wait);
        assert!(
            self.next().is_some_and(|next| !wait.ends_with(&format!("={next}"))),
            "exactly when it is there"
        );
    }

    /// A segment to come is not there, and caches do not remember that.
    #[track_caller]
    fn look_ahead(&self, host: &Host) {
        let (newest, _) = self.segments.last().expect("some have come");
        let ahead = newest.uri.replace(&newest.seq.to_string(), &(newest.seq + 2).to_string());
        let response = get(host, &ahead);
        assert_eq!((response.status, response.header("Cache-Control")), (404, Some("max-age=1")), "{ahead}");
    }

    #[track_caller]
    fn reload(&mut self, host: &Host, station: &Station, wait: &str) {
        let target = format!("/{}.m3u8{wait}", self.key);
        let mut response = get(host, &target);
        let text = response.read_text();
        assert_eq!(response.status, 200, "{target}: {text}");
        let media = Media::parse(&text);
        let shown_us: i64 = media.segments.iter().map(|segment| segment.length_us).sum();
        assert!(media.segments.len() >= 3 && shown_us <= (WINDOW_S as i64 + 3) * 1_000_000, "{shown_us} µs");
        if let Some(earlier) = &self.list {
            media.check_after(earlier);
        }
        let next = self.next().unwrap_or(media.sequence);
        assert!(media.sequence <= next, "segment {next} was never listed");
        let fresh: Vec<Listed> =
            media.segments.iter().filter(|segment| segment.seq >= next).cloned().collect();
        for segment in fresh {
            let end_us = segment.date_us + segment.length_us;
            assert!(end_us <= station.now_us() + 50_000, "{segment:?} ends in the future");
            self.fetch(host, segment);
        }
        self.list = Some(media);
    }

    #[track_caller]
    fn fetch(&mut self, host: &Host, segment: Listed) {
        let body = get(host, &segment.uri).read_body();
        let (tag, audio) = body.split_at(TAG_BYTES);
        let stamp = u64::from_be_bytes(tag[65..].try_into().expect("eight bytes"));
        let base = *self.base.get_or_insert(stamp);
        let ticks = self.samples * 90_000 / 44_100;
        assert_eq!(stamp, (base + ticks) % WRAP, "{segment:?}: exact, rounded down once");
        self.stamps.push(stamp);
        let report = self.frames.scan(audio);
        assert!(report.is_continuous() && report.is_whole(), "{segment:?}: {report:?}");
        if !segment.discontinuity {
            let next = self.newest_frame.map_or(report.first, |newest| Some(newest + 1));
            assert_eq!(report.first, next, "{segment:?}");
        }
        self.newest_frame = report.last;
        let samples = report.frames * self.samples_per_frame;
        assert_eq!(segment.length_us as u64, samples * 1_000_000 / 44_100, "{segment:?}");
        self.samples += samples;
        self.segments.push((segment, body));
    }

    /// Checks what is known only at the end.
    #[track_caller]
    fn finish(&self, host: &Host, discontinuities: usize) {
        let wraps = self.stamps.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert_eq!(wraps, 1, "{:?}", self.stamps);
        let marked: Vec<u64> = self
            .segments
            .iter()
            .filter(|(it, _)| it.discontinuity)
            .map(|(it, _)| it.discontinuity_seq)
            .collect();
        let first = self.segments[0].0.discontinuity_seq;
        let wanted: Vec<u64> = (first..).take(discontinuities).collect();
        assert_eq!(marked, wanted, "one for each break");
        let listed = self.list.as_ref().expect("there was a playlist");
        assert!(listed.sequence > self.segments[0].0.seq, "the window has moved");
        for (segment, body) in &self.segments {
            let mut again = get(host, &segment.uri);
            assert_eq!(again.status, 200, "{segment:?}");
            assert!(again.read_body() == *body, "{segment:?}: never changes");
        }
    }
}

/// A source on `key` that goes on with frame `first`, `burst` frames at once.
#[track_caller]
fn send<C: Codec + Send + 'static>(
    host: &Host,
    key: &str,
    frames: Frames<C>,
    first: u32,
    burst: u32,
) -> PacedSource {
    let mut source = connect(host, SourceOptions::new(&format!("/{key}"), PASSWORD));
    source.send(&frames.bytes(first..first + burst)).expect("the server takes audio");
    source.send_paced(frames, first + burst)
}

/// Ends both sources; the frames that come next.
fn stop(host: &Host, sources: [PacedSource; 2]) -> [u32; 2] {
    let next = sources.map(|source| {
        let (connection, next) = source.stop().expect("the server takes audio");
        connection.close();
        next
    });
    wait_for_sources(host, "test", 0);
    wait_for_sources(host, "aac", 0);
    next
}

fn go_on(host: &Host, [test, aac]: [u32; 2]) -> [PacedSource; 2] {
    // There is no room for a burst behind what was heard before: it would be dated ahead.
    [send(host, "test", frames(), test, 0), send(host, "aac", aac_frames(), aac, 0)]
}

/// Reads ten seconds on both sides of the wrap with ffprobe: it counts every packet and has no complaint.
#[track_caller]
fn probe_over_the_wrap<C>(host: &Host, player: &Player<C>, query: &str) {
    let wrap = player.stamps.windows(2).position(|pair| pair[1] < pair[0]).expect("it wraps") + 1;
    let around = &player.segments[wrap - 5..wrap + 5];
    let middle_ms = |segment: &Listed| (segment.date_us + segment.length_us / 2) / 1000;
    let (start, end) = (middle_ms(&around[0].0), middle_ms(&around[9].0));
    let target = format!("http://{}/{}.m3u8?start={start}&end={end}{query}", host.listeners(), player.key);
    let mut probe = Command::new(require("ffprobe"));
    probe.args(["-loglevel", "error", "-count_packets", "-of", "csv=p=0", "-select_streams", "a"]);
    let output =
        probe.args(["-show_entries", "stream=nb_read_packets"]).arg(&target).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let samples: i64 = around.iter().map(|(it, _)| it.length_us).sum::<i64>() * 44_100 / 1_000_000;
    let packets = (samples as f64 / player.samples_per_frame as f64).round() as i64;
    let first = told.lines().next().unwrap_or_default().trim_end_matches(',');
    assert_eq!(first.parse(), Ok(packets), "{target}: {told}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{target}");
}

#[test]
fn a_live_window_keeps_every_rule_for_minutes() {
    let Some(shifter) = clock_shifter() else { return };
    let station = Station { directory: TempDir::new().expect("a directory"), shifter, shift_s: shift_s() };
    let mut mp3 = Player::new("test", frames(), 1152);
    let mut aac = Player::new("aac", aac_frames(), 1024);
    let mut host = station.start();
    let burst = aac_frames().count_in(std::time::Duration::from_secs(BURST_S));
    let sources =
        [send(&host, "test", frames(), 0, count(BURST_S)), send(&host, "aac", aac_frames(), 0, burst)];
    wait_for_buffer(&host, "test", 8.0);
    wait_for_buffer(&host, "aac", 8.0);
    let mut play = |host: &Host, segments| {
        for _ in 0..segments {
            mp3.follow(host, &station);
            aac.follow(host, &station);
        }
        mp3.look_ahead(host);
        aac.look_ahead(host);
    };
    play(&host, 18);
    // The sources go away and come back.
    let next = stop(&host, sources);
    let sources = go_on(&host, next);
    play(&host, 14);
    // The server restarts in order.
    let next = sources.map(|source| source.stop().expect("the server takes audio").1);
    host.signal(rustix::process::Signal::TERM);
    host.process().wait(DEADLINE);
    drop(host);
    host = station.start();
    let sources = go_on(&host, next);
    play(&host, 14);
    // It crashes.
    host.kill9();
    let next = sources.map(|source| source.next_frame());
    drop(host);
    host = station.start();
    let _sources = go_on(&host, next);
    play(&host, 14);
    mp3.finish(&host, 4);
    aac.finish(&host, 4);
    for query in ["", "&container=ts"] {
        probe_over_the_wrap(&host, &mp3, query);
    }
    for query in ["", "&container=ts", "&container=fmp4"] {
        probe_over_the_wrap(&host, &aac, query);
    }
}
