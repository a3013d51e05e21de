//! `GET /v1/models`: what the routes can serve, `*` filled from the providers' own lists.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use millgate_plugin::{Endpoint, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    endpoint::{Call, classify},
    error::ApiError,
};
use crate::{
    nearest::nearest_few,
    pipeline::request::{ClientRequest, Vars},
    routing::{
        attempt::{Attempt, Context},
        pattern,
        route::{Route, Wanted},
        target::Target,
    },
    runtime::Runtime,
};

/// How long a provider's list is taken as true.
const FRESH: Duration = Duration::from_mins(1);

/// How long a provider may take to list its models.
const PATIENCE: Duration = Duration::from_secs(3);

/// Largest list that is read, in bytes.
const LARGEST_LIST: usize = 4 << 20;

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
    let is_stateful = classify(&request.method, &request.path) == Call::Stateful;
    if request.model.is_empty() || is_stateful {
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
        .map(pattern::Glob::as_str)
        .filter(|name| request.caller.may_ask_for(name));
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

/// Every model by its name. A name is listed where the route that a request for it would take can serve it.
async fn list(runtime: &Arc<Runtime>, request: &Arc<ClientRequest>) -> BTreeMap<String, Value> {
    let mut models = BTreeMap::new();
    let by_model = || {
        let routes = runtime.routes.0.iter();
        routes.filter(|route| route.paths.is_empty())
    };
    for route in by_model() {
        for glob in route.models.iter().filter(|glob| glob.is_exact()) {
            let owner = route
                .targets
                .first()
                .map_or("millgate", |target| &*target.provider.name);
            models
                .entry(glob.as_str().to_owned())
                .or_insert_with(|| entry(glob.as_str(), 0, owner));
        }
    }
    for (route, target, list) in ask_all(runtime, request).await {
        for model in list {
            let is_served_here = runtime
                .routes
                .find(Wanted {
                    model: &model.id,
                    path: "/v1/chat/completions",
                    stateful: false,
                })
                .is_some_and(|found| Arc::ptr_eq(found, &route));
            if is_served_here {
                let owner = model.owned_by.as_deref().unwrap_or(&target.provider.name);
                models
                    .entry(model.id.clone())
                    .or_insert_with(|| entry(&model.id, model.created, owner));
            }
        }
    }
    models.retain(|name, _| request.caller.may_ask_for(name));
    models
}

/// What each target lists whose route is for more than exact names, in the config's order. They are asked all at once:
/// one that does not answer is not waited for before the others.
async fn ask_all(
    runtime: &Arc<Runtime>,
    request: &Arc<ClientRequest>,
) -> Vec<(Arc<Route>, Arc<Target>, Vec<Model>)> {
    let is_open = |route: &&Arc<Route>| {
        route.paths.is_empty() && !route.models.iter().all(pattern::Glob::is_exact)
    };
    let open = runtime.routes.0.iter().filter(is_open);
    let mut answers: Vec<_> = open
        .flat_map(|route| {
            let targets = route.targets.iter();
            let asked = targets.filter(|target| target.provider.takes_credential_of(request));
            asked.map(|target| (route.clone(), target.clone(), Vec::new()))
        })
        .collect();
    let mut asked = JoinSet::new();
    for (index, (route, target, _)) in answers.iter().enumerate() {
        let ask = listed(
            runtime.clone(),
            request.clone(),
            route.clone(),
            target.clone(),
        );
        asked.spawn(async move { (index, ask.await) });
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok((index, list)) = answer {
            answers[index].2 = list;
        }
    }
    answers
}

fn entry(id: &str, created: u64, owned_by: &str) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": owned_by})
}

/// A target's models, asked for at most once a minute, however many clients want to know. What a provider gets to see
/// of the client decides what it lists, so that such a list is the client's own and is not kept.
async fn listed(
    runtime: Arc<Runtime>,
    request: Arc<ClientRequest>,
    route: Arc<Route>,
    target: Arc<Target>,
) -> Vec<Model> {
    if target.provider.sees_client() {
        let asked = tokio::time::timeout(PATIENCE, ask(&runtime, &request, &route, &target)).await;
        return asked.ok().flatten().unwrap_or_default();
    }
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
    let asked = tokio::time::timeout(PATIENCE, ask(&runtime, &request, &route, &target)).await;
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
    let headers = if target.provider.sees_client() {
        request.headers.clone()
    } else {
        HeaderMap::new()
    };
    let listing = ClientRequest {
        path: "/v1/models".into(),
        query: None,
        headers,
        ..ClientRequest::clone(request)
    };
    let context = Context {
        pipeline: runtime.pipeline.clone(),
        request: Arc::new(listing),
        route: route.clone(),
        deadline: request.started + route.deadline,
    };
    let mut attempt = Attempt::new(context, target.clone(), 1, Vars::default());
    if attempt.run().await.is_err() {
        attempt.end(Outcome::UpstreamError);
        return None;
    }
    let mut document = Vec::new();
    while let Some(Ok(piece)) = std::future::poll_fn(|context| attempt.poll_piece(context)).await {
        document.extend_from_slice(&piece.bytes);
        if document.len() > LARGEST_LIST {
            attempt.end(Outcome::UpstreamError);
            return None;
        }
    }
    attempt.end(Outcome::Ok);
    serde_json::from_slice::<Page>(&document)
        .ok()
        .map(|page| page.data)
}
