//! Chat completions and completions, whole and streamed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::openai::CREATED;
use super::reply::Reply;
use super::script::Fault;
use super::shape::Call;

/// The arguments of every tool call: not ASCII alone, and in pieces when streamed.
pub(super) const ARGUMENTS: [&str; 3] = [r#"{"place":"#, r#""서울""#, "}"];

pub(super) fn chat(call: &Call) -> Reply {
    if call.ask.stream == Some(true) {
        chat_stream(call)
    } else {
        Reply::json(200, &chat_whole(call))
    }
}

fn chat_whole(call: &Call) -> Value {
    let parts = call.script.parts();
    let calls = call.tool_calls();
    let mut message = json!({ "role": "assistant", "content": parts.concat(), "refusal": null });
    if let Some(reasoning) = &call.script.reasoning {
        message["reasoning_content"] = json!(reasoning);
    }
    if calls > 0 {
        message["content"] = Value::Null;
        message["tool_calls"] = (0..calls)
            .map(|index| {
                let function = json!({ "name": call.tool_name(), "arguments": ARGUMENTS.concat() });
                json!({ "id": tool_call_id(call, index), "type": "function", "function": function })
            })
            .collect();
    }
    let finish = if call.has(Fault::NoFinish) {
        Value::Null
    } else {
        json!(finish_reason(calls))
    };
    json!({
        "id": format!("chatcmpl-mock-{}", call.serial),
        "object": "chat.completion",
        "created": CREATED,
        "model": call.model(),
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish }],
        "usage": usage(call, parts.len()),
        "system_fingerprint": "fp_mock",
    })
}

fn finish_reason(tool_calls: usize) -> &'static str {
    if tool_calls > 0 { "tool_calls" } else { "stop" }
}

fn tool_call_id(call: &Call, index: usize) -> String {
    format!("call_mock_{}_{index}", call.serial)
}

fn chat_stream(call: &Call) -> Reply {
    let stream = Stream::new(call, "chatcmpl", "chat.completion.chunk");
    let delta = |delta: &Value| {
        stream.event(&format!(
            r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}"#
        ))
    };
    let parts = call.script.parts();
    let calls = call.tool_calls();

    let mut events = vec![delta(
        &json!({ "role": "assistant", "content": "", "refusal": null }),
    )];
    if let Some(reasoning) = &call.script.reasoning {
        events.push(delta(&json!({ "reasoning_content": reasoning })));
    }
    if calls == 0 {
        events.extend(parts.iter().map(|part| delta(&json!({ "content": part }))));
    }
    for index in 0..calls {
        let function = json!({ "name": call.tool_name(), "arguments": "" });
        let begin = json!({ "index": index, "id": tool_call_id(call, index), "type": "function", "function": function });
        events.push(delta(&json!({ "tool_calls": [begin] })));
        let pieces =
            ARGUMENTS.map(|piece| json!({ "index": index, "function": { "arguments": piece } }));
        events.extend(pieces.map(|piece| delta(&json!({ "tool_calls": [piece] }))));
    }
    let finish = finish_reason(calls);
    let finish =
        format!(r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{finish}"}}"#);
    stream.end(call, events, &finish, parts.len())
}

pub(super) fn completion(call: &Call) -> Reply {
    let parts = call.script.parts();
    if call.ask.stream == Some(true) {
        let stream = Stream::new(call, "cmpl", "text_completion");
        let choice = |text: &str, finish: &str| {
            format!(
                r#"{{"text":{},"index":0,"logprobs":null,"finish_reason":{finish}}}"#,
                json!(text)
            )
        };
        let events = parts
            .iter()
            .map(|part| stream.event(&choice(part, "null")))
            .collect();
        return stream.end(call, events, &choice("", "\"stop\""), parts.len());
    }
    let finish = if call.has(Fault::NoFinish) {
        Value::Null
    } else {
        json!("stop")
    };
    Reply::json(
        200,
        &json!({
            "id": format!("cmpl-mock-{}", call.serial),
            "object": "text_completion",
            "created": CREATED,
            "model": call.model(),
            "choices": [{ "text": parts.concat(), "index": 0, "logprobs": null, "finish_reason": finish }],
            "usage": usage(call, parts.len()),
        }),
    )
}

fn usage(call: &Call, events: usize) -> Value {
    let (prompt, completion) = (call.prompt_tokens(), call.completion_tokens(events));
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0 },
    })
}

/// What all events of one stream have in common. Written by hand: it is what a load test repeats most.
struct Stream {
    /// The members before `choices`, from `data: {` on.
    begin: String,
    with_usage: bool,
}

impl Stream {
    fn new(call: &Call, id: &str, object: &str) -> Self {
        let (serial, model) = (call.serial, json!(call.model()));
        let begin = format!(
            r#"data: {{"id":"{id}-mock-{serial}","object":"{object}","created":{CREATED},"model":{model},"system_fingerprint":"fp_mock""#
        );
        Self {
            begin,
            with_usage: call.ask.stream_options.include_usage,
        }
    }

    fn event(&self, choice: &str) -> Bytes {
        let usage = if self.with_usage {
            r#","usage":null"#
        } else {
            ""
        };
        format!("{},\"choices\":[{choice}]{usage}}}\n\n", self.begin).into()
    }

    /// The events, then those that end a stream, as far as the script lets them.
    fn end(
        self,
        call: &Call,
        mut events: Vec<Bytes>,
        finish: &str,
        content_events: usize,
    ) -> Reply {
        if !call.has(Fault::NoFinish) {
            events.push(self.event(finish));
        }
        if self.with_usage {
            let usage = usage(call, content_events);
            events.push(format!("{},\"choices\":[],\"usage\":{usage}}}\n\n", self.begin).into());
        }
        if !call.has(Fault::NoDone) {
            events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        Reply::events(events)
    }
}
