//! Requests and routes for the tests of this module.

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use millgate_plugin::Endpoint;

use crate::{
    config,
    http::json,
    pipeline::request::{Caller, ClientRequest, Marks},
    routing::route::{Route, Wanted},
    runtime::{Runtime, compile::compile, host::Process},
};

/// A runtime of a config with one provider `up` at `base`, and these further lines.
pub(super) fn runtime(base: &str, model: &str, route: &str, more: &str) -> Runtime {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "pipeline = [\"cache\", \"route\"]\n[stages.cache]\n[providers.up]\nkind = \"openai\"\nbase_url = \"{base}\"\nmodel = \"{model}\"\n[routes.default]\ntargets = [\"up\"]\n{route}\n{more}\n"
    );
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&path, &|_| None);
    compile(&loaded, None, &Process::default()).unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

/// The route of such a runtime.
pub(super) fn route(lines: &str) -> Arc<Route> {
    let runtime = runtime("http://127.0.0.1:9/v1", "gpt-4", lines, "");
    let wanted = Wanted {
        model: "any",
        path: "/v1/chat/completions",
        stateful: false,
    };
    runtime.routes.find(wanted).unwrap().clone()
}

/// A request with this body.
pub(super) fn request(endpoint: Endpoint, body: &str) -> ClientRequest {
    let body = Bytes::from(body.to_owned());
    let members = json::scan(&body).unwrap();
    let text = |name| members.get(&body, name).and_then(json::as_str);
    let flag = |name| members.get(&body, name).and_then(json::as_bool);
    ClientRequest {
        id: HeaderValue::from_static("id"),
        started: Instant::now(),
        time: std::time::SystemTime::UNIX_EPOCH,
        peer: IpAddr::from([127, 0, 0, 1]),
        trace: None,
        method: Method::POST,
        path: "/v1/chat/completions".into(),
        query: None,
        headers: HeaderMap::new(),
        endpoint,
        model: text("model").unwrap_or_default().into(),
        stream: flag("stream").unwrap_or_default(),
        include_usage: false,
        members,
        body,
        upload: None,
        caller: Caller::default(),
        marks: Marks::default(),
    }
}
