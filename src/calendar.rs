//! Seconds since the epoch and dates as people write them, in UTC by the proleptic Gregorian calendar (RFC 3339).

/// Seconds of a day.
const DAY: u64 = 86_400;

/// `2026-11-22T14:14:39` of seconds since the epoch.
#[must_use]
pub fn timestamp(seconds: u64) -> String {
    let (year, month, day) = date(seconds / DAY);
    let time = seconds % DAY;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The second since the epoch that `2026-11-22` or `2026-11-22T14:14:39Z` names; a date alone is its midnight. `None`
/// for anything else, dates before 1970 and days that the calendar does not have.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let (date_part, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(date_part, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z')?, ':', [2, 2, 2])?;
    if year < 1970 || month == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    (date(days) == (year, month, day)).then_some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a number of days since the epoch.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day is a year's last; 400 of them have 146 097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

/// Days since the epoch of a date from 1970 on; a day past its month's end counts into the next.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year - u64::from(month <= 2);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + day.checked_sub(1)?;
    (era * 146_097 + year * 365 + year / 4 - year / 100 + day).checked_sub(719_468)
}

/// Three numbers of exactly so many digits.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut number = |digits| {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    };
    let three = [number(digits[0])?, number(digits[1])?, number(digits[2])?];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (1_798_761_599, "2026-12-31T23:59:59"),
        ] {
            assert_eq!(timestamp(seconds), text);
            assert_eq!(parse(&format!("{text}Z")), Some(seconds));
        }
        // And the same as a calendar of others, once a day and a bit for 300 years.
        for seconds in (0..9_500_000_000).step_by(86_400 * 13 + 12_345) {
            let theirs =
                httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let ours = timestamp(seconds);
            assert_eq!(&theirs[5..7], &ours[8..10]);
            assert_eq!(&theirs[12..16], &ours[..4]);
        }
        assert_eq!(parse("2024-02-29"), Some(1_709_164_800));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-32",
            "2026-02-29",
            "2100-02-29",
            "1969-12-31",
            "0000-01-01",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "+026-01-01",
            "2026-01-01-01",
            "90d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..250_000_000_000) {
            prop_assert_eq!(parse(&format!("{}Z", timestamp(seconds))), Some(seconds));
        }

        #[test]
        fn any_text_is_a_date_or_none(text in ".{0,24}") {
            let _ = parse(&text);
        }
    }
}
