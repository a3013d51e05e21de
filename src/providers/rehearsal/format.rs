//! In which form an answer is asked for: chat's `response_format` and `text.format` of responses.

use millgate_plugin::Refusal;
use serde_json::{Value, json};

use super::{
    instance::instance,
    request::{invalid, wrong},
};

/// The form of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format<'a> {
    /// Plain text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// A value that satisfies a JSON schema.
    JsonSchema(&'a Value),
}

impl<'a> Format<'a> {
    /// Reads a format. Chat has the schema one level deeper, in `json_schema`; both places are understood.
    pub(super) fn read(format: Option<&'a Value>, param: &str) -> Result<Self, Refusal> {
        let Some(format) = format.filter(|format| !format.is_null()) else {
            return Ok(Self::Text);
        };
        match format.get("type").and_then(Value::as_str) {
            Some("text") => Ok(Self::Text),
            Some("json_object") => Ok(Self::JsonObject),
            Some("json_schema") => {
                let holder = format.get("json_schema").unwrap_or(format);
                match holder.get("schema") {
                    None if holder.is_object() => Ok(Self::JsonObject),
                    Some(schema) if schema.is_object() => Ok(Self::JsonSchema(schema)),
                    _ => Err(wrong(param, "an object with a `schema` object")),
                }
            }
            _ => Err(wrong(
                &format!("{param}.type"),
                "\"text\", \"json_object\" or \"json_schema\"",
            )),
        }
    }

    /// An answer of this form.
    pub(super) fn fill(self, sentence: String, param: &str) -> Result<String, Refusal> {
        match self {
            Self::Text => Ok(sentence),
            Self::JsonObject => Ok(json!({"rehearsal": true, "text": sentence}).to_string()),
            Self::JsonSchema(schema) => instance(schema)
                .map(|value| value.to_string())
                .map_err(|impossible| invalid(param, format!("`{param}`: {impossible}"))),
        }
    }
}
