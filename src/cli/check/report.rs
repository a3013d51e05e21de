//! What `check` tells of a config: the same for people and for programs. No secret, and no variable's value.

use serde::Serialize;

use crate::{
    cache,
    config::{self, Loaded, Patterns, Provider, Stage, stage::When},
    pipeline::Mounted,
    routing::{pattern::Glob, route, target},
    runtime::Runtime,
};

/// All of it; what could not be compiled is left out.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) environment: String,
    pub(super) variables: Vec<Variable>,
    #[serde(flatten)]
    pub(super) compiled: Option<Compiled>,
}

/// A variable that the file asks for.
#[derive(Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) source: String,
}

/// What will be served.
#[derive(Serialize)]
pub(super) struct Compiled {
    pub(super) listeners: Listeners,
    pub(super) pipeline: Vec<Step>,
    pub(super) routes: Vec<Route>,
    pub(super) providers: Vec<Upstream>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) plugins: Vec<Plugin>,
}

/// A library that the config names.
#[derive(Serialize)]
pub(super) struct Plugin {
    pub(super) name: String,
    /// Whether `sha256` says which file it has to be.
    pub(super) is_pinned: bool,
    /// `None` where it is not to be loaded.
    #[serde(flatten)]
    pub(super) image: Option<PluginImage>,
}

/// What there is in a library.
#[derive(Serialize)]
pub(super) struct PluginImage {
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
    pub(super) stages: Vec<&'static str>,
    pub(super) providers: Vec<&'static str>,
}

/// Base URLs.
#[derive(Serialize)]
pub(super) struct Listeners {
    pub(super) clients: String,
    pub(super) operators: String,
}

/// An element of the pipeline.
#[derive(Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) place: Place,
    #[serde(flatten)]
    pub(super) stage: Option<StepStage>,
}

/// Where an element stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    AboveRoute,
    Route,
    BelowRoute,
}

/// What is said of a stage.
#[derive(Serialize)]
pub(super) struct StepStage {
    pub(super) kind: String,
    pub(super) when: When,
    /// `None` where it can neither fail nor refuse, as for `mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_error: Option<config::stage::OnError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<config::stage::Mode>,
    /// Why no request comes by; `None` where some may.
    pub(super) not_reached: Option<String>,
}

/// A route.
#[derive(Serialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) models: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) shared_state: bool,
    pub(super) strategy: config::route::Strategy,
    pub(super) targets: Vec<Target>,
    pub(super) retries: u32,
    pub(super) backoff: config::Duration,
    pub(super) attempt_timeout: config::Duration,
    pub(super) deadline: config::Duration,
    pub(super) idle_timeout: config::Duration,
    pub(super) stream_timeout: Option<config::Duration>,
    pub(super) commit: config::route::Commit,
    pub(super) fallback_on: Vec<String>,
    /// Names of the request members that are added.
    pub(super) params: Vec<String>,
}

/// A target.
#[derive(Serialize)]
pub(super) struct Target {
    pub(super) provider: String,
    pub(super) kind: &'static str,
    /// `None`: the one that the client asks for.
    pub(super) model: Option<String>,
    /// `None`: as for `model`.
    pub(super) embedding_model: Option<String>,
    pub(super) weight: u32,
    /// Whether it is asked only where no other target can be reached.
    pub(super) is_last_resort: bool,
}

/// A provider.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) kind: String,
    /// Scheme and authority of its base URL; `None` where it has none.
    pub(super) host: Option<String>,
    pub(super) has_key: bool,
    pub(super) forwards_auth: bool,
    pub(super) has_proxy: bool,
    pub(super) answers_by_itself: bool,
    /// Whether a route of this environment reaches it.
    pub(super) is_used: bool,
}

impl Report {
    pub(super) fn new(loaded: &Loaded, runtime: Option<&Runtime>) -> Self {
        let variables = loaded.variables.iter().map(|variable| Variable {
            name: variable.name.clone(),
            source: variable.origin.to_string(),
        });
        Self {
            environment: loaded.environment_name.clone(),
            variables: variables.collect(),
            compiled: runtime.map(|runtime| Compiled::new(loaded, runtime)),
        }
    }
}

impl Compiled {
    fn new(loaded: &Loaded, runtime: &Runtime) -> Self {
        let config = &loaded.config;
        let routes = runtime.routes.0.iter().filter_map(|route| {
            let table = config.routes.get(&route.name)?;
            Some(Route::new(route, table))
        });
        let providers = config
            .providers
            .iter()
            .map(|(name, table)| Upstream::new(name, table, runtime));
        Self {
            listeners: Listeners {
                clients: format!("http://{}/v1", config.server.listen),
                operators: format!("http://{}", config.admin.listen),
            },
            pipeline: pipeline(loaded, runtime),
            routes: routes.collect(),
            providers: providers.collect(),
            plugins: config
                .plugins
                .iter()
                .map(|(name, table)| Plugin::new(name, table, runtime))
                .collect(),
        }
    }
}

impl Plugin {
    fn new(name: &str, table: &config::Plugin, runtime: &Runtime) -> Self {
        let image = runtime.plugins.iter().find(|image| image.name == name);
        Self {
            name: name.to_owned(),
            is_pinned: table.sha256.is_some(),
            image: image.map(|image| PluginImage {
                version: image.version,
                sha256: image.sha256,
                stages: image.stages.iter().map(|kind| kind.kind).collect(),
                providers: image.providers.iter().map(|kind| kind.kind).collect(),
            }),
        }
    }
}

fn pipeline(loaded: &Loaded, runtime: &Runtime) -> Vec<Step> {
    let mut place = Place::AboveRoute;
    let step = |name: &String| {
        let Some(stage) = loaded.config.stages.get(name).filter(|_| name != "route") else {
            place = Place::BelowRoute;
            return Step {
                name: name.clone(),
                place: Place::Route,
                stage: None,
            };
        };
        let pipeline = &runtime.pipeline;
        let mut mounted = pipeline
            .above
            .stages()
            .iter()
            .chain(pipeline.below.stages());
        let cache = pipeline.cache.as_ref();
        let is_mounted = mounted.any(|mounted: &Mounted| *mounted.name == **name)
            || cache.is_some_and(|cache| *cache.name == **name);
        Step {
            name: name.clone(),
            place,
            stage: Some(StepStage::new(name, stage, is_mounted)),
        }
    };
    loaded.config.pipeline.iter().map(step).collect()
}

impl StepStage {
    fn new(name: &str, stage: &Stage, is_mounted: bool) -> Self {
        let providers = stage.when.provider.iter().flat_map(Patterns::iter);
        let providers: Vec<_> = providers.map(|name| format!("`{name}`")).collect();
        let kind = stage.kind.clone().unwrap_or_else(|| name.to_owned());
        let has_hooks = kind != cache::KIND;
        Self {
            kind,
            when: stage.when.clone(),
            on_error: has_hooks.then_some(stage.on_error),
            mode: has_hooks.then_some(stage.mode),
            not_reached: (!is_mounted).then(|| format!("no route uses {}", providers.join(" or "))),
        }
    }
}

impl Route {
    fn new(route: &route::Route, table: &config::Route) -> Self {
        let written = |globs: &[Glob]| globs.iter().map(|glob| glob.as_str().to_owned()).collect();
        Self {
            name: route.name.to_string(),
            models: written(&route.models),
            paths: written(&route.paths),
            shared_state: route.shared_state,
            strategy: table.strategy,
            targets: route
                .targets
                .iter()
                .map(|target| Target::new(target))
                .collect(),
            retries: table.retries,
            backoff: table.backoff,
            attempt_timeout: table.attempt_timeout,
            deadline: table.deadline,
            idle_timeout: table.idle_timeout,
            stream_timeout: table.stream_timeout,
            commit: table.commit,
            fallback_on: route.retry.fallback_on.entries(),
            params: table.params.keys().cloned().collect(),
        }
    }
}

impl Target {
    fn new(target: &target::Target) -> Self {
        let provider = &target.provider;
        let model = target.model.as_ref().or(provider.model.as_ref());
        let embedding = target.model.as_ref().or(provider.embedding_model.as_ref());
        Self {
            provider: provider.name.to_string(),
            kind: provider.codec.kind(),
            model: model.map(ToString::to_string),
            embedding_model: embedding.map(ToString::to_string),
            weight: target.weight,
            is_last_resort: provider.is_last_resort(),
        }
    }
}

impl Upstream {
    fn new(name: &str, table: &Provider, runtime: &Runtime) -> Self {
        let made = runtime
            .providers
            .iter()
            .find(|known| *known.made.name == *name);
        let has_key = table
            .api_key
            .as_ref()
            .is_some_and(|key| !key.expose().is_empty());
        Self {
            name: name.to_owned(),
            kind: table.kind.clone().unwrap_or_else(|| name.to_owned()),
            host: table.base_url.as_ref().and_then(|url| host(url.as_str())),
            has_key,
            forwards_auth: table.forward_auth,
            has_proxy: table.proxy.is_some(),
            answers_by_itself: made.is_some_and(|known| known.made.codec.answers()),
            is_used: made.is_some(),
        }
    }
}

/// `https://host:port` of a URL.
fn host(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}
