//! What a request says about how to answer: sampling, format, thinking, tools.

use millgate_plugin::Refusal;
use serde_json::{Map, Value, json};

use crate::providers::answer::{invalid, take, unsupported};

/// Members with a number that are options of the same name.
const NUMBERS: [&str; 8] = [
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "top_k",
    "min_p",
    "repeat_penalty",
];

/// Lays a request's sampling over the provider's own options.
pub(super) fn sampling(
    body: &mut Map<String, Value>,
    options: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    for name in NUMBERS {
        match given(body, name) {
            None => {}
            Some(number @ Value::Number(_)) => {
                options.insert(name.to_owned(), number);
            }
            Some(_) => return Err(invalid(name, format!("`{name}` must be a number"))),
        }
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(limit) = given(body, name) else {
            continue;
        };
        // Zero and below are words of their own to Ollama: no limit, fill the context.
        if limit.as_u64().is_none_or(|limit| limit == 0) {
            let message = format!("`{name}` must be a whole number of at least 1");
            return Err(invalid(name, message));
        }
        options.insert("num_predict".to_owned(), limit);
    }
    match given(body, "stop") {
        None => Ok(()),
        Some(stop @ Value::String(_)) => {
            options.insert("stop".to_owned(), json!([stop]));
            Ok(())
        }
        Some(Value::Array(stops)) if stops.iter().all(Value::is_string) => {
            options.insert("stop".to_owned(), stops.into());
            Ok(())
        }
        Some(_) => Err(invalid(
            "stop",
            "`stop` must be a string or an array of strings",
        )),
    }
}

/// Refuses what Ollama would silently leave out though it changes the answer.
pub(super) fn refuse_unknown(body: &mut Map<String, Value>) -> Result<(), Refusal> {
    for name in ["n", "best_of"] {
        if given(body, name).is_some_and(|count| count != 1) {
            let message = format!("Ollama gives one answer for a request: leave `{name}` out");
            return Err(unsupported(name, message));
        }
    }
    let bias = given(body, "logit_bias");
    if bias.is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
        return Err(unsupported("logit_bias", "Ollama knows no `logit_bias`"));
    }
    let modalities = given(body, "modalities");
    if modalities.is_some_and(|modalities| modalities != json!(["text"])) {
        return Err(unsupported("modalities", "Ollama only answers with text"));
    }
    for (name, message) in [
        (
            "functions",
            "`functions` is not understood: offer them as `tools`",
        ),
        (
            "web_search_options",
            "Ollama does not search the web: leave `web_search_options` out",
        ),
    ] {
        if given(body, name).is_some() {
            return Err(unsupported(name, message));
        }
    }
    Ok(())
}

/// Ollama's `format`: `"json"` or a schema.
pub(super) fn format(body: &mut Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let Some(mut format) = given(body, "response_format") else {
        return Ok(None);
    };
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some("json".into())),
        Some("json_schema") => {
            let schema = take(&mut take(&mut format, "json_schema"), "schema");
            if schema.is_object() {
                return Ok(Some(schema));
            }
            let at = "response_format.json_schema.schema";
            Err(invalid(at, "a JSON schema must be given as an object"))
        }
        _ => Err(invalid(
            "response_format.type",
            "the type of `response_format` must be text, json_object or json_schema",
        )),
    }
}

/// Ollama's `think` for a reasoning effort. It knows three levels, so those beyond its scale get the nearest.
pub(super) fn think(body: &mut Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let Some(effort) = given(body, "reasoning_effort") else {
        return Ok(None);
    };
    let think = match effort.as_str() {
        Some("none") => Value::Bool(false),
        Some("minimal" | "low") => "low".into(),
        Some("medium") => "medium".into(),
        Some("high" | "xhigh" | "max") => "high".into(),
        _ => {
            return Err(invalid(
                "reasoning_effort",
                "`reasoning_effort` must be none, minimal, low, medium, high or xhigh",
            ));
        }
    };
    Ok(Some(think))
}

/// The tools that the model may call.
///
/// Ollama has no `tool_choice`. `none` and a choice of certain tools are honoured by offering only those; that the
/// model *must* call one (`required`, a named function) cannot be enforced.
pub(super) fn tools(body: &mut Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let choice = given(body, "tool_choice");
    let tools = match given(body, "tools") {
        Some(Value::Array(tools)) if !tools.is_empty() => tools,
        None | Some(Value::Array(_)) => return Ok(None),
        Some(_) => return Err(invalid("tools", "`tools` must be an array")),
    };
    let tools: Result<Vec<_>, _> = tools.into_iter().enumerate().map(tool).collect();
    let mut tools = tools?;
    match choice {
        Some(choice) if choice == "none" => return Ok(None),
        None => {}
        Some(choice) if choice == "auto" || choice == "required" => {}
        Some(choice) => {
            let names = chosen(&choice).ok_or_else(|| {
                let message =
                    "`tool_choice` must be none, auto, required, a function or allowed tools";
                invalid("tool_choice", message)
            })?;
            tools.retain(|tool| names.iter().any(|name| tool["function"]["name"] == **name));
            if tools.is_empty() {
                let message = "`tool_choice` names a function that is not among the `tools`";
                return Err(invalid("tool_choice", message));
            }
        }
    }
    Ok(Some(tools.into()))
}

/// One tool. Templates walk over the parameters, so that they are there even for a function without any.
fn tool((index, mut tool): (usize, Value)) -> Result<Value, Refusal> {
    let function = tool.get_mut("function").and_then(Value::as_object_mut);
    let Some(function) = function.filter(|function| function.contains_key("name")) else {
        let message = "only tools of type `function`, with a `name`, are understood by Ollama";
        return Err(unsupported(format!("tools[{index}]"), message));
    };
    if function.get("parameters").is_none_or(Value::is_null) {
        let none = json!({"type": "object", "properties": {}});
        function.insert("parameters".to_owned(), none);
    }
    Ok(tool)
}

/// The names that a choice of certain tools allows.
fn chosen(choice: &Value) -> Option<Vec<&Value>> {
    match choice["type"].as_str()? {
        "function" => Some(vec![&choice["function"]["name"]]),
        "allowed_tools" => {
            let tools = choice["allowed_tools"]["tools"].as_array()?;
            Some(tools.iter().map(|tool| &tool["function"]["name"]).collect())
        }
        _ => None,
    }
}

/// `logprobs` and `top_logprobs` of a chat, whose names Ollama shares. Versions that know neither leave them out.
pub(super) fn logprobs(body: &mut Map<String, Value>, out: &mut Map<String, Value>) {
    for name in ["logprobs", "top_logprobs"] {
        if let Some(value) = given(body, name) {
            out.insert(name.to_owned(), value);
        }
    }
}

/// Takes a member that says something: null is as good as absent.
pub(super) fn given(body: &mut Map<String, Value>, name: &str) -> Option<Value> {
    body.remove(name).filter(|value| !value.is_null())
}
