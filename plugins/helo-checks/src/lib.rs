//! Checks what clients call themselves. See README.md.

mod checks;
mod config;

use wasmail_guest::prelude::*;

pub use config::{Checks, Config};

/// Where the names of the checks that failed stand, for plugins that decide later.
const NOTE: &str = "/helo-checks/failed";

/// The plugin.
pub struct HeloChecks(Config);

#[plugin(reads_notes = ["/helo-checks/failed"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for HeloChecks {
    type Config = Config;

    fn configure(mut config: Config) -> Result<Self, String> {
        config.own_names.iter_mut().for_each(|name| name.make_ascii_lowercase());
        Ok(Self(config))
    }

    fn helo(&self, c: &Connection) -> Outcome {
        self.check(c)
    }

    fn ehlo(&self, c: &Connection) -> Outcome {
        self.check(c)
    }
}

impl HeloChecks {
    fn check(&self, c: &Connection) -> Outcome {
        if let Some(reason) = self.0.exempt.reason(c) {
            return Outcome::next().skip(Scope::Connection, reason);
        }
        let failed = checks::failed(c, &self.0);
        let reject = failed.iter().find(|(_, check)| *check == Check::Reject);
        let outcome = match reject {
            Some((failure, _)) => Outcome::refuse(self.0.refusal, failure.text()).with_detail(7, 1),
            None => Outcome::next(),
        };
        let names: Vec<_> = failed.iter().map(|(failure, _)| failure.name()).collect();
        record(outcome, c, &names)
    }
}

fn record(outcome: Outcome, c: &Connection, failed: &[&str]) -> Outcome {
    let noted = !c.notes.is_empty();
    if failed.is_empty() {
        let outcome = outcome.pass(Scope::Connection, "hello");
        // The client has greeted again, and better.
        return if noted { outcome.remove_note(Scope::Connection, NOTE) } else { outcome };
    }
    let outcome = failed.iter().fold(outcome, |outcome, name| outcome.fail(Scope::Connection, *name));
    outcome.set_note(Scope::Connection, NOTE, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::{Verdict, rt};

    fn plugin(json: &str) -> HeloChecks {
        rt::make(json).unwrap()
    }

    #[test]
    fn a_good_name_passes() {
        let c = Connection::example().says("mail.example.org");
        assert_eq!(plugin("{}").ehlo(&c), Outcome::next().pass(Scope::Connection, "hello"));
    }

    #[test]
    fn a_bare_address_is_refused_and_noted() {
        let outcome = plugin("{}").helo(&Connection::example().says("203.0.113.9"));
        assert!(matches!(outcome.verdict, Verdict::Deny(Some(_))));
        let expected = Outcome::next().fail(Scope::Connection, "bare-ip");
        assert_eq!(outcome.mutations, expected.set_note(Scope::Connection, NOTE, ["bare-ip"]).mutations);
    }

    #[test]
    fn what_is_only_recorded_does_not_refuse() {
        let outcome = plugin("{}").ehlo(&Connection::example().says("localhost"));
        assert!(outcome.is_next());
        let expected = Outcome::next().fail(Scope::Connection, "unqualified");
        assert_eq!(outcome.mutations, expected.set_note(Scope::Connection, NOTE, ["unqualified"]).mutations);
    }

    #[test]
    fn a_better_greeting_clears_the_note() {
        let c = Connection::example().says("mail.example.org").with_note(NOTE, ["unqualified"]);
        let expected = Outcome::next().pass(Scope::Connection, "hello").remove_note(Scope::Connection, NOTE);
        assert_eq!(plugin("{}").ehlo(&c), expected);
    }

    #[test]
    fn local_programs_may_call_themselves_what_they_like() {
        for name in ["[127.0.0.1]", "localhost", "my laptop", "mx.example.test"] {
            let c = Connection::example().from_ip("127.0.0.1").says(name);
            assert_eq!(plugin("{}").ehlo(&c), Outcome::next().skip(Scope::Connection, "local"), "{name}");
        }
    }

    #[test]
    fn the_operator_chooses_what_is_refused_and_how() {
        let strict = plugin(r#"{"checks": {"unqualified": "reject"}, "refusal": "deny-soft-disconnect"}"#);
        let outcome = strict.ehlo(&Connection::example().says("localhost"));
        assert!(matches!(outcome.verdict, Verdict::DenySoftDisconnect(Some(_))));
        let lax = plugin(r#"{"checks": {"bare_ip": "off"}}"#);
        assert!(lax.ehlo(&Connection::example().says("203.0.113.9")).is_next());
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<HeloChecks>(json).err().unwrap();
        assert!(error(r#"{"checks": {"bare-ip": "off"}}"#).starts_with("checks.bare-ip: unknown field `bare-ip`"));
        assert!(error(r#"{"checks": {"bare_ip": true}}"#).starts_with("checks.bare_ip: "));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
