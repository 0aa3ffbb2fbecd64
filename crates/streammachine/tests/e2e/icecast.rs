//! The same source, title and listener for a real Icecast and for us: what both say is compared, name by name and type by
//! type. What differs on purpose is listed here and in `docs/ref/icecast.md`.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::listener::{ListenerClient, Request, Response, request};
use testkit::process::Process;
use testkit::programs;
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually, poll};

use crate::harness::{Host, PASSWORD, count, frames};

/// The user that Icecast runs as, since it refuses root: Debian's `nobody`.
const NOBODY: u32 = 65_534;
const MOUNT: &str = "/a.mp3";
const TITLE: &str = "A & B <x> It's \"q\"";
const AGENT: &str = "player <1> & \"co\"";
/// The user `admin` with the password `secret`, whom both know.
const ADMIN: (&str, &str) = ("Authorization", "Basic YWRtaW46c2VjcmV0");
const HASH: &str = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";

/// What we tell beyond Icecast 2.4: it tells of the format only what the encoder says, which is nothing here.
const MORE_OF_A_SOURCE: [&str; 5] =
    ["audio_info", "bitrate", "ice-bitrate", "ice-channels", "ice-samplerate"];
/// What we tell beyond it of a listener.
const MORE_OF_A_LISTENER: [&str; 2] = ["lag", "total_bytes_sent"];

/// What is the same in both statistics. Icecast counts each request among its clients and connections, also those for
/// pages; times, names of the server, and bytes differ.
const SAME_IN_STATS: [&str; 21] = [
    "file_connections",
    "genre",
    "host",
    "listener_connections",
    "listener_peak",
    "listeners",
    "location",
    "max_listeners",
    "public",
    "server_description",
    "server_name",
    "server_type",
    "server_url",
    "slow_listeners",
    "source_client_connections",
    "source_ip",
    "source_relay_connections",
    "source_total_connections",
    "sources",
    "title",
    "user_agent",
];

/// A real Icecast; dropping it stops it.
pub struct Icecast {
    address: SocketAddr,
    _process: Process,
    _directory: TempDir,
}

impl Icecast {
    /// Starts Debian's; none where it is not installed.
    pub fn start() -> Option<Self> {
        let program = programs::find("icecast2")?;
        // Another may take the port before Icecast has it: then it ends, and the next is tried.
        poll(DEADLINE, || {
            let directory = tempfile::tempdir().expect("there is room for a directory");
            std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("it is ours");
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let config = directory.path().join("icecast.xml");
            let text = config_text(address.port(), &directory);
            std::fs::write(&config, text).expect("a new directory takes a file");
            let mut command = Command::new(&program);
            command.arg("-c").arg(&config);
            if rustix::process::geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            let mut process = Process::start(command);
            let is_ready = poll(DEADLINE, || {
                let is_running = process.is_running();
                if is_running && answers(address, &name_of(&directory)) {
                    Some(true)
                } else {
                    (!is_running).then_some(false)
                }
            });
            (is_ready == Some(true)).then_some(Icecast { address, _process: process, _directory: directory })
        })
    }

    /// Where it listens, for sources and listeners.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port below those that the system gives to clients.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = 22_000 + (std::process::id() % 1_000) as u16;
    (first..first + 500).find(is_free).expect("one of 500 ports is free")
}

/// What tells one Icecast from another that took its port.
fn name_of(directory: &TempDir) -> String {
    directory.path().file_name().expect("a directory has a name").to_string_lossy().into_owned()
}

/// Whether the Icecast with this name is there.
fn answers(address: SocketAddr, name: &str) -> bool {
    TcpStream::connect(address).is_ok()
        && String::from_utf8_lossy(&request(address, b"GET /status-json.xsl HTTP/1.0\r\n\r\n")).contains(name)
}

fn config_text(port: u16, directory: &TempDir) -> String {
    let (logs, name) = (directory.path().display(), name_of(directory));
    format!(
        "<icecast><limits><clients>50</clients><sources>4</sources><burst-size>65536</burst-size></limits>
  <authentication>
    <source-password>{PASSWORD}</source-password><relay-password>secret</relay-password>
    <admin-user>admin</admin-user><admin-password>secret</admin-password>
  </authentication>
  <hostname>127.0.0.1</hostname><admin>{name}</admin>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>1</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir><logdir>{logs}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
</icecast>
"
    )
}

/// A server with a source, a title and a listener.
struct Station {
    listeners: SocketAddr,
    _source: PacedSource,
    _listener: Response,
}

impl Station {
    #[track_caller]
    fn start(listeners: SocketAddr, sources: SocketAddr) -> Self {
        let mut options = SourceOptions::new(MOUNT, PASSWORD);
        for (name, value) in [
            ("ice-name", "R & <D>"),
            ("ice-genre", "Talk"),
            ("ice-description", "Desc"),
            ("ice-url", "http://r.example/"),
            ("ice-public", "0"),
        ] {
            options = options.header(name, value);
        }
        let mut source =
            SourceClient::connect(sources, options).unwrap_or_else(|refusal| panic!("{refusal}"));
        source.send(&frames().bytes(0..count(3))).expect("the server takes audio");
        let source = source.send_paced(frames(), count(3));
        let title = "A%20%26%20B%20%3Cx%3E%20It%27s%20%22q%22";
        let target = format!("/admin/metadata?mode=updinfo&mount={MOUNT}&charset=UTF-8&song={title}");
        let mut answer = ListenerClient::get(listeners, &target, &[ADMIN]);
        assert!(answer.read_text().contains("Metadata update successful"));
        let listener = eventually(DEADLINE, || {
            let listener = ListenerClient::get(listeners, MOUNT, &[("User-Agent", AGENT)]);
            (listener.status == 200).then_some(listener)
        });
        Station { listeners, _source: source, _listener: listener }
    }

    #[track_caller]
    fn answer(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let request = Request { version: "HTTP/1.0", headers, ..Request::new(method, target) };
        let mut response = ListenerClient::send(self.listeners, &request);
        let media_type = response.header("Content-Type").unwrap_or_default().to_owned();
        (response.status, media_type, response.read_text())
    }

    /// Waits until the listener is counted.
    #[track_caller]
    fn status(&self) -> Value {
        eventually(DEADLINE, || {
            let (_, _, text) = self.answer("GET", "/status-json.xsl", &[]);
            // Icecast's is broken in its first moments, while it knows little of itself.
            let status: Value = serde_json::from_str(&text).ok()?;
            let source = &status["icestats"]["source"];
            (source["listeners"] == 1 && source["title"] == TITLE).then_some(status)
        })
    }

    #[track_caller]
    fn admin(&self, command: &str) -> String {
        let (status, media_type, text) = self.answer("GET", &format!("/admin/{command}"), &[ADMIN]);
        assert_eq!((status, media_type.as_str()), (200, "text/xml; charset=utf-8"), "{command}: {text}");
        text
    }
}

/// Both servers with the same on air; none where Icecast is not installed.
#[track_caller]
fn both(test: &str) -> Option<(Icecast, Host, [Station; 2])> {
    let Some(icecast) = Icecast::start() else {
        println!("skipped: {test} (icecast2 is not installed: apt-get install icecast2)");
        return None;
    };
    let host = Host::start(json!({
        "streams": {"a.mp3": {"source_password": PASSWORD}},
        "users": {"admin": HASH},
        "admin": {"require_auth": true},
    }));
    let theirs = Station::start(icecast.address, icecast.address);
    let ours = Station::start(host.listeners(), host.sources());
    Some((icecast, host, [theirs, ours]))
}

/// Names and types of an object's members, without those that are `left_out`.
fn shape(value: &Value, left_out: &[&str]) -> Vec<String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let members = value.as_object().unwrap_or_else(|| panic!("no object: {value}")).iter();
    let kept = members.filter(|(name, _)| !left_out.contains(&name.as_str()));
    let mut shape: Vec<String> = kept.map(|(name, value)| format!("{name}: {}", kind(value))).collect();
    shape.sort_unstable();
    shape
}

/// Paths of all elements with the names of their attributes, in the order in which they come, without those that are
/// `left_out`.
fn paths(xml: &str, left_out: &[&str]) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let elements = document.descendants().filter(roxmltree::Node::is_element);
    let kept = elements.filter(|node| !left_out.contains(&node.tag_name().name()));
    kept.map(|node| {
        let mut names: Vec<&str> = node.ancestors().map(|it| it.tag_name().name()).collect();
        names.reverse();
        let attributes = node.attributes().map(|it| format!("@{}", it.name())).collect::<String>();
        names.join("/") + &attributes
    })
    .collect()
}

/// Texts of the elements with these names.
fn values(xml: &str, names: &[&str]) -> BTreeSet<(String, String)> {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let elements = document.descendants().filter(|node| names.contains(&node.tag_name().name()));
    elements
        .map(|node| (node.tag_name().name().to_owned(), node.text().unwrap_or_default().to_owned()))
        .collect()
}

#[test]
fn the_public_status_has_icecasts_names_and_types() {
    let Some((_icecast, _host, [theirs, ours])) = both("the_public_status_has_icecasts_names_and_types")
    else {
        return;
    };
    let (their, our) = (theirs.status(), ours.status());
    assert_eq!(shape(&our["icestats"], &[]), shape(&their["icestats"], &[]));
    let (their, our) = (&their["icestats"]["source"], &our["icestats"]["source"]);
    assert_eq!(shape(our, &MORE_OF_A_SOURCE), shape(their, &[]));
    for name in ["genre", "server_description", "server_name", "server_type", "server_url", "title"] {
        assert_eq!(our[name], their[name], "{name}");
    }
    for name in ["listeners", "listener_peak", "dummy"] {
        assert_eq!(our[name], their[name], "{name}");
    }
    let answer = |station: &Station| {
        let (status, media_type, _) = station.answer("GET", "/status-json.xsl?mount=/none", &[]);
        (status, media_type)
    };
    assert_eq!(answer(&ours), answer(&theirs));
}

#[test]
fn the_admin_pages_have_icecasts_elements() {
    let Some((_icecast, _host, [theirs, ours])) = both("the_admin_pages_have_icecasts_elements") else {
        return;
    };
    theirs.status();
    ours.status();
    for command in ["stats", "stats?mount=/a.mp3"] {
        let our = ours.admin(command);
        let our_values = values(&our, &SAME_IN_STATS);
        // Icecast counts what has happened a moment later.
        let same = || Some(theirs.admin(command)).filter(|their| values(their, &SAME_IN_STATS) == our_values);
        let their = poll(DEADLINE, same).unwrap_or_else(|| theirs.admin(command));
        assert_eq!(our_values, values(&their, &SAME_IN_STATS), "{command}");
        assert_eq!(paths(&our, &MORE_OF_A_SOURCE), paths(&their, &[]), "{command}");
    }
    for command in ["listmounts", "streamlist"] {
        let (their, our) = (theirs.admin(command), ours.admin(command));
        assert_eq!(paths(&our, &[]), paths(&their, &[]), "{command}");
        let same = ["fallback", "listeners", "content-type"];
        assert_eq!(values(&our, &same), values(&their, &same), "{command}");
    }
    let (their, our) = (theirs.admin("listclients?mount=/a.mp3"), ours.admin("listclients?mount=/a.mp3"));
    assert_eq!(paths(&our, &MORE_OF_A_LISTENER), paths(&their, &[]));
    let same = ["Listeners", "IP", "UserAgent"];
    assert_eq!(values(&our, &same), values(&their, &same));
}

#[test]
fn the_same_is_answered_and_refused_in_the_same_words() {
    let Some((_icecast, _host, [theirs, ours])) = both("the_same_is_answered_and_refused_in_the_same_words")
    else {
        return;
    };
    theirs.status();
    ours.status();
    for command in [
        "killclient?mount=/a.mp3&id=99999",
        "killclient?mount=/a.mp3&id=abc",
        "killclient?mount=/a.mp3",
        "killclient?mount=/none&id=1",
        "killclient",
        "killsource?mount=/none",
        "listclients",
        "listclients?mount=/none",
        "stats?mount=/none",
        "moveclients?mount=/a.mp3",
        "moveclients?mount=/a.mp3&destination=/none",
        "moveclients?mount=/a.mp3&destination=/a.mp3",
        "fallbacks?mount=/a.mp3",
        "updatemetadata?mount=/a.mp3",
        "buildm3u?mount=/a.mp3&username=jo",
        "nonsense",
        "metadata?mode=nonsense&mount=/a.mp3",
        // Last: then it is gone.
        "killsource?mount=/a.mp3",
    ] {
        let answer = |station: &Station| station.answer("GET", &format!("/admin/{command}"), &[ADMIN]);
        assert_eq!(answer(&ours), answer(&theirs), "{command}");
    }
    // Icecast writes its own address, and a line into the head that is no header.
    let playlist = |station: &Station| {
        let command = "/admin/buildm3u?mount=/a.mp3&username=jo&password=d.e-f_9";
        let (name, value) = ADMIN;
        let head =
            format!("GET {command} HTTP/1.0\r\nHost: {}\r\n{name}: {value}\r\n\r\n", station.listeners);
        let answer = String::from_utf8(request(station.listeners, head.as_bytes())).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: audio/x-mpegurl"), "{head}");
        text.replace(&format!(":{}/", station.listeners.port()), "/")
    };
    assert_eq!(playlist(&ours), playlist(&theirs));
    for headers in [&[][..], &[("Authorization", "Basic YWRtaW46d3Jvbmc=")]] {
        let answer = |station: &Station| station.answer("GET", "/admin/stats", headers);
        assert_eq!(answer(&ours), answer(&theirs));
    }
    // Icecast wants its relay password for the list of streams, we any user.
    let list = |station: &Station, user: &str| {
        eventually(DEADLINE, || {
            let answer = station.answer("GET", "/admin/streamlist.txt", &[("Authorization", user)]);
            answer.2.is_empty().then_some(answer)
        })
    };
    let relay = "Basic cmVsYXk6c2VjcmV0";
    assert_eq!(list(&ours, ADMIN.1), list(&theirs, relay));
}

#[test]
fn the_list_of_streams_is_icecasts_to_the_byte() {
    let Some((_icecast, _host, [theirs, ours])) = both("the_list_of_streams_is_icecasts_to_the_byte") else {
        return;
    };
    theirs.status();
    ours.status();
    let list =
        |station: &Station, user| station.answer("GET", "/admin/streamlist.txt", &[("Authorization", user)]);
    assert_eq!(list(&ours, ADMIN.1), list(&theirs, "Basic cmVsYXk6c2VjcmV0"));
    assert_eq!(list(&ours, ADMIN.1).2, "/a.mp3\r\n");
}
