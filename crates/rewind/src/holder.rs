//! Which process holds the lock of a directory, found without trying to take it: a server that starts in that moment would
//! be refused.

use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::Path,
};

/// The process that holds an exclusive `flock` on the file at `path`. None if nobody does, and if it cannot be seen from
/// here: without `/proc`, or from another container.
pub(crate) fn find_holder(path: &Path) -> Option<u32> {
    let file = File::open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    let (major, minor) = device_of(&file)?;
    // "1: FLOCK  ADVISORY  WRITE 4711 08:01:12345 0 EOF", the device in hexadecimal digits.
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        (words.next() == Some("FLOCK")).then_some(())?;
        let process = words.nth(2)?.parse().ok()?;
        (words.next() == Some(&place)).then_some(process)
    })
}

/// The device as the kernel numbers it. `stat` tells another number on btrfs and overlayfs, therefore by way of the mount.
fn device_of(file: &File) -> Option<(u32, u32)> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // "29 1 8:1 / / rw,relatime …"
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.next() == Some(mount)).then_some(())?;
        let (major, minor) = words.nth(1)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}
