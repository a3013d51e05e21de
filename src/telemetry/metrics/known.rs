//! The names that may become labels: those of the config. A client cannot make series by inventing models.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::table::Word;
use crate::runtime::Runtime;

/// What a model is called that no config names.
pub const OTHER: &str = "other";

/// Models and providers of every config that was in force.
#[derive(Debug, Default)]
pub struct Known {
    models: HashSet<Arc<str>>,
    providers: HashMap<Arc<str>, Facts>,
}

/// What a provider's name stands for.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What it speaks: `gen_ai.provider.name`.
    pub kind: &'static str,
    /// Where it is: host and port; `None` where it answers by itself.
    pub server: Option<(String, u16)>,
}

impl Known {
    /// Learns the names of a config that is put in force. What was known before stays so: exchanges under way keep the
    /// config that they began with.
    pub fn learn(&mut self, runtime: &Runtime) {
        for provider in &runtime.providers {
            let provider = &provider.made;
            let server = provider
                .transport
                .as_ref()
                .map(|transport| transport.base().host_and_port());
            let facts = Facts {
                kind: provider.codec.kind(),
                server: server.map(|(host, port)| (host.to_owned(), port)),
            };
            self.providers.insert(provider.name.clone(), facts);
            let models = [&provider.model, &provider.embedding_model];
            models
                .into_iter()
                .flatten()
                .for_each(|model| self.name(model));
        }
        for route in &runtime.routes.0 {
            let exact = route.models.iter().filter(|model| model.is_exact());
            exact.for_each(|model| self.name(model.as_str()));
            for target in &route.targets {
                target.model.iter().for_each(|model| self.name(model));
                target.prices.names().for_each(|model| self.name(model));
            }
        }
    }

    fn name(&mut self, model: &str) {
        if !self.models.contains(model) {
            self.models.insert(model.into());
        }
    }

    /// A model as a label: its name if a config has it, or a list of prices; `other` if not; empty where there is none.
    #[must_use]
    pub fn model(&self, model: &str) -> Word {
        match self.models.get(model) {
            Some(known) => known.into(),
            None if model.is_empty() => Word::Own(""),
            None => Word::Own(OTHER),
        }
    }

    /// What a provider speaks.
    #[must_use]
    pub fn kind(&self, provider: &str) -> Word {
        let facts = self.providers.get(provider);
        Word::Own(facts.map_or(OTHER, |facts| facts.kind))
    }

    /// What is known of a provider.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Facts> {
        self.providers.get(name)
    }
}
