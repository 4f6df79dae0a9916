//! The file, and who writes into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
#[cfg(test)]
use redb::StorageBackend;
use redb::{Database, ReadableDatabase, ReadableTable};

use super::table::{ENTRIES, EXPIRIES, SPACES, has_expired};
use super::writer::{self, Job};
use crate::Failure;

/// Changes that wait for the writer; who comes on top is told so. They are written a few hundred at once.
const WAITING_MAX: usize = 4_096;

/// Where the store is, and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file; none keeps everything in memory.
    pub path: Option<PathBuf>,
    /// How often what was written is synced to disk; so much is lost in a crash at most.
    pub sync_interval: Duration,
    /// Octets of the file that are kept in memory.
    pub cache: usize,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open {path}: {source}")]
pub struct OpenError {
    path: String,
    source: Box<redb::Error>,
}

/// The store of all bindings. Dropped, it makes everything durable.
#[derive(Debug)]
pub struct Store {
    place: Arc<Place>,
    jobs: Option<SyncSender<Job>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, or makes it, and starts the thread that writes.
    ///
    /// After a crash the file is as it was when it was last synced; to make sure takes some seconds a gigabyte.
    ///
    /// # Errors
    /// When the file cannot be used, is none of redb's, or is damaged.
    pub fn open(config: &StoreConfig) -> Result<Arc<Self>, OpenError> {
        let path = config.path.clone();
        let opening: Opening = match path.clone() {
            Some(path) => Box::new(move |builder| builder.create(&path)),
            // Everything is gone with the first error; there is no disk that could have one.
            None => Box::new(|builder| builder.create_with_backend(redb::backends::InMemoryBackend::new())),
        };
        let path = path.map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        Self::start(config, opening).map_err(|source| OpenError { path, source: Box::new(source) })
    }

    /// The same on a backend of the test's own.
    #[cfg(test)]
    pub(super) fn on<B: StorageBackend>(
        config: &StoreConfig,
        backend: impl Fn() -> B + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::start(config, Box::new(move |builder| builder.create_with_backend(backend()))).expect("it opens")
    }

    fn start(config: &StoreConfig, opening: Opening) -> Result<Arc<Self>, redb::Error> {
        let place = Arc::new(Place { opening, cache: config.cache, database: RwLock::default() });
        *place.database.write() = Some(Arc::new(place.open()?));
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let (own, sync_interval) = (Arc::clone(&place), config.sync_interval);
        let writer = std::thread::Builder::new().name("kv".to_owned());
        let writer = writer.spawn(move || writer::run(&own, &waiting, sync_interval));
        let writer = Mutex::new(Some(writer.map_err(redb::Error::Io)?));
        Ok(Arc::new(Self { place, jobs: Some(jobs), writer }))
    }

    /// Hands a change to the writer, which answers it.
    pub(super) fn submit(&self, job: Job) -> Result<(), Failure> {
        let gone = || Failure::Unavailable("the server is stopping".to_owned());
        self.jobs.as_ref().ok_or_else(gone)?.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Failure::Unavailable("too many changes wait to be written".to_owned()),
            TrySendError::Disconnected(_) => gone(),
        })
    }

    /// What is readable now.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.place.database.read().clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.lock().take() {
            let _ = writer.join();
        }
    }
}

type Opening = Box<dyn Fn(&mut redb::Builder) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// The file and how it is opened. After an error redb refuses to go on with it until it has been opened anew, which
/// leads back to what was last synced.
pub(super) struct Place {
    opening: Opening,
    cache: usize,
    database: RwLock<Option<Arc<Database>>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Place {
    fn open(&self) -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        let database = (self.opening)(builder.set_cache_size(self.cache))?;
        // So that a reader finds them.
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(EXPIRIES)?;
        transaction.open_table(SPACES)?;
        transaction.commit()?;
        Ok(database)
    }

    /// The file, opened anew where it was lost.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        if let Some(database) = &*self.database.read() {
            return Some(Arc::clone(database));
        }
        match self.open() {
            Ok(database) => {
                tracing::info!("the store of plugins can be used again");
                let database = Arc::new(database);
                *self.database.write() = Some(Arc::clone(&database));
                Some(database)
            }
            Err(error) => {
                tracing::warn!(%error, "the store of plugins cannot be used");
                None
            }
        }
    }

    /// Whether there is something to forget. A file that was lost is opened anew here, too.
    pub(super) fn has_expired_entries(&self) -> bool {
        let Some(database) = self.database() else { return false };
        let first = || -> Result<Option<u64>, redb::Error> {
            let expiries = database.begin_read()?.open_table(EXPIRIES)?;
            Ok(expiries.first()?.map(|(key, _)| key.value().0))
        };
        first().ok().flatten().is_some_and(|expires| has_expired(expires, now()))
    }

    /// It has failed.
    pub(super) fn lost(&self) {
        *self.database.write() = None;
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
