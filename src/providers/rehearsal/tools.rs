//! Calling a tool, where the request demands it.
//!
//! Chat holds a function's name and parameters one level deeper (`function`) than responses do; both places
//! are understood in either.

use millgate_plugin::Refusal;
use serde_json::{Value, json};

use super::{
    instance::instance,
    request::{Body, invalid, unsupported, wrong},
};

/// A call of a function tool, less its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) name: String,
    /// A JSON object, as text.
    pub(super) arguments: String,
}

/// Who decides about a call.
enum Demand<'a> {
    /// Nobody demands one, so none is made.
    None,
    /// Any tool of the request.
    Any,
    /// One of these, as `tool_choice` names them.
    OneOf(&'a [Value]),
}

/// The call that `tool_choice` demands; `None` where it leaves the choice (`auto`, `none`, absent).
pub(super) fn demanded(body: &Body) -> Result<Option<ToolCall>, Refusal> {
    let tools = body.list("tools")?.unwrap_or_default();
    let demand = demand(body.get("tool_choice"))?;
    let wanted = |tool: &&Value| match demand {
        Demand::None => false,
        Demand::Any => true,
        Demand::OneOf(names) => names.iter().any(|name| name_of(name) == name_of(tool)),
    };
    if matches!(demand, Demand::None) {
        return Ok(None);
    }
    let wanted: Vec<&Value> = tools.iter().filter(wanted).collect();
    if wanted.is_empty() {
        let message = "`tool_choice` demands a tool that `tools` does not have";
        return Err(invalid("tool_choice", message.to_owned()));
    }
    let function = wanted
        .into_iter()
        .find(|tool| is_function(tool))
        .ok_or_else(|| {
            unsupported(
                "tool_choice",
                "the rehearsal provider calls no tools but functions",
            )
        })?;
    call(function).map(Some)
}

fn demand(choice: Option<&Value>) -> Result<Demand<'_>, Refusal> {
    let refused = || {
        wrong(
            "tool_choice",
            "\"none\", \"auto\", \"required\" or an object naming tools",
        )
    };
    match choice {
        None => Ok(Demand::None),
        Some(Value::String(word)) => match word.as_str() {
            "none" | "auto" => Ok(Demand::None),
            "required" => Ok(Demand::Any),
            _ => Err(refused()),
        },
        Some(choice) => match choice.get("type").and_then(Value::as_str) {
            Some("allowed_tools") => {
                let holder = choice.get("allowed_tools").unwrap_or(choice);
                let tools = holder.get("tools").and_then(Value::as_array);
                let tools = tools.ok_or_else(|| wrong("tool_choice.tools", "an array"))?;
                match holder.get("mode").and_then(Value::as_str) {
                    Some("auto") => Ok(Demand::None),
                    Some("required") => Ok(Demand::OneOf(tools)),
                    _ => Err(wrong("tool_choice.mode", "\"auto\" or \"required\"")),
                }
            }
            Some("function") if name_of(choice).is_some() => {
                Ok(Demand::OneOf(std::slice::from_ref(choice)))
            }
            Some("function") | None => Err(refused()),
            Some(_) => Err(unsupported(
                "tool_choice",
                "the rehearsal provider calls no tools but functions",
            )),
        },
    }
}

fn call(tool: &Value) -> Result<ToolCall, Refusal> {
    let name = name_of(tool).ok_or_else(|| wrong("tools", "an array of functions with names"))?;
    let anything = json!({"type": "object"});
    let parameters = definition(tool)
        .get("parameters")
        .filter(|schema| !schema.is_null());
    let arguments = instance(parameters.unwrap_or(&anything)).map_err(|impossible| {
        invalid("tools", format!("the parameters of `{name}`: {impossible}"))
    })?;
    if !arguments.is_object() {
        let message = format!("the parameters of `{name}` must describe an object");
        return Err(invalid("tools", message));
    }
    Ok(ToolCall {
        name: name.to_owned(),
        arguments: arguments.to_string(),
    })
}

fn definition(tool: &Value) -> &Value {
    tool.get("function").unwrap_or(tool)
}

fn name_of(tool: &Value) -> Option<&str> {
    definition(tool).get("name").and_then(Value::as_str)
}

fn is_function(tool: &Value) -> bool {
    tool.get("type").is_none_or(|kind| kind == "function")
}

/// Arguments in pieces of some characters, at least two of them.
pub(super) fn pieces(arguments: &str) -> Vec<&str> {
    const LENGTH: usize = 16;
    let mut pieces = Vec::new();
    let mut rest = arguments;
    while !rest.is_empty() {
        let length = if pieces.is_empty() {
            LENGTH.min(arguments.chars().count().div_ceil(2))
        } else {
            LENGTH
        };
        let end = rest
            .char_indices()
            .nth(length)
            .map_or(rest.len(), |(end, _)| end);
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_in_two_pieces_or_more() {
        assert_eq!(pieces("{}"), ["{", "}"]);
        assert_eq!(pieces(r#"{"도시":""}"#), [r#"{"도시""#, r#":""}"#]);
        let long = format!("{{\"text\":\"{}\"}}", "가".repeat(100));
        assert_eq!(pieces(&long).concat(), long);
        assert!(pieces(&long).len() > 5);
    }
}
