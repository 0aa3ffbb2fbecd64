//! Looking at a stream's directory without touching it: for inspection and export, beside a running server too.

use std::{path::Path, sync::Arc};

use audio::Time;

use crate::{
    Log, OpenError, Recovery,
    holder::find_holder,
    recover::{self, Mode, Recovered},
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

impl Log {
    /// Looks at `dir/key`. All audio is compared with its checksums; the lock is not taken, and nothing is written.
    ///
    /// # Errors
    /// A key that names no directory, and a directory that cannot be read.
    pub fn look(dir: &Path, key: &str) -> Result<Look, OpenError> {
        let directory = Directory::look(dir, key)?;
        let holder = find_holder(&directory.path.join(LOCK_NAME));
        let mode = if holder.is_some() { Mode::LookBeside } else { Mode::Look };
        let Recovered { shared, report, .. } = recover::recover(Some(&directory), mode, Time(0))?;
        Ok(Look { log: Log::new(shared), recovery: report, holder })
    }
}
