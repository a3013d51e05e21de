//! `[callers.ID]`: who may call.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{Patterns, Secret, moment::Moment};

/// Somebody who may call, known by a key. A stage of the kind `auth` asks for it. The tables may also stand in a file of
/// their own: `[server] callers_file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// SHA-256 of the key in hexadecimal, as `printf %s KEY | sha256sum` prints it. Default: none, and one of
    /// `key_sha256` and `key` is needed.
    pub key_sha256: Option<KeySha256>,
    /// The key itself. Give it as `"${NAME}"` or `"${file:/path}"`. Default: none.
    pub key: Option<Secret>,
    /// The team, for limits and reports. Default: none.
    pub team: Option<String>,
    /// Words for reports. Default: none.
    pub tags: Vec<String>,
    /// What else is known, for `{caller.meta.NAME}` in headers. Default: none.
    pub meta: BTreeMap<String, Secret>,
    /// The models that may be asked for, as patterns. A caller with a list may not make calls that name no model, such as
    /// uploads, unless it holds `"*"`. Default: all.
    pub models: Option<Patterns>,
    /// From when on the key is refused, such as `2027-01-31T00:00:00Z`. Default: never.
    pub expires: Option<Moment>,
}

/// The SHA-256 of a key, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeySha256(pub [u8; 32]);

impl std::fmt::Debug for KeySha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hash]")
    }
}

impl FromStr for KeySha256 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a SHA-256 as 64 hexadecimal digits: printf %s KEY | sha256sum";
        let text = text.trim().as_bytes();
        let mut hash = [0; 32];
        if text.len() != 64 {
            return Err(EXPECTED);
        }
        for (byte, digits) in hash.iter_mut().zip(text.chunks(2)) {
            let mut digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
            *byte = digits
                .try_fold(0, |sum, digit| Some(sum * 16 + digit? as u8))
                .ok_or(EXPECTED)?;
        }
        Ok(Self(hash))
    }
}

impl<'de> Deserialize<'de> for KeySha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for KeySha256 {
    fn schema_name() -> Cow<'static, str> {
        "KeySha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "SHA-256 of a key, as 64 hexadecimal digits.",
            "type": "string",
            "pattern": "^[0-9A-Fa-f]{64}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_sha256sum_prints_it() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let hash: KeySha256 = text.parse().unwrap();
        assert_eq!(hash.0, crate::callers::hash(""));
        assert!(text.to_uppercase().parse() == Ok(hash));
        for wrong in [
            "",
            &text[1..],
            &text.replace('e', "g"),
            &format!("{text}00"),
        ] {
            assert!(wrong.parse::<KeySha256>().is_err(), "{wrong}");
        }
    }
}
