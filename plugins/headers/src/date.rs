//! Dates as RFC 5322 section 3.3 writes them, the obsolete forms of section 4.3 included.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

const SECONDS_A_DAY: i64 = 86_400;
/// A wrong day of the week is a mistake that means nothing.
const PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Says what is wrong with a date. `now` is in seconds since 1970.
pub(crate) fn check(text: &str, now: u64, past_days: u16, future_days: u16) -> Result<(), &'static str> {
    let date = PARSER.parse_timestamp(text.trim()).map_err(|_| "is no date")?;
    let age = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(date.as_second());
    if age > i64::from(past_days) * SECONDS_A_DAY {
        return Err("is too long ago");
    }
    if age < -i64::from(future_days) * SECONDS_A_DAY {
        return Err("lies in the future");
    }
    Ok(())
}

/// Writes the date of a second since 1970, in UTC.
pub(crate) fn write(now: u64) -> String {
    let now = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut text = String::with_capacity(32);
    // Every second of a positive four-digit year has a date.
    let _ = DateTimePrinter::new().print_timestamp(&now, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thu, 1 Jan 2026 00:00:00 UTC.
    const NOW: u64 = 1_767_225_600;

    fn ask(text: &str) -> Result<(), &'static str> {
        check(text, NOW, 15, 2)
    }

    #[test]
    fn dates_of_all_ages_of_mail_are_read() {
        for good in [
            "Thu, 1 Jan 2026 00:00:00 +0000",
            "1 Jan 2026 01:00 +0100",
            "Wed, 31 Dec 2025 19:00:00 EST",
            "Thu, 01 Jan 26 00:00:00 GMT",
            "Thu, 1 Jan 2026 00:00:00 -0000 (UTC)",
            "Mon, 1 Jan 2026 00:00:00 +0000",
        ] {
            assert_eq!(ask(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_no_date_is_told_from_what_is_far_away() {
        for bad in ["", "yesterday", "2026-01-01T00:00:00Z", "32 Jan 2026 00:00:00 +0000", "1 Jan 2026"] {
            assert_eq!(ask(bad), Err("is no date"), "{bad}");
        }
        assert_eq!(ask("Tue, 16 Dec 2025 23:59:59 +0000"), Err("is too long ago"));
        assert_eq!(ask("Wed, 17 Dec 2025 00:00:00 +0000"), Ok(()));
        assert_eq!(ask("Sat, 3 Jan 2026 00:00:01 +0000"), Err("lies in the future"));
        assert_eq!(ask("Sat, 3 Jan 2026 00:00:00 +0000"), Ok(()));
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(write(NOW), "Thu, 1 Jan 2026 00:00:00 -0000");
        assert_eq!(ask(&write(NOW)), Ok(()));
        assert_eq!(write(u64::MAX), "Thu, 1 Jan 1970 00:00:00 -0000");
    }
}
