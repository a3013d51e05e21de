//! What metrics and traces say of an attempt.

use std::time::Duration;

use millgate_plugin::{Endpoint, Outcome};

use super::table::Word;
use crate::{
    routing::retry::FailureClass,
    telemetry::ended::{Attempted, Ended},
};

/// `gen_ai.operation.name` of a call, as the `GenAI` conventions have it; `None` of calls that they have none for.
#[must_use]
pub const fn operation(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses => Some("chat"),
        Endpoint::Completions => Some("text_completion"),
        Endpoint::Embeddings => Some("embeddings"),
        _ => None,
    }
}

/// Every attempt of an exchange with how long it lasted and in which way it failed, if it did: of one that has
/// committed, to the end of its answer.
pub(super) fn attempts(
    ended: &Ended,
) -> impl Iterator<Item = (&Attempted, Duration, Option<Word>)> {
    let last = ended.attempts.len().saturating_sub(1);
    let end = ended.attempts.first().zip(ended.upstream);
    let end = end.map_or(ended.total, |(first, upstream)| first.begun + upstream);
    ended.attempts.iter().enumerate().map(move |(at, attempt)| {
        let has_answered = at == last && attempt.failure.is_none();
        if has_answered {
            (attempt, end.saturating_sub(attempt.begun), broke_off(ended))
        } else {
            (attempt, attempt.took, attempt.failure.map(failed))
        }
    })
}

/// In which way an answer has ended that was under way, or had begun; `None` where it came to its end.
fn broke_off(ended: &Ended) -> Option<Word> {
    match ended.outcome {
        Outcome::UpstreamError => Some("stream".into()),
        Outcome::Timeout => Some("timeout".into()),
        // Of an answer that its client did not wait for, the tokens are known only if it came to its end.
        Outcome::ClientClosed if ended.tokens.is_none_or(|tokens| tokens.is_estimate) => {
            Some(Outcome::ClientClosed.name().into())
        }
        _ => None,
    }
}

/// `error.type` of an attempt that failed: the status of the upstream, or what else it was.
fn failed(failure: FailureClass) -> Word {
    let word = match failure {
        FailureClass::Connect => "connect",
        FailureClass::Timeout => "timeout",
        FailureClass::UpstreamAuth => "upstream_auth",
        FailureClass::ModelMissing => "model_missing",
        FailureClass::Stream => "stream",
        FailureClass::Rejected => "rejected",
        FailureClass::Unsupported => "unsupported",
        FailureClass::Client => "client",
        FailureClass::Status(status) => return status_word(status),
    };
    word.into()
}

/// A status code as a word.
pub(super) fn status_word(status: u16) -> Word {
    match status {
        400 => "400".into(),
        401 => "401".into(),
        404 => "404".into(),
        429 => "429".into(),
        500 => "500".into(),
        502 => "502".into(),
        503 => "503".into(),
        504 => "504".into(),
        status => Word::Shared(status.to_string().into()),
    }
}
