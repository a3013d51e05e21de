//! Targets: a provider and the model to ask it for.

use std::sync::Arc;

use millgate_plugin::Endpoint;

use super::{balance::InFlight, provider::Provider};
use crate::prices::Prices;

/// Request members to add where the client left them out, as raw JSON.
pub type Params = Vec<(Box<str>, Box<str>)>;

/// One target of a route.
#[derive(Debug)]
pub struct Target {
    /// The provider asked.
    pub provider: Arc<Provider>,
    /// The model it is asked for, where the target names one.
    pub model: Option<Box<str>>,
    /// Its share under `strategy = "weighted"` and `"least_busy"`.
    pub weight: u32,
    /// Request members to add, before the route's own.
    pub params: Params,
    /// Attempts under way.
    pub busy: InFlight,
    /// What its models cost.
    pub prices: Arc<Prices>,
}

impl Target {
    /// The model to ask for: the target's, else the provider's, else the client's. A call that is only passed on
    /// keeps the client's: a provider's model is one for chat, and would be wrong for speech or images.
    #[must_use]
    pub fn model_for<'a>(&'a self, endpoint: Endpoint, asked: &'a str) -> &'a str {
        let configured = match endpoint {
            Endpoint::Embeddings => self.provider.embedding_model.as_deref(),
            Endpoint::Forward => None,
            _ => self.provider.model.as_deref(),
        };
        self.model.as_deref().or(configured).unwrap_or(asked)
    }

    /// How `check`, logs and `x-millgate-*` name it.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.model {
            Some(model) => format!("{}/{model}", self.provider.name),
            None => self.provider.name.to_string(),
        }
    }
}
