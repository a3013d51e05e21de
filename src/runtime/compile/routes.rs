//! Routes: their targets resolved, their senseless combinations told.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{fingerprint, providers::provider_of};
use crate::{
    config::{self, Loaded, Severity, route as table},
    nearest::nearest,
    prices::{PriceLists, Prices},
    routing::{
        balance::{InFlight, Strategy},
        pattern::Glob,
        provider::Provider,
        retry::{FallbackOn, RetryPolicy},
        route::{Commit, Route, Routes},
        target::{Params, Target},
    },
    runtime::Compiled,
};

/// Every route, in the order of the file.
pub(super) fn compile(loaded: &Loaded, providers: &[Compiled<Provider>]) -> Routes {
    let configured = Prices::configured(loaded.config.prices.iter());
    let prices = PriceLists {
        charged: Arc::new(configured.clone().over_list()),
        own: Arc::new(configured),
    };
    if loaded.config.routes.is_empty() && !loaded.findings.has_errors() {
        loaded.report::<&str>(
            &[],
            Severity::Error,
            "there is no route, so that nothing can be served",
            Some("add [routes.default] with targets = [\"…\"]".to_owned()),
        );
    }
    let routes: Vec<_> = loaded
        .config
        .routes
        .iter()
        .filter_map(|(name, route)| {
            compile_route(loaded, (providers, &prices), name, route).map(Arc::new)
        })
        .collect();
    warn_of_shadowed(loaded);
    Routes(routes)
}

fn compile_route(
    loaded: &Loaded,
    made: (&[Compiled<Provider>], &PriceLists),
    name: &str,
    route: &config::Route,
) -> Option<Route> {
    if route.targets.is_empty() {
        loaded.report_key(
            &["routes", name],
            Severity::Error,
            "the route has no targets",
            Some("add targets = [\"provider\"]".to_owned()),
        );
        return None;
    }
    if route.shared_state {
        let message = "callers of this route share the provider's key, and see each other's files, batches and stored responses";
        loaded.report(
            &["routes", name, "shared_state"],
            Severity::Warning,
            message,
            None,
        );
        if route.paths.is_empty() {
            let help = Some("name the paths: paths = [\"/v1/files*\"]".to_owned());
            loaded.report(
                &["routes", name, "shared_state"],
                Severity::Error,
                "shared_state needs `paths`",
                help,
            );
        }
    }
    let fallback_on = fallback_on(loaded, name, route)?;
    let targets: Vec<_> = route
        .targets
        .iter()
        .enumerate()
        .map(|(index, target)| compile_target(loaded, made, name, index, target))
        .collect::<Vec<_>>()
        .into_iter()
        .collect::<Option<_>>()?;
    let mut compiled = Route {
        name: name.into(),
        models: route.model.iter().map(Glob::new).collect(),
        paths: route.paths.iter().map(|path| Glob::new(path)).collect(),
        shared_state: route.shared_state,
        targets,
        strategy: match route.strategy {
            table::Strategy::Fallback => Strategy::Fallback,
            table::Strategy::Weighted => Strategy::Weighted,
            table::Strategy::LeastBusy => Strategy::LeastBusy,
        },
        retry: RetryPolicy {
            retries: route.retries,
            backoff_base: route.backoff.get(),
            fallback_on,
            ..RetryPolicy::default()
        },
        attempt_timeout: route.attempt_timeout.get(),
        deadline: route.deadline.get(),
        idle_timeout: route.idle_timeout.get(),
        stream_timeout: route.stream_timeout.map(config::Duration::get),
        commit: match route.commit {
            table::Commit::Content => Commit::Content,
            table::Commit::Head => Commit::Head,
        },
        params: params(&route.params),
        fingerprint: [0; 32],
    };
    compiled.fingerprint = fingerprint::of_route(&compiled, made.0);
    Some(compiled)
}

/// Each entry by itself, so that the caret stands at the one that means nothing.
fn fallback_on(loaded: &Loaded, name: &str, route: &config::Route) -> Option<FallbackOn> {
    let Some(entries) = &route.fallback_on else {
        return Some(FallbackOn::default());
    };
    for (index, entry) in entries.iter().enumerate() {
        if let Err(error) = FallbackOn::parse(&[entry]) {
            let place = ["routes", name, "fallback_on", &index.to_string()];
            loaded.report(&place, Severity::Error, error, None);
        }
    }
    FallbackOn::parse(entries).ok()
}

fn compile_target(
    loaded: &Loaded,
    (providers, prices): (&[Compiled<Provider>], &PriceLists),
    route: &str,
    index: usize,
    target: &table::Target,
) -> Option<Arc<Target>> {
    let place = ["routes", route, "targets", &index.to_string()];
    let provider_name = provider_of(loaded, target);
    if loaded.config.providers.get(provider_name).is_none() {
        let help = nearest(provider_name, loaded.config.providers.names())
            .map(|near| format!("did you mean `{near}`?"));
        loaded.report(
            &place,
            Severity::Error,
            format!("there is no provider `{provider_name}`"),
            help,
        );
        return None;
    }
    let provider = providers
        .iter()
        .find(|known| &*known.made.name == provider_name)?
        .made
        .clone();
    if provider.is_last_resort() && loaded.environment_name == "production" {
        let help = Some("give production targets of its own: [environment.production.routes.NAME] targets = […]".to_owned());
        loaded.report(
            &place,
            Severity::Error,
            "the rehearsal provider does not answer in production",
            help,
        );
        return None;
    }
    let (model, weight, own) = match target {
        table::Target::Table(table) => (table.model.clone(), table.weight, params(&table.params)),
        table::Target::Name(name) => (
            name.strip_prefix(provider_name)
                .and_then(|rest| rest.strip_prefix('/'))
                .map(str::to_owned),
            1,
            Params::new(),
        ),
    };
    let prices = if provider.codec.charges() {
        prices.charged.clone()
    } else {
        prices.own.clone()
    };
    Some(Arc::new(Target {
        provider,
        model: model.map(Into::into),
        weight,
        params: own,
        busy: InFlight::default(),
        prices,
    }))
}

fn params(table: &Map<String, Value>) -> Params {
    table
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.to_string().into()))
        .collect()
}

/// Of two routes with the same pattern and no paths the second is never asked.
fn warn_of_shadowed(loaded: &Loaded) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (name, route) in loaded
        .config
        .routes
        .iter()
        .filter(|(_, route)| route.paths.is_empty())
    {
        for pattern in route.model.iter() {
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == pattern) {
                let message =
                    format!("the route `{first}` is for `{pattern}` already and comes first");
                loaded.report_key(&["routes", name], Severity::Warning, message, None);
            } else {
                seen.push((pattern, name));
            }
        }
    }
}
