//! Has clamd look for viruses in each message, and refuses what is infected. See README.md.

mod config;
mod scan;

use wasmail_guest::prelude::*;

pub use config::{Config, Unscanned};
use scan::{Scan, scan};

/// The plugin.
pub struct Clamd(Config);

#[plugin(
    needs = ["tcp"],
    footprint(reads = ["relaying", "message"], writes_notes = ["/clamd/virus"]),
    config_schema = include_str!("../config.schema.json")
)]
impl Plugin for Clamd {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self(config))
    }

    fn data_post(&self, c: &Connection, _: &Transaction, m: &Message) -> Outcome {
        if let Some(reason) = self.0.exempt.reason(c) {
            return Outcome::next().skip(Scope::Transaction, reason);
        }
        if self.0.only_with_attachments && !has_attachments(m) {
            return Outcome::next().skip(Scope::Transaction, "no attachments");
        }
        if m.size() > self.0.max_size {
            return self.too_large().skip(Scope::Transaction, "larger than max_size");
        }
        self.ask(m)
    }
}

impl Clamd {
    /// Asks one clamd after the other, until one knows.
    fn ask(&self, m: &Message) -> Outcome {
        let mut failed = Vec::new();
        let outcome = loop {
            let Some(endpoint) = self.0.endpoints.get(failed.len()) else {
                break unscanned(self.0.on_error, "Message cannot be scanned for viruses now; try again later");
            };
            match scan(endpoint, m) {
                Ok(Scan::Clean) => break Outcome::next().pass(Scope::Transaction, "clean"),
                Ok(Scan::Infected(virus)) => break self.infected(&virus),
                Ok(Scan::TooLarge) => {
                    break self.too_large().skip(Scope::Transaction, "larger than StreamMaxLength of clamd.conf");
                }
                Err(why) => failed.push(format!("{endpoint}: {why}")),
            }
        };
        failed.into_iter().fold(outcome, |outcome, why| outcome.err(Scope::Transaction, why))
    }

    fn infected(&self, virus: &str) -> Outcome {
        let outcome = if self.0.only_records(virus) {
            Outcome::next()
        } else {
            Outcome::refuse(self.0.refusal, self.0.text.replace("{virus}", virus)).with_detail(7, 1)
        };
        outcome.fail(Scope::Transaction, virus).set_note(Scope::Transaction, "/clamd/virus", virus)
    }

    fn too_large(&self) -> Outcome {
        unscanned(self.0.on_too_large, "Message is too large to be scanned for viruses")
    }
}

fn unscanned(what: Unscanned, text: &str) -> Outcome {
    match what {
        Unscanned::Accept => Outcome::next(),
        Unscanned::DenySoft => Outcome::deny_soft(text).with_code(451).with_detail(7, 1),
        Unscanned::Deny => Outcome::deny(text).with_detail(7, 1),
    }
}

/// Whether there is more than text. What cannot be known is scanned.
fn has_attachments(m: &Message) -> bool {
    let Ok(structure) = m.structure() else { return true };
    let mut leaves = structure.parts.iter().filter(|part| !part.has_parts);
    structure.passed.is_some() || leaves.any(|part| part.is_attachment() || !part.media_type.name.starts_with("text/"))
}

#[cfg(test)]
mod tests;
