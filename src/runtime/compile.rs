//! From a config to a runtime. Everything that can go wrong goes wrong here, with its place in the file; what comes
//! out cannot fail to be put in force.

mod advice;
mod auth;
mod callers;
mod fingerprint;
mod kinds;
pub mod ledger;
pub mod listeners;
mod pipeline;
mod plugins;
mod providers;
pub mod redact;
mod routes;
mod server;
mod traces;
mod unpriced;
mod usage;

use std::sync::Arc;

use super::{Runtime, host::Process};
use crate::{
    admin::access::Token,
    api::{models::ModelLists, read::Limits},
    config::{Loaded, shown},
    http::guard::Guard,
    telemetry::filter::Filter,
};

/// Compiles a config; `None` where it has errors, which are among its findings then. What `previous` has made from
/// tables that are still the same is kept: pools stay warm, limits remember. `process` is what lasts through all of it.
#[must_use]
pub fn compile(loaded: &Loaded, previous: Option<&Runtime>, process: &Process) -> Option<Runtime> {
    let kinds = plugins::compile(loaded, process);
    let providers = providers::compile(loaded, &kinds, previous);
    let routes = routes::compile(loaded, &providers);
    let pipeline = pipeline::compile(loaded, &kinds, previous, process);
    let are_asked = !auth::asked(loaded).is_empty();
    let callers = callers::compile(loaded, process.store.clone(), are_asked);
    auth::check(loaded, &pipeline, &callers);
    let filter = redact::compile(loaded, previous);
    listeners::check(loaded);
    listeners::check_operators(loaded);
    listeners::check_hosts(loaded);
    server::check(loaded);
    let ledger = ledger::compile(loaded);
    usage::check(loaded);
    unpriced::check(loaded, &routes);
    advice::check(loaded);
    let traces = traces::compile(loaded, previous);
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
        plugins: kinds.images,
        guard: Guard::new(&server.hosts, &server.cors_origins),
        callers,
        limits: Limits {
            max_body: server.max_body_size.bytes(),
            max_buffered: server.max_buffered.bytes(),
            max_upload: server.max_upload_size.bytes(),
            body_timeout: server.body_timeout.get(),
            upload_timeout: server.upload_timeout.get(),
        },
        budget: previous.map_or_else(Arc::default, |previous| previous.budget.clone()),
        expose: server.expose,
        filter: Arc::new(filter),
        traces,
        observer: process.observer.clone(),
        ledger,
        models: ModelLists::default(),
        admin_token: loaded.config.admin.token().map(Token::of),
        shown: shown::masked(&loaded.tree),
    })
}

/// The filter of the logs, for what plugins log while the rest is compiled: they are handed secrets of this config.
#[must_use]
pub fn filter(loaded: &Loaded, previous: Option<&Runtime>) -> Arc<Filter> {
    Arc::new(redact::compile(loaded, previous))
}
