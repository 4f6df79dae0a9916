//! Destinations that nobody could reach a moment ago, and are left alone for a while.
//!
//! A dead server costs each attempt the whole time of its connection. Once that has happened, mail for it waits without being
//! tried, longer with every time that it happens again.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::Backoff;

/// Destinations that are remembered: on a bad day a few hundred. The one that is free again first makes room.
const KNOWN_MAX: usize = 10_000;

/// The destinations that are left alone.
#[derive(Debug)]
pub struct Suspensions {
    backoff: Backoff,
    known: HashMap<String, Suspended>,
}

#[derive(Debug)]
struct Suspended {
    /// Times in a row that nobody was reached.
    failures: u32,
    until: SystemTime,
    why: String,
}

impl Suspensions {
    /// Nobody is left alone yet. With a longest wait of zero nobody ever is.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, known: HashMap::new() }
    }

    /// Until when a destination is left alone, and why.
    #[must_use]
    pub fn of(&self, destination: &str, now: SystemTime) -> Option<(SystemTime, &str)> {
        let suspended = self.known.get(destination)?;
        (now < suspended.until).then_some((suspended.until, suspended.why.as_str()))
    }

    /// Nobody was reached there. Says until when it is left alone from now on, if that is news: others may have been under way.
    pub fn failed(&mut self, destination: &str, why: &str, now: SystemTime) -> Option<SystemTime> {
        if self.backoff.max.is_zero() || self.of(destination, now).is_some() {
            return None;
        }
        let failures = self.known.get(destination).map_or(0, |suspended| suspended.failures).saturating_add(1);
        let wait = self.backoff.after(failures, crate::queue::key(&destination));
        let until = now.checked_add(wait)?;
        if !self.known.contains_key(destination) {
            self.make_room();
        }
        self.known.insert(destination.to_owned(), Suspended { failures, until, why: why.to_owned() });
        Some(until)
    }

    /// Somebody answered there, whatever they said, or an operator wants it tried.
    pub fn reached(&mut self, destination: &str) {
        if !self.known.is_empty() {
            self.known.remove(destination);
        }
    }

    fn make_room(&mut self) {
        while self.known.len() >= KNOWN_MAX {
            let first = self.known.iter().min_by_key(|(_, suspended)| suspended.until).map(|(name, _)| name.clone());
            let Some(first) = first else { return };
            self.known.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn suspensions(max: u64) -> Suspensions {
        let (first, max) = (Duration::from_secs(60), Duration::from_secs(max));
        Suspensions::new(Backoff { first, factor: 2.0, max, jitter: 0.0 })
    }

    #[test]
    fn it_is_longer_each_time_until_somebody_answers() {
        let mut all = suspensions(200);
        assert_eq!(all.failed("a", "timed out", at(0)), Some(at(60)));
        assert_eq!(all.of("a", at(59)), Some((at(60), "timed out")));
        // Who was under way when it began adds nothing.
        assert_eq!(all.failed("a", "timed out", at(30)), None);
        assert_eq!((all.of("a", at(60)), all.of("b", at(0))), (None, None));
        assert_eq!(all.failed("a", "refused", at(61)), Some(at(181)));
        assert_eq!(all.failed("a", "refused", at(181)), Some(at(381)));
        all.reached("a");
        assert_eq!(all.of("a", at(182)), None);
        assert_eq!(all.failed("a", "refused", at(400)), Some(at(460)));
    }

    #[test]
    fn without_a_longest_wait_nobody_is_left_alone() {
        assert_eq!(suspensions(0).failed("a", "refused", at(0)), None);
    }

    #[test]
    fn there_is_room_for_one_more() {
        let mut all = suspensions(200);
        for number in 0..=KNOWN_MAX as u64 {
            all.failed(&number.to_string(), "refused", at(number));
        }
        assert_eq!((all.known.len(), all.of("0", at(1))), (KNOWN_MAX, None));
        assert!(all.of("9999", at(9999)).is_some());
    }
}
