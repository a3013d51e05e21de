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
        status: "in_progress",
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
    status: &'static str,
}

/// The item that is being written.
enum Open {
    Prose(OpenProse),
    Call(OpenCall),
}

struct OpenProse {
    kind: Prose,
    id: String,
    text: String,
}

struct OpenCall {
    id: String,
    call_id: String,
    name: String,
    arguments: String,
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
            let response = self.object(None);
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
            Piece::Arguments(more) => self.arguments(more, out),
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<u8>) {
        self.status = match finish {
            Finish::Length => "incomplete",
            Finish::Stop | Finish::ToolCalls => "completed",
        };
        self.close(self.status, out);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        let response = self.object(Some(usage));
        if self.stream {
            let kind = format!("response.{}", self.status);
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
        let mut open = match self.open.take() {
            Some(Open::Prose(open)) if open.kind == kind => open,
            other => {
                self.open = other;
                self.open_prose(kind, out)
            }
        };
        open.text.push_str(text);
        let fields = open.fields(self.items.len(), Some(text), None);
        self.event(kind.delta_event(), fields, out);
        self.open = Some(Open::Prose(open));
    }

    fn open_prose(&mut self, kind: Prose, out: &mut Vec<u8>) -> OpenProse {
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
        OpenProse {
            kind,
            id,
            text: String::new(),
        }
    }

    /// Completes the open item, if there is one. A call is complete whatever ends the response.
    fn close(&mut self, status: &str, out: &mut Vec<u8>) {
        match self.open.take() {
            None => {}
            Some(Open::Prose(open)) => self.close_prose(&open, status, out),
            Some(Open::Call(open)) => self.close_call(&open, out),
        }
    }

    fn close_prose(&mut self, open: &OpenProse, status: &str, out: &mut Vec<u8>) {
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
        let open = OpenCall {
            id: self.identity.part("fc_", index),
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        };
        self.event(
            "response.output_item.added",
            json!({"output_index": index, "item": open.item("in_progress")}),
            out,
        );
        self.open = Some(Open::Call(open));
        if !arguments.is_empty() {
            self.arguments(arguments, out);
        }
    }

    /// Adds to the arguments of the open call.
    fn arguments(&mut self, more: &str, out: &mut Vec<u8>) {
        let Some(Open::Call(open)) = &mut self.open else {
            return;
        };
        open.arguments.push_str(more);
        let fields = json!({"item_id": open.id, "output_index": self.items.len(), "delta": more});
        self.event("response.function_call_arguments.delta", fields, out);
    }

    fn close_call(&mut self, open: &OpenCall, out: &mut Vec<u8>) {
        self.event(
            "response.function_call_arguments.done",
            json!({
                "item_id": open.id, "output_index": self.items.len(),
                "name": open.name, "arguments": open.arguments,
            }),
            out,
        );
        self.finish_item(open.item("completed"), out);
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
    fn object(&self, usage: Option<Usage>) -> Value {
        let mut response = Map::new();
        let mut put = |name: &str, value: Value| response.insert(name.to_owned(), value);
        put("id", self.identity.whole("resp_").into());
        put("object", "response".into());
        put("created_at", self.identity.created.into());
        put("status", self.status.into());
        put("background", false.into());
        put("error", Value::Null);
        put(
            "incomplete_details",
            match self.status {
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

impl OpenCall {
    fn item(&self, status: &str) -> Value {
        json!({
            "id": self.id, "type": "function_call", "status": status,
            "call_id": self.call_id, "name": self.name, "arguments": self.arguments,
        })
    }
}

impl OpenProse {
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
