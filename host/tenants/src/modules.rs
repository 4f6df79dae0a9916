//! Where the octets of modules lie: by their SHA-256, once for all tenants.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256, digest};

use crate::ModuleHash;

/// What a file is called until it is whole.
const DRAFT: &str = "draft-";

/// Why octets cannot be kept or given.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More than it may have.
    #[error("more than {0} octets, which is the most that a module may have")]
    TooLarge(u64),
    /// There are none with this hash.
    #[error("there is no module {0}")]
    NotThere(ModuleHash),
    /// What lies there is not what was put there.
    #[error("{0} is damaged: its octets have another SHA-256")]
    Damaged(PathBuf),
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// What could not be written or read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory of modules.
#[derive(Debug)]
pub struct Modules {
    dir: PathBuf,
    /// So that drafts have names of their own.
    drafts: AtomicU64,
}

impl Modules {
    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), drafts: AtomicU64::default() })
    }

    /// Begins to take a module of so many octets at most.
    ///
    /// # Errors
    /// When there is no file to be had.
    pub fn draft(&self, most: u64) -> Result<Draft<'_>, StoreError> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{DRAFT}{}-{number}", std::process::id()));
        let file = File::create(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        Ok(Draft { modules: self, file, path, hash: Context::new(&SHA256), size: 0, most })
    }

    /// The octets of a module, which are those that were put there.
    ///
    /// # Errors
    /// When there are none, or they are damaged.
    pub fn get(&self, hash: &ModuleHash) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let octets = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NotThere(hash.clone()),
            _ => StoreError::Io { path: path.clone(), source },
        })?;
        let found = HEXLOWER.encode(digest(&SHA256, &octets).as_ref());
        if found == hash.as_str() { Ok(octets) } else { Err(StoreError::Damaged(path)) }
    }

    /// Removes what nobody uses, and what a crash has left of drafts. To be called while nothing is being uploaded. How many were
    /// removed.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn sweep(&self, used: impl Fn(&ModuleHash) -> bool) -> Result<usize, StoreError> {
        let failed = |source| StoreError::Io { path: self.dir.clone(), source };
        let mut removed = 0;
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hash = name.strip_suffix(".wasm").and_then(|hash| hash.parse::<ModuleHash>().ok());
            let useless = hash.map_or_else(|| name.starts_with(DRAFT), |hash| !used(&hash));
            if useless && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, hash: &ModuleHash) -> PathBuf {
        self.dir.join(format!("{hash}.wasm"))
    }
}

/// A module that is being taken. Dropped before it is kept, it leaves nothing.
pub struct Draft<'m> {
    modules: &'m Modules,
    file: File,
    path: PathBuf,
    hash: Context,
    size: u64,
    most: u64,
}

impl Draft<'_> {
    /// Takes more octets.
    ///
    /// # Errors
    /// When they are too many, or the disk is full.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        self.size += octets.len() as u64;
        if self.size > self.most {
            return Err(StoreError::TooLarge(self.most));
        }
        self.hash.update(octets);
        self.file.write_all(octets).map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }

    /// The hash of what has come so far.
    #[must_use]
    pub fn hash(&self) -> ModuleHash {
        let hash = HEXLOWER.encode(self.hash.clone().finish().as_ref());
        hash.parse().expect("a SHA-256 in hexadecimal digits is one")
    }

    /// Makes it durable under its hash.
    ///
    /// # Errors
    /// When the disk says no; nothing is left then.
    pub fn keep(self) -> Result<ModuleHash, StoreError> {
        let hash = self.hash();
        let path = self.modules.path(&hash);
        let place = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(&self.path, &path)?;
            File::open(&self.modules.dir)?.sync_all()
        };
        place().map_err(|source| StoreError::Io { path: path.clone(), source })?;
        Ok(hash)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // It is not there any more when it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(modules: &Modules, octets: &[u8]) -> ModuleHash {
        let mut draft = modules.draft(1_000).unwrap();
        octets.chunks(3).for_each(|chunk| draft.push(chunk).unwrap());
        draft.keep().unwrap()
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_found_by_its_hash_once() {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules::open(dir.path()).unwrap();
        let hash = put(&modules, b"a component");
        assert_eq!(put(&modules, b"a component"), hash);
        assert_eq!((modules.get(&hash).unwrap(), files(dir.path())), (b"a component".to_vec(), 1));
    }

    #[test]
    fn too_much_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules::open(dir.path()).unwrap();
        let mut draft = modules.draft(4).unwrap();
        draft.push(b"four").unwrap();
        assert!(matches!(draft.push(b"!"), Err(StoreError::TooLarge(4))));
        drop(draft);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn what_was_changed_behind_our_back_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules::open(dir.path()).unwrap();
        let hash = put(&modules, b"a component");
        fs::write(modules.path(&hash), b"another one").unwrap();
        assert!(matches!(modules.get(&hash), Err(StoreError::Damaged(_))));
        fs::remove_file(modules.path(&hash)).unwrap();
        assert!(matches!(modules.get(&hash), Err(StoreError::NotThere(_))));
    }

    #[test]
    fn what_nobody_uses_is_swept_and_so_is_what_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules::open(dir.path()).unwrap();
        let (used, unused) = (put(&modules, b"used"), put(&modules, b"unused"));
        fs::write(dir.path().join("draft-1-1"), b"half").unwrap();
        fs::write(dir.path().join("README"), b"not ours").unwrap();
        assert_eq!(modules.sweep(|hash| *hash == used).unwrap(), 2);
        assert!(modules.get(&used).is_ok() && modules.get(&unused).is_err());
    }
}
