//! Asks DNS blocklists about clients, and refuses those with too high a score. See README.md.

mod config;

use std::net::IpAddr;

use wasmail_guest::dns::{self, Answer, Data, Query, RecordType};
use wasmail_guest::{Failure, prelude::*};

pub use config::{Config, Zone};

/// Longest list of zones in a refusal, in octets.
const NAMED_MAX: usize = 80;

/// The plugin.
pub struct Dnsbl(Config);

/// What the lists say of a client.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    listed: Vec<String>,
    score: f64,
    /// Lists that did not answer, and why.
    failed: Vec<String>,
}

#[plugin(
    needs = ["dns"],
    footprint(reads = ["relaying"], writes_notes = ["/dnsbl/listed"]),
    config_schema = include_str!("../config.schema.json")
)]
impl Plugin for Dnsbl {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self(config))
    }

    fn connect(&self, c: &Connection) -> ConnectOutcome {
        let Some(ip) = c.ip() else { return ConnectOutcome::next() };
        if let Some(reason) = self.0.exempt.reason(c) {
            return ConnectOutcome::next().skip(Scope::Connection, reason);
        }
        let findings = self.ask(ip);
        let is_refused = self.0.reject_at.is_some_and(|limit| findings.score >= limit && !findings.listed.is_empty());
        let outcome = if is_refused { self.refuse(ip, &findings.listed) } else { ConnectOutcome::next() };
        record(outcome, findings)
    }
}

impl Dnsbl {
    /// Asks all lists at once. One that does not answer says nothing: mail does not wait for it.
    fn ask(&self, ip: IpAddr) -> Findings {
        let name = dns::reversed(ip);
        let zones = &self.0.zones;
        let query = |zone: &Zone| Query::new(format!("{name}.{}", zone.zone), RecordType::A);
        let queries: Vec<_> = zones.iter().map(query).collect();
        let mut findings = Findings::default();
        for (zone, answer) in zones.iter().zip(dns::lookup_all(&queries)) {
            match judge(zone, answer) {
                Ok(true) => {
                    findings.listed.push(zone.zone.clone());
                    findings.score += zone.score;
                }
                Ok(false) => {}
                Err(why) => findings.failed.push(format!("{}: {why}", zone.zone)),
            }
        }
        findings
    }

    fn refuse(&self, ip: IpAddr, listed: &[String]) -> ConnectOutcome {
        let mut zones = listed.join(", ");
        if zones.len() > NAMED_MAX {
            zones = format!("{} lists", listed.len());
        }
        let text = self.0.text.replace("{ip}", &ip.to_string()).replace("{zones}", &zones);
        ConnectOutcome::refuse(self.0.refusal, text).with_detail(7, 1)
    }
}

/// Whether a list has the client, or why it cannot be known.
fn judge(zone: &Zone, answer: Result<Answer, Failure>) -> Result<bool, String> {
    let answer = answer.map_err(|failure| match failure {
        Failure::NotGranted => "the grant dns is missing".to_owned(),
        Failure::QuotaExceeded(setting) => format!("{setting} is used up"),
        Failure::TimedOut => "no answer in time".to_owned(),
        Failure::Unavailable(why) | Failure::Invalid(why) => why,
    })?;
    let addresses = answer.records.iter().filter_map(|record| match &record.data {
        Data::A(ip) => ip.parse::<IpAddr>().ok(),
        _ => None,
    });
    let (lists, other): (Vec<_>, Vec<_>) = addresses.partition(|ip| zone.lists(*ip));
    match other.first() {
        Some(ip) if lists.is_empty() => Err(format!("answers {ip}, which is none of its `answers`")),
        _ => Ok(!lists.is_empty()),
    }
}

fn record(mut outcome: ConnectOutcome, findings: Findings) -> ConnectOutcome {
    for why in findings.failed {
        outcome = outcome.err(Scope::Connection, why);
    }
    if findings.listed.is_empty() {
        return outcome.pass(Scope::Connection, "unlisted");
    }
    outcome = outcome.set(Scope::Connection, "score", findings.score);
    for zone in &findings.listed {
        outcome = outcome.fail(Scope::Connection, zone);
    }
    outcome.set_note(Scope::Connection, "/dnsbl/listed", findings.listed)
}

#[cfg(test)]
mod tests;
