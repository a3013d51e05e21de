//! `GET /v1/models`: what the routes can serve, `*` filled from the providers' own lists.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use millgate_plugin::{Endpoint, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::error::ApiError;
use crate::{
    nearest::nearest_few,
    pipeline::request::{ClientRequest, Vars},
    routing::{
        attempt::{Attempt, Context},
        pattern,
        route::Route,
        target::Target,
    },
    runtime::Runtime,
};

/// How long a provider's list is taken as true.
const FRESH: Duration = Duration::from_mins(1);

/// How long a provider may take to list its models.
const PATIENCE: Duration = Duration::from_secs(3);

/// What providers have listed, kept for a minute, and longer while a provider does not answer.
#[derive(Debug, Default)]
pub struct ModelLists {
    lists: Mutex<BTreeMap<Arc<str>, Arc<Mutex<Listed>>>>,
}

#[derive(Debug, Default)]
struct Listed {
    at: Option<Instant>,
    models: Vec<Model>,
}

/// One model of a provider's list.
#[derive(Clone, Debug, Deserialize)]
struct Model {
    id: String,
    #[serde(default)]
    created: u64,
    #[serde(default)]
    owned_by: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Model>,
}

/// The list, or the one model `name` of it.
pub async fn answer(
    runtime: &Arc<Runtime>,
    request: &Arc<ClientRequest>,
    name: Option<&str>,
) -> Result<Bytes, ApiError> {
    let models = list(runtime, request).await;
    let document = match name {
        None => json!({"object": "list", "data": models.values().collect::<Vec<_>>()}),
        Some(name) => {
            let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
            match models.get(&*name) {
                Some(model) => model.clone(),
                None => return Err(not_found(&name, models.keys().map(String::as_str))),
            }
        }
    };
    Ok(Bytes::from(document.to_string()))
}

/// The 404 of a request that no route is for.
#[must_use]
pub fn no_route(runtime: &Runtime, request: &ClientRequest) -> ApiError {
    if request.model.is_empty() {
        return ApiError::new(
            StatusCode::NOT_FOUND,
            "no_route",
            "No route is for this path. Operators: name it in a route's `paths`, with `shared_state = true` where it keeps state.",
        );
    }
    let named = runtime
        .routes
        .0
        .iter()
        .flat_map(|route| route.models.iter())
        .map(pattern::Glob::as_str);
    not_found(&request.model, named)
}

fn not_found<'a>(model: &str, known: impl Iterator<Item = &'a str>) -> ApiError {
    let near = nearest_few(model, known, 3);
    let hint = if near.is_empty() {
        "GET /v1/models lists the models there are.".to_owned()
    } else {
        format!(
            "Did you mean {}?",
            near.iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        )
    };
    ApiError::new(
        StatusCode::NOT_FOUND,
        "model_not_found",
        format!("The model `{model}` does not exist. {hint}"),
    )
    .param("model")
}

/// Every model by its name.
async fn list(runtime: &Arc<Runtime>, request: &Arc<ClientRequest>) -> BTreeMap<String, Value> {
    let mut models = BTreeMap::new();
    for route in &runtime.routes.0 {
        for glob in &route.models {
            if glob.is_exact() {
                let owner = route
                    .targets
                    .first()
                    .map_or("millgate", |target| &*target.provider.name);
                models
                    .entry(glob.as_str().to_owned())
                    .or_insert_with(|| entry(glob.as_str(), 0, owner));
            }
        }
        if route.models.iter().all(pattern::Glob::is_exact) {
            continue;
        }
        for target in &route.targets {
            for model in listed(runtime, request, route, target).await {
                if route.models.iter().any(|glob| glob.matches(&model.id)) {
                    let owner = model.owned_by.as_deref().unwrap_or(&target.provider.name);
                    models
                        .entry(model.id.clone())
                        .or_insert_with(|| entry(&model.id, model.created, owner));
                }
            }
        }
    }
    models
}

fn entry(id: &str, created: u64, owned_by: &str) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": owned_by})
}

/// A target's models, asked for at most once a minute, however many clients want to know.
async fn listed(
    runtime: &Arc<Runtime>,
    request: &Arc<ClientRequest>,
    route: &Arc<Route>,
    target: &Arc<Target>,
) -> Vec<Model> {
    let slot = runtime
        .models
        .lists
        .lock()
        .await
        .entry(target.provider.name.clone())
        .or_default()
        .clone();
    let mut listed = slot.lock().await;
    if listed.at.is_some_and(|at| at.elapsed() < FRESH) {
        return listed.models.clone();
    }
    let asked = tokio::time::timeout(PATIENCE, ask(runtime, request, route, target)).await;
    if let Ok(Some(models)) = asked {
        listed.models = models;
    }
    // A provider that does not answer is not asked again at once either.
    listed.at = Some(Instant::now());
    listed.models.clone()
}

/// Asks a provider for its list, through the stages that any attempt at it goes through.
async fn ask(
    runtime: &Arc<Runtime>,
    request: &Arc<ClientRequest>,
    route: &Arc<Route>,
    target: &Arc<Target>,
) -> Option<Vec<Model>> {
    if !target.provider.codec.serves(Endpoint::Models) {
        return None;
    }
    let listing = ClientRequest {
        path: "/v1/models".into(),
        query: None,
        ..ClientRequest::clone(request)
    };
    let context = Context {
        pipeline: runtime.pipeline.clone(),
        request: Arc::new(listing),
        route: route.clone(),
    };
    let mut attempt = Attempt::new(context, target.clone(), 1, Vars::default());
    if attempt.run().await.is_err() {
        attempt.end(Outcome::UpstreamError);
        return None;
    }
    let mut document = Vec::new();
    while let Some(Ok(piece)) = std::future::poll_fn(|context| attempt.poll_piece(context)).await {
        document.extend_from_slice(&piece.bytes);
    }
    attempt.end(Outcome::Ok);
    serde_json::from_slice::<Page>(&document)
        .ok()
        .map(|page| page.data)
}
