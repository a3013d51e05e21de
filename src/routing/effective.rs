//! The request body as a target gets it: the client's bytes, with the model renamed and members added by splicing.

use std::borrow::Cow;

use bytes::Bytes;
use millgate_plugin::{Endpoint, Provider as _};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{route::Route, target::Target};
use crate::{
    api::stored,
    http::json::{self, Edit},
    pipeline::request::ClientRequest,
    providers::openai::OpenAi,
};

/// The body for an attempt; the client's own bytes where nothing is to be changed.
#[must_use]
pub fn body(request: &ClientRequest, route: &Route, target: &Target, model: &str) -> Bytes {
    if request.members.is_empty() {
        return request.body.clone();
    }
    let mut renamed = Vec::new();
    let options;
    let mut edits: SmallVec<[Edit<'_>; 4]> = SmallVec::new();
    let asked = request
        .members
        .get(&request.body, "model")
        .and_then(json::as_str);
    let names_model = asked.is_some() || request.endpoint.is_understood();
    if names_model && asked.as_deref() != Some(model) {
        json::write_string(&mut renamed, model);
        edits.push(Edit::Set {
            name: "model",
            value: &renamed,
        });
    }
    if generates(request.endpoint) {
        let absent = |name: &str| request.members.get(&request.body, name).is_none();
        for (name, value) in target.params.iter().chain(&route.params) {
            if absent(name) && !edits.iter().any(|edit| edit.name() == &**name) {
                edits.push(Edit::Set {
                    name,
                    value: value.as_bytes(),
                });
            }
        }
    }
    let forgets = !route.shared_state
        && target.provider.codec.kind() == OpenAi::KIND
        && stored::leaves_open(request);
    if forgets && !edits.iter().any(|edit| edit.name() == "store") {
        edits.push(Edit::Set {
            name: "store",
            value: b"false",
        });
    }
    if wants_usage(request, target) {
        options = with_usage(request);
        if let Some(value) = &options {
            edits.push(Edit::Set {
                name: "stream_options",
                value,
            });
        }
    }
    json::splice(&request.body, &request.members, &edits)
}

/// Whether parameters such as `temperature` mean anything to an endpoint.
fn generates(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Chat | Endpoint::Completions | Endpoint::Responses
    )
}

/// A stream is counted by its usage chunk, whether the client asked for it or not.
fn wants_usage(request: &ClientRequest, target: &Target) -> bool {
    request.stream
        && !request.include_usage
        && matches!(request.endpoint, Endpoint::Chat | Endpoint::Completions)
        && target.provider.codec.include_usage()
}

/// `stream_options` with `include_usage`; `None` where the client's own is not an object, which is the upstream's to refuse.
fn with_usage(request: &ClientRequest) -> Option<Cow<'static, [u8]>> {
    let Some(given) = request.members.get(&request.body, "stream_options") else {
        return Some(Cow::Borrowed(br#"{"include_usage":true}"#));
    };
    let mut options = match serde_json::from_slice(given).ok()? {
        Value::Null => json!({}),
        options @ Value::Object(_) => options,
        _ => return None,
    };
    options["include_usage"] = json!(true);
    Some(Cow::Owned(options.to_string().into_bytes()))
}
