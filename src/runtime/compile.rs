//! From a config to a runtime. Everything that can go wrong goes wrong here, with its place in the file; what comes
//! out cannot fail to be put in force.

mod advice;
mod auth;
mod callers;
mod kinds;
pub mod listeners;
mod pipeline;
mod providers;
mod routes;
mod usage;

use std::sync::Arc;

use millgate_plugin::Host;

use super::Runtime;
use crate::{
    api::{models::ModelLists, read::Limits},
    config::Loaded,
    http::guard::Guard,
};

/// Compiles a config; `None` where it has errors, which are among its findings then. What `previous` has made from
/// tables that are still the same is kept: pools stay warm, limits remember. `host` is what the stages may call on.
#[must_use]
pub fn compile(loaded: &Loaded, previous: Option<&Runtime>, host: &Host) -> Option<Runtime> {
    let providers = providers::compile(loaded, previous);
    let routes = routes::compile(loaded, &providers);
    let pipeline = pipeline::compile(loaded, previous, host);
    let stored = previous.map(|previous| previous.callers.stored().clone());
    let are_asked = !auth::asked(loaded).is_empty();
    let callers = callers::compile(loaded, stored.unwrap_or_default(), are_asked);
    auth::check(loaded, &callers);
    listeners::check(loaded);
    usage::check(loaded);
    advice::check(loaded);
    if loaded.findings.has_errors() {
        return None;
    }
    let server = &loaded.config.server;
    Some(Runtime {
        generation: previous.map_or(1, |previous| previous.generation + 1),
        environment: loaded.environment_name.clone(),
        pipeline: Arc::new(pipeline),
        routes,
        providers,
        guard: Guard::new(&server.hosts, &server.cors_origins),
        callers,
        limits: Limits {
            max_body: server.max_body_size.bytes(),
            max_upload: server.max_upload_size.bytes(),
            body_timeout: server.body_timeout.get(),
        },
        expose: server.expose,
        models: ModelLists::default(),
    })
}
