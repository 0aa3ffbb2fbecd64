//! A directory of stations as Xiph's, and a strict one: whatever a server says to it that is against the protocol is
//! noted, and refused.
//!
//! What is expected is written down here once more, from what Icecast says: nothing is taken from the server's crates.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait::{DEADLINE, eventually};

/// Path of the directory.
const PATH: &str = "/cgi-bin/yp-cgi";
/// Longest request.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Fields of an entry, in order.
const ADD: [&str; 13] = [
    "action",
    "sn",
    "genre",
    "cpswd",
    "desc",
    "url",
    "listenurl",
    "type",
    "stype",
    "b",
    "samplerate",
    "channels",
    "audioinfo",
];
/// Fields of a touch, in order.
const TOUCH: [&str; 6] = ["action", "sid", "st", "listeners", "max_listeners", "stype"];
/// Fields of a removal, in order.
const REMOVE: [&str; 2] = ["action", "sid"];

/// How the directory treats a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As the protocol says.
    Fair,
    /// No, for this reason.
    Refuse(&'static str),
    /// These bytes, then the end of the connection.
    Say(Vec<u8>),
    /// A head that has no end, until the peer has enough.
    Endless,
    /// Nothing, until the peer has enough.
    Silent,
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its fields, `action` among them.
    pub fields: BTreeMap<String, String>,
    /// How it was treated.
    pub mood: Mood,
}

impl Call {
    /// A field's value; panics without it.
    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    faults: Vec<String>,
    moods: VecDeque<Mood>,
    /// Listen addresses by ids of entries.
    entries: BTreeMap<String, String>,
    next_sid: u32,
    touch_freq: String,
}

/// A running directory; its thread ends with the test's process.
#[derive(Debug)]
pub struct Directory {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Directory {
    /// Starts a directory that wants to be touched every `touch_freq` seconds, or says this instead.
    #[track_caller]
    pub fn start(touch_freq: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State { touch_freq: touch_freq.to_owned(), next_sid: 100, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&peer, &shared));
            }
        });
        Self { address, state }
    }

    /// Its address, for the configuration of a server.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Treats the next requests so; later ones fairly.
    pub fn treat_next(&self, moods: impl IntoIterator<Item = Mood>) {
        lock(&self.state).moods.extend(moods);
    }

    /// Forgets all entries, as a directory does that is started again.
    pub fn forget(&self) {
        lock(&self.state).entries.clear();
    }

    /// All requests so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// Waits until there are `count` requests, and returns them; panics when one was against the protocol.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Call> {
        eventually(DEADLINE, || {
            self.assert_flawless();
            (self.calls().len() >= count).then_some(())
        });
        self.calls()
    }

    /// Panics when a request was against the protocol.
    #[track_caller]
    pub fn assert_flawless(&self) {
        let faults = lock(&self.state).faults.clone();
        assert!(faults.is_empty(), "against the protocol: {faults:#?}");
    }

    /// What was against the protocol.
    pub fn faults(&self) -> Vec<String> {
        lock(&self.state).faults.clone()
    }

    /// Listen addresses of the streams that are listed.
    pub fn listed(&self) -> Vec<String> {
        lock(&self.state).entries.values().cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut peer: &TcpStream, state: &Mutex<State>) {
    if peer.set_read_timeout(Some(SILENCE)).and_then(|()| peer.set_write_timeout(Some(SILENCE))).is_err() {
        return;
    }
    let form = match read_form(peer) {
        Ok(Some(form)) => form,
        // A connection on which nothing was said.
        Ok(None) => return,
        Err(fault) => return lock(state).faults.push(fault),
    };
    let (mood, answer) = {
        let mut state = lock(state);
        let mood = state.moods.pop_front().unwrap_or(Mood::Fair);
        let answer = match read_call(&form) {
            Ok(fields) => {
                state.calls.push(Call { fields: fields.clone(), mood: mood.clone() });
                answer(&mut state, &fields, &mood)
            }
            Err(fault) => {
                state.faults.push(fault);
                no("bad request")
            }
        };
        (mood, answer)
    };
    // A peer that has gone needs no answer.
    match mood {
        Mood::Fair | Mood::Refuse(_) => drop(peer.write_all(answer.as_bytes())),
        Mood::Say(bytes) => drop(peer.write_all(&bytes)),
        Mood::Endless => {
            let line = format!("X-More: {}\r\n", "x".repeat(1000));
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\n"));
            while peer.write_all(line.as_bytes()).is_ok() {}
        }
        Mood::Silent => drop(peer.read(&mut [0])),
    }
}

/// Reads a request and returns its form; `None` where nothing came.
fn read_form(peer: &TcpStream) -> Result<Option<String>, String> {
    let mut reader = BufReader::new(peer.take(REQUEST_BYTES_MAX as u64));
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line)
    };
    let first = line().map_err(|error| format!("no request line: {error}"))?;
    if first.is_empty() {
        return Ok(None);
    }
    if first != format!("POST {PATH} HTTP/1.1\r\n") {
        return Err(format!("request line {first:?}"));
    }
    let mut headers = BTreeMap::new();
    loop {
        let line = line().map_err(|error| format!("no header: {error}"))?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line == "\r\n" {
                break;
            }
            return Err(format!("header {line:?}"));
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().ok_or_else(|| format!("no header {name}"));
    header("host")?;
    if !header("user-agent")?.starts_with("StreamMachine/") {
        return Err(format!("user agent {:?}", header("user-agent")?));
    }
    if header("content-type")? != "application/x-www-form-urlencoded" {
        return Err(format!("content type {:?}", header("content-type")?));
    }
    let length: usize =
        header("content-length")?.parse().map_err(|error| format!("content length: {error}"))?;
    let mut body = vec![0; length.min(REQUEST_BYTES_MAX)];
    reader.read_exact(&mut body).map_err(|error| format!("a body of {length} bytes: {error}"))?;
    String::from_utf8(body).map(Some).map_err(|error| format!("form: {error}"))
}

/// The fields of a form, which must be those of its action, in order and encoded.
fn read_call(form: &str) -> Result<BTreeMap<String, String>, String> {
    let mut fields = Vec::new();
    for pair in form.split('&') {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("field {pair:?}"))?;
        fields.push((name.to_owned(), decode(value).ok_or_else(|| format!("encoding of {pair:?}"))?));
    }
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let expected: &[&str] = match fields[0].1.as_str() {
        "add" => &ADD,
        "touch" => &TOUCH,
        "remove" => &REMOVE,
        other => return Err(format!("action {other:?}")),
    };
    if names != expected {
        return Err(format!("fields {names:?} in place of {expected:?}"));
    }
    let fields: BTreeMap<_, _> = fields.into_iter().collect();
    for (name, value) in &fields {
        let fits = match name.as_str() {
            "sn" | "type" | "sid" | "audioinfo" => !value.is_empty(),
            "listenurl" => value.starts_with("http://") || value.starts_with("https://"),
            "samplerate" | "channels" | "listeners" | "max_listeners" => value.parse::<u32>().is_ok(),
            "b" => value.is_empty() || value.parse::<u32>().is_ok(),
            _ => true,
        };
        if !fits || value.chars().any(char::is_control) {
            return Err(format!("{name} is {value:?}"));
        }
    }
    Ok(fields)
}

/// Decodes a value in which all but unreserved characters must be encoded, in UTF-8.
fn decode(value: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

/// Changes the entries as the call says, and answers it. What is against the order of calls is a fault.
fn answer(state: &mut State, fields: &BTreeMap<String, String>, mood: &Mood) -> String {
    if let Mood::Refuse(reason) = mood {
        return no(reason);
    }
    if *mood != Mood::Fair {
        return String::new();
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nYPResponse: 1\r\nYPMessage: Fine\r\n";
    let sid = fields.get("sid").cloned().unwrap_or_default();
    match fields["action"].as_str() {
        "add" => {
            let url = fields["listenurl"].clone();
            if state.entries.values().any(|listed| *listed == url) {
                state.faults.push(format!("{url} is listed already"));
            }
            state.next_sid += 1;
            let sid = format!("id {}&", state.next_sid);
            state.entries.insert(sid.clone(), url);
            format!("{head}SID: {sid}\r\nTouchFreq: {}\r\n\r\n", state.touch_freq)
        }
        "touch" if state.entries.contains_key(&sid) => format!("{head}\r\n"),
        "touch" => no("unknown SID"),
        _ => {
            if state.entries.remove(&sid).is_none() {
                state.faults.push(format!("removal of {sid:?}, which is not listed"));
            }
            format!("{head}\r\n")
        }
    }
}

fn no(reason: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nYPResponse: 0\r\nYPMessage: {reason}\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::request;

    const ADDED: &str = "action=add&sn=A%20b&genre=&cpswd=&desc=&url=&listenurl=http%3A%2F%2Fa%2Fb&type=audio%2Fmpeg\
                         &stype=&b=64&samplerate=44100&channels=2&audioinfo=x";

    fn post(directory: &Directory, form: &str) -> String {
        let head = "POST /cgi-bin/yp-cgi HTTP/1.1\r\nHost: a\r\nUser-Agent: StreamMachine/1\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n";
        let text = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
        String::from_utf8(request(directory.address, text.as_bytes())).unwrap()
    }

    #[test]
    fn a_proper_sequence_is_answered() {
        let directory = Directory::start("200");
        let answer = post(&directory, ADDED);
        assert!(
            answer.contains("YPResponse: 1\r\n") && answer.contains("SID: id 101&\r\nTouchFreq: 200\r\n"),
            "{answer}"
        );
        assert_eq!(directory.listed(), ["http://a/b"]);
        let touch = "action=touch&sid=id%20101%26&st=%C3%84&listeners=1&max_listeners=9&stype=";
        assert!(post(&directory, touch).contains("YPResponse: 1\r\n"));
        directory.treat_next([Mood::Refuse("no"), Mood::Say(b"x".to_vec())]);
        assert!(post(&directory, touch).contains("YPResponse: 0\r\nYPMessage: no\r\n"));
        assert_eq!(post(&directory, touch), "x");
        assert!(post(&directory, "action=remove&sid=id%20101%26").contains("YPResponse: 1\r\n"));
        assert!(post(&directory, touch).contains("YPResponse: 0\r\n"));
        directory.assert_flawless();
        assert_eq!((directory.calls().len(), directory.calls()[1].get("st")), (6, "Ä"));
        assert!(directory.listed().is_empty());
    }

    #[test]
    fn everything_else_is_a_fault() {
        let directory = Directory::start("200");
        let forms = [
            "action=add".to_owned(),
            ADDED.replace("sn=A%20b", "sn="),
            ADDED.replace("sn=A%20b", "sn=A+b"),
            ADDED.replace("sn=A%20b", "sn=%C4"),
            ADDED.replace("sn=A%20b", "sn=%0A"),
            ADDED.replace("&stype=", ""),
            ADDED.replace("&b=64", "&b=64&more=1"),
            ADDED.replace("&channels=2", "&channels=two"),
            "action=touch&sid=1&st=&listeners=1&stype=&max_listeners=1".to_owned(),
            "action=remove&sid=never".to_owned(),
            "action=other".to_owned(),
            "nonsense".to_owned(),
        ];
        for (count, form) in forms.iter().enumerate() {
            post(&directory, form);
            assert_eq!(directory.faults().len(), count + 1, "{form}: {:?}", directory.faults());
        }
        request(directory.address, b"GET /cgi-bin/yp-cgi HTTP/1.1\r\n\r\n");
        assert_eq!(directory.faults().len(), forms.len() + 1);
        post(&directory, ADDED);
        post(&directory, ADDED);
        assert_eq!(directory.faults().last().unwrap(), "http://a/b is listed already");
    }
}
