//! Files that commands write: the whole file or nothing, and nothing over what is there unless told so.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes `file` with what `content` writes, beside its place first, then put there. What is there stays unless `force`.
/// `mode` is that of a new file.
///
/// # Errors
/// What is there already, what is no file, and those of the system and of `content`; nothing is left behind then.
pub fn write(
    file: &Path,
    force: bool,
    mode: u32,
    content: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let exists = fs::symlink_metadata(file).is_ok();
    if exists && !force {
        return Err(io::Error::other("it is there already; --force writes over it"));
    }
    let target = if exists { fs::canonicalize(file)? } else { file.to_owned() };
    if exists && !target.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut name = target.file_name().map(OsString::from).ok_or_else(|| io::Error::other("it is no file"))?;
    name.push(format!(".{}.new", std::process::id()));
    let beside = target.with_file_name(name);
    let written = write_new(&beside, mode, content).and_then(|()| {
        // A link, unlike a renaming, fails where somebody else has made the file meanwhile.
        if force { fs::rename(&beside, &target) } else { fs::hard_link(&beside, &target) }
    });
    // After a renaming there is nothing left to remove.
    let _ = fs::remove_file(&beside);
    written
}

fn write_new(file: &Path, mode: u32, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    content(&mut opened)?;
    opened.sync_all()
}
