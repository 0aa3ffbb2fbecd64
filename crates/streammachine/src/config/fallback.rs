//! What plays on a mount while no source is there, as configured. Playing it is the mount's.

use std::path::PathBuf;

/// What plays while no source is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The built-in programme.
    Programme,
    /// A file, again and again; its path is absolute.
    File(PathBuf),
}

impl Fallback {
    /// Reads `builtin:programme` or `file:///PATH`, the path taken as it is; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "builtin:programme" {
            return Some(Fallback::Programme);
        }
        let path = text.strip_prefix("file://").filter(|path| path.len() > 1 && path.starts_with('/'))?;
        Some(Fallback::File(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_is_the_programme_or_an_absolute_path() {
        let file = |path: &str| Some(Fallback::File(PathBuf::from(path)));
        for (text, fallback) in [
            ("builtin:programme", Some(Fallback::Programme)),
            ("file:///music/a b.mp3", file("/music/a b.mp3")),
            ("file:///a%20b.mp3", file("/a%20b.mp3")),
            ("file:///", None),
            ("file://music/a.mp3", None),
            ("builtin:program", None),
            ("http://radio.example/a", None),
            ("", None),
        ] {
            assert_eq!(Fallback::parse(text), fallback, "{text}");
        }
    }
}
