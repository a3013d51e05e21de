//! From a config to a runtime. Everything that can go wrong goes wrong here, with its place in the file; what comes
//! out cannot fail to be put in force.

mod pipeline;
mod providers;
mod routes;

use std::{sync::Arc, time::Duration};

use super::Runtime;
use crate::{
    api::{models::ModelLists, read::Limits},
    config::{Loaded, Severity},
    http::guard::Guard,
};

/// How long a body that is collected may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Compiles a config; `None` where it has errors, which are among its findings then. What `previous` has made from
/// tables that are still the same is kept: pools stay warm, limits remember.
#[must_use]
pub fn compile(loaded: &Loaded, previous: Option<&Runtime>) -> Option<Runtime> {
    let providers = providers::compile(loaded, previous);
    let routes = routes::compile(loaded, &providers);
    let pipeline = pipeline::compile(loaded);
    refuse_exposure(loaded);
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
        limits: Limits {
            max_body: server.max_body_size.bytes(),
            max_upload: server.max_upload_size.bytes(),
            body_timeout: BODY_TIMEOUT,
        },
        expose: server.expose,
        models: ModelLists::default(),
    })
}

/// A listener that other machines reach must be wanted as such: whoever reaches it uses the providers' keys.
fn refuse_exposure(loaded: &Loaded) {
    let server = &loaded.config.server;
    if server.listen.0.ip().is_loopback() || server.allow_anonymous {
        return;
    }
    loaded.report(
        &["server", "listen"],
        Severity::Error,
        EXPOSED,
        Some(EXPOSED_HELP.to_owned()),
    );
}

/// What is wrong with a listener beyond loopback.
pub const EXPOSED: &str =
    "beyond loopback anybody could use the providers' keys: nothing authenticates callers";

/// What to do about it.
pub const EXPOSED_HELP: &str = "listen on 127.0.0.1, or set `allow_anonymous = true` in [server] where the network itself keeps strangers out";
