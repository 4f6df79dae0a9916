//! Telling senders what became of their mail (RFC 3461, RFC 3464).
//!
//! A report and the states that it tells of are one record of the spool: after a crash both are there, or neither, and then the
//! attempt is made again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use wasmail_authentication::Signer;
use wasmail_mail::{Handling, Recipient};
use wasmail_smtp::report::{Action, Fate, Report, is_wanted};
use wasmail_spool::{CommitError, Deferral, Message, RecipientState, Spool, SpoolId};

use super::Deliveries;
use super::attempt::{Delivered, Taken};
use crate::body::SpooledBody;
use crate::{ReportsConfig, signing};

/// When a failure that could not be told is tried again: the disk is full, and an operator has been called.
const AGAIN: Duration = Duration::from_secs(300);

/// Writes reports, and puts them down for delivery.
pub(crate) struct Reporter {
    config: ReportsConfig,
    spool: Spool,
    signer: Arc<Signer>,
    /// Longest body that the spool keeps in memory.
    inline_max: u64,
    /// Known as soon as there are lanes.
    deliveries: OnceLock<Deliveries>,
}

/// What one attempt has come to, for one recipient.
pub(super) struct Step<'a> {
    pub(super) position: usize,
    pub(super) state: RecipientState,
    pub(super) done: &'a Delivered,
    /// It is on disk already.
    pub(super) recorded: bool,
}

impl Reporter {
    pub(crate) fn new(config: ReportsConfig, spool: Spool, signer: Arc<Signer>, inline_max: u64) -> Self {
        Self { config, spool, signer, inline_max, deliveries: OnceLock::new() }
    }

    /// Where reports go.
    pub(super) fn open(&self, deliveries: Deliveries) {
        // Set once, before any lane runs.
        let _ = self.deliveries.set(deliveries);
    }

    /// Tells the sender what is to be told of an attempt, and records those states with it. A failure of which nobody wants to hear
    /// is over; one that could not be told is put off.
    pub(super) async fn tell(&self, message: &Message, steps: &mut [Step<'_>], lifetime: Duration, now: SystemTime) {
        for action in [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed] {
            let mut told: Vec<usize> = Vec::new();
            for (at, step) in steps.iter_mut().enumerate() {
                let Some(recipient) = message.envelope().recipients.get(step.position) else { continue };
                if self.action(message, step, now) != Some(action) {
                    continue;
                }
                let wanted = is_wanted(&message.envelope().reverse_path, recipient, action);
                mark(&mut step.state, wanted);
                if wanted {
                    told.push(at);
                }
            }
            if !told.is_empty() {
                self.tell_one(message, steps, &told, action, lifetime, now).await;
            }
        }
    }

    /// Of what there may be something to tell.
    fn action(&self, message: &Message, step: &Step<'_>, now: SystemTime) -> Option<Action> {
        let age = now.duration_since(message.accepted_at()).unwrap_or_default();
        match (&step.state, step.done.taken) {
            (RecipientState::Failed { .. }, _) if self.config.failures => Some(Action::Failed),
            (RecipientState::Deferred(Deferral { warned: false, .. }), _) => {
                self.config.warn_after.filter(|after| age >= *after).map(|_| Action::Delayed)
            }
            (RecipientState::Delivered, Taken::Mailbox) => Some(Action::Delivered),
            (RecipientState::Delivered, Taken::Relayed) => Some(Action::Relayed),
            _ => None,
        }
    }

    async fn tell_one(
        &self,
        message: &Message,
        steps: &mut [Step<'_>],
        told: &[usize],
        action: Action,
        lifetime: Duration,
        now: SystemTime,
    ) {
        let until = (action == Action::Delayed).then(|| message.accepted_at() + lifetime);
        let fate = |at: &usize| {
            let step = &steps[*at];
            let recipient: &Recipient = &message.envelope().recipients[step.position];
            Fate { recipient, action, reply: &step.done.reply, until }
        };
        let fates = told.iter().map(fate).collect();
        let states = told.iter().map(|at| (steps[*at].position, steps[*at].state.clone())).collect();
        match self.write(message, fates, states, now).await {
            Ok(Some(report)) => {
                tracing::info!(
                    target: "wasmail::delivery", queue_id = %message.id(), report = %report,
                    to = %message.envelope().reverse_path, recipients = told.len(), "told the sender"
                );
                told.iter().for_each(|at| steps[*at].recorded = true);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(queue_id = %message.id(), %error, "failed to write a report");
                told.iter().for_each(|at| put_off(&mut steps[*at].state, now));
            }
        }
    }

    async fn write(
        &self,
        message: &Message,
        fates: Vec<Fate<'_>>,
        states: Vec<(usize, RecipientState)>,
        now: SystemTime,
    ) -> Result<Option<SpoolId>, CommitError> {
        let whole = message.body().len() <= self.config.return_max;
        let original =
            if whole { SpooledBody::new(message.body().clone(), self.inline_max).whole().await? } else { Vec::new() };
        let report = Report {
            hostname: &self.config.hostname,
            uuid: uuid::Uuid::now_v7().to_string(),
            now,
            envelope: message.envelope(),
            arrival: message.accepted_at(),
            fates,
            header: message.header(),
            body: whole.then_some(&original),
        };
        let Some(mut own) = report.write() else { return Ok(None) };
        let mut draft = self.spool.draft();
        draft.append(&own.body).await?;
        let sealed = draft.seal().await?;
        let body = SpooledBody::new(sealed.body().clone(), self.inline_max);
        signing::sign(&self.signer, &mut own.header, &body, now).await?;
        let id = sealed.commit_settling(own.envelope, own.header.into(), message.id(), states).await?;
        if let Some(deliveries) = self.deliveries.get() {
            deliveries.accepted(id, 1, &Handling::default(), now);
        }
        Ok(Some(id))
    }
}

/// What is remembered of what is told, or of what nobody wants to hear of.
fn mark(state: &mut RecipientState, wanted: bool) {
    match state {
        RecipientState::Failed { reply } => *state = RecipientState::Bounced { reply: std::mem::take(reply) },
        RecipientState::Deferred(deferral) => deferral.warned |= wanted,
        _ => {}
    }
}

/// Nothing could be told: a failure is none yet, and a warning is for the next time.
fn put_off(state: &mut RecipientState, now: SystemTime) {
    match state {
        RecipientState::Bounced { reply } => {
            let reply = format!("the sender could not be told yet; last: {reply}");
            let next_attempt = now + AGAIN;
            *state = RecipientState::Deferred(Deferral { attempts: 1, next_attempt, reply, warned: true });
        }
        RecipientState::Deferred(deferral) => deferral.warned = false,
        _ => {}
    }
}
