//! The span of an attempt: a call of a model, by the conventions for generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai>), or, of what is only passed on, an HTTP request.

use std::time::SystemTime;

use millgate_plugin::Endpoint;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind};
use serde_json::{Value, json};

use super::{
    Frame, at,
    attributes::{Attributes, clean, count},
    failed, stages,
};
use crate::{
    routing::scanner::Witnessed,
    telemetry::{
        ended::{Attempted, Ended, Judged, provider_name},
        traces::context::TraceContext,
    },
};

/// The span of one of an exchange's attempts; `None` where it was not watched.
pub(super) fn span(
    ended: &Ended,
    trace: TraceContext,
    index: usize,
    judged: &Judged<'_>,
) -> Option<Span> {
    let attempt = judged.attempt;
    let witness = attempt.witness.as_ref()?;
    let seen = witness.seen();
    let is_last = index + 1 == ended.attempts.len();
    let begun = at(ended, attempt.begun);
    let over = begun + judged.lasted;
    let mut attributes = Attributes::default();
    let operation = ended.operation();
    let name = if let Some(operation) = operation {
        attributes.put("gen_ai.operation.name", operation);
        asked(ended, attempt, &mut attributes);
        format!("{operation} {}", clean(&attempt.model))
    } else {
        let method = ended.method_name();
        attributes.put("http.request.method", method.to_owned());
        attributes.text("url.path", &ended.path);
        let is_known = method == ended.method.as_str();
        if is_known { method } else { "HTTP" }.to_owned()
    };
    if let Some(transport) = &attempt.target.provider.transport {
        let (host, port) = transport.base().host_and_port();
        attributes.put("server.address", host.to_owned());
        attributes.put("server.port", i64::from(port));
    }
    attributes.maybe("http.response.status_code", seen.status.map(i64::from));
    if index > 0 {
        attributes.put("http.request.resend_count", count(index as u64));
    }
    attributes.text("millgate.provider", &attempt.target.provider.name);
    attributes.text("millgate.target", &attempt.target.label());
    attributes.put("millgate.attempt", count(index as u64 + 1));
    if attempt.failure.is_none() && operation.is_some() {
        answered(ended, &seen, begun, &mut attributes);
    }
    if is_last {
        content(ended, &seen, &mut attributes);
    }
    attributes.maybe_text("error.type", judged.error.as_deref());
    let frame = Frame {
        trace,
        span: witness.span.get(),
        parent: Some(trace.span.get()),
        is_parent_remote: false,
        kind: SpanKind::Client,
        begun,
        ended: over,
    };
    let events = stages(&attempt.stages, begun, over);
    let status = match &judged.error {
        Some(why) if judged.has_failed() => failed(why),
        _ => Status::default(),
    };
    Some(frame.span(name, attributes, events, status))
}

/// What was asked of whom.
fn asked(ended: &Ended, attempt: &Attempted, attributes: &mut Attributes) {
    let provider = provider_name(attempt.target.provider.codec.kind());
    attributes.put("gen_ai.provider.name", provider.to_owned());
    attributes.text("gen_ai.request.model", &attempt.model);
    if provider == "openai" {
        let api = match ended.endpoint {
            Endpoint::Chat => Some("chat_completions"),
            Endpoint::Responses => Some("responses"),
            _ => None,
        };
        attributes.maybe("openai.api.type", api);
    }
    if ended.stream {
        attributes.put("gen_ai.request.stream", true);
    }
    let Some(parameters) = &ended.parameters else {
        return;
    };
    let get = |name| parameters.get(name, &attempt.target.params);
    let whole = |name| get(name).and_then(|value| value.as_i64());
    let number = |name| get(name).and_then(|value| value.as_f64());
    let choices = whole("n").filter(|choices| *choices != 1);
    attributes.maybe("gen_ai.request.choice.count", choices);
    attributes.maybe("gen_ai.request.seed", whole("seed"));
    let limit = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    attributes.maybe(
        "gen_ai.request.max_tokens",
        limit.into_iter().find_map(whole),
    );
    attributes.maybe("gen_ai.request.temperature", number("temperature"));
    attributes.maybe("gen_ai.request.top_p", number("top_p"));
    attributes.maybe("gen_ai.request.top_k", number("top_k"));
    let frequency = number("frequency_penalty");
    attributes.maybe("gen_ai.request.frequency_penalty", frequency);
    let presence = number("presence_penalty");
    attributes.maybe("gen_ai.request.presence_penalty", presence);
    let stop = match get("stop") {
        Some(Value::Array(all)) => all,
        one => one.into_iter().collect(),
    };
    let stop = stop.iter().filter_map(Value::as_str);
    attributes.texts("gen_ai.request.stop_sequences", stop);
    let encoding = get("encoding_format");
    let encodings = encoding.iter().filter_map(Value::as_str);
    attributes.texts("gen_ai.request.encoding_formats", encodings);
    let dimensions = whole("dimensions");
    attributes.maybe("gen_ai.embeddings.dimension.count", dimensions);
    let format = get("response_format").or_else(|| get("text"));
    let output = match format.as_ref().and_then(Value::as_str) {
        Some("json_object" | "json_schema") => Some("json"),
        Some("text") => Some("text"),
        _ => None,
    };
    attributes.maybe("gen_ai.output.type", output);
}

/// What came of it.
fn answered(ended: &Ended, seen: &Witnessed, begun: SystemTime, attributes: &mut Attributes) {
    attributes.maybe_text("gen_ai.response.id", seen.id.as_deref());
    attributes.maybe_text("gen_ai.response.model", seen.model.as_deref());
    attributes.texts("gen_ai.response.finish_reasons", reasons(seen).into_iter());
    let first = seen.first.filter(|_| ended.stream).and_then(|first| {
        let first = at(ended, first.saturating_duration_since(ended.started));
        first.duration_since(begun).ok()
    });
    let first = first.map(|first| first.as_secs_f64());
    attributes.maybe("gen_ai.response.time_to_first_chunk", first);
    let Some(tokens) = ended.charged() else {
        return;
    };
    if tokens.is_estimate {
        // The conventions want none that nobody has counted.
        attributes.put("millgate.usage.is_estimate", true);
        return;
    }
    let usage = tokens.usage;
    attributes.put("gen_ai.usage.input_tokens", count(usage.input));
    if ended.endpoint != Endpoint::Embeddings {
        attributes.put("gen_ai.usage.output_tokens", count(usage.output));
    }
    attributes.maybe(
        "gen_ai.usage.cache_read.input_tokens",
        usage.cached.map(count),
    );
    attributes.maybe(
        "gen_ai.usage.reasoning.output_tokens",
        usage.reasoning.map(count),
    );
}

/// Why each choice ended, in their order.
fn reasons(seen: &Witnessed) -> Vec<&str> {
    let mut reasons: Vec<_> = seen.finish_reasons.iter().collect();
    reasons.sort_by_key(|(index, _)| *index);
    reasons.iter().map(|(_, reason)| reason.as_str()).collect()
}

/// What was said, where the config wants it kept: text alone, without what else belongs to a message.
fn content(ended: &Ended, seen: &Witnessed, attributes: &mut Attributes) {
    let Some(captured) = &ended.captured else {
        return;
    };
    let part = |text: &str| json!([{ "type": "text", "content": clean(text) }]);
    let input = json!([{ "role": "user", "parts": part(&captured.request) }]);
    attributes.put("gen_ai.input.messages", input.to_string());
    if !captured.reply.is_empty() {
        let reason = reasons(seen).first().copied().unwrap_or("error");
        let output = json!([{
            "role": "assistant",
            "parts": part(&captured.reply),
            "finish_reason": reason,
        }]);
        attributes.put("gen_ai.output.messages", output.to_string());
    }
}
