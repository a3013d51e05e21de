//! `POST /v1/chat/completions`.

use millgate_plugin::{Call, Refusal};
use serde_json::{Value, json};

use super::{
    format::Format,
    request::{Body, content_text, invalid, wrong},
    said::Said,
    script::{Event, Script},
    speech::{Conversation, Heard},
    tools::{self, ToolCall},
    words,
};

/// Most choices of a reply, as OpenAI limits them.
const MAX_CHOICES: u64 = 128;

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let conversation = conversation(&body)?;
    let n = body.whole("n", 1..=MAX_CHOICES)?.unwrap_or(1);
    let include_usage = body.include_usage()?;
    let said = said(&body, &conversation)?;

    let completion_tokens = said.tokens() * n;
    let usage = json!({
        "prompt_tokens": conversation.tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": conversation.tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    });
    Ok(if call.stream {
        Script::Stream(stream(call, &said, n, include_usage.then_some(usage)))
    } else {
        Script::document(&document(call, &said, n, &usage))
    })
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

fn document(call: &Call<'_>, said: &Said, n: u64, usage: &Value) -> Value {
    let choice = |index| {
        let mut message = json!({"role": "assistant", "content": null, "refusal": null});
        match said {
            Said::Text(clipped) => message["content"] = clipped.text.as_str().into(),
            Said::Call(tool) => {
                message["tool_calls"] = json!([tool_call(call, index, tool, &tool.arguments)]);
            }
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(said),
        })
    };
    let choices: Vec<Value> = (0..n).map(choice).collect();
    let mut document = envelope(call, "chat.completion", &choices);
    document["usage"] = usage.clone();
    document
}

fn stream(call: &Call<'_>, said: &Said, n: u64, usage: Option<Value>) -> Vec<Event> {
    let chunk = |index: u64, delta: Value, finish_reason: Option<&str>| {
        let choice = json!({
            "index": index,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish_reason,
        });
        let mut chunk = envelope(call, "chat.completion.chunk", &[choice]);
        // Where usage was asked for, every chunk but the last has it as null.
        if usage.is_some() {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut events = Vec::new();
    for index in 0..n {
        let mut say = |delta, is_token| {
            events.push(Event::data(&chunk(index, delta, None), is_token));
        };
        match said {
            Said::Text(clipped) => {
                say(
                    json!({"role": "assistant", "content": "", "refusal": null}),
                    false,
                );
                for token in words::tokens(&clipped.text) {
                    say(json!({"content": token}), true);
                }
            }
            Said::Call(tool) => {
                say(
                    json!({"role": "assistant", "content": null, "refusal": null}),
                    false,
                );
                let mut first = tool_call(call, index, tool, "");
                first["index"] = 0.into();
                say(json!({"tool_calls": [first]}), false);
                for piece in tools::pieces(&tool.arguments) {
                    let part = json!({"index": 0, "function": {"arguments": piece}});
                    say(json!({"tool_calls": [part]}), true);
                }
            }
        }
        let end = chunk(index, json!({}), Some(finish_reason(said)));
        events.push(Event::data(&end, false));
    }
    if let Some(usage) = usage {
        let mut last = envelope(call, "chat.completion.chunk", &[]);
        last["usage"] = usage;
        events.push(Event::data(&last, false));
    }
    events.push(Event::done());
    events
}

fn finish_reason(said: &Said) -> &'static str {
    match said {
        Said::Text(clipped) => clipped.finish.reason(),
        Said::Call(_) => "tool_calls",
    }
}

fn tool_call(call: &Call<'_>, choice: u64, tool: &ToolCall, arguments: &str) -> Value {
    json!({
        "id": tools::id("call", call.request_id, choice),
        "type": "function",
        "function": {"name": tool.name, "arguments": arguments},
    })
}

fn envelope(call: &Call<'_>, object: &str, choices: &[Value]) -> Value {
    json!({
        "id": format!("chatcmpl-{}", call.request_id),
        "object": object,
        "created": call.created,
        "model": call.model,
        "system_fingerprint": "fp_rehearsal",
        "choices": choices,
    })
}
