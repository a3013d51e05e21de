//! One answer in its two forms: the events of a stream are assembled into the document that the same upstream would
//! have sent at once, and a document is told as events.
//!
//! Both ways are pure functions on bytes. Values are moved, not understood: a text is put together from the insides
//! of its JSON strings, escapes and all, so that neither a number nor half of a surrogate pair changes on the way.
//! Nothing is made up except what the shape itself demands: `object`, `index`, `sequence_number`, the types of
//! events, `"role":"assistant"`, `"type":"function"` of a call of a function, `"content":null`.
//!
//! How the deltas of a choice become its message:
//!
//! - `tool_calls` are put together by their `index`, which the message leaves out; one without an index but with an id
//!   is another call.
//! - `id`, `type`, `role`, `name`, `format` and `index` name something, at any depth of a delta: the first value that
//!   is not empty stays. Another one is a [`Contradiction`](AssembleError::Contradiction).
//! - Any other text grows by what comes, whatever its member is called.
//! - Objects are put together member by member; arrays by the `index` of their elements (and their `type`, since some
//!   upstreams number each type apart), or one behind the other where those have none.
//! - Of numbers and booleans the last one counts.
//! - What is empty (`null`, `""`, `[]`, `{}`) changes nothing and gives way to anything. Other values of different
//!   types are a contradiction.
//!
//! Beside the deltas, `logprobs` and the `text` of a completion follow the same rules; of a choice's other members
//! arrays grow, and else the last value that is not empty counts. Of a chunk's own members the first `id`, `created`,
//! `model` and `system_fingerprint` count, of all others (`usage`, `service_tier`, what nobody knows yet) the last;
//! `obfuscation` belongs to the stream alone. A response comes whole with the last event of its stream.
//!
//! Shapes as in OpenAI's API reference: `chat.completion` and `chat.completion.chunk`, `text_completion`, `response`
//! and the streaming events of `/v1/responses`.

mod choices;
mod chunks;
mod merge;
mod raw;
mod responses;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use millgate_plugin::Endpoint;

/// One event of a stream, whole, with the empty line that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether it is there for the usage only, so that a client which did not ask for that must not see it.
    pub is_usage: bool,
}

/// Why an answer has no other form. Whoever meets one of these has to ask the upstream in the form that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// The endpoint's answers are never streamed.
    #[error("answers of this endpoint have one form only")]
    OneForm,
    /// It is not an answer of the endpoint; the text says what is wrong with it.
    #[error("the answer is not what its endpoint gives: {0}")]
    Malformed(&'static str),
    /// The stream ended before its end, or the response is still in the making.
    #[error("the answer is not complete")]
    Incomplete,
    /// It is an error, or has one in it.
    #[error("the answer reports an error")]
    Failed,
    /// Two chunks disagree on a member that can only be one thing.
    #[error("the events of the answer contradict each other on {0:?}")]
    Contradiction(String),
}

/// The document that a complete stream of whole events amounts to, comments and a usage chunk included.
///
/// Where no usage chunk came the document has no `usage`. A stream of chunks is complete with `[DONE]`, or once
/// each of its choices has a finish reason; a response with `response.completed`, `.incomplete` or `.failed`.
pub fn document(endpoint: Endpoint, events: &[Bytes]) -> Result<Bytes, AssembleError> {
    match endpoint {
        Endpoint::Chat | Endpoint::Completions => choices::document(endpoint, events),
        Endpoint::Responses => responses::document(events),
        _ => Err(AssembleError::OneForm),
    }
}

/// The stream that tells a whole document, its usage chunk (where the document has a usage) and `[DONE]` included.
///
/// Every text comes in one piece: there is nothing to wait for.
pub fn events(endpoint: Endpoint, document: &[u8]) -> Result<Vec<Event>, AssembleError> {
    match endpoint {
        Endpoint::Chat | Endpoint::Completions => chunks::events(endpoint, document),
        Endpoint::Responses => responses::events(document),
        _ => Err(AssembleError::OneForm),
    }
}
