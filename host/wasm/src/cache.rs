//! Compiled code on disk.
//!
//! Loading an artifact means running it as machine code, so it must be what we ourselves wrote: it lies in a directory
//! that nobody else may write to, its name holds the digest of its octets, and it is never changed after it was renamed
//! into place. A component from outside is never looked for here by any name but the digest of its octets.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// Artifacts that are kept, and their octets; what was used least recently goes first. A server of many customers has a thousand
/// plugins, and versions of them; one in Rust or C takes half a megabyte, one with an interpreter in it ten.
const ARTIFACTS_MAX: usize = 8_192;
const OCTETS_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How an artifact's name ends.
const SUFFIX: &str = ".cwasm";

/// A directory for compiled code.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    /// The names in it, so that a start with a thousand plugins does not read it a thousand times. What another process puts there
    /// meanwhile is compiled again at worst.
    names: Arc<Mutex<BTreeSet<String>>>,
}

/// Why a directory cannot be used as a cache.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {dir} for compiled plugins: {why}", dir = .dir.display())]
pub struct CacheError {
    dir: PathBuf,
    why: String,
}

impl Cache {
    /// Uses a directory, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, belongs to another user, or others may write to it: what lies in it is run as machine
    /// code.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let dir = dir.into();
        match check_dir(&dir) {
            Ok(()) => {
                let names = names(&dir).map(|(name, _)| name).collect();
                Ok(Self { dir, names: Arc::new(Mutex::new(names)) })
            }
            Err(why) => Err(CacheError { dir, why }),
        }
    }

    /// The compiled component of this key, if there is a good one.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, key: &str) -> Option<Component> {
        self.artifacts(key).into_iter().find_map(|path| match load(engine, &path) {
            Ok(component) => {
                // What is in use is not the oldest; if it cannot be said, it is compiled again some day.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "removed a compiled plugin that cannot be used");
                // If it cannot be removed, the next start says so again.
                let _ = self.remove(&path);
                None
            }
        })
    }

    /// Keeps a compiled component. A failure costs time at the next start, nothing else.
    pub(crate) fn store(&self, key: &str, component: &Component) {
        let kept = component.serialize().map_err(|why| why.to_string()).and_then(|artifact| {
            self.write(key, &artifact).map_err(|why| why.to_string())?;
            self.prune().map_err(|why| why.to_string())
        });
        if let Err(why) = kept {
            tracing::warn!(dir = %self.dir.display(), why, "failed to keep a compiled plugin");
        }
    }

    /// The artifacts whose names begin with a key.
    fn artifacts(&self, key: &str) -> Vec<PathBuf> {
        let names = self.names.lock();
        let from = names.range(key.to_owned()..);
        from.take_while(|name| name.starts_with(key)).map(|name| self.dir.join(name)).collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            self.names.lock().remove(name);
        }
        fs::remove_file(path)
    }

    /// Keeps what somebody else writes into a file of ours; that one has let go of the file when `write` returns.
    pub(crate) fn store_with<E>(
        &self,
        key: &str,
        write: impl FnOnce(&mut File) -> Result<(), E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<(), E> {
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir).map_err(&failed)?;
        write(file.as_file_mut())?;
        self.keep(key, file).and_then(|()| self.prune()).map_err(failed)
    }

    fn write(&self, key: &str, artifact: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(artifact)?;
        self.keep(key, file)
    }

    /// Gives a file that is complete its name.
    fn keep(&self, key: &str, mut file: tempfile::NamedTempFile) -> io::Result<()> {
        file.as_file().sync_all()?;
        let name = format!("{key}.{}{SUFFIX}", digest_of(file.as_file_mut())?);
        file.persist(self.dir.join(&name))?;
        self.names.lock().insert(name);
        File::open(&self.dir)?.sync_all()
    }

    fn prune(&self) -> io::Result<()> {
        self.prune_to(ARTIFACTS_MAX, OCTETS_MAX)
    }

    /// Removes what was used least recently until no more is left than may be.
    fn prune_to(&self, artifacts_max: usize, octets_max: u64) -> io::Result<()> {
        let with_data = |(_, path): (String, PathBuf)| fs::metadata(&path).ok().map(|data| (path, data));
        let mut artifacts: Vec<_> = names(&self.dir).filter_map(with_data).collect();
        let mut octets: u64 = artifacts.iter().map(|(_, data)| data.len()).sum();
        if artifacts.len() <= artifacts_max && octets <= octets_max {
            return Ok(());
        }
        artifacts.sort_by_key(|(_, data)| data.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let mut left = artifacts.len();
        for (path, data) in artifacts {
            if left <= artifacts_max && octets <= octets_max {
                break;
            }
            self.remove(&path)?;
            left -= 1;
            octets -= data.len();
        }
        Ok(())
    }
}

/// The artifacts in a directory, by name.
fn names(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(name, _)| name.ends_with(SUFFIX))
}

fn check_dir(dir: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|why| format!("it cannot be made: {why}"))?;
    let data = fs::metadata(dir).map_err(|why| why.to_string())?;
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to the user {}, who could put machine code there", data.uid()));
    }
    if data.mode() & 0o022 != 0 {
        return Err("others may write to it and could put machine code there: make it `chmod 700`".to_owned());
    }
    // Reading is harmless, yet nobody needs it.
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|why| why.to_string())
}

fn load(engine: &wasmtime::Engine, path: &Path) -> Result<Component, String> {
    let artifact = fs::read(path).map_err(|why| why.to_string())?;
    let digest = hex(&Sha256::digest(&artifact));
    let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').nth(1));
    if named != Some(digest.as_str()) {
        return Err("its octets are not those that were written".to_owned());
    }
    deserialize(engine, path).map_err(|why| format!("{why:#}"))
}

/// Maps an artifact whose digest was just verified.
#[expect(unsafe_code, reason = "an artifact is machine code; see the argument below")]
fn deserialize(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file must be what wasmtime wrote, and must not change while it is mapped. Only `Cache::keep` gives
    // files such a name: those of `Cache::write`, from `Component::serialize`, and those of a compiling child that has
    // ended well and has told the digest of what it wrote from `Engine::precompile_component`. The child is this very
    // program, and what it read was only ever data to it; it is apart for what it takes, not because it would be
    // another's. The digest in the name was verified by the caller, so a torn or
    // rotten file does not get here; and `Cache::open` made sure that nobody but our own user may write to the
    // directory. We never write to a file after renaming it into place; removing a mapped file is harmless. Settings
    // and version are checked by wasmtime itself, besides being part of the key.
    unsafe { Component::deserialize_file(engine, path) }
}

/// SHA-256 of a whole file, in hexadecimal.
pub(crate) fn digest_of(file: &mut File) -> io::Result<String> {
    let (mut hasher, mut octets) = (Sha256::new(), vec![0; 64 * 1024]);
    file.rewind()?;
    loop {
        match file.read(&mut octets)? {
            0 => return Ok(hex(&hasher.finalize())),
            len => hasher.update(&octets[..len]),
        }
    }
}

/// Octets in lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
        let error = Cache::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("others may write"), "{error}");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Cache::open(dir.path()).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_is_written_is_private_and_the_oldest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("a/b")).unwrap();
        let name = |number: u64| cache.dir.join(format!("{number:03}.x{SUFFIX}"));
        for number in 0..20 {
            fs::write(name(number), [0; 100]).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number);
            File::options().append(true).open(name(number)).unwrap().set_modified(time).unwrap();
        }
        cache.write("key", b"octets").unwrap();
        cache.prune().unwrap();
        assert_eq!(names(&cache.dir).count(), 21, "there is room for all");
        cache.prune_to(18, 10_000).unwrap();
        assert!(!name(2).exists() && name(3).exists());
        cache.prune_to(18, 1_000).unwrap();
        assert!(!name(10).exists() && name(11).exists());
        let written = cache.artifacts("key");
        assert_eq!(fs::metadata(&written[0]).unwrap().mode() & 0o777, 0o600);
    }
}
