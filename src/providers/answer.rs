//! An answer of a model, piece by piece, before it has the shape of any API.
//!
//! A provider that does not speak OpenAI's language turns what it hears into [`Piece`]s; a [`Shape`] writes
//! them as a chat completion, a text completion or a response, streamed or whole:
//! [`chat`](super::chat), [`completion`](super::completion), [`responses`](super::responses).

use millgate_plugin::{Call, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One piece of an answer, in the order in which the model gives them.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Text meant for the reader, and the log probabilities of its tokens where they were asked for.
    Text(&'a str, Option<&'a [TokenLogprobs]>),
    /// What the model thinks before it answers.
    Reasoning(&'a str),
    /// A call of a tool.
    ToolCall {
        /// Id by which the client will refer to the call.
        id: &'a str,
        /// Name of the function.
        name: &'a str,
        /// Arguments: the text of a JSON object, or its beginning.
        arguments: &'a str,
    },
    /// More of the arguments of the tool call that came last; nothing else may have come between.
    Arguments(&'a str),
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model waits for the results of its tool calls.
    ToolCalls,
}

impl Finish {
    /// The value of `finish_reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// What an answer cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
}

/// The log probability of one token; `bytes` is its UTF-8, where the upstream tells it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TokenLogprob {
    /// Text of the token.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Bytes of the token: a token may be part of a character.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
}

/// The log probability of a token that was chosen, and of those that might have been.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TokenLogprobs {
    /// The token that was chosen.
    #[serde(flatten)]
    pub chosen: TokenLogprob,
    /// The likeliest tokens at its place.
    #[serde(default)]
    pub top_logprobs: Vec<TokenLogprob>,
}

/// The OpenAI shape in which one answer is written.
pub trait Shape: Send {
    /// The answer begins; `model` is the name that the upstream gives itself. Called once, before all else.
    fn begin(&mut self, model: &str, out: &mut Vec<u8>);

    /// The next piece. A stream writes it to `out` at once; a whole reply keeps it.
    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>);

    /// A choice is complete; pieces that follow belong to the next one. Of responses, which have no choices, only the
    /// first call means anything.
    fn finish(&mut self, finish: Finish, out: &mut Vec<u8>);

    /// The answer is complete. Called once, after all else; every choice is finished by then.
    fn end(&mut self, usage: Usage, out: &mut Vec<u8>);
}

/// Where the ids of an answer come from: the same exchange always gets the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    request_id: String,
    hash: u64,
    /// Seconds since the epoch, for `created`.
    pub created: u64,
    /// `system_fingerprint`: who made the answer up.
    pub fingerprint: &'static str,
}

impl Identity {
    /// The identity of the answer to `call`.
    #[must_use]
    pub fn of(call: &Call<'_>, fingerprint: &'static str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        Self {
            request_id: call.request_id.replace(|c| !plain(c), "-"),
            hash: fnv(call.request_id.bytes().chain(call.created.to_le_bytes())),
            created: call.created,
            fingerprint,
        }
    }

    /// Id of the whole answer: `chatcmpl-…`, `resp_…`.
    #[must_use]
    pub fn whole(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.request_id)
    }

    /// Id of a numbered part of it: `call_…`, `msg_…`. Short whatever the request's id is, because upstreams
    /// to which a client sends it back take no more than 40 characters.
    #[must_use]
    pub fn part(&self, prefix: &str, index: usize) -> String {
        format!("{prefix}{:016x}_{index}", self.hash)
    }
}

/// 64-bit FNV-1a: ids need to differ, not to be secret.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A request member that is wrong, whatever target is asked.
pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::InvalidRequest, message.into()).param(param.into())
}

/// A request member that this target cannot honour; another may.
pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, message.into()).param(param.into())
}

/// The body of a request: a JSON object.
pub fn request_object(body: &[u8]) -> Result<serde_json::Map<String, Value>, Refusal> {
    serde_json::from_slice(body).map_err(|_| {
        Refusal::new(
            RefusalKind::InvalidRequest,
            "the request body must be a JSON object",
        )
    })
}

/// Takes a member out of an object; null where there is none, or no object.
pub(super) fn take(object: &mut Value, member: &str) -> Value {
    object.get_mut(member).map(Value::take).unwrap_or_default()
}

/// Appends `value` as JSON. Nothing that is written this way can fail to: keys are strings, and memory takes it all.
pub(super) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

/// Appends `value` as an event that has only data.
pub(super) fn write_event(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    write_json(out, value);
    out.extend_from_slice(b"\n\n");
}
