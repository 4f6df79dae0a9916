//! What each change does, and what it may not.

use std::collections::HashSet;

use serde_json::Value;

use super::table::{
    AUDIT, BINDINGS, DOMAINS, DOMAINS_OF, KeptSecret, KeptToken, MODULES, SECRETS, TENANTS, TOKENS, Tables, Writing,
    broken, own,
};
use crate::registry::Failure;
use crate::{Audited, Author, Change, Domain, DomainName, Module, Quotas, Refusal, Scope, Tenant, TenantName, Token};
use redb::ReadableTable;

/// Characters of a title or a label: a line.
const TITLE_MAX: usize = 200;
/// Domains of one tenant: the largest hosters have some thousand for one customer.
const DOMAINS_MAX: usize = 10_000;
/// Keys that sign modules.
const SIGNERS_MAX: usize = 16;
/// Octets of one secret: fewer can be guessed, and more no plugin can use. Secrets of one tenant.
const SECRET_MIN: usize = 16;
const SECRET_MAX: usize = 4_096;
const SECRETS_MAX: usize = 1_000;
/// Tokens in all: an operator with ten thousand tenants has a few for each.
const TOKENS_MAX: u64 = 100_000;
/// Lines of the audit log: some hundred MB, years of work. The oldest go.
pub(super) const AUDIT_MAX: u64 = 1_000_000;

type Done = Result<(), Failure>;

/// Makes a change and writes its line of the audit log, whose number is returned.
pub(super) fn make(writing: &Writing<'_>, author: &Author, change: &Change) -> Result<u64, Failure> {
    writing.apply(change)?;
    let tenant = change.tenant();
    if let Some(name) = tenant.filter(|_| !matches!(change, Change::RemoveTenant { .. })) {
        let mut tenant = writing.tenant(name)?;
        tenant.revision += 1;
        writing.put(TENANTS, name.as_str(), &tenant)?;
    }
    writing.audit(author, change)
}

impl Writing<'_> {
    fn apply(&self, change: &Change) -> Done {
        match change {
            Change::AddTenant { tenant, title, quotas, grants } => self.add_tenant(tenant, title, quotas, grants),
            Change::AlterTenant { tenant, title, suspended, quotas, grants, signers } => {
                let mut altered = self.tenant(tenant)?;
                if let Some(title) = title {
                    altered.title.clone_from(title);
                }
                altered.suspended = suspended.unwrap_or(altered.suspended);
                altered.quotas = quotas.clone().unwrap_or(altered.quotas);
                altered.grants = grants.clone().unwrap_or(altered.grants);
                altered.signers = signers.clone().unwrap_or(altered.signers);
                self.check_tenant(&altered)?;
                self.put(TENANTS, tenant.as_str(), &altered)
            }
            Change::RemoveTenant { tenant } => self.remove_tenant(tenant),
            Change::AddDomain { tenant, domain } => self.add_domain(tenant, domain),
            Change::RemoveDomain { tenant, domain } => {
                self.tenant(tenant)?;
                self.gone(DOMAINS_OF, &own(tenant, domain), "domain", domain)?;
                self.remove(DOMAINS, domain.as_str()).map(drop)
            }
            Change::AddModule { module } => self.add_module(module),
            Change::RemoveModule { tenant, module } => {
                self.tenant(tenant)?;
                self.check_unused(tenant, module)?;
                self.gone(MODULES, &own(tenant, module), "module", module)
            }
            Change::AddBinding { binding } => self.add_binding(binding),
            Change::AlterBinding { tenant, binding, enabled, priority, on_fault } => {
                let mut altered = self.binding(tenant, binding)?;
                altered.enabled = enabled.unwrap_or(altered.enabled);
                altered.priority = priority.unwrap_or(altered.priority);
                altered.on_fault = on_fault.unwrap_or(altered.on_fault);
                self.put_binding(&altered)
            }
            Change::Activate { tenant, binding, version } => self.activate(tenant, binding, version),
            Change::RollBack { tenant, binding } => self.roll_back(tenant, binding),
            Change::RollOut { tenant, binding, rollout } => self.roll_out(tenant, binding, rollout.as_ref()),
            Change::RemoveBinding { tenant, binding } => {
                self.tenant(tenant)?;
                self.gone(BINDINGS, &own(tenant, binding), "binding", binding)
            }
            Change::SetSecret { tenant, secret, value } => {
                self.tenant(tenant)?;
                if !(SECRET_MIN..=SECRET_MAX).contains(&value.len()) {
                    return invalid(format!("a secret has {SECRET_MIN} to {SECRET_MAX} octets"));
                }
                self.room(SECRETS, tenant, "secrets", SECRETS_MAX as u64)?;
                self.put(SECRETS, &own(tenant, secret), &KeptSecret { changed: self.at, value: value.clone() })
            }
            Change::RemoveSecret { tenant, secret } => {
                self.tenant(tenant)?;
                self.gone(SECRETS, &own(tenant, secret), "secret", secret)
            }
            Change::AddToken { token, label, scope, expires, hash } => {
                let kept = Token {
                    id: token.clone(),
                    label: label.clone(),
                    scope: scope.clone(),
                    created: self.at,
                    expires: *expires,
                };
                self.add_token(&KeptToken { token: kept, hash: *hash })
            }
            Change::RevokeToken { token } => self.gone(TOKENS, token.as_str(), "token", token),
        }
    }

    pub(super) fn tenant(&self, name: &TenantName) -> Result<Tenant, Failure> {
        let found = self.find(TENANTS, name.as_str())?;
        found.ok_or_else(|| Refusal::NotThere("tenant", name.to_string()).into())
    }

    fn add_tenant(&self, name: &TenantName, title: &str, quotas: &Quotas, grants: &[String]) -> Done {
        if self.find::<Value>(TENANTS, name.as_str())?.is_some() {
            return Err(Refusal::Taken("tenant", name.to_string()).into());
        }
        let tenant = Tenant {
            name: name.clone(),
            title: title.to_owned(),
            suspended: false,
            quotas: quotas.clone(),
            grants: grants.to_vec(),
            signers: Vec::new(),
            created: self.at,
            revision: 0,
        };
        self.check_tenant(&tenant)?;
        self.put(TENANTS, name.as_str(), &tenant)
    }

    fn check_tenant(&self, tenant: &Tenant) -> Done {
        check_line("title", &tenant.title)?;
        self.check_grants(&tenant.grants)?;
        if tenant.signers.len() > SIGNERS_MAX {
            return invalid(format!("a tenant has {SIGNERS_MAX} keys that sign modules at most"));
        }
        let is_key =
            |key: &&String| data_encoding::BASE64.decode(key.as_bytes()).is_ok_and(|octets| octets.len() == 32);
        match tenant.signers.iter().find(|key| !is_key(key)) {
            Some(key) => invalid(format!("`{key}` is no key: an Ed25519 key has 32 octets, here in base64")),
            None => Ok(()),
        }
    }

    /// Grants that tenants can have, each once.
    pub(super) fn check_grants(&self, grants: &[String]) -> Done {
        let mut once = HashSet::new();
        for grant in grants {
            if !self.grants.contains(&grant.as_str()) {
                let known = self.grants.join(", ");
                return invalid(format!("`{grant}` is no grant that tenants can have; there are {known}"));
            }
            if !once.insert(grant) {
                return invalid(format!("the grant `{grant}` stands there twice"));
            }
        }
        Ok(())
    }

    fn remove_tenant(&self, name: &TenantName) -> Done {
        self.gone(TENANTS, name.as_str(), "tenant", name)?;
        for (domain, _) in self.all_of::<Value>(DOMAINS_OF, name)? {
            self.remove(DOMAINS, &domain)?;
        }
        for table in [DOMAINS_OF, MODULES, BINDINGS, SECRETS] {
            self.remove_all_of(table, name)?;
        }
        let tokens = self.on(TOKENS, |table| table.some("", "\u{7f}", usize::MAX))?;
        for (id, octets) in tokens {
            let kept: KeptToken = super::table::read(&octets)?;
            if kept.token.scope.tenant() == Some(name) {
                self.remove(TOKENS, &id)?;
            }
        }
        Ok(())
    }

    fn add_domain(&self, tenant: &TenantName, domain: &DomainName) -> Done {
        self.tenant(tenant)?;
        if self.find::<Value>(DOMAINS, domain.as_str())?.is_some() {
            return Err(Refusal::Taken("domain", domain.to_string()).into());
        }
        self.room(DOMAINS_OF, tenant, "domains", DOMAINS_MAX as u64)?;
        let kept = Domain { name: domain.clone(), tenant: tenant.clone(), created: self.at };
        self.put(DOMAINS, domain.as_str(), &kept)?;
        self.put(DOMAINS_OF, &own(tenant, domain), &kept)
    }

    /// One that is there already stays as it was: it is the same octets.
    fn add_module(&self, module: &Module) -> Done {
        let (tenant, key) = (self.tenant(&module.tenant)?, own(&module.tenant, &module.hash));
        if module.size > tenant.quotas.module_size {
            return Err(Refusal::OverQuota { what: "octets in a module", most: tenant.quotas.module_size }.into());
        }
        if self.find::<Value>(MODULES, &key)?.is_some() {
            return Ok(());
        }
        self.room(MODULES, &module.tenant, "modules", tenant.quotas.modules.into())?;
        self.put(MODULES, &key, module)
    }

    fn add_token(&self, kept: &KeptToken) -> Done {
        check_line("label", &kept.token.label)?;
        if let Scope::Tenant { tenant, .. } = &kept.token.scope {
            self.tenant(tenant)?;
        }
        if self.on(TOKENS, |table| table.len())? >= TOKENS_MAX {
            return Err(Refusal::OverQuota { what: "tokens", most: TOKENS_MAX }.into());
        }
        let id = &kept.token.id;
        if self.find::<Value>(TOKENS, id.as_str())?.is_some() {
            return Err(Refusal::Taken("token", id.to_string()).into());
        }
        self.put(TOKENS, id.as_str(), kept)
    }

    /// Removes what must be there.
    fn gone(
        &self,
        table: redb::TableDefinition<'static, &'static str, &'static [u8]>,
        key: &str,
        what: &'static str,
        name: impl std::fmt::Display,
    ) -> Done {
        if self.remove(table, key)? { Ok(()) } else { Err(Refusal::NotThere(what, name.to_string()).into()) }
    }

    /// Whether a tenant may have one more.
    pub(super) fn room(
        &self,
        table: redb::TableDefinition<'static, &'static str, &'static [u8]>,
        tenant: &TenantName,
        what: &'static str,
        most: u64,
    ) -> Done {
        let there = self.count_of(table, tenant)? as u64;
        if there < most { Ok(()) } else { Err(Refusal::OverQuota { what, most }.into()) }
    }

    fn audit(&self, author: &Author, change: &Change) -> Result<u64, Failure> {
        let change_as_json = serde_json::to_value(change).map_err(|error| Failure::Broken(error.to_string()))?;
        let mut table = self.transaction.open_table(AUDIT).map_err(broken)?;
        let number = table.last().map_err(broken)?.map_or(0, |(number, _)| number.value()) + 1;
        let line = Audited {
            number,
            at: author.at,
            who: author.who.clone(),
            from: author.from,
            what: change.name().to_owned(),
            tenant: change.tenant().cloned(),
            change: change_as_json,
        };
        let octets = serde_json::to_vec(&line).map_err(|error| Failure::Broken(error.to_string()))?;
        table.insert(number, octets.as_slice()).map_err(broken)?;
        if number > AUDIT_MAX {
            table.remove(number - AUDIT_MAX).map_err(broken)?;
        }
        Ok(number)
    }
}

fn check_line(what: &str, text: &str) -> Done {
    if text.chars().count() > TITLE_MAX || text.chars().any(char::is_control) {
        return invalid(format!("a {what} has {TITLE_MAX} characters at most, and no control characters"));
    }
    Ok(())
}

pub(super) fn invalid<T>(why: String) -> Result<T, Failure> {
    Err(Refusal::Invalid(why).into())
}
