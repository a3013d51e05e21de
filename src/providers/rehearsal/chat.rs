//! `POST /v1/chat/completions`.

use millgate_plugin::{Call, Refusal};
use serde_json::Value;

use super::{
    FINGERPRINT,
    format::Format,
    request::{Body, content_text, invalid, wrong},
    said::Said,
    script::Script,
    speech::{Conversation, Heard},
    tools, words,
};
use crate::providers::{answer::Identity, chat};

/// Most choices of a reply, as OpenAI limits them.
const MAX_CHOICES: u64 = 128;

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let conversation = conversation(&body)?;
    let n = body.whole("n", 1..=MAX_CHOICES)?.unwrap_or(1);
    let include_usage = body.include_usage()?;
    let said = said(&body, &conversation)?;
    let identity = Identity::of(call, FINGERPRINT);
    let shape = chat::shape(&identity, call.stream, include_usage);
    let choices = vec![said.into(); n as usize];
    Ok(Script::of(
        call,
        &identity,
        shape,
        &choices,
        conversation.tokens,
    ))
}

/// A tool's result is always answered with text, so that a client that demands a tool in every turn
/// still comes to an end.
fn said(body: &Body, conversation: &Conversation) -> Result<Said, Refusal> {
    let demanded = tools::demanded(body)?;
    let stops = body.stops()?;
    let max_tokens = body.whole("max_tokens", 1..=u64::MAX)?;
    let limit = body
        .whole("max_completion_tokens", 1..=u64::MAX)?
        .or(max_tokens);
    let format = Format::read(body.get("response_format"), "response_format")?;
    match demanded {
        Some(call) if !conversation.ends_with_tool() => Ok(Said::Call(call)),
        _ => {
            let text = format.fill(conversation.answer(), "response_format")?;
            Ok(Said::Text(words::clip(text, &stops, limit)))
        }
    }
}

fn conversation(body: &Body) -> Result<Conversation, Refusal> {
    let messages = body.required("messages")?;
    let messages = messages
        .as_array()
        .ok_or_else(|| wrong("messages", "an array"))?;
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` is empty".to_owned()));
    }
    let mut conversation = Conversation::new();
    for (position, message) in messages.iter().enumerate() {
        let at = format!("messages[{position}]");
        if !message.is_object() {
            return Err(wrong(&at, "an object"));
        }
        let role = message.get("role").and_then(Value::as_str);
        let role = role.ok_or_else(|| wrong(&format!("{at}.role"), "a string"))?;
        let text = content_text(message.get("content"), &format!("{at}.content"))?;
        let heard = match role {
            "user" => Some(Heard::User(text.clone())),
            "tool" | "function" => Some(Heard::Tool {
                name: tool_name(message, &messages[..position]).to_owned(),
                output: text.clone(),
            }),
            _ => None,
        };
        conversation.add(&text, heard);
    }
    Ok(conversation)
}

/// The tool whose result a message is: found by the id of the call, which is a fallback for the name.
fn tool_name<'a>(message: &'a Value, before: &'a [Value]) -> &'a str {
    let text = |member: &str| message.get(member).and_then(Value::as_str);
    let Some(id) = text("tool_call_id") else {
        return text("name").unwrap_or("without a name");
    };
    before
        .iter()
        .filter_map(|message| message.get("tool_calls")?.as_array())
        .flatten()
        .find(|call| call.get("id").and_then(Value::as_str) == Some(id))
        .and_then(|call| call.get("function")?.get("name")?.as_str())
        .unwrap_or(id)
}
