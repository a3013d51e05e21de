//! Messages of a chat, from OpenAI's shape to Ollama's.

use std::collections::HashMap;

use millgate_plugin::Refusal;
use serde_json::{Map, Value, json};

use crate::providers::answer::{invalid, take, unsupported};

/// Ollama's `messages` for a chat's.
pub(super) fn messages(messages: Value) -> Result<Vec<Value>, Refusal> {
    let Value::Array(messages) = messages else {
        return Err(invalid("messages", "`messages` must be an array"));
    };
    // Without messages Ollama would only load the model and answer nothing.
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` must not be empty"));
    }
    let mut called = HashMap::new();
    messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| self::message(&format!("messages[{index}]"), message, &mut called))
        .collect()
}

/// One message. `called` remembers which function a tool call's id stands for: Ollama's templates
/// want the name beside a result, OpenAI's clients only send the id.
fn message(
    at: &str,
    mut message: Value,
    called: &mut HashMap<String, String>,
) -> Result<Value, Refusal> {
    let role = match message["role"].as_str() {
        Some("system" | "developer") => "system",
        Some("user") => "user",
        Some("assistant") => "assistant",
        Some("tool") => "tool",
        _ => {
            return Err(invalid(
                format!("{at}.role"),
                "a message's role must be system, developer, user, assistant or tool",
            ));
        }
    };
    let content = Content::read(at, role, take(&mut message, "content"))?;
    let mut out = Map::new();
    out.insert("role".to_owned(), role.into());
    out.insert("content".to_owned(), content.text.into());
    if !content.images.is_empty() {
        out.insert("images".to_owned(), content.images.into());
    }
    match role {
        "assistant" => add_assistant(at, &mut message, &mut out, called)?,
        "tool" => add_tool(&mut message, &mut out, called),
        _ => {}
    }
    Ok(Value::Object(out))
}

fn add_assistant(
    at: &str,
    message: &mut Value,
    out: &mut Map<String, Value>,
    called: &mut HashMap<String, String>,
) -> Result<(), Refusal> {
    for name in ["reasoning_content", "reasoning"] {
        if let Value::String(thinking) = take(message, name) {
            out.insert("thinking".to_owned(), thinking.into());
            break;
        }
    }
    let Value::Array(calls) = take(message, "tool_calls") else {
        return Ok(());
    };
    let calls: Result<Vec<_>, _> = calls
        .into_iter()
        .enumerate()
        .map(|(index, call)| tool_call(&format!("{at}.tool_calls[{index}]"), index, call, called))
        .collect();
    let calls = calls?;
    if !calls.is_empty() {
        out.insert("tool_calls".to_owned(), calls.into());
    }
    Ok(())
}

fn tool_call(
    at: &str,
    index: usize,
    mut call: Value,
    called: &mut HashMap<String, String>,
) -> Result<Value, Refusal> {
    let mut function = take(&mut call, "function");
    let Value::String(name) = take(&mut function, "name") else {
        let message = "a tool call must name its function; other kinds of tool calls are unknown";
        return Err(invalid(format!("{at}.function.name"), message));
    };
    let arguments = arguments(take(&mut function, "arguments")).ok_or_else(|| {
        invalid(
            format!("{at}.function.arguments"),
            "the arguments of a tool call must be a string that holds a JSON object",
        )
    })?;
    let mut out = Map::new();
    if let Value::String(id) = take(&mut call, "id") {
        called.insert(id.clone(), name.clone());
        out.insert("id".to_owned(), id.into());
    }
    let function = json!({"index": index, "name": name, "arguments": arguments});
    out.insert("function".to_owned(), function);
    Ok(Value::Object(out))
}

/// The arguments as the object that Ollama wants. Clients write none as `""` or `{}`, and some send the object itself.
fn arguments(arguments: Value) -> Option<Value> {
    let arguments = match arguments {
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(&text).ok()?,
        Value::Null => json!({}),
        other => other,
    };
    arguments.is_object().then_some(arguments)
}

fn add_tool(
    message: &mut Value,
    out: &mut Map<String, Value>,
    called: &mut HashMap<String, String>,
) {
    let id = take(message, "tool_call_id");
    let name = id.as_str().and_then(|id| called.get(id).cloned());
    let name = name.map_or_else(|| take(message, "name"), Value::from);
    if name.is_string() {
        out.insert("tool_name".to_owned(), name);
    }
    if id.is_string() {
        out.insert("tool_call_id".to_owned(), id);
    }
}

/// What a message says and shows.
struct Content {
    text: String,
    images: Vec<Value>,
}

impl Content {
    fn read(at: &str, role: &str, content: Value) -> Result<Self, Refusal> {
        let at = format!("{at}.content");
        let parts = match content {
            Value::String(text) => return Ok(Self::of(text)),
            // An assistant that only calls tools says nothing.
            Value::Null if role == "assistant" => return Ok(Self::of(String::new())),
            Value::Array(parts) => parts,
            _ => {
                return Err(invalid(
                    at,
                    "`content` must be a string or an array of parts",
                ));
            }
        };
        let mut texts: Vec<String> = Vec::new();
        let mut images = Vec::new();
        for (index, mut part) in parts.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            let kind = take(&mut part, "type");
            match kind.as_str().unwrap_or_default() {
                "text" => texts.push(text(&at, &mut part, "text")?),
                "refusal" => texts.push(text(&at, &mut part, "refusal")?),
                "image_url" => images.push(image(&at, &mut part)?.into()),
                kind @ ("input_audio" | "file") => {
                    let message = format!(
                        "content of type `{kind}` is not understood by Ollama: send text or images"
                    );
                    return Err(unsupported(at, message));
                }
                _ => {
                    let message = "a part of `content` must have the type text or image_url";
                    return Err(invalid(format!("{at}.type"), message));
                }
            }
        }
        Ok(Self {
            text: texts.join("\n"),
            images,
        })
    }

    const fn of(text: String) -> Self {
        Self {
            text,
            images: Vec::new(),
        }
    }
}

fn text(at: &str, part: &mut Value, name: &str) -> Result<String, Refusal> {
    match take(part, name) {
        Value::String(text) => Ok(text),
        _ => Err(invalid(
            format!("{at}.{name}"),
            format!("`{name}` must be a string"),
        )),
    }
}

/// The base64 of an image that is given as a data URL (RFC 2397). Ollama fetches nothing.
fn image(at: &str, part: &mut Value) -> Result<String, Refusal> {
    let at = format!("{at}.image_url");
    let mut url = take(part, "image_url");
    if url.is_object() {
        url = take(&mut url, "url");
    }
    let Value::String(mut url) = url else {
        return Err(invalid(at, "`image_url.url` must be a string"));
    };
    let Some((kind, _)) = url
        .strip_prefix("data:")
        .and_then(|data| data.split_once(','))
    else {
        return Err(invalid(
            at,
            "this model cannot fetch images: send the image itself as a data URL (`data:image/png;base64,…`)",
        ));
    };
    let is_image = kind.starts_with("image/") || kind.starts_with(';');
    if !is_image || !kind.ends_with(";base64") {
        return Err(invalid(
            at,
            "a data URL must hold an image in base64 (`data:image/png;base64,…`)",
        ));
    }
    let start = "data:".len() + kind.len() + 1;
    url.drain(..start);
    Ok(url)
}
