//! Lets strangers come back before it takes their mail. See README.md.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use wasmail_guest::{Failure, kv, prelude::*};

/// Octets of a key (see `wit/capabilities.wit`).
const KEY_MAX: usize = 512;
/// What stands for a triplet that has come back.
const PASSED: &[u8] = b"passed";

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a stranger stays one, in seconds.
    pub delay_s: u32,
    /// How long it may take to come back, in seconds.
    pub wait_s: u32,
    /// How long who has come back is remembered since its last mail, in seconds.
    pub keep_s: u32,
    /// Triplets that must have come back until all mail of their network is taken at once; 0 for never.
    pub known_after: u32,
    /// Leading bits of an IPv4 address that make its network: large senders try again from a neighbour.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that make its network.
    pub ipv6_prefix: u8,
    /// What strangers are told.
    pub text: String,
    /// Who is no stranger.
    pub exempt: Exempt,
}

impl Default for Config {
    fn default() -> Self {
        // RFC 6647 section 5: a minute to a day, and a network instead of an address. Senders try again after 5 to 30
        // minutes.
        Self {
            delay_s: 300,
            wait_s: 2 * 86_400,
            keep_s: 36 * 86_400,
            known_after: 5,
            ipv4_prefix: 24,
            ipv6_prefix: 64,
            text: "Greylisted; come back later".to_owned(),
            exempt: Exempt::Private,
        }
    }
}

impl Config {
    fn check(&self) -> Result<(), String> {
        if self.ipv4_prefix > 32 || self.ipv6_prefix > 128 {
            return Err("ipv4_prefix and ipv6_prefix: an address has 32 and 128 bits".to_owned());
        }
        if self.wait_s <= self.delay_s || self.keep_s == 0 {
            return Err("wait_s: must be longer than delay_s, and keep_s longer than 0".to_owned());
        }
        if self.text.chars().any(char::is_control) || self.text.len() > 400 {
            return Err("text: expected one line of at most 400 octets".to_owned());
        }
        Ok(())
    }
}

/// What is known of a client, sender and recipient.
#[derive(Debug, PartialEq)]
enum Finding {
    /// Many of its network's triplets have come back.
    Network,
    /// It has come back before.
    Known,
    /// It has come back now.
    Back,
    /// It has to come back, in so many seconds.
    Stranger(u64),
}

/// The plugin.
pub struct Greylist(Config);

#[plugin(needs = ["kv"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for Greylist {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self(config))
    }

    fn rcpt_ok(&self, c: &Connection, t: &Transaction, r: &Recipient) -> ObjectingOutcome {
        let Some(ip) = c.ip() else { return ObjectingOutcome::next() };
        if let Some(reason) = self.0.exempt.reason(c) {
            return ObjectingOutcome::next().skip(Scope::Transaction, reason);
        }
        let pass = |what: &str| ObjectingOutcome::next().pass(Scope::Transaction, what);
        match self.find(&self.network(ip), &t.reverse_path, &r.address, c.counters.started) {
            Ok(Finding::Network) => pass("network"),
            Ok(Finding::Known) => pass("known"),
            Ok(Finding::Back) => pass("back"),
            Ok(Finding::Stranger(seconds)) => ObjectingOutcome::deny_soft(&self.0.text)
                .with_code(451)
                .with_status("4.7.1")
                .set(Scope::Connection, "seconds", seconds)
                .fail(Scope::Connection, "stranger"),
            // Mail does not wait for a store that fails.
            Err(failure) => ObjectingOutcome::next().err(Scope::Transaction, format!("the store fails: {failure:?}")),
        }
    }
}

impl Greylist {
    fn find(&self, network: &str, sender: &str, recipient: &str, now: u64) -> Result<Finding, Failure> {
        let Config { delay_s, wait_s, keep_s, known_after, .. } = self.0;
        let of_network = format!("network/{network}");
        if known_after > 0 && number(kv::get(&of_network)?.as_deref()) >= u64::from(known_after) {
            return Ok(Finding::Network);
        }
        let key = key(network, sender, recipient);
        let Some(value) = kv::get(&key)? else {
            // Only the first time counts: another instance may have been quicker.
            kv::compare_and_set(&key, None, Some(now.to_string().as_bytes()), Some(wait_s))?;
            return Ok(Finding::Stranger(delay_s.into()));
        };
        if value == PASSED {
            kv::set(&key, PASSED, Some(keep_s))?;
            return Ok(Finding::Known);
        }
        let waited = now.saturating_sub(number(Some(&value)));
        if waited < u64::from(delay_s) {
            return Ok(Finding::Stranger(u64::from(delay_s) - waited));
        }
        if kv::compare_and_set(&key, Some(&value), Some(PASSED), Some(keep_s))? {
            kv::increment(&of_network, 1, Some(keep_s))?;
        }
        Ok(Finding::Back)
    }

    /// The network of an address, such as `203.0.113.0/24`.
    fn network(&self, ip: IpAddr) -> String {
        match ip {
            IpAddr::V4(ip) => {
                let (bits, prefix) = (u32::from(ip), self.0.ipv4_prefix);
                let kept = bits & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                format!("{}/{prefix}", std::net::Ipv4Addr::from(kept))
            }
            IpAddr::V6(ip) => {
                let (bits, prefix) = (u128::from(ip), self.0.ipv6_prefix);
                let kept = bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                format!("{}/{prefix}", std::net::Ipv6Addr::from(kept))
            }
        }
    }
}

/// The triplet's key. Case means nothing; a space is in no address.
fn key(network: &str, sender: &str, recipient: &str) -> String {
    let (sender, recipient) = (sender.to_lowercase(), recipient.to_lowercase());
    let key = format!("triplet/{network} {sender} {recipient}");
    if key.len() <= KEY_MAX {
        return key;
    }
    let mut hasher = DefaultHasher::new();
    (sender, recipient).hash(&mut hasher);
    format!("triplet/{network} #{:016x}", hasher.finish())
}

fn number(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
