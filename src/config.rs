//! What TOML may say: one file per table, and the way from bytes to checked values.
//!
//! The way: [`load::load`] reads the file and the `.env` beside it, lays `[environment.NAME]` over the rest
//! ([`tree`]), resolves `${…}` ([`placeholder`]) and reads table by table ([`read`]). Every node keeps its place in
//! the file, so that whatever is wrong is told with a caret ([`finding`]), all of it at once.

pub mod admin;
pub mod caller;
pub mod dotenv;
pub mod finding;
pub mod ledger;
pub mod load;
pub mod log;
pub mod moment;
pub mod patterns;
pub mod placeholder;
pub mod plugin;
pub mod price;
pub mod provider;
pub mod read;
pub mod route;
pub mod schema;
pub mod secret;
pub mod server;
pub mod shown;
pub mod stage;
pub mod traces;
pub mod tree;
pub mod url;

use std::collections::BTreeMap;

pub use millgate_plugin::units::{Duration, Rate, Size};
use schemars::JsonSchema;

pub use admin::Admin;
pub use caller::Caller;
pub use finding::{Finding, Findings, Severity};
pub use ledger::Ledger;
pub use load::{Loaded, load};
pub use log::Log;
pub use patterns::Patterns;
pub use plugin::Plugin;
pub use price::Price;
pub use provider::Provider;
pub use read::Section;
pub use route::Route;
pub use secret::Secret;
pub use server::Server;
pub use stage::Stage;
pub use traces::Traces;

/// The whole file, as far as the host itself reads it. What is left of a `[stages.NAME]` or `[providers.NAME]`
/// table belongs to its kind and is read through [`Loaded::section`].
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Config {
    /// Order of the stages, by name. What stands above `"route"` sees each request once; what stands below it
    /// sees every attempt with its target chosen. Default: `["route"]`.
    #[schemars(default = "default_pipeline")]
    pub pipeline: Vec<String>,
    /// The listener for clients.
    #[schemars(default)]
    pub server: Server,
    /// The listener for operators.
    #[schemars(default)]
    pub admin: Admin,
    /// What is logged, and how.
    #[schemars(default)]
    pub log: Log,
    /// Where every exchange is written down, with its tokens and what it cost.
    #[schemars(default)]
    pub ledger: Ledger,
    /// Where spans of exchanges are sent.
    #[schemars(default)]
    pub traces: Traces,
    /// Libraries with further kinds of stages and providers, by name, in the order of the file.
    #[schemars(default, with = "BTreeMap<String, Plugin>")]
    pub plugins: Entries<Plugin>,
    /// Upstreams by name, in the order of the file.
    #[schemars(default, with = "BTreeMap<String, Provider>")]
    pub providers: Entries<Provider>,
    /// Stages by name, in the order of the file.
    #[schemars(default, with = "BTreeMap<String, Stage>")]
    pub stages: Entries<Stage>,
    /// Who may call, by id, in the order of the file; those of `[server] callers_file` come after them.
    #[schemars(default, with = "BTreeMap<String, Caller>")]
    pub callers: Entries<Caller>,
    /// Rules from requested models to targets, by name, in the order of the file.
    #[schemars(default, with = "BTreeMap<String, Route>")]
    pub routes: Entries<Route>,
    /// Prices by model, over the gateway's own list.
    #[schemars(default, with = "BTreeMap<String, Price>")]
    pub prices: Entries<Price>,
}

/// The keys of the file's top level, `environment` among them.
pub const KEYS: &[&str] = &[
    "pipeline",
    "server",
    "admin",
    "log",
    "ledger",
    "traces",
    "plugins",
    "providers",
    "stages",
    "callers",
    "routes",
    "prices",
    "environment",
];

fn default_pipeline() -> Vec<String> {
    vec!["route".to_owned()]
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pipeline: default_pipeline(),
            server: Server::default(),
            admin: Admin::default(),
            log: Log::default(),
            ledger: Ledger::default(),
            traces: Traces::default(),
            plugins: Entries::default(),
            providers: Entries::default(),
            stages: Entries::default(),
            callers: Entries::default(),
            routes: Entries::default(),
            prices: Entries::default(),
        }
    }
}

/// Named tables in the order of the file; names are unique.
#[derive(Clone, Debug)]
pub struct Entries<T>(Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(String, T)> for Entries<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T> Entries<T> {
    /// The entry of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(key, _)| *key == name).map(|(_, t)| t)
    }

    /// Names and entries in the order of the file.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &T)> + ExactSizeIterator {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names in the order of the file.
    #[must_use]
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.iter().map(|(name, _)| name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
