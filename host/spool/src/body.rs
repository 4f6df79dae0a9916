//! The body of a message, in memory or in a file of its own.

use crate::SpoolId;
use crate::storage::{File, Folder, Storage, read_exact_at};
use bytes::Bytes;
use crc32fast::Hasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Octets of one chunk of [`Chunks`] and of a draft's buffer: what a session holds of a large body, twice at most.
pub const CHUNK_LEN: usize = 256 * 1024;

/// The octets after the header section's empty line, exactly as they were appended. Clones share them.
#[derive(Clone)]
pub struct Body(Source);

#[derive(Clone)]
enum Source {
    Memory(Bytes),
    File(Arc<dyn File>, Large),
}

/// What is known of a body in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Large {
    pub(crate) len: u64,
    pub(crate) crc: u32,
}

impl Body {
    pub(crate) fn memory(octets: Bytes) -> Self {
        Self(Source::Memory(octets))
    }

    pub(crate) fn file(file: Arc<dyn File>, large: Large) -> Self {
        Self(Source::File(file, large))
    }

    /// The length in octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Source::Memory(octets) => octets.len() as u64,
            Source::File(_, large) => large.len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at most `len` octets at `offset`, fewer where the body ends. It may wait for the disk, though what has
    /// just arrived is in memory as a rule.
    ///
    /// # Errors
    /// What the file says.
    pub fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let left = self.len().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        match &self.0 {
            // Without octets left the offset may lie anywhere.
            _ if len == 0 => Ok(Bytes::new()),
            Source::Memory(octets) => Ok(octets.slice(offset as usize..offset as usize + len)),
            Source::File(file, _) => Ok(read_exact_at(&**file, offset, len)?.into()),
        }
    }

    /// The octets, unless they lie in a file.
    pub(crate) fn in_memory(&self) -> Bytes {
        match &self.0 {
            Source::Memory(octets) => octets.clone(),
            Source::File(..) => Bytes::new(),
        }
    }

    /// Reads it all, chunk by chunk.
    #[must_use]
    pub fn chunks(&self) -> Chunks {
        Chunks { body: self.clone(), offset: 0, hasher: Hasher::new() }
    }
}

/// Reads a body from its beginning to its end, in chunks of at most [`CHUNK_LEN`] octets.
pub struct Chunks {
    body: Body,
    offset: u64,
    hasher: Hasher,
}

impl Chunks {
    /// The next chunk, or `None` at the end.
    ///
    /// # Errors
    /// What the file says; `InvalidData` in the place of the last chunk when the file is not what was committed, so
    /// the message must not be passed on.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.body.0.clone() {
            Source::Memory(octets) => Ok(self.next_of_memory(&octets)),
            Source::File(file, large) => self.next_of_file(file, large).await,
        }
    }

    fn next_of_memory(&mut self, octets: &Bytes) -> Option<Bytes> {
        let rest = octets.slice((self.offset as usize).min(octets.len())..);
        let chunk = rest.slice(..rest.len().min(CHUNK_LEN));
        self.offset += chunk.len() as u64;
        (!chunk.is_empty()).then_some(chunk)
    }

    async fn next_of_file(&mut self, file: Arc<dyn File>, large: Large) -> io::Result<Option<Bytes>> {
        let length = large.len.saturating_sub(self.offset).min(CHUNK_LEN as u64) as usize;
        if length == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        let chunk = blocking(move || read_exact_at(&*file, offset, length)).await?;
        self.hasher.update(&chunk);
        self.offset += length as u64;
        if self.offset == large.len && self.hasher.clone().finalize() != large.crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the body does not match its checksum"));
        }
        Ok(Some(chunk.into()))
    }
}

/// Runs what may wait for the disk where waiting harms nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A file with the body of a draft. It goes when the last holder does, unless a commit has made it a message's.
pub(crate) struct BodyFile {
    storage: Arc<dyn Storage>,
    id: SpoolId,
    pub(crate) file: Arc<dyn File>,
    kept: AtomicBool,
}

impl BodyFile {
    pub(crate) fn create(storage: Arc<dyn Storage>, id: SpoolId) -> io::Result<Arc<Self>> {
        let file = storage.create(Folder::Bodies, &id.to_string())?;
        Ok(Arc::new(Self { storage, id, file, kept: AtomicBool::new(false) }))
    }

    /// Makes the file and its entry in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.storage.sync_folder(Folder::Bodies)
    }

    /// The file belongs to a committed message now.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Acquire) {
            return;
        }
        let (storage, name) = (self.storage.clone(), self.id.to_string());
        let remove = move || {
            if let Err(error) = storage.remove(Folder::Bodies, &name) {
                // The next start removes what no message names.
                tracing::warn!(name, %error, "failed to remove the body of an abandoned draft");
            }
        };
        // A large file takes its time to go.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;
    use std::io::IoSlice;

    fn file_body(octets: &[u8]) -> (tempfile::TempDir, Body) {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk::open(dir.path()).unwrap().create(Folder::Bodies, "b").unwrap();
        file.write_all_at(&mut [IoSlice::new(octets)], 0).unwrap();
        let large = Large { len: octets.len() as u64, crc: crc32fast::hash(octets) };
        (dir, Body::file(file, large))
    }

    async fn whole(body: &Body) -> io::Result<Vec<u8>> {
        let (mut chunks, mut octets) = (body.chunks(), Vec::new());
        while let Some(chunk) = chunks.next().await? {
            octets.extend(chunk);
        }
        Ok(octets)
    }

    #[tokio::test]
    async fn a_body_reads_alike_from_memory_and_from_a_file() {
        let octets: Vec<u8> = (0..CHUNK_LEN * 2 + 77).map(|n| (n % 253) as u8).collect();
        let (_dir, file) = file_body(&octets);
        for body in [Body::memory(octets.clone().into()), file] {
            assert_eq!(body.len(), octets.len() as u64);
            assert_eq!(body.read_at(5, 7).unwrap(), octets[5..12]);
            assert_eq!(body.read_at(octets.len() as u64 - 3, 100).unwrap(), octets[octets.len() - 3..]);
            assert!(body.read_at(u64::MAX, usize::MAX).unwrap().is_empty());
            assert_eq!(whole(&body).await.unwrap(), octets);
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_found_out_before_its_last_chunk_is_passed_on() {
        let (_dir, body) = file_body(&vec![b'x'; CHUNK_LEN + 1]);
        let Source::File(file, _) = &body.0 else { panic!("a file") };
        file.write_all_at(&mut [IoSlice::new(b"y")], 100).unwrap();
        assert_eq!(whole(&body).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
