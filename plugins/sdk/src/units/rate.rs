use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::UnitError;

/// So many in a time: `"10/s"`, `"600/min"`, `"1000/h"`, `"50000/day"`. At least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    per: Per,
}

/// The time that a [`Rate`] counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
    /// `day`
    Day,
}

impl Per {
    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> time::Duration {
        time::Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "day",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "s" | "sec" | "second" => Self::Second,
            "m" | "min" | "minute" => Self::Minute,
            "h" | "hour" => Self::Hour,
            "d" | "day" => Self::Day,
            _ => return None,
        })
    }
}

impl Rate {
    /// `count` in each `per`; `None` where `count` is zero.
    #[must_use]
    pub const fn new(count: u64, per: Per) -> Option<Self> {
        if count == 0 {
            return None;
        }
        Some(Self { count, per })
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// In which time.
    #[must_use]
    pub const fn per(self) -> Per {
        self.per
    }

    /// A bare number says nothing about its time.
    pub(super) const fn from_number(_: i64) -> Result<Self, UnitError> {
        Err(UnitError::Malformed)
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (count, per) = text.split_once('/').ok_or(UnitError::Malformed)?;
        let per = Per::from_name(per.trim()).ok_or(UnitError::Malformed)?;
        let count = count.trim();
        if count.starts_with('-') {
            return Err(UnitError::TooSmall("a negative value makes no sense here"));
        }
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UnitError::Malformed);
        }
        let count = count
            .parse()
            .map_err(|_| UnitError::TooLarge("this rate is too high"))?;
        Self::new(count, per).ok_or(UnitError::TooSmall("a rate must allow at least one"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.name())
    }
}

super::unit_serde!(Rate, "a rate like \"600/min\"");

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "So many in a time, like \"10/s\", \"600/min\", \"1000/h\" or \"50000/day\".",
            "type": "string",
            "pattern": r"^\s*[0-9]+\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)\s*$",
        })
    }
}
