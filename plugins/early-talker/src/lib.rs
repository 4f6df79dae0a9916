//! Lets strangers wait for the greeting, and refuses those who do not. See README.md.

use wasmail_guest::prelude::*;

/// Longest pause that the contract allows in one answer, in milliseconds.
const PAUSE_MAX: u32 = 30_000;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a stranger waits for the greeting, in milliseconds, 30 000 at most. With 0 only those are caught who speak
    /// at once.
    pub pause_ms: u32,
    /// Where those who spoke first are refused.
    pub at: At,
    /// How they are refused.
    pub refusal: Refusal,
    /// Who is neither paused nor refused.
    pub exempt: Exempt,
}

/// Where early talkers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// At HELO and EHLO.
    Hello,
    /// At DATA, so that the log knows sender and recipients.
    Data,
}

impl Default for Config {
    fn default() -> Self {
        // Postfix's postscreen waits two seconds under stress and six otherwise; most spamware speaks within one.
        Self { pause_ms: 2_000, at: At::Hello, refusal: Refusal::Deny, exempt: Exempt::Private }
    }
}

/// The plugin.
pub struct EarlyTalker(Config);

#[plugin(config_schema = include_str!("../config.schema.json"))]
impl Plugin for EarlyTalker {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        match config.pause_ms {
            0..=PAUSE_MAX => Ok(Self(config)),
            pause => Err(format!("pause_ms: {pause} exceeds {PAUSE_MAX}")),
        }
    }

    fn connect(&self, c: &Connection) -> ConnectOutcome {
        match (self.0.exempt.reason(c), self.0.pause_ms) {
            (Some(reason), _) => ConnectOutcome::next().skip(Scope::Connection, reason),
            (None, 0) => ConnectOutcome::next(),
            (None, pause) => ConnectOutcome::next().delay(pause).set(Scope::Connection, "paused_ms", pause),
        }
    }

    fn helo(&self, c: &Connection) -> Outcome {
        self.hello(c)
    }

    fn ehlo(&self, c: &Connection) -> Outcome {
        self.hello(c)
    }

    fn data(&self, c: &Connection, _: &Transaction) -> Outcome {
        if self.0.at == At::Data && self.caught(c) { self.refuse() } else { Outcome::next() }
    }
}

impl EarlyTalker {
    fn hello(&self, c: &Connection) -> Outcome {
        if !self.caught(c) {
            return Outcome::next();
        }
        let outcome = if self.0.at == At::Hello { self.refuse() } else { Outcome::next() };
        outcome.fail(Scope::Connection, "early")
    }

    fn caught(&self, c: &Connection) -> bool {
        c.counters.early_talker && self.0.exempt.reason(c).is_none()
    }

    /// RFC 5321 section 3.1: the client waits for the greeting.
    fn refuse(&self) -> Outcome {
        Outcome::refuse(self.0.refusal, "You spoke before you were greeted").with_detail(5, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::{Counters, Verdict, rt};

    fn plugin(json: &str) -> EarlyTalker {
        rt::make(json).unwrap()
    }

    fn early() -> Connection {
        let c = Connection::example();
        Connection { counters: Counters { early_talker: true, ..c.counters }, ..c }
    }

    #[test]
    fn a_stranger_waits_and_our_own_do_not() {
        let outcome = plugin(r#"{"pause_ms": 500}"#).connect(&Connection::example());
        assert_eq!(outcome, ConnectOutcome::next().delay(500).set(Scope::Connection, "paused_ms", 500));
        let local = Connection::example().from_ip("127.0.0.1");
        assert_eq!(plugin("{}").connect(&local), ConnectOutcome::next().skip(Scope::Connection, "private"));
        assert_eq!(plugin(r#"{"pause_ms": 0}"#).connect(&Connection::example()), ConnectOutcome::next());
    }

    #[test]
    fn who_speaks_first_is_refused_when_it_greets() {
        let plugin = plugin("{}");
        assert_eq!(plugin.ehlo(&Connection::example()), Outcome::next());
        let refused = plugin.ehlo(&early());
        assert!(matches!(refused.verdict, Verdict::Deny(Some(_))));
        assert_eq!(plugin.helo(&early()), refused);
        assert_eq!(plugin.data(&early(), &Transaction::example("a@example.org")), Outcome::next());
    }

    #[test]
    fn the_refusal_can_wait_for_data_and_be_without_a_word() {
        let plugin = plugin(r#"{"at": "data", "refusal": "disconnect"}"#);
        assert_eq!(plugin.ehlo(&early()), Outcome::next().fail(Scope::Connection, "early"));
        assert_eq!(plugin.data(&early(), &Transaction::example("a@example.org")), Outcome::disconnect());
    }

    #[test]
    fn a_soft_refusal_has_a_soft_code() {
        let Verdict::DenySoftDisconnect(Some(reply)) =
            plugin(r#"{"refusal": "deny-soft-disconnect"}"#).ehlo(&early()).verdict
        else {
            panic!("a soft refusal");
        };
        assert_eq!(reply.enhanced.map(|status| status.class), Some(4));
    }

    #[test]
    fn our_own_clients_may_speak_first() {
        let c = Connection { relaying: true, ..early() };
        assert_eq!(plugin("{}").ehlo(&c), Outcome::next());
        assert!(!plugin(r#"{"exempt": "nobody"}"#).ehlo(&c).is_next());
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<EarlyTalker>(json).err().unwrap();
        assert_eq!(error(r#"{"pause_ms": 30001}"#), "pause_ms: 30001 exceeds 30000");
        assert!(error(r#"{"refusal": "no"}"#).starts_with("refusal: unknown variant `no`"));
        assert!(error(r#"{"pause": 1}"#).starts_with("pause: unknown field"));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
