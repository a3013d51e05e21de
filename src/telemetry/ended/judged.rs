//! What became of an exchange and of its attempts, in the words of OpenTelemetry's conventions. Metrics and spans take them from
//! here, and say the same.

use std::{borrow::Cow, time::Duration};

use http::Method;
use millgate_plugin::{Endpoint, Outcome};

use super::{Attempted, Ended};
use crate::routing::retry::{FailureClass, status_name};

/// The methods that the conventions know.
const KNOWN: [Method; 9] = [
    Method::POST,
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// What became of an attempt.
#[derive(Debug)]
pub struct Judged<'e> {
    /// The attempt.
    pub attempt: &'e Attempted,
    /// How long it lasted: to its failure, or, of one that has committed, to the end of its answer.
    pub lasted: Duration,
    /// `error.type`: the status of the upstream, or what else went wrong; `None` where nothing did.
    pub error: Option<Cow<'static, str>>,
}

impl Judged<'_> {
    /// Whether something failed, other than the patience of a client.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let error = self.error.as_deref();
        error.is_some_and(|error| error != Outcome::ClientClosed.name())
    }
}

impl Ended {
    /// `http.request.method`: `_OTHER` of one that its client made up.
    #[must_use]
    pub fn method_name(&self) -> &str {
        if KNOWN.contains(&self.method) {
            self.method.as_str()
        } else {
            "_OTHER"
        }
    }

    /// `gen_ai.operation.name`; `None` of calls that the conventions have none for.
    #[must_use]
    pub const fn operation(&self) -> Option<&'static str> {
        match self.endpoint {
            Endpoint::Chat | Endpoint::Responses => Some("chat"),
            Endpoint::Completions => Some("text_completion"),
            Endpoint::Embeddings => Some("embeddings"),
            _ => None,
        }
    }

    /// `error.type` of the exchange: the status that its client got, or, where that was none of an error, how it ended;
    /// `None` where it ended well.
    #[must_use]
    pub fn error_type(&self) -> Option<Cow<'static, str>> {
        match (self.status, self.outcome) {
            (400.., _) => Some(status_name(self.status)),
            (_, Outcome::Ok) => None,
            (_, outcome) => Some(outcome.name().into()),
        }
    }

    /// What became of every attempt, in order.
    pub fn judged(&self) -> impl Iterator<Item = Judged<'_>> {
        let last = self.attempts.len().saturating_sub(1);
        let first = self.attempts.first().map(|first| first.begun);
        let end = first.zip(self.upstream);
        let end = end.map(|(first, upstream)| first + upstream);
        self.attempts.iter().enumerate().map(move |(at, attempt)| {
            // One that has answered goes on until the answer has come.
            let has_answered = at == last && attempt.failure.is_none();
            let whole = end
                .filter(|_| has_answered)
                .map(|end| end.saturating_sub(attempt.begun));
            let error = if has_answered {
                self.broke_off().map(Cow::Borrowed)
            } else {
                attempt.failure.map(FailureClass::name)
            };
            Judged {
                attempt,
                lasted: attempt.took.max(whole.unwrap_or_default()),
                error,
            }
        })
    }

    /// In which way an answer has ended that was under way, or had begun; `None` where it came to its end.
    fn broke_off(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::UpstreamError => Some("stream"),
            Outcome::Timeout => Some("timeout"),
            // Of an answer that its client did not wait for, the tokens are known only if it came to its end.
            Outcome::ClientClosed if self.tokens.is_none_or(|tokens| tokens.is_estimate) => {
                Some(Outcome::ClientClosed.name())
            }
            _ => None,
        }
    }
}

/// `gen_ai.provider.name` of a kind of providers: the conventions' own name, where they have one. Of a plugin's kind
/// (`PLUGIN/KIND`) it is the last part.
#[must_use]
pub fn provider_name(kind: &str) -> &str {
    kind.rsplit('/').next().unwrap_or(kind)
}
