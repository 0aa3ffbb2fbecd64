//! What all tests share: servers with short ticks, sources and listeners of numbered frames, calls of the API.
//!
//! No test and no fact about the server belongs here.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut, Range};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::audio::{Mp3Frames, Report};
use testkit::connection::Connection;
use testkit::listener::{ListenerClient, Request, Response};
use testkit::server::{Server, ServerOptions};
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_streammachine");
/// Password of every mount.
pub const PASSWORD: &str = "testing";
/// The password `secret` of a user.
pub const HASH: &str = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
/// Samples of a frame at 44.1 kHz, in µs, rounded up.
pub const FRAME_US: i64 = 26_123;

/// A running server whose logs hold no panic when the test is done with it.
pub struct Host {
    server: Server,
}

impl Host {
    /// A server with `settings` and a short tick.
    #[track_caller]
    pub fn start(settings: Value) -> Self {
        Self::start_with(settings, &[])
    }

    /// The same, with arguments behind the configuration file.
    #[track_caller]
    pub fn start_with(settings: Value, arguments: &[&str]) -> Self {
        let config = merge(json!({"chunk_duration": 0.1}), settings).to_string();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Host { server: Server::start(&ServerOptions { arguments, ..ServerOptions::new(BINARY, config) }) }
    }

    /// A server with the stream `/test`, which has no fallback, and `stream` among its settings.
    #[track_caller]
    pub fn with_stream(stream: Value) -> Self {
        Self::start(test_stream(stream))
    }

    /// The same, with its rewind buffer in `directory`.
    #[track_caller]
    pub fn with_directory(directory: &Path) -> Self {
        Self::start(merge(test_stream(json!({})), json!({"rewind": {"dir": directory}})))
    }
}

impl From<Server> for Host {
    fn from(server: Server) -> Self {
        Host { server }
    }
}

impl Deref for Host {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let logs = self.server.logs();
            assert!(!logs.contains("panicked"), "the server panicked:\n{logs}");
        }
    }
}

/// Settings of the stream `/test`.
pub fn test_stream(stream: Value) -> Value {
    let stream = merge(json!({"source_password": PASSWORD, "burst": 5}), stream);
    json!({"streams": {"test": stream}})
}

/// `base` with the members of `more`, objects in objects too.
pub fn merge(mut base: Value, more: Value) -> Value {
    match (&mut base, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                let old = members.remove(&name).unwrap_or(Value::Null);
                members.insert(name, merge(old, value));
            }
            base
        }
        (_, more) => more,
    }
}

/// What all sources send unless a test wants something else: 64 kbit/s at 44.1 kHz, padded frames among them.
pub fn frames() -> Mp3Frames {
    Mp3Frames::new(64, 44_100, 2)
}

/// Frames in `seconds`, rounded up.
pub fn count(seconds: u64) -> u32 {
    frames().count_in(Duration::from_secs(seconds)) + 1
}

/// A source on `/test`.
#[track_caller]
pub fn source(host: &Host) -> SourceClient {
    connect(host, SourceOptions::new("/test", PASSWORD))
}

/// A source as `options` say, let in.
#[track_caller]
pub fn connect(host: &Host, options: SourceOptions) -> SourceClient {
    SourceClient::connect(host.sources(), options).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// Sends the frames of `numbers` at once from a source that comes and goes, and waits until `/test` holds them.
#[track_caller]
pub fn play(host: &Host, numbers: Range<u32>) {
    let listeners = status(host, "test")["listeners"].as_u64();
    let mut source = source(host);
    source.send(&frames().bytes(numbers.clone())).expect("the server takes audio");
    source.close();
    wait_for_sources(host, "test", 0);
    wait_for_frame(host, "test", numbers.end - 1);
    // Who waited for the frame was a listener too, until the server has noticed its end.
    eventually(DEADLINE, || (status(host, "test")["listeners"].as_u64() <= listeners).then_some(()));
}

/// A source that has sent `seconds` at once and goes on at the pace of time.
#[track_caller]
pub fn on_air(host: &Host, seconds: u64) -> PacedSource {
    let mut source = source(host);
    source.send(&frames().bytes(0..count(seconds))).expect("the server takes audio");
    wait_for_buffer(host, "test", seconds as f64 - 0.5);
    source.send_paced(frames(), count(seconds))
}

/// Waits until frame `number` is the newest of the stream `key`.
#[track_caller]
pub fn wait_for_frame(host: &Host, key: &str, number: u32) {
    eventually(DEADLINE, || {
        let newest = listen(host, &format!("/{key}?pump=2")).read_body();
        (frames().scan(&newest).last == Some(number)).then_some(())
    });
}

/// Waits until the stream `key` holds so many seconds.
#[track_caller]
pub fn wait_for_buffer(host: &Host, key: &str, seconds: f64) {
    eventually(DEADLINE, || (buffer_seconds(host, key) >= seconds).then_some(()));
}

/// Seconds of audio that the stream `key` holds.
#[track_caller]
pub fn buffer_seconds(host: &Host, key: &str) -> f64 {
    status(host, key)["rewind"]["buffer_length"].as_f64().expect("buffer_length is a number")
}

/// The sources of the mount `key`, the one on air first.
#[track_caller]
pub fn line(host: &Host, key: &str) -> Vec<Value> {
    let mount = api(host, "GET", &format!("/api/sources/{key}"), None).1;
    mount["sources"].as_array().expect("sources are listed").clone()
}

/// Waits until the mount `key` has so many sources.
#[track_caller]
pub fn wait_for_sources(host: &Host, key: &str, count: usize) {
    eventually(DEADLINE, || (line(host, key).len() == count).then_some(()));
}

/// The API's status of the stream `key`.
#[track_caller]
pub fn status(host: &Host, key: &str) -> Value {
    let (status, body) = api(host, "GET", &format!("/api/streams/{key}"), None);
    assert_eq!(status, 200, "{body}");
    body
}

/// Calls the API; the body of the answer as JSON, as a text where it is none.
#[track_caller]
pub fn api(host: &Host, method: &str, target: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let headers = [("Content-Type", "application/json"), ("Connection", "close")];
    let request = Request { headers: &headers, body: body.as_bytes(), ..Request::new(method, target) };
    let mut response = ListenerClient::send(host.api(), &request);
    let text = response.read_text();
    (response.status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Sets the title of `/test` over the API.
#[track_caller]
pub fn set_title(host: &Host, title: &str) {
    let answer = api(host, "POST", "/api/streams/test/metadata", Some(&json!({"StreamTitle": title})));
    assert_eq!(answer.0, 200, "{}", answer.1);
    eventually(DEADLINE, || (status(host, "test")["metadata"]["StreamTitle"] == title).then_some(()));
}

/// Asks for audio, and gets it.
#[track_caller]
pub fn listen(host: &Host, target: &str) -> Response {
    listen_with(host, target, &[])
}

/// The same with headers.
#[track_caller]
pub fn listen_with(host: &Host, target: &str, headers: &[(&str, &str)]) -> Response {
    let response = ListenerClient::get(host.listeners(), target, headers);
    assert_eq!(response.status, 200, "{target}: {}", response.head);
    response
}

/// Everything that `/test` holds.
#[track_caller]
pub fn pump_all(host: &Host) -> Vec<u8> {
    listen(host, "/test?pump=1000000").read_body()
}

/// Asks for `target` over a connection that ends with the answer.
#[track_caller]
pub fn get(host: &Host, target: &str) -> Response {
    ListenerClient::get(host.listeners(), target, &[("Connection", "close")])
}

/// Asks for a page and reads it.
#[track_caller]
pub fn page(host: &Host, target: &str) -> (u16, String) {
    let mut response = get(host, target);
    (response.status, response.read_text())
}

/// Reads `bytes` of audio, which must be frames in a row from a whole one on.
#[track_caller]
pub fn hear(connection: &mut Connection, bytes: usize) -> Report {
    let report = frames().scan(&connection.read_exact(bytes));
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    report
}

/// A connection over which a small request was answered: the HTTP server has it.
#[track_caller]
pub fn kept_connection(address: SocketAddr) -> Connection {
    let mut connection = Connection::open(address);
    connection
        .send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a new connection takes a request");
    let head = connection.read_head().expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(connection.read_exact(3), b"ok\n");
    connection
}

/// Sends `second` over a kept connection: the head of its answer, and the connection behind it.
#[track_caller]
pub fn over_kept_connection(address: SocketAddr, second: &str) -> (String, Connection) {
    let mut connection = kept_connection(address);
    connection.send(second.as_bytes()).expect("a kept connection takes a request");
    (connection.read_head().expect("an answer has a head"), connection)
}

/// When the first frame of an answer was on air, exact to a millisecond; in µs from the epoch.
#[track_caller]
pub fn content_start_us(response: &Response) -> i64 {
    let text = response.header("X-Content-Start").unwrap_or_else(|| panic!("no start: {}", response.head));
    text.parse::<Timestamp>().expect("the start is an instant").as_microsecond()
}

/// Start of frame `number` in µs, if frame 0 starts at `origin_us`.
pub fn frame_start_us(origin_us: i64, number: u32) -> i64 {
    origin_us + frames().start_us(number) as i64
}

/// The rewind buffer of `/test` in the API.
pub const DUMP: &str = "/api/streams/test/rewind";

/// Puts a dump into the rewind buffer of `/test`; the status and the answer.
#[track_caller]
pub fn load(host: &Host, dump: &[u8]) -> (u16, Value) {
    let request = Request { body: dump, headers: &[("Connection", "close")], ..Request::new("PUT", DUMP) };
    let mut response = ListenerClient::send(host.api(), &request);
    let text = response.read_text();
    (response.status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
}

/// The dump of the rewind buffer of `/test`.
#[track_caller]
pub fn dump(host: &Host) -> Vec<u8> {
    let mut response = ListenerClient::get(host.api(), DUMP, &[("Connection", "close")]);
    assert_eq!((response.status, response.header("Content-Type")), (200, Some("application/octet-stream")));
    response.read_body()
}
