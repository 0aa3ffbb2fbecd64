//! Mapping a block file into memory: the one place with `unsafe`. What is mapped and who may read how much of it is
//! decided in `block.rs`.

#![allow(unsafe_code)]

use std::{
    ffi::c_void,
    io,
    os::fd::AsFd,
    ptr::{self, NonNull},
    slice,
};

use bytes::Bytes;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A shared, read-only mapping of the first `len` bytes of a file. The file may be shorter and grow into it.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread; it is only ever read, and unmapped once, by whoever drops it.
unsafe impl Send for Mapping {}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is a live mapping of `len` readable bytes until `self` is dropped. `Bytes` calls this once
        // and keeps address and length. Pages beyond the file's end must not be touched, and bytes that are still
        // being written would be a race: `Block` therefore slices published bytes only, which lie within the file and
        // never change. Nothing else keeps this slice.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` got, and the last slice of it is gone: `Bytes` owns `self` while any is alive.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), self.len) };
        debug_assert!(unmapped.is_ok(), "an address range that was mapped can be unmapped");
    }
}

/// Maps the first `len` bytes of `file`, at least 1, whether they are there already or not.
///
/// Only bytes that are in the file may be read from the result: touching others ends the process. The file must not be
/// made shorter than what is read; memfds are sealed against it, directories are locked.
pub(crate) fn map(file: impl AsFd, len: usize) -> io::Result<Bytes> {
    // SAFETY: a new mapping at an address of the kernel's choice replaces none.
    let start = unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, 0)? };
    let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
    Ok(Bytes::from_owner(Mapping { start, len }))
}
