//! What is asked of the registry.

use super::table::{
    AUDIT, BINDINGS, DOMAINS, DOMAINS_OF, KeptSecret, KeptToken, MODULES, Reading, SECRETS, TENANTS, TOKENS, Tables,
    broken, own, read,
};
use crate::registry::{Failure, Page, Roster};
use crate::{
    Audited, Binding, BindingName, Domain, Module, ModuleHash, Refusal, Secret, SecretName, Tenant, TenantName, Token,
    TokenId,
};

/// Above every key: names are ASCII.
const END: &str = "\u{7f}";
/// Lines of the audit log that are looked at for one tenant's: of a server with many tenants most are others'.
const LOOKED_AT_MAX: usize = 100_000;

fn not_there(what: &'static str, name: impl std::fmt::Display) -> Failure {
    Refusal::NotThere(what, name.to_string()).into()
}

impl Reading {
    pub(super) fn tenants(&self, after: Option<&str>, limit: usize) -> Result<Page<Tenant>, Failure> {
        // What follows a name directly is the name with the lowest character behind it.
        let from = after.map_or_else(String::new, |after| format!("{after}\0"));
        let mut found = self.on(TENANTS, |table| table.some(&from, END, limit.saturating_add(1)))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(name, _)| name.clone());
        let items = found.iter().map(|(_, octets)| read(octets)).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    pub(super) fn tenant(&self, name: &TenantName) -> Result<Tenant, Failure> {
        self.find(TENANTS, name.as_str())?.ok_or_else(|| not_there("tenant", name))
    }

    pub(super) fn roster(&self, name: &TenantName) -> Result<Roster, Failure> {
        let secrets = self.all_of::<KeptSecret>(SECRETS, name)?;
        let secrets = secrets.into_iter().map(|(secret, kept)| Ok((self.secret_name(&secret)?, kept.value)));
        Ok(Roster {
            tenant: self.tenant(name)?,
            domains: self.domains(name)?.into_iter().map(|domain| domain.name).collect(),
            bindings: self.bindings(name)?,
            secrets: secrets.collect::<Result<_, Failure>>()?,
        })
    }

    fn secret_name(&self, name: &str) -> Result<SecretName, Failure> {
        name.parse().map_err(|error: crate::BadName| Failure::Broken(error.to_string()))
    }

    pub(super) fn all_domains(&self) -> Result<Vec<Domain>, Failure> {
        let found = self.on(DOMAINS, |table| table.some("", END, usize::MAX))?;
        found.iter().map(|(_, octets)| read(octets)).collect()
    }

    pub(super) fn domains(&self, tenant: &TenantName) -> Result<Vec<Domain>, Failure> {
        self.tenant(tenant)?;
        Ok(self.all_of(DOMAINS_OF, tenant)?.into_iter().map(|(_, domain)| domain).collect())
    }

    pub(super) fn modules(&self, tenant: &TenantName) -> Result<Vec<Module>, Failure> {
        self.tenant(tenant)?;
        let mut modules: Vec<Module> = self.all_of(MODULES, tenant)?.into_iter().map(|(_, module)| module).collect();
        modules.sort_by_key(|module| std::cmp::Reverse(module.created));
        Ok(modules)
    }

    pub(super) fn module(&self, tenant: &TenantName, hash: &ModuleHash) -> Result<Module, Failure> {
        self.tenant(tenant)?;
        self.find(MODULES, &own(tenant, hash))?.ok_or_else(|| not_there("module", hash))
    }

    pub(super) fn bindings(&self, tenant: &TenantName) -> Result<Vec<Binding>, Failure> {
        self.tenant(tenant)?;
        let mut bindings: Vec<Binding> =
            self.all_of(BINDINGS, tenant)?.into_iter().map(|(_, binding)| binding).collect();
        // They come by name, and those of one priority stay so.
        bindings.sort_by_key(|binding| binding.priority);
        Ok(bindings)
    }

    pub(super) fn binding(&self, tenant: &TenantName, name: &BindingName) -> Result<Binding, Failure> {
        self.tenant(tenant)?;
        self.find(BINDINGS, &own(tenant, name))?.ok_or_else(|| not_there("binding", name))
    }

    pub(super) fn secrets(&self, tenant: &TenantName) -> Result<Vec<Secret>, Failure> {
        self.tenant(tenant)?;
        let shown = |(name, kept): (String, KeptSecret)| {
            Ok(Secret { name: self.secret_name(&name)?, tenant: tenant.clone(), changed: kept.changed })
        };
        self.all_of(SECRETS, tenant)?.into_iter().map(shown).collect()
    }

    pub(super) fn tokens(&self, tenant: Option<&TenantName>) -> Result<Vec<Token>, Failure> {
        let found = self.on(TOKENS, |table| table.some("", END, usize::MAX))?;
        let tokens = found.iter().map(|(_, octets)| read::<KeptToken>(octets).map(|kept| kept.token));
        let meant = |token: &Result<Token, Failure>| {
            tenant.is_none() || token.as_ref().is_ok_and(|token| token.scope.tenant() == tenant)
        };
        tokens.filter(meant).collect()
    }

    pub(super) fn token(&self, id: &TokenId) -> Result<(Token, [u8; 32]), Failure> {
        let kept: Option<KeptToken> = self.find(TOKENS, id.as_str())?;
        kept.map(|kept| (kept.token, kept.hash)).ok_or_else(|| not_there("token", id))
    }

    pub(super) fn audit(
        &self,
        tenant: Option<&TenantName>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Audited>, Failure> {
        let table = self.0.open_table(AUDIT).map_err(broken)?;
        let (mut items, mut next) = (Vec::new(), None);
        let lines = table.range(..before.unwrap_or(u64::MAX)).map_err(broken)?.rev();
        for (looked_at, line) in lines.enumerate() {
            let (number, octets) = line.map_err(broken)?;
            if items.len() >= limit || looked_at >= LOOKED_AT_MAX {
                next = Some((number.value() + 1).to_string());
                break;
            }
            let line: Audited = read(octets.value())?;
            if tenant.is_none() || line.tenant.as_ref() == tenant {
                items.push(line);
            }
        }
        Ok(Page { items, next })
    }
}
