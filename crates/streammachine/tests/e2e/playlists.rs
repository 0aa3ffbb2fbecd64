//! Reads media playlists as a strict player does. What it may assert of one server is in `hls`.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use jiff::Timestamp;
use testkit::listener::Response;

use crate::harness::{Host, get, page};

/// A media playlist, every rule of one text checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    pub version: u64,
    pub target_s: u64,
    pub sequence: u64,
    pub discontinuities: u64,
    pub skipped: u64,
    pub is_closed: bool,
    pub server_control: Option<String>,
    pub start: Option<String>,
    pub map: Option<String>,
    pub part_target_us: Option<i64>,
    pub segments: Vec<Listed>,
    /// Parts of the segment that grows.
    pub growing: Vec<Part>,
    /// Its date, and whether it is a discontinuity.
    pub growing_date_us: Option<i64>,
    pub hint: Option<String>,
    pub reports: Vec<String>,
}

/// A part as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub length_us: i64,
    pub uri: String,
}

/// A segment as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub seq: u64,
    pub discontinuity: bool,
    pub discontinuity_seq: u64,
    pub date_us: i64,
    pub length_us: i64,
    pub uri: String,
    /// Listed of the newest only.
    pub parts: Vec<Part>,
}

/// What was read of the next segment.
#[derive(Debug, Default)]
struct Pending {
    date: Option<i64>,
    length: Option<i64>,
    discontinuity: bool,
    /// Discontinuities so far.
    counted: u64,
}

impl Media {
    /// Reads `text`; panics where it breaks a rule.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"), "{text}");
        assert!(text.ends_with('\n'));
        let mut media = Media {
            version: 0,
            target_s: 0,
            sequence: 0,
            discontinuities: 0,
            skipped: 0,
            is_closed: false,
            server_control: None,
            start: None,
            map: None,
            part_target_us: None,
            segments: Vec::new(),
            growing: Vec::new(),
            growing_date_us: None,
            hint: None,
            reports: Vec::new(),
        };
        let mut pending = Pending::default();
        for line in lines {
            assert!(!media.is_closed, "nothing follows the end: {line}");
            assert!(media.hint.is_none() || line.contains("REPORT"), "the hint is behind all parts: {line}");
            if !media.take_head(line) {
                media.take(line, &mut pending);
            }
        }
        media.growing_date_us = pending.date;
        assert_eq!(media.version, if media.skipped > 0 { 9 } else { 6 });
        media.check();
        media
    }

    /// Takes a line that says something of the whole playlist; false if it does not.
    fn take_head(&mut self, line: &str) -> bool {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        match tag {
            "#EXT-X-VERSION" => self.version = number(),
            "#EXT-X-TARGETDURATION" => self.target_s = number(),
            "#EXT-X-MEDIA-SEQUENCE" => self.sequence = number(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuities = number(),
            "#EXT-X-INDEPENDENT-SEGMENTS" | "#EXT-X-DATERANGE" => {}
            "#EXT-X-PLAYLIST-TYPE" => assert_eq!(value, "VOD"),
            "#EXT-X-SERVER-CONTROL" => self.server_control = Some(value.to_owned()),
            "#EXT-X-START" => self.start = Some(value.to_owned()),
            "#EXT-X-SKIP" => {
                self.skipped = value.strip_prefix("SKIPPED-SEGMENTS=").unwrap().parse().unwrap();
            }
            "#EXT-X-PART-INF" => {
                assert!(self.segments.is_empty() && self.growing.is_empty());
                let seconds = value.strip_prefix("PART-TARGET=").unwrap();
                self.part_target_us = Some(micros(&format!("{seconds}000")));
            }
            "#EXT-X-PRELOAD-HINT" => {
                let uri = value.strip_prefix("TYPE=PART,URI=\"").unwrap().strip_suffix('"').unwrap();
                self.hint = Some(uri.to_owned());
            }
            "#EXT-X-RENDITION-REPORT" => self.reports.push(value.to_owned()),
            "#EXT-X-ENDLIST" => self.is_closed = true,
            _ => return false,
        }
        true
    }

    /// Takes a line of a segment.
    fn take(&mut self, line: &str, pending: &mut Pending) {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-DISCONTINUITY" => {
                assert!(pending.date.is_none() && !pending.discontinuity, "in its place: {line}");
                pending.discontinuity = true;
                pending.counted += 1;
            }
            "#EXT-X-MAP" => {
                let uri = value.strip_prefix("URI=\"").unwrap().strip_suffix('"').unwrap();
                assert!(pending.date.is_none() && self.growing.is_empty(), "before its segment: {line}");
                self.map = Some(uri.to_owned());
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                assert!(
                    value.ends_with('Z') && pending.length.is_none(),
                    "before the length, in UTC: {line}"
                );
                assert!(self.growing.is_empty(), "before the first part: {line}");
                pending.date = Some(value.parse::<Timestamp>().unwrap().as_microsecond());
            }
            "#EXT-X-PART" => {
                assert!(
                    pending.date.is_some() && pending.length.is_none(),
                    "between date and length: {line}"
                );
                self.growing.push(Part::parse(value));
            }
            "#EXTINF" => pending.length = Some(micros(value.strip_suffix(',').unwrap())),
            _ => {
                assert!(!line.starts_with('#'), "unknown: {line}");
                self.segments.push(Listed {
                    seq: self.sequence + self.skipped + self.segments.len() as u64,
                    discontinuity: std::mem::take(&mut pending.discontinuity),
                    discontinuity_seq: self.discontinuities + pending.counted,
                    date_us: pending.date.take().expect("every segment has a date"),
                    length_us: pending.length.take().expect("every segment has a length"),
                    uri: line.to_owned(),
                    parts: std::mem::take(&mut self.growing),
                });
            }
        }
    }

    fn check(&self) {
        assert!(self.target_s > 0);
        self.check_parts();
        for segment in &self.segments {
            let rounded_s = (segment.length_us + 500_000) / 1_000_000;
            assert!(rounded_s <= self.target_s as i64, "{segment:?} is longer than {}", self.target_s);
        }
        for pair in self.segments.windows(2) {
            // The clock of a source that runs ahead or behind is followed within a bound.
            let slewed_us = pair[0].length_us / 50 + 2_000;
            let gap_us = pair[1].date_us - pair[0].date_us - pair[0].length_us;
            assert!(gap_us >= -slewed_us, "dates go back: {pair:?}");
            assert!(pair[1].discontinuity || gap_us <= slewed_us, "a gap without its mark: {pair:?}");
        }
    }

    /// RFC 8216bis sections 4.4.3.7, 4.4.3.8, 4.4.4.9, 4.4.5.3 and 6.2.2.
    fn check_parts(&self) {
        let has_parts = !self.growing.is_empty() || self.segments.iter().any(|it| !it.parts.is_empty());
        let Some(target_us) = self.part_target_us else {
            assert!(!has_parts && self.hint.is_none() && self.reports.is_empty());
            return;
        };
        assert!(!self.is_closed && self.map.is_some());
        let control = self.server_control.as_deref().unwrap();
        assert!(control.starts_with("CAN-BLOCK-RELOAD=YES,"), "{control}");
        let hold_back =
            format!(",PART-HOLD-BACK={}.{:03}", 3 * target_us / 1_000_000, 3 * target_us / 1000 % 1000);
        assert!(control.ends_with(&hold_back), "{control}");
        let total_us = |parts: &[Part]| parts.iter().map(|part| part.length_us).sum::<i64>();
        let mut behind_us = total_us(&self.growing);
        for (nth, segment) in self.segments.iter().enumerate().rev() {
            let must_have = behind_us < 3 * self.target_s as i64 * 1_000_000;
            let may_have = behind_us < 3 * self.target_s as i64 * 1_000_000 + 100_000;
            assert!(!segment.parts.is_empty() || !must_have, "{nth} has none {behind_us} from the end");
            assert!(segment.parts.is_empty() || may_have, "{nth} has parts {behind_us} from the end");
            behind_us += segment.length_us;
            if segment.parts.is_empty() {
                continue;
            }
            check_row(&segment.parts, &segment.uri, target_us, true);
            let off_us = segment.length_us - total_us(&segment.parts);
            assert!((0..segment.parts.len() as i64).contains(&off_us), "parts are the segment: {segment:?}");
        }
        if let Some(hint) = &self.hint {
            let name = hint.strip_suffix(&format!(".{}.m4s", self.growing.len())).expect("the next part");
            let next = self.sequence + self.skipped + self.segments.len() as u64;
            assert!(name.ends_with(&format!("/{next}")), "{hint} is of {next}");
            check_row(&self.growing, &format!("{name}.m4s"), target_us, false);
        }
    }

    /// The newest segment and the newest part of it.
    pub fn newest_part(&self) -> (u64, u64) {
        let last = self.segments.last().unwrap();
        match self.growing.len() as u64 {
            0 => (last.seq, last.parts.len() as u64 - 1),
            parts => (last.seq + 1, parts - 1),
        }
    }

    /// Checks what must hold between two readings of one address, `self` the later one.
    #[track_caller]
    pub fn check_after(&self, earlier: &Media) {
        assert_eq!((self.target_s, self.version), (earlier.target_s, earlier.version));
        assert!(self.sequence >= earlier.sequence && self.discontinuities >= earlier.discontinuities);
        for segment in &self.segments {
            let Some(known) = earlier.segments.iter().find(|known| known.seq == segment.seq) else {
                continue;
            };
            let without_parts = |it: &Listed| Listed { parts: Vec::new(), ..it.clone() };
            assert_eq!(without_parts(known), without_parts(segment));
            assert!(segment.parts.is_empty() || segment.parts == known.parts, "{known:?} became {segment:?}");
        }
        let last = |media: &Media| media.segments.last().map(|segment| segment.seq);
        assert!(last(self) >= last(earlier), "the end went back");
        let grown = last(earlier).map(|last| last + 1);
        let now = self.segments.iter().find(|segment| Some(segment.seq) == grown);
        let now = now.map_or(&self.growing, |segment| &segment.parts);
        assert!(now.starts_with(&earlier.growing), "{:?} became {now:?}", earlier.growing);
    }
}

impl Part {
    fn parse(value: &str) -> Self {
        let rest = value.strip_prefix("DURATION=").unwrap();
        let (length, rest) = rest.split_once(",URI=\"").unwrap();
        let uri = rest.strip_suffix("\",INDEPENDENT=YES").unwrap();
        Part { length_us: micros(length), uri: uri.to_owned() }
    }
}

/// Seconds with six decimals.
fn micros(text: &str) -> i64 {
    let (seconds, micros) = text.split_once('.').unwrap();
    assert_eq!(micros.len(), 6, "{text}");
    seconds.parse::<i64>().unwrap() * 1_000_000 + micros.parse::<i64>().unwrap()
}

/// Names and lengths of the parts of the segment at `uri`; the last one of a whole segment may be short.
#[track_caller]
fn check_row(parts: &[Part], uri: &str, target_us: i64, is_whole: bool) {
    for (nth, part) in parts.iter().enumerate() {
        assert_eq!(part.uri, uri.replace(".m4s", &format!(".{nth}.m4s")));
        let may_be_short = is_whole && nth == parts.len() - 1;
        let least_us = if may_be_short { 1 } else { target_us * 85 / 100 };
        assert!((least_us..=target_us).contains(&part.length_us), "{part:?} of {target_us}");
    }
}

/// Asks for a playlist, which must be there, and reads it.
#[track_caller]
pub fn media(host: &Host, target: &str) -> Media {
    let (status, text) = page(host, target);
    assert_eq!(status, 200, "{target}: {text}");
    Media::parse(&text)
}

/// Asks for a segment or part and reads all of it.
#[track_caller]
pub fn body(host: &Host, uri: &str) -> Vec<u8> {
    whole_body(get(host, uri), uri)
}

/// Reads all of the answer to a request for `uri`: as long as it says.
#[track_caller]
pub fn whole_body(mut response: Response, uri: &str) -> Vec<u8> {
    assert_eq!(response.status, 200, "{uri}");
    let length: usize = response.header("Content-Length").and_then(|it| it.parse().ok()).expect("a length");
    let body = response.read_body();
    assert_eq!(body.len(), length);
    body
}
