//! `[prices."MODEL"]`: what models cost, over the gateway's own list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What a model costs, in US dollars for a million tokens. The name of the table is the model's, with `*` and `?` as in
/// any pattern; the most specific one wins, and where it is as specific as one of the gateway's own list, the file's.
/// A model without a price costs nothing that could be told: budgets in money do not see it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// A million tokens of the prompt. Default: 0.
    pub input: Dollars,
    /// A million tokens of the prompt that the upstream had cached. Default: that of `input`.
    pub cached_input: Option<Dollars>,
    /// A million tokens of the answer. Default: 0.
    pub output: Dollars,
}

/// An amount of money in US dollars, to the billionth of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dollars {
    /// In billionths of a dollar.
    pub billionths: u64,
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        if !(0.0..=1_000_000.0).contains(&dollars) {
            return Err(de::Error::custom(
                "expected US dollars for a million tokens, from 0 to 1000000",
            ));
        }
        Ok(Self {
            billionths: (dollars * 1e9).round() as u64,
        })
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "US dollars for a million tokens.",
            "type": "number",
            "minimum": 0,
            "maximum": 1_000_000,
        })
    }
}
