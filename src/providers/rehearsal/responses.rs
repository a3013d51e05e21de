//! `POST /v1/responses`, stateless.

use millgate_plugin::{Call, Refusal};
use serde_json::Value;

use super::{
    FINGERPRINT,
    format::Format,
    request::{Body, content_text, invalid, unsupported, wrong},
    said::Said,
    script::Script,
    speech::{Conversation, Heard},
    tools, words,
};
use crate::providers::{answer::Identity, responses};

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let conversation = conversation(&body)?;
    let said = said(&body, &conversation)?;
    let identity = Identity::of(call, FINGERPRINT);
    let shape = responses::shape(identity.clone(), call.stream, body.members());
    Ok(Script::of(
        call,
        &identity,
        shape,
        &[said.into()],
        conversation.tokens,
    ))
}

/// What to say. As in chat, a tool's result is always answered with text.
fn said(body: &Body, conversation: &Conversation) -> Result<Said, Refusal> {
    const FORMAT: &str = "text.format";
    let demanded = tools::demanded(body)?;
    let limit = body.whole("max_output_tokens", 1..=u64::MAX)?;
    let format = body.object("text")?.and_then(|text| text.get("format"));
    let format = Format::read(format, FORMAT)?;
    match demanded {
        Some(call) if !conversation.ends_with_tool() => Ok(Said::Call(call)),
        _ => {
            let text = format.fill(conversation.answer(), FORMAT)?;
            Ok(Said::Text(words::clip(text, &[], limit)))
        }
    }
}

/// What was said so far, `instructions` and `input`.
fn conversation(body: &Body) -> Result<Conversation, Refusal> {
    stateless(body)?;
    let mut conversation = Conversation::new();
    if let Some(instructions) = body.text("instructions")? {
        conversation.add(instructions, None);
    }
    match body.required("input")? {
        Value::String(text) => conversation.add(text, Some(Heard::User(text.clone()))),
        Value::Array(items) if items.is_empty() => {
            return Err(invalid("input", "`input` is empty".to_owned()));
        }
        Value::Array(items) => {
            for position in 0..items.len() {
                add_item(&mut conversation, items, position)?;
            }
        }
        _ => return Err(wrong("input", "a string or an array of items")),
    }
    Ok(conversation)
}

/// Nothing is kept from one request to the next, so nothing can be referred to.
fn stateless(body: &Body) -> Result<(), Refusal> {
    for member in ["previous_response_id", "conversation"] {
        if body.get(member).is_some() {
            let message =
                "the rehearsal provider keeps no conversations: send all of it as `input`";
            return Err(unsupported(member, message));
        }
    }
    if body.flag("background")? {
        let message = "the rehearsal provider does not work in the background";
        return Err(unsupported("background", message));
    }
    Ok(())
}

fn add_item(
    conversation: &mut Conversation,
    items: &[Value],
    position: usize,
) -> Result<(), Refusal> {
    let at = format!("input[{position}]");
    let item = &items[position];
    if !item.is_object() {
        return Err(wrong(&at, "an object"));
    }
    let kind = match item.get("type") {
        None => "message",
        Some(kind) => kind
            .as_str()
            .ok_or_else(|| wrong(&format!("{at}.type"), "a string"))?,
    };
    match kind {
        "message" => {
            let role = item.get("role").and_then(Value::as_str);
            let role = role.ok_or_else(|| wrong(&format!("{at}.role"), "a string"))?;
            let text = content_text(item.get("content"), &format!("{at}.content"))?;
            let heard = (role == "user").then(|| Heard::User(text.clone()));
            conversation.add(&text, heard);
        }
        "function_call_output" => {
            let output = content_text(item.get("output"), &format!("{at}.output"))?;
            let name = tool_name(item, &items[..position]).to_owned();
            let text = output.clone();
            conversation.add(&text, Some(Heard::Tool { name, output }));
        }
        // Calls, reasoning and references have nothing to answer to.
        _ => conversation.add("", None),
    }
    Ok(())
}

/// The function whose result an item is, or else the id of the call.
fn tool_name<'a>(output: &'a Value, before: &'a [Value]) -> &'a str {
    let Some(id) = output.get("call_id").and_then(Value::as_str) else {
        return "without a name";
    };
    before
        .iter()
        .find(|item| item["type"] == "function_call" && item["call_id"] == id)
        .and_then(|call| call.get("name")?.as_str())
        .unwrap_or(id)
}
