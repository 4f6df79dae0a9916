//! When a certificate is asked for. No clock: the time is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wasmail_queue::Backoff;

/// The latest moment that a server may suggest for a renewal, as a part of the certificate's life: what is left must be
/// enough for some failures.
const SUGGESTED_LATEST: f64 = 0.9;
/// By which part of its life a certificate is renewed sooner at most, so that not all of them are on the same day.
const SPREAD: f64 = 1.0 / 30.0;
/// The longest wait that a server can ask for (`Retry-After`). Limits on rates are counted by the week.
const ASKED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a server is asked when to renew, whatever it says (RFC 9773 §4.3.2).
const LOOK: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));

/// How often a server is asked for a certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct AcmePace {
    /// Between two attempts, whatever came of the first.
    ///
    /// Ten seconds by default, which is longer than an attempt takes: whoever mends something may ask again at once (by a
    /// signal), and a script that never stops asking meets the server's own limits.
    pub least: Duration,
    /// After failures.
    ///
    /// By default a quarter of an hour, then twice as long each time, up to twelve hours. Let's Encrypt allows five
    /// failures an hour for a name; a certificate of 90 days has 30 left when it is renewed.
    pub backoff: Backoff,
}

impl Default for AcmePace {
    fn default() -> Self {
        let (first, max) = (Duration::from_secs(15 * 60), Duration::from_secs(12 * 3600));
        Self { least: Duration::from_secs(10), backoff: Backoff { first, max, factor: 2.0, jitter: 0.2 } }
    }
}

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Validity {
    /// The moment when this part of it has passed.
    fn at(&self, part: f64) -> SystemTime {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        self.from + life.mul_f64(part)
    }
}

/// What became of the attempts. It is kept on disk, so that a server that is started again and again does not ask as often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// Those that failed since the last one that did not. One that is under way counts, until it has succeeded.
    pub(super) failures: u32,
    /// When the last one began, in seconds of Unix time.
    pub(super) last: Option<u64>,
    /// Before then the server wants to hear nothing, in seconds of Unix time.
    pub(super) wanted_after: Option<u64>,
}

impl Attempts {
    /// An attempt begins.
    pub(super) fn begin(&mut self, now: SystemTime) {
        *self = Self { failures: self.failures.saturating_add(1), last: Some(seconds(now)), wanted_after: None };
    }

    /// The operator wants it tried again, whatever failed before.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
    }

    /// From when on the server may be asked.
    fn allowed(&self, pace: &AcmePace, key: u64, now: SystemTime) -> SystemTime {
        // A clock that was set back since must not make anybody wait for it.
        let Some(last) = self.last.map(moment).filter(|last| *last <= now) else { return UNIX_EPOCH };
        let wait = match self.failures {
            0 => pace.least,
            failures => pace.backoff.after(failures, key).max(pace.least),
        };
        let asked = self.wanted_after.map(moment).unwrap_or(UNIX_EPOCH);
        (last + wait).max(asked.min(last + ASKED_MAX))
    }
}

/// All that decides about when a certificate is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The certificate that there is, if it can be used.
    pub(super) held: Option<Validity>,
    /// The moment that was chosen from the window that the server suggests for its renewal (RFC 9773 §4.2).
    pub(super) suggested: Option<SystemTime>,
    pub(super) attempts: Attempts,
    /// Makes it another moment for others than for us, and the same each time for us.
    pub(super) key: u64,
}

impl Standing {
    /// When a certificate is to be asked for. It may have passed.
    pub(super) fn due(&self, pace: &AcmePace, now: SystemTime) -> SystemTime {
        self.wanted().max(self.attempts.allowed(pace, self.key, now))
    }

    /// When a new certificate is wanted: at two thirds of the old one's life, or when the server says.
    pub(super) fn wanted(&self) -> SystemTime {
        let Some(held) = self.held else { return UNIX_EPOCH };
        let usual = held.at(2.0 / 3.0 - SPREAD * unit(self.key));
        self.suggested.map_or(usual, |moment| moment.min(held.at(SUGGESTED_LATEST)))
    }
}

/// A moment of the window that a server suggests, the same for the same key.
pub(super) fn chosen(window: (SystemTime, SystemTime), key: u64) -> SystemTime {
    window.0 + window.1.duration_since(window.0).unwrap_or_default().mul_f64(unit(key))
}

/// When the server is asked for its window again, if it says so.
pub(super) fn next_look(now: SystemTime, said: Duration) -> SystemTime {
    now + said.clamp(LOOK.0, LOOK.1)
}

/// From 0 to 1.
fn unit(key: u64) -> f64 {
    key as f64 / u64::MAX as f64
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn moment(seconds: u64) -> SystemTime {
    // What no clock can show comes from a file that was spoilt.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const MINUTE: u64 = 60;

    fn day(number: u64) -> SystemTime {
        moment(number * DAY)
    }

    /// A certificate from day 1000 to day 1090, and nothing else.
    fn held() -> Standing {
        let held = Some(Validity { from: day(1000), until: day(1090) });
        Standing { held, suggested: None, attempts: Attempts::default(), key: 0 }
    }

    fn due(standing: &Standing, now: SystemTime) -> SystemTime {
        let mut pace = AcmePace::default();
        pace.backoff.jitter = 0.0;
        standing.due(&pace, now)
    }

    #[test]
    fn without_a_certificate_one_is_wanted_at_once() {
        let standing = Standing { held: None, ..held() };
        assert!(due(&standing, day(1)) <= day(1));
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_or_a_little_sooner() {
        assert_eq!(due(&held(), day(1001)), day(1060));
        let sooner = due(&Standing { key: u64::MAX, ..held() }, day(1001));
        assert!(sooner >= day(1056) && sooner < day(1058), "{sooner:?}");
        // As often as one looks: the moment stays.
        let standing = Standing { key: 0x1234_5678_9abc_def0, ..held() };
        assert_eq!(due(&standing, day(1001)), due(&standing, day(1050)));
    }

    #[test]
    fn the_server_may_want_it_sooner_or_later_but_not_too_late() {
        for (suggested, expected) in [(1010, 1010), (1070, 1070), (1089, 1081), (5000, 1081)] {
            let standing = Standing { suggested: Some(day(suggested)), ..held() };
            assert_eq!(due(&standing, day(1001)), day(expected));
        }
        let window = (day(10), day(12));
        assert_eq!((chosen(window, 0), chosen(window, u64::MAX)), (day(10), day(12)));
        assert_eq!(chosen((day(12), day(10)), 77), day(12));
    }

    #[test]
    fn after_failures_it_waits_longer_each_time() {
        let mut standing = Standing { held: None, ..held() };
        let mut now = day(1000);
        let mut waits = Vec::new();
        for _ in 0..8 {
            standing.attempts.begin(now);
            let next = due(&standing, now);
            waits.push(next.duration_since(now).unwrap().as_secs() / MINUTE);
            now = next;
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 720, 720]);
    }

    #[test]
    fn a_renewal_that_fails_is_tried_again_although_it_was_due_long_ago() {
        let mut standing = held();
        standing.attempts.begin(day(1080));
        assert_eq!(due(&standing, day(1080)), day(1080) + Duration::from_secs(15 * MINUTE));
    }

    #[test]
    fn a_server_that_wants_to_be_left_alone_is_within_reason() {
        let mut standing = Standing { held: None, ..held() };
        standing.attempts.begin(day(1000));
        standing.attempts.wanted_after = Some(seconds(day(1003)));
        assert_eq!(due(&standing, day(1000)), day(1003));
        standing.attempts.wanted_after = Some(u64::MAX);
        assert!(due(&standing, day(1000)) <= day(1007));
        standing.attempts.wanted_after = Some(seconds(day(1999)));
        assert_eq!(due(&standing, day(1000)), day(1007));
    }

    #[test]
    fn the_operator_may_want_it_now_and_not_ten_times_a_second() {
        let mut standing = Standing { held: None, ..held() };
        (0..9).for_each(|_| standing.attempts.begin(day(1000)));
        standing.attempts.forgive();
        assert_eq!(due(&standing, day(1000)), day(1000) + Duration::from_secs(10));
        // What the server has said stands.
        standing.attempts.wanted_after = Some(seconds(day(1002)));
        assert_eq!(due(&standing, day(1000)), day(1002));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_it() {
        let mut standing = Standing { held: None, ..held() };
        standing.attempts.begin(day(9000));
        assert!(due(&standing, day(1000)) <= day(1000));
    }

    #[test]
    fn a_server_is_asked_for_its_window_once_an_hour_to_once_a_day() {
        assert_eq!(next_look(day(1), Duration::ZERO), day(1) + Duration::from_secs(3600));
        assert_eq!(next_look(day(1), Duration::from_secs(6 * 3600)), day(1) + Duration::from_secs(6 * 3600));
        assert_eq!(next_look(day(1), Duration::MAX), day(2));
    }
}
