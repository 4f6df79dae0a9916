//! Carries the messages of one route to where they go, and tells queue and spool what became of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use wasmail_queue::{Queue, Recipient};
use wasmail_spool::{RecipientState, Recovered, Spool, SpoolId};

use crate::LaneConfig;
use crate::metrics::Metrics;
use crate::stop::{Phase, Stop};

use super::Asks;
use super::attempt::Due;
use super::hooks::Hooks;
use super::orders::Order;
use super::reports::Reporter;
use super::ways::{Carrier, Ways};

/// Longest that we sleep in one go: due times are wall-clock times, and that clock may be set.
const NAP: Duration = Duration::from_secs(60);
/// Messages that may wait for their destinations at once, some 2 KB each: mail for others goes past a destination that is
/// slow, as long as there are no more of them.
const WAITING_MAX: usize = 10_000;
/// How long running deliveries may go on when everything else has ended.
const LAST_DELIVERIES: Duration = Duration::from_secs(10);

/// What comes to a lane from outside.
#[derive(Debug)]
pub(super) enum Work {
    /// A message that has just been committed. The spool bounds how many there can be.
    Accepted { id: SpoolId, recipients: usize, rank: i8, start: SystemTime },
    /// A message that comes from another lane.
    Moved { id: SpoolId },
    /// The operator wants something. The answer says whether it was done; if not, it is to be asked again later.
    Order { id: SpoolId, order: Order, done: oneshot::Sender<bool> },
}

/// What the attempts share.
pub(crate) struct Office {
    pub(crate) spool: Spool,
    pub(crate) queue: Mutex<Queue<SpoolId>>,
    pub(crate) ways: Ways,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) metrics: Arc<Metrics>,
    /// How long a message is tried.
    pub(crate) lifetime: Duration,
}

/// Starts what is due, a bounded number at once.
pub(super) struct Lane {
    office: Arc<Office>,
    work: mpsc::UnboundedReceiver<Work>,
    concurrency: usize,
    running: JoinSet<usize>,
    /// Messages in the hands of those who run.
    in_hand: usize,
    /// Shows how many are under way.
    shown: Gauge,
}

impl Lane {
    /// Puts down what the spool still held for this route.
    pub(super) fn new(
        route: Option<&str>,
        config: LaneConfig,
        ways: Ways,
        Asks { reporter, hooks, metrics }: Asks<'_>,
        spool: Spool,
        recovered: Vec<Recovered>,
        now: SystemTime,
    ) -> (mpsc::UnboundedSender<Work>, Self) {
        let (sender, work) = mpsc::unbounded_channel();
        let (reporter, hooks, lifetime) = (Arc::clone(reporter), Arc::clone(hooks), config.retry.lifetime);
        let (shown, metrics) = (metrics.route(route), Arc::clone(metrics));
        let queue = Mutex::new(Queue::new(config.retry));
        let office = Arc::new(Office { spool, queue, ways, reporter, hooks, metrics, lifetime });
        let mut running = JoinSet::new();
        for message in recovered {
            resume(&office, message, now, &mut running);
        }
        let concurrency = match office.ways.usual.carrier {
            Carrier::Mx(_) => WAITING_MAX,
            _ if office.ways.are_one() => config.concurrency.max(1),
            // Each way lets so many through; the others wait without a message in memory.
            _ => WAITING_MAX,
        };
        (sender, Self { office, work, concurrency, running, in_hand: 0, shown })
    }

    /// Delivers until the server stops; says how many messages are left.
    pub(super) async fn run(mut self, stop: Arc<Stop>) -> usize {
        loop {
            self.start_due();
            self.shown.set(self.office.queue.lock().len() as i64);
            let nap = self.nap();
            tokio::select! {
                work = self.work.recv() => match work {
                    Some(work) => self.take_in(work).await,
                    None => break,
                },
                Some(ended) = self.running.join_next() => self.take_back(ended),
                () = tokio::time::sleep(nap) => {}
                () = stop.reached(Phase::Closing) => break,
            }
        }
        self.end().await
    }

    async fn take_in(&mut self, first: Work) {
        let mut next = Some(first);
        while let Some(work) = next {
            match work {
                Work::Accepted { id, recipients, rank, start } => {
                    self.office.queue.lock().accept(id, recipients, rank, start);
                }
                Work::Moved { id } => self.office.take_over(id).await,
                Work::Order { id, order, done } => {
                    let obeyed = self.office.obey(id, order).await;
                    let _ = done.send(obeyed);
                }
            }
            next = self.work.try_recv().ok();
        }
    }

    fn start_due(&mut self) {
        while self.in_hand < self.concurrency {
            let most = (self.concurrency - self.in_hand).min(self.office.batch_max());
            let batch = self.office.pop_due(most);
            if batch.is_empty() {
                return;
            }
            self.in_hand += batch.len();
            self.running.spawn(Arc::clone(&self.office).attempt(batch));
        }
    }

    fn take_back(&mut self, ended: Result<usize, tokio::task::JoinError>) {
        match ended {
            Ok(count) => self.in_hand = self.in_hand.saturating_sub(count),
            // Its messages are in the spool, and tried again after the next start; their places stay taken.
            Err(error) => tracing::error!(%error, "a delivery broke off"),
        }
    }

    /// Until the next message is due, or a place is free.
    fn nap(&self) -> Duration {
        if self.in_hand >= self.concurrency {
            return NAP;
        }
        let due = self.office.queue.lock().next_due();
        due.map_or(NAP, |due| due.duration_since(SystemTime::now()).unwrap_or_default().min(NAP))
    }

    async fn end(mut self) -> usize {
        self.office.ways.close();
        if let Ok(work) = self.work.try_recv() {
            self.take_in(work).await;
        }
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_DELIVERIES, all).await.is_err() {
            // They are in the spool, and tried again after the next start.
            self.running.shutdown().await;
        }
        self.office.queue.lock().len()
    }
}

impl Office {
    fn pop_due(&self, most: usize) -> Vec<Due> {
        let (mut queue, now) = (self.queue.lock(), SystemTime::now());
        std::iter::from_fn(|| queue.pop_due(now)).take(most).collect()
    }
}

/// Takes up a message where it was left. One whose recipients are all through is finished, unless somebody failed or is
/// held: that one stays for the operator to see.
fn resume(office: &Arc<Office>, message: Recovered, now: SystemTime, running: &mut JoinSet<usize>) {
    let waiting = message.recipients.iter().map(|state| waiting(state, now)).collect();
    let stays = |state: &RecipientState| matches!(state, RecipientState::Failed { .. } | RecipientState::Held { .. });
    let kept = message.recipients.iter().any(stays);
    // What was held for its sender begins its life when it is let go.
    let start = |state: &RecipientState| match state {
        RecipientState::Deferred(deferral) if deferral.attempts == 0 => Some(deferral.next_attempt),
        _ => None,
    };
    let begin = message.recipients.iter().filter_map(start).max().unwrap_or(message.id.time());
    if office.queue.lock().insert(message.id, begin, message.priority, waiting) || kept {
        return;
    }
    let (office, id) = (Arc::clone(office), message.id);
    running.spawn(async move {
        office.finish(id).await;
        0
    });
}

pub(super) fn waiting(state: &RecipientState, now: SystemTime) -> Recipient {
    match state {
        RecipientState::Pending => Recipient::Waiting { attempts: 0, due: now },
        RecipientState::Deferred(deferral) => {
            Recipient::Waiting { attempts: deferral.attempts, due: deferral.next_attempt }
        }
        RecipientState::Delivered
        | RecipientState::Failed { .. }
        | RecipientState::Bounced { .. }
        | RecipientState::Held { .. } => Recipient::Finished,
    }
}
