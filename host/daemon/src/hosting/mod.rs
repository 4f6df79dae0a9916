//! Tenants in force: whose mail it is, and the chain that judges it, made of what the registry knows.
//!
//! A tenant's chain is put together when its first mail comes, and put down again when none has come for a while: of a thousand
//! tenants few are awake. A change is in force for new connections when it is answered; running ones keep what they have.

mod breaker;
mod house;
mod trial;
mod watch;
mod works;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use wasmail_mail::Connection;
use wasmail_policy::{BoxFuture, Grant, Held, Tenancy, Tenant};
use wasmail_tenants::{
    Author, Change, Directory, Domain, Embedded, Failure, ModuleHash, Modules, NewToken, OpenError, Registry, Scope,
    StoreError, TenantName,
};
use wasmail_wasm::{Component, LoadError};

use self::house::House;
use self::watch::{Jump, Kind};

pub(crate) use self::house::Workshop;
pub(crate) use self::works::Working;

/// What tenants' plugins may be granted. The others act on the whole server, or on the operator's services.
pub(crate) const GRANTS: [Grant; 8] = [
    Grant::AcceptRecipients,
    Grant::EditRecipients,
    Grant::Quarantine,
    Grant::Dns,
    Grant::Kv,
    Grant::Geo,
    Grant::Secret,
    Grant::MailAuth,
];

/// How long a tenant without mail keeps its instances.
const ASLEEP_AFTER: Duration = Duration::from_secs(600);
/// How often we look for such.
const ROUND: Duration = Duration::from_secs(60);
/// Versions that misbehave and wait to be taken back.
const JUMPS: usize = 64;

/// Why tenants cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostingError {
    /// The directory cannot be made.
    #[error("{path}: {source}")]
    Dir { path: PathBuf, source: std::io::Error },
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] OpenError),
    /// The place of modules cannot be opened.
    #[error(transparent)]
    Modules(#[from] StoreError),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Failure),
}

/// All tenants of a server.
pub(crate) struct Hosting {
    registry: Embedded,
    modules: Arc<Modules>,
    directory: Arc<Directory>,
    workshop: Workshop,
    /// Compiled modules, by their hash: once for all tenants.
    components: Mutex<HashMap<ModuleHash, Component>>,
    houses: Mutex<HashMap<Arc<str>, Arc<House>>>,
    jumps: mpsc::Sender<Jump>,
}

impl Hosting {
    /// Opens the registry in this directory, or makes one, and reads whose the domains are.
    ///
    /// # Errors
    /// When something there cannot be used.
    pub(crate) async fn open(dir: PathBuf, workshop: Workshop) -> Result<Arc<Self>, HostingError> {
        let made = std::fs::create_dir_all(&dir);
        made.map_err(|source| HostingError::Dir { path: dir.clone(), source })?;
        let registry = Embedded::open(&dir, &GRANTS.map(Grant::name))?;
        let modules = Arc::new(Modules::open(&dir.join("modules"))?);
        let domains: Vec<Domain> = registry.all_domains().await?;
        let (jumps, waiting) = mpsc::channel(JUMPS);
        let hosting = Arc::new(Self {
            registry,
            modules,
            directory: Arc::new(Directory::new(&domains)),
            workshop,
            components: Mutex::default(),
            houses: Mutex::default(),
            jumps,
        });
        hosting.sweep_modules().await?;
        tokio::spawn(put_to_sleep(Arc::downgrade(&hosting)));
        tokio::spawn(watch::take_back(Arc::downgrade(&hosting), waiting));
        Ok(hosting)
    }

    pub(crate) fn registry(&self) -> Embedded {
        self.registry.clone()
    }

    pub(crate) fn modules(&self) -> Arc<Modules> {
        Arc::clone(&self.modules)
    }

    /// A token for the operator, if there is none at all yet.
    ///
    /// # Errors
    /// When the registry fails.
    pub(crate) async fn first_token(&self) -> Result<Option<String>, Failure> {
        if !self.registry.tokens(None).await?.is_empty() {
            return Ok(None);
        }
        let scope = Scope::Operator { read_only: false };
        let Some(made) = NewToken::make("made at the first start", scope, None) else { return Ok(None) };
        self.registry.change(&by_itself(), made.change).await?;
        Ok(Some(made.secret))
    }

    /// What no tenant has any more goes from the disk: nobody is uploading yet.
    async fn sweep_modules(&self) -> Result<(), HostingError> {
        let mut used = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.registry.tenants(after.as_deref(), 200).await?;
            for tenant in &page.items {
                used.extend(self.registry.modules(&tenant.name).await?.into_iter().map(|module| module.hash));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let removed = self.modules.sweep(|hash| used.contains(hash))?;
        if removed > 0 {
            tracing::info!(removed, "modules that no tenant has any more were removed");
        }
        Ok(())
    }

    fn house(&self, name: &Arc<str>) -> Arc<House> {
        let mut houses = self.houses.lock();
        let house = houses.entry(Arc::clone(name)).or_insert_with(|| Arc::new(House::new(Arc::clone(name))));
        Arc::clone(house)
    }

    /// A compiled module.
    async fn component(&self, hash: &ModuleHash) -> Result<Component, ComponentError> {
        if let Some(component) = self.components.lock().get(hash) {
            return Ok(component.clone());
        }
        let octets = self.modules.get(hash)?;
        let component = self.workshop.engine.load(&octets, self.workshop.cache.as_ref()).await?;
        self.components.lock().insert(hash.clone(), component.clone());
        Ok(component)
    }

    /// Makes a change that nobody asked for, and takes it in.
    async fn change_by_itself(&self, change: Change) -> Result<(), Failure> {
        self.registry.change(&by_itself(), change.clone()).await?;
        self.take_in(&change).await;
        Ok(())
    }

    /// Has new connections get what a change, which is durable, has made.
    async fn take_in(&self, change: &Change) {
        self.directory.apply(change);
        let Some(name) = change.tenant() else { return };
        let name: Arc<str> = name.as_str().into();
        match change {
            Change::RemoveTenant { .. } => drop(self.houses.lock().remove(&name)),
            Change::AddTenant { .. } | Change::AddModule { .. } | Change::RemoveModule { .. } => {}
            Change::AddDomain { .. } | Change::RemoveDomain { .. } | Change::AddToken { .. } => {}
            _ => self.house(&name).furnish_anew(self).await,
        }
    }
}

impl Tenancy for Hosting {
    fn owner(&self, domain: &str) -> Option<Arc<str>> {
        self.directory.owner(domain)
    }

    /// Who has authenticated as somebody of a tenant's domain is that tenant's.
    fn owner_of_client(&self, connection: &Connection) -> Option<Arc<str>> {
        let (_, domain) = connection.auth.as_ref()?.identity.rsplit_once('@')?;
        self.directory.owner(domain)
    }

    fn enter<'a>(&'a self, tenant: &'a Arc<str>) -> BoxFuture<'a, Result<Arc<Tenant>, Held>> {
        Box::pin(async move { self.house(tenant).enter(self).await })
    }
}

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
enum ComponentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The server itself, for the audit log.
fn by_itself() -> Author {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Author { who: "server".to_owned(), from: None, at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
}

/// Takes chains down that nobody has entered for a while, and modules out of memory that nobody runs.
async fn put_to_sleep(hosting: std::sync::Weak<Hosting>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(hosting) = hosting.upgrade() else { return };
        let houses: Vec<_> = hosting.houses.lock().values().cloned().collect();
        let mut used = HashSet::new();
        for house in houses {
            used.extend(house.sleep_after(ASLEEP_AFTER));
        }
        hosting.components.lock().retain(|hash, _| used.contains(hash));
    }
}

/// The change that takes a version back.
fn taking_back(tenant: TenantName, jump: &Jump) -> Option<Change> {
    let binding = jump.binding.parse().ok()?;
    Some(match jump.kind {
        Kind::Active => Change::RollBack { tenant, binding },
        Kind::Candidate => Change::RollOut { tenant, binding, rollout: None },
    })
}
