//! Anthropic's answers as they come: the message, its content blocks, why it stopped and what it used.

use std::borrow::Cow;

use millgate_plugin::Refusal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error;

/// Reads something that has a type. Of types that are not among the `known` nothing is expected: there may be new ones
/// one day, and what their members hold says nothing to a chat completion.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    json: &'a [u8],
    known: &[&str],
) -> Result<Option<T>, Refusal> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    if let Ok(it) = serde_json::from_slice(json) {
        return Ok(Some(it));
    }
    match serde_json::from_slice::<Typed<'_>>(json) {
        Ok(typed) if !known.contains(&&*typed.kind) => Ok(None),
        _ => Err(error::garbled()),
    }
}

/// A whole message, or the beginning of a streamed one.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) model: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) usage: Usage,
}

impl<'a> Message<'a> {
    /// The content blocks that mean something here.
    pub(crate) fn blocks(&self) -> Result<Vec<Block<'a>>, Refusal> {
        let blocks = self.content.iter().map(|block| Block::read(block));
        blocks.filter_map(Result::transpose).collect()
    }
}

/// A content block. Its type decides which members it has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Block<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) thinking: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    /// The arguments, kept as they are written: numbers lose nothing.
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
}

impl<'a> Block<'a> {
    /// Reads one; `None` where it means nothing here.
    pub(crate) fn read(block: &'a RawValue) -> Result<Option<Self>, Refusal> {
        read(block.get().as_bytes(), &["text", "thinking", "tool_use"])
    }

    /// The arguments of a tool's call as text.
    pub(crate) fn arguments(&self) -> &'a str {
        match self.input.map(RawValue::get) {
            None | Some("null") => "{}",
            Some(input) => input,
        }
    }
}

/// Tokens, as Anthropic counts them: those of the prompt stand apart by how the cache had part in them. In a stream they
/// come twice, and the later count is the whole one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Usage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Usage {
    /// Takes over what a later count tells.
    pub(crate) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    /// Tokens of the whole prompt.
    pub(crate) fn prompt(&self) -> u64 {
        [
            self.input_tokens,
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
        ]
        .into_iter()
        .flatten()
        .fold(0, u64::saturating_add)
    }

    /// Of the prompt, what was in the cache.
    pub(crate) fn cached(&self) -> u64 {
        self.cache_read_input_tokens.unwrap_or(0)
    }

    /// Tokens of the answer.
    pub(crate) fn completion(&self) -> u64 {
        self.output_tokens.unwrap_or(0)
    }

    /// Of the answer, what was thought.
    pub(crate) fn reasoning(&self) -> u64 {
        self.output_tokens_details
            .and_then(|details| details.thinking_tokens)
            .unwrap_or(0)
    }
}

/// `finish_reason` for a `stop_reason`. One that is not known here is an end too.
pub(crate) fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        // `end_turn`, `stop_sequence`
        _ => "stop",
    }
}
