//! What the spool's handles and its committer have in common.

use crate::id::IdSource;
use crate::index::Index;
use crate::storage::Storage;
use crate::{Options, SpoolId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) ids: IdSource,
    /// Changed by the committer only.
    pub(crate) index: Mutex<Index>,
    /// Messages that were committed when nobody waited for the answer any more.
    pub(crate) withdrawn: Mutex<Vec<SpoolId>>,
    pub(crate) counters: Counters,
}

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) records: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) moved: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Figures of a spool, for metrics. Counts are since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Messages that are not finished.
    pub messages: usize,
    /// Octets of journal.
    pub octets: u64,
    /// Octets of journal that unfinished messages need.
    pub live_octets: u64,
    /// Files of the journal.
    pub segments: usize,
    /// Records made durable: messages, outcomes, finishes.
    pub records: u64,
    /// Writes to the journal.
    pub writes: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Messages that were copied forward so that an old segment could go.
    pub moved: u64,
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let index = self.index.lock();
        Stats {
            messages: index.len(),
            octets: index.octets(),
            live_octets: index.live_octets(),
            segments: index.segments().len(),
            records: load(&self.counters.records),
            writes: load(&self.counters.writes),
            syncs: load(&self.counters.syncs),
            moved: load(&self.counters.moved),
        }
    }
}
