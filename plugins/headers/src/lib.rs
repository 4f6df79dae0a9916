//! Checks the header fields that RFC 5322 asks for, and mends those of our own clients. See README.md.

mod config;
mod date;
mod mailbox;

use wasmail_guest::Field;
use wasmail_guest::prelude::*;

pub use config::Config;
use config::{Checks, Name};

/// The plugin.
pub struct Headers {
    config: Config,
    required: Vec<Name>,
    singular: Vec<Name>,
}

/// What is wrong with a header, in the words of results and of the reply.
struct Failure {
    check: Check,
    name: &'static str,
    text: String,
}

#[plugin(config_schema = include_str!("../config.schema.json"))]
impl Plugin for Headers {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let required = config::names("required", &config.required)?;
        let singular = config::names("singular", &config.singular)?;
        Ok(Self { config, required, singular })
    }

    fn data_post(&self, c: &Connection, t: &Transaction, m: &Message) -> Outcome {
        let header = Header { fields: m.fields() };
        let mut outcome = Outcome::next();
        let mut failures = Vec::new();
        let mend = self.config.mend && c.relaying;
        if mend {
            outcome = mend_identity(outcome, &header, c, t);
        }
        self.missing(&header, mend, &mut failures);
        self.duplicate(&header, &mut failures);
        outcome = self.date(outcome, &header, c, mend, &mut failures);
        self.from(&header, &mut failures);
        self.answer(outcome, &failures)
    }
}

/// The fields of a message.
struct Header {
    fields: Vec<Field>,
}

impl Header {
    fn find(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name.eq_ignore_ascii_case(name))
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
    }
}

/// What a submission server adds when a mail program left it out (RFC 6409 sections 8.1 and 8.3).
fn mend_identity(outcome: Outcome, header: &Header, c: &Connection, t: &Transaction) -> Outcome {
    let mut outcome = outcome;
    if !header.has("Date") {
        let date = date::write(c.counters.started);
        outcome = outcome.add_header("Date", date).msg(Scope::Transaction, "added Date");
    }
    if !header.has("Message-ID") {
        let id = format!("<{}@{}>", t.uuid, c.local.host);
        outcome = outcome.add_header("Message-ID", id).msg(Scope::Transaction, "added Message-ID");
    }
    outcome
}

impl Headers {
    fn checks(&self) -> &Checks {
        &self.config.checks
    }

    fn missing(&self, header: &Header, mended: bool, failures: &mut Vec<Failure>) {
        let is_mended = |name: &Name| mended && (name.is("Date") || name.is("Message-ID"));
        let missing = self.required.iter().filter(|name| !header.has(name) && !is_mended(name));
        let (check, name) = (self.checks().missing, "missing");
        failures.extend(missing.map(|field| Failure { check, name, text: format!("Field {field} is missing") }));
    }

    fn duplicate(&self, header: &Header, failures: &mut Vec<Failure>) {
        let duplicate = self.singular.iter().filter(|name| header.count(name) > 1);
        let (check, name) = (self.checks().duplicate, "duplicate");
        let text = |field: &Name| format!("Field {field} stands there more than once");
        failures.extend(duplicate.map(|field| Failure { check, name, text: text(field) }));
    }

    /// A date that makes no sense is replaced for our own clients, and a failure for others.
    fn date(
        &self,
        outcome: Outcome,
        header: &Header,
        c: &Connection,
        mend: bool,
        failures: &mut Vec<Failure>,
    ) -> Outcome {
        let Some((position, field)) = header.find("Date") else { return outcome };
        let now = c.counters.started;
        let Err(why) = date::check(&field.value, now, self.config.date_past_days, self.config.date_future_days) else {
            return outcome;
        };
        if mend {
            let outcome = outcome.replace_header(position, "Date", date::write(now));
            return outcome.msg(Scope::Transaction, "replaced Date");
        }
        failures.push(Failure { check: self.checks().date, name: "date", text: format!("Field Date {why}") });
        outcome
    }

    fn from(&self, header: &Header, failures: &mut Vec<Failure>) {
        let Some((_, field)) = header.find("From") else { return };
        let why = match mailbox::count(&field.value) {
            None => "holds no address such as user@example.org",
            // RFC 5322 section 3.6.2: with several authors somebody has to say who sent it.
            Some(2..) if !header.has("Sender") => "names several authors, and no field Sender",
            Some(_) => return,
        };
        failures.push(Failure { check: self.checks().from, name: "from", text: format!("Field From {why}") });
    }

    fn answer(&self, mended: Outcome, failures: &[Failure]) -> Outcome {
        let recorded = || failures.iter().filter(|failure| failure.check != Check::Off);
        // What is refused is recorded where it outlives the transaction.
        let rejected = recorded().find(|failure| failure.check == Check::Reject);
        let (outcome, scope) = match rejected {
            None => (mended, Scope::Transaction),
            Some(failure) => {
                let outcome = Outcome::refuse(self.config.refusal, &failure.text).with_detail(6, 0);
                (outcome, Scope::Connection)
            }
        };
        recorded().fold(outcome, |outcome, failure| outcome.fail(scope, failure.name))
    }
}

#[cfg(test)]
mod tests;
