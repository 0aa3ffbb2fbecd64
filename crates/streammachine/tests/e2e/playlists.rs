//! Reads media playlists as a strict player does. What it may assert of one server is in `hls`.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use jiff::Timestamp;

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
    pub segments: Vec<Listed>,
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
            segments: Vec::new(),
        };
        let (mut date, mut length, mut discontinuity, mut counted) = (None, None, false, 0);
        for line in lines {
            assert!(!media.is_closed, "nothing follows the end: {line}");
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
            match tag {
                "#EXT-X-VERSION" => media.version = number(),
                "#EXT-X-TARGETDURATION" => media.target_s = number(),
                "#EXT-X-MEDIA-SEQUENCE" => media.sequence = number(),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => media.discontinuities = number(),
                "#EXT-X-INDEPENDENT-SEGMENTS" | "#EXT-X-DATERANGE" => {}
                "#EXT-X-PLAYLIST-TYPE" => assert_eq!(value, "VOD"),
                "#EXT-X-SERVER-CONTROL" => media.server_control = Some(value.to_owned()),
                "#EXT-X-START" => media.start = Some(value.to_owned()),
                "#EXT-X-SKIP" => {
                    media.skipped = value.strip_prefix("SKIPPED-SEGMENTS=").unwrap().parse().unwrap();
                }
                "#EXT-X-DISCONTINUITY" => {
                    assert!(date.is_none() && !discontinuity, "in its place: {text}");
                    discontinuity = true;
                    counted += 1;
                }
                "#EXT-X-MAP" => {
                    let uri = value.strip_prefix("URI=\"").unwrap().strip_suffix('"').unwrap();
                    assert!(date.is_none(), "before its segment: {text}");
                    media.map = Some(uri.to_owned());
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    assert!(value.ends_with('Z') && length.is_none(), "before the length, in UTC: {line}");
                    date = Some(value.parse::<Timestamp>().unwrap().as_microsecond());
                }
                "#EXTINF" => {
                    let (seconds, micros) = value.strip_suffix(',').unwrap().split_once('.').unwrap();
                    assert_eq!(micros.len(), 6, "{line}");
                    let micros: i64 = micros.parse().unwrap();
                    length = Some(seconds.parse::<i64>().unwrap() * 1_000_000 + micros);
                }
                "#EXT-X-ENDLIST" => media.is_closed = true,
                _ => {
                    assert!(!line.starts_with('#'), "unknown: {line}");
                    media.segments.push(Listed {
                        seq: media.sequence + media.skipped + media.segments.len() as u64,
                        discontinuity,
                        discontinuity_seq: media.discontinuities + counted,
                        date_us: date.take().expect("every segment has a date"),
                        length_us: length.take().expect("every segment has a length"),
                        uri: line.to_owned(),
                    });
                    discontinuity = false;
                }
            }
        }
        assert_eq!(media.version, if media.skipped > 0 { 9 } else { 6 });
        media.check();
        media
    }

    fn check(&self) {
        assert!(self.target_s > 0);
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

    /// Checks what must hold between two readings of one address, `self` the later one.
    #[track_caller]
    pub fn check_after(&self, earlier: &Media) {
        assert_eq!((self.target_s, self.version), (earlier.target_s, earlier.version));
        assert!(self.sequence >= earlier.sequence && self.discontinuities >= earlier.discontinuities);
        for segment in &self.segments {
            let known = earlier.segments.iter().find(|known| known.seq == segment.seq);
            assert!(known.is_none_or(|known| known == segment), "{known:?} became {segment:?}");
        }
        let last = |media: &Media| media.segments.last().map(|segment| segment.seq);
        assert!(last(self) >= last(earlier), "the end went back");
    }
}
