//! Looking at a stream's directory without touching it: for inspection and export, beside a running server too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use audio::Time;

use crate::{
    Log, OpenError, Recovery,
    holder::find_holder,
    recover::{self, Mode, Recovered, holds_blocks},
    store::{Directory, LOCK_NAME},
};

/// What a stream's directory holds.
#[derive(Debug)]
pub struct Look {
    /// Its audio as it was found; it does not grow.
    pub log: Arc<Log>,
    /// What was found, and what would become of it when the log is opened to be written to.
    pub recovery: Recovery,
    /// The process that has the directory, if one has and it can be seen from here.
    pub holder: Option<u32>,
}

/// A stream's directory, by where it lies and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDirectory {
    /// The directory around it.
    pub dir: PathBuf,
    /// Its name: the stream's key.
    pub key: String,
}

/// The streams' directories at `path`: that one, or else those in it, in the order of their names.
///
/// # Errors
/// A directory that cannot be read.
pub fn find_streams(path: &Path) -> io::Result<Vec<StreamDirectory>> {
    let path = fs::canonicalize(path)?;
    if holds_blocks(&path)? {
        return Ok(stream_directory(&path).into_iter().collect());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&path)? {
        let path = entry?.path();
        if let Some(stream) = stream_directory(&path)
            && path.is_dir()
            && holds_blocks(&path)?
        {
            found.push(stream);
        }
    }
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}

/// None for a name that is no key.
fn stream_directory(path: &Path) -> Option<StreamDirectory> {
    let (dir, key) = (path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned());
    Directory::look(&dir, &key).is_ok().then_some(StreamDirectory { dir, key })
}

impl Log {
    /// Looks at `dir/key`. All audio is compared with its checksums; the lock is not taken, and nothing is written.
    ///
    /// # Errors
    /// A key that names no directory, and a directory that cannot be read.
    pub fn look(dir: &Path, key: &str) -> Result<Look, OpenError> {
        let directory = Directory::look(dir, key)?;
        let holder = find_holder(&directory.path.join(LOCK_NAME));
        let mode = if holder.is_some() { Mode::LookBeside } else { Mode::Look };
        let Recovered { shared, report, .. } =
            recover::recover(&directory.key, Some(&directory), Vec::new(), mode, Time(0))?;
        Ok(Look { log: Log::new(shared), recovery: report, holder })
    }
}
