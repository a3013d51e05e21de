//! What the host learns from the answers that pass by: where a stream has its first content, whether it ended as it
//! should, what it used and whether it failed.
//!
//! A plain delta is not parsed: keys are searched for in its bytes. Where that finds something that is rare
//! and matters, usage or an error, the event is scanned as JSON to be sure of it.

mod error;
mod keys;
#[cfg(test)]
mod tests;
mod usage;
mod witness;

pub use error::{ReplyError, reply_error};
pub use usage::{Usage, reply_usage};
pub use witness::{Witness, Witnessed};

use millgate_plugin::Endpoint;

use crate::http::{
    json,
    sse::{self, Fields},
};
use keys::{KEYS, is_something};

/// What a whole JSON reply of a success status says of itself, in one scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The tokens used.
    pub usage: Option<Usage>,
    /// An error in disguise.
    pub error: Option<Box<ReplyError>>,
}

impl Document {
    /// Looks at a whole reply; the error says why it is no JSON object.
    pub fn look(endpoint: Endpoint, body: &[u8]) -> Result<Self, json::JsonError> {
        let members = json::scan(body)?;
        Ok(Self {
            usage: members
                .get(body, "usage")
                .and_then(|raw| Usage::from_json(endpoint, raw)),
            error: error::of_document(&members, body).map(Box::new),
        })
    }
}

/// What one event of a stream means to the host. An event with nothing set (a comment, a ping, a role-only delta) is
/// of no consequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations")]
pub struct Mark {
    /// The answer has begun: text, refusal, reasoning, tool call or audio that is not empty, or a finish. Never set
    /// together with `error`.
    pub content: bool,
    /// The stream has come to its proper end; what may still follow is usage and `[DONE]`.
    ///
    /// Chat and completions: every choice has its finish reason, or `[DONE]`. Responses: `response.completed`, `.incomplete` or `.failed`.
    pub end: bool,
    /// `[DONE]`, behind which clients stop reading.
    pub done: bool,
    /// The tokens used so far.
    pub usage: Option<Usage>,
    /// The event is there for its usage only (`"choices":[]`): the one that a client gets who asked for
    /// `stream_options.include_usage`, and that nobody else expects.
    pub usage_only: bool,
    /// The upstream reports that it failed.
    pub error: Option<Box<ReplyError>>,
    /// The data is neither `[DONE]` nor an object: something that is not this API answers.
    pub garbage: bool,
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct StreamScanner {
    endpoint: Endpoint,
    /// Choices that have no finish reason yet.
    unfinished: u64,
    tokens_seen: u64,
}

impl StreamScanner {
    /// A scanner for the stream of a call to `endpoint`.
    ///
    /// Of endpoints that have no stream of their own kind any data counts as content and `[DONE]` as the end.
    #[must_use]
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            unfinished: 1,
            tokens_seen: 0,
        }
    }

    /// The same for an answer of several choices.
    #[must_use]
    pub const fn choices_of(mut self, choices: u64) -> Self {
        self.unfinished = if choices == 0 { 1 } else { choices };
        self
    }

    /// About how many tokens of the answer have come so far, where no usage tells. Upstreams send about one with each
    /// event; of those that send more at once the length of the text is counted.
    #[must_use]
    pub const fn tokens_seen(&self) -> u64 {
        self.tokens_seen
    }

    /// Looks at one whole event, as [`sse::Splitter`] gives it.
    pub fn look(&mut self, event: &[u8]) -> Mark {
        let Fields { name, data, .. } = sse::fields(event);
        let data = data.trim_ascii();
        let is_responses = self.endpoint == Endpoint::Responses;
        if data.starts_with(b"[DONE]") {
            return Mark {
                done: true,
                end: !is_responses,
                ..Mark::default()
            };
        }
        let is_object = data.starts_with(b"{") && data.ends_with(b"}");
        let kind = if is_responses {
            keys::response_kind(data).unwrap_or(name)
        } else {
            b""
        };
        let (is_named, has_failed) = (name == b"error", kind == b"response.failed");
        if (is_named || has_failed || KEYS.error.is_suspected(data))
            && let Some(error) = error::of_event(is_named, data)
        {
            return Mark {
                error: Some(Box::new(error)),
                end: has_failed,
                ..Mark::default()
            };
        }
        if data.is_empty() {
            return Mark::default();
        }
        match self.endpoint {
            Endpoint::Chat | Endpoint::Completions if is_object => self.choices(data),
            Endpoint::Responses if is_object => self.response(kind, data),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses => Mark {
                garbage: true,
                ..Mark::default()
            },
            _ => {
                self.tokens_seen += 1;
                Mark {
                    content: true,
                    ..Mark::default()
                }
            }
        }
    }

    /// A chunk of chat or completions.
    fn choices(&mut self, data: &[u8]) -> Mark {
        let tokens = KEYS.delta.iter().find_map(|key| key.tokens(data));
        let has_delta = tokens.is_some();
        let has_finish = KEYS.finish_reason.has_something(data);
        self.tokens_seen += tokens.unwrap_or(0);
        if has_finish {
            let finished = if self.unfinished > 1 {
                finished_choices(data)
            } else {
                1
            };
            self.unfinished = self.unfinished.saturating_sub(finished);
        }
        let mut mark = Mark {
            content: has_delta || has_finish,
            end: has_finish && self.unfinished == 0,
            ..Mark::default()
        };
        if KEYS.usage.has_something(data) {
            match json::scan(data) {
                Ok(members) => {
                    let is_empty = |raw: &[u8]| raw.starts_with(b"[") && !is_something(raw);
                    let usage = members.get(data, "usage");
                    mark.usage = usage.and_then(|raw| Usage::from_json(self.endpoint, raw));
                    // Even where it counts nothing that could be believed.
                    mark.usage_only = members.get(data, "choices").is_some_and(is_empty)
                        && usage.is_some_and(|raw| raw.starts_with(b"{"));
                }
                Err(_) => mark.garbage = true,
            }
        }
        mark
    }

    /// An event of the Responses API that is no error.
    fn response(&mut self, kind: &[u8], data: &[u8]) -> Mark {
        let ends = matches!(kind, b"response.completed" | b"response.incomplete");
        let is_delta = kind.ends_with(b".delta");
        let tokens = is_delta.then(|| KEYS.response_delta.tokens(data)).flatten();
        let has_delta = tokens.is_some();
        // What is done has had deltas, or never will: either way it is part of the answer.
        let is_content =
            has_delta || kind.ends_with(b".done") || kind.ends_with(b".partial_image") || ends;
        self.tokens_seen += tokens.unwrap_or(0);
        Mark {
            content: is_content,
            end: ends,
            usage: if ends { usage::of_response(data) } else { None },
            ..Mark::default()
        }
    }
}

/// How many choices of a chunk have their finish reason. Only asked where there are several.
fn finished_choices(data: &[u8]) -> u64 {
    let chunk: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
    choices
        .iter()
        .filter(|choice| choice["finish_reason"].is_string())
        .count() as u64
}
