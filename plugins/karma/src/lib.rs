//! Adds up what other plugins found and refuses clients past a threshold. See README.md.

mod config;
mod score;

use wasmail_guest::prelude::*;

pub use config::{Config, Points, Threshold};
use score::Rule;

/// Where the score stands, for other plugins and for the next hook.
const NOTE: &str = "/karma/score";
/// Fields of our name in one message. One is a mistake, a hundred an attempt to make us ask for too many changes.
const FORGED_MAX: usize = 100;

/// The plugin.
pub struct Karma {
    rules: Vec<Rule>,
    counters: Points,
    /// Lowest score first.
    thresholds: Vec<Threshold>,
    exempt: Exempt,
    field: String,
    text: String,
}

/// Writes the new score down and refuses when it is too low. It lasts as long as the connection: a refused transaction
/// takes its own notes along.
macro_rules! judge {
    ($outcome:ident, $karma:expr, $c:expr, $t:expr) => {
        match $karma.exempt.reason($c) {
            Some(_) => $outcome::next(),
            None => {
                let (score, before) = ($karma.score($c, $t), $c.note::<i64>(NOTE).unwrap_or_default());
                let outcome = match $karma.refusal(score) {
                    Some(refusal) => $outcome::refuse(refusal, &$karma.text).with_detail(7, 1),
                    None => $outcome::next(),
                };
                match score == before {
                    true => outcome,
                    false => outcome.set_note(Scope::Connection, NOTE, score).incr(
                        Scope::Connection,
                        "score",
                        score::difference(score, before),
                    ),
                }
            }
        }
    };
}

#[plugin(
    reads_notes = ["/karma/score"],
    reads_results = ["*"],
    config_schema = include_str!("../config.schema.json"),
)]
impl Plugin for Karma {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        let rules = config.rules.iter().map(|(key, points)| Rule::parse(key, *points));
        let mut thresholds = config.thresholds;
        thresholds.sort_by_key(|threshold| threshold.score);
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            counters: config.counters,
            thresholds,
            exempt: config.exempt,
            field: config.field,
            text: config.text,
        })
    }

    fn mail(&self, c: &Connection, t: &Transaction) -> ReplyingOutcome {
        judge!(ReplyingOutcome, self, c, t)
    }

    fn rcpt(&self, c: &Connection, t: &Transaction, _: &Recipient) -> ReplyingOutcome {
        judge!(ReplyingOutcome, self, c, t)
    }

    fn data(&self, c: &Connection, t: &Transaction) -> Outcome {
        judge!(Outcome, self, c, t)
    }

    fn data_post(&self, c: &Connection, t: &Transaction, m: &Message) -> Outcome {
        let outcome = judge!(Outcome, self, c, t);
        if self.field.is_empty() || !outcome.is_next() {
            return outcome;
        }
        let forged = m.positions(&self.field);
        if forged.len() > FORGED_MAX {
            return Outcome::deny(format!("More than {FORGED_MAX} fields {}", self.field)).with_status("5.6.0");
        }
        let outcome = forged.iter().rev().fold(outcome, |outcome, at| outcome.remove_header(*at));
        outcome.add_header(&self.field, self.explain(c, t))
    }

    fn disconnect(&self, c: &Connection) {
        if let Some(score @ ..0) = c.note::<i64>(NOTE) {
            log::info(&format!("score {score}"));
        }
    }
}

impl Karma {
    fn score(&self, c: &Connection, t: &Transaction) -> i64 {
        let results = c.results.iter().chain(&t.results);
        let by_rules: i64 = results.flat_map(|results| self.rules.iter().map(|rule| rule.points(results))).sum();
        by_rules + score::of_counters(&self.counters, &c.counters)
    }

    /// What the lowest threshold that the score reaches says.
    fn refusal(&self, score: i64) -> Option<Refusal> {
        self.thresholds.iter().find(|threshold| score <= threshold.score).map(|threshold| threshold.refusal)
    }

    /// The score with the rules that made it, for the header.
    fn explain(&self, c: &Connection, t: &Transaction) -> String {
        let mut text = self.score(c, t).to_string();
        for results in c.results.iter().chain(&t.results) {
            for rule in &self.rules {
                let points = rule.points(results);
                if points != 0 {
                    text += &format!("; {rule}={points}");
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::{Counters, ResultList, Verdict, rt};

    fn karma(json: &str) -> Karma {
        rt::make(json).unwrap()
    }

    fn t() -> Transaction {
        Transaction::example("a@example.org")
    }

    fn helo_failed(test: &str) -> Connection {
        Connection::example().with_result("helo-checks", ResultList::Fail, test)
    }

    #[test]
    fn a_client_of_whom_nothing_is_known_costs_nothing() {
        let karma = karma("{}");
        assert_eq!(karma.mail(&Connection::example(), &t()), ReplyingOutcome::next());
        assert_eq!(karma.data(&Connection::example(), &t()), Outcome::next());
    }

    #[test]
    fn what_others_found_is_added_up_and_written_down_once() {
        let karma = karma(r#"{"rules": {"helo-checks fail": -1, "helo-checks fail dynamic": -2, "x pass": 5}}"#);
        let c = helo_failed("dynamic").with_result("helo-checks", ResultList::Fail, "rdns-mismatch");
        let expected = Outcome::next().set_note(Scope::Connection, NOTE, -4).incr(Scope::Connection, "score", -4.0);
        assert_eq!(karma.data(&c, &t()), expected);
        assert_eq!(karma.data(&c.with_note(NOTE, -4), &t()), Outcome::next());
    }

    #[test]
    fn the_results_of_the_transaction_count_while_it_lasts() {
        let karma = karma(r#"{"rules": {"headers fail": -3}}"#);
        let c = Connection::example().with_note(NOTE, -1);
        let with = karma.data(&c, &t().with_result("headers", ResultList::Fail, "date"));
        let expected = Outcome::next().set_note(Scope::Connection, NOTE, -3).incr(Scope::Connection, "score", -2.0);
        assert_eq!(with, expected);
        let without = karma.mail(&c, &t());
        assert_eq!(
            without.mutations,
            Outcome::next().set_note(Scope::Connection, NOTE, 0).incr(Scope::Connection, "score", 1.0).mutations
        );
    }

    #[test]
    fn the_lowest_threshold_that_is_reached_decides() {
        let json = r#"{"rules": {"a fail": -1}, "thresholds": [
            {"score": -2, "refusal": "deny-soft"}, {"score": -3, "refusal": "deny-soft-disconnect"},
            {"score": -4, "refusal": "deny"}, {"score": -5, "refusal": "deny-disconnect"},
            {"score": -6, "refusal": "disconnect"}]}"#;
        let karma = karma(json);
        let verdict = |fails: usize| {
            let c = (0..fails).fold(Connection::example(), |c, _| c.with_result("a", ResultList::Fail, "x"));
            karma.data(&c, &t()).verdict
        };
        assert_eq!(verdict(1), Verdict::Next);
        assert!(matches!(verdict(2), Verdict::DenySoft(Some(_))));
        assert!(matches!(verdict(3), Verdict::DenySoftDisconnect(Some(_))));
        assert!(matches!(verdict(4), Verdict::Deny(Some(_))));
        assert!(matches!(verdict(5), Verdict::DenyDisconnect(Some(_))));
        assert_eq!(verdict(9), Verdict::Disconnect);
    }

    #[test]
    fn errors_and_refused_recipients_count() {
        let c = Connection::example();
        let mut recipients = c.counters.recipients;
        recipients.rejected = 4;
        let c = Connection { counters: Counters { errors: 3, recipients, ..c.counters }, ..c };
        let refused = karma("{}").rcpt(&c, &t(), &Recipient::example("x@example.test"));
        assert!(!refused.is_next());
        assert!(karma(r#"{"counters": {"errors": 0, "rejected_recipients": 0}}"#).mail(&c, &t()).is_next());
    }

    #[test]
    fn our_own_clients_are_not_judged() {
        let c = Connection { relaying: true, ..helo_failed("dynamic") };
        assert_eq!(karma("{}").mail(&c, &t()), ReplyingOutcome::next());
        assert!(!karma(r#"{"exempt": "nobody"}"#).mail(&c, &t()).mutations.is_empty());
    }

    #[test]
    fn the_header_says_why_and_cannot_be_forged() {
        let karma = karma(r#"{"rules": {"helo-checks fail dynamic": -3}, "field": "X-Karma"}"#);
        let m = Message::example("x-karma: 99\nFrom: a\n\n");
        let outcome = karma.data_post(&helo_failed("dynamic").with_note(NOTE, -3), &t(), &m);
        let value = "-3; helo-checks fail dynamic=-3";
        assert_eq!(outcome, Outcome::next().remove_header(0).add_header("X-Karma", value));
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<Karma>(json).err().unwrap();
        assert!(error(r#"{"rules": {"helo-checks": 1}}"#).starts_with("rules.helo-checks: "));
        assert!(error(r#"{"rules": {"a lost": 1}}"#).starts_with("rules.a lost: "));
        assert!(error(r#"{"rules": {"a fail": 1.5}}"#).starts_with("rules.a fail: "));
        assert!(error(r#"{"thresholds": [{"score": 1, "refusal": "deny"}]}"#).starts_with("thresholds[0].score: "));
        assert!(error(r#"{"thresholds": [{"score": -1}]}"#).starts_with("thresholds[0]: missing field `refusal`"));
        assert!(error(r#"{"field": "X Karma"}"#).starts_with("field: "));
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
