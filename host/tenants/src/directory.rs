//! Whose a domain is, as every recipient is asked.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::{Change, Domain};

/// Domains and their tenants, in memory: some 150 octets a domain. Readers never wait longer than one insertion takes.
#[derive(Debug, Default)]
pub struct Directory(RwLock<HashMap<Box<str>, Arc<str>>>);

impl Directory {
    /// All domains of a registry.
    #[must_use]
    pub fn new(domains: &[Domain]) -> Self {
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        // One text a tenant, however many domains it has.
        let mut tenant = |domain| Arc::clone(names.entry(domain).or_insert_with(|| Arc::from(domain)));
        let entries =
            domains.iter().map(|domain| (domain.name.as_str().into(), tenant(domain.tenant.as_str()))).collect();
        Self(RwLock::new(entries))
    }

    /// The tenant whose domain this is, in any case. Domains below it are not.
    #[must_use]
    pub fn owner(&self, domain: &str) -> Option<Arc<str>> {
        let domains = self.0.read();
        match domain.bytes().any(|octet| octet.is_ascii_uppercase()) {
            false => domains.get(domain).cloned(),
            true => domains.get(domain.to_ascii_lowercase().as_str()).cloned(),
        }
    }

    /// Takes in a change that is durable.
    pub fn apply(&self, change: &Change) {
        match change {
            Change::AddDomain { tenant, domain } => {
                self.0.write().insert(domain.as_str().into(), tenant.as_str().into());
            }
            Change::RemoveDomain { domain, .. } => {
                self.0.write().remove(domain.as_str());
            }
            Change::RemoveTenant { tenant } => self.0.write().retain(|_, owner| **owner != *tenant.as_str()),
            _ => {}
        }
    }

    /// How many domains there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str, tenant: &str) -> Domain {
        Domain { name: name.parse().unwrap(), tenant: tenant.parse().unwrap(), created: 0 }
    }

    #[test]
    fn a_domain_is_found_in_any_case_and_none_below_it() {
        let directory = Directory::new(&[domain("acme.example", "acme"), domain("other.example", "bravo")]);
        assert_eq!(directory.owner("ACME.Example").as_deref(), Some("acme"));
        assert_eq!(directory.owner("other.example").as_deref(), Some("bravo"));
        for none in ["mail.acme.example", "example", "", "acme.example."] {
            assert_eq!(directory.owner(none), None, "{none}");
        }
    }

    #[test]
    fn it_follows_the_changes() {
        let directory = Directory::new(&[domain("acme.example", "acme")]);
        let (tenant, name) = ("acme".parse().unwrap(), "new.example".parse().unwrap());
        directory.apply(&Change::AddDomain { tenant, domain: name });
        assert_eq!(directory.owner("new.example").as_deref(), Some("acme"));
        let (tenant, name) = ("acme".parse().unwrap(), "acme.example".parse().unwrap());
        directory.apply(&Change::RemoveDomain { tenant, domain: name });
        assert_eq!((directory.owner("acme.example"), directory.len()), (None, 1));
        directory.apply(&Change::RemoveTenant { tenant: "acme".parse().unwrap() });
        assert!(directory.is_empty());
    }
}
