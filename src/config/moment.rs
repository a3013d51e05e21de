//! Points in time, as RFC 3339 writes them.

use std::{
    borrow::Cow,
    str::FromStr,
    time::{Duration, SystemTime},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use toml::value::{Date, Datetime, Offset};

/// A point in time with its offset from UTC: `2027-01-31T00:00:00Z`, `"2027-01-31T09:00:00+09:00"`. Not before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub SystemTime);

const EXPECTED: &str =
    "expected a date and time with its offset from UTC, like 2027-01-31T00:00:00Z";

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let datetime: Datetime = text.trim().parse().map_err(|_| EXPECTED)?;
        let (Some(date), Some(time), Some(offset)) =
            (datetime.date, datetime.time, datetime.offset)
        else {
            return Err(EXPECTED);
        };
        let east = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes) * 60,
        };
        let of_day = i64::from(time.hour) * 3600
            + i64::from(time.minute) * 60
            + i64::from(time.second.unwrap_or_default());
        let seconds = days_since_1970(date) * 86_400 + of_day - east;
        let seconds = u64::try_from(seconds).map_err(|_| "this is before 1970")?;
        let nanos = time.nanosecond.unwrap_or_default();
        Ok(Self(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)))
    }
}

/// Days of the Gregorian calendar; years begin in March here, so that a leap day is the last of its year.
fn days_since_1970(date: Date) -> i64 {
    let (year, month, day) = (
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A date and time with its offset from UTC (RFC 3339), like 2027-01-31T00:00:00Z.",
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Result<u64, &'static str> {
        let since = |moment: Moment| moment.0.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        text.parse().map(|moment| since(moment).as_secs())
    }

    #[test]
    fn moments_as_operators_write_them() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(seconds("2000-02-29T12:00:01Z"), Ok(951_825_601));
        assert_eq!(seconds("2027-01-31 00:00:00Z"), Ok(1_801_353_600));
        assert_eq!(seconds("2027-01-31T09:00:00+09:00"), Ok(1_801_353_600));
        assert_eq!(seconds("2027-01-30T19:00:00.5-05:00"), Ok(1_801_353_600));
        for text in [
            "",
            "soon",
            "2027-01-31",
            "2027-01-31T00:00:00",
            "2027-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// httpdate writes what we read.
        #[test]
        fn agrees_with_another_calendar(at in 0_u64..253_402_300_799) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            let date = httpdate::fmt_http_date(time);
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
                .iter()
                .position(|name| *name == &date[8..11])
                .unwrap() + 1;
            let text = format!("{}-{month:02}-{}T{}Z", &date[12..16], &date[5..7], &date[17..25]);
            prop_assert_eq!(seconds(&text), Ok(at), "{}", text);
        }
    }
}
