use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    UnitError,
    decimal::{scaled, split_unit},
};

/// A span of time: `"250ms"`, `"1.5s"`, `"5m"`, `"2h"`, `"1d"`. A bare number, or a string of one, is seconds.
/// At most ten years, so that a deadline can always be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(time::Duration);

const LONGEST: u128 = 3650 * DAY;
const DAY: u128 = 24 * 3600 * SECOND;
const SECOND: u128 = 1_000_000_000;

/// Units and their nanoseconds, longest first.
const UNITS: &[(&str, u128)] = &[
    ("d", DAY),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Duration {
    /// So many seconds; those past ten years count as ten years.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        let longest = (LONGEST / SECOND) as u64;
        let seconds = if seconds < longest { seconds } else { longest };
        Self(time::Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u32) -> Self {
        Self(time::Duration::from_millis(milliseconds as u64))
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    pub(super) fn from_number(seconds: i64) -> Result<Self, UnitError> {
        seconds.to_string().parse()
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_unit(text);
        let unit = if unit.is_empty() { "s" } else { unit };
        let (_, scale) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(UnitError::Malformed)?;
        let nanoseconds = scaled(number, *scale)?;
        if nanoseconds > LONGEST {
            return Err(UnitError::TooLarge(
                "this duration is too long, at most 3650 days are allowed",
            ));
        }
        let seconds = (nanoseconds / SECOND) as u64;
        let rest = (nanoseconds % SECOND) as u32;
        Ok(Self(time::Duration::new(seconds, rest)))
    }
}

/// In the largest unit that needs no fraction.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let largest = UNITS
            .iter()
            .find(|(_, scale)| nanoseconds.is_multiple_of(*scale));
        match largest {
            Some((unit, scale)) if nanoseconds > 0 => write!(f, "{}{unit}", nanoseconds / scale),
            _ => f.write_str("0s"),
        }
    }
}

super::unit_serde!(Duration, "a duration like \"250ms\"");

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A span of time like \"250ms\", \"1.5s\", \"5m\", \"2h\" or \"1d\"; a bare number is seconds.",
            "anyOf": [
                { "type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ns|us|ms|s|m|h|d)?\s*$" },
                { "type": "number", "minimum": 0 },
            ],
        })
    }
}
