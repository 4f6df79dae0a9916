//! From a consignment to the records of `wit/outbound.wit`, by borrowing, and from what a guest answers to a verdict.

use std::time::{Duration, SystemTime};

use wasmail_mail::{EnhancedStatus, ForwardPath, Parameter};
use wasmail_policy::Fault;
use wasmail_policy::outbound::{Exchange, Hook, Question, Said, Verdict};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bindings::wasmail::policy::delivery as wit;
use crate::bindings::wasmail::policy::types::{EnhancedStatus as WitStatus, Note, ParameterParam};
use crate::component::Loaded;
use crate::hooks::Functions;
use crate::lower::{self, Sight};
use crate::state::State;

/// The texts and lists that the records borrow from.
pub(crate) struct Facts<'a> {
    question: &'a Question<'a>,
    reverse_path: String,
    addresses: Vec<String>,
    notes: Vec<(&'a str, String)>,
    parameters: Vec<ParameterParam<'a>>,
    of_targets: Vec<Vec<ParameterParam<'a>>>,
    lines: Vec<Vec<&'a str>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(question: &'a Question<'a>, sight: &Sight<'a>) -> Self {
        let consignment = question.consignment;
        let mailbox = consignment.reverse_path.mailbox();
        let address = |path: &ForwardPath| match path {
            ForwardPath::Postmaster => "postmaster".to_owned(),
            ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
        };
        let targets = &consignment.targets;
        Self {
            question,
            reverse_path: mailbox.map(ToString::to_string).unwrap_or_default(),
            addresses: targets.iter().map(|target| address(&target.recipient.path)).collect(),
            notes: lower::notes(&consignment.notes, sight),
            parameters: parameters(&consignment.parameters),
            of_targets: targets.iter().map(|target| parameters(&target.recipient.parameters)).collect(),
            lines: question.said.iter().map(|said| said.lines.iter().map(String::as_str).collect()).collect(),
        }
    }
}

/// The lists of records.
pub(crate) struct Records<'a> {
    facts: &'a Facts<'a>,
    targets: Vec<wit::Target<'a>>,
    notes: Vec<Note<'a>>,
    answers: Vec<wit::AnswerParam<'a>>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>) -> Self {
        let targets = facts.question.consignment.targets.iter().zip(&facts.addresses).zip(&facts.of_targets);
        let target = |((target, address), parameters): ((&'a _, &'a String), &'a Vec<_>)| {
            let target: &wasmail_policy::outbound::Target = target;
            wit::Target { address, parameters, attempts: target.attempts }
        };
        let answer = |(said, lines): (&'a Said, &'a Vec<&'a str>)| wit::AnswerParam {
            target: said.target as u32,
            code: said.code,
            enhanced: said.enhanced.map(lower::enhanced),
            lines,
            host: said.host.as_deref(),
        };
        Self {
            facts,
            targets: targets.map(target).collect(),
            notes: facts.notes.iter().map(|(pointer, value)| Note { pointer, value }).collect(),
            answers: facts.question.said.iter().zip(&facts.lines).map(answer).collect(),
        }
    }

    fn consignment(&'a self) -> wit::Consignment<'a> {
        let consignment = self.facts.question.consignment;
        wit::Consignment {
            queue_id: &consignment.queue_id,
            uuid: &consignment.uuid,
            reverse_path: &self.facts.reverse_path,
            parameters: &self.facts.parameters,
            smtputf8: consignment.smtputf8,
            size: consignment.size(),
            accepted: seconds(consignment.accepted),
            expires: seconds(consignment.expires),
            destination: &consignment.destination,
            route: consignment.route.as_deref(),
            targets: &self.targets,
            notes: &self.notes,
        }
    }
}

fn parameters(parameters: &[Parameter]) -> Vec<ParameterParam<'_>> {
    parameters.iter().map(lower::parameter).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Calls the hook that the question is about.
pub(crate) async fn call(
    loaded: &Loaded,
    functions: &mut Functions,
    store: &mut Store<State>,
    instance: &Instance,
    records: &Records<'_>,
) -> wasmtime::Result<Result<Verdict, Fault>> {
    let (indices, consignment, answers) = (&loaded.indices, records.consignment(), &records.answers);
    Ok(match records.facts.question.hook {
        Hook::PreSend => {
            let guest = functions.pre_send(indices, store, instance)?;
            Ok(match guest.call_pre_send(store, consignment).await? {
                wit::PreSendVerdict::Next => Verdict::Next,
                wit::PreSendVerdict::Delay(wait) => Verdict::Delay(wait.map(wait_of)),
                wit::PreSendVerdict::Bounce(text) => Verdict::Bounce(text),
                wit::PreSendVerdict::Route(name) => Verdict::Route(name),
            })
        }
        Hook::Send => {
            let guest = functions.send(indices, store, instance)?;
            match guest.call_send(store, consignment).await? {
                wit::SendVerdict::Next => Ok(Verdict::Next),
                wit::SendVerdict::Done(answers) => {
                    answers.into_iter().map(said).collect::<Result<_, _>>().map(Verdict::Done)
                }
            }
        }
        Hook::GetMx => {
            let guest = functions.get_mx(indices, store, instance)?;
            Ok(match guest.call_get_mx(store, consignment).await? {
                wit::ExchangesVerdict::Next => Verdict::Next,
                wit::ExchangesVerdict::Exchanges(all) => Verdict::Exchanges(all.into_iter().map(exchange).collect()),
                wit::ExchangesVerdict::Delay(wait) => Verdict::Delay(wait.map(wait_of)),
            })
        }
        Hook::Delivered => {
            let guest = functions.delivered(indices, store, instance)?;
            guest.call_delivered(store, consignment, answers).await?;
            Ok(Verdict::Next)
        }
        Hook::Deferred => {
            let guest = functions.deferred(indices, store, instance)?;
            Ok(match guest.call_deferred(store, consignment, answers).await? {
                wit::DeferredVerdict::Next => Verdict::Next,
                wit::DeferredVerdict::Delay(wait) => Verdict::Delay(Some(wait_of(wait))),
                wit::DeferredVerdict::Bounce => Verdict::Bounce(None),
            })
        }
        Hook::Bounce => {
            let guest = functions.bounce(indices, store, instance)?;
            Ok(match guest.call_bounce(store, consignment, answers).await? {
                wit::BounceVerdict::Next => Verdict::Next,
                wit::BounceVerdict::Silence => Verdict::Silence,
            })
        }
    })
}

fn wait_of(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn exchange(exchange: wit::Exchange) -> Exchange {
    Exchange { preference: exchange.preference, host: exchange.host, port: exchange.port }
}

fn said(answer: wit::AnswerResult) -> Result<Said, Fault> {
    let enhanced = answer.enhanced.map(|WitStatus { class, subject, detail }| {
        EnhancedStatus::new(class, subject, detail)
            .ok_or_else(|| Fault::BadAnswer(format!("answer: {class}.{subject}.{detail} is no enhanced status code")))
    });
    Ok(Said {
        target: answer.target as usize,
        code: answer.code,
        enhanced: enhanced.transpose()?,
        lines: answer.lines,
        host: answer.host,
    })
}
