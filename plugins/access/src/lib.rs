//! Allows and refuses clients, greetings, senders and recipients by list. See README.md.

mod config;
mod list;

use std::collections::{BTreeMap, BTreeSet};

use wasmail_guest::prelude::*;

pub use config::{Config, Lists};
use list::{Kind, List};

/// Refuses as a gate says. What is recorded lasts as long as the connection: a refused transaction takes its own results
/// along.
macro_rules! denied {
    ($outcome:ident, $gate:expr, $hook:expr) => {
        $outcome::refuse($gate.refusal, &$gate.text).with_detail(7, 1).fail(Scope::Connection, $hook).incr(
            Scope::Connection,
            "denied",
            1.0,
        )
    };
}

/// The plugin.
pub struct Access {
    connect: Gate,
    helo: Gate,
    mail: Gate,
    rcpt: Gate,
    /// Addresses in lower case, and where their mail goes.
    redirect: BTreeMap<String, String>,
    /// Addresses in lower case.
    discard: BTreeSet<String>,
    skip: Vec<String>,
}

/// The lists of one hook.
struct Gate {
    allow: List,
    deny: List,
    refusal: Refusal,
    text: String,
}

/// What a gate says of somebody.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Allowed,
    Denied,
    Unlisted,
}

#[plugin(config_schema = include_str!("../config.schema.json"))]
impl Plugin for Access {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let lower = |address: &String| address.to_ascii_lowercase();
        config.check()?;
        Ok(Self {
            redirect: config.redirect.iter().map(|(from, to)| (lower(from), to.clone())).collect(),
            discard: config.discard.iter().map(lower).collect(),
            skip: config.skip_for_allowed,
            connect: Gate::new("connect", config.connect, Kind::Client, Refusal::DenyDisconnect)?,
            helo: Gate::new("helo", config.helo, Kind::Host, Refusal::Deny)?,
            mail: Gate::new("mail", config.mail, Kind::Address, Refusal::Deny)?,
            rcpt: Gate::new("rcpt", config.rcpt, Kind::Address, Refusal::Deny)?,
        })
    }

    fn connect(&self, c: &Connection) -> ConnectOutcome {
        let gate = &self.connect;
        match gate.entry(|list| list.has_client(c.ip(), c.remote.host.as_deref())) {
            Entry::Unlisted => ConnectOutcome::next(),
            Entry::Denied => denied!(ConnectOutcome, gate, "connect"),
            Entry::Allowed => {
                let outcome = ConnectOutcome::next().pass(Scope::Connection, "connect");
                self.skip.iter().fold(outcome, |outcome, plugin| outcome.skip_plugin(plugin))
            }
        }
    }

    fn helo(&self, c: &Connection) -> Outcome {
        self.hello(c)
    }

    fn ehlo(&self, c: &Connection) -> Outcome {
        self.hello(c)
    }

    fn mail(&self, _: &Connection, t: &Transaction) -> ReplyingOutcome {
        self.address(&self.mail, "mail", &t.reverse_path)
    }

    fn rcpt(&self, _: &Connection, t: &Transaction, r: &Recipient) -> ReplyingOutcome {
        let outcome = self.address(&self.rcpt, "rcpt", &r.address);
        if self.redirect.is_empty() || !outcome.is_next() {
            return outcome;
        }
        match self.redirect.get(&r.address.to_ascii_lowercase()) {
            Some(to) => outcome.rewrite_recipient(t.recipients.len(), to).push(
                Scope::Transaction,
                "redirected",
                [&r.address, to],
            ),
            None => outcome,
        }
    }

    fn queue(&self, _: &Connection, t: &Transaction, _: &Message) -> ReplyingOutcome {
        self.throw_away(t)
    }

    fn queue_outbound(&self, _: &Connection, t: &Transaction, _: &Message) -> ReplyingOutcome {
        self.throw_away(t)
    }
}

impl Access {
    /// Takes the message away from recipients whose mail is thrown away.
    fn throw_away(&self, t: &Transaction) -> ReplyingOutcome {
        let discarded = |recipient: &Recipient| self.discard.contains(&recipient.address.to_ascii_lowercase());
        let positions: Vec<_> = match self.discard.is_empty() {
            true => Vec::new(),
            false => (0..t.recipients.len()).filter(|at| discarded(&t.recipients[*at])).collect(),
        };
        match positions.len() {
            0 => ReplyingOutcome::next(),
            // Nobody is left: the message is ours, and ends here.
            all if all == t.recipients.len() => ReplyingOutcome::accept().msg(Scope::Transaction, "discarded"),
            // From behind, for what follows a removed one moves up.
            _ => positions.iter().rev().fold(ReplyingOutcome::next(), |outcome, at| outcome.remove_recipient(*at)),
        }
    }

    fn hello(&self, c: &Connection) -> Outcome {
        match self.helo.entry(|list| list.has_host(c.greeting())) {
            Entry::Unlisted => Outcome::next(),
            Entry::Allowed => Outcome::next().pass(Scope::Connection, "helo"),
            Entry::Denied => denied!(Outcome, self.helo, "helo"),
        }
    }

    fn address(&self, gate: &Gate, hook: &str, address: &str) -> ReplyingOutcome {
        match gate.entry(|list| list.has_address(address)) {
            Entry::Unlisted => ReplyingOutcome::next(),
            Entry::Allowed => ReplyingOutcome::next().pass(Scope::Transaction, hook),
            Entry::Denied => denied!(ReplyingOutcome, gate, hook),
        }
    }
}

impl Gate {
    fn new(hook: &str, lists: Lists, kind: Kind, refusal: Refusal) -> Result<Self, String> {
        Ok(Self {
            allow: List::new(&format!("{hook}.allow"), &lists.allow, kind)?,
            deny: List::new(&format!("{hook}.deny"), &lists.deny, kind)?,
            refusal: lists.refusal.unwrap_or(refusal),
            text: lists.text.unwrap_or_else(|| "Not welcome here".into()),
        })
    }

    /// Who is on both lists is allowed.
    fn entry(&self, has: impl Fn(&List) -> bool) -> Entry {
        if has(&self.allow) {
            Entry::Allowed
        } else if has(&self.deny) {
            Entry::Denied
        } else {
            Entry::Unlisted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::{ConnectVerdict, ReplyingVerdict, rt};

    fn access(json: &str) -> Access {
        rt::make(json).unwrap()
    }

    fn mail(json: &str, sender: &str) -> ReplyingOutcome {
        access(json).mail(&Connection::example(), &Transaction::example(sender))
    }

    fn rcpt(json: &str, t: &Transaction, recipient: &str) -> ReplyingOutcome {
        access(json).rcpt(&Connection::example(), t, &Recipient::example(recipient))
    }

    #[test]
    fn a_listed_client_is_hung_up_on() {
        let access = access(r#"{"connect": {"deny": ["203.0.113.0/24", "*.dyn.example", "bad.example.net"]}}"#);
        let by_address = access.connect(&Connection::example());
        assert!(matches!(by_address.verdict, ConnectVerdict::DenyDisconnect(Some(_))));
        let expected = ConnectOutcome::next().fail(Scope::Connection, "connect");
        assert_eq!(by_address.mutations, expected.incr(Scope::Connection, "denied", 1.0).mutations);
        let elsewhere = Connection::example().from_ip("198.51.100.1");
        assert!(access.connect(&elsewhere).is_next());
        assert!(!access.connect(&elsewhere.clone().from_host("a.b.Dyn.Example")).is_next());
        assert!(!access.connect(&elsewhere.clone().from_host("bad.example.net")).is_next());
        assert!(access.connect(&elsewhere.from_host("dyn.example")).is_next());
    }

    #[test]
    fn a_client_on_both_lists_is_allowed_and_spared() {
        let json =
            r#"{"connect": {"allow": ["203.0.113.9"], "deny": ["203.0.113.0/24"]}, "skip_for_allowed": ["karma"]}"#;
        let expected = ConnectOutcome::next().pass(Scope::Connection, "connect").skip_plugin("karma");
        assert_eq!(access(json).connect(&Connection::example()), expected);
    }

    #[test]
    fn a_listed_greeting_is_refused_as_the_operator_says() {
        let access = access(r#"{"helo": {"deny": ["ylmf-pc"], "refusal": "disconnect"}}"#);
        assert_eq!(access.ehlo(&Connection::example().says("YLMF-PC")).verdict, wasmail_guest::Verdict::Disconnect);
        assert_eq!(access.helo(&Connection::example()), Outcome::next());
    }

    #[test]
    fn senders_are_listed_by_address_domain_and_what_lies_below() {
        let json = r#"{"mail": {"deny": ["spammer@example.net", "bad.example", "*.worse.example", "<>"],
                       "allow": ["good@bad.example"], "text": "Go away"}}"#;
        for refused in ["Spammer@Example.Net", "any@bad.example", "any@a.worse.example", ""] {
            let outcome = mail(json, refused);
            let ReplyingVerdict::Deny(Some(reply)) = outcome.verdict else { panic!("{refused} is refused") };
            assert_eq!(reply.lines, ["Go away"]);
        }
        for unlisted in ["other@example.net", "any@sub.bad.example", "any@worse.example"] {
            assert_eq!(mail(json, unlisted), ReplyingOutcome::next(), "{unlisted}");
        }
        assert_eq!(mail(json, "good@bad.example"), ReplyingOutcome::next().pass(Scope::Transaction, "mail"));
    }

    #[test]
    fn the_mail_of_a_redirected_recipient_goes_elsewhere() {
        let json =
            r#"{"redirect": {"Old@example.test": "new@example.test"}, "rcpt": {"deny": ["nobody@example.test"]}}"#;
        let t = Transaction::example("a@example.org").to("first@example.test");
        let expected = ReplyingOutcome::next().rewrite_recipient(1, "new@example.test");
        let expected = expected.push(Scope::Transaction, "redirected", ["old@EXAMPLE.test", "new@example.test"]);
        assert_eq!(rcpt(json, &t, "old@EXAMPLE.test"), expected);
        assert_eq!(rcpt(json, &t, "other@example.test"), ReplyingOutcome::next());
        assert!(matches!(rcpt(json, &t, "nobody@example.test").verdict, ReplyingVerdict::Deny(_)));
    }

    #[test]
    fn discarded_recipients_are_removed_and_a_message_for_nobody_else_is_taken() {
        let access = access(r#"{"discard": ["hole@example.test", "pit@example.test"]}"#);
        let ask = |t: &Transaction| access.queue(&Connection::example(), t, &Message::example("\n"));
        let t = Transaction::example("a@example.org").to("hole@example.test");
        let taken = ReplyingOutcome::accept().msg(Scope::Transaction, "discarded");
        assert_eq!(ask(&t), taken);
        let mixed = t.to("b@example.test").to("Pit@example.test");
        assert_eq!(ask(&mixed), ReplyingOutcome::next().remove_recipient(2).remove_recipient(0));
        assert_eq!(ask(&Transaction::example("a@example.org").to("b@example.test")), ReplyingOutcome::next());
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<Access>(json).err().unwrap();
        assert!(error(r#"{"connect": {"deny": ["10.0.0.0/33"]}}"#).starts_with("connect.deny[0]: `10.0.0.0/33`"));
        assert!(error(r#"{"helo": {"allow": ["a@b"]}}"#).starts_with("helo.allow[0]: `a@b`"));
        assert!(error(r#"{"mail": {"deny": ["a.*.b"]}}"#).starts_with("mail.deny[0]: `a.*.b`"));
        assert!(error(r#"{"redirect": {"a": "b@c.test"}}"#).starts_with("redirect: `a`"));
        assert!(error(r#"{"rcpt": {"text": "a\r\nb"}}"#).starts_with("rcpt.text: "));
        assert!(error(r#"{"rcpt": {"refuse": "deny"}}"#).starts_with("rcpt.refuse: unknown field"));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
