//! Playlists: small files that name a stream, for players that want one. URLs come in as they are to be read, encoded.
//! Those of other servers are read too.

use crate::metadata::clean;

/// PLS, as the original writes it.
pub fn pls(url: &str) -> String {
    format!("[playlist]\nNumberOfEntries=1\nFile1={url}\n")
}

/// M3U with a title in one line.
pub fn m3u(title: &str, url: &str) -> String {
    format!("#EXTM3U\r\n#EXTINF:-1,{}\r\n{url}\r\n", clean(title))
}

/// XSPF (version 1).
pub fn xspf(title: &str, url: &str) -> String {
    let (title, url) = (escape(&clean(title)), escape(url));
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pls_is_the_originals() {
        assert_eq!(pls("http://h/k/"), "[playlist]\nNumberOfEntries=1\nFile1=http://h/k/\n");
    }

    #[test]
    fn m3u_has_a_title() {
        assert_eq!(m3u("Rädio", "http://h/k/"), "#EXTM3U\r\n#EXTINF:-1,Rädio\r\nhttp://h/k/\r\n");
        let evil = m3u("A\r\nhttp://evil/", "http://h/k/");
        assert_eq!(evil, "#EXTM3U\r\n#EXTINF:-1,A http://evil/\r\nhttp://h/k/\r\n");
    }

    #[test]
    fn the_first_entry_is_found() {
        for (text, entry) in [
            (pls("http://h/k").as_str(), Some("http://h/k")),
            (
                "[Playlist]\r\nTitle1=File2=x\r\nfile1 = http://h/a=b \r\nFile2=http://other/\r\n",
                Some("http://h/a=b"),
            ),
            ("\u{feff}[playlist]\nNumberOfEntries=0\n", None),
            ("[playlist]\nFile1=\n", None),
            (m3u("Title", "http://h/k").as_str(), Some("http://h/k")),
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
        assert!(!is_hls(&m3u("#EXT-X-", "http://h/#EXT-X-")));
    }

    #[test]
    fn xspf_is_escaped() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                        <playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n  <trackList>\n    <track>\n      \
                        <location>http://h/k/?a=1&amp;b=2</location>\n      \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n    </track>\n  </trackList>\n</playlist>\n";
        assert_eq!(xspf("A & <B>\0\"C\"", "http://h/k/?a=1&b=2"), expected);
    }
}
