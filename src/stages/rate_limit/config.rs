//! `[stages.NAME]` of kind `rate_limit`.

use std::{borrow::Cow, fmt};

use millgate_plugin::units::{self, Duration, Rate, UnitError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::calendar::Period;

/// Limits what callers may ask for: requests and tokens in a time, requests at a time, tokens or money in a day or month.
/// Above `route` it refuses a request, below it it passes over a target. One limit stands in the table itself, further
/// ones in `limits`; a request has to get past all of them, and one that is refused uses up none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is counted together. Default: `"caller"`.
    pub per: Per,
    /// Requests in a time, such as `"600/min"`. Default: no limit.
    pub requests: Option<Rate>,
    /// Tokens in a time, of prompts and answers, such as `"100k/min"`. Default: no limit.
    pub tokens: Option<Rate>,
    /// Requests at a time. Default: no limit.
    pub concurrent: Option<u32>,
    /// How many requests or tokens may come at once before the rate holds; for a limit that has one of the two. Default:
    /// as many as in the time of the rate.
    pub burst: Option<u64>,
    /// Lets requests beyond `concurrent` wait. Default: they are refused.
    pub queue: Option<Queue>,
    /// What may be spent in a day or month. Default: no limit.
    pub budget: Option<Budget>,
    /// Further limits, each with the keys above: `limits = [{ per = "team", requests = "10k/h" }, …]`. Default: none.
    pub limits: Vec<Limit>,
    /// Tokens that an answer is taken to have until it has come, where the request does not say how many it may have at
    /// most. Default: 256.
    pub assumed_output: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            per: Per::default(),
            requests: None,
            tokens: None,
            concurrent: None,
            burst: None,
            queue: None,
            budget: None,
            limits: Vec::new(),
            assumed_output: 256,
        }
    }
}

/// One limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// As above. Default: `"caller"`.
    pub per: Per,
    /// As above. Default: no limit.
    pub requests: Option<Rate>,
    /// As above. Default: no limit.
    pub tokens: Option<Rate>,
    /// As above. Default: no limit.
    pub concurrent: Option<u32>,
    /// As above. Default: as in the time of the rate.
    pub burst: Option<u64>,
    /// As above. Default: they are refused.
    pub queue: Option<Queue>,
    /// As above. Default: no limit.
    pub budget: Option<Budget>,
}

impl Config {
    /// The limit in the table itself.
    pub(super) fn own(&self) -> Limit {
        Limit {
            per: self.per,
            requests: self.requests,
            tokens: self.tokens,
            concurrent: self.concurrent,
            burst: self.burst,
            queue: self.queue.clone(),
            budget: self.budget.clone(),
        }
    }
}

/// What a limit counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each caller; who is not known, by the address.
    #[default]
    Caller,
    /// Each team; callers without one together.
    Team,
    /// Each model: above `route` as the client calls it, below it as the provider does.
    Model,
    /// Each provider; only below `route`.
    Provider,
    /// Each address, of IPv6 the first 64 bits.
    Address,
    /// Everything.
    All,
}

impl Per {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Team => "team",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Address => "address",
            Self::All => "all",
        }
    }

    /// ` per caller`, for messages.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Caller => " per caller",
            Self::Team => " per team",
            Self::Model => " per model",
            Self::Provider => " per provider",
            Self::Address => " per address",
            Self::All => "",
        }
    }
}

/// Where requests wait for others to end: fair between callers, and never beyond the route's `deadline`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// How many may wait. Default: 100.
    pub size: u32,
    /// How long each may wait. Default: `"30s"`.
    pub wait: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            size: 100,
            wait: Duration::from_secs(30),
        }
    }
}

/// What may be spent in a day or month. It is kept across restarts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Money, such as `"10/day"` or `"250.50/month"`, by the list of prices and `[prices]`. Default: no limit.
    pub usd: Option<Money>,
    /// Tokens, such as `"200k/day"` or `"5M/month"`. Default: no limit.
    pub tokens: Option<TokenAllowance>,
    /// How far the clock by which days and months begin is ahead of UTC, such as `"+09:00"`. Default: `"+00:00"`.
    pub utc_offset: UtcOffset,
}

/// So many US dollars in a day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// In billionths of a dollar.
    pub billionths: u64,
    /// For how long it is.
    pub period: Period,
}

/// So many tokens in a day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAllowance {
    /// How many.
    pub tokens: u64,
    /// For how long they are.
    pub period: Period,
}

/// Seconds that a clock is ahead of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UtcOffset(pub i32);

const NOTHING: UnitError = UnitError::TooSmall("a budget must allow something");

fn split_period(text: &str) -> Result<(&str, Period), UnitError> {
    let (amount, period) = text.split_once('/').ok_or(UnitError::Malformed)?;
    let period = match period.trim() {
        "day" | "d" => Period::Day,
        "month" => Period::Month,
        _ => return Err(UnitError::Malformed),
    };
    Ok((amount.trim(), period))
}

fn money(text: &str) -> Result<Money, UnitError> {
    let (amount, period) = split_period(text)?;
    if amount.starts_with('-') {
        return Err(UnitError::TooSmall("a negative value makes no sense here"));
    }
    let (dollars, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(dollars) || !digits(fraction) || fraction.len() > 9 {
        return Err(UnitError::Malformed);
    }
    let too_large = UnitError::TooLarge("this budget is too large");
    let parts = dollars
        .parse::<u64>()
        .ok()
        .zip(format!("{fraction:0<9}").parse::<u64>().ok());
    let billionths =
        parts.and_then(|(dollars, part)| dollars.checked_mul(1_000_000_000)?.checked_add(part));
    match billionths.filter(|amount| i64::try_from(*amount).is_ok()) {
        None => Err(too_large),
        Some(0) => Err(NOTHING),
        Some(billionths) => Ok(Money { billionths, period }),
    }
}

fn tokens(text: &str) -> Result<TokenAllowance, UnitError> {
    let (amount, period) = split_period(text)?;
    match units::whole_count(amount)? {
        0 => Err(NOTHING),
        tokens => Ok(TokenAllowance { tokens, period }),
    }
}

fn utc_offset(text: &str) -> Result<UtcOffset, UnitError> {
    let (sign, rest) = match text.as_bytes() {
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return Err(UnitError::Malformed),
    };
    let (hours, minutes) = rest.split_once(':').ok_or(UnitError::Malformed)?;
    let number = |text: &str, most: i32| {
        let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let number: i32 = text.parse().map_err(|_| UnitError::Malformed)?;
        let is_fine = is_number && number <= most;
        is_fine.then_some(number).ok_or(UnitError::Malformed)
    };
    Ok(UtcOffset(
        sign * (number(hours, 14)? * 3600 + number(minutes, 59)? * 60),
    ))
}

/// A value that is written as text: how it is read, what is expected, how it is written in the reference.
macro_rules! written {
    ($type:ident, $read:ident, $expected:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $read(text).map_err(|error| match error {
                            UnitError::Malformed => {
                                E::invalid_value(de::Unexpected::Str(text), &self)
                            }
                            UnitError::TooSmall(why) | UnitError::TooLarge(why) => E::custom(why),
                        })
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

written!(
    Money,
    money,
    "dollars like \"10/day\" or \"250.50/month\"",
    r"^\s*[0-9]+(\.[0-9]{1,9})?\s*/\s*(d|day|month)\s*$"
);
written!(
    TokenAllowance,
    tokens,
    "tokens like \"200k/day\" or \"5M/month\"",
    r"^\s*[0-9]+[kM]?\s*/\s*(d|day|month)\s*$"
);
written!(
    UtcOffset,
    utc_offset,
    "hours and minutes like \"+09:00\"",
    r"^[+-][0-9]{2}:[0-9]{2}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_operators_write_them() {
        for (text, billionths, period) in [
            ("10/day", 10_000_000_000, Period::Day),
            ("250.50 / month", 250_500_000_000, Period::Month),
            ("0.000000001/d", 1, Period::Day),
        ] {
            assert_eq!(money(text), Ok(Money { billionths, period }));
        }
        for text in [
            "",
            "10",
            "10/min",
            "$10/day",
            "1.5.0/day",
            ".5/day",
            "1./day",
            "1e3/day",
            "1.0000000001/day",
        ] {
            assert_eq!(money(text), Err(UnitError::Malformed), "{text}");
        }
        for text in ["0/day", "0.0/month", "-1/day"] {
            assert!(matches!(money(text), Err(UnitError::TooSmall(_))), "{text}");
        }
        assert!(matches!(
            money("10000000000/day"),
            Err(UnitError::TooLarge(_))
        ));
        let allowance = |tokens, period| Ok(TokenAllowance { tokens, period });
        assert_eq!(tokens("200k/day"), allowance(200_000, Period::Day));
        assert_eq!(tokens("5M/month"), allowance(5_000_000, Period::Month));
        assert!(matches!(tokens("0/day"), Err(UnitError::TooSmall(_))));
        assert_eq!(tokens("1.5M/day"), Err(UnitError::Malformed));
    }

    #[test]
    fn offsets_as_operators_write_them() {
        assert_eq!(utc_offset("+09:00"), Ok(UtcOffset(9 * 3600)));
        assert_eq!(utc_offset("-03:30"), Ok(UtcOffset(-12_600)));
        for text in [
            "", "9", "+9:00", "+09", "09:00", "+15:00", "+09:60", "UTC", "+0é:00",
        ] {
            assert_eq!(utc_offset(text), Err(UnitError::Malformed), "{text}");
        }
    }
}
