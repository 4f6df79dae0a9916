//! One attempt to deliver a message to those of its recipients who are due.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use wasmail_policy::outbound::Said;
use wasmail_queue::{Decision, Outcome, Recipient};
use wasmail_spool::{CommitError, Deferral, Message, RecipientState, SpoolId};

use super::hooks::Before;
use super::lane::{Office, waiting};
use super::orders::Order;
use super::reports::Step;
use super::ways::{Carrier, remember};
use crate::log::Escaped;

/// What is said of those whom the operator gives up.
const EXPIRED: &str = "5.4.7 given up by the operator";

/// Until what could not be written is written again.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// A message that is due, with the positions of the recipients who are.
pub(crate) type Due = wasmail_queue::Due<SpoolId>;

/// What became of one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Position in the envelope.
    pub(crate) recipient: usize,
    pub(crate) outcome: Outcome,
    /// What the other side said, or why it could not be asked.
    pub(crate) reply: String,
    /// Where the message is, if it was delivered.
    pub(crate) taken: Taken,
    /// What a server said, or a plugin, in its parts.
    pub(crate) said: Option<Said>,
    /// Nobody answered there.
    pub(crate) unreached: bool,
}

/// Who has a message that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The recipient.
    Mailbox,
    /// A server that does not tell of its fate.
    Relayed,
    /// A server that knows what its sender wants to hear, and tells that.
    ByTeller,
}

impl Delivered {
    pub(crate) fn new(recipient: usize, outcome: Outcome, reply: impl Into<String>) -> Self {
        Self { recipient, outcome, reply: reply.into(), taken: Taken::Mailbox, said: None, unreached: false }
    }

    /// The same for everybody.
    pub(crate) fn all(recipients: &[usize], outcome: Outcome, reply: &str) -> Vec<Self> {
        recipients.iter().map(|recipient| Self::new(*recipient, outcome, reply)).collect()
    }
}

/// What became of one message in one attempt.
pub(crate) struct Carried {
    pub(crate) id: SpoolId,
    /// The message, if it could be read.
    pub(crate) message: Option<Message>,
    pub(crate) delivered: Vec<Delivered>,
}

impl Carried {
    /// Defers whom nothing is said of: a delivery broke off, and at once would only break off again.
    pub(crate) fn defer_missing(&mut self, due: &Due) {
        let missing = |at: &usize| self.delivered.iter().all(|done| done.recipient != *at);
        let missing: Vec<_> = due.recipients.iter().copied().filter(missing).collect();
        self.delivered.extend(Delivered::all(&missing, Outcome::Deferred, "4.3.0 the delivery broke off"));
    }

    /// The spool could not be read.
    pub(crate) fn unread(due: &Due, error: &io::Error) -> Self {
        tracing::error!(queue_id = %due.id, %error, "failed to read a message of the spool");
        let reply = format!("4.3.0 failed to read the message: {error}");
        Self { id: due.id, message: None, delivered: Delivered::all(&due.recipients, Outcome::Deferred, &reply) }
    }
}

impl Office {
    /// How many messages are carried in one go, of those that are due. Writing many files shares their syncs.
    pub(super) fn batch_max(&self) -> usize {
        match self.ways.usual.carrier {
            Carrier::Maildir(_) if self.ways.are_one() && !self.hooks.come_before() => usize::MAX,
            _ => 1,
        }
    }

    /// Makes one attempt for each of these, and remembers what became of it. Returns how many they were.
    pub(super) async fn attempt(self: Arc<Self>, batch: Vec<Due>) -> usize {
        let count = batch.len();
        match &self.ways.usual.carrier {
            _ if self.hooks.come_before() => {
                for due in batch {
                    let carried = self.carry_as_policy_wants(due).await;
                    Arc::clone(&self).conclude(carried).await;
                }
            }
            Carrier::Maildir(maildir) if self.ways.are_one() => {
                let carried = maildir.carry(&self.spool, batch).await;
                let conclude = |carried| Arc::clone(&self).conclude(carried);
                carried.into_iter().map(conclude).collect::<JoinSet<_>>().join_all().await;
            }
            Carrier::Discard if self.ways.are_one() && self.hooks.are_none() => {
                for due in batch {
                    self.queue.lock().forget(due.id);
                    self.finish(due.id).await;
                }
            }
            usual => {
                for due in batch {
                    let carried = match self.ways.are_one() {
                        true => usual.carry(&self.spool, due).await,
                        false => self.ways.carry(&self.spool, due).await,
                    };
                    Arc::clone(&self).conclude(carried).await;
                }
            }
        }
        count
    }

    /// Carries a message to those whom plugins leave to us.
    async fn carry_as_policy_wants(&self, due: Due) -> Carried {
        let message = match self.spool.message(due.id).await {
            Ok(message) => message,
            Err(error) => return Carried::unread(&due, &error),
        };
        let Before { left, mut settled, elsewhere } = self.hooks.before(&message, &due.recipients).await;
        let mut parts = self.ways.parts(message.envelope(), &left);
        for (name, recipients) in elsewhere {
            match self.ways.named(&name) {
                Some(way) => parts.push((way, recipients)),
                None => settled.extend(Delivered::all(&recipients, Outcome::Deferred, "4.3.5 the route is gone")),
            }
        }
        remember(&self.spool, due.id, &settled, !parts.is_empty()).await;
        let mut carried = match parts.is_empty() {
            true => Carried { id: due.id, message: Some(message), delivered: Vec::new() },
            false => {
                // Whoever waits for a way must not hold a message in memory meanwhile.
                drop(message);
                let due = Due { id: due.id, recipients: parts.iter().flat_map(|(_, part)| part).copied().collect() };
                self.ways.carry_parts(&self.spool, &due, parts).await
            }
        };
        carried.delivered.extend(settled);
        carried
    }

    /// Lets the queue decide what follows, and the spool remember it, and tells the sender.
    async fn conclude(self: Arc<Self>, carried: Carried) {
        let Carried { id, message, mut delivered } = carried;
        if let Some(message) = &message {
            self.hooks.deferred(message, &mut delivered).await;
        }
        let now = SystemTime::now();
        let outcomes: Vec<_> = delivered.iter().map(|done| (done.recipient, done.outcome)).collect();
        let report = self.queue.lock().report(id, &outcomes, now);
        let mut steps = Vec::with_capacity(delivered.len());
        // The queue decides in the order of the outcomes, and leaves out whom it does not know.
        let mut decisions = report.decisions.into_iter().peekable();
        for done in &delivered {
            let Some((_, decision)) = decisions.next_if(|(recipient, _)| *recipient == done.recipient) else {
                continue;
            };
            let age = id.time().elapsed().unwrap_or_default();
            self.metrics.attempted(decision, age);
            log_attempt(id, message.as_ref(), done, (decision, age));
            let before = message.as_ref().and_then(|message| message.recipients().get(done.recipient));
            let state = state(decision, &done.reply, before);
            steps.push(Step { position: done.recipient, state, done, recorded: false });
        }
        if let Some(message) = &message {
            self.hooks.bounced(message, &mut steps).await;
        }
        self.settle(id, message.as_ref(), steps, report.finished, now).await;
        if let Some(message) = &message {
            self.hooks.delivered(message, &delivered).await;
        }
    }

    /// Tells the sender what is to be told, and has the spool remember the rest. When the queue has `finished` with the message and
    /// nobody has to see to it, it is over.
    async fn settle(
        &self,
        id: SpoolId,
        message: Option<&Message>,
        mut steps: Vec<Step<'_>>,
        finished: bool,
        now: SystemTime,
    ) {
        if let Some(message) = message {
            self.reporter.tell(message, &mut steps, self.lifetime, now).await;
            self.try_again(message, &steps);
        }
        // A message that failed, and of which nobody was told, is kept for the operator: nothing is lost silently.
        let over = |state: &RecipientState| state.is_final() && !is_failed(state);
        let tried = |position: usize| steps.iter().any(|step| step.position == position);
        let mut others = message.iter().flat_map(|message| message.recipients().iter().enumerate());
        let left = others.any(|(position, state)| !tried(position) && !over(state));
        if finished && !left && steps.iter().all(|step| over(&step.state)) {
            return self.finish(id).await;
        }
        let states = steps.into_iter().filter(|step| !step.recorded).map(|step| (step.position, step.state));
        self.record(id, states.collect()).await;
    }

    /// Gives up whom the operator wants given up.
    async fn give_up(&self, message: &Message, changed: Vec<(usize, RecipientState)>, now: SystemTime) {
        let id = message.id();
        self.queue.lock().forget(id);
        let failed = |(position, _): &(usize, RecipientState)| Delivered::new(*position, Outcome::Failed, EXPIRED);
        let done: Vec<_> = changed.iter().map(failed).collect();
        let steps = changed.into_iter().zip(&done);
        let steps = steps.map(|((position, state), done)| Step { position, state, done, recorded: false }).collect();
        self.settle(id, Some(message), steps, true, now).await;
    }

    /// Puts down those again whom the queue has given up, for their senders could not be told.
    fn try_again(&self, message: &Message, steps: &[Step<'_>]) {
        for step in steps {
            if let (Outcome::Failed, RecipientState::Deferred(deferral)) = (step.done.outcome, &step.state) {
                let (at, rank) = (message.accepted_at(), message.envelope().handling.priority);
                self.queue.lock().revive(message.id(), step.position, at, rank, deferral.next_attempt);
            }
        }
    }

    /// Does what the operator wants. Says whether that is done; what is under way is left alone. Only the lane itself
    /// calls this, so nothing is handed out meanwhile.
    pub(super) async fn obey(&self, id: SpoolId, order: Order) -> bool {
        if self.queue.lock().is_handed_out(id) {
            return false;
        }
        if order == Order::Remove {
            tracing::warn!(target: "wasmail::delivery", queue_id = %id, "removed by the operator");
            self.queue.lock().forget(id);
            let removed = self.spool.finish(id).await;
            return removed
                .inspect_err(|error| tracing::error!(queue_id = %id, %error, "failed to remove a message"))
                .is_ok();
        }
        if let Order::Route(route) = order {
            let moved = self.spool.reroute(id, route.clone()).await;
            if let Err(error) = moved {
                tracing::error!(queue_id = %id, %error, "failed to record an order");
                return false;
            }
            tracing::info!(target: "wasmail::delivery", queue_id = %id, route, "by another route, as the operator wants");
            self.queue.lock().forget(id);
            return true;
        }
        let (message, now) = match self.spool.message(id).await {
            Ok(message) => (message, SystemTime::now()),
            Err(error) => {
                tracing::error!(queue_id = %id, %error, order = order.name(), "failed to read a message of the spool");
                return true;
            }
        };
        let mut states = message.recipients().to_vec();
        let changed: Vec<_> = states
            .iter_mut()
            .enumerate()
            .filter_map(|(position, state)| {
                *state = ordered(&order, state, now)?;
                Some((position, state.clone()))
            })
            .collect();
        if changed.is_empty() {
            return true;
        }
        if order == Order::Expire {
            tracing::warn!(target: "wasmail::delivery", queue_id = %id, "given up by the operator");
            self.give_up(&message, changed, now).await;
            return true;
        }
        if let Err(error) = self.spool.record(id, changed).await {
            tracing::error!(queue_id = %id, %error, order = order.name(), "failed to record an order");
            return false;
        }
        tracing::info!(target: "wasmail::delivery", queue_id = %id, order = order.name(), "as the operator wants");
        if order == Order::Retry {
            self.ways.try_again(message.envelope());
        }
        let mut queue = self.queue.lock();
        queue.forget(id);
        let rank = message.envelope().handling.priority;
        queue.insert(id, message.accepted_at(), rank, states.iter().map(|state| waiting(state, now)).collect());
        true
    }

    /// Puts down a message that another lane had, to be tried now.
    pub(super) async fn take_over(&self, id: SpoolId) {
        let (message, now) = match self.spool.message(id).await {
            Ok(message) => (message, SystemTime::now()),
            // The next start finds it.
            Err(error) => return tracing::error!(queue_id = %id, %error, "failed to read a message of the spool"),
        };
        let at_once = |state: &RecipientState| match waiting(state, now) {
            Recipient::Waiting { attempts, .. } => Recipient::Waiting { attempts, due: now },
            Recipient::Finished => Recipient::Finished,
        };
        let (rank, recipients) = (message.envelope().handling.priority, message.recipients().iter().map(at_once));
        self.queue.lock().insert(id, message.accepted_at(), rank, recipients.collect());
    }

    /// Nobody waits for the message any more.
    pub(super) async fn finish(&self, id: SpoolId) {
        let mut told = false;
        while let Err(error) = self.spool.finish(id).await {
            if !is_tried_again(id, &error, &mut told).await {
                return;
            }
        }
    }

    async fn record(&self, id: SpoolId, states: Vec<(usize, RecipientState)>) {
        let mut told = false;
        while let Err(error) = self.spool.record(id, states.clone()).await {
            if !is_tried_again(id, &error, &mut told).await {
                return;
            }
        }
    }
}

/// What became of an attempt is written down, if it takes until the disk has room again: else it would be made again after a restart.
/// Meanwhile the place of the delivery is taken, so that no more are made than can be remembered.
async fn is_tried_again(id: SpoolId, error: &CommitError, told: &mut bool) -> bool {
    // The operator may have removed it.
    if error.is_unknown() {
        tracing::warn!(queue_id = %id, %error, "what became of a message cannot be written down");
        return false;
    }
    if !*told {
        tracing::error!(queue_id = %id, %error, "failed to write down what became of a message; trying until it is done");
        *told = true;
    }
    tokio::time::sleep(WRITE_AGAIN).await;
    true
}

/// What becomes of a recipient's state, if the order changes it.
fn ordered(order: &Order, state: &RecipientState, now: SystemTime) -> Option<RecipientState> {
    match (order, state) {
        (Order::Release, RecipientState::Held { .. })
        // Whose sender was told is over.
        | (Order::Retry, RecipientState::Failed { .. }) => Some(RecipientState::Pending),
        (Order::Hold, RecipientState::Pending | RecipientState::Deferred(_)) => {
            Some(RecipientState::Held { reason: "the operator wants it held".to_owned() })
        }
        (
            Order::Expire,
            RecipientState::Pending
            | RecipientState::Deferred(_)
            | RecipientState::Held { .. }
            | RecipientState::Failed { .. },
        ) => Some(RecipientState::Failed { reply: EXPIRED.to_owned() }),
        (Order::Retry, RecipientState::Deferred(deferral)) => {
            Some(RecipientState::Deferred(Deferral { next_attempt: now, ..deferral.clone() }))
        }
        _ => None,
    }
}

fn is_failed(state: &RecipientState) -> bool {
    matches!(state, RecipientState::Failed { .. })
}

fn state(decision: Decision, reply: &str, before: Option<&RecipientState>) -> RecipientState {
    match decision {
        Decision::Delivered => RecipientState::Delivered,
        Decision::Retry { attempts, next_attempt } => {
            let warned = matches!(before, Some(RecipientState::Deferred(deferral)) if deferral.warned);
            RecipientState::Deferred(Deferral { attempts, next_attempt, reply: reply.to_owned(), warned })
        }
        Decision::GiveUp { expired: true } => {
            RecipientState::Failed { reply: format!("5.4.7 given up for lack of time; last: {reply}") }
        }
        Decision::GiveUp { expired: false } => RecipientState::Failed { reply: reply.to_owned() },
    }
}

/// One line for each recipient that was tried.
fn log_attempt(id: SpoolId, message: Option<&Message>, done: &Delivered, (decision, age): (Decision, Duration)) {
    let envelope = message.map(Message::envelope);
    let uuid = envelope.map(|envelope| envelope.uuid.as_str());
    let to = envelope.and_then(|envelope| envelope.recipients.get(done.recipient));
    let to = to.map(|recipient| recipient.path.to_string()).unwrap_or_default();
    let (to, reply) = (Escaped(&to), Escaped(&done.reply));
    let age_ms = age.as_millis() as u64;
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
                "failed"
            );
        }
    }
}
