//! What may be done to the registry.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    Binding, BindingName, DomainName, Module, ModuleHash, Quotas, Rollout, Scope, SecretName, TenantName, TokenId,
    Version,
};

/// Who makes a change, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// A token's id, or the operator's command line.
    pub who: String,
    /// From which address.
    pub from: Option<IpAddr>,
    /// Milliseconds since 1970 (UTC).
    pub at: u64,
}

/// A change, which is made whole or not at all, and durable when it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// A new tenant, without domains and modules.
    AddTenant {
        /// Its name.
        tenant: TenantName,
        /// What people call it.
        title: String,
        /// What it may use.
        quotas: Quotas,
        /// What its bindings may be granted at most.
        grants: Vec<String>,
    },
    /// Other facts of a tenant; what is none stays.
    AlterTenant {
        /// Its name.
        tenant: TenantName,
        /// What people call it.
        title: Option<String>,
        /// Whether its mail is deferred.
        suspended: Option<bool>,
        /// What it may use.
        quotas: Option<Quotas>,
        /// What its bindings may be granted at most.
        grants: Option<Vec<String>>,
        /// Keys of which one must have signed each module.
        signers: Option<Vec<String>>,
    },
    /// The tenant goes, with all that it owns, its tokens too.
    RemoveTenant {
        /// Its name.
        tenant: TenantName,
    },
    /// A domain becomes a tenant's.
    AddDomain {
        /// The tenant.
        tenant: TenantName,
        /// The domain.
        domain: DomainName,
    },
    /// A domain is a tenant's no longer.
    RemoveDomain {
        /// The tenant.
        tenant: TenantName,
        /// The domain.
        domain: DomainName,
    },
    /// A module that was examined and whose octets are in their place. The same one again is no mistake.
    AddModule {
        /// The module.
        module: Module,
    },
    /// A module that no binding needs.
    RemoveModule {
        /// The tenant.
        tenant: TenantName,
        /// The module.
        module: ModuleHash,
    },
    /// A new binding.
    AddBinding {
        /// The binding.
        binding: Binding,
    },
    /// Another place in the chain, another rule; what is none stays.
    AlterBinding {
        /// The tenant.
        tenant: TenantName,
        /// The binding.
        binding: BindingName,
        /// Whether it is asked.
        enabled: Option<bool>,
        /// Who is asked earlier.
        priority: Option<i8>,
        /// What becomes of faults.
        on_fault: Option<crate::FaultRule>,
    },
    /// Another version runs; that which ran is kept to go back to. A rollout ends.
    Activate {
        /// The tenant.
        tenant: TenantName,
        /// The binding.
        binding: BindingName,
        /// The version.
        version: Version,
    },
    /// The version before the active one runs again; the active one is forgotten.
    RollBack {
        /// The tenant.
        tenant: TenantName,
        /// The binding.
        binding: BindingName,
    },
    /// A version is tried, or none any more.
    RollOut {
        /// The tenant.
        tenant: TenantName,
        /// The binding.
        binding: BindingName,
        /// How.
        rollout: Option<Rollout>,
    },
    /// A binding goes.
    RemoveBinding {
        /// The tenant.
        tenant: TenantName,
        /// The binding.
        binding: BindingName,
    },
    /// A secret gets a value, which nobody reads again but plugins' host calls.
    SetSecret {
        /// The tenant.
        tenant: TenantName,
        /// The secret.
        secret: SecretName,
        /// 16 to 4,096 octets. Never in the audit log.
        #[serde(skip)]
        value: Vec<u8>,
    },
    /// A secret goes.
    RemoveSecret {
        /// The tenant.
        tenant: TenantName,
        /// The secret.
        secret: SecretName,
    },
    /// A token that was made, by [`crate::NewToken`].
    AddToken {
        /// Its public part.
        token: TokenId,
        /// What it is for.
        label: String,
        /// What it allows.
        scope: Scope,
        /// Until when.
        expires: Option<u64>,
        /// SHA-256 of what its bearer shows.
        #[serde(skip)]
        hash: [u8; 32],
    },
    /// A token is good no longer.
    RevokeToken {
        /// Its public part.
        token: TokenId,
    },
}

/// Kinds of things, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A tenant.
    Tenant,
    /// A domain.
    Domain,
    /// A module.
    Module,
    /// A binding.
    Binding,
    /// A secret.
    Secret,
    /// A token.
    Token,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("there is no {0} `{1}`")]
    NotThere(&'static str, String),
    /// There is one already, perhaps somebody else's.
    #[error("the {0} `{1}` is there already")]
    Taken(&'static str, String),
    /// Something needs it.
    #[error("the {0} `{1}` is needed by {2}")]
    InUse(&'static str, String, String),
    /// It would be more than the tenant may have.
    #[error("the tenant may have {most} {what} at most")]
    OverQuota {
        /// Of what.
        what: &'static str,
        /// How many, or octets.
        most: u64,
    },
    /// A value that can't be.
    #[error("{0}")]
    Invalid(String),
}

impl Change {
    /// Whose things it changes; none for those of nobody.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantName> {
        match self {
            Self::AddTenant { tenant, .. }
            | Self::AlterTenant { tenant, .. }
            | Self::RemoveTenant { tenant }
            | Self::AddDomain { tenant, .. }
            | Self::RemoveDomain { tenant, .. }
            | Self::RemoveModule { tenant, .. }
            | Self::AlterBinding { tenant, .. }
            | Self::Activate { tenant, .. }
            | Self::RollBack { tenant, .. }
            | Self::RollOut { tenant, .. }
            | Self::RemoveBinding { tenant, .. }
            | Self::SetSecret { tenant, .. }
            | Self::RemoveSecret { tenant, .. } => Some(tenant),
            Self::AddModule { module } => Some(&module.tenant),
            Self::AddBinding { binding } => Some(&binding.tenant),
            Self::AddToken { scope, .. } => scope.tenant(),
            Self::RevokeToken { .. } => None,
        }
    }

    /// The name in the audit log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddTenant { .. } => "tenant.add",
            Self::AlterTenant { .. } => "tenant.alter",
            Self::RemoveTenant { .. } => "tenant.remove",
            Self::AddDomain { .. } => "domain.add",
            Self::RemoveDomain { .. } => "domain.remove",
            Self::AddModule { .. } => "module.add",
            Self::RemoveModule { .. } => "module.remove",
            Self::AddBinding { .. } => "binding.add",
            Self::AlterBinding { .. } => "binding.alter",
            Self::Activate { .. } => "binding.activate",
            Self::RollBack { .. } => "binding.roll-back",
            Self::RollOut { .. } => "binding.roll-out",
            Self::RemoveBinding { .. } => "binding.remove",
            Self::SetSecret { .. } => "secret.set",
            Self::RemoveSecret { .. } => "secret.remove",
            Self::AddToken { .. } => "token.add",
            Self::RevokeToken { .. } => "token.revoke",
        }
    }
}
