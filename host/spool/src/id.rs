//! The name of a message in the spool.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names a message for as long as the spool directory lives.
///
/// It is the time of its making in microseconds since 1970, or one more than the last one given when that is later, so
/// ids sort by age, even over a restart with the clock turned back. It prints as sixteen hexadecimal digits, which is
/// a safe part of a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(u64);

impl SpoolId {
    /// When it was made.
    #[must_use]
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0)
    }

    pub(crate) fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<Self, SpoolIdError> {
        let digits = text.len() == 16 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(SpoolIdError(text.chars().take(40).collect())),
        }
    }
}

/// The text is not sixteen lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a spool id: sixteen lower-case hexadecimal digits")]
pub struct SpoolIdError(String);

/// Gives ids, each greater than all before.
#[derive(Debug)]
pub(crate) struct IdSource(AtomicU64);

impl IdSource {
    /// Every id will be greater than `last`.
    pub(crate) fn after(last: u64) -> Self {
        Self(AtomicU64::new(last))
    }

    pub(crate) fn next(&self) -> SpoolId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let greater = |last: u64| now.max(last + 1);
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(greater(last)));
        // `fetch_update` fails only when the closure says None.
        SpoolId(greater(last.unwrap_or_else(|last| last)))
    }

    /// The greatest id given so far.
    pub(crate) fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_they_were_made() {
        let source = IdSource::after(0);
        let ids: Vec<SpoolId> = (0..10_000).map(|_| source.next()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1] && pair[0].to_string() < pair[1].to_string()));
        assert_eq!(source.last(), ids[9_999].as_u64());
    }

    #[test]
    fn a_clock_turned_back_repeats_no_id() {
        let future = u64::from(u32::MAX) << 24;
        assert_eq!(IdSource::after(future).next().as_u64(), future + 1);
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = IdSource::after(0).next();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1", "00000000000000FF", "../../etc/passwd", "+00000000000000f", "000000000000000g"] {
            assert!(bad.parse::<SpoolId>().is_err(), "{bad}");
        }
    }
}
