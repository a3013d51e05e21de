use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    UnitError,
    decimal::{scaled, split_unit},
};

/// A number of bytes: `"64MiB"` (1024s), `"32KB"` (1000s), `"512B"`. A bare number, or a string of one, is bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Units and their bytes, largest first.
const UNITS: &[(&str, u128)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes.
    #[must_use]
    pub const fn from_kib(kib: u32) -> Self {
        Self((kib as u64) << 10)
    }

    /// So many times 1024 × 1024 bytes.
    #[must_use]
    pub const fn from_mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    /// As a number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    pub(super) fn from_number(bytes: i64) -> Result<Self, UnitError> {
        bytes.to_string().parse()
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_unit(text);
        let unit = if unit.is_empty() { "B" } else { unit };
        let (_, scale) = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or(UnitError::Malformed)?;
        if *scale == 1 && number.contains('.') {
            return Err(UnitError::Malformed);
        }
        let bytes = scaled(number, *scale)?;
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| UnitError::TooLarge("this size is too large"))
    }
}

/// In the largest unit that needs no fraction.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = u128::from(self.0);
        let largest = UNITS
            .iter()
            .filter(|(_, scale)| bytes.is_multiple_of(*scale))
            .max_by_key(|(_, scale)| scale);
        match largest {
            Some((unit, scale)) if bytes > 0 => write!(f, "{}{unit}", bytes / scale),
            _ => f.write_str("0B"),
        }
    }
}

super::unit_serde!(Size, "a size like \"64MiB\"");

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes like \"64MiB\" (1024s) or \"32KB\" (1000s); a bare number is bytes.",
            "anyOf": [
                { "type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?)?[Bb]?\s*$" },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}
