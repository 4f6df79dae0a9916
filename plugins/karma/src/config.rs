//! The configuration.

use std::collections::BTreeMap;

use wasmail_guest::prelude::*;

/// Longest text of a refusal, in octets: with the codes it has to fit a reply line of 512.
const TEXT_MAX: usize = 450;
/// Most that one rule gives or takes. Sums of thousands then stay far from the limits of the number.
const POINTS_MAX: i64 = 1_000_000;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What each result of another plugin is worth. A key is a plugin, one of the lists `pass`, `fail`, `msg`, `skip` and
    /// `err`, and the text of one result, or no text for all of the list: `helo-checks fail dynamic`. Each result counts
    /// for every rule that names it. Rules given here stand in place of the ones built in.
    pub rules: BTreeMap<String, i64>,
    /// What the host's counters are worth, each time they count.
    pub counters: Points,
    /// Scores at which a client is refused. The lowest one that is reached decides.
    pub thresholds: Vec<Threshold>,
    /// Who is not judged.
    pub exempt: Exempt,
    /// Name of a header field that tells the score and what made it; empty for none. Recipients can read it.
    pub field: String,
    /// What refused clients are told.
    pub text: String,
}

/// What the host's counters are worth.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Points {
    /// A command refused for what it is: unknown, malformed, out of order.
    pub errors: i64,
    /// A recipient refused for good.
    pub rejected_recipients: i64,
    /// A message refused for good.
    pub rejected_messages: i64,
    /// A message accepted.
    pub accepted_messages: i64,
}

/// A score at which a client is refused.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The score, below 0. It is reached from above.
    pub score: i64,
    /// How clients are refused from there on.
    pub refusal: Refusal,
}

impl Default for Points {
    fn default() -> Self {
        Self { errors: -1, rejected_recipients: -1, rejected_messages: -2, accepted_messages: 0 }
    }
}

impl Default for Config {
    fn default() -> Self {
        let rules = [
            ("access pass connect", 6),
            ("access fail", -3),
            ("early-talker fail early", -6),
            ("headers fail", -2),
            ("helo-checks fail bare-ip", -3),
            ("helo-checks fail dynamic", -3),
            ("helo-checks fail invalid", -3),
            ("helo-checks fail literal-mismatch", -2),
            ("helo-checks fail own-name", -4),
            ("helo-checks fail rdns-mismatch", -1),
            ("helo-checks fail unqualified", -1),
            ("record-envelope fail forged", -1),
        ];
        Self {
            rules: rules.into_iter().map(|(key, points)| (key.to_owned(), points)).collect(),
            counters: Points::default(),
            thresholds: vec![
                Threshold { score: -6, refusal: Refusal::Deny },
                Threshold { score: -10, refusal: Refusal::DenyDisconnect },
            ],
            exempt: Exempt::Local,
            field: String::new(),
            text: "Too many bad signs from you".into(),
        }
    }
}

impl Config {
    /// Finds what the types do not rule out.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, points) in &self.rules {
            check_points(&format!("rules.{key}"), *points)?;
            // It may stand in the header, which is US-ASCII (RFC 5322 section 2.2).
            if key.chars().any(|c| c != ' ' && !c.is_ascii_graphic()) {
                return Err(format!("rules.{key}: expected printable US-ASCII"));
            }
        }
        let Points { errors, rejected_recipients, rejected_messages, accepted_messages } = self.counters;
        check_points("counters.errors", errors)?;
        check_points("counters.rejected_recipients", rejected_recipients)?;
        check_points("counters.rejected_messages", rejected_messages)?;
        check_points("counters.accepted_messages", accepted_messages)?;
        for (at, threshold) in self.thresholds.iter().enumerate() {
            if threshold.score >= 0 {
                return Err(format!("thresholds[{at}].score: {} would refuse everybody", threshold.score));
            }
        }
        if self.field.bytes().any(|octet| !octet.is_ascii_graphic() || octet == b':') {
            return Err(format!("field: `{}` is no header field name", self.field));
        }
        if self.text.chars().any(char::is_control) || self.text.len() > TEXT_MAX {
            return Err(format!("text: expected one line of at most {TEXT_MAX} octets"));
        }
        Ok(())
    }
}

fn check_points(key: &str, points: i64) -> Result<(), String> {
    match points.unsigned_abs() <= POINTS_MAX.unsigned_abs() {
        true => Ok(()),
        false => Err(format!("{key}: {points} is more than {POINTS_MAX} points")),
    }
}
