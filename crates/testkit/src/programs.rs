//! Real encoders and players that tests drive. A missing one fails the test: a skipped test shows nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Programs whose Debian package has another name.
const PACKAGES: &[(&str, &str)] = &[
    ("ffplay", "ffmpeg"),
    ("ffprobe", "ffmpeg"),
    ("gst-launch-1.0", "gstreamer1.0-tools"),
    ("cvlc", "vlc"),
    ("ps", "procps"),
];

/// Path of a program; panics with the package to install when it is not in `PATH`.
#[track_caller]
pub fn require(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("{name} is not in PATH: apt-get install {}", package(name)))
}

/// Path of a program in `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn package(name: &str) -> &str {
    PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_the_path_is_found() {
        assert!(require("sh").ends_with("sh"));
    }

    #[test]
    #[should_panic(expected = "no-such-program is not in PATH: apt-get install no-such-program")]
    fn a_missing_program_panics_with_its_package() {
        require("no-such-program");
    }

    #[test]
    fn packages_with_other_names_are_known() {
        assert_eq!((package("ffprobe"), package("lame")), ("ffmpeg", "lame"));
    }
}
