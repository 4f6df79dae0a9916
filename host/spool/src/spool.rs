//! The spool's face: open it, draft and commit messages, read them back, record what becomes of them.

use crate::body::blocking;
use crate::committer::{Change, Committer, Order, Receipt, Request};
use crate::error::CommitError;
use crate::id::IdSource;
use crate::index::Live;
use crate::message::Message;
use crate::record::{Outcomes, encode_done};
use crate::recover::{self, Journal};
use crate::shared::{Shared, Stats};
use crate::storage::{Disk, Storage};
use crate::{Draft, Options, RecipientState, SpoolId};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How many may wait for the committer before the next one waits for a place.
const WAITING_MAX: usize = 4096;

/// The messages this server has taken responsibility for. Clones are the same spool; it is closed when the last one,
/// and the last draft, is dropped.
#[derive(Clone)]
pub struct Spool(Committing);

/// A message that was not finished when the spool was closed, or the power was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Its name; [`Spool::message`] has the rest.
    pub id: SpoolId,
    /// One state for each recipient of the envelope, in its order.
    pub recipients: Vec<RecipientState>,
    /// The route that it goes by, when it is not the usual one.
    pub route: Option<Arc<str>>,
    /// Who goes first among those who wait, from -9 to 9 (RFC 6710).
    pub priority: i8,
}

impl Spool {
    /// Opens the spool in `dir`, which is made if it is missing, and says what is still to be delivered, oldest first.
    ///
    /// Octets that cannot be read any more are copied to `dir/quarantine` and logged as errors; the rest goes on.
    ///
    /// # Errors
    /// When another process has it open, or the directory cannot be read or written; nothing is given up then.
    pub fn open(dir: &Path, options: Options) -> io::Result<(Self, Vec<Recovered>)> {
        let context = |error: io::Error| {
            io::Error::new(error.kind(), format!("failed to open the spool {}: {error}", dir.display()))
        };
        Disk::open(dir).and_then(|disk| Self::open_on(Arc::new(disk), options)).map_err(context)
    }

    pub(crate) fn open_on(storage: Arc<dyn Storage>, options: Options) -> io::Result<(Self, Vec<Recovered>)> {
        let mut journal = recover::read(&*storage)?;
        recover::repair(&*storage, &mut journal)?;
        let recovered = recovered(&journal);
        let Journal { index, last_id, last_segment, .. } = journal;
        let shared = Arc::new(Shared {
            storage,
            options: options.within_limits(),
            ids: IdSource::after(last_id),
            index: Mutex::new(index),
            withdrawn: Mutex::default(),
            counters: Default::default(),
        });
        Ok((Self(Committing::start(shared, last_segment + 1)?), recovered))
    }

    /// Begins a message.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::new(self.0.clone())
    }

    /// Reads a message that is not finished.
    ///
    /// # Errors
    /// `NotFound` when it is finished or never was; `InvalidData` when the disk has spoiled it; or what the disk says.
    pub async fn message(&self, id: SpoolId) -> io::Result<Message> {
        let shared = self.0.shared().clone();
        blocking(move || read_message(&shared, id)).await
    }

    /// [`Spool::message`] for a thread that may wait for the disk itself.
    ///
    /// # Errors
    /// As [`Spool::message`].
    pub fn message_blocking(&self, id: SpoolId) -> io::Result<Message> {
        read_message(self.0.shared(), id)
    }

    /// Records what became of some recipients, by their position in the envelope, and returns when it is durable.
    ///
    /// Replies are cut to [`REPLY_MAX`](crate::REPLY_MAX) octets.
    ///
    /// # Errors
    /// As for a commit, and `NotFound` within [`CommitError::Io`] when there is no such message. Nothing is recorded
    /// then: after a restart the recipients are as they were before.
    pub async fn record(&self, id: SpoolId, states: Vec<(usize, RecipientState)>) -> Result<(), CommitError> {
        let states: Vec<_> = states.into_iter().map(|(position, state)| (position, state.bounded())).collect();
        self.record_outcomes(Outcomes { id, states, route: None }).await
    }

    /// Sends a message by another route from now on, none for the usual way, and returns when that is durable.
    ///
    /// # Errors
    /// As [`Spool::record`].
    pub async fn reroute(&self, id: SpoolId, route: Option<String>) -> Result<(), CommitError> {
        self.record_outcomes(Outcomes { id, states: Vec::new(), route: Some(route) }).await
    }

    async fn record_outcomes(&self, outcomes: Outcomes) -> Result<(), CommitError> {
        let payload = outcomes.encode()?;
        let change = Change::Outcomes(outcomes);
        self.0.write(|reply| Order::Write(Request { payload, change, reply: Some(reply) })).await
    }

    /// Finishes a message, whatever the states of its recipients, and returns when that is durable. What it took on
    /// disk is given back.
    ///
    /// # Errors
    /// As [`Spool::record`]. After a restart the message is there again then.
    pub async fn finish(&self, id: SpoolId) -> Result<(), CommitError> {
        let (payload, change) = (encode_done(id)?, Change::Done { id });
        self.0.write(|reply| Order::Write(Request { payload, change, reply: Some(reply) })).await
    }

    /// Figures, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.shared().stats()
    }
}

pub(crate) fn recovered(journal: &Journal) -> Vec<Recovered> {
    let recover = |(id, live): (SpoolId, &Live)| Recovered {
        id,
        recipients: live.recipients.clone(),
        route: live.route.clone(),
        priority: live.priority,
    };
    let mut all: Vec<_> = journal.index.iter().map(recover).collect();
    all.sort_unstable_by_key(|message| message.id);
    all
}

fn read_message(shared: &Shared, id: SpoolId) -> io::Result<Message> {
    let not_found = || io::Error::new(io::ErrorKind::NotFound, format!("no message {id} in the spool"));
    loop {
        let (live, reader) = shared.index.lock().locate(id).ok_or_else(not_found)?;
        match Message::read(&*shared.storage, live, &reader) {
            // It was finished between the look and the read: look again.
            Err(error) if error.kind() == io::ErrorKind::NotFound && shared.index.lock().get(id).is_none() => {}
            result => return result,
        }
    }
}

/// The way to the committer, which ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct Committing(Arc<Thread>);

struct Thread {
    shared: Arc<Shared>,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Committing {
    fn start(shared: Arc<Shared>, next_segment: u64) -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel(WAITING_MAX);
        let committer = Committer::new(shared.clone(), next_segment, receiver, orders.downgrade());
        let thread = std::thread::Builder::new().name("spool-commit".to_owned()).spawn(|| committer.run())?;
        Ok(Self(Arc::new(Thread { shared, orders: Some(orders), thread: Some(thread) })))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Has a record written and returns when it is durable.
    pub(crate) async fn write(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<Receipt, CommitError>>) -> Order,
    ) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        // The sender is there until the drop.
        let orders = self.0.orders.as_ref().ok_or_else(CommitError::closed)?;
        orders.send(order(reply)).await.map_err(|_| CommitError::closed())?;
        answer.await.map_err(|_| CommitError::closed())??.take();
        Ok(())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // What was ordered is on disk when this returns, and the directory's lock is free.
            let _ = thread.join();
        }
    }
}
