//! One file, as it was read last.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use parking_lot::{Mutex, RwLock};

use super::place::Record;
use crate::Failure;

/// Octets of a file: it is read into memory. The largest that are sold have some 500 MB.
const FILE_MAX: u64 = 1 << 30;
/// Records that are looked at when a file was read, to see that they are what we know.
const LOOKED_AT: usize = 100;

/// A file that is no database, or not there.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Unreadable {
    path: PathBuf,
    why: String,
}

/// One file. It is read into memory and not mapped: what writes into a mapped file, or cuts it, would end the server.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    current: RwLock<Arc<Reader<Vec<u8>>>>,
    /// What the file was like when it was read last, good or not.
    seen: Mutex<Option<Stamp>>,
}

/// By what a file that has changed is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), len: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, Unreadable> {
        let (stamp, reader) = read(path).map_err(|why| Unreadable { path: path.to_owned(), why })?;
        Ok(Self { path: path.to_owned(), current: RwLock::new(Arc::new(reader)), seen: Mutex::new(Some(stamp)) })
    }

    /// What it knows of an address.
    pub(super) fn lookup(&self, ip: IpAddr) -> Result<Option<Record>, Failure> {
        let reader = Arc::clone(&self.current.read());
        match reader.lookup(ip).and_then(|found| found.decode()) {
            Ok(record) => Ok(record),
            // It has no addresses of this kind.
            Err(MaxMindDbError::InvalidInput { .. }) => Ok(None),
            Err(error) => {
                // The guest need not know our paths.
                tracing::warn!(path = %self.path.display(), %error, "a database of addresses is damaged");
                Err(Failure::Unavailable("a database is damaged".to_owned()))
            }
        }
    }

    /// Reads the file if it has changed. One that is broken or gone leaves what was read before, and is told once.
    pub(super) fn refresh(&self) {
        let now = fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if std::mem::replace(&mut *self.seen.lock(), now) == now {
            return;
        }
        let path = self.path.display();
        match read(&self.path) {
            Ok((stamp, reader)) => {
                *self.current.write() = Arc::new(reader);
                *self.seen.lock() = Some(stamp);
                tracing::info!(%path, "a database of addresses was read anew");
            }
            Err(error) => {
                tracing::warn!(%path, %error, "a database of addresses has changed and is no good: the old one stays")
            }
        }
    }
}

/// The file, and what it was like when it was opened.
fn read(path: &Path) -> Result<(Stamp, Reader<Vec<u8>>), String> {
    let told = |error: std::io::Error| format!("cannot be read: {error}");
    let mut file = File::open(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    if !metadata.is_file() || metadata.len() > FILE_MAX {
        return Err(format!("is no file of at most {FILE_MAX} octets"));
    }
    let mut octets = Vec::new();
    file.by_ref().take(FILE_MAX).read_to_end(&mut octets).map_err(told)?;
    let reader = Reader::from_source(octets).map_err(|error| format!("is no database of the format mmdb: {error}"))?;
    look(&reader).map_err(|error| format!("has not the records of a city, country or AS database: {error}"))?;
    Ok((Stamp::of(&metadata), reader))
}

/// Whether the first records are of the kind that we know.
fn look(reader: &Reader<Vec<u8>>) -> Result<(), MaxMindDbError> {
    for found in reader.networks(WithinOptions::default())?.take(LOOKED_AT) {
        found?.decode::<Record>()?;
    }
    Ok(())
}
