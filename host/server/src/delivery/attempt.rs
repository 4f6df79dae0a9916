//! One attempt to deliver a message to those of its recipients who are due.

use std::sync::Arc;
use std::time::SystemTime;

use wasmail_queue::{Decision, Outcome};
use wasmail_spool::{Deferral, Message, RecipientState, SpoolId};

use super::Office;
use super::maildir::Maildir;
use super::next_hop::NextHop;
use crate::log::Escaped;

/// Who carries messages to where they go.
pub(crate) enum Carrier {
    Maildir(Arc<Maildir>),
    NextHop(NextHop),
    Discard,
}

/// What became of one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Position in the envelope.
    pub(crate) recipient: usize,
    pub(crate) outcome: Outcome,
    /// What the other side said, or why it could not be asked.
    pub(crate) reply: String,
}

impl Delivered {
    pub(crate) fn new(recipient: usize, outcome: Outcome, reply: impl Into<String>) -> Self {
        Self { recipient, outcome, reply: reply.into() }
    }

    /// The same for everybody.
    pub(crate) fn all(recipients: &[usize], outcome: Outcome, reply: &str) -> Vec<Self> {
        recipients.iter().map(|recipient| Self::new(*recipient, outcome, reply)).collect()
    }
}

impl Carrier {
    /// Delivers to these recipients, by position.
    async fn carry(&self, message: &Message, recipients: &[usize]) -> Vec<Delivered> {
        match self {
            Self::Maildir(maildir) => maildir.carry(message.clone(), recipients.to_vec()).await,
            Self::NextHop(next_hop) => next_hop.carry(message, recipients).await,
            Self::Discard => Delivered::all(recipients, Outcome::Delivered, "discarded"),
        }
    }
}

/// An attempt under way.
pub(crate) struct Attempt {
    office: Arc<Office>,
    id: SpoolId,
    recipients: Vec<usize>,
}

impl Attempt {
    pub(crate) fn new(office: Arc<Office>, id: SpoolId, recipients: Vec<usize>) -> Self {
        Self { office, id, recipients }
    }

    pub(crate) async fn run(self) {
        if matches!(self.office.carrier, Carrier::Discard) {
            self.office.queue.lock().forget(self.id);
            return self.office.finish(self.id).await;
        }
        match self.office.spool.message(self.id).await {
            Ok(message) => {
                let delivered = self.office.carrier.carry(&message, &self.recipients).await;
                self.conclude(Some(&message), delivered).await;
            }
            Err(error) => {
                tracing::error!(queue_id = %self.id, %error, "failed to read a message of the spool");
                let reply = format!("4.3.0 failed to read the message: {error}");
                self.conclude(None, Delivered::all(&self.recipients, Outcome::Deferred, &reply)).await;
            }
        }
    }

    /// Lets the queue decide what follows, and the spool remember it.
    async fn conclude(&self, message: Option<&Message>, delivered: Vec<Delivered>) {
        let outcomes: Vec<_> = delivered.iter().map(|done| (done.recipient, done.outcome)).collect();
        let report = self.office.queue.lock().report(self.id, &outcomes, SystemTime::now());
        let mut failed = message.is_some_and(|message| message.recipients().iter().any(is_failed));
        let mut states = Vec::with_capacity(delivered.len());
        for (recipient, decision) in report.decisions {
            let Some(done) = delivered.iter().find(|done| done.recipient == recipient) else { continue };
            log_attempt(self.id, message, done, decision);
            let state = state(decision, &done.reply);
            failed |= is_failed(&state);
            states.push((recipient, state));
        }
        // A failed message is kept for the operator: nothing is lost silently.
        if report.finished && !failed {
            self.office.finish(self.id).await;
        } else {
            self.office.record(self.id, states).await;
        }
    }
}

impl Office {
    /// Nobody waits for the message any more.
    pub(super) async fn finish(&self, id: SpoolId) {
        if let Err(error) = self.spool.finish(id).await {
            tracing::error!(queue_id = %id, %error, "failed to finish a message: it will be delivered again");
        }
    }

    async fn record(&self, id: SpoolId, states: Vec<(usize, RecipientState)>) {
        if let Err(error) = self.spool.record(id, states).await {
            tracing::error!(queue_id = %id, %error, "failed to record an attempt: a restart will repeat it");
        }
    }
}

fn is_failed(state: &RecipientState) -> bool {
    matches!(state, RecipientState::Failed { .. })
}

fn state(decision: Decision, reply: &str) -> RecipientState {
    match decision {
        Decision::Delivered => RecipientState::Delivered,
        Decision::Retry { attempts, next_attempt } => {
            RecipientState::Deferred(Deferral { attempts, next_attempt, reply: reply.to_owned() })
        }
        Decision::GiveUp { expired: true } => {
            RecipientState::Failed { reply: format!("given up for lack of time; last: {reply}") }
        }
        Decision::GiveUp { expired: false } => RecipientState::Failed { reply: reply.to_owned() },
    }
}

/// One line for each recipient that was tried.
fn log_attempt(id: SpoolId, message: Option<&Message>, done: &Delivered, decision: Decision) {
    let envelope = message.map(Message::envelope);
    let uuid = envelope.map(|envelope| envelope.uuid.as_str());
    let to = envelope.and_then(|envelope| envelope.recipients.get(done.recipient));
    let to = to.map(|recipient| recipient.path.to_string()).unwrap_or_default();
    let (to, reply) = (Escaped(&to), Escaped(&done.reply));
    let age_ms = id.time().elapsed().unwrap_or_default().as_millis() as u64;
    match decision {
        Decision::Delivered => {
            tracing::info!(target: "wasmail::delivery", queue_id = %id, uuid, %to, %reply, age_ms, "delivered");
        }
        Decision::Retry { attempts, next_attempt } => {
            let retry_s = next_attempt.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
            tracing::warn!(
                target: "wasmail::delivery", queue_id = %id, uuid, %to, %reply, attempts, retry_s, age_ms, "deferred"
            );
        }
        Decision::GiveUp { expired } => {
            tracing::error!(
                target: "wasmail::delivery", queue_id = %id, uuid, %to, %reply, expired, age_ms,
                "failed: kept in the spool"
            );
        }
    }
}
