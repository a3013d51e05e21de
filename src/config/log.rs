//! `[log]`: what is logged, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use tracing_subscriber::filter::{LevelFilter, Targets};

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
    // A word alone would pass for a module of which everything is logged, and of all else nothing.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let is_typo = |part: &str| !part.contains('=') && !is_level(part);
    let valid = level.parse::<Targets>().is_ok() && !level.split(',').any(is_typo);
    valid.then_some(level).ok_or_else(|| {
        de::Error::custom("expected a log level like \"info\" or \"info,millgate::routing=debug\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_for_all_or_one_for_a_module() {
        for level in [
            "info",
            "WARN",
            "off",
            "info,millgate::routing=debug",
            "hyper=error",
        ] {
            let log: Log = toml::from_str(&format!("level = {level:?}")).unwrap();
            assert_eq!(log.level, level);
        }
        for typo in [
            "",
            "inffo",
            "info,",
            "info,millgate::routing",
            "info,millgate=loud",
        ] {
            let log = toml::from_str::<Log>(&format!("level = {typo:?}"));
            assert!(log.is_err(), "{typo}");
        }
    }
}
