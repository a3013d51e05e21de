//! The span of an exchange (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span>).

use std::time::SystemTime;

use http::Method;
use millgate_plugin::CacheStatus;
use opentelemetry_proto::tonic::trace::v1::{
    Span, Status,
    span::{Event, SpanKind},
};

use super::{
    Frame, at,
    attributes::{Attributes, count, dollars},
    event, failed, stage, stages,
};
use crate::{
    api::endpoint::{Call, classify},
    routing::retry::FailureClass,
    telemetry::{
        ended::{Attempted, Ended},
        traces::context::TraceContext,
    },
};

pub(super) fn span(ended: &Ended, trace: TraceContext) -> Span {
    let method = ended.method_name();
    let is_known = method == ended.method.as_str();
    let path = template(&ended.method, &ended.path);
    let verb = if is_known { method } else { "HTTP" };
    let name = match &path {
        Some(path) => format!("{verb} {path}"),
        None => verb.to_owned(),
    };
    let mut attributes = Attributes::default();
    attributes.put("http.request.method", method.to_owned());
    if !is_known {
        attributes.text("http.request.method_original", ended.method.as_str());
    }
    attributes.maybe("http.route", path);
    attributes.text("url.path", &ended.path);
    attributes.put("url.scheme", "http");
    attributes.put("client.address", ended.peer.to_string());
    attributes.put("network.peer.address", ended.peer.to_string());
    let status = Some(i64::from(ended.status)).filter(|status| *status > 0);
    attributes.maybe("http.response.status_code", status);
    attributes.put("http.request.body.size", count(ended.request_bytes));
    attributes.put("http.response.body.size", count(ended.bytes));
    // What the client is to blame for is no error of a server, say the conventions.
    let has_failed = ended.has_failed() || ended.status >= 500;
    let error = ended.error_type().filter(|_| has_failed);
    attributes.maybe_text("error.type", error.as_deref());
    own(ended, &mut attributes);
    let frame = Frame {
        trace,
        span: trace.span.get(),
        parent: trace.parent.map(std::num::NonZeroU64::get),
        is_parent_remote: trace.parent.is_some() && !ended.is_revalidation,
        kind: if ended.is_revalidation {
            SpanKind::Internal
        } else {
            SpanKind::Server
        },
        begun: ended.time,
        ended: at(ended, ended.total),
    };
    let status = if has_failed {
        failed(ended.error.as_deref().unwrap_or(ended.outcome.name()))
    } else {
        Status::default()
    };
    frame.span(name, attributes, events(ended), status)
}

/// What no convention has a name for.
fn own(ended: &Ended, attributes: &mut Attributes) {
    attributes.put("millgate.exchange_id", ended.id.to_string());
    let request_id = ended.request_id.to_str().unwrap_or_default();
    attributes.text("millgate.request_id", request_id);
    attributes.put("millgate.endpoint", ended.endpoint.name());
    attributes.put("millgate.outcome", ended.outcome.name());
    attributes.maybe_text("millgate.error", ended.error.as_deref());
    attributes.maybe_text("millgate.route", ended.route.as_deref());
    attributes.maybe_text("millgate.caller", ended.caller.id());
    attributes.maybe_text("millgate.team", ended.caller.team());
    let asked = Some(&*ended.asked).filter(|asked| !asked.is_empty());
    attributes.maybe_text("millgate.model.asked", asked);
    attributes.maybe_text("millgate.model", ended.model.as_deref());
    attributes.maybe_text("millgate.provider", ended.provider.as_deref());
    attributes.put("millgate.stream", ended.stream);
    attributes.put("millgate.attempts", count(ended.attempts.len() as u64));
    attributes.maybe("millgate.cache", ended.cache_name());
    attributes.maybe("millgate.cost", ended.cost.map(dollars));
    attributes.maybe("millgate.saved", ended.saved.map(dollars));
    let overhead = ended.overhead().as_secs_f64();
    attributes.put("millgate.overhead", overhead);
    let first = ended.first.map(|first| first.as_secs_f64());
    attributes.maybe("millgate.time_to_first_byte", first);
}

/// The path with what differs from call to call taken out; `None` where there is no such path.
fn template(method: &Method, path: &str) -> Option<String> {
    match classify(method, path) {
        Call::Understood(_) | Call::Forward | Call::Models(None) => Some(path.to_owned()),
        Call::Models(Some(_)) => Some("/v1/models/{model}".to_owned()),
        Call::Stateful => {
            let kind = path.split('/').nth(2)?;
            let has_more = path.split('/').nth(3).is_some();
            let rest = if has_more { "/{path}" } else { "" };
            Some(format!("/v1/{kind}{rest}"))
        }
        Call::WrongMethod(_) | Call::Unknown => None,
    }
}

fn events(ended: &Ended) -> Vec<Event> {
    let first_attempt = ended.attempts.first().map(|attempt| attempt.begun);
    let end = at(ended, first_attempt.unwrap_or(ended.total));
    let mut events = stages(&ended.stages, at(ended, ended.reading), end);
    if let Some((name, took)) = &ended.looked_up {
        let begun = end.checked_sub(*took).unwrap_or(ended.time);
        let status = ended.cache.map_or("none", CacheStatus::name);
        let mut attributes = stage(name, *took);
        attributes.put("millgate.cache", status);
        events.push(event(
            "millgate.cache.lookup",
            begun.max(ended.time),
            attributes,
        ));
    }
    for pair in ended.attempts.windows(2) {
        if let [before, after] = pair {
            events.push(again(before, after, at(ended, after.begun)));
        }
    }
    if let Some(first) = ended.first {
        let attributes = Attributes::default();
        events.push(event("millgate.first_byte", at(ended, first), attributes));
    }
    events
}

/// That another try was made, and why.
fn again(before: &Attempted, after: &Attempted, time: SystemTime) -> Event {
    let is_same = std::sync::Arc::ptr_eq(&before.target, &after.target);
    let name = if is_same {
        "millgate.retry"
    } else {
        "millgate.fallback"
    };
    let mut attributes = Attributes::default();
    attributes.put("millgate.from", before.target.label());
    attributes.put("millgate.to", after.target.label());
    let why = before.failure.map(FailureClass::name);
    attributes.maybe_text("error.type", why.as_deref());
    event(name, time, attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_spans_hold_nothing_that_differs_from_call_to_call() {
        for (method, path, expected) in [
            (
                Method::POST,
                "/v1/chat/completions",
                Some("/v1/chat/completions"),
            ),
            (Method::POST, "/v1/embeddings", Some("/v1/embeddings")),
            (Method::GET, "/v1/models", Some("/v1/models")),
            (Method::GET, "/v1/models/gpt-4", Some("/v1/models/{model}")),
            (Method::GET, "/v1/files", Some("/v1/files")),
            (
                Method::GET,
                "/v1/files/file-abc/content",
                Some("/v1/files/{path}"),
            ),
            (Method::POST, "/v1/audio/speech", Some("/v1/audio/speech")),
            (Method::GET, "/v1/nowhere/kim", None),
        ] {
            assert_eq!(
                template(&method, path).as_deref(),
                expected,
                "{method} {path}"
            );
        }
    }
}
