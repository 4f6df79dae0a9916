//! The interface `mail-auth`.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use wasmail_mail::{MethodResult, ReversePath};
use wasmail_policy::{Body, BoxFuture, Found, Hook, Question};
use wasmail_services::Failure;
use wasmail_services::mail_auth::{
    self, Case, Chain, Disposition, Dkim, Dmarc, Findings, Judge, Spf, SpfResult, SpfResults, Verdict,
};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::mail_auth as wit;
use crate::state::State;

/// What is judged at a question, where there is a transaction.
pub(crate) fn case(question: &Question<'_>) -> Option<Case> {
    let connection = &question.context.connection;
    let transaction = question.context.transaction.as_ref()?;
    let ip = connection.remote.ip;
    let judged = transaction.findings.keep(|| Judged { findings: Findings::default(), ip })?;
    let came = &transaction.as_it_came;
    let has_message = matches!(question.hook, Hook::Part | Hook::DataPost | Hook::Queue | Hook::QueueOutbound);
    let body: Arc<dyn mail_auth::Body> = match question.body_as_it_came {
        Some(body) => Arc::new(Came(Arc::clone(body))),
        None => Arc::new(Nothing),
    };
    Some(Case {
        transaction: transaction.facts.uuid.clone(),
        ip,
        helo: connection.hello.as_ref().map(|hello| hello.host.clone()).unwrap_or_default(),
        mailbox: match &came.reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => {
                Some((mailbox.local_part().to_owned(), mailbox.domain().as_str().to_owned()))
            }
        },
        message: has_message.then(|| (Arc::clone(&came.header), body)),
        findings: judged.findings.clone(),
    })
}

/// What was found out, as the session keeps it.
struct Judged {
    findings: Findings,
    ip: IpAddr,
}

impl Found for Judged {
    fn told(&self) -> Vec<MethodResult> {
        self.findings.told(self.ip)
    }
}

/// A body of the session's.
struct Came(Arc<dyn Body>);

impl mail_auth::Body for Came {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        self.0.read_at(offset, len)
    }
}

/// The body of a message that has none.
struct Nothing;

impl mail_auth::Body for Nothing {
    fn read_at(&self, _: u64, _: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl State {
    /// Who judges, and what.
    fn judge(&mut self) -> wasmtime::Result<Result<(&Judge, &Case), Failure>> {
        self.count_host_call()?;
        let Some(judge) = &self.capabilities.mail_auth else { return Ok(Err(Failure::NotGranted)) };
        let case = self.case.as_ref().ok_or_else(|| Failure::Invalid("there is no transaction here".to_owned()));
        Ok(case.map(|case| (judge, case)))
    }
}

impl wit::Host for State {
    async fn spf(&mut self) -> wasmtime::Result<Result<wit::SpfResults, WitFailure>> {
        Ok(match self.judge()? {
            Ok((judge, case)) => Ok(judge.spf(case).await.into()),
            Err(failure) => Err(failure.into()),
        })
    }

    async fn dkim(&mut self) -> wasmtime::Result<Result<Vec<wit::DkimResult>, WitFailure>> {
        Ok(match self.judge()? {
            Ok((judge, case)) => judge.dkim(case).await.map(|told| told.iter().map(Into::into).collect()),
            Err(failure) => Err(failure),
        }
        .map_err(Into::into))
    }

    async fn dmarc(&mut self) -> wasmtime::Result<Result<wit::DmarcResult, WitFailure>> {
        Ok(match self.judge()? {
            Ok((judge, case)) => judge.dmarc(case).await.map(Into::into),
            Err(failure) => Err(failure),
        }
        .map_err(Into::into))
    }

    async fn arc(&mut self) -> wasmtime::Result<Result<wit::ArcResult, WitFailure>> {
        Ok(match self.judge()? {
            Ok((judge, case)) => judge.arc(case).await.map(Into::into),
            Err(failure) => Err(failure),
        }
        .map_err(Into::into))
    }
}

impl From<&SpfResults> for wit::SpfResults {
    fn from(told: &SpfResults) -> Self {
        Self { helo: (&told.helo).into(), mail_from: (&told.mail_from).into() }
    }
}

impl From<&Spf> for wit::SpfResult {
    fn from(told: &Spf) -> Self {
        let verdict = match told.result {
            SpfResult::None => wit::SpfVerdict::None,
            SpfResult::Neutral => wit::SpfVerdict::Neutral,
            SpfResult::Pass => wit::SpfVerdict::Pass,
            SpfResult::Fail => wit::SpfVerdict::Fail,
            SpfResult::SoftFail => wit::SpfVerdict::Softfail,
            SpfResult::TempError => wit::SpfVerdict::Temperror,
            SpfResult::PermError => wit::SpfVerdict::Permerror,
        };
        Self {
            verdict,
            domain: told.domain.clone(),
            sender: told.sender.clone(),
            explanation: told.explanation.clone(),
            problem: told.problem.map(str::to_owned),
        }
    }
}

impl From<&Dkim> for wit::DkimResult {
    fn from(told: &Dkim) -> Self {
        Self {
            verdict: told.verdict.into(),
            domain: told.domain.clone(),
            selector: told.selector.clone(),
            identity: told.identity.clone(),
            algorithm: told.algorithm.map(str::to_owned),
            key_bits: told.key_bits,
            testing: told.testing,
            problem: told.problem.map(str::to_owned),
        }
    }
}

impl From<&Dmarc> for wit::DmarcResult {
    fn from(told: &Dmarc) -> Self {
        Self {
            verdict: told.verdict.into(),
            domain: told.domain.clone(),
            organisational_domain: told.organisational_domain.clone(),
            policy: told.policy.map(Into::into),
            disposition: told.disposition.into(),
            spf_aligned: told.spf_aligned,
            dkim_aligned: told.dkim_aligned,
            problem: told.problem.map(str::to_owned),
        }
    }
}

impl From<&Chain> for wit::ArcResult {
    fn from(told: &Chain) -> Self {
        let Chain { verdict, instance, sealer, problem } = told;
        let problem = problem.map(str::to_owned);
        Self { verdict: (*verdict).into(), instance: *instance, sealer: sealer.clone(), problem }
    }
}

impl From<Verdict> for wit::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::None => Self::None,
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Policy => Self::Policy,
            Verdict::Neutral => Self::Neutral,
            Verdict::TempError => Self::Temperror,
            Verdict::PermError => Self::Permerror,
        }
    }
}

impl From<Disposition> for wit::Disposition {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::None => Self::None,
            Disposition::Quarantine => Self::Quarantine,
            Disposition::Reject => Self::Reject,
        }
    }
}
