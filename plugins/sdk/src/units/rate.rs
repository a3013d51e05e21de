use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::UnitError;

/// So many in a time: `"10/s"`, `"600/min"`, `"1000/h"`, `"50000/day"`; `"100k/min"` and `"2M/day"` are thousands and
/// millions. At least one.
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
        Self::new(whole_count(count)?, per)
            .ok_or(UnitError::TooSmall("a rate must allow at least one"))
    }
}

/// A whole number as operators write it, `k` and `M` standing for thousands and millions.
pub fn whole_count(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(UnitError::TooSmall("a negative value makes no sense here"));
    }
    let (digits, scale) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UnitError::Malformed);
    }
    let count = digits.parse().ok().and_then(|n: u64| n.checked_mul(scale));
    count.ok_or(UnitError::TooLarge("this rate is too high"))
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
            "description": "So many in a time, like \"10/s\", \"600/min\", \"100k/h\" or \"2M/day\".",
            "type": "string",
            "pattern": r"^\s*[0-9]+[kM]?\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)\s*$",
        })
    }
}
