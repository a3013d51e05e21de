//! The pipeline: its stages made, its senseless orders told.

use std::{collections::BTreeSet, sync::Arc};

use millgate_plugin::{Host, Place};

use super::kinds::tell_unknown;
use super::providers::reached;
use crate::{
    config::{self, Loaded, Patterns, Section, Severity, stage::KEYS},
    nearest::nearest,
    pipeline::{
        Mode, Mounted, OnError, Phases, Pipeline, erased::ErasedStage, registry::StageKind,
        when::When,
    },
    routing::pattern::Glob,
    runtime::Runtime,
    stages::KINDS,
};

/// The element of the list at which targets are asked.
pub(super) const ROUTE: &str = "route";

/// The stages of the list.
pub(super) fn compile(loaded: &Loaded, previous: Option<&Runtime>, host: &Host) -> Pipeline {
    let mounting = Mounting {
        loaded,
        reached: reached(loaded),
        previous,
        host,
    };
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
            side.extend(mounting.mount(name, index, index < route_at));
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

/// What a stage is mounted with.
struct Mounting<'a> {
    loaded: &'a Loaded,
    /// The providers that routes ask.
    reached: BTreeSet<&'a str>,
    previous: Option<&'a Runtime>,
    host: &'a Host,
}

impl Mounting<'_> {
    fn mount(&self, name: &str, index: usize, is_above: bool) -> Option<Mounted> {
        let loaded = self.loaded;
        let Some(common) = loaded.config.stages.get(name) else {
            self.tell_missing(name, index);
            return None;
        };
        let kind = kind_of(loaded, name, common)?;
        let stands = self.check_place(name, index, kind.place, is_above);
        if is_above && common.when.provider.is_some() {
            let message = "above \"route\" no provider has been chosen yet";
            let place = ["stages", name, "when", "provider"];
            loaded.report(&place, Severity::Error, message, None);
        }
        let when = when(&common.when);
        let is_reached = when.provider.is_empty()
            || self
                .reached
                .iter()
                .any(|provider| when.provider.iter().any(|glob| glob.matches(provider)));
        if !is_reached {
            return None;
        }
        let section = loaded.section(&["stages", name])?;
        let table = section.node().clone();
        let stage = self.kept_or_made(name, kind, section)?;
        if stands {
            self.check_place(name, index, stage.place(), is_above);
        }
        Some(Mounted {
            name: name.into(),
            kind: kind.kind,
            table,
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

    /// The stage that the previous config had, where its table is the same; else a new one, which takes over from it.
    fn kept_or_made(
        &self,
        name: &str,
        kind: &StageKind,
        section: Section<'_>,
    ) -> Option<Arc<dyn ErasedStage>> {
        let old = self.previous.and_then(|previous| {
            let Pipeline { above, below } = &*previous.pipeline;
            let mut stages = above.stages().iter().chain(below.stages());
            stages.find(|old| &*old.name == name && old.kind == kind.kind)
        });
        if let Some(old) = old
            && old.table.says_the_same(section.node())
        {
            return Some(old.stage.clone());
        }
        let (common, own) = section.split(KEYS);
        let mode = common.read::<config::Stage>()?.mode;
        let host = self.host.with_shadow(mode == config::stage::Mode::Shadow);
        let stage = (kind.make)(name, &own, &host)?;
        if let Some(old) = old {
            stage.adopt(&*old.stage);
        }
        Some(stage)
    }

    fn tell_missing(&self, name: &str, index: usize) {
        let stages = &self.loaded.config.stages;
        let help = nearest(name, stages.names()).map_or_else(
            || format!("add [stages.{name}], or take it out"),
            |near| format!("did you mean `{near}`?"),
        );
        let place = ["pipeline", &index.to_string()];
        let message = format!("there is no stage `{name}`");
        self.loaded
            .report(&place, Severity::Error, message, Some(help));
    }

    /// Whether a stage may stand where it does.
    fn check_place(&self, name: &str, index: usize, place: Place, is_above: bool) -> bool {
        let message = match (place, is_above) {
            (Place::AboveRoute, false) => format!("`{name}` must stand above \"route\""),
            (Place::BelowRoute, true) => {
                format!("`{name}` must stand after \"route\": it acts on every attempt")
            }
            _ => return true,
        };
        let place = ["pipeline", &index.to_string()];
        self.loaded.report(&place, Severity::Error, message, None);
        false
    }
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
