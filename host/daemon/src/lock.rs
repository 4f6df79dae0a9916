//! One server for one data directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

/// The lock on a data directory; the operating system lets it go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    _lock: File,
}

/// Why the data directory cannot be had.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum LockError {
    #[error("the data directory {path} cannot be written: {source}")]
    #[diagnostic(help("make it writable for the user that runs wasmail, or set server.data_dir to another place"))]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("another wasmail{owner} is using the data directory {path}")]
    #[diagnostic(help("stop that one first, or give this one a server.data_dir of its own"))]
    InUse { path: PathBuf, owner: String },
}

impl DataDir {
    /// Makes the directory if it is missing, for this user alone, and takes it for this process.
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        let unwritable = |source| LockError::Unwritable { path: path.to_owned(), source };
        // What is in it is other people's mail.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unwritable)?;
        let mut file = open(&path.join("lock")).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(LockError::InUse { path: path.to_owned(), owner: owner(&mut file) });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // The number is for people only; the lock is what counts.
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unwritable)?;
        Ok(Self { _lock: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn owner(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    let process = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_serves_one_at_a_time() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let first = DataDir::take(&dir.path().join("data")).expect("nobody has it");
        let second = DataDir::take(&dir.path().join("data")).expect_err("the first has it");
        assert!(second.to_string().contains(&format!("(process {})", std::process::id())), "{second}");
        drop(first);
        DataDir::take(&dir.path().join("data")).expect("the first has let it go");
    }

    #[test]
    fn a_new_data_directory_is_read_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("data");
        DataDir::take(&path).expect("nobody has it");
        let mode = std::fs::metadata(&path).expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let error = DataDir::take(file.path()).expect_err("it is a file");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
