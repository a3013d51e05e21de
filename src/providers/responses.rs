//! The Responses API without its memory: requests are read as chats, answers are written as responses.
//!
//! Nothing is stored, so whatever refers to something stored is refused, and `store` is answered `false`.
//! Shapes as in OpenAI's API reference (`response`, and the streaming events of `/v1/responses`).

mod request;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::{Finish, Identity, Piece, Shape, Usage, write_json};

pub use request::to_chat;

/// The shape of one response. `request` is the body that asked for it: a response repeats what it was asked.
#[must_use]
pub fn shape(identity: Identity, stream: bool, request: &Map<String, Value>) -> Box<dyn Shape> {
    Box::new(Response {
        asked: asked(request),
        identity,
        stream,
        model: String::new(),
        sequence: 0,
        items: Vec::new(),
        open: None,
    })
}

struct Response {
    identity: Identity,
    stream: bool,
    asked: Map<String, Value>,
    model: String,
    /// Number of the next event.
    sequence: u64,
    /// Items of the output that are complete.
    items: Vec<Value>,
    open: Option<Open>,
}

/// The item that is being written; a tool call comes whole and is never open.
struct Open {
    kind: Prose,
    id: String,
    text: String,
}

/// The two kinds of items that grow by text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prose {
    Message,
    Reasoning,
}

impl Prose {
    const fn id_prefix(self) -> &'static str {
        match self {
            Self::Message => "msg_",
            Self::Reasoning => "rs_",
        }
    }

    const fn delta_event(self) -> &'static str {
        match self {
            Self::Message => "response.output_text.delta",
            Self::Reasoning => "response.reasoning_text.delta",
        }
    }

    const fn done_event(self) -> &'static str {
        match self {
            Self::Message => "response.output_text.done",
            Self::Reasoning => "response.reasoning_text.done",
        }
    }

    fn part(self, text: &str) -> Value {
        match self {
            Self::Message => {
                json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
            }
            Self::Reasoning => json!({"type": "reasoning_text", "text": text}),
        }
    }

    fn item(self, id: &str, status: &str, content: &[Value]) -> Value {
        match self {
            Self::Message => json!({
                "id": id, "type": "message", "status": status, "role": "assistant", "content": content,
            }),
            Self::Reasoning => json!({
                "id": id, "type": "reasoning", "status": status, "summary": [], "content": content,
            }),
        }
    }
}

/// One event of the stream.
#[derive(Serialize)]
struct Event<'a, F> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    fields: F,
}

/// The fields of every event that adds to or completes a text.
#[derive(Serialize)]
struct TextFields<'a> {
    item_id: &'a str,
    output_index: usize,
    content_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

impl Shape for Response {
    fn begin(&mut self, model: &str, out: &mut Vec<u8>) {
        model.clone_into(&mut self.model);
        for kind in ["response.created", "response.in_progress"] {
            let response = self.object("in_progress", None);
            self.event(kind, json!({ "response": response }), out);
        }
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Text(text, _) => self.prose(Prose::Message, text, out),
            Piece::Reasoning(text) => self.prose(Prose::Reasoning, text, out),
            Piece::ToolCall {
                id,
                name,
                arguments,
            } => self.tool_call(id, name, arguments, out),
        }
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        let status = match finish {
            Finish::Length => "incomplete",
            Finish::Stop | Finish::ToolCalls => "completed",
        };
        self.close(status, out);
        let response = self.object(status, Some(usage));
        if self.stream {
            let kind = format!("response.{status}");
            self.event(&kind, json!({ "response": response }), out);
        } else {
            write_json(out, &response);
        }
    }
}

impl Response {
    /// Writes an event, if this is a stream.
    fn event(&mut self, kind: &str, fields: impl Serialize, out: &mut Vec<u8>) {
        if !self.stream {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let event = Event {
            kind,
            sequence_number: self.sequence,
            fields,
        };
        write_json(out, &event);
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    /// Adds text to the open item, and opens one where none of its kind is.
    fn prose(&mut self, kind: Prose, text: &str, out: &mut Vec<u8>) {
        let mut open = match self.open.take_if(|open| open.kind == kind) {
            Some(open) => open,
            None => self.open(kind, out),
        };
        open.text.push_str(text);
        let fields = open.fields(self.items.len(), Some(text), None);
        self.event(kind.delta_event(), fields, out);
        self.open = Some(open);
    }

    fn open(&mut self, kind: Prose, out: &mut Vec<u8>) -> Open {
        self.close("completed", out);
        let index = self.items.len();
        let id = self.identity.part(kind.id_prefix(), index);
        let item = kind.item(&id, "in_progress", &[]);
        self.event(
            "response.output_item.added",
            json!({"output_index": index, "item": item}),
            out,
        );
        self.event(
            "response.content_part.added",
            json!({"item_id": id, "output_index": index, "content_index": 0, "part": kind.part("")}),
            out,
        );
        Open {
            kind,
            id,
            text: String::new(),
        }
    }

    /// Completes the open item, if there is one.
    fn close(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        let index = self.items.len();
        let part = open.kind.part(&open.text);
        let item = open
            .kind
            .item(&open.id, status, std::slice::from_ref(&part));
        let done = open.fields(index, None, Some(&open.text));
        self.event(open.kind.done_event(), done, out);
        self.event(
            "response.content_part.done",
            json!({"item_id": open.id, "output_index": index, "content_index": 0, "part": part}),
            out,
        );
        self.finish_item(item, out);
    }

    fn tool_call(&mut self, call_id: &str, name: &str, arguments: &str, out: &mut Vec<u8>) {
        self.close("completed", out);
        let index = self.items.len();
        let id = self.identity.part("fc_", index);
        let item = |status: &str, arguments: &str| {
            json!({
                "id": id, "type": "function_call", "status": status,
                "call_id": call_id, "name": name, "arguments": arguments,
            })
        };
        self.event(
            "response.output_item.added",
            json!({"output_index": index, "item": item("in_progress", "")}),
            out,
        );
        self.event(
            "response.function_call_arguments.delta",
            json!({"item_id": id, "output_index": index, "delta": arguments}),
            out,
        );
        self.event(
            "response.function_call_arguments.done",
            json!({"item_id": id, "output_index": index, "name": name, "arguments": arguments}),
            out,
        );
        self.finish_item(item("completed", arguments), out);
    }

    fn finish_item(&mut self, item: Value, out: &mut Vec<u8>) {
        self.event(
            "response.output_item.done",
            json!({"output_index": self.items.len(), "item": item}),
            out,
        );
        self.items.push(item);
    }

    /// The response as it stands.
    fn object(&self, status: &str, usage: Option<Usage>) -> Value {
        let mut response = Map::new();
        let mut put = |name: &str, value: Value| response.insert(name.to_owned(), value);
        put("id", self.identity.whole("resp_").into());
        put("object", "response".into());
        put("created_at", self.identity.created.into());
        put("status", status.into());
        put("background", false.into());
        put("error", Value::Null);
        put(
            "incomplete_details",
            match status {
                "incomplete" => json!({"reason": "max_output_tokens"}),
                _ => Value::Null,
            },
        );
        put("model", self.model.as_str().into());
        put("output", self.items.as_slice().into());
        put("previous_response_id", Value::Null);
        put("store", false.into());
        put("usage", usage.map_or(Value::Null, tokens));
        response.extend(self.asked.clone());
        Value::Object(response)
    }
}

impl Open {
    fn fields<'a>(
        &'a self,
        output_index: usize,
        delta: Option<&'a str>,
        text: Option<&'a str>,
    ) -> TextFields<'a> {
        TextFields {
            item_id: &self.id,
            output_index,
            content_index: 0,
            delta,
            text,
            logprobs: (self.kind == Prose::Message).then_some([]),
        }
    }
}

/// Usage in the words of responses.
fn tokens(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input.saturating_add(usage.output),
    })
}

/// The members of a response that repeat its request, with OpenAI's defaults.
fn asked(request: &Map<String, Value>) -> Map<String, Value> {
    let defaults = [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("temperature", Value::Null),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", Value::Null),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ];
    defaults
        .into_iter()
        .map(|(name, default)| {
            let given = request.get(name).filter(|value| !value.is_null());
            (name.to_owned(), given.cloned().unwrap_or(default))
        })
        .collect()
}
