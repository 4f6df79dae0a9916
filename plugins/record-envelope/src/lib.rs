//! Writes the envelope into the header. See README.md.

use wasmail_guest::prelude::*;

/// Recipients in one field. More would only make the header long: the log knows them all.
const RECIPIENTS_MAX: usize = 50;
/// Fields of our names in one message. One is a mistake, a hundred an attempt to make us ask for too many changes.
const FORGED_MAX: usize = 100;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the field with the reverse-path; empty for none.
    pub from_field: String,
    /// Name of the field with the recipients; empty for none.
    pub to_field: String,
    /// When the recipients are written. Every recipient can read them, the blind ones among them.
    pub recipients: Recipients,
    /// An address that gets a copy of every message. Needs the grant `edit-recipients`.
    pub archive: Option<String>,
}

/// When the recipients are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Recipients {
    /// Never.
    Never,
    /// When there is just one, so that nobody learns of a blind copy.
    Single,
    /// Always.
    Always,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from_field: "X-Envelope-From".into(),
            to_field: "X-Envelope-To".into(),
            recipients: Recipients::Single,
            archive: None,
        }
    }
}

/// The plugin.
pub struct RecordEnvelope(Config);

#[plugin(config_schema = include_str!("../config.schema.json"))]
impl Plugin for RecordEnvelope {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        for (key, name) in [("from_field", &config.from_field), ("to_field", &config.to_field)] {
            if name.bytes().any(|octet| !octet.is_ascii_graphic() || octet == b':') {
                return Err(format!("{key}: `{name}` is no header field name"));
            }
        }
        match &config.archive {
            Some(address) if address.split('@').count() != 2 => {
                Err(format!("archive: `{address}` is no address such as archive@example.test"))
            }
            _ => Ok(Self(config)),
        }
    }

    fn data_post(&self, _: &Connection, t: &Transaction, m: &Message) -> Outcome {
        let forged = self.forged(m);
        if forged.len() > FORGED_MAX {
            let text = format!("More than {FORGED_MAX} envelope fields");
            return Outcome::deny(text).with_status("5.6.0").fail(Scope::Connection, "forged");
        }
        let outcome = self.record(remove(Outcome::next(), &forged), t);
        match &self.0.archive {
            Some(archive) if !t.recipients.iter().any(|recipient| recipient.address == *archive) => {
                outcome.add_recipient(archive)
            }
            _ => outcome,
        }
    }
}

/// Removes fields from below, for what stands under a removed one moves up.
fn remove(outcome: Outcome, forged: &[usize]) -> Outcome {
    let outcome = forged.iter().rev().fold(outcome, |outcome, position| outcome.remove_header(*position));
    match forged.len() {
        0 => outcome,
        count => outcome.fail(Scope::Transaction, "forged").set(Scope::Transaction, "forged", count),
    }
}

impl RecordEnvelope {
    /// Where fields of our names came with the message: they say what the sender wants us to believe.
    fn forged(&self, m: &Message) -> Vec<usize> {
        let names = [&self.0.from_field, &self.0.to_field];
        let named = names.into_iter().filter(|name| !name.is_empty());
        let mut positions: Vec<_> = named.flat_map(|name| m.positions(name)).collect();
        positions.sort_unstable();
        positions
    }

    fn record(&self, mut outcome: Outcome, t: &Transaction) -> Outcome {
        if let Some(recipients) = self.recipients(t) {
            outcome = outcome.prepend_header(&self.0.to_field, recipients);
        }
        if !self.0.from_field.is_empty() {
            outcome = outcome.prepend_header(&self.0.from_field, path(&t.reverse_path));
        }
        outcome
    }

    fn recipients(&self, t: &Transaction) -> Option<String> {
        let write = match self.0.recipients {
            Recipients::Never => false,
            Recipients::Single => t.recipients.len() == 1,
            Recipients::Always => !t.recipients.is_empty(),
        };
        let paths = t.recipients.iter().take(RECIPIENTS_MAX).map(|recipient| path(&recipient.address));
        (write && !self.0.to_field.is_empty()).then(|| paths.collect::<Vec<_>>().join(", "))
    }
}

fn path(address: &str) -> String {
    format!("<{address}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::rt;

    fn plugin(json: &str) -> RecordEnvelope {
        rt::make(json).unwrap()
    }

    fn ask(json: &str, t: &Transaction, message: &str) -> Outcome {
        plugin(json).data_post(&Connection::example(), t, &Message::example(message))
    }

    #[test]
    fn the_envelope_is_written_on_top() {
        let t = Transaction::example("a@example.org").to("b@example.test");
        let expected = Outcome::next().prepend_header("X-Envelope-To", "<b@example.test>");
        assert_eq!(ask("{}", &t, "From: a\n\n"), expected.prepend_header("X-Envelope-From", "<a@example.org>"));
    }

    #[test]
    fn the_null_path_is_written_as_it_stands() {
        let t = Transaction::example("");
        assert_eq!(ask("{}", &t, "\n"), Outcome::next().prepend_header("X-Envelope-From", "<>"));
    }

    #[test]
    fn a_blind_copy_stays_blind_unless_asked_for() {
        let t = Transaction::example("a@example.org").to("b@example.test").to("blind@example.test");
        let from = |outcome: Outcome| outcome.prepend_header("X-Envelope-From", "<a@example.org>");
        assert_eq!(ask("{}", &t, "\n"), from(Outcome::next()));
        let both = Outcome::next().prepend_header("X-Envelope-To", "<b@example.test>, <blind@example.test>");
        assert_eq!(ask(r#"{"recipients": "always"}"#, &t, "\n"), from(both));
    }

    #[test]
    fn forged_fields_are_removed_from_below() {
        let t = Transaction::example("a@example.org");
        let message = "x-envelope-from: <boss@example.org>\nFrom: a\nX-Envelope-To: <c@example.test>\n\n";
        let expected = Outcome::next()
            .remove_header(2)
            .remove_header(0)
            .fail(Scope::Transaction, "forged")
            .set(Scope::Transaction, "forged", 2)
            .prepend_header("X-Envelope-From", "<a@example.org>");
        assert_eq!(ask("{}", &t, message), expected);
    }

    #[test]
    fn a_flood_of_forged_fields_is_refused() {
        let message = "X-Envelope-To: <a@example.test>\n".repeat(101);
        let outcome = ask("{}", &Transaction::example("a@example.org"), &message);
        assert!(matches!(outcome.verdict, wasmail_guest::Verdict::Deny(Some(_))));
    }

    #[test]
    fn the_archive_gets_a_copy_once() {
        let json = r#"{"from_field": "", "to_field": "", "archive": "archive@example.test"}"#;
        let t = Transaction::example("a@example.org").to("b@example.test");
        assert_eq!(ask(json, &t, "\n"), Outcome::next().add_recipient("archive@example.test"));
        assert_eq!(ask(json, &t.to("archive@example.test"), "\n"), Outcome::next());
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<RecordEnvelope>(json).err().unwrap();
        assert_eq!(error(r#"{"to_field": "X To"}"#), "to_field: `X To` is no header field name");
        assert!(error(r#"{"archive": "archive"}"#).starts_with("archive: `archive`"));
        assert!(error(r#"{"recipients": "some"}"#).starts_with("recipients: unknown variant `some`"));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
