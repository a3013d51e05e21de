//! The paths of the operators' listener.

use http::Method;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Health,
    Readiness,
    SessionState,
    SignIn,
    SignOut,
    Status,
    History,
    Exchanges,
    Exchange,
    Events,
    Usage,
    Config,
    Cache,
    Purge,
    Plugins,
    Reload,
    Metrics,
    Document,
    Page,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody who reaches the listener.
    Public,
    /// Whoever shows the token, or a session, where there is a token.
    Operators,
}

use Access::{Operators, Public};

/// A path, what may be done to it, and by whom. `{id}` stands for one part of a path.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) methods: &'static [(Method, Action)],
    /// The methods as `allow` names them.
    pub(super) allow: &'static str,
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

/// Every path there is. HEAD is taken wherever GET is.
#[rustfmt::skip]
pub(super) static TABLE: &[Route] = &[
    read("/healthz",            Public,    &[(GET, Action::Health)]),
    read("/readyz",             Public,    &[(GET, Action::Readiness)]),
    Route { path: "/api/session", access: Public, allow: "GET, HEAD, POST, DELETE", methods:
        &[(GET, Action::SessionState), (POST, Action::SignIn), (DELETE, Action::SignOut)] },
    read("/api/status",         Operators, &[(GET, Action::Status)]),
    read("/api/history",        Operators, &[(GET, Action::History)]),
    read("/api/exchanges",      Operators, &[(GET, Action::Exchanges)]),
    read("/api/exchanges/{id}", Operators, &[(GET, Action::Exchange)]),
    read("/api/events",         Operators, &[(GET, Action::Events)]),
    read("/api/usage",          Operators, &[(GET, Action::Usage)]),
    read("/api/config",         Operators, &[(GET, Action::Config)]),
    read("/api/cache",          Operators, &[(GET, Action::Cache)]),
    change("/api/cache/purge",  Operators, &[(POST, Action::Purge)]),
    read("/api/plugins",        Operators, &[(GET, Action::Plugins)]),
    change("/api/reload",       Operators, &[(POST, Action::Reload)]),
    read("/metrics",            Operators, &[(GET, Action::Metrics)]),
    read("/api/openapi.json",   Operators, &[(GET, Action::Document)]),
    read("/",                   Public,    &[(GET, Action::Page)]),
    read("/assets/{id}",        Public,    &[(GET, Action::Page)]),
];

const fn read(path: &'static str, access: Access, methods: &'static [(Method, Action)]) -> Route {
    let allow = "GET, HEAD";
    Route {
        path,
        access,
        methods,
        allow,
    }
}

const fn change(path: &'static str, access: Access, methods: &'static [(Method, Action)]) -> Route {
    let allow = "POST";
    Route {
        path,
        access,
        methods,
        allow,
    }
}

impl Route {
    /// What a method means here.
    pub(super) fn action(&self, method: &Method) -> Option<Action> {
        let meant = if *method == Method::HEAD {
            &GET
        } else {
            method
        };
        let mut methods = self.methods.iter();
        methods.find_map(|(known, action)| (known == meant).then_some(*action))
    }
}

/// The row of a path, and what stands in it for `{id}`.
pub(super) fn find(path: &str) -> Option<(&'static Route, &str)> {
    TABLE.iter().find_map(|route| {
        let Some(before) = route.path.strip_suffix("{id}") else {
            return (route.path == path).then_some((route, ""));
        };
        let id = path.strip_prefix(before)?;
        (!id.is_empty() && !id.contains('/')).then_some((route, id))
    })
}
