//! What a tenant has used of its quotas.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::Quotas;

/// Quotas are of a minute; what was not used is not saved for the next.
const MINUTE: Duration = Duration::from_secs(60);

/// What a tenant has used, from the server's start on. It outlives the versions of the tenant's chain.
#[derive(Debug)]
pub struct Usage {
    buckets: Mutex<Buckets>,
    running: Arc<AtomicU32>,
    messages: AtomicU64,
    connections: AtomicU64,
    deferred: AtomicU64,
    asked: AtomicU64,
    faults: AtomicU64,
}

/// Over which quota a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Connections in a minute.
    Connections,
    /// Transactions at the same time.
    Transactions,
    /// Messages in a minute.
    Messages,
    /// CPU time in a minute.
    Cpu,
}

/// What a tenant has used, to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Used {
    /// Transactions that are running.
    pub transactions: u32,
    /// Messages that were accepted.
    pub messages: u64,
    /// Connections that came to one of its recipients.
    pub connections: u64,
    /// Transactions and messages that were deferred because of a quota.
    pub deferred: u64,
    /// Questions to its plugins.
    pub asked: u64,
    /// Of these, how many a plugin failed to answer.
    pub faults: u64,
    /// Milliseconds of CPU time of its plugins.
    pub cpu_ms: u64,
    /// The quota that it was over last, if it was.
    pub over: Option<Over>,
}

/// Room for one transaction. Dropped, it is free.
#[derive(Debug)]
pub struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Buckets {
    quotas: Quotas,
    connections: Bucket,
    messages: Bucket,
    /// Milliseconds.
    cpu: Bucket,
    /// CPU time that was counted.
    counted: Duration,
    over: Option<Over>,
}

/// As much as a minute has, filled steadily.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    const fn full(of: u32, at: Instant) -> Self {
        Self { level: of as f64, at }
    }

    /// What is in it now.
    fn level(&mut self, of: u32, now: Instant) -> f64 {
        let part = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        self.level = (self.level + part * f64::from(of)).min(f64::from(of));
        self.at = self.at.max(now);
        self.level
    }

    /// Takes one, if there is one.
    fn take(&mut self, of: u32, now: Instant) -> bool {
        let there = self.level(of, now) >= 1.0;
        self.level -= if there { 1.0 } else { 0.0 };
        there
    }
}

impl Usage {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(quotas: Quotas, now: Instant) -> Self {
        let bucket = |of| Bucket::full(of, now);
        let (connections, messages) = (bucket(quotas.connections_per_minute), bucket(quotas.messages_per_minute));
        let cpu = bucket(quotas.cpu_ms_per_minute);
        let buckets = Buckets { quotas, connections, messages, cpu, counted: Duration::ZERO, over: None };
        Self {
            buckets: Mutex::new(buckets),
            running: Arc::default(),
            messages: AtomicU64::default(),
            connections: AtomicU64::default(),
            deferred: AtomicU64::default(),
            asked: AtomicU64::default(),
            faults: AtomicU64::default(),
        }
    }

    /// Other quotas hold from now on.
    pub fn set_quotas(&self, quotas: Quotas) {
        self.buckets.lock().quotas = quotas;
    }

    /// A transaction begins, on a connection that is new to the tenant or is not. `spent` is all the CPU time of its plugins.
    ///
    /// # Errors
    /// The quota that it is over.
    pub fn begin(&self, new_connection: bool, spent: Duration, now: Instant) -> Result<Running, Over> {
        let mut buckets = self.buckets.lock();
        let taken = buckets.begin(new_connection, spent, now, &self.running);
        buckets.over = taken.as_ref().err().copied().or(buckets.over);
        match taken {
            Ok(()) => self.connections.fetch_add(u64::from(new_connection), Ordering::Relaxed),
            Err(_) => self.deferred.fetch_add(1, Ordering::Relaxed),
        };
        taken.map(|()| {
            self.running.fetch_add(1, Ordering::Relaxed);
            Running(Arc::clone(&self.running))
        })
    }

    /// A message is to be taken.
    ///
    /// # Errors
    /// When there were too many in the last minute.
    pub fn message(&self, now: Instant) -> Result<(), Over> {
        let mut buckets = self.buckets.lock();
        let of = buckets.quotas.messages_per_minute;
        if buckets.messages.take(of, now) {
            self.messages.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        buckets.over = Some(Over::Messages);
        self.deferred.fetch_add(1, Ordering::Relaxed);
        Err(Over::Messages)
    }

    /// A plugin was asked.
    pub fn asked(&self, fault: bool) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.faults.fetch_add(u64::from(fault), Ordering::Relaxed);
    }

    /// What was used so far.
    #[must_use]
    pub fn used(&self, spent: Duration) -> Used {
        Used {
            transactions: self.running.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            deferred: self.deferred.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            cpu_ms: u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
            over: self.buckets.lock().over,
        }
    }
}

impl Buckets {
    fn begin(&mut self, new_connection: bool, spent: Duration, now: Instant, running: &AtomicU32) -> Result<(), Over> {
        let quotas = &self.quotas;
        let new = spent.saturating_sub(self.counted);
        // A chain that was replaced takes its count with it.
        self.counted = spent;
        let left = self.cpu.level(quotas.cpu_ms_per_minute, now) - new.as_secs_f64() * 1e3;
        self.cpu.level = left;
        if left <= 0.0 {
            return Err(Over::Cpu);
        }
        if running.load(Ordering::Relaxed) >= quotas.transactions {
            return Err(Over::Transactions);
        }
        if new_connection && !self.connections.take(quotas.connections_per_minute, now) {
            return Err(Over::Connections);
        }
        // Not taken yet: the message may never come. But who has none left need not send it.
        if self.messages.level(quotas.messages_per_minute, now) < 1.0 { Err(Over::Messages) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(change: impl FnOnce(&mut Quotas)) -> (Usage, Instant) {
        let (mut quotas, now) = (Quotas::default(), Instant::now());
        change(&mut quotas);
        (Usage::new(quotas, now), now)
    }

    const NOTHING: Duration = Duration::ZERO;

    #[test]
    fn messages_are_counted_by_the_minute() {
        let (usage, now) = usage(|quotas| quotas.messages_per_minute = 3);
        let count = |at| (0..10).filter(|_| usage.message(at).is_ok()).count();
        assert_eq!((count(now), count(now + MINUTE / 3), count(now + MINUTE * 10)), (3, 1, 3));
        assert_eq!(usage.begin(false, NOTHING, now + MINUTE * 10).err(), Some(Over::Messages));
        let used = usage.used(NOTHING);
        assert_eq!((used.messages, used.deferred, used.over), (7, 24, Some(Over::Messages)));
    }

    #[test]
    fn transactions_make_room_when_they_end() {
        let (usage, now) = usage(|quotas| quotas.transactions = 2);
        let first = usage.begin(true, NOTHING, now).unwrap();
        let _second = usage.begin(true, NOTHING, now).unwrap();
        assert_eq!(usage.begin(true, NOTHING, now).err(), Some(Over::Transactions));
        drop(first);
        assert!(usage.begin(true, NOTHING, now).is_ok());
        assert_eq!(usage.used(NOTHING).transactions, 1);
    }

    #[test]
    fn only_new_connections_count() {
        let (usage, now) = usage(|quotas| quotas.connections_per_minute = 1);
        assert!(usage.begin(true, NOTHING, now).is_ok());
        assert!((0..10).all(|_| usage.begin(false, NOTHING, now).is_ok()));
        assert_eq!(usage.begin(true, NOTHING, now).err(), Some(Over::Connections));
    }

    #[test]
    fn who_has_computed_too_long_waits_until_that_is_paid_off() {
        let (usage, now) = usage(|quotas| quotas.cpu_ms_per_minute = 600);
        let spent = Duration::from_millis(1_200);
        assert!(usage.begin(false, Duration::from_millis(500), now).is_ok());
        assert_eq!(usage.begin(false, spent, now).err(), Some(Over::Cpu));
        // A tenth of a minute gives 60 ms; 600 are owed.
        assert_eq!(usage.begin(false, spent, now + MINUTE * 9 / 10).err(), Some(Over::Cpu));
        assert!(usage.begin(false, spent, now + MINUTE * 11 / 10).is_ok());
    }

    #[test]
    fn other_quotas_hold_at_once() {
        let (usage, now) = usage(|quotas| quotas.messages_per_minute = 0);
        assert!(usage.message(now).is_err());
        usage.set_quotas(Quotas::default());
        assert!(usage.message(now + MINUTE).is_ok());
    }
}
