//! Answers mail for who is away. See README.md.

mod answer;

use wasmail_guest::{Failure, inject, kv, prelude::*};

use answer::Received;

/// Where the message's facts wait from `data-post`, when it can be read, to `queue-ok`, when it has been accepted.
const NOTE: &str = "/vacation/received";
/// Octets of an answer's text.
const TEXT_MAX: usize = 64 * 1024;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is away.
    #[serde(default)]
    pub away: Vec<Away>,
    /// Days in which one sender is answered once.
    #[serde(default = "days")]
    pub days: u32,
}

/// Who is away, and what is answered.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// Addresses; case means nothing. Mail that names none of them in To or Cc is not answered.
    pub addresses: Vec<String>,
    /// What is answered.
    pub text: String,
    /// Subject of the answer; without it the message's own behind `Auto: `.
    pub subject: Option<String>,
    /// From of the answer, such as `Anna <anna@example.test>`; without it the address that was written to.
    pub from: Option<String>,
}

/// RFC 5230 section 4.1: seven, if nothing else is said.
const fn days() -> u32 {
    7
}

impl Away {
    fn check(&self) -> Result<(), String> {
        if let Some(address) = self.addresses.iter().find(|address| !address.contains('@')) {
            return Err(format!("addresses: `{address}` is no address"));
        }
        if self.addresses.is_empty() {
            return Err("addresses: name one at least".to_owned());
        }
        if self.text.is_empty() || self.text.len() > TEXT_MAX {
            return Err("text: expected 1 to 65536 octets".to_owned());
        }
        let one_line = |text: &Option<String>| text.as_ref().is_none_or(|text| !text.chars().any(char::is_control));
        if !one_line(&self.subject) || !one_line(&self.from) {
            return Err("subject and from: expected one line".to_owned());
        }
        if self.from.as_ref().is_some_and(|from| !from.is_ascii() || !from.contains('@')) {
            return Err("from: expected an address, with a name in ASCII".to_owned());
        }
        Ok(())
    }

    fn is(&self, address: &str) -> bool {
        self.addresses.iter().any(|own| own.eq_ignore_ascii_case(address))
    }
}

/// The plugin.
pub struct Vacation(Config);

#[plugin(reads_notes = ["/vacation/received"], needs = ["inject", "kv"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for Vacation {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.days == 0 || config.days > 365 {
            return Err("days: expected 1 to 365".to_owned());
        }
        for (at, away) in config.away.iter().enumerate() {
            away.check().map_err(|why| format!("away[{at}].{why}"))?;
        }
        Ok(Self(config))
    }

    fn data_post(&self, _: &Connection, t: &Transaction, m: &Message) -> Outcome {
        if !t.recipients.iter().any(|to| self.0.away.iter().any(|away| away.is(&to.address))) {
            return Outcome::next();
        }
        match answer::reason_not_to(&t.reverse_path, m) {
            Some(reason) => Outcome::next().skip(Scope::Transaction, reason),
            None => Outcome::next().set_note(Scope::Transaction, NOTE, Received::of(m)),
        }
    }

    fn queue_ok(&self, _: &Connection, t: &Transaction, _: &str) -> Changes {
        let Some(received) = t.note::<Received>(NOTE) else { return Changes::none() };
        let mut changes = Changes::none();
        for to in &t.recipients {
            let Some(away) = self.0.away.iter().find(|away| away.is(&to.address)) else { continue };
            changes = match self.answer(away, &to.address, &t.reverse_path, &received) {
                Ok(Some(reason)) => changes.skip(Scope::Transaction, reason),
                Ok(None) => changes.pass(Scope::Transaction, "answered"),
                Err(failure) => changes.err(Scope::Transaction, format!("no answer: {failure:?}")),
            };
        }
        changes
    }
}

impl Vacation {
    /// Answers, or says why not.
    fn answer(
        &self,
        away: &Away,
        own: &str,
        sender: &str,
        received: &Received,
    ) -> Result<Option<&'static str>, Failure> {
        if sender.eq_ignore_ascii_case(own) {
            return Ok(Some("from itself"));
        }
        if !received.names(|address| away.is(address)) {
            return Ok(Some("not addressed"));
        }
        // It is remembered before it is sent: whoever crashes in between has answered once too seldom, not too often.
        let key = answer::key(own, sender);
        if !kv::compare_and_set(&key, None, Some(b"answered"), Some(self.0.days * 86_400))? {
            return Ok(Some("answered before"));
        }
        inject::send(&answer::message(away, own, sender, received))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
