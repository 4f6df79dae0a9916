//! The registry in one file, by redb: a server of its own needs nothing else.
//!
//! Each change is one transaction that is synced before it is answered: it checks, applies, raises the tenant's revision and
//! writes its line of the audit log. See DESIGN.md.

mod bindings;
mod changes;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::{Database, DatabaseError, ReadableDatabase};

use self::table::{FORMAT, Reading, Writing, broken};
use crate::registry::{BoxFuture, Failure, Page, Registry, Roster};
use crate::{
    Audited, Author, Binding, BindingName, Change, Domain, Module, ModuleHash, Secret, Tenant, TenantName, Token,
    TokenId,
};

/// The file's name in its directory.
const FILE: &str = "registry.redb";
/// Octets of the file that are kept in memory. What mail needs is in memory anyway.
const CACHE: usize = 16 << 20;

/// Why a registry cannot be opened. Nothing is ever deleted because of it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be used, or is damaged.
    #[error("failed to open {path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// It was written by a later version.
    #[error("{path} has the format {found}, which a later version of wasmail wrote; this one knows {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// The registry in one file. Clones share it.
#[derive(Clone)]
pub struct Embedded(Arc<Place>);

struct Place {
    opening: Opening,
    /// None after an error: redb refuses to go on until the file has been opened anew, which leads back to what was last synced.
    database: RwLock<Option<Arc<Database>>>,
    /// The names of grants that tenants can have.
    grants: Vec<&'static str>,
}

type Opening = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

impl Embedded {
    /// Opens the file in this directory, or makes it; `grants` are the names of those that tenants can have. After a crash it is as it was when the last change was answered.
    ///
    /// # Errors
    /// When it cannot be used, is damaged, or newer than this program.
    pub fn open(dir: &Path, grants: &[&'static str]) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let made = if path.exists() { Ok(()) } else { make_file(dir, &path) };
        made.map_err(|source| OpenError::Unusable { path: path.clone(), source: Box::new(source) })?;
        let (file, unusable) =
            (path.clone(), |source| OpenError::Unusable { path: path.clone(), source: Box::new(source) });
        let opening = move || Database::builder().set_cache_size(CACHE).create(&file);
        match Self::on(Box::new(opening), grants).map_err(unusable)? {
            Ok(registry) => Ok(registry),
            Err(found) => Err(OpenError::Newer { path, found }),
        }
    }

    /// The format of the file, if it is newer than this program.
    fn on(opening: Opening, grants: &[&'static str]) -> Result<Result<Self, u32>, redb::Error> {
        let database = opening()?;
        let found = table::prepare(&database)?;
        if found > FORMAT {
            return Ok(Err(found));
        }
        let database = RwLock::new(Some(Arc::new(database)));
        Ok(Ok(Self(Arc::new(Place { opening, database, grants: grants.to_vec() }))))
    }

    /// The file, opened anew where it was lost.
    fn database(&self) -> Result<Arc<Database>, Failure> {
        if let Some(database) = &*self.0.database.read() {
            return Ok(Arc::clone(database));
        }
        let mut place = self.0.database.write();
        if let Some(database) = &*place {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new((self.0.opening)().map_err(broken)?);
        *place = Some(Arc::clone(&database));
        Ok(database)
    }

    /// Makes a change now, on this thread: it waits for the disk.
    ///
    /// # Errors
    /// When it is refused, or cannot be made durable; nothing is changed then.
    pub fn change_now(&self, author: &Author, change: &Change) -> Result<u64, Failure> {
        let made = self.make(author, change);
        if let Err(Failure::Broken(why)) = &made {
            tracing::error!(%why, "the registry of tenants fails");
            *self.0.database.write() = None;
        }
        made
    }

    fn make(&self, author: &Author, change: &Change) -> Result<u64, Failure> {
        let database = self.database()?;
        let transaction = database.begin_write().map_err(broken)?;
        let writing = Writing { transaction: &transaction, at: author.at, grants: &self.0.grants };
        let number = changes::make(&writing, author, change)?;
        transaction.commit().map_err(broken)?;
        Ok(number)
    }

    fn read<T>(&self, read: impl FnOnce(&Reading) -> Result<T, Failure>) -> Result<T, Failure> {
        read(&Reading(self.database()?.begin_read().map_err(broken)?))
    }

    fn ask<'a, T: Send + 'static>(
        &'a self,
        read: impl FnOnce(&Reading) -> Result<T, Failure> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, Failure>> {
        let own = self.clone();
        Box::pin(async move { aside(move || own.read(read)).await })
    }
}

/// Makes an empty registry. It gets its name when it is whole: what a crash leaves before is no registry, and no damaged one.
fn make_file(dir: &Path, path: &Path) -> Result<(), redb::Error> {
    let draft = dir.join(format!("{FILE}.new"));
    let gone = std::fs::remove_file(&draft);
    gone.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    table::prepare(&Database::create(&draft)?)?;
    std::fs::rename(&draft, path)?;
    Ok(File::open(dir)?.sync_all()?)
}

/// Does what waits for a disk beside the threads that serve sockets.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::Broken(error.to_string())))
}

impl Registry for Embedded {
    fn change<'a>(&'a self, author: &'a Author, change: Change) -> BoxFuture<'a, Result<u64, Failure>> {
        let (own, author) = (self.clone(), author.clone());
        Box::pin(aside(move || own.change_now(&author, &change)))
    }

    fn tenants<'a>(&'a self, after: Option<&'a str>, limit: usize) -> BoxFuture<'a, Result<Page<Tenant>, Failure>> {
        let after = after.map(str::to_owned);
        self.ask(move |reading| reading.tenants(after.as_deref(), limit))
    }

    fn tenant<'a>(&'a self, name: &'a TenantName) -> BoxFuture<'a, Result<Tenant, Failure>> {
        let name = name.clone();
        self.ask(move |reading| reading.tenant(&name))
    }

    fn roster<'a>(&'a self, name: &'a TenantName) -> BoxFuture<'a, Result<Roster, Failure>> {
        let name = name.clone();
        self.ask(move |reading| reading.roster(&name))
    }

    fn all_domains(&self) -> BoxFuture<'_, Result<Vec<Domain>, Failure>> {
        self.ask(Reading::all_domains)
    }

    fn domains<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Domain>, Failure>> {
        let tenant = tenant.clone();
        self.ask(move |reading| reading.domains(&tenant))
    }

    fn modules<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Module>, Failure>> {
        let tenant = tenant.clone();
        self.ask(move |reading| reading.modules(&tenant))
    }

    fn module<'a>(&'a self, tenant: &'a TenantName, hash: &'a ModuleHash) -> BoxFuture<'a, Result<Module, Failure>> {
        let (tenant, hash) = (tenant.clone(), hash.clone());
        self.ask(move |reading| reading.module(&tenant, &hash))
    }

    fn bindings<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Binding>, Failure>> {
        let tenant = tenant.clone();
        self.ask(move |reading| reading.bindings(&tenant))
    }

    fn binding<'a>(&'a self, tenant: &'a TenantName, name: &'a BindingName) -> BoxFuture<'a, Result<Binding, Failure>> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.ask(move |reading| reading.binding(&tenant, &name))
    }

    fn secrets<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Secret>, Failure>> {
        let tenant = tenant.clone();
        self.ask(move |reading| reading.secrets(&tenant))
    }

    fn tokens<'a>(&'a self, tenant: Option<&'a TenantName>) -> BoxFuture<'a, Result<Vec<Token>, Failure>> {
        let tenant = tenant.cloned();
        self.ask(move |reading| reading.tokens(tenant.as_ref()))
    }

    fn token<'a>(&'a self, id: &'a TokenId) -> BoxFuture<'a, Result<(Token, [u8; 32]), Failure>> {
        let id = id.clone();
        self.ask(move |reading| reading.token(&id))
    }

    fn audit<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page<Audited>, Failure>> {
        let tenant = tenant.cloned();
        self.ask(move |reading| reading.audit(tenant.as_ref(), before, limit))
    }
}
