//! An announcer with short times against a strict directory.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use testkit::directory::{Call, Directory, Mood};
use testkit::wait::{DEADLINE, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Station;
use super::announcer::Announcer;
use super::client::{Client, Trouble};
use super::listing::Terms;
use crate::base::clock::Clock;
use crate::base::task;

/// Times that let a whole life of an entry pass in a moment.
const TERMS: Terms = Terms {
    grace: Duration::from_millis(300),
    first_touch: Duration::ZERO,
    touch_min: Duration::ZERO,
    touch_max: Duration::from_millis(10),
    touch_default: Duration::ZERO,
    retry_min: Duration::from_millis(10),
    retry_max: Duration::from_millis(40),
};

struct Fixture {
    directory: Directory,
    on_air: Arc<Mutex<Option<Station>>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Fixture {
    /// An announcer of a stream that is on air, after `moods` of the directory.
    fn start(moods: impl IntoIterator<Item = Mood>) -> Self {
        let directory = Directory::start("0");
        directory.treat_next(moods);
        let on_air = Arc::new(Mutex::new(Some(station("A song"))));
        let observed = Arc::clone(&on_air);
        let client = Client::new(directory.url()).unwrap();
        let observe = Box::new(move || observed.lock().clone());
        let announcer = Announcer::new("test".to_owned(), client, TERMS, observe, Clock::start());
        let stop = CancellationToken::new();
        let running = task::spawn("directory", announcer.run(stop.clone()));
        Fixture { directory, on_air, stop, running }
    }

    /// Waits for `count` calls without keeping the announcer from running.
    async fn calls(&self, count: usize) -> Vec<Call> {
        tokio::task::block_in_place(|| self.directory.wait_for(count))
    }

    /// Ends the announcer; the calls that there were.
    async fn end(self) -> Vec<Call> {
        self.stop.cancel();
        self.running.await.unwrap();
        self.directory.assert_flawless();
        assert!(self.directory.listed().is_empty(), "{:?}", self.directory.calls());
        self.directory.calls()
    }
}

fn station(song: &str) -> Station {
    let entry = [
        ("sn", "Rädio & Co"),
        ("genre", ""),
        ("cpswd", ""),
        ("desc", "a=b&c"),
        ("url", ""),
        ("listenurl", "http://radio.example:8000/test?a=1&b=2"),
        ("type", "audio/mpeg"),
        ("stype", ""),
        ("b", "64"),
        ("samplerate", "44100"),
        ("channels", "2"),
        ("audioinfo", "ice-samplerate=44100;ice-channels=2;ice-bitrate=64"),
    ];
    let entry = entry.map(|(name, value)| (name, value.to_owned())).to_vec();
    Station { entry, song: song.to_owned(), listeners: 3, seats: 100 }
}

fn actions(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.get("action")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_lives_from_the_source_to_its_end() {
    let fixture = Fixture::start([]);
    let calls = fixture.calls(2).await;
    assert_eq!(actions(&calls[..2]), ["add", "touch"]);
    let told = ["sn", "desc", "listenurl", "audioinfo"].map(|name| calls[0].get(name));
    assert_eq!(
        told,
        [
            "Rädio & Co",
            "a=b&c",
            "http://radio.example:8000/test?a=1&b=2",
            "ice-samplerate=44100;ice-channels=2;ice-bitrate=64",
        ]
    );
    let told = ["st", "listeners", "max_listeners"].map(|name| calls[1].get(name));
    assert_eq!(told, ["A song", "3", "100"]);

    *fixture.on_air.lock() = Some(station("Björk – It's Oh So Quiet; 100 %"));
    let is_new =
        |call: &Call| call.fields.get("st").is_some_and(|st| st == "Björk – It's Oh So Quiet; 100 %");
    tokio::task::block_in_place(|| {
        eventually(DEADLINE, || fixture.directory.calls().iter().any(is_new).then_some(()));
    });
    *fixture.on_air.lock() = None;
    tokio::task::block_in_place(|| {
        eventually(DEADLINE, || fixture.directory.listed().is_empty().then_some(()))
    });
    // The next source is listed anew.
    *fixture.on_air.lock() = Some(station(""));
    tokio::task::block_in_place(|| eventually(DEADLINE, || fixture.directory.listed().first().cloned()));
    let calls = fixture.end().await;
    let order: Vec<_> = actions(&calls).into_iter().filter(|action| *action != "touch").collect();
    assert_eq!(order, ["add", "remove", "add", "remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_with_an_entry_it_is_tried_again() {
    let say = |text: &str| Mood::Say(text.as_bytes().to_vec());
    let troubles = [
        say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nYPResponse: 1\r\nSID: 1\r\n\r\n"),
        say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        say("HTTP/1.1 200 OK\r\nYPResponse: 1\r\nContent-Length: 0\r\n\r\n"),
        say("HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
        say("\0\u{1}garbage\r\n\r\n"),
        say(""),
        Mood::Refuse("listen url is bad"),
        Mood::Endless,
    ];
    let count = troubles.len();
    let fixture = Fixture::start(troubles);
    fixture.calls(count + 2).await;
    let calls = fixture.end().await;
    assert_eq!(actions(&calls[..count + 2]), [vec!["add"; count + 1], vec!["touch"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_the_directory_has_lost_is_made_anew() {
    let fixture = Fixture::start([]);
    fixture.calls(2).await;
    fixture.directory.forget();
    let is_second = |calls: &[Call]| calls.iter().filter(|call| call.get("action") == "add").count() == 2;
    tokio::task::block_in_place(|| {
        eventually(DEADLINE, || is_second(&fixture.directory.calls()).then_some(()));
    });
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_has_changed_is_made_anew_with_a_touch_due() {
    let fixture = Fixture::start([]);
    fixture.calls(2).await;
    let mut changed = station("A song");
    changed.entry[0].1 = "Another".to_owned();
    *fixture.on_air.lock() = Some(changed);
    let is_told = |call: &Call| call.fields.get("sn").is_some_and(|name| name == "Another");
    tokio::task::block_in_place(|| {
        eventually(DEADLINE, || fixture.directory.calls().iter().any(is_told).then_some(()));
    });
    let calls = fixture.end().await;
    let order: Vec<_> = actions(&calls).into_iter().filter(|action| *action != "touch").collect();
    assert_eq!(order, ["add", "remove", "add", "remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_directory_does_not_keep_the_server_from_ending() {
    let fixture = Fixture::start([Mood::Silent]);
    fixture.calls(1).await;
    assert_eq!(actions(&fixture.end().await), ["add"]);
}

#[tokio::test]
async fn troubles_are_told_without_the_address() {
    let directory = Directory::start("0");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let say = |text: &str| Mood::Say(text.as_bytes().to_vec());
    directory
        .treat_next([Mood::Refuse("no\tsuch station"), say("HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n")]);
    let client = Client::new(directory.url()).unwrap();
    let send = async |client: &Client| client.send("remove", &[("sid", "1")]).await.unwrap_err().to_string();
    assert_eq!(send(&client).await, "refused: no such station");
    assert_eq!(send(&client).await, "the answer is 500 Internal Server Error");
    let unreachable = send(&Client::new(format!("http://{closed}/")).unwrap()).await;
    assert!(unreachable.starts_with("no answer: ") && unreachable.contains("refused"), "{unreachable}");
    let encrypted = Client::new(directory.url().replace("http:", "https:")).unwrap();
    assert!(matches!(encrypted.send("remove", &[]).await, Err(Trouble::Silent(_))));
}
