//! A provider of the config: its codec, the way to reach it, and what its attempts share.

use std::sync::Arc;

use http::HeaderValue;

use super::{pattern::Glob, retry::RetryBudget, transport::Transport};
use crate::{pipeline::request::ClientRequest, providers::erased::ErasedProvider};

/// A named upstream.
pub struct Provider {
    /// Its name in the config.
    pub name: Arc<str>,
    /// What it speaks.
    pub codec: Arc<dyn ErasedProvider>,
    /// The way to it; `None` where it answers by itself.
    pub transport: Option<Transport>,
    /// `Authorization` that the gateway sends it.
    pub authorization: Option<HeaderValue>,
    /// The model it is asked for unless a target says otherwise.
    pub model: Option<Box<str>>,
    /// The same for embeddings.
    pub embedding_model: Option<Box<str>>,
    /// Client headers passed on beside the usual ones, by lower-case name.
    pub forward_headers: Vec<Glob>,
    /// Whether the client's own `Authorization` is passed on.
    pub forward_auth: bool,
    /// Bounds retries, so that an outage is not amplified.
    pub budget: RetryBudget,
}

impl Provider {
    /// Whether it gets headers of the client's that may say who it is.
    #[must_use]
    pub fn sees_client(&self) -> bool {
        self.forward_auth || !self.forward_headers.is_empty()
    }

    /// Whether a request may go to it as far as its credential goes: where the client's own is to be sent on, only a
    /// provider that takes that one.
    #[must_use]
    pub fn takes_credential_of(&self, request: &ClientRequest) -> bool {
        self.forward_auth || !request.marks.forwards_auth
    }

    /// Whether it is only for machines on which nothing else is there.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.codec.kind()
            == <crate::providers::rehearsal::Rehearsal as millgate_plugin::Provider>::KIND
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.codec.kind())
            .finish_non_exhaustive()
    }
}
