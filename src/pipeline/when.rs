//! `when = { … }`: the exchanges that a stage is for.

use millgate_plugin::{Exchange, Field};

use crate::routing::pattern::Glob;

/// Globs over what is known of an exchange; a list that is empty matches all.
#[derive(Debug, Default)]
pub struct When {
    /// Name of the provider; below `route` only.
    pub provider: Vec<Glob>,
    /// Model: above `route` the one asked for, below it the target's.
    pub model: Vec<Glob>,
    /// Path with its `/v1`.
    pub path: Vec<Glob>,
    /// Caller id.
    pub caller: Vec<Glob>,
    /// The caller's team.
    pub team: Vec<Glob>,
}

impl When {
    /// Whether a stage with this condition is to be entered.
    pub fn matches(&self, exchange: &mut dyn Exchange) -> bool {
        let exchange = &*exchange;
        let model = || {
            exchange
                .text(Field::TargetModel, "")
                .or_else(|| exchange.text(Field::Model, ""))
        };
        any(&self.provider, || exchange.text(Field::Provider, ""))
            && any(&self.model, model)
            && any(&self.path, || exchange.text(Field::Path, ""))
            && any(&self.caller, || exchange.text(Field::CallerId, ""))
            && any(&self.team, || exchange.text(Field::CallerTeam, ""))
    }
}

fn any<'a>(globs: &[Glob], value: impl FnOnce() -> Option<&'a str>) -> bool {
    globs.is_empty() || {
        let value = value().unwrap_or_default();
        globs.iter().any(|glob| glob.matches(value))
    }
}
