//! Whose mail it is, and what its owner is asked.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use wasmail_mail::Connection;

use crate::{BoxFuture, Chain, Step};

/// What is held as long as a transaction is one of a tenant's: dropped, it makes room for another.
pub type Pass = Arc<dyn Any + Send + Sync>;

/// Who knows the tenants of this server.
pub trait Tenancy: Send + Sync {
    /// Whose mail a domain's is; none if it is the operator's own business. Asked at each recipient, so it may not wait.
    fn owner(&self, domain: &str) -> Option<Arc<str>>;

    /// Whose client this is, by what it has shown: everything that it sends is this tenant's. Asked at each MAIL.
    fn owner_of_client(&self, connection: &Connection) -> Option<Arc<str>> {
        let _ = connection;
        None
    }

    /// A tenant as it is now. A connection keeps what it was given to its end, whatever is uploaded meanwhile.
    ///
    /// # Errors
    /// Why its mail cannot be taken now.
    fn enter<'a>(&'a self, tenant: &'a Arc<str>) -> BoxFuture<'a, Result<Arc<Tenant>, Held>>;
}

/// A tenant in force: of one moment.
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// Whom it has asked: with [`Chain::of_tenant`], or its plugins could act on others' mail.
    pub chain: Chain,
    /// What it may still use.
    pub meter: Box<dyn Meter>,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a tenant may still use. Who is over it is deferred, alone.
pub trait Meter: Send + Sync {
    /// A transaction becomes the tenant's, on a connection that is new to it or is not.
    ///
    /// # Errors
    /// When that is more than it may have.
    fn begin(&self, new_connection: bool) -> Result<Pass, Held>;

    /// A message is to be taken.
    ///
    /// # Errors
    /// When that is more than it may have.
    fn message(&self) -> Result<(), Held>;

    /// A plugin of the tenant's has been asked.
    fn asked(&self, step: &Step);
}

/// For whom nothing is counted.
pub struct Unmetered;

impl Meter for Unmetered {
    fn begin(&self, _: bool) -> Result<Pass, Held> {
        Ok(Arc::new(()))
    }

    fn message(&self) -> Result<(), Held> {
        Ok(())
    }

    fn asked(&self, _: &Step) {}
}

/// Why the mail of a tenant is deferred by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The transaction is another's: this recipient comes back in one of its own.
    OtherTenant,
    /// The operator has suspended the tenant.
    Suspended,
    /// It has used what it may.
    OverQuota,
    /// Its plugins cannot be had now.
    OutOfOrder,
}

impl Held {
    /// The name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherTenant => "other-tenant",
            Self::Suspended => "suspended",
            Self::OverQuota => "over-quota",
            Self::OutOfOrder => "out-of-order",
        }
    }
}
