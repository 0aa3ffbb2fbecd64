//! Keys of streams and mounts: what they may be, so that they are safe in paths, file names and logs.

/// Longest key.
pub const KEY_MAX: usize = 64;
/// First segments of paths that are routes of the server.
const RESERVED: [&str; 14] = [
    "admin",
    "admin.cgi",
    "api",
    "assets",
    "crossdomain.xml",
    "healthz",
    "index.html",
    "listen.m3u",
    "listen.pls",
    "player",
    "readyz",
    "sg",
    "status-json.xsl",
    "streams.json",
];

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Other characters, or none, or too many.
    #[error("a key is 1 to {KEY_MAX} letters, digits, '.', '_' or '-', and does not begin with '.'")]
    Form,
    /// A name that the server uses itself.
    #[error("this name is a route of the server")]
    Reserved,
}

/// Checks the key of a stream.
///
/// # Errors
/// Anything but letters, digits, `.`, `_`, `-`; names of the server's own routes.
pub fn check(key: &str) -> Result<(), KeyError> {
    check_segment(key)?;
    if RESERVED.contains(&key) { Err(KeyError::Reserved) } else { Ok(()) }
}

/// Checks the key of a mount: like a stream's, with `/` between parts.
///
/// # Errors
/// As [`check`]; the server's own names are free, for no route is on the source port.
pub fn check_mount(key: &str) -> Result<(), KeyError> {
    if key.len() > KEY_MAX {
        return Err(KeyError::Form);
    }
    key.split('/').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), KeyError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_key = !segment.is_empty()
        && segment.len() <= KEY_MAX
        && !segment.starts_with('.')
        && segment.bytes().all(is_allowed);
    if is_key { Ok(()) } else { Err(KeyError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_names() {
        for key in ["test", "KPCC-live", "a.mp3", "x_1", &"k".repeat(KEY_MAX)] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
        for key in ["", ".", "..", ".hidden", "a b", "a/b", "x(", "é", "a\0", &"k".repeat(KEY_MAX + 1)] {
            assert_eq!(check(key), Err(KeyError::Form), "{key}");
        }
    }

    #[test]
    fn the_servers_own_names_are_no_keys() {
        for key in RESERVED {
            assert_eq!(check(key), Err(KeyError::Reserved), "{key}");
            assert_eq!(check(&format!("{key}2")), Ok(()), "{key}");
        }
        for key in ["constructor", "__proto__", "API"] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn mounts_may_have_parts() {
        let longest = format!("live/{}", "k".repeat(KEY_MAX - 5));
        for key in ["test", "live/main", "a/b/c.mp3", "admin/metadata", &longest] {
            assert_eq!(check_mount(key), Ok(()), "{key}");
        }
        for key in [
            "",
            "/",
            "/live",
            "live/",
            "live//main",
            "live/../x",
            "live/.x",
            "live main",
            &(longest.clone() + "k"),
        ] {
            assert_eq!(check_mount(key), Err(KeyError::Form), "{key}");
        }
    }
}
