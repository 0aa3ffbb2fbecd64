//! Playlists: small files that name a stream, for players that want one. URLs come in as they are to be read, encoded.
//! Those of other servers are read too.

use crate::metadata::{clean, escape_markup};

/// The forms of playlists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PLS.
    Pls,
    /// M3U.
    M3u,
    /// XSPF (version 1).
    Xspf,
    /// What Icecast calls VCLT, of a player that is long gone.
    Vclt,
}

impl Kind {
    /// The form that files with this suffix, without its dot, have.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "pls" => Kind::Pls,
            "m3u" => Kind::M3u,
            "xspf" => Kind::Xspf,
            "vclt" => Kind::Vclt,
            _ => return None,
        })
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Kind::Pls => "audio/x-scpls",
            Kind::M3u => "audio/x-mpegurl",
            Kind::Xspf => "application/xspf+xml; charset=utf-8",
            Kind::Vclt => "audio/x-vclt",
        }
    }

    /// The playlist of one stream.
    pub fn render(self, title: &str, url: &str) -> String {
        let title = clean(title);
        match self {
            // As the original writes it, without a title.
            Kind::Pls => format!("[playlist]\nNumberOfEntries=1\nFile1={url}\n"),
            Kind::M3u => format!("#EXTM3U\r\n#EXTINF:-1,{title}\r\n{url}\r\n"),
            Kind::Xspf => xspf(&escape_markup(&title), &escape_markup(url)),
            Kind::Vclt => format!("STREAMURL={url}\nTITLE={title}\n"),
        }
    }
}

fn xspf(title: &str, url: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  \
         <title>{title}</title>\n  <trackList>\n    <track>\n      <location>{url}</location>\n      \
         <title>{title}</title>\n    </track>\n  </trackList>\n</playlist>\n"
    )
}

/// What an `.m3u` or `.pls` of another server names first, as it is written there: an address, maybe a relative one.
pub fn find_entry(text: &str) -> Option<&str> {
    let lines = || text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    if lines().next()?.eq_ignore_ascii_case("[playlist]") {
        return lines().find_map(file_of).filter(|file| !file.is_empty());
    }
    lines().find(|line| !line.starts_with('#'))
}

/// The value of a `FileN=` line.
fn file_of(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let (word, number) = name.trim().split_at_checked(4)?;
    let is_file = word.eq_ignore_ascii_case("file") && number.bytes().all(|byte| byte.is_ascii_digit());
    is_file.then(|| value.trim())
}

/// True for a playlist of HTTP Live Streaming (RFC 8216), which names segments and no stream.
pub fn is_hls(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXT-X-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pls_is_the_originals() {
        assert_eq!(
            Kind::Pls.render("Rädio", "http://h/k/"),
            "[playlist]\nNumberOfEntries=1\nFile1=http://h/k/\n"
        );
    }

    #[test]
    fn m3u_has_a_title() {
        assert_eq!(
            Kind::M3u.render("Rädio", "http://h/k/"),
            "#EXTM3U\r\n#EXTINF:-1,Rädio\r\nhttp://h/k/\r\n"
        );
        let evil = Kind::M3u.render("A\r\nhttp://evil/", "http://h/k/");
        assert_eq!(evil, "#EXTM3U\r\n#EXTINF:-1,A http://evil/\r\nhttp://h/k/\r\n");
    }

    #[test]
    fn the_first_entry_is_found() {
        for (text, entry) in [
            (Kind::Pls.render("", "http://h/k").as_str(), Some("http://h/k")),
            (
                "[Playlist]\r\nTitle1=File2=x\r\nfile1 = http://h/a=b \r\nFile2=http://other/\r\n",
                Some("http://h/a=b"),
            ),
            ("\u{feff}[playlist]\nNumberOfEntries=0\n", None),
            ("[playlist]\nFile1=\n", None),
            (Kind::M3u.render("Title", "http://h/k").as_str(), Some("http://h/k")),
            ("\n http://h/k \nhttp://other/", Some("http://h/k")),
            ("\u{feff}http://h/k", Some("http://h/k")),
            ("# nothing\n", None),
            ("", None),
        ] {
            assert_eq!(find_entry(text), entry, "{text:?}");
        }
    }

    #[test]
    fn playlists_of_segments_are_known() {
        assert!(is_hls("#EXTM3U\n#EXT-X-VERSION:3\n"));
        assert!(!is_hls(&Kind::M3u.render("#EXT-X-", "http://h/#EXT-X-")));
    }

    #[test]
    fn xspf_is_escaped() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                        <playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n  <trackList>\n    <track>\n      \
                        <location>http://h/k/?a=1&amp;b=2</location>\n      \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n    </track>\n  </trackList>\n</playlist>\n";
        assert_eq!(Kind::Xspf.render("A & <B>\0\"C\"", "http://h/k/?a=1&b=2"), expected);
    }

    #[test]
    fn vclt_is_icecasts() {
        let text = "STREAMURL=http://h/k/?offset=60\nTITLE=A STREAMURL=http://evil/\n";
        assert_eq!(Kind::Vclt.render("A\nSTREAMURL=http://evil/", "http://h/k/?offset=60"), text);
    }

    #[test]
    fn forms_have_suffixes_and_media_types() {
        for (suffix, media_type) in [
            ("pls", "audio/x-scpls"),
            ("m3u", "audio/x-mpegurl"),
            ("xspf", "application/xspf+xml; charset=utf-8"),
            ("vclt", "audio/x-vclt"),
        ] {
            assert_eq!(Kind::of_suffix(suffix).map(Kind::media_type), Some(media_type));
        }
        assert_eq!(Kind::of_suffix("m3u8"), None);
    }
}
