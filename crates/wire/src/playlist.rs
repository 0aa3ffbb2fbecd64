//! Playlists: small files that name a stream, for players that want one. URLs come in as they are to be read, encoded.

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
    fn xspf_is_escaped() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                        <playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n  <trackList>\n    <track>\n      \
                        <location>http://h/k/?a=1&amp;b=2</location>\n      \
                        <title>A &amp; &lt;B&gt; &quot;C&quot;</title>\n    </track>\n  </trackList>\n</playlist>\n";
        assert_eq!(xspf("A & <B>\0\"C\"", "http://h/k/?a=1&b=2"), expected);
    }
}
