//! `[stages.NAME]`: what every stage has, whatever its kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Patterns;

/// A step of the pipeline. Its kind has further keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stage {
    /// The kind of stage; one of a plugin's is `"PLUGIN/KIND"`. Default: the table's name.
    pub kind: Option<String>,
    /// Which requests it is for. Default: all.
    pub when: When,
    /// What happens when the stage itself fails: `"fail"` answers with an error, `"skip"` goes on without it.
    /// A refusal is no failure. Default: `"fail"`.
    pub on_error: OnError,
    /// `"enforce"`, or `"shadow"` to only log and count what it would refuse. Default: `"enforce"`.
    pub mode: Mode,
}

/// The keys that belong to the host; the rest of the table is its kind's.
pub const KEYS: &[&str] = &["kind", "when", "on_error", "mode"];

/// Conditions on a request, all of which must hold. Each is a glob or an array of them, one of which must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Name of the attempt's provider; only for stages below `route`. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Patterns>,
    /// Model that the client asks for. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Patterns>,
    /// Path of the request, such as `"/v1/embeddings"`. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Patterns>,
    /// Id of the caller. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Patterns>,
    /// Team of the caller. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Patterns>,
}

/// What happens when a stage fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The request is answered with an error; below `route` the attempt has failed.
    #[default]
    Fail,
    /// The request goes on as though the stage were not there.
    Skip,
}

/// Whether a stage's refusals count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A refusal ends the request.
    #[default]
    Enforce,
    /// A refusal is logged and counted, and the request goes on.
    Shadow,
}
