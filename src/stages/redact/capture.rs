//! The text of requests and replies: what people and models said, without the JSON around it.

use millgate_plugin::{Endpoint, Exchange, Field};
use serde_json::Value;
use smallvec::SmallVec;

use crate::http::sse;

/// What the request says: one line for each message, with its role. At most `limit` bytes.
pub(super) fn request_text(endpoint: Endpoint, exchange: &dyn Exchange, limit: usize) -> String {
    let members: &[&str] = match endpoint {
        Endpoint::Chat => &["messages"],
        Endpoint::Completions => &["prompt", "suffix"],
        Endpoint::Responses => &["instructions", "input"],
        Endpoint::Embeddings => &["input"],
        _ => &[],
    };
    let mut text = Limited::new(limit);
    for name in members {
        let member = exchange.get(Field::RequestMember, name);
        if let Some(value) = member.and_then(|raw| serde_json::from_slice::<Value>(raw).ok()) {
            spoken(&value, &mut text);
        }
    }
    text.text
}

/// What a value says: a text, messages, or parts of one.
fn spoken(value: &Value, text: &mut Limited) {
    match value {
        Value::String(said) => text.line(said),
        Value::Array(parts) => parts.iter().for_each(|part| spoken(part, text)),
        Value::Object(members) => {
            if let Some(role) = members.get("role").and_then(Value::as_str) {
                text.start(role);
            }
            for name in ["content", "text", "output", "refusal", "arguments"] {
                members
                    .get(name)
                    .into_iter()
                    .for_each(|said| spoken(said, text));
            }
            let calls = members.get("tool_calls").and_then(Value::as_array);
            for call in calls.into_iter().flatten() {
                spoken(&call["function"], text);
            }
        }
        _ => {}
    }
}

/// A text that grows to a limit and no further.
struct Limited {
    text: String,
    limit: usize,
}

impl Limited {
    const fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
        }
    }

    fn push(&mut self, more: &str) {
        let room = self.limit.saturating_sub(self.text.len());
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
    }

    fn line(&mut self, said: &str) {
        if !self.text.is_empty() && !self.text.ends_with(": ") {
            self.push("\n");
        }
        self.push(said);
    }

    fn start(&mut self, role: &str) {
        self.line(role);
        self.push(": ");
    }
}

/// What a reply says, put together from its pieces: a value that two deltas share is whole again here.
pub(super) struct ReplyText {
    limit: usize,
    /// The text of each choice, reasoning and tool calls apart from what is said.
    channels: SmallVec<[(Channel, Limited); 1]>,
}

/// Which text of a reply a piece belongs to: the index of the choice or output, and the member that holds it.
type Channel = (u64, &'static str);

impl ReplyText {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            channels: SmallVec::new(),
        }
    }

    /// A piece of the reply, as a stage is given it.
    pub(super) fn see(&mut self, endpoint: Endpoint, chunk: &[u8]) {
        if endpoint == Endpoint::Embeddings || endpoint == Endpoint::Models {
            return;
        }
        let start = chunk.trim_ascii_start();
        if start.starts_with(b"{") {
            match serde_json::from_slice(start) {
                Ok(document) => self.document(&document),
                Err(_) => self.raw(chunk),
            }
            return;
        }
        let fields = sse::fields(chunk);
        if fields.is_comment_only || fields.data.is_empty() {
            // Not an event: a further piece of a reply too large to come as a whole.
            if self.channels.iter().any(|((_, name), _)| *name == RAW) {
                self.raw(chunk);
            }
            return;
        }
        if let Ok(event) = serde_json::from_slice(&fields.data) {
            self.event(&event);
        }
    }

    /// All that was said, choice by choice.
    pub(super) fn text(&self) -> String {
        let texts: Vec<_> = self
            .channels
            .iter()
            .map(|(_, text)| text.text.as_str())
            .collect();
        texts.join("\n")
    }

    fn push(&mut self, channel: Channel, said: &str) {
        // All choices share the limit.
        let used: usize = self.channels.iter().map(|(_, text)| text.text.len()).sum();
        if said.is_empty() || used >= self.limit || self.channels.len() > MOST_CHANNELS {
            return;
        }
        let known = self
            .channels
            .iter()
            .position(|(known, _)| *known == channel);
        let index = known.unwrap_or_else(|| {
            self.channels.push((channel, Limited::new(0)));
            self.channels.len() - 1
        });
        let text = &mut self.channels[index].1;
        text.limit = text.text.len() + (self.limit - used);
        text.push(said);
    }

    /// A reply in one piece.
    fn document(&mut self, document: &Value) {
        for choice in elements(document, "choices") {
            let index = choice["index"].as_u64().unwrap_or(0);
            self.message(index, &choice["message"]);
            self.member(index, choice, "text");
        }
        for (index, item) in elements(document, "output").enumerate() {
            for part in elements(item, "content").chain(elements(item, "summary")) {
                self.member(index as u64, part, "text");
                self.member(index as u64, part, "refusal");
            }
            self.member(index as u64, item, "arguments");
        }
        self.error(document);
    }

    /// One event of a stream.
    fn event(&mut self, event: &Value) {
        for choice in elements(event, "choices") {
            let index = choice["index"].as_u64().unwrap_or(0);
            self.message(index, &choice["delta"]);
            self.member(index, choice, "text");
        }
        let kind = event["type"].as_str().unwrap_or_default();
        if let Some((kind, "delta")) = kind.rsplit_once('.') {
            let index = event["output_index"].as_u64().unwrap_or(0);
            let channel = if kind.contains("arguments") {
                "arguments"
            } else {
                "text"
            };
            if let Some(said) = event["delta"].as_str() {
                self.push((index, channel), said);
            }
        }
        self.error(event);
    }

    /// A message, or what a delta adds to it.
    fn message(&mut self, index: u64, message: &Value) {
        for name in ["reasoning_content", "reasoning", "content", "refusal"] {
            self.member(index, message, name);
        }
        for call in elements(message, "tool_calls") {
            let which = call["index"].as_u64().unwrap_or(0);
            let said = call["function"]["arguments"].as_str().unwrap_or_default();
            self.push((index << 32 | which, "arguments"), said);
        }
    }

    fn member(&mut self, index: u64, of: &Value, name: &'static str) {
        if let Some(said) = of[name].as_str() {
            self.push((index, name), said);
        }
    }

    fn error(&mut self, of: &Value) {
        self.member(0, &of["error"], "message");
    }

    fn raw(&mut self, chunk: &[u8]) {
        self.push((0, RAW), &String::from_utf8_lossy(chunk));
    }
}

/// The channel of a reply that comes in pieces that are no events.
const RAW: &str = "raw";

/// No reply has more texts.
const MOST_CHANNELS: usize = 256;

fn elements<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}
