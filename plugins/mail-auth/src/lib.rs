//! Records where messages come from, and does what their domains want done with forgeries. See README.md.

mod config;

use wasmail_guest::Failure;
use wasmail_guest::mail_auth::{self, ArcResult, Disposition, DkimResult, DmarcResult, SpfResult, SpfVerdict, Verdict};
use wasmail_guest::prelude::*;

pub use config::{Action, Config};

/// The plugin.
pub struct MailAuth(Config);

#[plugin(needs = ["mail-auth"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for MailAuth {
    type Config = Config;

    fn configure(mut config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self(config))
    }

    /// SPF alone can be known here, and is asked for in any case: the host has it ready for DMARC.
    fn mail(&self, c: &Connection, _: &Transaction) -> ReplyingOutcome {
        if let Some(reason) = self.0.exempt.reason(c) {
            return ReplyingOutcome::next().skip(Scope::Transaction, reason);
        }
        let spf = match mail_auth::spf() {
            Ok(spf) => spf,
            Err(failure) => return ReplyingOutcome::next().err(Scope::Transaction, format!("spf: {}", why(&failure))),
        };
        let refused = self.0.spf == Check::Reject && spf.mail_from.verdict == SpfVerdict::Fail;
        let outcome = if refused { self.refuse_client(&spf.mail_from) } else { ReplyingOutcome::next() };
        let outcome = outcome.set(Scope::Transaction, "spf_helo", spf.helo.verdict.as_str());
        let outcome = outcome.set(Scope::Transaction, "spf", spf.mail_from.verdict.as_str());
        match (self.0.spf, spf.mail_from.verdict) {
            (Check::Off, _) => outcome,
            (_, SpfVerdict::Pass) => outcome.pass(Scope::Transaction, "spf"),
            (_, SpfVerdict::Fail) => outcome.fail(Scope::Transaction, "spf"),
            (_, SpfVerdict::Temperror | SpfVerdict::Permerror) => {
                outcome.err(Scope::Transaction, format!("spf: {}", problem(&spf.mail_from.problem)))
            }
            _ => outcome,
        }
    }

    fn data_post(&self, c: &Connection, _: &Transaction, m: &Message) -> Outcome {
        // Said at MAIL already.
        if self.0.exempt.reason(c).is_some() {
            return Outcome::next();
        }
        let asked = || Ok((mail_auth::dkim()?, mail_auth::dmarc()?, mail_auth::arc()?));
        match asked() {
            Ok((dkim, dmarc, arc)) => {
                let (action, reason) = self.judge(&dmarc, &arc);
                record(self.act(action, &reason, &dmarc, m), &dkim, &dmarc, &arc)
            }
            Err(failure) => self.without_forgeries(Outcome::next(), m).err(Scope::Transaction, why(&failure)),
        }
    }
}

impl MailAuth {
    /// What becomes of a message, and why.
    fn judge(&self, dmarc: &DmarcResult, arc: &ArcResult) -> (Action, String) {
        let domain = dmarc.domain.as_deref().unwrap_or("nobody");
        let action = match (dmarc.verdict, dmarc.disposition) {
            (Verdict::Permerror, _) => {
                return (self.0.no_author, format!("dmarc=permerror ({})", problem(&dmarc.problem)));
            }
            (_, Disposition::None) => return (Action::Record, String::new()),
            (_, Disposition::Quarantine) => self.0.quarantine,
            (_, Disposition::Reject) => self.0.reject,
        };
        let reason = format!("dmarc={} {} for {domain}", dmarc.verdict.as_str(), dmarc.disposition.as_str());
        match arc.sealer.as_ref().filter(|sealer| arc.verdict == Verdict::Pass && self.0.sealers.contains(sealer)) {
            Some(sealer) => (action.min(Action::Tag), format!("{reason}; passed on by {sealer}")),
            None => (action, reason),
        }
    }

    fn act(&self, action: Action, reason: &str, dmarc: &DmarcResult, m: &Message) -> Outcome {
        if self.0.defer_temperror && dmarc.verdict == Verdict::Temperror {
            return Outcome::deny_soft("The sender's domain cannot be asked now; try again later")
                .with_code(451)
                .with_detail(4, 3);
        }
        let domain = dmarc.domain.as_deref().unwrap_or("The author's domain");
        match action {
            Action::Reject => {
                Outcome::refuse(self.0.refusal, self.0.text.replace("{domain}", domain)).with_detail(7, 1)
            }
            Action::Quarantine => self.without_forgeries(Outcome::next(), m).quarantine(reason),
            Action::Tag => self.without_forgeries(Outcome::next(), m).add_header(&self.0.field, reason),
            Action::Record => self.without_forgeries(Outcome::next(), m),
        }
    }

    /// Takes away fields that claim to be ours.
    fn without_forgeries(&self, outcome: Outcome, m: &Message) -> Outcome {
        // From the end, so that positions stay what they are.
        m.positions(&self.0.field).into_iter().rev().fold(outcome, Outcome::remove_header)
    }

    fn refuse_client(&self, spf: &SpfResult) -> ReplyingOutcome {
        let own = format!("{} does not let this client send in its name (SPF)", spf.domain);
        // RFC 7208 section 8.4 wants it said whose words these are.
        let text = spf.explanation.as_ref().map_or(own, |theirs| format!("{} explains: {theirs}", spf.domain));
        // The code of RFC 7372 section 3.2.
        ReplyingOutcome::refuse(self.0.refusal, text).with_detail(7, 23)
    }
}

fn record(outcome: Outcome, dkim: &[DkimResult], dmarc: &DmarcResult, arc: &ArcResult) -> Outcome {
    let mut outcome = outcome;
    for signature in dkim {
        let domain = signature.domain.as_deref().unwrap_or("nobody");
        outcome = outcome.push(Scope::Transaction, "dkim", format!("{} {domain}", signature.verdict.as_str()));
        outcome = tell(outcome, signature.verdict, &format!("dkim {domain}"), &signature.problem);
    }
    outcome = outcome.set(Scope::Transaction, "dmarc", dmarc.verdict.as_str());
    outcome = tell(outcome, dmarc.verdict, "dmarc", &dmarc.problem);
    outcome = outcome.set(Scope::Transaction, "arc", arc.verdict.as_str());
    tell(outcome, arc.verdict, "arc", &arc.problem)
}

fn tell(outcome: Outcome, verdict: Verdict, what: &str, why: &Option<String>) -> Outcome {
    match verdict {
        Verdict::None => outcome,
        Verdict::Pass => outcome.pass(Scope::Transaction, what),
        Verdict::Fail | Verdict::Policy => outcome.fail(Scope::Transaction, what),
        Verdict::Neutral | Verdict::Temperror | Verdict::Permerror => {
            outcome.err(Scope::Transaction, format!("{what}: {}", problem(why)))
        }
    }
}

fn problem(why: &Option<String>) -> &str {
    why.as_deref().unwrap_or("it cannot be judged")
}

fn why(failure: &Failure) -> String {
    match failure {
        Failure::NotGranted => "the grant mail-auth is missing".to_owned(),
        Failure::QuotaExceeded(setting) => format!("{setting} is used up"),
        Failure::TimedOut => "no place to judge it in time".to_owned(),
        Failure::Unavailable(why) | Failure::Invalid(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests;
