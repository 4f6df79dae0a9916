//! The example that there is in every language; `guest-sdk/example` says what it does.

use wasmail_guest::prelude::*;
use wasmail_guest::{Failure, kv};

/// Configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Example {
    domains: Vec<String>,
    blocked: Vec<String>,
    greeting: String,
}

fn listed(list: &[String], text: &str) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(text))
}

impl Example {
    /// Greets a sender, and says how often it has come.
    fn greeted(&self, sender: &str) -> ReplyingOutcome {
        if self.greeting.is_empty() {
            return ReplyingOutcome::next();
        }
        match kv::increment(sender, 1, None) {
            Ok(times) => ReplyingOutcome::accept_with(format!("{}, {times}", self.greeting)),
            Err(Failure::NotGranted) => ReplyingOutcome::accept_with(format!("{}, stranger", self.greeting)),
            Err(_) => ReplyingOutcome::next(),
        }
    }
}

#[plugin(reads_notes = ["/example/seen", "/example/recipients"], needs = ["accept-recipients"])]
impl Plugin for Example {
    type Config = Self;

    fn connect(&self, _: &Connection) -> ConnectOutcome {
        ConnectOutcome::next().set_note(Scope::Connection, "/example/seen", 1)
    }

    fn mail(&self, _: &Connection, t: &Transaction) -> ReplyingOutcome {
        let outcome = match listed(&self.blocked, &t.reverse_path) {
            true => ReplyingOutcome::deny(format!("{} is blocked here", t.reverse_path)).with_status("5.7.1"),
            false => self.greeted(&t.reverse_path),
        };
        outcome.incr(Scope::Connection, "senders", 1.0)
    }

    fn rcpt(&self, _: &Connection, t: &Transaction, r: &Recipient) -> ReplyingOutcome {
        let (local, domain) = r.address.rsplit_once('@').unwrap_or((&r.address, ""));
        if local.eq_ignore_ascii_case("nobody") {
            return ReplyingOutcome::deny("no such user here\nask postmaster").with_status("5.1.1");
        }
        let ours = listed(&self.domains, domain);
        let outcome = if ours { ReplyingOutcome::accept() } else { ReplyingOutcome::next() };
        outcome.set_note(Scope::Transaction, "/example/recipients", t.recipients.len() + 1)
    }

    fn data_post(&self, c: &Connection, t: &Transaction, m: &Message) -> Outcome {
        let Some(subject) = m.value("Subject") else {
            return Outcome::deny_soft("come back with a subject").with_code(451).with_status("4.7.1");
        };
        let recipients: u32 = t.note("/example/recipients").unwrap_or_default();
        let seen: u32 = c.note("/example/seen").unwrap_or_default();
        let (subject, body) = (subject.chars().count(), m.body_size());
        Outcome::next()
            .add_header("X-Example", format!("recipients={recipients}; subject={subject}; body={body}; seen={seen}"))
            .pass(Scope::Transaction, "checked")
    }
}
