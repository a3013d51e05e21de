//! A span of time in the config.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A span of time, written `"250ms"`, `"1.5s"`, `"2m"` or as a bare number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milliseconds(pub u64);

impl Milliseconds {
    /// The longest span that can be written: a day.
    pub const MAX: Self = Self(24 * 60 * 60 * 1000);

    fn from_seconds(seconds: f64) -> Option<Self> {
        let milliseconds = seconds * 1000.0;
        let range = 0.0..=Self::MAX.0 as f64;
        range
            .contains(&milliseconds)
            .then(|| Self(milliseconds.round() as u64))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, seconds) = [("ms", 0.001), ("s", 1.0), ("m", 60.0)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
            .unwrap_or((text, 1.0));
        Self::from_seconds(number.trim_end().parse::<f64>().ok()? * seconds)
    }
}

impl From<Milliseconds> for Duration {
    fn from(time: Milliseconds) -> Self {
        Self::from_millis(time.0)
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Reader {
    fn seconds<E: de::Error>(seconds: f64) -> Result<Milliseconds, E> {
        Milliseconds::from_seconds(seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(seconds), &Self))
    }
}

impl de::Visitor<'_> for Reader {
    type Value = Milliseconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time of at most a day, such as \"250ms\", \"1.5s\" or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Milliseconds, E> {
        Milliseconds::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Milliseconds, E> {
        Self::seconds(seconds as f64)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Milliseconds, E> {
        Self::seconds(seconds as f64)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Milliseconds, E> {
        Self::seconds(seconds)
    }
}

impl JsonSchema for Milliseconds {
    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time such as \"250ms\" or \"1.5s\"; a bare number is seconds.",
            "type": ["string", "number"],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn times_are_read_in_every_notation() {
        let cases = [
            (json!("250ms"), 250),
            (json!("1.5s"), 1500),
            (json!("2 m"), 120_000),
            (json!("3"), 3000),
            (json!(2), 2000),
            (json!(0.25), 250),
            (json!(0), 0),
        ];
        for (written, milliseconds) in cases {
            let read: Milliseconds = from_value(written.clone()).unwrap();
            assert_eq!(read.0, milliseconds, "{written}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for written in [
            json!("fast"),
            json!("-1s"),
            json!("1h"),
            json!(""),
            json!("ms"),
            json!("NaN"),
            json!("inf"),
            json!(-1),
            json!(1e9),
            json!(true),
        ] {
            assert!(
                from_value::<Milliseconds>(written.clone()).is_err(),
                "{written}"
            );
        }
    }
}
