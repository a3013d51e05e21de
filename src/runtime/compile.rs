//! From a config to a runtime. Everything that can go wrong goes wrong here, with its place in the file; what comes
//! out cannot fail to be put in force.

mod pipeline;
mod providers;
mod routes;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::Runtime;
use crate::{
    api::{models::ModelLists, read::Limits},
    config::{
        Loaded,
        tree::{Node, Value},
    },
    http::guard::Guard,
};

/// Compiles a config; `None` where it has errors, which are among its findings then. What `previous` has made from
/// tables that are still the same is kept: pools stay warm, limits remember.
#[must_use]
pub fn compile(loaded: &Loaded, previous: Option<&Runtime>) -> Option<Runtime> {
    let providers = providers::compile(loaded, previous);
    let routes = routes::compile(loaded, &providers);
    let pipeline = pipeline::compile(loaded, &providers);
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
            body_timeout: server.body_timeout.get(),
        },
        expose: server.expose,
        models: ModelLists::default(),
    })
}

/// A digest of a resolved table, the same for the same keys and values wherever they stand.
fn digest(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(node, &mut hasher);
    hasher.finish()
}

fn hash(node: &Node, hasher: &mut DefaultHasher) {
    std::mem::discriminant(&node.value).hash(hasher);
    match &node.value {
        Value::Bool(value) => value.hash(hasher),
        Value::Integer(value) => value.hash(hasher),
        Value::Float(value) => value.to_bits().hash(hasher),
        Value::Datetime(value) => value.hash(hasher),
        Value::String(value) => value.text.hash(hasher),
        Value::Unset(_) => {}
        Value::Array(items) => items.iter().for_each(|item| hash(item, hasher)),
        Value::Table(table) => table.iter().for_each(|(key, value)| {
            key.name.hash(hasher);
            hash(value, hasher);
        }),
    }
}
