//! What a running server offers to the API.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use wasmail_tenants::{BoxFuture, Change, Metadata, Tenant, TenantName, Version};

/// What was found out about a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// What it says of itself.
    pub metadata: Metadata,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Grants that it cannot work without.
    pub needs: Vec<String>,
}

/// Why a module is not taken, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unacceptable {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// What may be done with a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is delivered after all.
    Release,
    /// It is tried now.
    Retry,
    /// It waits until it is released.
    Hold,
    /// It is given up; its sender is told.
    Expire,
    /// It goes; nobody is told.
    Remove,
}

impl Order {
    /// The order of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "release" => Self::Release,
            "retry" => Self::Retry,
            "hold" => Self::Hold,
            "expire" => Self::Expire,
            "remove" => Self::Remove,
            _ => return None,
        })
    }
}

/// A running server, as the API needs it.
pub trait Works: Send + Sync {
    /// Checks a module, compiles it, has it describe itself, and tries it with sample connections.
    fn examine<'a>(&'a self, tenant: &'a Tenant, octets: Vec<u8>) -> BoxFuture<'a, Result<Examined, Unacceptable>>;

    /// Whether a plugin takes its configuration.
    fn try_version<'a>(
        &'a self,
        tenant: &'a TenantName,
        version: &'a Version,
    ) -> BoxFuture<'a, Result<(), Unacceptable>>;

    /// A change is durable; returns when new connections get it.
    fn changed<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, ()>;

    /// Messages that wait: of all, or of one tenant; at most `limit`, only held ones if that is wanted.
    fn messages<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        held: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>>;

    /// Does something with a message: of anybody's, or of one tenant's. False when there is none.
    fn order<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        id: &'a str,
        order: Order,
    ) -> BoxFuture<'a, Result<bool, String>>;

    /// Decisions about messages as they are made: objects with `uuid`, `tenant`, `verdict`, `reply`, `plugins` and others.
    fn decisions(&self) -> Receiver<Arc<Value>>;

    /// What is counted and measured, of all or of one tenant, in the text format of OpenMetrics.
    fn metrics(&self, tenant: Option<&TenantName>) -> String;

    /// What a tenant has used since the server's start.
    fn usage(&self, tenant: &TenantName) -> Value;

    /// What the shadow of a binding found; none if nothing stands there.
    fn comparison(&self, tenant: &TenantName, binding: &str) -> Option<Value>;
}
