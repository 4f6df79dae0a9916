//! Whose fate is known within one attempt, and who is still to be tried.

use wasmail_policy::outbound::Said;
use wasmail_queue::Outcome;
use wasmail_smtp::client::{Fate, Phase, Reason};

use super::Place;
use crate::delivery::attempt::{Delivered, Taken};

/// The recipients of one attempt.
#[derive(Debug)]
pub(super) struct Tally {
    /// By position in the envelope.
    open: Vec<usize>,
    settled: Vec<Delivered>,
    /// Why those who are open are so: what happened last.
    last: Option<String>,
    /// Somebody has answered.
    reached: bool,
}

impl Tally {
    pub(super) fn new(recipients: &[usize]) -> Self {
        Self { open: recipients.to_vec(), settled: Vec::new(), last: None, reached: false }
    }

    /// Who is still to be tried.
    pub(super) fn open(&self) -> &[usize] {
        &self.open
    }

    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Remembers why a place was of no use.
    pub(super) fn note(&mut self, why: String) {
        self.last = Some(why);
    }

    /// Takes what became of a transaction. Says whether it makes sense to send to those who are open by another
    /// transaction on the same connection.
    /// `taken` says who has what is accepted.
    pub(super) fn settle(&mut self, place: &Place, recipients: &[usize], fates: &[Fate], taken: Taken) -> bool {
        self.reached = true;
        let accepted = fates.iter().any(|fate| matches!(fate, Fate::Delivered(_)));
        for (recipient, fate) in recipients.iter().zip(fates) {
            let reply = format!("{place}: {}", fate.reason());
            let again = accepted && is_one_too_many(fate);
            if again || broke_off_before_the_end(fate) {
                self.last = Some(reply);
            } else {
                self.open.retain(|open| open != recipient);
                let said = said(place, fate);
                self.settled.push(Delivered { taken, said, ..Delivered::new(*recipient, outcome(fate), reply) });
            }
        }
        accepted
    }

    /// Settles all who are open: it is not the servers' fault.
    pub(super) fn give_up(&mut self, why: &str) {
        self.settled.extend(Delivered::all(&std::mem::take(&mut self.open), Outcome::Deferred, why));
    }

    /// What became of everybody; who is open is tried again later.
    pub(super) fn end(mut self, why: Option<&str>) -> Vec<Delivered> {
        let last = self.last.take();
        self.give_up(why.or(last.as_deref()).unwrap_or("4.4.1 there is no server to try"));
        let unreached = !self.reached;
        self.settled.into_iter().map(|done| Delivered { unreached, ..done }).collect()
    }
}

/// The server's reply, if it is that which decided.
fn said(place: &Place, fate: &Fate) -> Option<Said> {
    let Reason::Reply { reply, .. } = fate.reason() else { return None };
    // Each line has the code in front (RFC 2034 §4).
    let code = reply.enhanced().map(|enhanced| format!("{enhanced} ")).unwrap_or_default();
    let text = |line: &String| line.strip_prefix(&code).unwrap_or(line).to_owned();
    Some(Said {
        target: 0,
        code: Some(reply.code()),
        enhanced: reply.enhanced(),
        lines: reply.lines().iter().map(text).collect(),
        host: Some(place.host.clone()),
    })
}

fn outcome(fate: &Fate) -> Outcome {
    match fate {
        Fate::Delivered(_) => Outcome::Delivered,
        Fate::Deferred(_) => Outcome::Deferred,
        Fate::Failed(_) => Outcome::Failed,
    }
}

/// Whether the server takes fewer recipients at once (RFC 5321 §4.5.3.1.10). A full mailbox is told by the same code, and an
/// enhanced one of its own (X.2.Z).
fn is_one_too_many(fate: &Fate) -> bool {
    match fate.reason() {
        Reason::Reply { to: Phase::Rcpt, reply } if matches!(reply.code(), 452 | 552) => {
            reply.enhanced().is_none_or(|status| status.subject() != 2)
        }
        _ => false,
    }
}

/// Whether the conversation ended before the final dot went out, so that nobody can have the message.
fn broke_off_before_the_end(fate: &Fate) -> bool {
    match fate.reason() {
        Reason::Lost(at) | Reason::TimedOut(at) | Reason::BadReply { to: at, .. } => *at != Phase::FinalDot,
        Reason::Reply { to, reply } => reply.code() == 421 && *to != Phase::FinalDot,
        _ => false,
    }
}
