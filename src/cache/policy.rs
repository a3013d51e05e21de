//! Which requests are for the cache, and which answers are kept.

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use http::header;
use memchr::memmem::Finder;
use millgate_plugin::Endpoint;

use super::{config::Cacheable, control::Why};
use crate::{
    http::json,
    pipeline::request::ClientRequest,
    routing::{answer::Piece, route::Route, target::Target},
};

/// Whether a request's answer may be looked up, shared and kept; if not, why.
pub fn admit(request: &ClientRequest, route: &Route, cacheable: Cacheable) -> Result<(), Why> {
    let generates = match request.endpoint {
        Endpoint::Chat | Endpoint::Completions | Endpoint::Responses => true,
        Endpoint::Embeddings => false,
        _ => return Err(Why::Endpoint),
    };
    let takes_credential = |target: &Arc<Target>| target.provider.forward_auth;
    let has_own_credential = request.marks.forwards_auth
        || (request.headers.contains_key(header::AUTHORIZATION)
            && route.targets.iter().any(takes_credential));
    match () {
        () if has_own_credential => Err(Why::Credential),
        () if has_state(request, route) => Err(Why::State),
        () if cacheable == Cacheable::Always || !generates => Ok(()),
        () if wants_several(request) => Err(Why::SeveralChoices),
        () if !is_deterministic(request, route) => Err(Why::Temperature),
        () => Ok(()),
    }
}

/// Whether the upstream is to remember something of it, or to go on from what it remembers.
fn has_state(request: &ClientRequest, route: &Route) -> bool {
    let is_responses = request.endpoint == Endpoint::Responses;
    let is_false = |name| member(request, name).and_then(json::as_bool) == Some(false);
    let is_true = |name| member(request, name).and_then(json::as_bool) == Some(true);
    let is_given = |name| member(request, name).is_some_and(|value| !json::is_null(value));
    is_true("store")
        || is_true("background")
        || is_given("previous_response_id")
        || is_given("conversation")
        || (is_responses && is_given("prompt"))
        // Elsewhere the gateway itself sees to it that nothing is kept.
        || (is_responses && route.shared_state && !is_false("store"))
}

fn wants_several(request: &ClientRequest) -> bool {
    let more_than_one = |name| {
        member(request, name).is_some_and(|value| {
            !json::is_null(value) && json::as_u64(value).is_none_or(|count| count > 1)
        })
    };
    more_than_one("n") || more_than_one("best_of")
}

/// Whether every target would be asked with a temperature of 0 or with a seed.
fn is_deterministic(request: &ClientRequest, route: &Route) -> bool {
    let is_settled = |target: &Target| {
        let effective = |name: &str| {
            let added = || {
                let mut params = target.params.iter().chain(&route.params);
                params.find(|(added, _)| **added == *name)
            };
            member(request, name).or_else(|| added().map(|(_, value)| value.as_bytes()))
        };
        let is_zero = |value: &[u8]| json::as_f64(value) == Some(0.0);
        effective("temperature").is_some_and(is_zero)
            || effective("seed").is_some_and(|seed| !json::is_null(seed))
    };
    route.targets.iter().all(|target| is_settled(target))
}

/// Whether a whole answer may be kept, as far as its text tells. One that calls tools is meant to be acted upon, and one
/// that was filtered is not what was asked for.
pub fn may_keep<'a>(
    request: &ClientRequest,
    pieces: impl Iterator<Item = &'a Piece>,
    cacheable: Cacheable,
) -> bool {
    let offers_tools = member(request, "tools").is_some() || member(request, "functions").is_some();
    let looks_for_tools = offers_tools && cacheable == Cacheable::Deterministic;
    !pieces.into_iter().any(|piece| {
        is_filtered(&piece.bytes)
            || (looks_for_tools && calls_tools(request.endpoint, &piece.bytes))
    })
}

/// Inside a string every quote has a backslash before it: a text that quotes this is not taken for it.
fn is_filtered(bytes: &[u8]) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"content_filter\""));
    FINDER
        .find_iter(bytes)
        .any(|at| bytes[..at].trim_ascii_end().ends_with(b":"))
}

fn calls_tools(endpoint: Endpoint, bytes: &[u8]) -> bool {
    if endpoint == Endpoint::Responses {
        // `function_call`, `web_search_call`, `mcp_call` and whatever comes next.
        return find(bytes, br#"_call""#);
    }
    let finish: [&[u8]; 4] = [
        br#":"tool_calls""#,
        br#": "tool_calls""#,
        br#":"function_call""#,
        br#": "function_call""#,
    ];
    // Those that finish so, and those that only have them.
    finish.iter().any(|reason| find(bytes, reason))
        || has_something(bytes, br#""tool_calls""#)
        || has_something(bytes, br#""function_call""#)
}

/// Whether a key stands there with a value that is not empty.
fn has_something(bytes: &[u8], key: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, key).any(|at| {
        let value = bytes[at + key.len()..].trim_ascii_start();
        value.strip_prefix(b":").is_some_and(|value| {
            let value = value.trim_ascii_start();
            let inside = value.get(1..).unwrap_or_default().trim_ascii_start();
            !value.starts_with(b"null") && !inside.starts_with(b"]") && !inside.starts_with(b"}")
        })
    })
}

fn find(bytes: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(bytes, what).is_some()
}

fn member<'a>(request: &'a ClientRequest, name: &str) -> Option<&'a [u8]> {
    request.members.get(&request.body, name)
}
