//! Where blocks live: in a directory of the stream's own, which is locked, or in anonymous memory files. This file knows
//! names, locks and creation; what is written into a block is in `block_writer.rs`, what is found again in `recover.rs`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use audio::Codec;
use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::{OpenError, Position, disk::Disk, index::Header, map};

/// Name of the file whose lock says that the directory is taken.
pub(crate) const LOCK_NAME: &str = "lock";
/// Ending of index files.
pub(crate) const INDEX_EXTENSION: &str = "idx";
/// Longest stream key.
const KEY_BYTES_MAX: usize = 64;

/// Where one block lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    Memory,
}

/// Where the blocks of one log live.
#[derive(Debug)]
pub(crate) struct Store {
    on_disk: Option<OnDisk>,
}

/// A directory that is written to, and the thread that does it.
#[derive(Debug)]
struct OnDisk {
    directory: Arc<Directory>,
    disk: Arc<Disk>,
}

/// A stream's directory. One that is written to is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    pub path: PathBuf,
    pub key: String,
    /// Holds the lock; the system lets go of it when the last process that shares it ends, however it ends. None where it is
    /// only read.
    lock: Option<File>,
}

/// A new block's files and its mapping.
pub(crate) struct Files {
    pub target: Target,
    pub bytes: Bytes,
}

/// What a block is written to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A memory file, which has no index.
    Memory(Arc<File>),
    /// Files in the stream's directory, by way of its thread.
    Directory { disk: Arc<Disk>, files: Arc<Named> },
}

/// The files of a block in the stream's directory.
#[derive(Debug)]
pub(crate) struct Named {
    pub audio: File,
    pub index: File,
    /// Bytes of the header, which is written.
    pub header_bytes: u64,
}

impl Store {
    /// Locks `dir/key`, making it where it is missing; with no `dir`, a store in memory.
    pub fn open(dir: Option<&Path>, key: &str) -> Result<Self, OpenError> {
        let Some(dir) = dir else { return Ok(Store { on_disk: None }) };
        Store::on(Directory::open(dir, key)?)
    }

    /// The same with the lock of another process, which shares it.
    pub fn take_over(dir: Option<&Path>, key: &str, lock: Option<File>) -> Result<Self, OpenError> {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (dir, lock) {
            (None, None) => Ok(Store { on_disk: None }),
            (Some(dir), Some(lock)) => {
                let path = path_of(dir, key)?;
                let ours = fs::metadata(path.join(LOCK_NAME)).map(identity);
                match (ours, lock.metadata().map(identity)) {
                    (Ok(ours), Ok(theirs)) if ours == theirs => {
                        Store::on(Directory { path, key: key.to_owned(), lock: Some(lock) })
                    }
                    _ => Err(other_directory()),
                }
            }
            _ => Err(other_directory()),
        }
    }

    /// The lock on its directory, to be shared with another process.
    pub fn share_lock(&self) -> io::Result<Option<File>> {
        let lock = self.directory().and_then(|directory| directory.lock.as_ref());
        lock.map(File::try_clone).transpose()
    }

    fn on(directory: Directory) -> Result<Self, OpenError> {
        let directory = Arc::new(directory);
        let failed = |source| OpenError::Io { path: directory.path.clone(), source };
        let disk = Arc::new(Disk::start(directory.clone()).map_err(failed)?);
        Ok(Store { on_disk: Some(OnDisk { directory, disk }) })
    }

    /// The directory, if there is one.
    pub fn directory(&self) -> Option<&Directory> {
        self.on_disk.as_ref().map(|on_disk| &*on_disk.directory)
    }

    /// The thread that writes to the directory.
    #[cfg(test)]
    pub fn disk(&self) -> Arc<Disk> {
        self.on_disk.as_ref().expect("a store with a directory").disk.clone()
    }

    /// Where a new block may go, the preferred place first.
    pub fn places(&self) -> &'static [Place] {
        if self.on_disk.is_some() { &[Place::Directory, Place::Memory] } else { &[Place::Memory] }
    }

    /// Makes an empty block that can hold `capacity` bytes. A failure leaves nothing behind.
    pub fn create(&self, place: Place, header: &Header, capacity: usize) -> io::Result<Files> {
        match (place, &self.on_disk) {
            (Place::Directory, Some(OnDisk { directory, disk })) => {
                let (header, theirs) = (*header, directory.clone());
                let undoing = directory.clone();
                let (files, bytes) = disk.ask(
                    move || theirs.create(&header, capacity),
                    move |_| undoing.remove(header.position, header.format.codec),
                )?;
                Ok(Files { target: Target::Directory { disk: disk.clone(), files: Arc::new(files) }, bytes })
            }
            _ => create_in_memory(header, capacity),
        }
    }

    /// Deletes the files of a block; who has them mapped reads on. A file that cannot be deleted is found again at the
    /// next start and evicted then.
    pub fn remove(&self, header: &Header) {
        if let Some(OnDisk { directory, disk }) = &self.on_disk {
            let (directory, position, codec) = (directory.clone(), header.position, header.format.codec);
            disk.tell(move || directory.remove(position, codec));
        }
    }
}

impl Directory {
    /// The directory as it is, to be read only.
    pub fn look(dir: &Path, key: &str) -> Result<Self, OpenError> {
        let path = path_of(dir, key)?;
        Ok(Directory { path, key: key.to_owned(), lock: None })
    }

    /// Locks the directory, making it where it is missing.
    pub fn open(dir: &Path, key: &str) -> Result<Self, OpenError> {
        let path = path_of(dir, key)?;
        fs::create_dir_all(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let lock_path = path.join(LOCK_NAME);
        let failed = |source| OpenError::Io { path: lock_path.clone(), source };
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path, key: key.to_owned(), lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub fn audio_path(&self, position: Position, codec: Codec) -> PathBuf {
        self.path.join(format!("{:020}.{}", position.0, codec.extension()))
    }

    pub fn index_path(&self, position: Position) -> PathBuf {
        self.path.join(format!("{:020}.{INDEX_EXTENSION}", position.0))
    }

    /// Deletes the index first: audio without one is known as a leftover.
    pub fn remove(&self, position: Position, codec: Codec) {
        let _ = fs::remove_file(self.index_path(position));
        let _ = fs::remove_file(self.audio_path(position, codec));
    }

    /// Files that exist already are not ours to touch: they make it fail.
    fn create(&self, header: &Header, capacity: usize) -> io::Result<(Named, Bytes)> {
        let new = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let audio_path = self.audio_path(header.position, header.format.codec);
        let audio = new(&audio_path)?;
        let index = match new(&self.index_path(header.position)) {
            Ok(index) => index,
            Err(error) => {
                let _ = fs::remove_file(&audio_path);
                return Err(error);
            }
        };
        let head = header.encode(&self.key);
        index.write_all_at(&head, 0).and_then(|()| map::map(&audio, capacity)).map_or_else(
            |error| {
                self.remove(header.position, header.format.codec);
                Err(error)
            },
            |bytes| Ok((Named { audio, index, header_bytes: head.len() as u64 }, bytes)),
        )
    }
}

/// Positions of one directory mean something else in another.
fn other_directory() -> OpenError {
    let reason = "the directory of the rewind buffers is another one by now: that takes a restart";
    OpenError::Handed { source: io::Error::other(reason) }
}

fn path_of(dir: &Path, key: &str) -> Result<PathBuf, OpenError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.starts_with('.') || !key.bytes().all(allowed) {
        return Err(OpenError::Key { key: key.to_owned() });
    }
    Ok(dir.join(key))
}

/// A mapping of full capacity costs address space only: pages come into being as they are written.
fn create_in_memory(header: &Header, capacity: usize) -> io::Result<Files> {
    let audio = memory_file(&format!("rewind-{}", header.position))?;
    let bytes = map::map(&audio, capacity)?;
    Ok(Files { target: Target::Memory(Arc::new(audio)), bytes })
}

/// An empty file without a name, that cannot get shorter: readers of a mapping would die of that.
pub(crate) fn memory_file(name: &str) -> io::Result<File> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK)?;
    Ok(File::from(fd))
}
