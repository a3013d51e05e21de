//! A Responses request, read as the chat request that asks for the same.

use millgate_plugin::Refusal;
use serde_json::{Map, Value, json};

use crate::providers::answer::{invalid, take, unsupported};

/// Members that mean the same in a chat, and their names there.
const SAME: [(&str, &str); 11] = [
    ("frequency_penalty", "frequency_penalty"),
    ("max_output_tokens", "max_completion_tokens"),
    ("min_p", "min_p"),
    ("parallel_tool_calls", "parallel_tool_calls"),
    ("presence_penalty", "presence_penalty"),
    ("repeat_penalty", "repeat_penalty"),
    ("seed", "seed"),
    ("stop", "stop"),
    ("temperature", "temperature"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
];

/// The body of a chat request that asks for what the body of a Responses request asks for.
///
/// `model` and `stream` are left to the caller, who has them from the call. Errors: `Unsupported` for what needs
/// stored state or a tool that the provider itself would run, `InvalidRequest` for what is malformed.
pub fn to_chat(mut request: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    refuse_state(&request)?;
    let mut chat = Map::new();
    chat.insert("messages".to_owned(), messages(&mut request)?);
    for (name, chat_name) in SAME {
        if let Some(value) = request.remove(name) {
            chat.insert(chat_name.to_owned(), value);
        }
    }
    if let Some(effort) = request
        .get_mut("reasoning")
        .and_then(|r| r.get_mut("effort"))
    {
        chat.insert("reasoning_effort".to_owned(), effort.take());
    }
    if let Some(format) = request.get_mut("text").and_then(|t| t.get_mut("format")) {
        chat.insert("response_format".to_owned(), response_format(format.take()));
    }
    if let Some(Value::Array(tools)) = request.remove("tools") {
        let tools: Result<Vec<_>, _> = tools.into_iter().enumerate().map(tool).collect();
        chat.insert("tools".to_owned(), tools?.into());
    }
    if let Some(choice) = request.remove("tool_choice") {
        chat.insert("tool_choice".to_owned(), tool_choice(choice)?);
    }
    Ok(chat)
}

/// Refuses what refers to something stored, and what would be made without the client waiting for it.
fn refuse_state(request: &Map<String, Value>) -> Result<(), Refusal> {
    let asked = |name: &str| {
        !matches!(
            request.get(name),
            None | Some(Value::Null | Value::Bool(false))
        )
    };
    for name in ["previous_response_id", "conversation", "prompt"] {
        if asked(name) {
            let message = format!(
                "`{name}` refers to something stored, and nothing is stored here: send the whole conversation in `input`"
            );
            return Err(unsupported(name, message));
        }
    }
    if asked("background") {
        return Err(unsupported(
            "background",
            "responses are not stored here: leave `background` out and wait for the answer, or stream it",
        ));
    }
    let logprobs = request
        .get("include")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one == "message.output_text.logprobs"));
    let alternatives = request.get("top_logprobs").and_then(Value::as_u64);
    if logprobs || alternatives.is_some_and(|count| count > 0) {
        return Err(unsupported(
            "top_logprobs",
            "log probabilities are not given in responses here: ask /v1/chat/completions for them",
        ));
    }
    Ok(())
}

fn messages(request: &mut Map<String, Value>) -> Result<Value, Refusal> {
    let mut messages = Vec::new();
    if let Some(Value::String(instructions)) = request.get_mut("instructions") {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    match request.remove("input") {
        Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                add_item(&mut messages, &format!("input[{index}]"), item)?;
            }
        }
        _ => {
            return Err(invalid(
                "input",
                "`input` must be a string or an array of items",
            ));
        }
    }
    Ok(messages.into())
}

/// Adds one input item to the chat. What the assistant thought, said and called are separate items, but one message.
fn add_item(messages: &mut Vec<Value>, at: &str, mut item: Value) -> Result<(), Refusal> {
    let kind = match item.get("type").and_then(Value::as_str) {
        Some(kind) => kind.to_owned(),
        None => "message".to_owned(),
    };
    match kind.as_str() {
        "message" => {
            let role = take(&mut item, "role");
            let content = content(at, take(&mut item, "content"))?;
            if role == "assistant"
                && let Some(last) = reasoning_before(messages)
            {
                last["content"] = content;
                return Ok(());
            }
            messages.push(json!({"role": role, "content": content}));
        }
        "function_call" => {
            let call = json!({
                "id": take(&mut item, "call_id"),
                "type": "function",
                "function": {"name": take(&mut item, "name"), "arguments": take(&mut item, "arguments")},
            });
            let last = assistant(messages);
            match last.get_mut("tool_calls").and_then(Value::as_array_mut) {
                Some(calls) => calls.push(call),
                None => last["tool_calls"] = json!([call]),
            }
        }
        "function_call_output" => {
            let content = content(at, take(&mut item, "output"))?;
            messages.push(json!({
                "role": "tool", "tool_call_id": take(&mut item, "call_id"), "content": content,
            }));
        }
        "reasoning" => {
            let text = reasoning_text(&item);
            if !text.is_empty() {
                messages
                    .push(json!({"role": "assistant", "content": null, "reasoning_content": text}));
            }
        }
        "item_reference" => {
            return Err(unsupported(
                at,
                "an item reference points to something stored, and nothing is stored here: send the item itself",
            ));
        }
        other => {
            return Err(unsupported(
                at,
                format!("input items of type `{other}` are not supported by this target"),
            ));
        }
    }
    Ok(())
}

/// The message that holds what the assistant thought and nothing else yet, if that came last.
fn reasoning_before(messages: &mut [Value]) -> Option<&mut Value> {
    messages.last_mut().filter(|last| {
        last.get("reasoning_content").is_some()
            && last["content"].is_null()
            && last.get("tool_calls").is_none()
    })
}

/// The assistant's message at the end of the chat, made where there is none.
fn assistant(messages: &mut Vec<Value>) -> &mut Value {
    if messages
        .last()
        .is_none_or(|last| last["role"] != "assistant")
    {
        messages.push(json!({"role": "assistant", "content": null}));
    }
    let last = messages.len() - 1;
    &mut messages[last]
}

/// Content of a message or of a tool's result, in the words of a chat.
fn content(at: &str, content: Value) -> Result<Value, Refusal> {
    let Value::Array(parts) = content else {
        return Ok(content);
    };
    parts
        .into_iter()
        .enumerate()
        .map(|(index, mut part)| {
            let at = format!("{at}.content[{index}]");
            match part["type"].as_str().unwrap_or_default() {
                "input_text" | "output_text" | "text" => {
                    Ok(json!({"type": "text", "text": take(&mut part, "text")}))
                }
                "refusal" => Ok(json!({"type": "text", "text": take(&mut part, "refusal")})),
                "input_image" if part["image_url"].is_string() => {
                    Ok(json!({"type": "image_url", "image_url": {"url": take(&mut part, "image_url")}}))
                }
                "input_image" => Err(unsupported(
                    at,
                    "no files are stored here: send the image itself as a data URL in `image_url`",
                )),
                other => Err(unsupported(
                    at,
                    format!("content of type `{other}` is not supported by this target"),
                )),
            }
        })
        .collect()
}

/// What a reasoning item says: its content, else its summary.
fn reasoning_text(item: &Value) -> String {
    let texts = |name: &str| -> Vec<&str> {
        let parts = item.get(name).and_then(Value::as_array);
        parts
            .into_iter()
            .flatten()
            .filter_map(|part| part["text"].as_str())
            .collect()
    };
    let content = texts("content");
    if content.is_empty() {
        texts("summary").join("\n")
    } else {
        content.join("")
    }
}

/// `text.format` holds beside its type what a chat puts one level down.
fn response_format(format: Value) -> Value {
    if format["type"] == "json_schema" {
        json!({"type": "json_schema", "json_schema": without_type(format)})
    } else {
        format
    }
}

/// So does a function tool.
fn tool((index, tool): (usize, Value)) -> Result<Value, Refusal> {
    match tool["type"].as_str() {
        Some("function") => Ok(json!({"type": "function", "function": without_type(tool)})),
        Some(other) => Err(unsupported(
            format!("tools[{index}]"),
            format!(
                "tools of type `{other}` are not run here: only `function` tools, which the client runs, are supported"
            ),
        )),
        None => Err(invalid(
            format!("tools[{index}].type"),
            "a tool must say its `type`",
        )),
    }
}

fn tool_choice(mut choice: Value) -> Result<Value, Refusal> {
    if !choice.is_object() {
        return Ok(choice);
    }
    let named =
        |mut one: Value| json!({"type": "function", "function": {"name": take(&mut one, "name")}});
    match choice["type"].as_str().unwrap_or_default() {
        "function" => Ok(named(choice)),
        "allowed_tools" => {
            let tools: Vec<_> = match take(&mut choice, "tools") {
                Value::Array(tools) => tools.into_iter().map(named).collect(),
                _ => Vec::new(),
            };
            let mode = take(&mut choice, "mode");
            Ok(json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}))
        }
        other => Err(unsupported(
            "tool_choice",
            format!("a tool choice of type `{other}` is not supported by this target"),
        )),
    }
}

fn without_type(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.shift_remove("type");
    }
    object
}
