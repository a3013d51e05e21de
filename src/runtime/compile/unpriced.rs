//! Budgets in money that cannot see what is spent: models without a price.

use millgate_plugin::Stage as _;

use crate::{
    config::{Loaded, Severity, Stage},
    routing::{
        pattern::Glob,
        route::{Route, Routes},
        target::Target,
    },
    stages::rate_limit::RateLimit,
};

/// So many models are named, and the others are counted.
const NAMED: usize = 3;

/// Warns of each stage with such a budget. Those of which `when` leaves out models, paths or providers are taken to
/// mean it.
pub(super) fn check(loaded: &Loaded, routes: &Routes) {
    let mut unpriced: Vec<String> = Vec::new();
    for route in &routes.0 {
        for model in route
            .targets
            .iter()
            .flat_map(|target| without(route, target))
        {
            if !unpriced.contains(&model) {
                unpriced.push(model);
            }
        }
    }
    if unpriced.is_empty() {
        return;
    }
    for name in &loaded.config.pipeline {
        let stage = loaded.config.stages.get(name);
        let Some(place) = stage.and_then(|stage| budget(loaded, name, stage)) else {
            continue;
        };
        let more = match unpriced.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let models = unpriced[..unpriced.len().min(NAMED)].join(", ");
        loaded.report_key(
            &place,
            Severity::Warning,
            format!(
                "there is no price of {models}{more}, so that this budget never sees what they cost"
            ),
            Some("add [prices.\"MODEL\"], with `input = 0` where it costs nothing".to_owned()),
        );
    }
}

/// Where a stage says what may be spent in money.
fn budget(loaded: &Loaded, name: &str, stage: &Stage) -> Option<Vec<String>> {
    let when = &stage.when;
    let is_limit = stage.kind.as_deref().unwrap_or(name) == RateLimit::KIND;
    let is_for_all = when.model.is_none() && when.path.is_none() && when.provider.is_none();
    if !is_limit || !is_for_all {
        return None;
    }
    let place = |steps: &[&str]| -> Vec<String> {
        let all = [&["stages", name], steps, &["budget", "usd"]].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let own = Some(place(&[]));
    let further = (0_usize..).map_while(|index| {
        let index = index.to_string();
        loaded.tree.at(&["stages", name, "limits", &index])?;
        Some(place(&["limits", &index]))
    });
    let mut places = own.into_iter().chain(further);
    places.find(|place| loaded.tree.at(place).is_some())
}

/// The models without a price that a target is known to ask for.
fn without(route: &Route, target: &Target) -> Vec<String> {
    let provider = &target.provider;
    if provider.codec.answers() {
        return Vec::new();
    }
    let of = |model: &str| format!("`{model}` of `{}`", provider.name);
    if target.prices.is_empty() && target.model.is_none() && provider.model.is_none() {
        return vec![format!("any model of `{}`", provider.name)];
    }
    let chosen = target.model.as_ref().or(provider.model.as_ref());
    let embedding = provider
        .embedding_model
        .as_ref()
        .filter(|_| target.model.is_none());
    let asked = route
        .models
        .iter()
        .filter(|glob| chosen.is_none() && glob.is_exact());
    let fixed = chosen.into_iter().chain(embedding).map(|model| &**model);
    fixed
        .chain(asked.map(Glob::as_str))
        .filter(|model| target.prices.of(model).is_none())
        .map(of)
        .collect()
}
