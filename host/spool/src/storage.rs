//! The files of the spool, behind a door small enough for a test to stand in it and cut the power.

mod disk;
#[cfg(test)]
pub(crate) mod sim;

pub(crate) use disk::Disk;

use std::io::{self, IoSlice};
use std::sync::Arc;

/// A directory of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    /// The journal's segments.
    Journal,
    /// Bodies that are too large for the journal, a file each.
    Bodies,
    /// What could not be read, kept for a person to look at.
    Quarantine,
}

impl Folder {
    /// The directory below the spool's own, empty for the spool itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Journal => "",
            Self::Bodies => "bodies",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Where files live. An entry made or removed here is durable only after [`Storage::sync_folder`].
pub(crate) trait Storage: Send + Sync + 'static {
    /// Makes a new, empty file; an existing one of that name is an error.
    fn create(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file to read and write.
    fn open(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>>;
    /// The names of the regular files in `folder`, in no order.
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;
    /// Removes the entry; open handles go on reading.
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;
    /// Makes the entries of `folder` durable.
    fn sync_folder(&self, folder: Folder) -> io::Result<()>;
    /// Octets that may still be written before the disk is full.
    fn free(&self) -> io::Result<u64>;
}

/// An open file. What is written is durable only after [`File::sync`].
pub(crate) trait File: Send + Sync + 'static {
    /// Writes all of `parts`, one after the other, from `offset` on.
    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Reads at most `buffer.len()` octets at `offset`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes the content and the length durable. After an error nothing unsynced may be believed to be on disk, even
    /// if a later call succeeds: the kernel forgets what it could not write.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file off after `length` octets.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// The length in octets.
    fn len(&self) -> io::Result<u64>;
}

/// Reads exactly `length` octets at `offset`.
pub(crate) fn read_exact_at(file: &dyn File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    match file.read_at(&mut buffer, offset)? {
        read if read == length => Ok(buffer),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
