//! The real file system.

use super::{File, Folder, Storage};
use rustix::fs::FlockOperation;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most slices that one `pwritev` takes on Linux.
const IOV_MAX: usize = 1024;

/// A directory that this process, and no other, uses as its spool.
pub(crate) struct Disk {
    root: PathBuf,
    /// Held locked for as long as the spool is in use; none for somebody who only looks.
    _lock: Option<fs::File>,
}

impl Disk {
    /// Makes the directories that are missing and takes the lock.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        for folder in [Folder::Journal, Folder::Bodies, Folder::Quarantine] {
            // Mail is nobody else's business, whatever the umask says.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root.join(folder.name()))?;
        }
        let disk = Self { root: root.to_owned(), _lock: Some(lock(root)?) };
        disk.sync_folder(Folder::Journal)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(disk)
    }

    /// A directory that may be in use, to be read only.
    pub(crate) fn view(root: &Path) -> Self {
        Self { root: root.to_owned(), _lock: None }
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.root.join(folder.name()).join(name)
    }
}

fn lock(root: &Path) -> io::Result<fs::File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(root.join("lock"))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("the spool {} is in use by another process", root.display()),
        ),
        error => error.into(),
    })?;
    Ok(file)
}

impl Storage for Disk {
    fn create(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Arc::new(DiskFile(options.open(self.path(folder, name))?)))
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(folder, name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(folder, ""))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(folder, name))
    }

    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        fs::File::open(self.path(folder, ""))?.sync_all()
    }

    fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn write_all_at(&self, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // Empty slices go first, or a write of nothing would look like a full disk.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let some = &parts[..parts.len().min(IOV_MAX)];
            match rustix::io::pwritev(&self.0, some, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(octets) => read += octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_belongs_to_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let first = Disk::open(dir.path()).unwrap();
        let second = Disk::open(dir.path()).err().expect("the lock is taken");
        assert!(second.to_string().contains("in use by another process"), "{second}");
        drop(first);
        Disk::open(dir.path()).unwrap();
    }

    #[test]
    fn more_slices_than_one_call_takes_are_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let file = disk.create(Folder::Bodies, "x").unwrap();
        let octets: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
        let mut parts: Vec<IoSlice<'_>> = octets.chunks(2).map(IoSlice::new).collect();
        parts.insert(0, IoSlice::new(&[]));
        file.write_all_at(&mut parts, 3).unwrap();
        assert_eq!(super::super::read_exact_at(&*file, 3, 5000).unwrap(), octets);
        assert_eq!(disk.list(Folder::Bodies).unwrap(), ["x"]);
    }
}
