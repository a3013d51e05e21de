//! A whole answer, ready to be played.

use serde_json::Value;

/// A whole answer.
#[derive(Debug)]
pub(super) enum Script {
    /// A JSON document.
    Document(Vec<u8>),
    /// The events of a stream, in order.
    Stream(Vec<Event>),
}

impl Script {
    pub(super) fn document(value: &Value) -> Self {
        Self::Document(value.to_string().into_bytes())
    }
}

/// One server-sent event with its blank line.
#[derive(Debug)]
pub(super) struct Event {
    /// The event as it goes over the wire.
    pub(super) bytes: Vec<u8>,
    /// Whether it carries a piece of the answer, and so takes its time where a pace is set.
    pub(super) is_token: bool,
}

impl Event {
    /// An event without a name, as chat and completions have them.
    pub(super) fn data(data: &Value, is_token: bool) -> Self {
        let bytes = format!("data: {data}\n\n").into_bytes();
        Self { bytes, is_token }
    }

    /// An event with a name, as responses have them.
    pub(super) fn named(name: &str, data: &Value, is_token: bool) -> Self {
        let bytes = format!("event: {name}\ndata: {data}\n\n").into_bytes();
        Self { bytes, is_token }
    }

    /// What chat and completions end with.
    pub(super) fn done() -> Self {
        let bytes = b"data: [DONE]\n\n".to_vec();
        let is_token = false;
        Self { bytes, is_token }
    }
}

/// The position before which half of the tokens (rounded up) have gone out: where a broken stream breaks.
pub(super) fn middle(events: &[Event]) -> usize {
    let tokens: Vec<usize> = (0..events.len())
        .filter(|position| events[*position].is_token)
        .collect();
    match tokens.len() {
        0 => events.len() / 2,
        count => tokens[(count - 1) / 2] + 1,
    }
}
