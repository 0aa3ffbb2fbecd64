//! The paths of HTTP Live Streaming.

/// What an initialisation segment says: it is the same for all that is encoded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    /// MPEG-4 audio object type.
    pub profile: u8,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u8,
}

impl Init {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("init-{}-{}-{}.mp4", self.profile, self.sample_rate_hz, self.channels)
    }

    fn decode(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix("init-")?.strip_suffix(".mp4")?.split('-');
        let (profile, rate, channels) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let init = Init {
            profile: profile.parse().ok()?,
            sample_rate_hz: rate.parse().ok()?,
            channels: channels.parse().ok()?,
        };
        // Only one name for each.
        (numbers.next().is_none() && init.file_name() == name).then_some(init)
    }
}

/// What a path means for HTTP Live Streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HlsPath {
    /// `/KEY.m3u8`
    Media(String),
    /// `/sg/GROUP.m3u8`
    Group(String),
    /// `/KEY/ts/init-PROFILE-RATE-CHANNELS.mp4`
    Init {
        /// The stream.
        key: String,
        /// What it says.
        init: Init,
    },
    /// `/KEY/ts/SEQ.EXTENSION`
    Segment {
        /// The stream.
        key: String,
        /// Number of the segment.
        seq: u64,
        /// What the name ends in, without the dot.
        extension: String,
    },
    /// `/KEY/ts/SEQ.PART.m4s`
    Part {
        /// The stream.
        key: String,
        /// Number of the segment.
        seq: u64,
        /// Number of the part in it, from 0.
        part: u64,
    },
}

/// A number as we write it: only one name for each.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_number.then(|| text.parse().ok())?
}

impl HlsPath {
    /// Reads a decoded path; none if it means something else.
    pub fn decode(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if let Some(group) = path.strip_prefix("sg/").and_then(|group| group.strip_suffix(".m3u8")) {
            return (!group.is_empty()).then(|| HlsPath::Group(group.to_owned()));
        }
        if let Some((key, name)) = path.rsplit_once("/ts/") {
            if let Some(init) = Init::decode(name) {
                return Some(HlsPath::Init { key: key.to_owned(), init });
            }
            let (seq, extension) = name.split_once('.')?;
            let (key, seq) = (key.to_owned(), number(seq)?);
            if let Some(part) = extension.strip_suffix(".m4s") {
                return Some(HlsPath::Part { key, seq, part: number(part)? });
            }
            return Some(HlsPath::Segment { key, seq, extension: extension.to_owned() });
        }
        let key = path.strip_suffix(".m3u8").filter(|key| !key.is_empty() && !key.contains('/'))?;
        Some(HlsPath::Media(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_playlists_and_segments() {
        let media = |key: &str| Some(HlsPath::Media(key.to_owned()));
        let segment = |key: &str, seq, extension: &str| {
            Some(HlsPath::Segment { key: key.to_owned(), seq, extension: extension.to_owned() })
        };
        let part = |key: &str, seq, part| Some(HlsPath::Part { key: key.to_owned(), seq, part });
        for (path, expected) in [
            ("/test.m3u8", media("test")),
            ("/a.mp3.m3u8", media("a.mp3")),
            ("/sg/all.m3u8", Some(HlsPath::Group("all".to_owned()))),
            ("/test/ts/17.mp3", segment("test", 17, "mp3")),
            ("/test/ts/18446744073709551615.aac", segment("test", u64::MAX, "aac")),
            ("/ts/ts/1.m4s", segment("ts", 1, "m4s")),
            ("/test/ts/17.0.m4s", part("test", 17, 0)),
            ("/test/ts/17.12.m4s", part("test", 17, 12)),
            ("/test/ts/17.01.m4s", None),
            ("/test/ts/17..m4s", None),
            ("/test/ts/17.1.2.m4s", None),
            ("/test/ts/17.18446744073709551616.m4s", None),
            ("/test/ts/17.1.aac", segment("test", 17, "1.aac")),
            ("/test/ts/init-02-44100-2.mp4", None),
            ("/test/ts/init-2-44100.mp4", None),
            ("/test/ts/init-2-44100-2-1.mp4", None),
            ("/test/ts/init-2-44100-300.mp4", None),
            ("/.m3u8", None),
            ("/sg/.m3u8", None),
            ("/a/b.m3u8", None),
            ("/test/ts/x.mp3", None),
            ("/test/ts/.mp3", None),
            ("/test/ts/+1.mp3", None),
            ("/test/ts/01.mp3", None),
            ("/test/ts/1", None),
            ("/test/ts/18446744073709551616.mp3", None),
            ("/test", None),
            ("", None),
        ] {
            assert_eq!(HlsPath::decode(path), expected, "{path}");
        }
    }

    #[test]
    fn an_initialisation_segment_is_named_after_what_it_says() {
        let init = Init { profile: 2, sample_rate_hz: 44_100, channels: 2 };
        let path = format!("/test/ts/{}", init.file_name());
        assert_eq!(path, "/test/ts/init-2-44100-2.mp4");
        assert_eq!(HlsPath::decode(&path), Some(HlsPath::Init { key: "test".to_owned(), init }));
    }
}
