//! How often something may happen, as a bucket of tokens.

use std::time::Instant;

use parking_lot::Mutex;

/// So many in a second, and as many at once after a quiet one.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    most: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self::full(f64::from(per_second), f64::from(per_second), now)
    }

    /// So many in a minute, and as many at once after a quiet one.
    pub(crate) fn per_minute(number: u32, now: Instant) -> Self {
        Self::full(f64::from(number) / 60.0, f64::from(number), now)
    }

    fn full(per_second: f64, most: f64, now: Instant) -> Self {
        Self { per_second, most, bucket: Mutex::new(Bucket { tokens: most, filled: now }) }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock();
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(self.most);
        bucket.filled = bucket.filled.max(now);
        let is_there = bucket.tokens >= 1.0;
        if is_there {
            bucket.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_second_brings_what_it_may_and_no_more() {
        let start = Instant::now();
        let rate = Rate::new(2, start);
        let takes = |after| rate.take(start + Duration::from_millis(after));
        assert_eq!([takes(0), takes(0), takes(0)], [true, true, false]);
        assert_eq!([takes(400), takes(600), takes(600)], [false, true, false]);
        // A long rest saves no more than one second's worth.
        assert_eq!([takes(60_000), takes(60_000), takes(60_000)], [true, true, false]);
    }

    #[test]
    fn a_minute_brings_what_it_may_and_no_more() {
        let start = Instant::now();
        let rate = Rate::per_minute(2, start);
        let takes = |after| rate.take(start + Duration::from_secs(after));
        assert_eq!([takes(0), takes(0), takes(0), takes(29)], [true, true, false, false]);
        assert_eq!([takes(31), takes(31), takes(600), takes(600), takes(600)], [true, false, true, true, false]);
    }
}
