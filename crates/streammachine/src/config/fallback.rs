//! What plays on a mount while no source is there, as configured. Playing it is the mount's.

use std::fmt;
use std::path::PathBuf;

use super::upstream::Upstream;

/// What plays while no source is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The built-in programme.
    Programme,
    /// A file, again and again; its path is absolute.
    File(PathBuf),
    /// The stream of another server.
    Upstream(Upstream),
}

impl Fallback {
    /// Reads `builtin:programme`, `file:///PATH`, the path taken as it is, or an address of `http` or `https`; none for
    /// anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "builtin:programme" {
            return Some(Fallback::Programme);
        }
        match text.strip_prefix("file://") {
            Some(path) => {
                let is_absolute = path.len() > 1 && path.starts_with('/');
                is_absolute.then(|| Fallback::File(PathBuf::from(path)))
            }
            None => Upstream::parse(text).map(Fallback::Upstream),
        }
    }
}

impl fmt::Display for Fallback {
    /// As it is written, but for what may be secret in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fallback::Programme => f.write_str("builtin:programme"),
            Fallback::File(path) => write!(f, "file://{}", path.display()),
            Fallback::Upstream(upstream) => upstream.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_is_the_programme_an_absolute_path_or_an_address() {
        let file = |path: &str| Some(Fallback::File(PathBuf::from(path)));
        let upstream = |text: &str| Some(Fallback::Upstream(Upstream::parse(text).unwrap()));
        for (text, fallback) in [
            ("builtin:programme", Some(Fallback::Programme)),
            ("file:///music/a b.mp3", file("/music/a b.mp3")),
            ("file:///a%20b.mp3", file("/a%20b.mp3")),
            ("http://radio.example/a", upstream("http://radio.example/a")),
            ("file:///", None),
            ("file://music/a.mp3", None),
            ("builtin:program", None),
            ("ftp://radio.example/a", None),
            ("", None),
        ] {
            assert_eq!(Fallback::parse(text), fallback, "{text}");
            if let Some(fallback) = fallback {
                assert_eq!(fallback.to_string(), text);
            }
        }
    }
}
