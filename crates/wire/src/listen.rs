//! What listeners ask: which stream, in which form, and from when to when.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::instant::{self, InstantError};
use crate::metadata::clean;
use crate::path::Query;
use crate::playlist;

/// Longest distance or span that is asked for; longer ones are this long.
const SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;

/// Parameters that say in another way where to start or end.
const NOT_WITH_PROGRAM: [&str; 5] = ["start", "end", "duration", "offset", "delay"];

/// What a path of the listener port names, without knowing which streams there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenPath {
    /// `/KEY`, and what players add to it: `/`, `/;`, `;`, `/;stream.nsv`.
    Stream(String),
    /// `/`, `/;`, `/;stream.nsv`: the stream with `root_route`.
    Root,
    /// `/KEY.pls` and the like.
    Playlist(String, playlist::Kind),
    /// `/listen.pls` and the like: of the stream with `root_route`.
    RootPlaylist(playlist::Kind),
    /// Nothing of these.
    Other,
}

impl ListenPath {
    /// Reads a decoded path. A key may hold dots, so the exact key is to be tried first.
    pub fn decode(path: &str) -> Self {
        let Some(rest) = path.strip_prefix('/') else { return ListenPath::Other };
        let name = strip_additions(rest);
        if name.is_empty() {
            return ListenPath::Root;
        }
        let playlist = name.rsplit_once('.').and_then(|(key, suffix)| {
            Some((key, playlist::Kind::of_suffix(suffix)?)).filter(|(key, _)| is_name(key))
        });
        match playlist {
            Some(("listen", kind)) => ListenPath::RootPlaylist(kind),
            Some((key, kind)) => ListenPath::Playlist(key.to_owned(), kind),
            None if is_name(name) => ListenPath::Stream(name.to_owned()),
            None => ListenPath::Other,
        }
    }
}

/// What SHOUTcast players put behind a mount means nothing. A lone `/` stays: `//` is no name of the root, as URLs that
/// begin so lead to another host.
fn strip_additions(rest: &str) -> &str {
    let name = rest.split(';').next().unwrap_or_default();
    name.strip_suffix('/').filter(|name| !name.is_empty()).unwrap_or(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

/// Where listening starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// At the live edge, after the burst.
    Live,
    /// So long ago, as the original's `offset`.
    Offset(Duration),
    /// A fixed distance behind live.
    Delay(Duration),
    /// At an instant.
    At(Timestamp),
}

/// A span to be sent as fast as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pump {
    /// How long it is.
    pub length: Duration,
    /// How long ago it starts; by default as long ago as it is long.
    pub from: Option<Duration>,
}

/// What a listener's query asks.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenQuery {
    /// Where it starts.
    pub start: Start,
    /// Where it ends; never, without.
    pub end: Option<Timestamp>,
    /// A span in place of these.
    pub pump: Option<Pump>,
    /// A programme in place of these: its start, or with `pump` all of it. Which it is, the stream knows.
    pub program: Option<String>,
    /// Whether an instant that is not there is an error rather than the nearest that is.
    pub strict: bool,
    /// `session_id`: what the listener calls its session.
    pub session_id: Option<String>,
    /// `ua`: what the listener says of its player, besides its user agent.
    pub ua: Option<String>,
    /// Whether it wants no preroll.
    pub preskip: bool,
}

/// Why a query cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// `start` or `end` is no instant.
    #[error("{name}: {error}")]
    Instant {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        error: InstantError,
    },
    /// `delay` or `duration` is no number of seconds.
    #[error("{name} must be a number of seconds, 0 or more")]
    Seconds {
        /// The parameter.
        name: &'static str,
    },
    /// `tz` names no zone.
    #[error("tz must name a time zone, for example Europe/Berlin")]
    Zone,
    /// The end is not after the start.
    #[error("the end is not after the start")]
    EndBeforeStart,
    /// An end without a start.
    #[error("end and duration need a start")]
    EndWithoutStart,
    /// A programme and another place to start or end.
    #[error("program says where to start: {name} contradicts it")]
    ProgramAnd {
        /// The other parameter.
        name: &'static str,
    },
}

impl ListenQuery {
    /// Reads a query. `offset`, `pump` and `from` that are no numbers are ignored, as the original did; the newer
    /// parameters are taken at their word.
    ///
    /// # Errors
    /// Newer parameters that mean nothing.
    pub fn decode(query: &Query, now: Timestamp, zone: &TimeZone) -> Result<Self, QueryError> {
        let given_zone =
            query.get("tz").map(|name| TimeZone::get(name).map_err(|_| QueryError::Zone)).transpose()?;
        let zone = given_zone.as_ref().unwrap_or(zone);
        let fold = query.get("fold") == Some("1");
        let instant = |name| parse_instant(query, name, now, zone, fold);
        let program = query.get("program").map(str::to_owned);
        if program.is_some()
            && let Some(name) = NOT_WITH_PROGRAM.into_iter().find(|name| query.get(name).is_some())
        {
            return Err(QueryError::ProgramAnd { name });
        }
        let start = match (instant("start")?, lenient(query, "offset"), strict_seconds(query, "delay")?) {
            (Some(at), ..) => Start::At(at),
            (None, Some(offset), _) => Start::Offset(offset),
            (None, None, Some(delay)) => Start::Delay(delay),
            (None, None, None) => Start::Live,
        };
        let end = find_end(start, instant("end")?, strict_seconds(query, "duration")?)?;
        let length = lenient(query, "pump").filter(|length| !length.is_zero());
        let pump = length.map(|length| Pump { length, from: lenient(query, "from") });
        let (strict, preskip) = (query.get("strict") == Some("1"), query.get("preskip") == Some("1"));
        let (session_id, ua) = (label(query, "session_id"), label(query, "ua"));
        Ok(ListenQuery { start, end, pump, program, strict, session_id, ua, preskip })
    }
}

/// A text that goes to logs and other servers.
fn label(query: &Query, name: &str) -> Option<String> {
    query.get(name).map(clean).filter(|text| !text.is_empty())
}

fn parse_instant(
    query: &Query,
    name: &'static str,
    now: Timestamp,
    zone: &TimeZone,
    fold: bool,
) -> Result<Option<Timestamp>, QueryError> {
    let instant = query.get(name).map(|text| instant::parse(text, now, zone, fold));
    instant.transpose().map_err(|error| QueryError::Instant { name, error })
}

fn find_end(
    start: Start,
    end: Option<Timestamp>,
    duration: Option<Duration>,
) -> Result<Option<Timestamp>, QueryError> {
    let Start::At(start) = start else {
        return if end.is_some() || duration.is_some() { Err(QueryError::EndWithoutStart) } else { Ok(None) };
    };
    let by_duration = duration.map(|duration| {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        start.checked_add(duration).unwrap_or(Timestamp::MAX)
    });
    match end.or(by_duration) {
        Some(end) if end <= start => Err(QueryError::EndBeforeStart),
        end => Ok(end),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

fn lenient(query: &Query, name: &str) -> Option<Duration> {
    query.get(name).and_then(seconds)
}

fn strict_seconds(query: &Query, name: &'static str) -> Result<Option<Duration>, QueryError> {
    query.get(name).map(|text| seconds(text).ok_or(QueryError::Seconds { name })).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn decode(text: &str) -> Result<ListenQuery, QueryError> {
        let now = "2026-11-23T10:30:00Z".parse().unwrap();
        ListenQuery::decode(&Query::decode(text).unwrap(), now, &TimeZone::UTC)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn paths_name_streams_whatever_players_add() {
        let stream = |key: &str| ListenPath::Stream(key.to_owned());
        for path in ["/test", "/test/", "/test;", "/test/;", "/test/;stream.nsv", "/test/;?aw_0"] {
            assert_eq!(ListenPath::decode(path), stream("test"), "{path}");
        }
        assert_eq!(ListenPath::decode("/a.mp3"), stream("a.mp3"));
        for path in ["/", "/;", "/;stream.nsv"] {
            assert_eq!(ListenPath::decode(path), ListenPath::Root, "{path}");
        }
        for path in ["", "test", "*", "//", "//;x", "//test", "/test//", "/a/b", "/../test", "/.pls/x"] {
            assert_eq!(ListenPath::decode(path), ListenPath::Other, "{path}");
        }
    }

    #[test]
    fn playlists_are_told_by_their_suffix() {
        use playlist::Kind;
        let of = |key: &str, kind| ListenPath::Playlist(key.to_owned(), kind);
        for (path, expected) in [
            ("/test.pls", of("test", Kind::Pls)),
            ("/a.mp3.pls", of("a.mp3", Kind::Pls)),
            ("/test.m3u", of("test", Kind::M3u)),
            ("/test.xspf", of("test", Kind::Xspf)),
            ("/a.mp3.vclt", of("a.mp3", Kind::Vclt)),
            ("/listen.pls", ListenPath::RootPlaylist(Kind::Pls)),
            ("/listen.m3u", ListenPath::RootPlaylist(Kind::M3u)),
            ("/test.PLS", ListenPath::Stream("test.PLS".to_owned())),
            ("/a/b.pls", ListenPath::Other),
            ("/.pls", ListenPath::Stream(".pls".to_owned())),
            ("/test.m3u8", ListenPath::Stream("test.m3u8".to_owned())),
        ] {
            assert_eq!(ListenPath::decode(path), expected, "{path}");
        }
    }

    #[test]
    fn the_originals_parameters_never_harm() {
        assert_eq!(decode("").unwrap().start, Start::Live);
        assert_eq!(decode("offset=60").unwrap().start, Start::Offset(60 * SECOND));
        assert_eq!(decode("offset=0.5").unwrap().start, Start::Offset(SECOND / 2));
        for text in [
            "offset=-5",
            "offset=abc",
            "offset=NaN",
            "offset=inf",
            "offset=",
            "offset[a][b]=1",
            "pump=x&from=y",
            "pump=0",
            "pump=-1&from=60",
            "from=60",
        ] {
            let query = decode(text).unwrap();
            assert_eq!((query.start, query.pump), (Start::Live, None), "{text}");
        }
        let longest = Start::Offset(Duration::from_secs_f64(SECONDS_MAX));
        for text in ["offset=316224000", "offset=316224001", "offset=1e300"] {
            assert_eq!(decode(text).unwrap().start, longest, "{text}");
        }
        let pump = Pump { length: 10 * SECOND, from: Some(60 * SECOND) };
        assert_eq!(decode("from=60&pump=10").unwrap().pump, Some(pump));
        assert_eq!(decode("pump=10").unwrap().pump, Some(Pump { from: None, ..pump }));
    }

    #[test]
    fn newer_parameters_are_taken_at_their_word() {
        let nine = Start::At(at("2026-11-23T09:00:00Z"));
        for (text, start, end) in [
            ("start=09:00", nine, None),
            ("start=09:00&end=09:30", nine, Some("2026-11-23T09:30:00Z")),
            ("start=09:00&duration=90", nine, Some("2026-11-23T09:01:30Z")),
            ("start=09:00&duration=0.000001", nine, Some("2026-11-23T09:00:00.000001Z")),
            ("start=09:00&end=-60&duration=90", nine, Some("2026-11-23T10:29:00Z")),
            ("start=-5400&end=2026-11-23T12:00:00 01:00", nine, Some("2026-11-23T11:00:00Z")),
            ("start=10:00&tz=Europe/Berlin", nine, None),
            ("start=09:00&offset=60&delay=30", nine, None),
            ("delay=30", Start::Delay(30 * SECOND), None),
            ("offset=60&delay=30", Start::Offset(60 * SECOND), None),
            ("start=02:30&tz=Europe/Berlin&fold=1", Start::At(at("2026-11-23T01:30:00Z")), None),
        ] {
            let query = decode(text).unwrap();
            assert_eq!((query.start, query.end), (start, end.map(at)), "{text}");
        }
        assert!(decode("start=09:00&strict=1").unwrap().strict);
        assert!(!decode("start=09:00&strict=0").unwrap().strict);
    }

    #[test]
    fn nonsense_in_newer_parameters_is_an_error_with_a_reason() {
        let seconds = |name| QueryError::Seconds { name };
        for (text, error) in [
            ("delay=x", seconds("delay")),
            ("delay=-1", seconds("delay")),
            ("start=09:00&delay=", seconds("delay")),
            ("start=09:00&duration=-1", seconds("duration")),
            ("start=09:00&duration=inf", seconds("duration")),
            ("start=09:00&duration=0", QueryError::EndBeforeStart),
            ("start=09:00&end=09:00", QueryError::EndBeforeStart),
            ("start=09:00&end=08:00", QueryError::EndBeforeStart),
            ("end=08:00", QueryError::EndWithoutStart),
            ("duration=60&offset=60", QueryError::EndWithoutStart),
            ("start=09:00&tz=Mars/Base", QueryError::Zone),
            ("tz=", QueryError::Zone),
            ("program=news&start=09:00", QueryError::ProgramAnd { name: "start" }),
            ("offset=x&program=news", QueryError::ProgramAnd { name: "offset" }),
            ("program=news&duration=60", QueryError::ProgramAnd { name: "duration" }),
        ] {
            assert_eq!(decode(text), Err(error), "{text}");
        }
        for (text, reason) in [
            ("start=soon", "start: \"soon\" is no instant"),
            ("start=", "start: \"\" is no"),
            ("start=0&end=x", "end: \"x\" is no"),
        ] {
            assert!(decode(text).unwrap_err().to_string().starts_with(reason), "{text}");
        }
        assert_eq!(seconds("delay").to_string(), "delay must be a number of seconds, 0 or more");
    }

    #[test]
    fn a_programme_is_named_in_place_of_a_start() {
        let query = decode("program=Morning+News&pump=1").unwrap();
        assert_eq!((query.program.as_deref(), query.start), (Some("Morning News"), Start::Live));
        assert!(query.pump.is_some());
        assert_eq!(decode("program=").unwrap().program.as_deref(), Some(""));
        assert_eq!(decode("start=09:00").unwrap().program, None);
    }

    #[test]
    fn what_listeners_say_of_themselves_is_cleaned() {
        let query = decode("session_id=a-1%0d%0ab&ua=Player%2F2&preskip=1").unwrap();
        assert_eq!(query.session_id.as_deref(), Some("a-1 b"));
        assert_eq!(query.ua.as_deref(), Some("Player/2"));
        assert!(query.preskip);
        let query = decode("session_id=&ua=%00&preskip=0").unwrap();
        assert_eq!((query.session_id, query.ua, query.preskip), (None, None, false));
    }

    proptest! {
        #[test]
        fn an_end_is_always_behind_its_start(
            start in "-[0-9]{1,9}|[0-2][0-9]:[0-5][0-9]|[0-9]{1,14}",
            end in "(&end=(-[0-9]{1,9}|[0-2][0-9]:[0-5][0-9]|[0-9]{1,14}))?",
            duration in "(&duration=[0-9.e]{1,9})?",
        ) {
            if let Ok(ListenQuery { start: Start::At(start), end: Some(end), .. }) = decode(&format!("start={start}{end}{duration}")) {
                prop_assert!(start < end);
            }
        }

        #[test]
        fn no_path_and_no_query_panic(path in ".{0,20}", query in "([a-z]{0,3}|start|end|offset|pump|tz|=|&|-|[0-9.:eT]){0,20}") {
            // That they return is the fact.
            let _ = (ListenPath::decode(&path), decode(&query));
        }
    }
}
