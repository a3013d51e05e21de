//! `response_format`: answers that are JSON.

use millgate_plugin::Refusal;
use serde_json::{Value, json};

use crate::{
    content::take,
    error::{invalid, unsupported},
};

/// `output_config.format` for a `response_format`.
///
/// Anthropic holds a model to a schema, but knows no JSON without one, which is refused rather than hoped for.
pub(crate) fn read(format: Option<Value>) -> Result<Option<Value>, Refusal> {
    let Some(mut format) = format else {
        return Ok(None);
    };
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_schema") => {
            let mut schema = take(&mut take(&mut format, "json_schema"), "schema");
            if !schema.is_object() {
                let at = "response_format.json_schema.schema";
                return Err(invalid(at, "a JSON schema must be given as an object"));
            }
            close(&mut schema);
            Ok(Some(json!({"type": "json_schema", "schema": schema})))
        }
        Some("json_object") => Err(unsupported(
            "response_format.type",
            "Anthropic knows no `json_object`: ask for a `json_schema`, or for JSON in the prompt without `response_format`",
        )),
        _ => Err(invalid(
            "response_format.type",
            "the type of `response_format` must be text, json_object or json_schema",
        )),
    }
}

/// Says of every object with named properties that it has no others, where nothing is said: Anthropic demands it, and
/// what fits the narrower schema fits the one that was given.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(close),
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            for name in ["items", "anyOf"] {
                members.get_mut(name).into_iter().for_each(close);
            }
            for name in ["properties", "$defs", "definitions"] {
                if let Some(Value::Object(named)) = members.get_mut(name) {
                    named.values_mut().for_each(close);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_with_named_properties_are_closed_and_others_left_alone() {
        let mut schema = json!({
            "properties": {
                "properties": {"type": "string"},
                "list": {"items": {"properties": {"a": {}}}},
                "either": {"anyOf": [{"properties": {}, "additionalProperties": true}, {"type": "object"}]},
            },
            "$defs": {"one": {"properties": {"b": {}}}},
        });
        close(&mut schema);
        let expected = json!({
            "properties": {
                "properties": {"type": "string"},
                "list": {"items": {"properties": {"a": {}}, "additionalProperties": false}},
                "either": {"anyOf": [{"properties": {}, "additionalProperties": true}, {"type": "object"}]},
            },
            "$defs": {"one": {"properties": {"b": {}}, "additionalProperties": false}},
            "additionalProperties": false,
        });
        assert_eq!(schema, expected);
    }
}
