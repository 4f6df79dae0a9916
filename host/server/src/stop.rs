//! The word that the server is to stop, as every connection hears it.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How far the server is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It serves.
    Serving,
    /// Running transactions end, nothing new begins.
    Draining,
    /// Time is up: everybody is sent away.
    Closing,
}

/// Holds the phase and wakes those who wait for the next one.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    phase: AtomicU8,
    changed: Notify,
}

impl Stop {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Goes on to a phase and tells everybody.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Ends at the next change. Whoever looks at the phase after making it misses none.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Ends when the phase is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.changed();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }
}
