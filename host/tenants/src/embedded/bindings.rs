//! Bindings and their versions.

use super::changes::invalid;
use super::table::{BINDINGS, MODULES, Tables, Writing, own};
use crate::registry::Failure;
use crate::{Binding, BindingName, Module, ModuleHash, Refusal, Rollout, TenantName, Version};

/// Versions that a binding can go back to.
const PREVIOUS_MAX: usize = 10;
/// Octets of a configuration as JSON, as the sandbox takes them.
const CONFIG_MAX: usize = 1 << 20;

type Done = Result<(), Failure>;

impl Writing<'_> {
    pub(super) fn binding(&self, tenant: &TenantName, name: &BindingName) -> Result<Binding, Failure> {
        self.tenant(tenant)?;
        let found = self.find(BINDINGS, &own(tenant, name))?;
        found.ok_or_else(|| Refusal::NotThere("binding", name.to_string()).into())
    }

    pub(super) fn add_binding(&self, binding: &Binding) -> Done {
        let tenant = self.tenant(&binding.tenant)?;
        if self.find::<Binding>(BINDINGS, &own(&binding.tenant, &binding.name))?.is_some() {
            return Err(Refusal::Taken("binding", binding.name.to_string()).into());
        }
        self.room(BINDINGS, &binding.tenant, "bindings", tenant.quotas.bindings.into())?;
        let mut fresh = binding.clone();
        (fresh.previous, fresh.rollout, fresh.active.since) = (Vec::new(), None, self.at);
        self.put_binding(&fresh)
    }

    /// Checks all that a binding refers to.
    pub(super) fn put_binding(&self, binding: &Binding) -> Done {
        if !(-100..=100).contains(&binding.priority) {
            return invalid(format!("the priority {} is not from -100 to 100", binding.priority));
        }
        self.check_version(&binding.tenant, &binding.active)?;
        match &binding.rollout {
            Some(Rollout::Share { percent, .. }) if !(1..=99).contains(percent) => {
                return invalid(format!("a share of {percent} % is not from 1 to 99"));
            }
            Some(Rollout::Share { candidate, .. } | Rollout::Shadow { candidate }) => {
                self.check_version(&binding.tenant, candidate)?;
            }
            None => {}
        }
        self.put(BINDINGS, &own(&binding.tenant, &binding.name), binding)
    }

    fn check_version(&self, tenant: &TenantName, version: &Version) -> Done {
        let found: Option<Module> = self.find(MODULES, &own(tenant, &version.module))?;
        let module = found.ok_or_else(|| Refusal::NotThere("module", version.module.to_string()))?;
        let config = serde_json::to_vec(&version.config).map_or(0, |octets| octets.len());
        if config > CONFIG_MAX {
            return invalid(format!("the configuration has {config} octets as JSON; {CONFIG_MAX} is the most"));
        }
        self.check_grants(&version.grants)?;
        let may = self.tenant(tenant)?.grants;
        if let Some(grant) = version.grants.iter().find(|grant| !may.contains(grant)) {
            let list = may.join(", ");
            return invalid(format!("the tenant may not give the grant `{grant}`; it may give: {list}"));
        }
        match module.needs.iter().find(|need| !version.grants.contains(need)) {
            Some(need) => invalid(format!("the module needs the grant `{need}`, which is not given")),
            None => Ok(()),
        }
    }

    pub(super) fn activate(&self, tenant: &TenantName, name: &BindingName, version: &Version) -> Done {
        let mut binding = self.binding(tenant, name)?;
        let version = Version { since: self.at, ..version.clone() };
        binding.previous.insert(0, std::mem::replace(&mut binding.active, version));
        binding.previous.truncate(PREVIOUS_MAX);
        binding.rollout = None;
        self.put_binding(&binding)
    }

    pub(super) fn roll_back(&self, tenant: &TenantName, name: &BindingName) -> Done {
        let mut binding = self.binding(tenant, name)?;
        if binding.previous.is_empty() {
            return invalid(format!("the binding `{name}` has no version to go back to"));
        }
        binding.active = Version { since: self.at, ..binding.previous.remove(0) };
        binding.rollout = None;
        self.put_binding(&binding)
    }

    pub(super) fn roll_out(&self, tenant: &TenantName, name: &BindingName, rollout: Option<&Rollout>) -> Done {
        let mut binding = self.binding(tenant, name)?;
        binding.rollout = rollout.cloned();
        if let Some(Rollout::Share { candidate, .. } | Rollout::Shadow { candidate }) = &mut binding.rollout {
            candidate.since = self.at;
        }
        self.put_binding(&binding)
    }

    /// What a binding runs, could go back to, or tries, stays.
    pub(super) fn check_unused(&self, tenant: &TenantName, module: &ModuleHash) -> Done {
        for (_, binding) in self.all_of::<Binding>(BINDINGS, tenant)? {
            if binding.modules().any(|used| used == module) {
                let by = format!("the binding `{}`", binding.name);
                return Err(Refusal::InUse("module", module.to_string(), by).into());
            }
        }
        Ok(())
    }
}
