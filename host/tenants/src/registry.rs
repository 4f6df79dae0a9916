//! Where it is kept.

use std::future::Future;
use std::pin::Pin;

use crate::{
    Audited, Author, Binding, BindingName, Change, Domain, DomainName, Module, ModuleHash, Refusal, Secret, SecretName,
    Tenant, TenantName, Token, TokenId,
};

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a question or a change has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It is asked for something that can't be; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The registry itself fails; nothing was changed.
    #[error("the registry fails: {0}")]
    Broken(String),
}

/// A part of a list, in the order of names.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// From where to go on; none at the end.
    pub next: Option<String>,
}

/// All that a tenant's mail needs: of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Roster {
    /// The tenant.
    pub tenant: Tenant,
    /// Its domains.
    pub domains: Vec<DomainName>,
    /// Its bindings, in the order in which they are asked.
    pub bindings: Vec<Binding>,
    /// Names and values of its secrets.
    pub secrets: Vec<(SecretName, Vec<u8>)>,
}

/// The registry of all tenants. One is embedded; a database that several servers share serves the same.
pub trait Registry: Send + Sync {
    /// Makes a change, with its line in the audit log, durable. The line's number.
    fn change<'a>(&'a self, author: &'a Author, change: Change) -> BoxFuture<'a, Result<u64, Failure>>;

    /// Tenants behind a name, at most `limit`.
    fn tenants<'a>(&'a self, after: Option<&'a str>, limit: usize) -> BoxFuture<'a, Result<Page<Tenant>, Failure>>;

    /// One tenant.
    fn tenant<'a>(&'a self, name: &'a TenantName) -> BoxFuture<'a, Result<Tenant, Failure>>;

    /// What its mail needs.
    fn roster<'a>(&'a self, name: &'a TenantName) -> BoxFuture<'a, Result<Roster, Failure>>;

    /// All domains, to find tenants by. Read once at the start; changes tell of theirs.
    fn all_domains(&self) -> BoxFuture<'_, Result<Vec<Domain>, Failure>>;

    /// A tenant's domains.
    fn domains<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Domain>, Failure>>;

    /// A tenant's modules, the newest first.
    fn modules<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Module>, Failure>>;

    /// One module.
    fn module<'a>(&'a self, tenant: &'a TenantName, hash: &'a ModuleHash) -> BoxFuture<'a, Result<Module, Failure>>;

    /// A tenant's bindings, in the order in which they are asked.
    fn bindings<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Binding>, Failure>>;

    /// One binding.
    fn binding<'a>(&'a self, tenant: &'a TenantName, name: &'a BindingName) -> BoxFuture<'a, Result<Binding, Failure>>;

    /// A tenant's secrets, without their values.
    fn secrets<'a>(&'a self, tenant: &'a TenantName) -> BoxFuture<'a, Result<Vec<Secret>, Failure>>;

    /// Tokens: all, or those of one tenant.
    fn tokens<'a>(&'a self, tenant: Option<&'a TenantName>) -> BoxFuture<'a, Result<Vec<Token>, Failure>>;

    /// A token and the SHA-256 of what its bearer shows.
    fn token<'a>(&'a self, id: &'a TokenId) -> BoxFuture<'a, Result<(Token, [u8; 32]), Failure>>;

    /// Lines of the audit log before a number, the newest first; of all or of one tenant.
    fn audit<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page<Audited>, Failure>>;
}
