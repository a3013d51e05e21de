//! Documents of chat and text completions, told as chunks.

use std::collections::HashSet;

use millgate_plugin::Endpoint;

use super::{
    AssembleError, Event,
    raw::{self, Object, Raw, Writer, is_empty},
};
use crate::http::{json, sse};

/// Members that every chunk repeats. Whatever else a document has comes with the first.
const REPEATED: [&str; 5] = [
    "id",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
];

/// Members of a document that its chunks have otherwise.
const OWN: [&str; 3] = ["object", "choices", "usage"];

pub(super) fn events(endpoint: Endpoint, document: &[u8]) -> Result<Vec<Event>, AssembleError> {
    const NO_DOCUMENT: &str = "it is not a JSON object";
    json::scan(document).map_err(|_| AssembleError::Malformed(NO_DOCUMENT))?;
    let document = raw::in_one_line(document);
    let document = Object::read(&document, NO_DOCUMENT)?;
    if document.is_error() {
        return Err(AssembleError::Failed);
    }
    let choices = document.get("choices").unwrap_or_default();
    let choices = raw::elements(choices, "choices are not an array")?;
    if choices.is_empty() {
        return Err(AssembleError::Malformed("it has no choices"));
    }
    let (repeated, first) = document
        .iter()
        .filter(|(name, _)| !OWN.contains(name))
        .partition(|(name, _)| REPEATED.contains(name));
    let mut stream = Stream {
        endpoint,
        repeated,
        first,
        events: Vec::new(),
    };
    let mut indexes = HashSet::with_capacity(choices.len());
    for (at, choice) in choices.into_iter().enumerate() {
        let choice = Object::read(choice, "a choice is not an object")?;
        let index = choice.get("index").and_then(json::as_u64);
        let index = index.unwrap_or(at as u64);
        if !indexes.insert(index) {
            return Err(AssembleError::Malformed("two choices have one index"));
        }
        stream.choice(index, &choice)?;
    }
    if let Some(usage) = document.filled("usage") {
        stream.push(b"[]", Some(usage));
    }
    stream.events.push(Event {
        bytes: sse::DONE.into(),
        is_usage: false,
    });
    Ok(stream.events)
}

struct Stream<'a> {
    endpoint: Endpoint,
    /// Members of the document for every chunk.
    repeated: Vec<(&'a str, Raw<'a>)>,
    /// Its members for the first chunk.
    first: Vec<(&'a str, Raw<'a>)>,
    events: Vec<Event>,
}

impl Stream<'_> {
    fn choice(&mut self, index: u64, choice: &Object<'_>) -> Result<(), AssembleError> {
        let logprobs = choice.filled("logprobs");
        let (nothing, is_logprobs_told) = if self.endpoint == Endpoint::Chat {
            let message = choice.get("message").unwrap_or_default();
            let message = Object::read(message, "a message is not an object")?;
            (
                ("delta", &b"{}"[..]),
                self.message(index, &message, logprobs)?,
            )
        } else {
            let text = choice.filled("text");
            if let Some(text) = text {
                self.delta(index, ("text", text), logprobs);
            }
            (("text", &b"\"\""[..]), text.is_some())
        };
        let mut last = begin(index, nothing);
        let finish = choice.get("finish_reason").unwrap_or(b"null");
        last.raw("finish_reason", finish);
        for (name, value) in choice.iter() {
            let is_told = match name {
                "index" | "message" | "delta" | "finish_reason" => true,
                "text" => self.endpoint == Endpoint::Completions,
                "logprobs" => is_logprobs_told && logprobs.is_some(),
                _ => false,
            };
            if !is_told {
                last.raw(name, value);
            }
        }
        self.chunk(last);
        Ok(())
    }

    /// Tells a message, reasoning first and tool calls last; whether its `logprobs` are told with it.
    fn message(
        &mut self,
        index: u64,
        message: &Object<'_>,
        logprobs: Option<Raw<'_>>,
    ) -> Result<bool, AssembleError> {
        self.delta(index, ("delta", &opening(message)), None);
        let mut told: Vec<(&str, Raw<'_>)> = message
            .iter()
            .filter(|(name, value)| *name != "role" && !is_empty(value))
            .collect();
        told.sort_by_key(|(name, _)| match *name {
            name if name.starts_with("reasoning") => 0,
            "tool_calls" | "function_call" => 2,
            _ => 1,
        });
        for (name, value) in told {
            match name {
                "tool_calls" => self.tool_calls(index, value)?,
                "content" => self.delta(index, ("delta", &single(name, value)), logprobs),
                _ => self.delta(index, ("delta", &single(name, value)), None),
            }
        }
        Ok(message.filled("content").is_some())
    }

    fn tool_calls(&mut self, index: u64, calls: Raw<'_>) -> Result<(), AssembleError> {
        let calls = raw::elements(calls, "tool_calls are not an array")?;
        for (at, call) in calls.into_iter().enumerate() {
            let call = Object::read(call, "a tool call is not an object")?;
            let mut numbered = Writer::default();
            numbered.number("index", at);
            for (name, value) in call.iter().filter(|(name, _)| *name != "index") {
                numbered.raw(name, value);
            }
            let calls = [b"[", &numbered.finish()[..], b"]"].concat();
            self.delta(index, ("delta", &single("tool_calls", &calls)), None);
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: (&str, Raw<'_>), logprobs: Option<Raw<'_>>) {
        let mut choice = begin(index, delta);
        if let Some(logprobs) = logprobs {
            choice.raw("logprobs", logprobs);
        }
        choice.raw("finish_reason", b"null");
        self.chunk(choice);
    }

    fn chunk(&mut self, choice: Writer) {
        let choices = [b"[", &choice.finish()[..], b"]"].concat();
        self.push(&choices, None);
    }

    fn push(&mut self, choices: Raw<'_>, usage: Option<Raw<'_>>) {
        let mut chunk = Writer::default();
        chunk.text(
            "object",
            match self.endpoint {
                Endpoint::Chat => "chat.completion.chunk",
                _ => "text_completion",
            },
        );
        for (name, value) in self.repeated.iter().copied().chain(self.first.drain(..)) {
            chunk.raw(name, value);
        }
        chunk.raw("choices", choices);
        if let Some(usage) = usage {
            chunk.raw("usage", usage);
        }
        self.events.push(Event {
            bytes: sse::event(None, &chunk.finish()),
            is_usage: usage.is_some(),
        });
    }
}

/// The delta that begins a message: its role, and what it has that is empty.
fn opening(message: &Object<'_>) -> Vec<u8> {
    let mut delta = Writer::default();
    delta.raw("role", message.filled("role").unwrap_or(b"\"assistant\""));
    for (name, value) in message.iter().filter(|(name, _)| *name != "role") {
        match value {
            _ if is_empty(value) => delta.raw(name, value),
            [b'"', ..] if name == "content" => delta.raw(name, b"\"\""),
            _ => {}
        }
    }
    delta.finish()
}

fn begin(index: u64, (name, value): (&str, Raw<'_>)) -> Writer {
    let mut choice = Writer::default();
    choice.raw("index", index.to_string().as_bytes());
    choice.raw(name, value);
    choice
}

/// An object with one member.
fn single(name: &str, value: Raw<'_>) -> Vec<u8> {
    let mut object = Writer::default();
    object.raw(name, value);
    object.finish()
}
