//! A media playlist's text, read strictly: every segment with a date, none of the past missing. Nothing is fetched here.

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;

/// A playlist.
#[derive(Clone, Debug, PartialEq)]
pub struct Playlist {
    /// Number of its first segment.
    pub sequence: u64,
    /// Discontinuities before that.
    pub discontinuity_sequence: u64,
    /// Its segments in order.
    pub entries: Vec<Entry>,
}

/// A segment as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub target: String,
    /// Its number by its place in the playlist.
    pub number: u64,
    /// Whether it does not continue the one before.
    pub discontinuity: bool,
    /// Its date, since the Unix epoch.
    pub date_us: i64,
    /// How long it is told to be.
    pub duration_us: i64,
}

impl Entry {
    /// When it ends.
    pub fn end_us(&self) -> i64 {
        self.date_us + self.duration_us
    }
}

impl Playlist {
    /// Reads one that goes on.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut playlist = Playlist { sequence: 0, discontinuity_sequence: 0, entries: Vec::new() };
        let (mut discontinuity, mut date_us, mut duration_us) = (false, None, None);
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-MEDIA-SEQUENCE" => playlist.sequence = value.parse()?,
                "#EXT-X-DISCONTINUITY-SEQUENCE" => playlist.discontinuity_sequence = value.parse()?,
                "#EXT-X-DISCONTINUITY" => {
                    ensure!(!discontinuity, "two discontinuities before one segment");
                    discontinuity = true;
                }
                "#EXT-X-PROGRAM-DATE-TIME" => date_us = Some(value.parse::<Timestamp>()?.as_microsecond()),
                "#EXTINF" => {
                    let seconds: f64 = value.trim_end_matches(',').parse()?;
                    duration_us = Some((seconds * 1e6).round() as i64);
                }
                "#EXT-X-GAP" | "#EXT-X-ENDLIST" => bail!("{tag} in a playlist that goes on"),
                _ if line.starts_with('#') || line.is_empty() => {}
                _ => playlist.entries.push(Entry {
                    target: line.to_owned(),
                    number: playlist.sequence + playlist.entries.len() as u64,
                    discontinuity: std::mem::take(&mut discontinuity),
                    date_us: date_us.take().with_context(|| format!("{line} has no date"))?,
                    duration_us: duration_us.take().with_context(|| format!("{line} has no duration"))?,
                }),
            }
        }
        ensure!(text.starts_with("#EXTM3U\n"), "it does not begin as a playlist");
        ensure!(!discontinuity, "a discontinuity before no segment");
        Ok(playlist)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n";
    const SEGMENTS: &str = "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.500Z\n#EXTINF:2.000001,\n/a/7.mp3\n\
                            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:04.000Z\n#EXTINF:1.5,\n/a/8.mp3\n";

    #[test]
    fn segments_have_numbers_dates_and_lengths() {
        let playlist = Playlist::parse(&format!("{HEAD}{SEGMENTS}")).unwrap();
        assert_eq!((playlist.sequence, playlist.discontinuity_sequence), (7, 3));
        let [first, second] = &playlist.entries[..] else { panic!("{playlist:?}") };
        assert_eq!((first.number, first.discontinuity, first.end_us()), (7, false, 3_500_001));
        assert_eq!((second.number, second.discontinuity, second.date_us), (8, true, 4_000_000));
        assert_eq!(second.target, "/a/8.mp3");
    }

    #[test]
    fn what_must_not_be_there_is_refused() {
        for text in [
            "#EXTM3U\n#EXTINF:2,\n/a/7.mp3\n",
            "#EXTM3U\n#EXT-X-ENDLIST\n",
            "#EXTM3U\n#EXT-X-GAP\n",
            "#EXTM3U\n#EXT-X-DISCONTINUITY\n",
            "#EXTM3U\n#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n",
            "",
        ] {
            assert!(Playlist::parse(text).is_err(), "{text:?}");
        }
    }
}
