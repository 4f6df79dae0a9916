//! Dates as RFC 5322 section 3.3 writes them, the obsolete forms of section 4.3 included.
//!
//! Written here because a calendar crate that reads these dates is ten times as large as the plugin.

use std::iter::Peekable;
use std::str::SplitAsciiWhitespace;

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Day 0 of 1970 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Says what is wrong with a date. `now` is in seconds since 1970.
pub(crate) fn check(text: &str, now: u64, past_days: u16, future_days: u16) -> Result<(), &'static str> {
    let date = parse(text).ok_or("is no date")?;
    let age = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(date);
    if age > i64::from(past_days) * DAY {
        return Err("is too long ago");
    }
    if age < -i64::from(future_days) * DAY {
        return Err("lies in the future");
    }
    Ok(())
}

/// Writes the date of a second since 1970, in UTC.
pub(crate) fn write(now: u64) -> String {
    let day = (now / DAY as u64) as i64;
    let (year, month, of_month) = civil(day);
    let weekday = WEEKDAYS[(day % 7) as usize];
    let second = now % DAY as u64;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let month = MONTHS[month - 1];
    format!("{weekday}, {of_month} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Reads a date as seconds since 1970. The day of the week is not compared: a wrong one means nothing.
fn parse(text: &str) -> Option<i64> {
    let text = without_comments(text)?;
    let (weekday, text) = text.split_once(',').map_or(("", text.as_str()), |(weekday, rest)| (weekday.trim(), rest));
    if !weekday.is_empty() && !WEEKDAYS.iter().any(|name| weekday.eq_ignore_ascii_case(name)) {
        return None;
    }
    let mut words = text.split_ascii_whitespace().peekable();
    let of_month = number(words.next()?, 1..=2)?;
    let month = MONTHS.iter().position(|name| words.peek().is_some_and(|word| word.eq_ignore_ascii_case(name)))? + 1;
    let year = year(words.nth(1)?)?;
    let days = days(year, month, of_month)?;
    Some(days * DAY + time(&mut words)?)
}

/// Comments may stand anywhere (RFC 5322 section 3.2.2), and mostly name the zone.
fn without_comments(text: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    (depth == 0).then_some(kept)
}

/// Two digits are of this or the last century, three of the last (RFC 5322 section 4.3).
fn year(word: &str) -> Option<i64> {
    let year = number(word, 2..=4)?;
    Some(match (word.len(), year) {
        (2, 0..=49) => year + 2000,
        (2 | 3, _) => year + 1900,
        _ => year,
    })
}

/// The time of day with its zone, as seconds from the day's midnight in UTC.
fn time(words: &mut Peekable<SplitAsciiWhitespace<'_>>) -> Option<i64> {
    let mut parts = words.next()?.split(':').map(|part| number(part, 1..=2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    // A minute may have a leap second.
    if hour > 23 || minute > 59 || second > 60 || parts.next().is_some() {
        return None;
    }
    let zone = zone(words.next()?)?;
    words.peek().is_none().then_some(hour * 3600 + minute * 60 + second - zone)
}

/// The zone as seconds east of UTC. Names that are not in the standard count as UTC, as it asks for.
fn zone(word: &str) -> Option<i64> {
    const NAMES: [(&str, i64); 8] =
        [("EDT", -4), ("EST", -5), ("CDT", -5), ("CST", -6), ("MDT", -6), ("MST", -7), ("PDT", -7), ("PST", -8)];
    let sign = match word.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => {
            let known = NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
            let name = (1..=5).contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_alphabetic());
            return name.then(|| known.map_or(0, |(_, hours)| hours * 3600));
        }
    };
    let (hours, minutes) = (number(word.get(1..3)?, 2..=2)?, number(word.get(3..)?, 2..=2)?);
    (minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A number of so many digits.
fn number(word: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let good = digits.contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_digit());
    if good { word.parse().ok() } else { None }
}

/// Days since 1970 in the Gregorian calendar; none when the month has no such day.
///
/// Years begin in March here, so that the odd day of a leap year comes last.
fn days(year: i64, month: usize, of_month: i64) -> Option<i64> {
    let month = month as i64;
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    let days = shifted_year * 365 + leap_days + (shifted_month * 153 + 2) / 5 + of_month - 1 - 719_468;
    (civil(days) == (year, month as usize, of_month)).then_some(days)
}

/// Year, month and day of the month of a day since 1970: the other way round, era of 400 years by era.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (of_year * 5 + 2) / 153;
    let of_month = of_year - (shifted_month * 153 + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month < 3), month as usize, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Thu, 1 Jan 2026 00:00:00 UTC.
    const NOW: u64 = 1_767_225_600;

    fn ask(text: &str) -> Result<(), &'static str> {
        check(text, NOW, 15, 2)
    }

    #[test]
    fn dates_of_all_ages_of_mail_are_read() {
        for (text, seconds) in [
            ("Thu, 1 Jan 2026 00:00:00 +0000", 1_767_225_600),
            ("1 jan 2026 01:00 +0100", 1_767_225_600),
            ("Wed, 31 Dec 2025 19:00:00 EST", 1_767_225_600),
            ("Thu, 01 Jan 26 00:00:00 GMT", 1_767_225_600),
            ("Thu, 1 Jan 2026 00:00:00 -0000 (UTC)", 1_767_225_600),
            ("Thu(day),1 Jan (month) 2026 (a (nested) one) 00:00:00 Z", 1_767_225_600),
            ("Mon, 1 Jan 2026 00:00:00 +0000", 1_767_225_600),
            ("Fri, 13 Feb 2009 23:31:30 +0000", 1_234_567_890),
            ("Thu, 29 Feb 2024 12:00:00 -0830", 1_709_238_600),
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706),
            ("21 Nov 97 09:55:06 GMT", 880_106_106),
            ("Thu, 01 Jan 1970 00:00:00 +0000", 0),
            ("31 Dec 1969 23:59:60 +0000", 0),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_told_from_what_is_far_away() {
        for bad in [
            "",
            "yesterday",
            "2026-01-01T00:00:00Z",
            "32 Jan 2026 00:00:00 +0000",
            "29 Feb 2026 00:00:00 +0000",
            "0 Jan 2026 00:00:00 +0000",
            "1 Jan 2026",
            "1 Jan 2026 00:00:00",
            "1 Jan 2026 24:00:00 +0000",
            "1 Jan 2026 00:60:00 +0000",
            "1 Jan 2026 00:00:00:00 +0000",
            "1 Jan 2026 00:00:00 +00",
            "1 Jan 2026 00:00:00 +0\u{fc}0",
            "1 Jan 2026 00:00:00 +0060",
            "1 Jan 2026 00:00:00 +0000 more",
            "1 Jan 20260 00:00:00 +0000",
            "1 January 2026 00:00:00 +0000",
            "Xyz, 1 Jan 2026 00:00:00 +0000",
            "1 Jan 2026 00:00:00 +0000 (open",
            "1 Jan 2026 00:00:00 +0000)",
        ] {
            assert_eq!(ask(bad), Err("is no date"), "{bad}");
        }
        assert_eq!(ask("Tue, 16 Dec 2025 23:59:59 +0000"), Err("is too long ago"));
        assert_eq!(ask("Wed, 17 Dec 2025 00:00:00 +0000"), Ok(()));
        assert_eq!(ask("Sat, 3 Jan 2026 00:00:01 +0000"), Err("lies in the future"));
        assert_eq!(ask("Sat, 3 Jan 2026 00:00:00 +0000"), Ok(()));
    }

    #[test]
    fn a_date_is_written_in_utc() {
        assert_eq!(write(NOW), "Thu, 1 Jan 2026 00:00:00 +0000");
        assert_eq!(write(1_234_567_890), "Fri, 13 Feb 2009 23:31:30 +0000");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(now in 0_u64..253_402_300_800) {
            prop_assert_eq!(parse(&write(now)), Some(now as i64));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}", close in "[A-Za-z0-9:,()+ -]{0,40}") {
            let _ = (ask(&text), ask(&close));
        }
    }
}
