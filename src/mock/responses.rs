//! The responses API, whole and as its event stream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chat::ARGUMENTS;
use super::openai::CREATED;
use super::reply::Reply;
use super::script::Fault;
use super::shape::Call;

pub(super) fn answer(call: &Call) -> Reply {
    let parts = call.script.parts();
    if call.ask.stream == Some(true) {
        return Reply::events(stream(call, &parts));
    }
    let status = if call.has(Fault::NoFinish) {
        "in_progress"
    } else {
        "completed"
    };
    Reply::json(
        200,
        &response(call, status, &output(call, &parts), parts.len()),
    )
}

fn response(call: &Call, status: &str, output: &[Value], events: usize) -> Value {
    let (input, answer) = (call.prompt_tokens(), call.completion_tokens(events));
    let usage = json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": answer,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + answer,
    });
    json!({
        "id": format!("resp_mock_{}", call.serial),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": call.model(),
        "output": output,
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": if status == "completed" { usage } else { Value::Null },
    })
}

/// The items of a finished answer: one message, or the tool calls.
fn output(call: &Call, parts: &[String]) -> Vec<Value> {
    match call.tool_calls() {
        0 => vec![message(call, "completed", &[text_part(&parts.concat())])],
        calls => (0..calls)
            .map(|index| function_call(call, index, "completed", &ARGUMENTS.concat()))
            .collect(),
    }
}

fn message(call: &Call, status: &str, content: &[Value]) -> Value {
    let id = format!("msg_mock_{}", call.serial);
    json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
}

fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn function_call(call: &Call, index: usize, status: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_mock_{}_{index}", call.serial),
        "type": "function_call",
        "status": status,
        "call_id": format!("call_mock_{}_{index}", call.serial),
        "name": call.tool_name(),
        "arguments": arguments,
    })
}

/// Numbers the events of a stream and writes them.
#[derive(Default)]
struct Events(Vec<Bytes>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value) {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.0.len());
        self.0
            .push(format!("event: {kind}\ndata: {data}\n\n").into());
    }
}

fn stream(call: &Call, parts: &[String]) -> Vec<Bytes> {
    let mut events = Events::default();
    let begun = response(call, "in_progress", &[], 0);
    events.push("response.created", json!({ "response": begun }));
    events.push("response.in_progress", json!({ "response": begun }));
    match call.tool_calls() {
        0 => stream_message(call, parts, &mut events),
        calls => (0..calls).for_each(|index| stream_function_call(call, index, &mut events)),
    }
    if !call.has(Fault::NoFinish) {
        let done = response(call, "completed", &output(call, parts), parts.len());
        events.push("response.completed", json!({ "response": done }));
    }
    events.0
}

fn stream_message(call: &Call, parts: &[String], events: &mut Events) {
    let text = parts.concat();
    let item_id = format!("msg_mock_{}", call.serial);
    let at = || json!({ "item_id": item_id, "output_index": 0, "content_index": 0 });
    let with = |key: &str, value: Value| {
        let mut data = at();
        data[key] = value;
        data
    };
    let item = |item: Value| json!({ "output_index": 0, "item": item });

    events.push(
        "response.output_item.added",
        item(message(call, "in_progress", &[])),
    );
    events.push("response.content_part.added", with("part", text_part("")));
    for part in parts {
        events.push("response.output_text.delta", with("delta", json!(part)));
    }
    events.push("response.output_text.done", with("text", json!(text)));
    events.push("response.content_part.done", with("part", text_part(&text)));
    events.push(
        "response.output_item.done",
        item(message(call, "completed", &[text_part(&text)])),
    );
}

fn stream_function_call(call: &Call, index: usize, events: &mut Events) {
    let item_id = format!("fc_mock_{}_{index}", call.serial);
    let item = |status, arguments| json!({ "output_index": index, "item": function_call(call, index, status, arguments) });
    events.push("response.output_item.added", item("in_progress", ""));
    for piece in ARGUMENTS {
        let data = json!({ "item_id": item_id, "output_index": index, "delta": piece });
        events.push("response.function_call_arguments.delta", data);
    }
    let arguments = ARGUMENTS.concat();
    let data = json!({ "item_id": item_id, "output_index": index, "arguments": arguments });
    events.push("response.function_call_arguments.done", data);
    events.push("response.output_item.done", item("completed", &arguments));
}
