//! Days and months of a budget, by the clock on the wall somewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400;

/// For how long a budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the next.
    Month,
}

/// One day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    year: i64,
    month: u8,
    /// 0 where it is the whole month.
    day: u8,
}

/// Now, as far as a budget is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) span: Span,
    /// Seconds until the next span begins.
    pub(super) ends_in: u64,
}

impl Period {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Where a moment lies, given in seconds since 1970 in UTC, on a clock that is `offset` seconds ahead of UTC.
    pub(super) fn at(self, unix: i64, offset: i32) -> Moment {
        let local = unix.saturating_add(i64::from(offset));
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, date) = civil(day);
        let (date, end) = match self {
            Self::Day => (date, day + 1),
            Self::Month if month == 12 => (0, day_of(year + 1, 1)),
            Self::Month => (0, day_of(year, month + 1)),
        };
        Moment {
            span: Span {
                year,
                month,
                day: date,
            },
            ends_in: ((end - day) * DAY - second) as u64,
        }
    }
}

/// `2026-11`, `2026-11-22`
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)?;
        if self.day > 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

/// Year, month and day of a day since 1970 in the Gregorian calendar, counted in eras of 400 years from the first of
/// March, so that leap days come last.
fn civil(day: i64) -> (i64, u8, u8) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let date = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month as u8, date as u8)
}

/// The day since 1970 that a month begins with.
fn day_of(year: i64, month: u8) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (i64::from(month) + 9) % 12;
    let day = (153 * march_month + 2) / 5;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(period: Period, unix: i64, offset: i32) -> (String, u64) {
        let moment = period.at(unix, offset);
        (moment.span.to_string(), moment.ends_in)
    }

    #[test]
    fn known_moments() {
        let new_year = 1_798_761_600; // 2027-01-01T00:00:00Z
        for (unix, offset, day, month) in [
            (0, 0, ("1970-01-01", 86_400), ("1970-01", 31 * 86_400)),
            (new_year - 1, 0, ("2026-12-31", 1), ("2026-12", 1)),
            (
                new_year,
                0,
                ("2027-01-01", 86_400),
                ("2027-01", 31 * 86_400),
            ),
            // Nine o'clock in the evening of the day before in London is six in the morning in Seoul.
            (
                new_year - 3 * 3600,
                9 * 3600,
                ("2027-01-01", 18 * 3600),
                ("2027-01", 31 * 86_400 - 6 * 3600),
            ),
            // 2028-02-29T12:00:00Z
            (
                1_835_438_400,
                0,
                ("2028-02-29", 43_200),
                ("2028-02", 43_200),
            ),
        ] {
            assert_eq!(shown(Period::Day, unix, offset), (day.0.to_owned(), day.1));
            assert_eq!(
                shown(Period::Month, unix, offset),
                (month.0.to_owned(), month.1)
            );
        }
    }

    proptest! {
        #[test]
        fn a_span_ends_where_the_next_begins(unix in -5_000_000_000..50_000_000_000_i64, offset in -50_400..50_400) {
            for (period, longest) in [(Period::Day, DAY), (Period::Month, 31 * DAY)] {
                let now = period.at(unix, offset);
                prop_assert!((1..=longest as u64).contains(&now.ends_in));
                let last = period.at(unix + now.ends_in.cast_signed() - 1, offset);
                let next = period.at(unix + now.ends_in.cast_signed(), offset);
                prop_assert_eq!(last.span, now.span);
                prop_assert_eq!(last.ends_in, 1);
                prop_assert_ne!(next.span, now.span);
            }
        }
    }
}
