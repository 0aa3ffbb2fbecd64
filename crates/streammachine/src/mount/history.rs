//! What came of the latest connections of sources: what they asked for, whether they were let in, why not, how they
//! ended.
//!
//! Holds no secrets: passwords are not put in, headers only by name.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use audio::Time;
use parking_lot::Mutex;
use wire::metadata::clean;

use crate::source::{End, Source};

/// Connections remembered of one mount: enough to see what an encoder did today.
pub const RECORDS_MAX: usize = 50;
/// Headers remembered of one connection.
const HEADERS_MAX: usize = 32;
/// Longest text of a field, in characters.
const CHARACTERS_MAX: usize = 200;
/// Headers whose values hold no secrets. Families of names end in a dash.
const HEADERS: [&str; 10] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "expect",
    "host",
    "user-agent",
    "connection",
    "ice-",
    "icy-",
    "x-audiocast-",
];

/// How a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOURCE or PUT.
    Icecast,
    /// SHOUTcast v1.
    Shoutcast,
    /// Neither.
    Unknown,
}

/// What a source asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it is.
    pub peer: SocketAddr,
    /// How it speaks.
    pub protocol: Protocol,
    /// The method of its request; empty where there is none.
    pub method: String,
    /// The mount that it named, as a path.
    pub mount: Option<String>,
    /// Its user name.
    pub user: Option<String>,
    /// Its headers, as far as they are shown; names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was not let in.
    Refused(String),
    /// It is connected.
    Connected(Arc<Source>),
    /// It was connected, and ended so at that time.
    Ended(Arc<Source>, End, Time),
}

/// One connection, or several refused in a row for the same reason.
#[derive(Clone, Debug)]
pub struct Record {
    /// What was asked for, the last time.
    pub asked: Asked,
    /// When it came the first time.
    pub first_at: Time,
    /// When it came the last time.
    pub at: Time,
    /// How often it came.
    pub count: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// Only a question whether a password is needed: what follows from the same address replaces it.
    provisional: bool,
}

/// The latest connections.
#[derive(Debug, Default)]
pub struct History {
    records: Mutex<VecDeque<Record>>,
}

impl Asked {
    /// What `peer` asked for, without secrets and cut to what may be remembered.
    pub fn new(peer: SocketAddr, protocol: Protocol) -> Self {
        Asked { peer, protocol, method: String::new(), mount: None, user: None, headers: Vec::new() }
    }

    /// The same with a request line; what follows the path is left out, as it may hold a password.
    pub fn request(mut self, method: &str, mount: &str) -> Self {
        self.method = cut(method);
        self.mount = Some(cut(mount));
        self
    }

    /// The same with a user name.
    pub fn user(mut self, user: Option<&str>) -> Self {
        self.user = user.filter(|user| !user.is_empty()).map(cut);
        self
    }

    /// The same with those of `headers` that are shown.
    pub fn headers<'a>(mut self, headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let shown = headers.filter(|(name, _)| HEADERS.iter().any(|known| is_of(name, known)));
        self.headers = shown.map(|(name, value)| (cut(&name), cut(value))).take(HEADERS_MAX).collect();
        self
    }
}

fn is_of(name: &str, known: &str) -> bool {
    name == known || known.ends_with('-') && name.starts_with(known)
}

/// `text` without control characters, and no longer than is remembered.
pub fn cut(text: &str) -> String {
    clean(&text.chars().take(CHARACTERS_MAX).collect::<String>())
}

impl History {
    /// Remembers one that was refused. Encoders try again and again: the same from the same address only counts up.
    pub fn refused(&self, asked: Asked, reason: String, now: Time) {
        self.add(Record { provisional: false, ..record(asked, Outcome::Refused(cut(&reason)), now) });
    }

    /// Remembers one that only asked whether a password is needed.
    pub fn challenged(&self, asked: Asked, reason: String, now: Time) {
        self.add(Record { provisional: true, ..record(asked, Outcome::Refused(cut(&reason)), now) });
    }

    /// Remembers one that was let in.
    pub fn connected(&self, asked: Asked, source: Arc<Source>, now: Time) {
        self.add(record(asked, Outcome::Connected(source), now));
    }

    /// Notes how `source` ended, if it is still remembered.
    pub fn ended(&self, source: &Source, end: End, now: Time) {
        for record in self.records.lock().iter_mut() {
            match &record.outcome {
                Outcome::Connected(connected) if connected.id == source.id => {
                    record.outcome = Outcome::Ended(Arc::clone(connected), end, now);
                    return;
                }
                _ => {}
            }
        }
    }

    /// All that is remembered, the latest first.
    pub fn all(&self) -> Vec<Record> {
        self.records.lock().iter().cloned().collect()
    }

    fn add(&self, mut new: Record) {
        let mut records = self.records.lock();
        if let Some(last) = records.front() {
            let same_peer = last.asked.peer.ip() == new.asked.peer.ip();
            let same = match (&last.outcome, &new.outcome) {
                (Outcome::Refused(last), Outcome::Refused(new)) => last == new,
                _ => false,
            };
            if same_peer && same {
                new.first_at = last.first_at;
                new.count += last.count;
            }
            if same_peer && (same || last.provisional) {
                records.pop_front();
            }
        }
        records.push_front(new);
        records.truncate(RECORDS_MAX);
    }
}

fn record(asked: Asked, outcome: Outcome, now: Time) -> Record {
    Record { asked, first_at: now, at: now, count: 1, outcome, provisional: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;

    fn asked(host: u8) -> Asked {
        Asked::new(([192, 0, 2, host], 1).into(), Protocol::Icecast)
    }

    fn reasons(history: &History) -> Vec<(String, u64)> {
        let shown = history.all().into_iter().map(|record| match record.outcome {
            Outcome::Refused(reason) => (reason, record.count),
            Outcome::Connected(_) => ("connected".to_owned(), record.count),
            Outcome::Ended(_, end, _) => (end.to_string(), record.count),
        });
        shown.collect()
    }

    #[test]
    fn the_latest_come_first_and_their_number_is_bounded() {
        let history = History::default();
        for number in 0..RECORDS_MAX as i64 + 10 {
            history.refused(asked(1), number.to_string(), Time(number));
        }
        let all = reasons(&history);
        assert_eq!(
            (all.len(), all[0].0.as_str(), all[RECORDS_MAX - 1].0.as_str()),
            (RECORDS_MAX, "59", "10")
        );
    }

    #[test]
    fn the_same_refusal_of_one_address_is_counted() {
        let history = History::default();
        for (host, reason) in [(1, "a"), (1, "a"), (2, "a"), (1, "b"), (1, "b"), (1, "b")] {
            history.refused(asked(host), reason.to_owned(), Time(0));
        }
        assert_eq!(reasons(&history), [("b".to_owned(), 3), ("a".to_owned(), 1), ("a".to_owned(), 2)]);
    }

    #[test]
    fn the_first_try_of_libshout_makes_way_for_its_second() {
        let history = History::default();
        let source = Source::new(Origin::Programme, Time(0));
        history.challenged(asked(1), "why".to_owned(), Time(0));
        history.challenged(asked(2), "why".to_owned(), Time(0));
        history.connected(asked(2), Arc::clone(&source), Time(1));
        assert_eq!(reasons(&history), [("connected".to_owned(), 1), ("why".to_owned(), 1)]);
        history.ended(&source, End::Closed, Time(2));
        assert_eq!(reasons(&history)[0].0, "the source closed the connection");
    }

    #[test]
    fn headers_with_secrets_and_endless_texts_are_not_remembered() {
        let long = "x".repeat(500);
        let headers = [
            ("Authorization", "Basic hackme"),
            ("Cookie", "hackme"),
            ("ICE-Name", "Rädio\u{1}"),
            ("icy-url", long.as_str()),
            ("icehouse", "1"),
        ];
        let asked = asked(1).request("PUT", "/test").user(Some("jo")).headers(headers.into_iter());
        let expected = [("ice-name".to_owned(), "Rädio".to_owned()), ("icy-url".to_owned(), "x".repeat(200))];
        assert_eq!(asked.headers, expected);
        let many = (0..100).map(|_| ("ice-name", "x"));
        assert_eq!(asked.headers(many).headers.len(), HEADERS_MAX);
    }
}
