//! Ollama's native API (`docs/api.md` of Ollama).

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::Reply;
use super::script::Fault;
use super::shape::Call;

const VERSION: &str = "0.13.0";
const CREATED_AT: &str = "2023-11-14T22:13:20.123456789Z";

pub(super) fn answer(call: &Call) -> Reply {
    match (call.request.method.as_str(), call.request.path.as_str()) {
        ("GET" | "HEAD", "/") => {
            Reply::whole(200, "text/plain; charset=utf-8", "Ollama is running")
        }
        ("GET" | "HEAD", "/api/version") => Reply::json(200, &json!({ "version": VERSION })),
        ("GET" | "HEAD", "/api/tags") => tags(call),
        ("POST", "/api/show") => Reply::json(
            200,
            &json!({ "details": details(), "capabilities": ["completion", "tools"] }),
        ),
        ("POST", "/api/chat") => generated(
            call,
            chat_message,
            json!({ "role": "assistant", "content": "" }),
        ),
        ("POST", "/api/generate") => generated(call, |text| json!(text), json!("")),
        ("POST", "/api/embed") => embed(call),
        ("POST", "/api/embeddings") => Reply::json(200, &json!({ "embedding": call.embedding(0) })),
        _ => Reply::whole(404, "text/plain", "404 page not found"),
    }
}

fn chat_message(content: &str) -> Value {
    json!({ "role": "assistant", "content": content })
}

/// A chat or a generated text: `wrap` makes of a piece of text what a line holds, `empty` is what the last
/// line of a stream holds.
fn generated(call: &Call, wrap: fn(&str) -> Value, empty: Value) -> Reply {
    let parts = call.script.parts();
    let chat = empty.is_object();
    let member = if chat { "message" } else { "response" };
    let line = |content: Value, done: bool| {
        let mut line = json!({ "model": call.model(), "created_at": CREATED_AT });
        line[member] = content;
        line["done"] = json!(done);
        line
    };
    let tool_calls = if chat { tool_calls(call) } else { Value::Null };
    if call.ask.stream == Some(false) {
        let mut content = wrap(&parts.concat());
        if tool_calls.is_array() {
            content = wrap("");
            content["tool_calls"] = tool_calls;
        }
        if let (true, Some(reasoning)) = (chat, &call.script.reasoning) {
            content["thinking"] = json!(reasoning);
        }
        let mut whole = line(content, !call.has(Fault::NoFinish));
        finish(call, &mut whole, parts.len());
        return Reply::whole(200, "application/json; charset=utf-8", whole.to_string());
    }
    let mut lines = Vec::new();
    if let (true, Some(reasoning)) = (chat, &call.script.reasoning) {
        let mut content = empty.clone();
        content["thinking"] = json!(reasoning);
        lines.push(line(content, false));
    }
    if tool_calls.is_array() {
        let mut content = empty.clone();
        content["tool_calls"] = tool_calls;
        lines.push(line(content, false));
    } else {
        lines.extend(parts.iter().map(|part| line(wrap(part), false)));
    }
    if !call.has(Fault::NoFinish) && !call.has(Fault::NoDone) {
        let mut last = line(empty, true);
        finish(call, &mut last, parts.len());
        lines.push(last);
    }
    Reply::lines(
        lines
            .into_iter()
            .map(|line| Bytes::from(format!("{line}\n")))
            .collect(),
    )
}

/// Arguments are an object here, not text.
fn tool_calls(call: &Call) -> Value {
    match call.tool_calls() {
        0 => Value::Null,
        calls => (0..calls)
            .map(|index| {
                json!({ "function": { "index": index, "name": call.tool_name(), "arguments": { "place": "서울" } } })
            })
            .collect(),
    }
}

/// What a last line tells; durations are in nanoseconds.
fn finish(call: &Call, line: &mut Value, events: usize) {
    if line["done"] != json!(true) {
        return;
    }
    line["done_reason"] = json!("stop");
    line["total_duration"] = json!(5_000_000_000_u64);
    line["load_duration"] = json!(1_000_000_000_u64);
    line["prompt_eval_count"] = json!(call.prompt_tokens());
    line["prompt_eval_duration"] = json!(1_000_000_000_u64);
    line["eval_count"] = json!(call.completion_tokens(events));
    line["eval_duration"] = json!(3_000_000_000_u64);
}

fn embed(call: &Call) -> Reply {
    let embeddings: Vec<Vec<f32>> = (0..call.inputs())
        .map(|index| call.embedding(index))
        .collect();
    Reply::json(
        200,
        &json!({
            "model": call.model(),
            "embeddings": embeddings,
            "total_duration": 14_143_917,
            "load_duration": 1_019_500,
            "prompt_eval_count": call.prompt_tokens(),
        }),
    )
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": "mock",
        "families": ["mock"],
        "parameter_size": "1B",
        "quantization_level": "Q4_0",
    })
}

fn tags(call: &Call) -> Reply {
    let models: Vec<Value> = call
        .listed()
        .into_iter()
        .map(|name| {
            json!({
                "name": name,
                "model": name,
                "modified_at": CREATED_AT,
                "size": 1_000_000_000,
                "digest": "0".repeat(64),
                "details": details(),
            })
        })
        .collect();
    Reply::json(200, &json!({ "models": models }))
}
