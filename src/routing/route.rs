//! Routes: from a requested model name, or a path, to targets.

use std::{sync::Arc, time::Duration};

use millgate_plugin::Endpoint;

use super::{
    balance::Strategy,
    pattern::{self, Glob},
    retry::RetryPolicy,
    target::{Params, Target},
};

/// When a stream is committed to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// At its first content: until then another target may still answer.
    Content,
    /// At its head: no waiting, and no fallback for a stream that fails at once.
    Head,
}

/// One rule.
#[derive(Debug)]
pub struct Route {
    /// Its name in the config.
    pub name: Arc<str>,
    /// The models it is for.
    pub models: Vec<Glob>,
    /// The paths it is for; empty: the model decides.
    pub paths: Vec<Glob>,
    /// Whether calls that leave something behind at the upstream may use it.
    pub shared_state: bool,
    /// Who is asked.
    pub targets: Vec<Arc<Target>>,
    /// In which order.
    pub strategy: Strategy,
    /// How often, and after which failures.
    pub retry: RetryPolicy,
    /// Bounds one attempt up to its commit.
    pub attempt_timeout: Duration,
    /// Bounds all attempts up to the commit.
    pub deadline: Duration,
    /// Bounds the silence between two frames after the commit.
    pub idle_timeout: Duration,
    /// Bounds a stream as a whole after the commit.
    pub stream_timeout: Option<Duration>,
    /// When a stream is committed.
    pub commit: Commit,
    /// Request members to add where the client left them out.
    pub params: Params,
    /// A hash of what decides the answers: targets, who they are, what is asked of them.
    pub fingerprint: [u8; 32],
}

/// What a request is matched by.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Model asked for; empty where the call names none.
    pub model: &'a str,
    /// Path with its `/v1`.
    pub path: &'a str,
    /// Whether the call leaves something behind at the upstream.
    pub stateful: bool,
}

/// All rules, in the config's order.
#[derive(Debug, Default)]
pub struct Routes(pub Vec<Arc<Route>>);

impl Routes {
    /// The rule for a request: one that names the path goes before one that does not; among those the most
    /// specific model pattern wins.
    #[must_use]
    pub fn find(&self, wanted: Wanted<'_>) -> Option<&Arc<Route>> {
        let by_path = self.0.iter().filter(|route| {
            route.paths.iter().any(|path| path.matches(wanted.path))
                && (route.shared_state || !wanted.stateful)
        });
        best(by_path, wanted.model).or_else(|| {
            let by_model = self.0.iter().filter(|route| route.paths.is_empty());
            (!wanted.stateful)
                .then(|| best(by_model, wanted.model))
                .flatten()
        })
    }

    /// Whether any rule could serve an endpoint at all.
    #[must_use]
    pub fn serves(&self, endpoint: Endpoint) -> bool {
        self.0.iter().any(|route| {
            route
                .targets
                .iter()
                .any(|target| target.provider.codec.serves(endpoint))
        })
    }
}

fn best<'a>(routes: impl Iterator<Item = &'a Arc<Route>>, model: &str) -> Option<&'a Arc<Route>> {
    pattern::best(
        routes.flat_map(|route| route.models.iter().map(move |glob| (glob, route))),
        model,
    )
}
