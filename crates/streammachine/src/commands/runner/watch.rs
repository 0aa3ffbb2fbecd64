//! Tells when a file has changed and is whole: looked at once a second, so that it works on every file system and with
//! files that are put in place of others. Reads no clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// How often to look. A file that stays as it is for so long is whole.
pub const PERIOD: Duration = Duration::from_secs(1);

/// What a file was at the last looks.
#[derive(Debug, Default)]
pub struct Watch {
    known: Option<Look>,
    seen: Option<Look>,
}

/// A file at one moment, as far as it tells a change. Whole nanoseconds, for two changes may come within a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
}

impl Watch {
    /// A watch on what is there already.
    pub fn on(look: Option<Look>) -> Self {
        Watch { known: look, seen: None }
    }

    /// True if the file is another than it was, and the same as at the look before. One that is gone has not changed: it
    /// is being replaced.
    pub fn has_changed(&mut self, look: Option<Look>) -> bool {
        if look.is_none() || look == self.known {
            self.seen = None;
            return false;
        }
        if self.seen != look {
            self.seen = look;
            return false;
        }
        self.known = self.seen.take();
        true
    }
}

impl Look {
    /// Looks at the file, through symbolic links; none if there is no such file.
    pub fn at(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok().filter(|it| it.is_file())?;
        Some(Look {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified_ns: (file.mtime(), file.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Look = Look { device: 1, inode: 2, bytes: 3, modified_ns: (4, 5) };

    #[test]
    fn a_change_is_told_once_when_it_is_over() {
        let half = Look { bytes: 1, ..OLD };
        let whole = Look { bytes: 9, ..OLD };
        let mut watch = Watch::on(Some(OLD));
        let looks = [
            Some(OLD),
            None,
            Some(half),
            Some(whole),
            Some(whole),
            Some(whole),
            Some(OLD),
            Some(whole),
            None,
        ];
        let told = looks.map(|look| watch.has_changed(look));
        assert_eq!(told, [false, false, false, false, true, false, false, false, false]);
    }

    #[test]
    fn every_sign_of_another_file_counts() {
        for other in [
            Look { device: 0, ..OLD },
            Look { inode: 0, ..OLD },
            Look { bytes: 0, ..OLD },
            Look { modified_ns: (4, 6), ..OLD },
        ] {
            let mut watch = Watch::on(Some(OLD));
            assert_eq!([Some(other); 2].map(|look| watch.has_changed(look)), [false, true], "{other:?}");
        }
    }

    #[test]
    fn a_file_that_appears_has_changed() {
        let mut watch = Watch::default();
        assert_eq!([None, Some(OLD), Some(OLD)].map(|look| watch.has_changed(look)), [false, false, true]);
    }

    #[test]
    fn a_file_is_looked_at_and_a_directory_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        assert_eq!((Look::at(&path), Look::at(directory.path())), (None, None));
        std::fs::write(&path, "1").unwrap();
        let first = Look::at(&path);
        assert!(first.is_some());
        assert_eq!(Look::at(&path), first);
        std::fs::write(&path, "22").unwrap();
        assert_ne!(Look::at(&path), first);
    }
}
