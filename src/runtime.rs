//! The compiled, immutable whole: what a config means, ready to serve. An exchange keeps the one it began with.

pub mod compile;
pub mod gateway;
pub mod host;

use std::sync::Arc;

use crate::{
    admin::access::Token,
    api::{budget::Budget, models::ModelLists, read::Limits},
    callers::Callers,
    config::tree::Node,
    http::guard::Guard,
    ledger,
    pipeline::Pipeline,
    plugin::image::Image,
    routing::{provider::Provider, route::Routes},
    telemetry::{filter::Filter, observer::Observer, traces::settings::Settings},
};

pub use crate::config::server::Expose;

/// One config, compiled.
pub struct Runtime {
    /// Counts the configs that this process has served, from 1.
    pub generation: u64,
    /// The environment whose overlay is in force.
    pub environment: String,
    /// The stages.
    pub pipeline: Arc<Pipeline>,
    /// The rules.
    pub routes: Routes,
    /// The providers that a route reaches, each with the table it was made from.
    pub providers: Vec<Compiled<Provider>>,
    /// The libraries that the config names, in its order.
    pub plugins: Vec<&'static Image>,
    /// Who may connect.
    pub guard: Guard,
    /// Who may call.
    pub callers: Callers,
    /// What clients may send.
    pub limits: Limits,
    /// What all collected bodies together take, whichever runtime their exchange began with.
    pub budget: Arc<Budget>,
    /// Whether replies tell of providers and attempts.
    pub expose: Expose,
    /// What logs may not show.
    pub filter: Arc<Filter>,
    /// Who is told of exchanges that have ended, whichever runtime they began with.
    pub observer: Arc<Observer>,
    /// How exchanges are written down.
    pub ledger: ledger::Settings,
    /// Where spans of its exchanges go; `None` where none are made.
    pub traces: Option<Arc<Settings>>,
    /// What the providers have listed.
    pub models: ModelLists,
    /// What operators have to show; `None` where nothing is asked of them.
    pub admin_token: Option<Token>,
    /// The config it was compiled from, less all secrets.
    pub shown: serde_json::Value,
}

/// Something made from a table of the config; while the table and the library stay the same, so does it.
pub struct Compiled<T: ?Sized> {
    /// The table, resolved.
    pub table: Node,
    /// The SHA-256 of the library that its kind comes from; `None` where that is linked in.
    pub image: Option<&'static str>,
    /// What was made of it.
    pub made: Arc<T>,
}
