//! What one binding may look up.

use std::net::IpAddr;
use std::sync::Arc;

use super::databases::Databases;
use super::place::Place;
use crate::Failure;

/// What one binding may look up. There is no deadline, since nothing is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Addresses in one hook call.
    pub lookups: u32,
}

impl Default for Quota {
    fn default() -> Self {
        // The client, and the servers that a message has passed.
        Self { lookups: 100 }
    }
}

/// A binding's way to the databases.
#[derive(Debug, Clone)]
pub struct Client {
    databases: Option<Arc<Databases>>,
    quota: Quota,
}

impl Client {
    /// A way with a quota of its own. Without databases every answer is that there is none.
    #[must_use]
    pub const fn new(databases: Option<Arc<Databases>>, quota: Quota) -> Self {
        Self { databases, quota }
    }

    /// What is known of an address; nothing when no database has it. `used` counts those of the hook call.
    ///
    /// # Errors
    /// When the quota is used up, it is no address, there is no database, or one is damaged.
    pub fn lookup(&self, used: &mut u32, address: &str) -> Result<Option<Place>, Failure> {
        if *used >= self.quota.lookups {
            return Err(Failure::QuotaExceeded("geo.lookups"));
        }
        *used += 1;
        let ip: Result<IpAddr, _> = address.parse();
        let ip = ip.map_err(|_| Failure::Invalid(format!("`{}` is no address", address.escape_default())))?;
        let none = || Failure::Unavailable("there is no database: geo.databases names none".to_owned());
        // One in the clothes of IPv6 is what it is.
        self.databases.as_ref().ok_or_else(none)?.lookup(ip.to_canonical())
    }
}
