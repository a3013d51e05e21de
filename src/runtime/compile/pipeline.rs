//! The pipeline: its stages made, its senseless orders told.

use std::{collections::BTreeSet, sync::Arc};

use millgate_plugin::Place;

use super::kinds::tell_unknown;
use super::providers::reached;
use crate::{
    config::{self, Loaded, Patterns, Severity, stage::KEYS},
    nearest::nearest,
    pipeline::{
        Mode, Mounted, OnError, Phases, Pipeline, erased::ErasedStage, registry::StageKind,
        when::When,
    },
    routing::pattern::Glob,
    stages::KINDS,
};

/// The element of the list at which targets are asked.
const ROUTE: &str = "route";

/// The stages of the list.
pub(super) fn compile(loaded: &Loaded) -> Pipeline {
    let reached = reached(loaded);
    let list = &loaded.config.pipeline;
    let Some(route_at) = list.iter().position(|name| name == ROUTE) else {
        loaded.report(
            &["pipeline"],
            Severity::Error,
            "the pipeline has no \"route\", so that nothing is ever asked",
            None,
        );
        return Pipeline::default();
    };
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (index, name) in list.iter().enumerate() {
        if list[..index].contains(name) {
            let place = ["pipeline", &index.to_string()];
            loaded.report(
                &place,
                Severity::Error,
                format!("`{name}` stands in the pipeline already"),
                None,
            );
        } else if index != route_at {
            let side = if index < route_at {
                &mut above
            } else {
                &mut below
            };
            side.extend(mount(loaded, &reached, name, index, index < route_at));
        }
    }
    for name in loaded
        .config
        .stages
        .names()
        .filter(|name| !list.iter().any(|listed| listed == name))
    {
        let help = Some("add its name to `pipeline`".to_owned());
        loaded.report_key(
            &["stages", name],
            Severity::Warning,
            format!("the stage `{name}` is not in the pipeline"),
            help,
        );
    }
    Pipeline {
        above: Phases::new(above),
        below: Phases::new(below),
    }
}

fn mount(
    loaded: &Loaded,
    reached: &BTreeSet<&str>,
    name: &str,
    index: usize,
    is_above: bool,
) -> Option<Mounted> {
    let place = ["pipeline", &index.to_string()];
    let Some(common) = loaded.config.stages.get(name) else {
        let help = nearest(name, loaded.config.stages.names()).map_or_else(
            || format!("add [stages.{name}], or take it out"),
            |near| format!("did you mean `{near}`?"),
        );
        loaded.report(
            &place,
            Severity::Error,
            format!("there is no stage `{name}`"),
            Some(help),
        );
        return None;
    };
    let kind = kind_of(loaded, name, common)?;
    match (kind.place, is_above) {
        (Place::AboveRoute, false) => {
            loaded.report(
                &place,
                Severity::Error,
                format!("`{name}` must stand above \"route\""),
                None,
            );
        }
        (Place::BelowRoute, true) => {
            loaded.report(
                &place,
                Severity::Error,
                format!("`{name}` must stand after \"route\": it acts on every attempt"),
                None,
            );
        }
        _ => {}
    }
    if is_above && common.when.provider.is_some() {
        let message = "above \"route\" no provider has been chosen yet";
        loaded.report(
            &["stages", name, "when", "provider"],
            Severity::Error,
            message,
            None,
        );
    }
    let when = when(&common.when);
    let is_reached = when.provider.is_empty()
        || reached
            .iter()
            .any(|provider| when.provider.iter().any(|glob| glob.matches(provider)));
    if !is_reached {
        return None;
    }
    let stage = make(loaded, name, kind)?;
    Some(Mounted {
        name: name.into(),
        when,
        on_error: match common.on_error {
            config::stage::OnError::Fail => OnError::Fail,
            config::stage::OnError::Skip => OnError::Skip,
        },
        mode: match common.mode {
            config::stage::Mode::Enforce => Mode::Enforce,
            config::stage::Mode::Shadow => Mode::Shadow,
        },
        hooks: stage.hooks(),
        stage,
    })
}

fn make(loaded: &Loaded, name: &str, kind: &StageKind) -> Option<Arc<dyn ErasedStage>> {
    let (host, own) = loaded.section(&["stages", name])?.split(KEYS);
    let _ = host.read::<config::Stage>()?;
    (kind.make)(name, &own)
}

fn kind_of(loaded: &Loaded, name: &str, common: &config::Stage) -> Option<&'static StageKind> {
    let kind = common.kind.as_deref().unwrap_or(name);
    let found = KINDS.iter().find(|known| known.kind == kind);
    if found.is_none() {
        let known = KINDS.iter().map(|known| known.kind);
        tell_unknown(
            loaded,
            ("stages", name, "stage"),
            common.kind.as_deref(),
            known,
        );
    }
    found
}

fn when(table: &config::stage::When) -> When {
    let globs = |patterns: &Option<Patterns>| {
        patterns
            .iter()
            .flat_map(Patterns::iter)
            .map(Glob::new)
            .collect()
    };
    When {
        provider: globs(&table.provider),
        model: globs(&table.model),
        path: globs(&table.path),
        caller: globs(&table.caller),
        team: globs(&table.team),
    }
}
