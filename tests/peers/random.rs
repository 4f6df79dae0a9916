//! Chance that can be had again.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: enough to be unpredictable to a server, and small.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins with the seed in `WASMAIL_TEST_SEED`, or with the time; says which, so that a failure can be repeated.
    #[allow(clippy::print_stderr, reason = "the seed is needed when the story fails")]
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("WASMAIL_TEST_SEED").ok();
        let seed = given.map(|text| text.parse().expect("WASMAIL_TEST_SEED is a number"));
        let seed = seed.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
            now.subsec_nanos().into()
        });
        eprintln!("seed: WASMAIL_TEST_SEED={seed}");
        Self(seed)
    }

    /// An independent sequence for the `n`th of several threads.
    pub(crate) fn fork(&self, n: u64) -> Self {
        let mut other = Self(self.0 ^ n.wrapping_mul(0xd134_2543_de82_ef95));
        other.next();
        other
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number within a range that is not empty.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

impl From<u64> for Random {
    fn from(seed: u64) -> Self {
        Self(seed)
    }
}
