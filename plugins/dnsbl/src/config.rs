//! The configuration.

use std::net::IpAddr;

use wasmail_guest::Network;
use wasmail_guest::prelude::*;

/// Lists that may be asked: each is a question for each client.
const ZONES_MAX: usize = 32;
/// Octets of a zone's name, so that an IPv6 address in front of it still makes a name.
const ZONE_MAX: usize = 180;
/// Octets of a text.
const TEXT_MAX: usize = 400;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The lists, 32 at most.
    pub zones: Vec<Zone>,
    /// The sum of scores from which a client is refused. Left out, nobody is: the score is recorded for other plugins.
    pub reject_at: Option<f64>,
    /// How they are refused.
    pub refusal: Refusal,
    /// What they are told; `{ip}` and `{zones}` stand for the client's address and the lists that have it.
    pub text: String,
    /// Who is not looked up.
    pub exempt: Exempt,
}

/// One list.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Its name in the DNS, such as `bl.example.org`.
    pub zone: String,
    /// What being listed adds to the score; below 0 for a list of good clients.
    #[serde(default = "one")]
    pub score: f64,
    /// The answers that mean that the client is listed: addresses or networks. Other answers are errors, such as
    /// Spamhaus' 127.255.255.254 for questions through a public resolver.
    #[serde(default = "answers")]
    pub answers: Vec<Network>,
}

fn one() -> f64 {
    1.0
}

/// RFC 5782 section 2.3 reserves 127.0.0.0/8; what lists use of it lies here, and their errors lie elsewhere.
fn answers() -> Vec<Network> {
    ["127.0.0.0/16"].map(|net| net.parse().expect("it is a network")).to_vec()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            reject_at: Some(1.0),
            refusal: Refusal::DenyDisconnect,
            text: "{ip} is listed by {zones}".to_owned(),
            exempt: Exempt::Private,
        }
    }
}

impl Config {
    /// Finds what the types do not rule out.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.zones.len() > ZONES_MAX {
            return Err(format!("zones: {} are more than {ZONES_MAX}", self.zones.len()));
        }
        for (at, zone) in self.zones.iter().enumerate() {
            zone.check().map_err(|why| format!("zones[{at}].{why}"))?;
        }
        if self.text.chars().any(char::is_control) || self.text.len() > TEXT_MAX {
            return Err(format!("text: expected one line of at most {TEXT_MAX} octets"));
        }
        Ok(())
    }
}

impl Zone {
    fn check(&self) -> Result<(), String> {
        let label = |label: &str| {
            let good = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(good)
        };
        if self.zone.len() > ZONE_MAX || !self.zone.split('.').all(label) {
            return Err(format!("zone: `{}` is no name such as bl.example.org", self.zone));
        }
        if self.answers.is_empty() {
            return Err("answers: without one nobody is ever listed".to_owned());
        }
        Ok(())
    }

    /// Whether an answer of the list means that the client is on it.
    pub(crate) fn lists(&self, answer: IpAddr) -> bool {
        self.answers.iter().any(|network| network.contains(answer))
    }
}
