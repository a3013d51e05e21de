//! The pipeline: its stages made, its senseless orders told.

use std::{collections::BTreeSet, sync::Arc};

use millgate_plugin::{Host, Place};

use super::{fingerprint, kinds::Kinds, providers::reached};
use crate::{
    cache::{self, Cache, disk::Disk},
    config::{self, Loaded, Patterns, Section, Severity, stage::KEYS},
    nearest::nearest,
    pipeline::{
        Mode, Mounted, OnError, Phases, Pipeline,
        erased::ErasedStage,
        registry::{Make, MakeStage, StageKind},
        verdicts::Verdicts,
        when::When,
    },
    routing::pattern::Glob,
    runtime::{Runtime, host::Process},
};

/// The element of the list at which targets are asked.
pub(super) const ROUTE: &str = "route";

/// The stages of the list.
pub(super) fn compile(
    loaded: &Loaded,
    kinds: &Kinds<'_>,
    previous: Option<&Runtime>,
    process: &Process,
) -> Pipeline {
    let mounting = Mounting {
        loaded,
        kinds,
        reached: reached(loaded),
        previous,
        host: &process.host,
        disk: &process.disk,
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
    let (mut above, mut cache, mut below) = (Vec::new(), None, Vec::new());
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
            match mounting.mount(name, index, route_at) {
                Some(Element::Stage(stage)) if index < route_at => above.push(*stage),
                Some(Element::Stage(stage)) => below.push(*stage),
                Some(Element::Cache(made)) => cache = Some(made),
                None => {}
            }
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
        cache,
        fingerprint: fingerprint::of_stages(&below),
        below: Phases::new(below),
    }
}

/// An element of the list, made.
enum Element {
    Stage(Box<Mounted>),
    Cache(Arc<Cache>),
}

/// What a stage is mounted with.
struct Mounting<'a> {
    loaded: &'a Loaded,
    kinds: &'a Kinds<'a>,
    /// The providers that routes ask.
    reached: BTreeSet<&'a str>,
    previous: Option<&'a Runtime>,
    host: &'a Host,
    /// Where a cache may keep what is to survive a restart.
    disk: &'a Arc<Disk>,
}

impl Mounting<'_> {
    fn mount(&self, name: &str, index: usize, route_at: usize) -> Option<Element> {
        let loaded = self.loaded;
        let is_above = index < route_at;
        let Some(common) = loaded.config.stages.get(name) else {
            self.tell_missing(name, index);
            return None;
        };
        let kind = self.kinds.of_stage(loaded, name, common)?;
        let stands = self.check_place(name, index, kind.place, is_above);
        if is_above && common.when.provider.is_some() {
            let message = "above \"route\" no provider has been chosen yet";
            let place = ["stages", name, "when", "provider"];
            loaded.report(&place, Severity::Error, message, None);
        }
        let when = when(&common.when);
        let make = match kind.make {
            Make::Stage(make) => make,
            Make::Cache => {
                let made = self.cache(name, when, (index, route_at));
                return made.map(Element::Cache);
            }
        };
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
        let stage = self.kept_or_made(name, kind, make, section)?;
        if stands {
            self.check_place(name, index, stage.place(), is_above);
        }
        Some(Element::Stage(Box::new(Mounted {
            name: name.into(),
            kind: kind.kind,
            image: kind.image,
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
            verdicts: self.verdicts(name),
            hooks: stage.hooks(),
            stage,
        })))
    }

    /// What was counted of a stage of this name goes on, whatever else is new about it.
    fn verdicts(&self, name: &str) -> Arc<Verdicts> {
        let before = self.previous.and_then(|previous| {
            let mut stages = previous.pipeline.stages();
            stages.find(|stage| *stage.name == *name)
        });
        before.map_or_else(Arc::default, |stage| stage.verdicts.clone())
    }

    /// The cache that the previous config had, where its table is the same; else a new one, which takes over from it.
    fn cache(&self, name: &str, when: When, place: (usize, usize)) -> Option<Arc<Cache>> {
        self.check_cache(name, place);
        let section = self.loaded.section(&["stages", name])?;
        let table = section.node().clone();
        let old = self
            .previous
            .and_then(|previous| previous.pipeline.cache.as_ref());
        if let Some(old) = old
            && *old.name == *name
            && old.table.says_the_same(&table)
        {
            return Some(old.clone());
        }
        let (common, own) = section.split(KEYS);
        let _ = common.read::<config::Stage>()?;
        let config = own.read::<cache::config::Config>()?;
        Some(Arc::new(Cache::new(
            name,
            when,
            (table, config),
            self.disk.clone(),
            old.map(|old| &**old),
        )))
    }

    /// It stands right above `route`, and has nothing to refuse or to fail with.
    fn check_cache(&self, name: &str, (index, route_at): (usize, usize)) {
        let loaded = self.loaded;
        if index < route_at && index + 1 != route_at {
            let place = ["pipeline", &index.to_string()];
            let between = &loaded.config.pipeline[index + 1];
            loaded.report(
                &place,
                Severity::Error,
                format!("`{name}` must stand right above \"route\": what `{between}` does to a request would not be in its keys"),
                Some(format!("put `{name}` between the last stage and \"route\"")),
            );
        }
        for key in ["mode", "on_error"] {
            let place = ["stages", name, key];
            if loaded.tree.at(&place).is_some() {
                loaded.report_key(
                    &place,
                    Severity::Error,
                    format!(
                        "`{key}` means nothing to a cache, which never refuses and never fails"
                    ),
                    Some("take it out".to_owned()),
                );
            }
        }
    }

    /// The stage that the previous config had, where its table and library are the same; else a new one, which takes over
    /// from it, unless that is of another library.
    fn kept_or_made(
        &self,
        name: &str,
        kind: &StageKind,
        make: &MakeStage,
        section: Section<'_>,
    ) -> Option<Arc<dyn ErasedStage>> {
        let old = self.previous.and_then(|previous| {
            let Pipeline { above, below, .. } = &*previous.pipeline;
            let mut stages = above.stages().iter().chain(below.stages());
            stages
                .find(|old| *old.name == *name && old.kind == kind.kind && old.image == kind.image)
        });
        if let Some(old) = old
            && old.table.says_the_same(section.node())
        {
            return Some(old.stage.clone());
        }
        let (common, own) = section.split(KEYS);
        let mode = common.read::<config::Stage>()?.mode;
        let host = self.host.with_shadow(mode == config::stage::Mode::Shadow);
        let stage = make(name, &own, &host)?;
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
