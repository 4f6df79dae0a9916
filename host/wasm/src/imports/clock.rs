//! Clocks that are good enough for policy, and too coarse to time the processor with.
//!
//! A guest that measures nanoseconds can tell what lies in a cache that others fill, too. Policy counts seconds; a
//! millisecond is what remains for its log. Guests have no threads, so they cannot build a finer clock themselves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The finest difference that a guest sees.
const RESOLUTION: Duration = Duration::from_millis(1);
/// What the monotonic clock shows when an instance begins. Go's runtime takes a clock that shows zero for a broken one.
const BEGIN: Duration = Duration::from_secs(1);

/// The time of day, cut to milliseconds.
pub(super) struct WallClock;

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        // A machine that lives before 1970 is told that it is 1970.
        cut(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Time since the instance began, cut to milliseconds: when the machine began is nobody's business.
pub(super) struct MonotonicClock(Instant);

impl MonotonicClock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        nanoseconds(RESOLUTION)
    }

    fn now(&self) -> u64 {
        nanoseconds(cut(BEGIN.saturating_add(self.0.elapsed())))
    }
}

fn cut(time: Duration) -> Duration {
    let beyond = time.as_nanos() % RESOLUTION.as_nanos();
    // Less than the resolution, so it fits.
    time - Duration::from_nanos(u64::try_from(beyond).unwrap_or_default())
}

/// Enough for 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_in_whole_milliseconds() {
        assert_eq!(cut(Duration::new(7, 123_999_999)), Duration::new(7, 123_000_000));
        assert_eq!(cut(Duration::from_nanos(999_999)), Duration::ZERO);
        let (wall, monotonic) = (WallClock, MonotonicClock::start());
        assert_eq!((wall.now().subsec_nanos() % 1_000_000, monotonic.now() % 1_000_000), (0, 0));
        assert!(monotonic.now() >= 1_000_000_000, "a guest in Go would not start");
        assert_eq!((wall.resolution(), monotonic.resolution()), (RESOLUTION, 1_000_000));
    }
}
