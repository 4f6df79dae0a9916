//! The configuration.

use wasmail_guest::prelude::*;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What becomes of each check that fails.
    pub checks: Checks,
    /// How clients are refused.
    pub refusal: Refusal,
    /// Who is not checked. Mail programs on the same machine greet with `localhost` or `[127.0.0.1]`.
    pub exempt: Exempt,
    /// Names that only we may use, besides our host name.
    pub own_names: Vec<String>,
}

/// The checks.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// An IP address without brackets (RFC 5321 section 4.1.3 asks for brackets).
    pub bare_ip: Check,
    /// Neither a domain name nor an address literal.
    pub invalid: Check,
    /// Our own name or address, from somebody else.
    pub own_name: Check,
    /// An address literal that is not the client's address. Mail programs behind a NAT do this.
    pub literal_mismatch: Check,
    /// A name without a dot.
    pub unqualified: Check,
    /// A name that holds the client's address, as providers name their customers' lines.
    pub dynamic: Check,
    /// A name that has nothing in common with the one by reverse DNS.
    pub rdns_mismatch: Check,
}

impl Default for Checks {
    /// Refuses what no mail server says by mistake, and records what some do.
    fn default() -> Self {
        Self {
            bare_ip: Check::Reject,
            invalid: Check::Reject,
            own_name: Check::Reject,
            literal_mismatch: Check::Record,
            unqualified: Check::Record,
            dynamic: Check::Record,
            rdns_mismatch: Check::Record,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { checks: Checks::default(), refusal: Refusal::Deny, exempt: Exempt::Local, own_names: Vec::new() }
    }
}
