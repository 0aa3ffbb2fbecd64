//! Where the runner's things are: its program, and a private directory for sockets.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A directory that nobody else can enter; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// A new directory in the first of `parents` that takes one.
    ///
    /// # Errors
    /// None does; the reason of the last.
    pub fn make(parents: &[PathBuf]) -> anyhow::Result<Self> {
        let mut made = Err(anyhow::anyhow!("there is no directory for sockets"));
        for parent in parents {
            let path = parent.join(format!("streammachine-{}", uuid::Uuid::new_v4().simple()));
            // A directory that is there already is somebody else's, and an error.
            made = DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .with_context(|| format!("cannot make a directory for sockets in {}", parent.display()))
                .map(|()| Place(path));
            if made.is_ok() {
                break;
            }
        }
        made
    }

    /// The path of `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the directory for sockets was not removed");
        }
    }
}

/// Where directories for sockets can be: the service's, the user's, that of all.
pub fn parents() -> Vec<PathBuf> {
    // systemd names all directories of a service, with colons between them.
    let service = std::env::var_os("RUNTIME_DIRECTORY").and_then(|all| std::env::split_paths(&all).next());
    let user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let named = service.into_iter().chain(user).filter(|path| path.is_absolute());
    named.chain([std::env::temp_dir()]).collect()
}

/// The path under which this program was called, `name` being what it was called and `search` where programs are: a file
/// that is put there in its place is what is started next. The kernel's own link leads to the file that runs, even if that is
/// deleted, and past symbolic links that an update may change.
///
/// # Errors
/// Not even the file that runs can be told.
pub fn program(name: Option<&OsStr>, search: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    let called = name.map(Path::new).filter(|name| !name.as_os_str().is_empty());
    let found = match called {
        Some(name) if name.components().count() > 1 => {
            std::path::absolute(name).ok().filter(|path| is_program(path))
        }
        Some(name) => std::env::split_paths(search.unwrap_or_default())
            .map(|directory| directory.join(name))
            .find(|path| path.is_absolute() && is_program(path)),
        None => None,
    };
    match found {
        Some(path) => Ok(path),
        None => std::env::current_exe().context("cannot tell which program this is"),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_place_is_private_and_is_gone_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let place = Place::make(&[missing.clone(), parent.path().to_owned()]).unwrap();
        let path = place.path("");
        assert!(path.starts_with(parent.path()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(place.path("socket"), "").unwrap();
        drop(place);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        let error = Place::make(std::slice::from_ref(&missing)).unwrap_err().to_string();
        assert_eq!(error, format!("cannot make a directory for sockets in {}", missing.display()));
    }

    #[test]
    fn the_program_is_the_path_that_it_was_called_by() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("v1"), directory.path().join("server"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let (by_path, by_name) = (Some(link.as_os_str()), Some(OsStr::new("server")));
        let search = Some(directory.path().as_os_str());
        let running = std::env::current_exe().unwrap();
        // Nothing that cannot be started.
        assert_eq!(program(by_path, None).unwrap(), running);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(program(by_path, None).unwrap(), link);
        assert_eq!(program(by_name, search).unwrap(), link);
        assert_eq!(program(by_name, None).unwrap(), running);
        assert_eq!(program(None, search).unwrap(), running);
    }
}
