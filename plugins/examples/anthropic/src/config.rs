//! The provider's table in the config.

use std::{borrow::Cow, num::NonZeroU32};

use millgate_plugin::SetupError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Keys of a provider of kind `anthropic/messages`, beside those of every provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The key, sent as `x-api-key`. Give it as `"${ANTHROPIC_API_KEY}"`. It stands here and not in `api_key`, which
    /// is sent as `Authorization: Bearer`, where Anthropic takes no keys. Default: none, for upstreams that need none
    /// or get it from a stage.
    pub x_api_key: Option<Key>,
    /// The `anthropic-version` header. Default: `"2023-06-01"`.
    pub version: String,
    /// The `anthropic-beta` header: names of beta features. Default: none.
    pub beta: Vec<String>,
    /// `max_tokens` of requests that set no limit, which Anthropic does not allow. Default: 4096.
    pub max_tokens: NonZeroU32,
    /// How `reasoning_effort` is asked for: `"adaptive"` for Claude 4.6 and later, `"budget"` for models before it,
    /// `"off"` to leave it out. Default: `"adaptive"`.
    pub thinking: ThinkingStyle,
    /// Whether `temperature`, `top_p` and `top_k` are passed on. Set it to `false` for Claude 4.7 and later, which refuse
    /// them. Default: `true`.
    pub sampling: bool,
    /// Whether Anthropic is to cache prompts, and for how long: `"5m"` or `"1h"`. Default: it does not.
    pub prompt_cache: Option<CacheTime>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            x_api_key: None,
            version: "2023-06-01".to_owned(),
            beta: Vec::new(),
            max_tokens: NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN),
            thinking: ThinkingStyle::default(),
            sampling: true,
            prompt_cache: None,
        }
    }
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingStyle {
    /// `thinking.type = "adaptive"` with `output_config.effort`.
    #[default]
    Adaptive,
    /// `thinking.type = "enabled"` with `budget_tokens`.
    Budget,
    /// Not at all.
    Off,
}

/// How long a prompt stays in Anthropic's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CacheTime {
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour, which costs more to write.
    #[serde(rename = "1h")]
    OneHour,
}

impl CacheTime {
    /// The value of `ttl`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::OneHour => "1h",
        }
    }
}

/// A key. It has no `Debug`, so that no log and no panic can show it.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret, best given as \"${NAME}\" or \"${file:/path}\".",
            "type": "string",
        })
    }
}

/// What every request carries.
pub(crate) struct Headers(Vec<(&'static str, String)>);

impl Headers {
    /// The headers that the table asks for; an empty key is none.
    pub(crate) fn new(config: &mut Config) -> Result<Self, SetupError> {
        let mut headers = Vec::new();
        let mut add = |at: &str, name, value: String| {
            if !is_sendable(&value) {
                let message = "it is empty, or holds a character that no header may";
                return Err(SetupError::at([at], message));
            }
            headers.push((name, value));
            Ok(())
        };
        add(
            "version",
            "anthropic-version",
            std::mem::take(&mut config.version),
        )?;
        if !config.beta.is_empty() {
            add("beta", "anthropic-beta", config.beta.join(","))?;
        }
        if let Some(Key(key)) = config.x_api_key.take().filter(|key| !key.0.is_empty()) {
            add("x_api_key", "x-api-key", key)?;
        }
        Ok(Self(headers))
    }

    /// The headers for one request.
    pub(crate) fn all(&self) -> Vec<(Cow<'static, str>, String)> {
        let owned = |(name, value): &(&'static str, String)| (Cow::Borrowed(*name), value.clone());
        self.0.iter().map(owned).collect()
    }
}

fn is_sendable(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(table: Value) -> Config {
        serde_json::from_value(table).unwrap()
    }

    #[test]
    fn without_a_key_only_the_version_is_sent() {
        let headers = Headers::new(&mut config(json!({"x_api_key": ""}))).unwrap();
        let expected = vec![("anthropic-version".into(), "2023-06-01".to_owned())];
        assert_eq!(headers.all(), expected);
    }

    #[test]
    fn the_key_and_betas_are_headers() {
        let table =
            json!({"x_api_key": "sk-ant-1", "beta": ["a-1", "b-2"], "version": "2099-01-01"});
        let headers = Headers::new(&mut config(table)).unwrap();
        let expected = [
            ("anthropic-version", "2099-01-01"),
            ("anthropic-beta", "a-1,b-2"),
            ("x-api-key", "sk-ant-1"),
        ];
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.into(), value.to_owned()))
            .into();
        assert_eq!(headers.all(), expected);
    }

    #[test]
    fn what_no_header_can_hold_is_refused_where_it_stands_and_not_shown() {
        for (table, at) in [
            (json!({"x_api_key": "sk-canary\r\nx: y"}), "x_api_key"),
            (json!({"version": ""}), "version"),
            (json!({"beta": ["a b"]}), "beta"),
        ] {
            let error = Headers::new(&mut config(table)).err().unwrap();
            assert_eq!(error.path, [at]);
            assert!(!error.message.contains("canary"));
        }
    }

    #[test]
    fn unknown_keys_and_values_are_refused() {
        assert!(serde_json::from_value::<Config>(json!({"key": "x"})).is_err());
        assert!(serde_json::from_value::<Config>(json!({"prompt_cache": "2h"})).is_err());
        assert!(serde_json::from_value::<Config>(json!({"max_tokens": 0})).is_err());
    }
}
