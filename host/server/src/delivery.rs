//! Carries committed messages to where they go, and tells queue and spool what became of them.

mod attempt;
mod maildir;
mod next_hop;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmail_queue::{Queue, Recipient};
use wasmail_spool::{RecipientState, Recovered, Spool, SpoolId};

use crate::stop::{Phase, Stop};
use crate::{DeliveryConfig, Destination, StartError};

use attempt::Carrier;
use maildir::Maildir;
use next_hop::NextHop;

/// Longest that we sleep in one go: due times are wall-clock times, and that clock may be set.
const NAP: Duration = Duration::from_secs(60);
/// How long running deliveries may go on when everything else has ended.
const LAST_DELIVERIES: Duration = Duration::from_secs(10);

/// Where sessions hand in what they have committed.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries(mpsc::UnboundedSender<Accepted>);

/// A message that has just been committed. The spool bounds how many there can be.
#[derive(Debug)]
struct Accepted {
    id: SpoolId,
    recipients: usize,
    at: SystemTime,
}

impl Deliveries {
    pub(crate) fn accepted(&self, id: SpoolId, recipients: usize, at: SystemTime) {
        // Without a receiver the server is ending, and the next start finds the message in the spool.
        let _ = self.0.send(Accepted { id, recipients, at });
    }
}

/// What the attempts share.
pub(crate) struct Office {
    pub(crate) spool: Spool,
    pub(crate) queue: Mutex<Queue<SpoolId>>,
    pub(crate) carrier: Carrier,
}

/// Starts what is due, a bounded number at once.
pub(crate) struct Delivery {
    office: Arc<Office>,
    accepted: mpsc::UnboundedReceiver<Accepted>,
    concurrency: usize,
    running: JoinSet<usize>,
    /// Messages in the hands of those who run.
    in_hand: usize,
}

impl Delivery {
    /// Puts down what the spool still held.
    pub(crate) fn new(
        config: DeliveryConfig,
        spool: Spool,
        recovered: Vec<Recovered>,
        now: SystemTime,
    ) -> Result<(Deliveries, Self), StartError> {
        let (sender, accepted) = mpsc::unbounded_channel();
        let last_recovered = recovered.iter().map(|message| message.id).max();
        let office = Arc::new(Office {
            spool,
            queue: Mutex::new(Queue::new(config.retry)),
            carrier: carrier(config.destination, last_recovered)?,
        });
        let mut running = JoinSet::new();
        for message in recovered {
            resume(&office, message, now, &mut running);
        }
        let concurrency = config.concurrency.max(1);
        Ok((Deliveries(sender), Self { office, accepted, concurrency, running, in_hand: 0 }))
    }

    /// Delivers until the server stops; says how many messages are left.
    pub(crate) async fn run(mut self, stop: Arc<Stop>) -> usize {
        loop {
            self.start_due();
            let nap = self.nap();
            tokio::select! {
                accepted = self.accepted.recv() => match accepted {
                    Some(accepted) => self.take_in(accepted),
                    None => break,
                },
                Some(ended) = self.running.join_next() => self.take_back(ended),
                () = tokio::time::sleep(nap) => {}
                () = stop.reached(Phase::Closing) => break,
            }
        }
        self.end().await
    }

    fn take_in(&mut self, first: Accepted) {
        let mut queue = self.office.queue.lock();
        queue.accept(first.id, first.recipients, first.at);
        while let Ok(next) = self.accepted.try_recv() {
            queue.accept(next.id, next.recipients, next.at);
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
        while let Ok(accepted) = self.accepted.try_recv() {
            self.take_in(accepted);
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
    fn pop_due(&self, most: usize) -> Vec<attempt::Due> {
        let (mut queue, now) = (self.queue.lock(), SystemTime::now());
        std::iter::from_fn(|| queue.pop_due(now)).take(most).collect()
    }
}

fn carrier(destination: Destination, last_recovered: Option<SpoolId>) -> Result<Carrier, StartError> {
    Ok(match destination {
        Destination::Maildir(config) => Carrier::Maildir(Arc::new(Maildir::open(config, last_recovered)?)),
        Destination::NextHop(config) => Carrier::NextHop(NextHop::new(config)),
        Destination::Discard => Carrier::Discard,
    })
}

/// Takes up a message where it was left. One whose recipients are all through is finished, unless somebody failed:
/// that one stays for the operator to see.
fn resume(office: &Arc<Office>, message: Recovered, now: SystemTime, running: &mut JoinSet<usize>) {
    let waiting = message.recipients.iter().map(|state| waiting(state, now)).collect();
    let failed = message.recipients.iter().any(|state| matches!(state, RecipientState::Failed { .. }));
    if office.queue.lock().insert(message.id, message.id.time(), waiting) || failed {
        return;
    }
    let (office, id) = (Arc::clone(office), message.id);
    running.spawn(async move {
        office.finish(id).await;
        0
    });
}

fn waiting(state: &RecipientState, now: SystemTime) -> Recipient {
    match state {
        RecipientState::Pending => Recipient::Waiting { attempts: 0, due: now },
        RecipientState::Deferred(deferral) => {
            Recipient::Waiting { attempts: deferral.attempts, due: deferral.next_attempt }
        }
        RecipientState::Delivered | RecipientState::Failed { .. } => Recipient::Finished,
    }
}
