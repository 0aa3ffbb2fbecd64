//! What is known about setting keys: finding one by its path, and suggesting one for a path that is mistyped.
//!
//! The keys themselves are rows of `table`; what a value may be is `coerce`'s.

use serde_json::Value;

use super::coerce::Kind;
use super::table::KEYS;

/// A mistyped key is at most this far from the one meant: swaps, losses, additions and changes of a letter.
const TYPOS_MAX: usize = 2;
/// Shorter names are contained in too many others to mean one of them.
const FRAGMENT_MIN: usize = 4;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its place, segments joined by dots; `*` is any name.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default as JSON.
    pub default: &'static str,
    /// Whether it does anything.
    pub status: Status,
    /// What it does, in a line.
    pub doc: &'static str,
}

/// Whether a setting does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is in effect.
    Active,
    /// It is known and checked, and has no effect in this version.
    Later,
    /// Another name of the setting at this path.
    Alias(&'static str),
    /// It has no effect, for this reason.
    Dead(&'static str),
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A setting, which may hold settings of its own when its value is an object.
    Key(&'static Key),
    /// An object of settings.
    Section,
    /// Nothing known.
    Nothing,
}

impl Key {
    /// A setting in effect.
    pub const fn new(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Key { path, kind, default, status: Status::Active, doc }
    }

    /// The same, without effect in this version.
    pub const fn later(mut self) -> Self {
        self.status = Status::Later;
        self
    }

    /// The same, as another name of `path`.
    pub const fn alias(mut self, path: &'static str) -> Self {
        self.status = Status::Alias(path);
        self
    }

    /// A key that is known and has no effect, for a reason.
    pub const fn dead(path: &'static str, why: &'static str) -> Self {
        Key { path, kind: Kind::Anything, default: "null", status: Status::Dead(why), doc: why }
    }

    /// The default.
    pub fn default_value(&self) -> Value {
        serde_json::from_str(self.default).expect("defaults in the table are JSON")
    }

    /// The path as people read it: `streams.KEY.seconds`.
    pub fn title(&self) -> String {
        let name = match self.path.split('.').next() {
            Some("sources") => "MOUNT",
            Some("users") => "NAME",
            _ => "KEY",
        };
        // What is named below a stream or mount are people.
        self.path.replacen('*', name, 1).replace('*', "NAME")
    }

    fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }
}

/// What `path` leads to.
pub fn find<S: AsRef<str>>(path: &[S]) -> Found {
    let mut section = path.is_empty();
    for key in KEYS {
        let mut segments = key.segments();
        if path.iter().all(|name| segments.next().is_some_and(|segment| admits(segment, name.as_ref()))) {
            match segments.next() {
                None => return Found::Key(key),
                Some(_) => section = true,
            }
        }
    }
    if section { Found::Section } else { Found::Nothing }
}

/// True where settings may lie below `path`.
pub fn has_children<S: AsRef<str>>(path: &[S]) -> bool {
    children(path).next().is_some()
}

/// The key that was probably meant by `path`, of which nothing is known: a sibling's name, or a full path.
pub fn suggest<S: AsRef<str>>(path: &[S]) -> Option<String> {
    let (name, parent) = path.split_last()?;
    let name = name.as_ref();
    let near =
        children(parent).filter(|segment| *segment != "*").map(|segment| (distance(segment, name), segment));
    if let Some((_, segment)) = near.filter(|(distance, _)| *distance <= typos_max(name)).min() {
        return Some(segment.to_owned());
    }
    let similar = children(parent).find(|segment| is_fragment(name, segment) || is_fragment(segment, name));
    similar.map(str::to_owned).or_else(|| elsewhere(name))
}

/// A setting of this name in another place.
fn elsewhere(name: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| {
        key.status == Status::Active
            && key.segments().last().is_some_and(|last| last.eq_ignore_ascii_case(name))
    })?;
    Some(key.title())
}

/// Names of the segments directly below `path`.
fn children<S: AsRef<str>>(path: &[S]) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| !matches!(key.status, Status::Dead(_))).filter_map(move |key| {
        let mut segments = key.segments();
        let below =
            path.iter().all(|name| segments.next().is_some_and(|segment| admits(segment, name.as_ref())));
        segments.next().filter(|_| below)
    })
}

fn admits(segment: &str, name: &str) -> bool {
    segment == "*" || segment == name
}

fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}

/// Short names leave room for fewer mistakes.
fn typos_max(name: &str) -> usize {
    TYPOS_MAX.min(name.chars().count() / 3)
}

fn is_fragment(part: &str, whole: &str) -> bool {
    part.len() >= FRAGMENT_MIN && whole.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> Vec<&str> {
        path.split(':').collect()
    }

    #[test]
    fn a_path_leads_to_a_key_a_section_or_nothing() {
        for (path, what) in [
            ("port", "port"),
            ("streams:a.b:seconds", "streams.*.seconds"),
            ("log:stdout", "log.stdout"),
            ("log:stdout:level", "log.stdout.level"),
            ("users:jo", "users.*"),
            ("hls", "section"),
            ("streams", "section"),
            ("streams:x", "section"),
            ("", "nothing"),
            ("streams:x:sceonds", "nothing"),
            ("port:x", "nothing"),
            ("*", "nothing"),
        ] {
            let found = match find(&split(path)) {
                Found::Key(key) => key.path,
                Found::Section => "section",
                Found::Nothing => "nothing",
            };
            assert_eq!(found, what, "{path}");
        }
        assert!(matches!(find::<&str>(&[]), Found::Section));
    }

    #[test]
    fn a_mistyped_key_is_understood() {
        for (path, meant) in [
            ("streams:x:sceonds", Some("seconds")),
            ("streams:x:metatitle", Some("metaTitle")),
            ("streams:x:password", Some("source_password")),
            ("streams:x:title", Some("metaTitle")),
            ("prot", Some("port")),
            ("segment_duration", Some("hls.segment_duration")),
            ("burst", Some("streams.KEY.burst")),
            ("log:stdout:levl", Some("level")),
            ("straems", Some("streams")),
            ("xyzzy", None),
            ("po", None),
            ("log:stdout:level:deeper", None),
        ] {
            assert_eq!(suggest(&split(path)).as_deref(), meant, "{path}");
        }
    }

    #[test]
    fn every_key_is_listed_once_and_every_alias_leads_to_a_key_in_effect() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(
                !KEYS[..index].iter().any(|other| other.path == key.path),
                "{} is listed twice",
                key.path
            );
            assert!(!key.doc.is_empty() && key.doc.ends_with('.'), "{}", key.path);
            if let Status::Alias(target) = key.status {
                let target = KEYS.iter().find(|key| key.path == target).map(|key| key.status);
                assert_eq!(target, Some(Status::Active), "{}", key.path);
            }
        }
    }
}
