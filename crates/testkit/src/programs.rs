//! Real encoders and players that tests drive: where they are, and under whose name they run.
//!
//! Those that every machine has fail their tests when they are missing: a skipped test shows nothing. The others say
//! that they were skipped.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// User and group `nobody` of Debian.
const NOBODY: u32 = 65_534;

/// Programs whose Debian package has another name.
const PACKAGES: &[(&str, &str)] = &[
    ("ffplay", "ffmpeg"),
    ("ffprobe", "ffmpeg"),
    ("gst-launch-1.0", "gstreamer1.0-tools"),
    ("cvlc", "vlc-bin"),
    ("Xvfb", "xvfb"),
    ("ps", "procps"),
];

/// Path of a program; panics with the package to install when it is not in `PATH`.
#[track_caller]
pub fn require(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("{name} is not in PATH: apt-get install {}", package(name)))
}

/// Path of a program; `None` when it is not in `PATH`, and a line on standard error that it was skipped.
pub fn find_or_skip(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        // Not `eprintln`, which the test harness keeps from whoever reads the log of a passed test.
        writeln!(std::io::stderr(), "skipped: {name} is not installed").ok();
    }
    found
}

/// Makes a command that refuses root run as `nobody`, with `home` as its home, where all may write then. Nothing but the
/// home changes for another user.
pub fn unprivileged(command: &mut Command, home: &Path) {
    command.env("HOME", home);
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(home, Permissions::from_mode(0o777)).expect("root changes every directory");
        command.uid(NOBODY).gid(NOBODY);
    }
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
    fn a_missing_program_can_be_skipped() {
        assert_eq!(find_or_skip("no-such-program"), None);
        assert_eq!(find_or_skip("sh"), find("sh"));
    }

    #[test]
    fn an_unprivileged_command_is_nobody_or_who_we_are() {
        let home = std::env::temp_dir().join(format!("testkit-home-{}", std::process::id()));
        fs::create_dir(&home).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "id -u; echo $HOME; echo written > $HOME/file"]);
        unprivileged(&mut command, &home);
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let written = fs::read_to_string(home.join("file"));
        fs::remove_dir_all(&home).unwrap();
        let ours = rustix::process::geteuid();
        let user = if ours.is_root() { NOBODY } else { ours.as_raw() };
        assert_eq!(output, format!("{user}\n{}\n", home.display()));
        assert_eq!(written.unwrap(), "written\n");
    }

    #[test]
    fn packages_with_other_names_are_known() {
        assert_eq!((package("ffprobe"), package("lame")), ("ffmpeg", "lame"));
    }
}
