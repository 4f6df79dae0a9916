//! What the registry knows. All times are milliseconds since 1970 (UTC).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{BindingName, DomainName, ModuleHash, Quotas, SecretName, TenantName, TokenId};

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// What people call it, at most 200 characters.
    pub title: String,
    /// Whether its mail is deferred until further notice.
    pub suspended: bool,
    /// What it may use.
    pub quotas: Quotas,
    /// What its bindings may be granted at most, by the names of grants.
    pub grants: Vec<String>,
    /// Keys (Ed25519, 32 octets in base64), one of which must have signed each module; none are needed when it is empty.
    pub signers: Vec<String>,
    /// When it was made.
    pub created: u64,
    /// Goes up with every change of the tenant or of what it owns.
    pub revision: u64,
}

/// A domain whose mail is a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Domain {
    /// The domain.
    pub name: DomainName,
    /// Whose it is.
    pub tenant: TenantName,
    /// When it was added.
    pub created: u64,
}

/// A module that a tenant has uploaded. Its octets lie elsewhere, by their hash, and once for all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Module {
    /// SHA-256 of the component.
    pub hash: ModuleHash,
    /// Whose it is.
    pub tenant: TenantName,
    /// Octets.
    pub size: u64,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Grants that it cannot work without.
    pub needs: Vec<String>,
    /// Which of the tenant's keys has signed it.
    pub signer: Option<String>,
    /// Who uploaded it: a token's id, or the operator's command line.
    pub uploader: String,
    /// When it was uploaded.
    pub created: u64,
}

/// What a module says of itself, by its manifest and by the component's own sections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Metadata {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Who wrote it.
    pub authors: Option<String>,
    /// Under which licence (SPDX).
    pub licence: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
}

/// A module in its place in a tenant's chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Binding {
    /// Its name.
    pub name: BindingName,
    /// Whose it is.
    pub tenant: TenantName,
    /// What runs.
    pub active: Version,
    /// What ran before, the newest first; at most 10.
    pub previous: Vec<Version>,
    /// What is being tried beside it.
    pub rollout: Option<Rollout>,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// −100 to 100: who is asked earlier. Those of the same priority are asked in the order of their names.
    pub priority: i8,
    /// What becomes of a question that it fails to answer.
    pub on_fault: FaultRule,
}

impl Binding {
    /// All modules that it needs: what runs, what it can go back to, what it tries.
    pub fn modules(&self) -> impl Iterator<Item = &ModuleHash> {
        let tried = self.rollout.as_ref().map(Rollout::candidate);
        std::iter::once(&self.active).chain(&self.previous).chain(tried).map(|version| &version.module)
    }
}

/// A module with its configuration: what is switched, and switched back, as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// The module.
    pub module: ModuleHash,
    /// Its configuration, at most 1 MiB as JSON.
    pub config: Map<String, Value>,
    /// What it may do beyond judging, by the names of grants.
    pub grants: Vec<String>,
    /// Since when it is this binding's.
    pub since: u64,
}

/// A version that is tried beside the active one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Rollout {
    /// It is asked, and what it says is compared and counted; nothing of it is applied.
    Shadow {
        /// The version.
        candidate: Version,
    },
    /// It is asked in place of the active one for a part of the senders, always the same ones.
    Share {
        /// The version.
        candidate: Version,
        /// 1 to 99.
        percent: u8,
    },
}

impl Rollout {
    /// The version that is tried.
    #[must_use]
    pub const fn candidate(&self) -> &Version {
        match self {
            Self::Shadow { candidate } | Self::Share { candidate, .. } => candidate,
        }
    }
}

/// What becomes of a question that a plugin fails to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultRule {
    /// The client comes back later.
    #[default]
    Defer,
    /// As if it had said `next`.
    Skip,
    /// The client is refused.
    Reject,
}

/// A tenant's secret. Whoever lists them sees names and times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// Whose it is.
    pub tenant: TenantName,
    /// When it was last set.
    pub changed: u64,
}

/// What a token lets its bearer do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Scope {
    /// Everything, or to read everything.
    Operator {
        /// Whether it may only read.
        read_only: bool,
    },
    /// One tenant's own things.
    Tenant {
        /// The tenant.
        tenant: TenantName,
        /// Whether it may only read.
        read_only: bool,
    },
}

/// A token, without what its bearer shows: of that only the SHA-256 is kept, which is enough for 256 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Its public part.
    pub id: TokenId,
    /// What it is for, at most 200 characters.
    pub label: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made.
    pub created: u64,
    /// Until when it is good; none for as long as it is not revoked.
    pub expires: Option<u64>,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Audited {
    /// Goes up by one with each line.
    pub number: u64,
    /// When.
    pub at: u64,
    /// Who: a token's id, or the operator's command line.
    pub who: String,
    /// From which address.
    pub from: Option<std::net::IpAddr>,
    /// What was done, such as `binding.activate`.
    pub what: String,
    /// To whose things.
    pub tenant: Option<TenantName>,
    /// The change as it was asked for, without secrets.
    pub change: Value,
}
