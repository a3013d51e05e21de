//! `[routes.NAME]`: from a requested model, or a path, to targets.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use super::{Duration, Patterns};

/// A rule from a requested model, or a path, to targets.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Requested models that it is for: a glob or an array of them. Of several routes the most specific pattern
    /// wins: an exact name, then the longest literal part. Default: `"*"`.
    pub model: Patterns,
    /// Paths that it is for instead, as globs: `["/v1/files*"]`. Default: none.
    pub paths: Vec<String>,
    /// Whether stateful endpoints (files, batches, stored responses …) may be forwarded although callers that share
    /// the provider's key then see each other's objects. Default: false.
    pub shared_state: bool,
    /// Where to send requests, in this order: `"provider"`, `"provider/model"`, or
    /// `{ provider, model, weight, params }`. Default: none, and one is needed.
    pub targets: Vec<Target>,
    /// How to choose among the targets: `"fallback"` in order, `"weighted"` by lot, `"least_busy"` first.
    /// Default: `"fallback"`.
    pub strategy: Strategy,
    /// Extra tries of the same target before the next one. Default: 2.
    pub retries: u32,
    /// Longest wait before the first retry; it doubles with each, and a random part of it is waited. Default: `"250ms"`.
    pub backoff: Duration,
    /// How long one attempt may take until its first content. Default: `"60s"`.
    pub attempt_timeout: Duration,
    /// How long all attempts together may take until the first content, waiting included. Default: `"5m"`.
    pub deadline: Duration,
    /// The longest silence within a reply. Default: `"60s"`.
    pub idle_timeout: Duration,
    /// How long a whole stream may take. Default: no limit.
    pub stream_timeout: Option<Duration>,
    /// When a reply is final, so that no other target is tried: `"content"`, at its first content, or `"head"`, as
    /// soon as the upstream says 200. Default: `"content"`.
    pub commit: Commit,
    /// What is tried again, and then with the next target: `"connect"`, `"timeout"`, `"upstream_auth"`,
    /// `"model_missing"`, `"stream"`, `"rejected"`, a status or a class of them such as `"5xx"`.
    /// Default: `["connect", "timeout", 408, 429, "5xx", "upstream_auth", "model_missing", "stream", "rejected"]`.
    #[serde(deserialize_with = "words")]
    #[schemars(with = "Option<Vec<NumberOrText>>")]
    pub fallback_on: Option<Vec<String>>,
    /// Members to add to request bodies that lack them, such as `{ temperature = 0.7 }`. Default: none.
    pub params: Map<String, Value>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            model: Patterns::one("*"),
            paths: Vec::new(),
            shared_state: false,
            targets: Vec::new(),
            strategy: Strategy::Fallback,
            retries: 2,
            backoff: Duration::from_millis(250),
            attempt_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            stream_timeout: None,
            commit: Commit::Content,
            fallback_on: None,
            params: Map::new(),
        }
    }
}

/// How a route chooses among its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In their order.
    #[default]
    Fallback,
    /// By lot, each as often as its weight says; the others follow as fallbacks.
    Weighted,
    /// The one with the fewest requests under way.
    LeastBusy,
}

/// When a reply is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Commit {
    /// At its first content.
    #[default]
    Content,
    /// At its head.
    Head,
}

/// One place to send requests to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `"provider"` or `"provider/model"`; which of the two, only the list of providers tells.
    Name(String),
    /// A table.
    Table(TargetTable),
}

/// A target with all that can be said about it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetTable {
    /// Name of the provider.
    pub provider: String,
    /// The model to ask for. Default: the provider's, else the one that the client asks for.
    #[serde(default)]
    pub model: Option<String>,
    /// How often it is chosen, relative to the others, where the strategy is `"weighted"` or
    /// `"least_busy"`; 0 is tried after all others. Default: 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Members to add to request bodies that lack them; they win over the route's. Default: none.
    #[serde(default)]
    pub params: Map<String, Value>,
}

fn one() -> u32 {
    1
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a target like \"provider\", \"provider/model\" or { provider = \"…\" }",
                )
            }

            fn visit_str<E>(self, name: &str) -> Result<Target, E> {
                Ok(Target::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                TargetTable::deserialize(MapAccessDeserializer::new(map)).map(Target::Table)
            }
        }
        const FIELDS: &[&str] = &["provider", "model", "weight", "params"];
        deserializer.deserialize_struct("Target", FIELDS, NameOrTable)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<TargetTable>();
        json_schema!({ "anyOf": [{ "type": "string" }, table] })
    }
}

/// A word, or a status as a number.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a status like 429 or a word like \"timeout\""
)]
enum NumberOrText {
    /// A status.
    Number(u16),
    /// A word.
    Text(String),
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let words = Vec::<NumberOrText>::deserialize(deserializer)?;
    let text = |word| match word {
        NumberOrText::Number(status) => status.to_string(),
        NumberOrText::Text(text) => text,
    };
    Ok(Some(words.into_iter().map(text).collect()))
}
