//! The tables, and what one change does to them.

use redb::{ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};

use super::operation::{Change, Changed};
use crate::Failure;

/// Key to the time when it expires, in milliseconds since 1970, and its value. A time of 0 is never.
pub(super) const ENTRIES: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("entries");
/// The times again, in order, so that what has expired is found without looking at everything.
pub(super) const EXPIRIES: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("expiries");
/// What each space holds: entries, and octets.
pub(super) const SPACES: TableDefinition<'_, &[u8], (u64, u64)> = TableDefinition::new("spaces");

/// Octets that an entry costs beside its key and value, as it is counted: two tables, their branches and lengths.
pub(super) const ENTRY_OCTETS: u64 = 64;
/// Entries that one transaction forgets at most because they have expired: some milliseconds of work.
pub(super) const SWEPT_MAX: usize = 10_000;

/// What one space may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) entries: u64,
    pub(super) octets: u64,
}

/// A change, to whose space it belongs and when it is made.
pub(super) struct Order<'a> {
    pub(super) namespace: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) change: &'a Change,
    /// Milliseconds since 1970; 0 is never.
    pub(super) expires: u64,
    pub(super) now: u64,
    pub(super) room: Room,
}

/// The tables, open for writing.
pub(super) struct Tables<'t> {
    entries: Table<'t, &'static [u8], (u64, &'static [u8])>,
    expiries: Table<'t, (u64, &'static [u8]), ()>,
    spaces: Table<'t, &'static [u8], (u64, u64)>,
}

/// The value of a key, and when it expires.
type Current = Option<(u64, Vec<u8>)>;

pub(super) const fn has_expired(expires: u64, now: u64) -> bool {
    expires != 0 && expires <= now
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            expiries: transaction.open_table(EXPIRIES)?,
            spaces: transaction.open_table(SPACES)?,
        })
    }

    /// Carries out a change, or says why not; the outer error is the disk's.
    pub(super) fn apply(&mut self, order: &Order<'_>) -> Result<Result<Changed, Failure>, StorageError> {
        let stored = self.stored(order.key)?;
        let current = stored.as_ref().filter(|(expires, _)| !has_expired(*expires, order.now));
        let (value, changed, expires) = match decide(order, current) {
            Ok((value, changed, expires)) => (value, changed, expires),
            Err(failure) => return Ok(Err(failure)),
        };
        match value {
            Keep::AsItIs => Ok(Ok(changed)),
            Keep::Nothing => {
                self.forget(order.namespace, order.key, &stored)?;
                Ok(Ok(changed))
            }
            Keep::Value(value) => Ok(self.put(order, &stored, &value, expires)?.map(|()| changed)),
        }
    }

    fn stored(&self, key: &[u8]) -> Result<Current, StorageError> {
        let stored = self.entries.get(key)?;
        Ok(stored.map(|stored| {
            let (expires, value) = stored.value();
            (expires, value.to_vec())
        }))
    }

    fn put(
        &mut self,
        order: &Order<'_>,
        stored: &Current,
        value: &[u8],
        expires: u64,
    ) -> Result<Result<(), Failure>, StorageError> {
        let own_len = (order.key.len() - order.namespace.len()) as u64;
        let cost = |len: usize| ENTRY_OCTETS + own_len + len as u64;
        let (mut entries, mut octets) = self.held(order.namespace)?;
        if let Some((_, old)) = stored {
            (entries, octets) = (entries.saturating_sub(1), octets.saturating_sub(cost(old.len())));
        }
        (entries, octets) = (entries + 1, octets + cost(value.len()));
        if entries > order.room.entries {
            return Ok(Err(Failure::QuotaExceeded("kv.entries")));
        }
        if octets > order.room.octets {
            return Ok(Err(Failure::QuotaExceeded("kv.size")));
        }
        self.forget_expiry(order.key, stored)?;
        self.entries.insert(order.key, (expires, value))?;
        if expires != 0 {
            self.expiries.insert((expires, order.key), ())?;
        }
        self.spaces.insert(order.namespace, (entries, octets))?;
        Ok(Ok(()))
    }

    fn forget(&mut self, namespace: &[u8], key: &[u8], stored: &Current) -> Result<(), StorageError> {
        let Some((_, value)) = stored else { return Ok(()) };
        self.forget_expiry(key, stored)?;
        self.entries.remove(key)?;
        let (entries, octets) = self.held(namespace)?;
        let cost = ENTRY_OCTETS + (key.len() - namespace.len() + value.len()) as u64;
        match entries.saturating_sub(1) {
            0 => drop(self.spaces.remove(namespace)?),
            entries => drop(self.spaces.insert(namespace, (entries, octets.saturating_sub(cost)))?),
        }
        Ok(())
    }

    fn forget_expiry(&mut self, key: &[u8], stored: &Current) -> Result<(), StorageError> {
        if let Some((expires, _)) = stored.as_ref().filter(|(expires, _)| *expires != 0) {
            self.expiries.remove((*expires, key))?;
        }
        Ok(())
    }

    fn held(&self, namespace: &[u8]) -> Result<(u64, u64), StorageError> {
        Ok(self.spaces.get(namespace)?.map_or((0, 0), |held| held.value()))
    }

    /// Forgets what has expired, a bounded number at once.
    pub(super) fn sweep(&mut self, now: u64) -> Result<(), StorageError> {
        let end: (u64, &[u8]) = (now + 1, &[]);
        let mut expired = Vec::new();
        for entry in self.expiries.range::<(u64, &[u8])>(..end)?.take(SWEPT_MAX) {
            let (key, ()) = entry.map(|(key, value)| (key.value().1.to_vec(), value.value()))?;
            expired.push(key);
        }
        for key in &expired {
            let stored = self.stored(key)?;
            let namespace = namespace_of(key);
            self.forget(namespace, key, &stored)?;
        }
        Ok(())
    }
}

/// The space's own part of a key.
fn namespace_of(key: &[u8]) -> &[u8] {
    let name = |at: usize| {
        let len = key.get(at..at + 2).and_then(|len| len.try_into().ok()).map_or(0, u16::from_be_bytes);
        at + 2 + usize::from(len)
    };
    &key[..name(name(0)).min(key.len())]
}

/// What is to lie there afterwards.
enum Keep {
    AsItIs,
    Nothing,
    Value(Vec<u8>),
}

/// What a change makes of what is there, and when that expires.
fn decide(order: &Order<'_>, current: Option<&(u64, Vec<u8>)>) -> Result<(Keep, Changed, u64), Failure> {
    let is_there = current.is_some();
    Ok(match order.change {
        Change::Set { value } => (Keep::Value(value.clone()), Changed::Done(true), order.expires),
        Change::Delete => (Keep::Nothing, Changed::Done(is_there), 0),
        Change::Increment { by } => {
            let number = current.map_or(Ok(0), |(_, value)| number(value))?;
            let sum = number.checked_add(*by);
            let sum = sum.ok_or_else(|| Failure::Invalid(format!("{number} and {by} make no 64-bit number")))?;
            let expires = current.map_or(order.expires, |(expires, _)| *expires);
            (Keep::Value(sum.to_string().into_bytes()), Changed::Sum(sum), expires)
        }
        Change::CompareAndSet { expected, value } => {
            if current.map(|(_, value)| value) != expected.as_ref() {
                return Ok((Keep::AsItIs, Changed::Done(false), 0));
            }
            let value = value.clone().map_or(Keep::Nothing, Keep::Value);
            (value, Changed::Done(true), order.expires)
        }
    })
}

fn number(value: &[u8]) -> Result<i64, Failure> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::Invalid("the value is no number".to_owned()))
}
