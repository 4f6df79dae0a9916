//! The thread that writes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, Durability};
use tokio::sync::oneshot;

use super::operation::{Change, Changed};
use super::store::{Place, now};
use super::table::{Order, Room, Tables};
use crate::Failure;

/// Changes in one transaction: enough to share its cost, few enough that the first does not wait long.
const BATCH_MAX: usize = 256;

/// A change that somebody waits for.
pub(super) struct Job {
    pub(super) namespace: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) change: Change,
    pub(super) ttl: Option<Duration>,
    pub(super) room: Room,
    pub(super) answer: oneshot::Sender<Result<Changed, Failure>>,
}

/// Writes until nobody can ask any more; then makes all of it durable.
pub(super) fn run(place: &Place, jobs: &Receiver<Job>, sync_interval: Duration) {
    let mut unsynced_since: Option<Instant> = None;
    loop {
        let wait = unsynced_since.map_or(sync_interval, |since| sync_interval.saturating_sub(since.elapsed()));
        let (batch, is_over) = match jobs.recv_timeout(wait) {
            Ok(first) => (std::iter::once(first).chain(jobs.try_iter()).take(BATCH_MAX).collect(), false),
            Err(RecvTimeoutError::Timeout) => (Vec::new(), false),
            Err(RecvTimeoutError::Disconnected) => (Vec::new(), true),
        };
        let is_due = batch.is_empty() || unsynced_since.is_some_and(|since| since.elapsed() >= sync_interval);
        // An idle server leaves the disk alone.
        if !batch.is_empty() || unsynced_since.is_some() || place.has_expired_entries() {
            let done = carry_out(place, batch, is_due);
            unsynced_since =
                if is_due || done.is_err() { None } else { unsynced_since.or_else(|| Some(Instant::now())) };
        }
        if is_over {
            return;
        }
    }
}

/// Carries out a batch and answers, durably or not. On an error of the disk everybody is told, and the file will be
/// opened anew.
fn carry_out(place: &Place, batch: Vec<Job>, sync: bool) -> Result<(), ()> {
    let Some(database) = place.database() else {
        batch.into_iter().for_each(|job| refuse(job, "its file cannot be opened"));
        return Err(());
    };
    match write(&database, &batch, sync) {
        Ok(answers) => {
            for (job, answer) in batch.into_iter().zip(answers) {
                // Who asked may have gone.
                let _ = job.answer.send(answer);
            }
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "failed to write what plugins keep");
            drop(database);
            place.lost();
            batch.into_iter().for_each(|job| refuse(job, "it cannot be written"));
            Err(())
        }
    }
}

fn refuse(job: Job, why: &str) {
    let _ = job.answer.send(Err(Failure::Unavailable(why.to_owned())));
}

type Answers = Vec<Result<Changed, Failure>>;

fn write(database: &Arc<Database>, batch: &[Job], sync: bool) -> Result<Answers, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
    let now = now();
    let answers = {
        let mut tables = Tables::open(&transaction)?;
        if sync {
            tables.sweep(now)?;
        }
        let orders = batch.iter().map(|job| Order {
            namespace: &job.namespace,
            key: &job.key,
            change: &job.change,
            expires: job.ttl.map_or(0, |ttl| now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))),
            now,
            room: job.room,
        });
        orders.map(|order| tables.apply(&order)).collect::<Result<_, _>>()?
    };
    transaction.commit()?;
    Ok(answers)
}
