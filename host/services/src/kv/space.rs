//! What one binding may keep.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::key::Namespace;
use super::operation::{Change, Changed, Entry, Page};
use super::store::{Store, now};
use super::table::{ENTRIES, Room, has_expired};
use super::writer::Job;
use crate::Failure;
use crate::rate::Rate;

/// Entries that one page of a scan has at most, and octets of their keys and values.
const PAGE_MAX: usize = 1_000;
const PAGE_OCTETS_MAX: usize = 256 * 1024;
/// Entries that one page looks at, those that have expired included.
const LOOKED_AT_MAX: usize = 10_000;

/// What one binding may keep, and how often it may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Calls in one hook call.
    pub calls: u32,
    /// Calls in a second.
    pub rate: u32,
    /// Octets of a value.
    pub value: usize,
    /// Entries.
    pub entries: u64,
    /// Octets of all keys and values, 64 more counted for each entry.
    pub size: u64,
    /// For one answer.
    pub timeout: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            calls: 100,
            rate: 10_000,
            value: 64 * 1024,
            entries: 1_000_000,
            size: 256 * 1024 * 1024,
            timeout: Duration::from_secs(2),
        }
    }
}

/// A binding's own space. Clones share the quotas.
#[derive(Debug, Clone)]
pub struct Space(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    namespace: Namespace,
    quota: Quota,
    rate: Rate,
}

impl Space {
    /// The space of a tenant's binding, which is there again after a restart.
    ///
    /// # Panics
    /// When a name has more than 65 535 octets.
    #[must_use]
    pub fn new(store: Arc<Store>, tenant: &str, binding: &str, quota: Quota) -> Self {
        let (namespace, rate) = (Namespace::new(tenant, binding), Rate::new(quota.rate, Instant::now()));
        Self(Arc::new(Inner { store, namespace, quota, rate }))
    }

    /// The value of a key; `used` counts the calls of the hook call, here and below.
    ///
    /// # Errors
    /// Here and below: when quotas or the time are used up, the store fails, or the request makes no sense.
    pub async fn get(&self, used: &mut u32, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.count(used)?;
        let key = self.0.namespace.key(key)?;
        self.read(move |database, _| get(database, &key)).await
    }

    /// Writes a value, with a new time to live.
    ///
    /// # Errors
    /// As [`Space::get`].
    pub async fn set(&self, used: &mut u32, key: &str, value: Vec<u8>, ttl: Option<u32>) -> Result<(), Failure> {
        self.check_value(Some(&value))?;
        self.change(used, key, Change::Set { value }, ttl).await.map(drop)
    }

    /// Forgets a key; whether it was there.
    ///
    /// # Errors
    /// As [`Space::get`].
    pub async fn delete(&self, used: &mut u32, key: &str) -> Result<bool, Failure> {
        Ok(self.change(used, key, Change::Delete, None).await? == Changed::Done(true))
    }

    /// Adds to a number, which is 0 when it is not there; the sum. Only then does it get the time to live.
    ///
    /// # Errors
    /// As [`Space::get`]; [`Failure::Invalid`] too when there is no number, or the sum is none.
    pub async fn increment(&self, used: &mut u32, key: &str, by: i64, ttl: Option<u32>) -> Result<i64, Failure> {
        match self.change(used, key, Change::Increment { by }, ttl).await? {
            Changed::Sum(sum) => Ok(sum),
            Changed::Done(_) => Err(Failure::Unavailable("the store gave no sum".to_owned())),
        }
    }

    /// Writes a value, or with none forgets the key, if the value is what was expected; whether it was.
    ///
    /// # Errors
    /// As [`Space::get`].
    pub async fn compare_and_set(
        &self,
        used: &mut u32,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl: Option<u32>,
    ) -> Result<bool, Failure> {
        self.check_value(value.as_deref())?;
        let change = Change::CompareAndSet { expected, value };
        Ok(self.change(used, key, change, ttl).await? == Changed::Done(true))
    }

    /// Entries whose keys begin with a prefix and come after a key.
    ///
    /// # Errors
    /// As [`Space::get`].
    pub async fn scan(&self, used: &mut u32, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Failure> {
        self.count(used)?;
        let namespace = &self.0.namespace;
        let (prefix, after) = (namespace.within(prefix), after.map(|after| namespace.within(after)));
        let limit = (limit as usize).clamp(1, PAGE_MAX);
        self.read(move |database, namespace| scan(database, namespace, &prefix, after.as_deref(), limit)).await
    }

    fn count(&self, used: &mut u32) -> Result<(), Failure> {
        if *used >= self.0.quota.calls {
            return Err(Failure::QuotaExceeded("kv.calls"));
        }
        *used += 1;
        if self.0.rate.take(Instant::now()) { Ok(()) } else { Err(Failure::QuotaExceeded("kv.rate")) }
    }

    fn check_value(&self, value: Option<&[u8]>) -> Result<(), Failure> {
        let is_long = value.is_some_and(|value| value.len() > self.0.quota.value);
        if is_long { Err(Failure::QuotaExceeded("kv.value")) } else { Ok(()) }
    }

    async fn change(&self, used: &mut u32, key: &str, change: Change, ttl: Option<u32>) -> Result<Changed, Failure> {
        self.count(used)?;
        if ttl == Some(0) {
            return Err(Failure::Invalid("a time to live is a second at least".to_owned()));
        }
        let Inner { store, namespace, quota, .. } = &*self.0;
        let (answer, changed) = oneshot::channel();
        store.submit(Job {
            namespace: namespace.octets().to_vec(),
            key: namespace.key(key)?,
            change,
            ttl: ttl.map(|seconds| Duration::from_secs(seconds.into())),
            room: Room { entries: quota.entries, octets: quota.size },
            answer,
        })?;
        match timeout(quota.timeout, changed).await {
            Ok(Ok(changed)) => changed,
            Ok(Err(_)) => Err(Failure::Unavailable("the store has stopped".to_owned())),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database, &Namespace) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let database = inner.store.database();
            let database = database.ok_or_else(|| Failure::Unavailable("its file cannot be opened".to_owned()))?;
            read(&database, &inner.namespace).map_err(|error| {
                tracing::error!(%error, "failed to read what plugins keep");
                Failure::Unavailable("it cannot be read".to_owned())
            })
        });
        match timeout(self.0.quota.timeout, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err(Failure::Unavailable("reading failed".to_owned())),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

fn get(database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let now = now();
    Ok(entries.get(key)?.and_then(|entry| {
        let (expires, value) = entry.value();
        (!has_expired(expires, now)).then(|| value.to_vec())
    }))
}

fn scan(
    database: &Database,
    namespace: &Namespace,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let (now, mut page, mut octets) = (now(), Page::default(), 0);
    let mut last = None;
    let range = entries.range::<&[u8]>((start, Bound::Unbounded))?;
    for (looked_at, entry) in range.enumerate() {
        let (key, entry) = entry?;
        let key = key.value();
        if !key.starts_with(prefix) {
            return Ok(page);
        }
        if page.entries.len() >= limit || octets >= PAGE_OCTETS_MAX || looked_at >= LOOKED_AT_MAX {
            page.next = last;
            return Ok(page);
        }
        let Some(key) = namespace.strip(key) else { continue };
        let (expires, value) = entry.value();
        if !has_expired(expires, now) {
            octets += key.len() + value.len();
            page.entries.push(Entry { key: key.to_owned(), value: value.to_vec() });
        }
        last = Some(key.to_owned());
    }
    Ok(page)
}
