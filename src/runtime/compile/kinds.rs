//! Which kind a stage or a provider is: what its table says, else the table's name.

use std::collections::BTreeSet;

use crate::{
    config::{self, Loaded, Severity},
    nearest::nearest,
    pipeline::registry::StageKind,
    plugin::image::Image,
    providers::{self, ProviderKind},
    stages,
};

/// All kinds that a config can name.
#[derive(Default)]
pub(super) struct Kinds<'a> {
    /// The libraries that the config names, in its order.
    pub(super) images: Vec<&'static Image>,
    /// Plugins whose kinds are not known, because they could not be loaded or were not to be.
    pub(super) withheld: BTreeSet<&'a str>,
}

impl Kinds<'_> {
    /// The kind of this stage; `None` after telling that it does not exist.
    pub(super) fn of_stage(
        &self,
        loaded: &Loaded,
        name: &str,
        table: &config::Stage,
    ) -> Option<&'static StageKind> {
        let of_plugins = self.images.iter().flat_map(|image| &image.stages);
        let mut known = stages::KINDS.iter().chain(of_plugins);
        let asked = Asked {
            table: "stages",
            name,
            thing: "stage",
            given: table.kind.as_deref(),
        };
        let names = known.clone().map(|known| known.kind);
        let found = known.find(|known| known.kind == asked.kind());
        found.or_else(|| self.tell_unknown(loaded, &asked, names))
    }

    /// The kind of this provider; `None` after telling that it does not exist.
    pub(super) fn of_provider(
        &self,
        loaded: &Loaded,
        name: &str,
        table: &config::Provider,
    ) -> Option<&'static ProviderKind> {
        let of_plugins = self.images.iter().flat_map(|image| &image.providers);
        let mut known = providers::KINDS.iter().chain(of_plugins);
        let asked = Asked {
            table: "providers",
            name,
            thing: "provider",
            given: table.kind.as_deref(),
        };
        let names = known.clone().map(|known| known.kind);
        let found = known.find(|known| known.kind == asked.kind());
        found.or_else(|| self.tell_unknown(loaded, &asked, names))
    }

    /// Tells that there is no such kind, unless it is of a plugin whose kinds are not known.
    fn tell_unknown<'k, T>(
        &self,
        loaded: &Loaded,
        asked: &Asked<'_>,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> Option<T> {
        let kind = asked.kind();
        let plugin = kind.split_once('/').map(|(plugin, _)| plugin);
        if plugin.is_some_and(|plugin| self.withheld.contains(plugin)) {
            return None;
        }
        let help = match (nearest(kind, known.clone()), plugin) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(plugin)) if loaded.config.plugins.get(plugin).is_none() => {
                format!("name the library that has it: [plugins.{plugin}] with its `path`")
            }
            _ => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there is no {} kind `{kind}`", asked.thing);
        let (table, name) = (asked.table, asked.name);
        if asked.given.is_some() {
            loaded.report(&[table, name, "kind"], Severity::Error, message, Some(help));
        } else {
            loaded.report_key(&[table, name], Severity::Error, message, Some(help));
        }
        None
    }
}

/// A table that is of some kind.
struct Asked<'a> {
    /// `stages` or `providers`.
    table: &'a str,
    name: &'a str,
    /// What the table is one of, in words.
    thing: &'a str,
    /// What it says that it is.
    given: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn kind(&self) -> &'a str {
        self.given.unwrap_or(self.name)
    }
}
