//! The one thread that writes the journal: it takes all who wait, writes them at once, syncs once, answers each.
//!
//! While a sync runs, others queue up for the next one, so the syncs' number adapts itself to the load.

use crate::body::BodyFile;
use crate::error::CommitError;
use crate::frame::{Kind, Payload};
use crate::index::{Index, Live, Place};
use crate::record::{self, BodyPlace, Outcomes};
use crate::segment;
use crate::shared::{Counters, Shared};
use crate::storage::Folder;
use crate::{RecipientState, SpoolId};
use std::io;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

mod housekeeping;

/// Most octets that are written for one sync, so that the first in line doesn't wait for too long.
const BATCH_OCTETS: u64 = 8 * 1024 * 1024;
/// Most records that are written for one sync.
const BATCH_RECORDS: usize = 4096;

/// What the committer is sent.
pub(crate) enum Order {
    Write(Request),
    /// Somebody withdrew a message.
    Wake,
}

/// A record to be made durable.
pub(crate) struct Request {
    pub(crate) payload: Payload,
    pub(crate) change: Change,
    /// Nobody, for the committer's own.
    pub(crate) reply: Option<oneshot::Sender<Result<Receipt, CommitError>>>,
}

/// What a durable record means.
pub(crate) enum Change {
    Accept {
        id: SpoolId,
        recipients: Vec<RecipientState>,
        route: Option<Arc<str>>,
        priority: i8,
        body: BodyPlace,
        file: Option<Arc<BodyFile>>,
        settles: Option<Outcomes>,
    },
    Outcomes(Outcomes),
    Done {
        id: SpoolId,
    },
    Move {
        id: SpoolId,
        live: Live,
    },
}

impl Change {
    fn kind(&self) -> Kind {
        match self {
            Self::Accept { .. } | Self::Move { .. } => Kind::Accepted,
            Self::Outcomes(_) => Kind::Outcomes,
            Self::Done { .. } => Kind::Done,
        }
    }
}

/// Proof that a record is durable.
///
/// The receipt for a message that nobody takes withdraws it: whoever wanted to say 250 is gone, so the client will
/// send the message again.
pub(crate) struct Receipt(Option<Withdrawal>);

struct Withdrawal {
    id: SpoolId,
    shared: Weak<Shared>,
    orders: mpsc::WeakSender<Order>,
}

impl Receipt {
    /// From here on the message stays.
    pub(crate) fn take(mut self) {
        self.0 = None;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Some(withdrawal) = self.0.take() else { return };
        if let Some(shared) = withdrawal.shared.upgrade() {
            shared.withdrawn.lock().push(withdrawal.id);
        }
        if let Some(orders) = withdrawal.orders.upgrade() {
            // With the queue full the committer is awake anyway.
            let _ = orders.try_send(Order::Wake);
        }
    }
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    /// For receipts.
    sender: mpsc::WeakSender<Order>,
    /// The segment that is written to.
    active: Option<u64>,
    next_segment: u64,
    /// Rounds for which housekeeping waits, after it failed.
    rest: u32,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        next_segment: u64,
        orders: mpsc::Receiver<Order>,
        sender: mpsc::WeakSender<Order>,
    ) -> Self {
        Self { shared, orders, sender, active: None, next_segment, rest: 0 }
    }

    /// Works until every sender is gone and all that they sent is answered.
    pub(crate) fn run(mut self) {
        self.keep_house();
        while let Some(order) = self.next_order() {
            let batch = self.gather(order);
            self.commit(batch);
            self.keep_house();
        }
        self.retire();
    }

    /// Uses the time nobody else wants to tidy up.
    fn next_order(&mut self) -> Option<Order> {
        while self.wants_compaction() {
            match self.orders.try_recv() {
                Ok(order) => return Some(order),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.keep_house(),
            }
        }
        self.orders.blocking_recv()
    }

    fn gather(&mut self, first: Order) -> Vec<Request> {
        let mut batch = self.withdrawals();
        let mut octets = 0;
        let mut next = Some(first);
        while let Some(order) = next {
            if let Order::Write(request) = order {
                octets += request.payload.frame_len();
                batch.push(request);
            }
            let more = octets < BATCH_OCTETS && batch.len() < BATCH_RECORDS;
            next = if more { self.orders.try_recv().ok() } else { None };
        }
        batch
    }

    fn withdrawals(&mut self) -> Vec<Request> {
        let ids = std::mem::take(&mut *self.shared.withdrawn.lock());
        let request = |id| {
            let payload = record::encode_done(id).ok()?;
            Some(Request { payload, change: Change::Done { id }, reply: None })
        };
        ids.into_iter().filter_map(request).collect()
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let batch = self.refuse(batch);
        if batch.is_empty() {
            return;
        }
        match self.write(&batch) {
            Ok(places) => self.apply(batch, places),
            Err(error) => self.fail(batch, error),
        }
    }

    /// Answers those whose record must not be written.
    fn refuse(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let new = batch.iter().filter(|request| matches!(request.change, Change::Accept { .. })).count();
        let low = new > 0 && self.is_low_on_space(&batch);
        let shared = self.shared.clone();
        let index = shared.index.lock();
        let full = index.len() + new > shared.options.messages_max;
        let refusal = |request: &Request| match &request.change {
            Change::Accept { .. } if full => Some(CommitError::full("too many messages are waiting")),
            Change::Accept { .. } if low => Some(CommitError::full("too little room is left on the disk")),
            Change::Outcomes(Outcomes { id, .. }) | Change::Done { id } if index.get(*id).is_none() => {
                Some(CommitError::unknown(*id))
            }
            _ => None,
        };
        let mut good = Vec::with_capacity(batch.len());
        for request in batch {
            match refusal(&request) {
                Some(error) => answer(request.reply, Err(error)),
                None if request.is_wanted() => good.push(request),
                None => {}
            }
        }
        good
    }

    fn is_low_on_space(&self, batch: &[Request]) -> bool {
        let wanted: u64 = batch.iter().map(|request| request.payload.frame_len()).sum();
        // A disk that can't say is not full yet.
        self.shared.storage.free().is_ok_and(|free| free < wanted.saturating_add(self.shared.options.min_free))
    }

    /// Writes and syncs; says where each record lies.
    fn write(&mut self, batch: &[Request]) -> io::Result<Vec<Place>> {
        let length = batch.iter().map(|request| request.payload.frame_len()).sum();
        let number = self.make_room(length)?;
        let (file, salt, start) = {
            let index = self.shared.index.lock();
            let segment = index.segments().get(&number).ok_or(io::ErrorKind::NotFound)?;
            (segment.file.clone(), segment.salt, segment.end)
        };
        let records: Vec<_> = batch.iter().map(|request| (request.change.kind(), &request.payload)).collect();
        segment::write(&*file, salt, start, &records)?;
        if self.shared.options.synced() {
            file.sync()?;
            Counters::add(&self.shared.counters.syncs, 1);
        }
        Counters::add(&self.shared.counters.writes, 1);
        Ok(places(number, start, &records))
    }

    /// The number of a segment with room for `length` octets, or that is new.
    fn make_room(&mut self, length: u64) -> io::Result<u64> {
        if let Some(active) = self.active {
            let end = self.shared.index.lock().segments().get(&active).map(|segment| segment.end);
            if end.is_some_and(|end| end + length <= self.shared.options.segment_size) {
                return Ok(active);
            }
            self.retire();
        }
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> io::Result<u64> {
        let number = self.next_segment;
        // A number is never used twice, whatever became of its file.
        self.next_segment += 1;
        let mut index = self.shared.index.lock();
        let segment = segment::create(&*self.shared.storage, number, &index, self.shared.ids.last())?;
        self.active = Some(number);
        index.add_segment(number, segment);
        Ok(number)
    }

    /// Writes no more to the active segment, and cuts off what a failed write left behind its end.
    fn retire(&mut self) {
        let Some(active) = self.active.take() else { return };
        let index = self.shared.index.lock();
        if let Some(segment) = index.segments().get(&active) {
            // Only tidiness: a later segment says how long this one is.
            let _ = segment.file.truncate(segment.end);
        }
    }

    fn apply(&mut self, batch: Vec<Request>, places: Vec<Place>) {
        Counters::add(&self.shared.counters.records, batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        {
            let mut index = self.shared.index.lock();
            if let Some(last) = places.last() {
                index.grow_segment(last.segment, last.offset + last.len);
            }
            for (request, place) in batch.into_iter().zip(places) {
                let receipt = self.receipt(&request.change);
                self.apply_one(&mut index, request.change, place);
                replies.push((request.reply, receipt));
            }
        }
        replies.into_iter().for_each(|(reply, receipt)| answer(reply, Ok(receipt)));
    }

    fn apply_one(&self, index: &mut Index, change: Change, place: Place) {
        match change {
            Change::Accept { id, recipients, route, priority, body, file, settles } => {
                file.iter().for_each(|file| file.keep());
                index.put(id, Live { place, recipients, body, route, priority });
                settles.into_iter().for_each(|other| index.settle(other));
            }
            Change::Outcomes(outcomes) => index.settle(outcomes),
            Change::Move { id, live } => {
                Counters::add(&self.shared.counters.moved, 1);
                index.put(id, Live { place, ..live });
            }
            Change::Done { id } => self.finish(index.remove(id), id),
        }
    }

    fn finish(&self, live: Option<Live>, id: SpoolId) {
        if !live.is_some_and(|live| matches!(live.body, BodyPlace::File { .. })) {
            return;
        }
        if let Err(error) = self.shared.storage.remove(Folder::Bodies, &id.to_string()) {
            // The next start removes what no message names.
            tracing::warn!(%id, %error, "failed to remove the body of a finished message");
        }
    }

    fn receipt(&self, change: &Change) -> Receipt {
        match change {
            // What settles another's fate stays, whoever has gone: nobody else will send it again.
            Change::Accept { id, settles: None, .. } => {
                Receipt(Some(Withdrawal { id: *id, shared: Arc::downgrade(&self.shared), orders: self.sender.clone() }))
            }
            _ => Receipt(None),
        }
    }

    /// Nothing of the batch counts, and the segment is not written to again: after a failed sync nobody knows what
    /// the disk has of it.
    fn fail(&mut self, batch: Vec<Request>, error: io::Error) {
        tracing::error!(records = batch.len(), %error, "failed to write to the journal");
        let distrusted = self.active;
        self.retire();
        distrusted.into_iter().for_each(|number| self.remove_if_unused(number));
        let error = CommitError::from(error);
        for request in batch {
            self.remember_withdrawal(&request);
            answer(request.reply, Err(error.clone()));
        }
    }

    fn remember_withdrawal(&self, request: &Request) {
        if let (Change::Done { id }, None) = (&request.change, &request.reply) {
            self.shared.withdrawn.lock().push(*id);
        }
    }

    /// Removes a segment with nothing but its first record, or a full disk would collect one with every attempt.
    fn remove_if_unused(&mut self, number: u64) {
        let mut index = self.shared.index.lock();
        let Some(segment) = index.segments().get(&number) else { return };
        let unused = segment.reader().read(0).is_ok_and(|frame| frame.len == segment.end);
        if unused && self.shared.storage.remove(Folder::Journal, &segment.name).is_ok() {
            index.remove_segment(number);
        }
    }
}

impl Request {
    /// Whether anybody still waits for the answer; what becomes of a message is written in any case.
    fn is_wanted(&self) -> bool {
        let gone = self.reply.as_ref().is_some_and(oneshot::Sender::is_closed);
        !(gone && matches!(self.change, Change::Accept { .. }))
    }
}

fn places(segment: u64, start: u64, records: &[(Kind, &Payload)]) -> Vec<Place> {
    let mut offset = start;
    let place = |(_, payload): &(Kind, &Payload)| {
        let place = Place { segment, offset, len: payload.frame_len() };
        offset += place.len;
        place
    };
    records.iter().map(place).collect()
}

fn answer(reply: Option<oneshot::Sender<Result<Receipt, CommitError>>>, result: Result<Receipt, CommitError>) {
    match reply {
        // A receipt that comes back is dropped, and withdraws.
        Some(reply) => drop(reply.send(result)),
        None => result.into_iter().for_each(Receipt::take),
    }
}
