//! Tables, and what is written into them: JSON by name. Things of a tenant's stand under `tenant/name`, which no other name is the
//! beginning of, since names have no slash.

use redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::registry::Failure;
use crate::{TenantName, Token};

/// The format that this program writes.
pub(super) const FORMAT: u32 = 1;

type Named = TableDefinition<'static, &'static str, &'static [u8]>;

pub(super) const META: Named = TableDefinition::new("meta");
pub(super) const TENANTS: Named = TableDefinition::new("tenants");
pub(super) const DOMAINS: Named = TableDefinition::new("domains");
/// `tenant/domain`, for a tenant's own list.
pub(super) const DOMAINS_OF: Named = TableDefinition::new("domains-of");
pub(super) const MODULES: Named = TableDefinition::new("modules");
pub(super) const BINDINGS: Named = TableDefinition::new("bindings");
pub(super) const SECRETS: Named = TableDefinition::new("secrets");
pub(super) const TOKENS: Named = TableDefinition::new("tokens");
pub(super) const AUDIT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("audit");

const ALL: [Named; 8] = [META, TENANTS, DOMAINS, DOMAINS_OF, MODULES, BINDINGS, SECRETS, TOKENS];

/// What is kept of a token.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptToken {
    pub(super) token: Token,
    /// SHA-256 of what its bearer shows.
    pub(super) hash: [u8; 32],
}

/// What is kept of a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptSecret {
    pub(super) changed: u64,
    pub(super) value: Vec<u8>,
}

/// Makes the tables that are missing, so that readers find them, and says which format the file has.
pub(super) fn prepare(database: &Database) -> Result<u32, redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        for table in ALL {
            transaction.open_table(table)?;
        }
        transaction.open_table(AUDIT)?;
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.and_then(|format| serde_json::from_slice(format.value()).ok());
        if found.is_none() {
            meta.insert("format", FORMAT.to_string().as_bytes())?;
        }
        found.unwrap_or(FORMAT)
    };
    transaction.commit()?;
    Ok(found)
}

/// Any error of redb's: the registry itself fails.
pub(super) fn broken(error: impl Into<redb::Error>) -> Failure {
    Failure::Broken(error.into().to_string())
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::Broken(format!("what was written cannot be read: {error}"))
}

pub(super) fn read<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(octets).map_err(|error| unreadable(&error))
}

/// The key of what is a tenant's own.
pub(super) fn own(tenant: &TenantName, name: impl std::fmt::Display) -> String {
    format!("{tenant}/{name}")
}

/// The keys of all that is a tenant's own: `0` is what follows `/` in ASCII.
fn all_own(tenant: &TenantName) -> (String, String) {
    (format!("{tenant}/"), format!("{tenant}0"))
}

/// One moment of the registry.
pub(super) struct Reading(pub(super) ReadTransaction);

/// A change that is being made.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a WriteTransaction,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    /// The names of grants that tenants can have.
    pub(super) grants: &'a [&'static str],
}

/// What both can do.
pub(super) trait Tables {
    fn on<T>(&self, table: Named, read: impl FnOnce(&dyn ReadableTable2) -> Result<T, Failure>) -> Result<T, Failure>;

    /// One thing.
    fn find<T: DeserializeOwned>(&self, table: Named, key: &str) -> Result<Option<T>, Failure> {
        self.on(table, |table| table.one(key)?.map(|octets| super::table::read(&octets)).transpose())
    }

    /// All that is a tenant's own, with the part of the key behind the slash.
    fn all_of<T: DeserializeOwned>(&self, table: Named, tenant: &TenantName) -> Result<Vec<(String, T)>, Failure> {
        let (from, to) = all_own(tenant);
        let found = self.on(table, |table| table.some(&from, &to, usize::MAX))?;
        found
            .into_iter()
            .map(|(key, octets)| Ok((key[from.len()..].to_owned(), super::table::read(&octets)?)))
            .collect()
    }

    /// How much is a tenant's own.
    fn count_of(&self, table: Named, tenant: &TenantName) -> Result<usize, Failure> {
        let (from, to) = all_own(tenant);
        self.on(table, |table| Ok(table.some(&from, &to, usize::MAX)?.len()))
    }
}

type Entry = (String, Vec<u8>);

/// A table as far as both kinds of transactions can read it.
pub(super) trait ReadableTable2 {
    fn one(&self, key: &str) -> Result<Option<Vec<u8>>, Failure>;
    fn some(&self, from: &str, to: &str, limit: usize) -> Result<Vec<Entry>, Failure>;
    fn len(&self) -> Result<u64, Failure>;
}

impl<R: ReadableTable<&'static str, &'static [u8]> + ReadableTableMetadata> ReadableTable2 for R {
    fn one(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.get(key).map_err(broken)?.map(|octets| octets.value().to_vec()))
    }

    fn some(&self, from: &str, to: &str, limit: usize) -> Result<Vec<Entry>, Failure> {
        let range = self.range::<&str>(from..to).map_err(broken)?;
        let entry = |entry: Result<(redb::AccessGuard<'_, &'static str>, redb::AccessGuard<'_, &'static [u8]>), _>| {
            entry
                .map(|(key, octets)| (key.value().to_owned(), octets.value().to_vec()))
                .map_err(|error: redb::StorageError| broken(error))
        };
        range.take(limit).map(entry).collect()
    }

    fn len(&self) -> Result<u64, Failure> {
        ReadableTableMetadata::len(self).map_err(broken)
    }
}

impl Tables for Reading {
    fn on<T>(&self, table: Named, read: impl FnOnce(&dyn ReadableTable2) -> Result<T, Failure>) -> Result<T, Failure> {
        read(&self.0.open_table(table).map_err(broken)?)
    }
}

impl Tables for Writing<'_> {
    fn on<T>(&self, table: Named, read: impl FnOnce(&dyn ReadableTable2) -> Result<T, Failure>) -> Result<T, Failure> {
        read(&self.transaction.open_table(table).map_err(broken)?)
    }
}

impl Writing<'_> {
    pub(super) fn put(&self, table: Named, key: &str, value: &impl Serialize) -> Result<(), Failure> {
        let octets = serde_json::to_vec(value).map_err(|error| unreadable(&error))?;
        let mut table = self.transaction.open_table(table).map_err(broken)?;
        table.insert(key, octets.as_slice()).map_err(broken)?;
        Ok(())
    }

    /// Whether it was there.
    pub(super) fn remove(&self, table: Named, key: &str) -> Result<bool, Failure> {
        let mut table = self.transaction.open_table(table).map_err(broken)?;
        let removed = table.remove(key).map_err(broken)?;
        Ok(removed.is_some())
    }

    pub(super) fn remove_all_of(&self, table: Named, tenant: &TenantName) -> Result<(), Failure> {
        let (from, to) = all_own(tenant);
        let mut table = self.transaction.open_table(table).map_err(broken)?;
        table.retain_in::<&str, _>(from.as_str()..to.as_str(), |_, _| false).map_err(broken)
    }
}
