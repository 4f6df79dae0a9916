//! How long to wait after a failure, and how long to keep trying.

use std::time::{Duration, SystemTime};

/// Exponential back-off with jitter.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// Wait after the first failure.
    pub first: Duration,
    /// By what the wait grows with every further failure; less than 1 counts as 1.
    pub factor: f64,
    /// Longest wait, jitter included.
    pub max: Duration,
    /// By which part a wait may be shorter or longer, from 0 to 1, so that what failed together is not tried together
    /// for ever.
    pub jitter: f64,
}

impl Default for Backoff {
    /// Five minutes, which most greylisting is content with, then doubling up to four hours: RFC 5321 §4.5.4.1 asks
    /// for half an hour in general, and for two attempts in the first hour.
    fn default() -> Self {
        Self { first: Duration::from_secs(5 * 60), factor: 2.0, max: Duration::from_secs(4 * 3600), jitter: 0.2 }
    }
}

impl Backoff {
    /// How long to wait after `attempt` failures, at least one. The same `key` (the message and the recipient) and
    /// attempt always give the same wait.
    #[must_use]
    pub fn after(&self, attempt: u32, key: u64) -> Duration {
        let exponent = i32::try_from(attempt.max(1) - 1).unwrap_or(i32::MAX);
        let growth = self.factor.max(1.0).powi(exponent);
        let jitter = 1.0 + self.jitter.clamp(0.0, 1.0) * signed_unit(key, attempt);
        let seconds = self.first.as_secs_f64() * growth;
        // Infinite growth, and a wait that a Duration cannot hold, end at the longest wait.
        let base = if seconds < self.max.as_secs_f64() { seconds } else { self.max.as_secs_f64() };
        Duration::try_from_secs_f64(base * jitter).unwrap_or(self.max).min(self.max)
    }
}

/// A number from -1 to 1 that looks drawn: the finalizer of SplitMix64.
fn signed_unit(key: u64, attempt: u32) -> f64 {
    let mut x = key.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// When to try again and when to give up.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How long after it was accepted a message is tried; RFC 5321 §4.5.4.1 wants four to five days at least.
    pub lifetime: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { backoff: Backoff::default(), lifetime: Duration::from_secs(5 * 24 * 3600) }
    }
}

impl Policy {
    /// When to try again after `attempts` failures, the last one now; `None` when the time is up. The last attempt
    /// falls on the very end of the message's life.
    #[must_use]
    pub fn next_attempt(
        &self,
        accepted_at: SystemTime,
        attempts: u32,
        key: u64,
        now: SystemTime,
    ) -> Option<SystemTime> {
        self.within_life(accepted_at, self.backoff.after(attempts, key), now)
    }

    /// When so long has passed, or at the end of the message's life; `None` when that has come.
    #[must_use]
    pub fn within_life(&self, accepted_at: SystemTime, wait: Duration, now: SystemTime) -> Option<SystemTime> {
        let expires = accepted_at.checked_add(self.lifetime);
        if expires.is_some_and(|expires| now >= expires) {
            return None;
        }
        let next = now.checked_add(wait);
        // A time beyond what the clock can hold never comes; the end of life is then the only one left.
        match (next, expires) {
            (Some(next), Some(expires)) => Some(next.min(expires)),
            (next, expires) => next.or(expires),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn without_jitter() -> Backoff {
        Backoff { jitter: 0.0, ..Backoff::default() }
    }

    #[test]
    fn waits_double_until_the_longest() {
        let minutes: Vec<u64> = (1..9).map(|attempt| without_jitter().after(attempt, 0).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240]);
    }

    #[test]
    fn what_failed_together_is_not_tried_together() {
        let waits: std::collections::BTreeSet<_> = (0..1000).map(|key| Backoff::default().after(1, key)).collect();
        assert!(waits.len() > 990);
        let mean = waits.iter().sum::<Duration>() / waits.len() as u32;
        assert!((290..310).contains(&mean.as_secs()), "the jitter leans to one side: {mean:?}");
    }

    #[test]
    fn the_last_attempt_falls_on_the_end_of_life() {
        let policy = Policy { backoff: without_jitter(), lifetime: Duration::from_secs(400) };
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(policy.next_attempt(at(0), 1, 0, at(10)), Some(at(310)));
        assert_eq!(policy.next_attempt(at(0), 1, 0, at(310)), Some(at(400)));
        assert_eq!(policy.next_attempt(at(0), 3, 0, at(400)), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_longest_nor_shorter_than_jitter_allows(
            attempt in any::<u32>(), key in any::<u64>(), first in 0u64..1 << 40, factor in 0.0f64..100.0,
            max in 0u64..1 << 40, jitter in 0.0f64..1.0,
        ) {
            let (first, max) = (Duration::from_secs(first), Duration::from_secs(max));
            let wait = Backoff { first, factor, max, jitter }.after(attempt, key);
            prop_assert!(wait <= max);
            let least = first.min(max).as_secs_f64() * (1.0 - jitter);
            prop_assert!(wait.as_secs_f64() >= least * 0.999_999 - 1e-6, "{:?} < {}", wait, least);
        }

        #[test]
        fn a_wait_depends_on_key_and_attempt_alone(attempt in any::<u32>(), key in any::<u64>()) {
            prop_assert_eq!(Backoff::default().after(attempt, key), Backoff::default().after(attempt, key));
        }

        #[test]
        fn without_jitter_waits_never_shrink(attempt in 1u32..10_000) {
            prop_assert!(without_jitter().after(attempt, 0) <= without_jitter().after(attempt + 1, 0));
        }

        #[test]
        fn a_message_is_tried_a_bounded_number_of_times(key in any::<u64>()) {
            let policy = Policy::default();
            let (mut now, mut attempts) = (UNIX_EPOCH, 1);
            while let Some(next) = policy.next_attempt(UNIX_EPOCH, attempts, key, now) {
                prop_assert!(next > now);
                (now, attempts) = (next, attempts + 1);
            }
            prop_assert_eq!(now, UNIX_EPOCH + policy.lifetime);
            prop_assert!((30..50).contains(&attempts), "{} attempts in five days", attempts);
        }
    }
}
