//! A circuit breaker: a plugin that keeps failing at a hook is not asked there for a while, so that its faults cost others nothing.

use std::time::{Duration, Instant};

/// Faults are counted over so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Faults in a window before anything is concluded from them.
const ENOUGH: u32 = 20;
/// The first rest. Each that follows without a good answer between them is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
/// A plugin whose name server is back, or whose quota is new, is asked again after so long at most.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether a plugin is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    /// Rests without a good answer since.
    rests: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        since: Option<Instant>,
        asked: u32,
        faults: u32,
    },
    Open {
        until: Instant,
    },
    /// One call is let through to see.
    Trying {
        since: Instant,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { since: None, asked: 0, faults: 0 }
    }
}

impl Breaker {
    /// Whether a call goes through.
    pub(super) fn lets_through(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            // Of a call that was let through nothing may ever be heard: its client has gone.
            State::Trying { since } if now < since + FIRST => false,
            State::Open { .. } | State::Trying { .. } => {
                self.state = State::Trying { since: now };
                true
            }
        }
    }

    /// A call that was let through has ended. Returns how long the plugin rests, if that begins now.
    pub(super) fn heard(&mut self, fault: bool, now: Instant) -> Option<Duration> {
        match &mut self.state {
            State::Closed { since, asked, faults } => {
                if since.is_none_or(|since| now >= since + WINDOW) {
                    (*since, *asked, *faults) = (Some(now), 0, 0);
                }
                *asked += 1;
                *faults += u32::from(fault);
                // A plugin that fails now and then is a nuisance to its owner alone.
                (*faults >= ENOUGH && *faults > *asked / 2).then(|| self.rest(now))
            }
            // Calls that ran when it opened.
            State::Open { .. } => None,
            State::Trying { .. } if fault => Some(self.rest(now)),
            State::Trying { .. } => {
                *self = Self::default();
                None
            }
        }
    }

    fn rest(&mut self, now: Instant) -> Duration {
        let rest = (FIRST * 2_u32.saturating_pow(self.rests.min(8))).min(LONGEST);
        self.rests += 1;
        self.state = State::Open { until: now + rest };
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_fails_again_and_again_rests_longer_and_longer() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 1..ENOUGH {
            assert!(breaker.lets_through(now) && breaker.heard(true, now).is_none());
        }
        assert_eq!(breaker.heard(true, now), Some(FIRST));
        assert!(!breaker.lets_through(now + SECOND));
        for rest in [5, 10, 20, 40, 60, 60] {
            now += rest * SECOND;
            assert!(!breaker.lets_through(now - SECOND) && breaker.lets_through(now));
            // One is enough to see.
            assert!(!breaker.lets_through(now));
            assert!(breaker.heard(true, now).is_some());
        }
        now += LONGEST;
        assert!(breaker.lets_through(now) && breaker.heard(false, now).is_none());
        // All is forgotten.
        assert!((1..ENOUGH).all(|_| breaker.lets_through(now) && breaker.heard(true, now).is_none()));
        assert_eq!(breaker.heard(true, now), Some(FIRST));
    }

    #[test]
    fn who_fails_now_and_then_is_asked_on() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for at in 0..1_000 {
            assert!(breaker.lets_through(now) && breaker.heard(at % 2 == 1, now).is_none(), "{at}");
        }
        // Nor who fails seldom, over a long time.
        let mut breaker = Breaker::default();
        for at in 0..100 {
            assert!(breaker.heard(true, now + at * 4 * SECOND).is_none(), "{at}");
        }
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_not_the_last() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!((0..ENOUGH).any(|_| breaker.heard(true, now).is_some()));
        assert!(breaker.lets_through(now + FIRST));
        assert!(!breaker.lets_through(now + FIRST + SECOND));
        assert!(breaker.lets_through(now + FIRST * 2));
    }
}
