//! `[stages.NAME]` of the kind `cache`.

use std::time::Duration as Time;

use millgate_plugin::units::{Duration, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps whole answers and gives them again, and lets identical requests that are under way share one call to the
/// upstream. It stands right above `route`, so that a key covers all that other stages did to a request. It has no
/// `mode` and no `on_error`: it never refuses and never fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The most that is kept in memory, all answers together. Default: `"64MiB"`.
    pub max_size: Size,
    /// The largest answer that is kept, and the most that readers of one call may be apart. Default: `"1MiB"`.
    pub max_entry_size: Size,
    /// How long an answer is fresh. Default: `"10m"`.
    pub ttl: Duration,
    /// Who shares answers: `"caller"`, nobody but the caller itself (its address where no stage says who is calling);
    /// `"team"`, the callers of a team; `"all"`. Default: `"caller"`.
    pub scope: Scope,
    /// Whose answers are kept and shared: `"deterministic"`, those of requests with a temperature of 0 or a seed and of
    /// embeddings, without tool calls and with one choice; `"always"`, all. Default: `"deterministic"`.
    pub cacheable: Cacheable,
    /// Whether answers are kept that another target gave than the one asked first. Default: false.
    pub cache_fallbacks: bool,
    /// Whether white space, and the order of members below the top level, make no difference. Costs a walk over the
    /// whole request. Default: false.
    pub canonical: bool,
    /// How long after its time an answer is still given while a new one is fetched. Default: `"0s"`, not at all.
    pub stale_while_revalidate: Duration,
    /// How long after its time an answer is given where no new one can be had. Default: `"0s"`, not at all.
    pub stale_if_error: Duration,
    /// The most that is kept on disk as well, in the folder `cache` of `[server] state_dir`, so that it survives a restart.
    /// What is read from there at the start is no more than `max_size`. Default: nothing is kept on disk.
    pub disk: Option<Size>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_size: Size::from_mib(64),
            max_entry_size: Size::from_mib(1),
            ttl: Duration::from_secs(600),
            scope: Scope::Caller,
            cacheable: Cacheable::Deterministic,
            cache_fallbacks: false,
            canonical: false,
            stale_while_revalidate: Duration::from_secs(0),
            stale_if_error: Duration::from_secs(0),
            disk: None,
        }
    }
}

impl Config {
    /// How long after its time an answer may still be of use.
    #[must_use]
    pub fn grace(&self) -> Time {
        self.stale_while_revalidate
            .get()
            .max(self.stale_if_error.get())
    }

    /// What decides which answers are kept, and for whom.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            scope: self.scope,
            cacheable: self.cacheable,
            canonical: self.canonical,
            cache_fallbacks: self.cache_fallbacks,
        }
    }
}

/// What was kept under other rules is not given under these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Who shares answers.
    pub scope: Scope,
    /// Whose answers are kept.
    pub cacheable: Cacheable,
    /// Whether white space and nested order make no difference.
    pub canonical: bool,
    /// Whether answers of other targets than the first are kept.
    pub cache_fallbacks: bool,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Nobody but the caller itself.
    #[default]
    Caller,
    /// The callers of a team; one without a team shares with nobody.
    Team,
    /// Everybody.
    All,
}

/// Whose answers are kept and shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cacheable {
    /// Those that would be the same if the question were asked again.
    #[default]
    Deterministic,
    /// All of them.
    Always,
}
