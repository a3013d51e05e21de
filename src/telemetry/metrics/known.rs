//! The names that may become labels: those of the config. A client cannot make series by inventing models.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::table::Word;
use crate::{
    routing::{provider::Provider, route::Routes},
    telemetry::ended::{Ended, provider_name},
};

/// What a model is called that no config names.
pub const OTHER: &str = "other";

/// Models and providers of every config that was in force.
#[derive(Debug, Default)]
pub struct Known {
    /// Those that a config names.
    models: HashSet<Arc<str>>,
    /// Those that have a price.
    priced: HashSet<Arc<str>>,
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
    pub fn learn<'r>(&mut self, providers: impl Iterator<Item = &'r Provider>, routes: &Routes) {
        for provider in providers {
            let server = provider
                .transport
                .as_ref()
                .map(|transport| transport.base().host_and_port());
            let facts = Facts {
                kind: provider_name(provider.codec.kind()),
                server: server.map(|(host, port)| (host.to_owned(), port)),
            };
            self.providers.insert(provider.name.clone(), facts);
            let models = [&provider.model, &provider.embedding_model];
            let models = models.into_iter().flatten();
            models.for_each(|model| name(&mut self.models, model));
        }
        for route in &routes.0 {
            let exact = route.models.iter().filter(|model| model.is_exact());
            exact.for_each(|model| name(&mut self.models, model.as_str()));
            for target in &route.targets {
                let model = target.model.iter();
                model.for_each(|model| name(&mut self.models, model));
                let priced = target.prices.names();
                priced.for_each(|model| name(&mut self.priced, model));
            }
        }
    }

    /// The model of an answer or an attempt as a label: its name if a config has it, or a list of prices; `other` if not; empty
    /// where there is none.
    #[must_use]
    pub fn model(&self, model: &str) -> Word {
        match self.priced.get(model) {
            Some(known) => known.into(),
            None => self.configured(model),
        }
    }

    /// The model that an exchange asked for as a label: the same, but a list of prices counts only if somebody was asked for
    /// an answer, or gave one. Whoever may not ask makes no series of all that is on it.
    #[must_use]
    pub fn asked(&self, ended: &Ended) -> Word {
        let was_let_in = ended.provider.is_some() || !ended.attempts.is_empty();
        if was_let_in {
            self.model(&ended.asked)
        } else {
            self.configured(&ended.asked)
        }
    }

    fn configured(&self, model: &str) -> Word {
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

fn name(names: &mut HashSet<Arc<str>>, model: &str) {
    if !names.contains(model) {
        names.insert(model.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::ended::sample::sample;

    #[test]
    fn the_list_of_prices_gives_names_only_to_what_was_let_in() {
        let mut known = Known::default();
        name(&mut known.models, "configured");
        name(&mut known.priced, "priced");
        let label = |asked: &str, provider: Option<&str>| {
            let mut ended = sample();
            ended.asked = asked.into();
            ended.provider = provider.map(Into::into);
            known.asked(&ended)
        };
        for (asked, refused, answered) in [
            ("configured", "configured", "configured"),
            ("priced", OTHER, "priced"),
            ("invented", OTHER, OTHER),
            ("", "", ""),
        ] {
            assert_eq!(label(asked, None), Word::Own(refused), "{asked}");
            assert_eq!(label(asked, Some("up")), Word::Own(answered), "{asked}");
        }
    }
}
