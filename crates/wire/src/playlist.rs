//! Playlists: small files that name a stream, for players that want one. URLs come in as they are to be read, encoded.

use crate::metadata::clean;

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
            Kind::Xspf => xspf(&escape(&title), &escape(url)),
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
