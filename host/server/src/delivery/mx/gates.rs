//! How much goes to one destination at once, and how fast; and how much in all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::Pace;

/// Destinations that are remembered before those without anything under way are forgotten. Each takes some 300 octets.
const KNOWN_MAX: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// The way to all destinations.
pub(super) struct Gates {
    total: Arc<Semaphore>,
    known: Mutex<HashMap<String, Arc<Gate>>>,
    closed: watch::Sender<bool>,
}

/// The way to one.
struct Gate {
    slots: Arc<Semaphore>,
    turns: Mutex<Turns>,
    concurrency: usize,
}

/// When the next message may go.
#[derive(Debug)]
struct Turns {
    next: Instant,
    interval: Duration,
}

/// The right to send one message to one destination, until it is dropped.
pub(super) struct Pass {
    _of_destination: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Gates {
    /// With so many messages on their way at once in all.
    pub(super) fn new(total: usize) -> Self {
        let total = Arc::new(Semaphore::new(total.clamp(1, Semaphore::MAX_PERMITS)));
        Self { total, known: Mutex::default(), closed: watch::Sender::new(false) }
    }

    /// A pass, if nobody has to wait for it.
    pub(super) fn try_enter(&self, destination: &str, pace: Pace) -> Option<Pass> {
        let gate = self.gate(destination, pace);
        let of_destination = Arc::clone(&gate.slots).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.total).try_acquire_owned().ok()?;
        if !gate.turns.lock().try_take(Instant::now()) {
            return None;
        }
        Some(Pass { _of_destination: of_destination, _of_all: of_all })
    }

    /// Waits for a pass; first come, first served. None when the gates are closed.
    pub(super) async fn enter(&self, destination: &str, pace: Pace) -> Option<Pass> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            pass = self.wait(destination, pace) => pass,
            _ = closed.wait_for(|closed| *closed) => None,
        }
    }

    /// Sends away whoever waits, since the server ends; who has a pass goes on.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    async fn wait(&self, destination: &str, pace: Pace) -> Option<Pass> {
        let gate = self.gate(destination, pace);
        let of_destination = Arc::clone(&gate.slots).acquire_owned().await.ok()?;
        // A place of all is taken last, so that whoever waits for a slow destination holds none.
        let turn = gate.turns.lock().take(Instant::now());
        sleep_until(turn).await;
        let of_all = Arc::clone(&self.total).acquire_owned().await.ok()?;
        Some(Pass { _of_destination: of_destination, _of_all: of_all })
    }

    fn gate(&self, destination: &str, pace: Pace) -> Arc<Gate> {
        let mut known = self.known.lock();
        if let Some(gate) = known.get(destination) {
            return Arc::clone(gate);
        }
        if known.len() >= KNOWN_MAX {
            let now = Instant::now();
            known.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.is_busy(now));
        }
        let gate = Arc::new(Gate {
            slots: Arc::new(Semaphore::new(pace.concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            turns: Mutex::new(Turns::new(pace, Instant::now())),
            concurrency: pace.concurrency,
        });
        known.insert(destination.to_owned(), Arc::clone(&gate));
        gate
    }
}

impl Gate {
    fn is_busy(&self, now: Instant) -> bool {
        self.slots.available_permits() < self.concurrency || self.turns.lock().next > now
    }
}

impl Turns {
    fn new(pace: Pace, now: Instant) -> Self {
        Self { next: now, interval: pace.per_minute.map_or(Duration::ZERO, |rate| MINUTE / rate.max(1)) }
    }

    /// When whoever comes now may go.
    fn take(&mut self, now: Instant) -> Instant {
        let turn = now.max(self.next);
        self.next = turn + self.interval;
        turn
    }

    /// Takes a turn if it is now.
    fn try_take(&mut self, now: Instant) -> bool {
        let is_now = self.next <= now;
        if is_now {
            self.take(now);
        }
        is_now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Pace = Pace { concurrency: 2, per_minute: None };

    #[tokio::test]
    async fn a_full_destination_leaves_the_others_their_way() {
        let gates = Gates::new(3);
        let (one, _two) = (gates.try_enter("a", NARROW).unwrap(), gates.try_enter("a", NARROW).unwrap());
        assert!(gates.try_enter("a", NARROW).is_none());
        let _other = gates.try_enter("b", NARROW).expect("b has nothing to do with it");
        assert!(gates.try_enter("c", NARROW).is_none(), "three at once");
        drop(one);
        assert!(gates.try_enter("a", NARROW).is_some());
    }

    #[tokio::test]
    async fn who_waits_for_a_destination_holds_no_place_of_all() {
        let gates = Arc::new(Gates::new(3));
        let passes = [gates.try_enter("a", NARROW).unwrap(), gates.try_enter("a", NARROW).unwrap()];
        let again = Arc::clone(&gates);
        let waiting = tokio::spawn(async move { again.enter("a", NARROW).await });
        tokio::task::yield_now().await;
        let other = gates.enter("b", NARROW).await.expect("there is a place");
        assert!(!waiting.is_finished());
        drop((passes, other));
        assert!(waiting.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn who_waits_is_sent_away_when_the_server_ends() {
        let gates = Arc::new(Gates::new(1));
        let _pass = gates.try_enter("a", NARROW).unwrap();
        let again = Arc::clone(&gates);
        let waiting = tokio::spawn(async move { again.enter("a", NARROW).await });
        tokio::task::yield_now().await;
        gates.close();
        assert!(waiting.await.unwrap().is_none());
        assert!(gates.enter("a", NARROW).await.is_none(), "nobody comes in after that");
    }

    #[tokio::test]
    async fn a_rate_is_that_of_one_destination() {
        let (gates, pace) = (Gates::new(100), Pace { concurrency: 100, per_minute: Some(6) });
        let passes = (gates.try_enter("a", pace), gates.try_enter("a", pace), gates.try_enter("b", pace));
        assert!(matches!(passes, (Some(_), None, Some(_))));
    }

    #[test]
    fn a_rate_spreads_messages_over_the_minute() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut turns = Turns::new(Pace { concurrency: 1, per_minute: Some(6) }, began);
        assert!(turns.try_take(began) && !turns.try_take(after(9)));
        assert_eq!([turns.take(after(9)), turns.take(after(9)), turns.take(after(9))], [10, 20, 30].map(after));
        assert!(turns.try_take(after(60)), "what was not sent does not add up");
        assert!(!turns.try_take(after(60)));
    }
}
