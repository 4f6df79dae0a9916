//! Versions that misbehave are taken back: when a new one fails, or refuses, much more than what ran before it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use wasmail_policy::{Answer, BoxFuture, Context, Fault, Footprint, Hook, HookSet, Plugin, Question, Step};
use wasmail_wasm::Bound;

use super::breaker::Breaker;
use super::{Hosting, taking_back};

/// Answers before anything is concluded from them.
const ENOUGH: u32 = 20;
/// Answers after which a version is an old one, of which nobody thinks that its being new is to blame.
const YOUNG: u32 = 10_000;
/// Percent of its answers that a version may fail to give, beyond what the one before it fails.
const FAULTS: u32 = 10;
/// Percent of its answers that may be refusals, beyond those of the one before it: a filter that learned a new trick refuses more,
/// and hardly every fourth message more.
const REFUSALS: u32 = 25;

/// What is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The active version: the one before it runs again.
    Active,
    /// What is tried for a share of the senders.
    Candidate,
}

/// A version that misbehaves.
#[derive(Debug, Clone)]
pub(super) struct Jump {
    pub(super) tenant: Arc<str>,
    pub(super) binding: String,
    pub(super) kind: Kind,
    /// What jumped.
    what: &'static str,
}

/// How a version has behaved.
#[derive(Debug, Default)]
pub(super) struct Record {
    asked: AtomicU32,
    faults: AtomicU32,
    refusals: AtomicU32,
    taken_back: AtomicBool,
    /// One for each hook that failed: who fails at one may do well at another.
    breakers: Mutex<HashMap<Hook, Breaker>>,
}

impl Record {
    fn count(&self, step: &Step) -> u32 {
        self.faults.fetch_add(u32::from(step.fault), Ordering::Relaxed);
        self.refusals.fetch_add(u32::from(!step.fault && step.verdict.starts_with("deny")), Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn lets_through(&self, hook: Hook) -> bool {
        self.breakers.lock().get_mut(&hook).is_none_or(|breaker| breaker.lets_through(Instant::now()))
    }

    /// How long a plugin rests at a hook, if that begins with this answer.
    fn rests(&self, step: &Step) -> Option<Duration> {
        let (mut breakers, now) = (self.breakers.lock(), Instant::now());
        if step.fault {
            return breakers.entry(step.hook).or_default().heard(true, now);
        }
        breakers.get_mut(&step.hook)?.heard(false, now)
    }

    /// How many in a hundred.
    fn percent(&self, of: &AtomicU32) -> u32 {
        let asked = self.asked.load(Ordering::Relaxed).max(1);
        u32::try_from(u64::from(of.load(Ordering::Relaxed)) * 100 / u64::from(asked)).unwrap_or(100)
    }

    /// What jumped, compared with what ran before.
    fn jumped(&self, base: &Self) -> Option<&'static str> {
        let asked = self.asked.load(Ordering::Relaxed);
        if !(ENOUGH..=YOUNG).contains(&asked) {
            return None;
        }
        let known = base.asked.load(Ordering::Relaxed) >= ENOUGH;
        let base_faults = if known { base.percent(&base.faults) } else { 0 };
        if self.percent(&self.faults) > base_faults + FAULTS {
            return Some("faults");
        }
        // Of one that hardly ran nobody knows how much it would have refused.
        (known && self.percent(&self.refusals) > base.percent(&base.refusals) + REFUSALS).then_some("refusals")
    }
}

/// A plugin whose answers are counted.
pub(super) struct Watched {
    bound: Arc<Bound>,
    record: Arc<Record>,
    /// What it is compared with: none if there is nothing to go back to.
    base: Option<Arc<Record>>,
    jump: (Arc<str>, String, Kind),
    jumps: mpsc::Sender<Jump>,
}

impl Watched {
    pub(super) fn new(
        bound: Arc<Bound>,
        record: Arc<Record>,
        base: Option<Arc<Record>>,
        jump: (Arc<str>, String, Kind),
        jumps: mpsc::Sender<Jump>,
    ) -> Self {
        Self { bound, record, base, jump, jumps }
    }
}

impl Plugin for Watched {
    fn hooks(&self) -> HookSet {
        self.bound.hooks()
    }

    fn footprint(&self) -> Option<&Footprint> {
        self.bound.footprint()
    }

    fn wants(&self, context: &Context) -> bool {
        self.bound.wants(context)
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        if self.record.lets_through(question.hook) {
            return self.bound.ask(question);
        }
        Box::pin(async { Answer { outcome: Err(Fault::CircuitOpen), elapsed: Duration::ZERO } })
    }

    fn heard(&self, step: &Step) {
        // What was not asked says nothing about the version.
        if step.fault && step.verdict == Fault::CircuitOpen.kind() {
            return;
        }
        if let Some(rest) = self.record.rests(step) {
            let ((tenant, binding, _), seconds) = (&self.jump, rest.as_secs());
            tracing::warn!(target: "wasmail::tenant", %tenant, binding, hook = %step.hook, seconds, "a plugin fails too often and is not asked for a while");
        }
        self.record.count(step);
        let Some(what) = self.base.as_ref().and_then(|base| self.record.jumped(base)) else { return };
        if !self.record.taken_back.swap(true, Ordering::Relaxed) {
            let (tenant, binding, kind) = self.jump.clone();
            // Who finds no room misbehaves with many others, and is found again after the next start.
            let _ = self.jumps.try_send(Jump { tenant, binding, kind, what });
        }
    }
}

/// Takes back what misbehaves.
pub(super) async fn take_back(hosting: Weak<Hosting>, mut waiting: mpsc::Receiver<Jump>) {
    while let Some(jump) = waiting.recv().await {
        let Some(hosting) = hosting.upgrade() else { return };
        let Some(change) = jump.tenant.parse().ok().and_then(|tenant| taking_back(tenant, &jump)) else { continue };
        match hosting.change_by_itself(change).await {
            Ok(()) => tracing::warn!(
                target: "wasmail::tenant", tenant = %jump.tenant, binding = jump.binding, kind = ?jump.kind, jumped = jump.what,
                "a version misbehaves and is taken back"
            ),
            Err(error) => tracing::error!(tenant = %jump.tenant, %error, "a version cannot be taken back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(asked: u32, faults: u32, refusals: u32) -> Record {
        Record { asked: asked.into(), faults: faults.into(), refusals: refusals.into(), ..Record::default() }
    }

    #[test]
    fn a_jump_is_more_than_what_ran_before() {
        let before = record(1_000, 10, 200);
        for (now, jumped) in [
            (record(19, 19, 0), None),
            (record(20, 3, 0), Some("faults")),
            (record(20, 2, 0), None),
            (record(100, 0, 45), None),
            (record(100, 0, 46), Some("refusals")),
            (record(10_001, 10_001, 0), None),
        ] {
            assert_eq!(now.jumped(&before), jumped, "{now:?}");
        }
        // Nothing is known of what ran before.
        assert_eq!(record(100, 0, 100).jumped(&record(3, 0, 0)), None);
        assert_eq!(record(100, 11, 0).jumped(&record(0, 0, 0)), Some("faults"));
    }
}
