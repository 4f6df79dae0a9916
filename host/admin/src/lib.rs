//! The HTTP API: tenants, their domains, modules, bindings, secrets, tokens and mail. See README.md.
//!
//! It stands on a [`Registry`], which remembers, and on [`Works`], the running server.

mod bindings;
mod body;
mod events;
mod guard;
mod modules;
mod openapi;
mod problem;
mod routes;
mod serve;
mod tenants;
mod tokens;
mod traffic;
mod works;

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmail_tenants::{Author, Change, Modules, Registry};

use guard::Guard;
use problem::Problem;

pub use serve::{Serving, serve};
pub use works::{Examined, Order, Unacceptable, Works};

/// Modules that are uploaded at the same time: each may have 16 MiB in memory when it is examined.
const UPLOADS: usize = 4;

/// The API of one server. Clones share it.
#[derive(Clone)]
pub struct Api(Shared);

pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    registry: Arc<dyn Registry>,
    modules: Arc<Modules>,
    works: Arc<dyn Works>,
    guard: Guard,
    uploads: Semaphore,
}

impl Api {
    /// An API on what remembers, where modules lie, and what runs.
    #[must_use]
    pub fn new(registry: Arc<dyn Registry>, modules: Arc<Modules>, works: Arc<dyn Works>) -> Self {
        let (guard, uploads) = (Guard::default(), Semaphore::new(UPLOADS));
        Self(Arc::new(Inner { registry, modules, works, guard, uploads }))
    }
}

impl Inner {
    /// Makes a change: it is durable, and new connections have it, when this returns.
    async fn make(&self, author: &Author, change: Change) -> Result<(), Problem> {
        self.registry.change(author, change.clone()).await?;
        self.works.changed(&change).await;
        Ok(())
    }
}
