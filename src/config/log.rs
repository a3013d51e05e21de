//! `[log]`: what is logged, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`, or per module: `"info,millgate::routing=debug"`.
    /// `LLM_DEBUG=true` in the environment makes it `"debug"`. Default: `"info"`.
    #[serde(deserialize_with = "level")]
    pub level: String,
    /// `"pretty"` for people, `"json"` for programs, `"auto"`: pretty on a terminal, else JSON. Default: `"auto"`.
    pub format: Format,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Auto,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object for each line.
    Json,
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let level = String::deserialize(deserializer)?;
    let valid = !level.trim().is_empty() && EnvFilter::try_new(&level).is_ok();
    valid.then_some(level).ok_or_else(|| {
        de::Error::custom("expected a log level like \"info\" or \"info,millgate::routing=debug\"")
    })
}
