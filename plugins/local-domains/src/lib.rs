//! Accepts the recipients of the domains that are ours. See README.md.

use std::collections::BTreeSet;

use wasmail_guest::prelude::*;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Domains whose recipients are accepted; case means nothing.
    pub domains: Vec<String>,
    /// Whether the domains below them are accepted, too.
    #[serde(default)]
    pub subdomains: bool,
    /// Whether `postmaster` without a domain is accepted, as RFC 5321 section 4.5.1 asks for.
    #[serde(default = "yes")]
    pub postmaster: bool,
}

fn yes() -> bool {
    true
}

/// The plugin.
pub struct LocalDomains {
    /// In lower case.
    domains: BTreeSet<String>,
    subdomains: bool,
    postmaster: bool,
}

#[plugin(needs = ["accept-recipients"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for LocalDomains {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        for (at, domain) in config.domains.iter().enumerate() {
            check_domain(domain).map_err(|why| format!("domains[{at}]: {why}"))?;
        }
        let domains = config.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        Ok(Self { domains, subdomains: config.subdomains, postmaster: config.postmaster })
    }

    fn rcpt(&self, _: &Connection, _: &Transaction, r: &Recipient) -> ReplyingOutcome {
        let ours = match r.domain() {
            Some(domain) => self.is_ours(&domain.to_ascii_lowercase()),
            None => self.postmaster,
        };
        if ours { ReplyingOutcome::accept() } else { ReplyingOutcome::next() }
    }
}

impl LocalDomains {
    /// Whether a domain in lower case is listed, or lies below one that is.
    fn is_ours(&self, domain: &str) -> bool {
        let mut name = domain;
        loop {
            if self.domains.contains(name) {
                return true;
            }
            match name.split_once('.') {
                Some((_, parent)) if self.subdomains => name = parent,
                _ => return false,
            }
        }
    }
}

/// Finds the mistakes that would make an entry match nothing.
fn check_domain(domain: &str) -> Result<(), String> {
    if domain.contains('@') {
        return Err(format!("`{domain}` is an address, expected a domain"));
    }
    if domain.contains('*') {
        return Err(format!("`{domain}` holds a wildcard: list the domain and set `subdomains`"));
    }
    let labels_good = domain.split('.').all(|label| !label.is_empty());
    if !labels_good || domain.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{domain}` is no domain"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::rt;

    fn accepts(json: &str, address: &str) -> bool {
        let plugin: LocalDomains = rt::make(json).unwrap();
        let (c, t) = (Connection::example(), Transaction::example("a@example.org"));
        match plugin.rcpt(&c, &t, &Recipient::example(address)) {
            outcome if outcome == ReplyingOutcome::accept() => true,
            outcome => {
                assert_eq!(outcome, ReplyingOutcome::next());
                false
            }
        }
    }

    #[test]
    fn our_domains_are_accepted_and_others_are_left_to_others() {
        let json = r#"{"domains": ["Example.Test"]}"#;
        assert!(accepts(json, "user@example.test"));
        assert!(accepts(json, "user@EXAMPLE.test"));
        assert!(accepts(json, "\"odd@example.org\"@example.test"));
        assert!(!accepts(json, "user@sub.example.test"));
        assert!(!accepts(json, "user@notexample.test"));
        assert!(!accepts(json, "user@example.test.example.org"));
    }

    #[test]
    fn subdomains_are_ours_when_asked_for() {
        let json = r#"{"domains": ["example.test"], "subdomains": true}"#;
        assert!(accepts(json, "user@a.b.example.test"));
        assert!(!accepts(json, "user@notexample.test"));
        assert!(!accepts(json, "user@test"));
    }

    #[test]
    fn the_bare_postmaster_is_always_at_home() {
        assert!(accepts(r#"{"domains": []}"#, "postmaster"));
        assert!(accepts(r#"{"domains": []}"#, "Postmaster"));
        assert!(!accepts(r#"{"domains": [], "postmaster": false}"#, "postmaster"));
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<LocalDomains>(json).err().unwrap();
        assert_eq!(error("{}"), "missing field `domains`");
        assert_eq!(error(r#"{"domains": ["a@b.test"]}"#), "domains[0]: `a@b.test` is an address, expected a domain");
        assert!(error(r#"{"domains": ["a.test", "*.b.test"]}"#).starts_with("domains[1]: `*.b.test` holds a wildcard"));
        assert!(error(r#"{"domains": ["a..test"]}"#).starts_with("domains[0]: "));
        assert!(error(r#"{"domains": ["a.test"], "subdomain": true}"#).starts_with("subdomain: unknown field"));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
