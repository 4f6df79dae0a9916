//! Who is served: tenants, their domains, modules, bindings, secrets, quotas and tokens, in a registry.
//!
//! A [`Registry`] takes [`Change`]s, each of them whole or not at all and together with its line in the audit log, and
//! answers questions. Nothing here knows a socket or a clock: the time comes with the [`Author`].

mod change;
mod directory;
mod embedded;
mod model;
mod modules;
mod name;
mod quotas;
mod registry;
mod token;
mod usage;

pub use change::{Author, Change, Refusal, What};
pub use directory::Directory;
pub use embedded::{Embedded, OpenError};
pub use model::{
    Audited, Binding, Domain, FaultRule, Metadata, Module, Rollout, Scope, Secret, Tenant, Token, Version,
};
pub use modules::{Draft, Modules, StoreError};
pub use name::{BadName, BindingName, DomainName, ModuleHash, SecretName, TenantName, TokenId};
pub use quotas::Quotas;
pub use registry::{BoxFuture, Failure, Page, Registry, Roster};
pub use token::{NewToken, token_id};
pub use usage::{Over, Running, Usage, Used};
