//! What users may ask for with MAIL: a later time (RFC 4865) and a priority (RFC 6710).

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// When a message is to be sent at the earliest (RFC 4865 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// So long after it was handed in.
    For(Duration),
    /// At this time.
    Until(SystemTime),
}

impl Hold {
    /// `HOLDFOR=`: seconds, 1 to 9 digits.
    pub(super) fn parse_for(value: &str) -> Option<Self> {
        let good = (1..=9).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
        let seconds: u64 = value.parse().ok().filter(|seconds| good && *seconds > 0)?;
        Some(Self::For(Duration::from_secs(seconds)))
    }

    /// `HOLDUNTIL=`: a time as RFC 3339 writes it.
    pub(super) fn parse_until(value: &str) -> Option<Self> {
        Some(Self::Until(value.parse::<Timestamp>().ok()?.into()))
    }

    /// How long it is from now; nothing when the time has come already.
    pub(crate) fn from(self, now: SystemTime) -> Duration {
        match self {
            Self::For(time) => time,
            Self::Until(time) => time.duration_since(now).unwrap_or_default(),
        }
    }
}

/// Priorities, the highest one last (RFC 6710 §4.1).
const PRIORITIES: RangeInclusive<i8> = -9..=9;

/// `MT-PRIORITY=`.
pub(super) fn priority(value: &str) -> Option<i8> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let good = digits.len() == 1 && digits.bytes().all(|octet| octet.is_ascii_digit());
    value.parse().ok().filter(|priority| good && PRIORITIES.contains(priority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn times_are_spans_or_dates() {
        let day = Duration::from_secs(86_400);
        assert_eq!(Hold::parse_for("86400"), Some(Hold::For(day)));
        for wrong in ["", "0", "-1", "1.5", "1234567890", "+1"] {
            assert_eq!(Hold::parse_for(wrong), None, "{wrong}");
        }
        let until = Hold::parse_until("1970-01-03T00:00:00Z").unwrap();
        assert_eq!(until, Hold::Until(UNIX_EPOCH + 2 * day));
        assert_eq!(until.from(UNIX_EPOCH + day), day);
        assert_eq!(until.from(UNIX_EPOCH + 3 * day), Duration::ZERO);
        assert_eq!(Hold::parse_until("1970-01-03T01:00:00+01:00"), Some(until));
        for wrong in ["", "tomorrow", "1970-01-03", "1970-13-03T00:00:00Z"] {
            assert_eq!(Hold::parse_until(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn priorities_have_one_digit() {
        assert_eq!(["-9", "0", "9"].map(priority), [Some(-9), Some(0), Some(9)]);
        for wrong in ["", "10", "-10", "+1", "--1", "x", "01"] {
            assert_eq!(priority(wrong), None, "{wrong}");
        }
    }
}
