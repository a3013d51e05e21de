//! Spans of an exchange that is over: one for itself, as the conventions for HTTP servers want it, and one for each attempt, as
//! those for calls of models do. Every text that somebody else has chosen passes the filter of the logs first.

mod attempt;
mod attributes;
mod exchange;

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Event, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::context::TraceContext;
use crate::{routing::flight::StageTimes, telemetry::ended::Ended};
use attributes::Attributes;

/// The spans of an exchange, its own first; none where it is in no trace.
pub(super) fn of(ended: &Ended) -> Vec<SpanData> {
    let Some(trace) = ended.trace else {
        return Vec::new();
    };
    let mut spans = Vec::with_capacity(1 + ended.attempts.len());
    spans.push(exchange::span(ended, trace));
    let judged = ended.judged().enumerate();
    spans.extend(judged.filter_map(|(at, judged)| attempt::span(ended, trace, at, &judged)));
    spans
}

/// What all spans have.
struct Frame {
    trace: TraceContext,
    span: u64,
    parent: Option<u64>,
    is_parent_remote: bool,
    kind: SpanKind,
    begun: SystemTime,
    ended: SystemTime,
}

impl Frame {
    fn span(
        self,
        name: String,
        attributes: Attributes,
        mut events: Vec<Event>,
        status: Status,
    ) -> SpanData {
        events.sort_by_key(|event| event.timestamp);
        let mut all = SpanEvents::default();
        all.events = events;
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(self.trace.trace.get().to_be_bytes()),
                id(self.span),
                TraceFlags::new(self.trace.flags),
                false,
                TraceState::NONE,
            ),
            parent_span_id: self.parent.map_or(SpanId::INVALID, id),
            parent_span_is_remote: self.is_parent_remote,
            span_kind: self.kind,
            name: name.into(),
            start_time: self.begun,
            end_time: self.ended,
            attributes: attributes.into_list(),
            dropped_attributes_count: 0,
            events: all,
            links: SpanLinks::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("millgate")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn id(span: u64) -> SpanId {
    SpanId::from_bytes(span.to_be_bytes())
}

/// Something that happened within a span.
fn event(name: &'static str, at: SystemTime, attributes: Vec<KeyValue>) -> Event {
    Event::new(name, at, attributes, 0)
}

/// What stages took, one event for each. Only how long each took is known: they are put one behind the other, from `begun` on.
fn stages(times: &StageTimes, begun: SystemTime, until: SystemTime) -> Vec<Event> {
    let mut at = begun;
    let mut events = Vec::with_capacity(times.len());
    for (name, took) in times {
        let attributes = vec![
            KeyValue::new("millgate.stage.name", name.to_string()),
            KeyValue::new("millgate.stage.duration", took.as_secs_f64()),
        ];
        events.push(event("millgate.stage", at.min(until), attributes));
        at += *took;
    }
    events
}

/// That an exchange, or an attempt, has failed.
fn failed(why: &str) -> Status {
    Status::error(why.to_owned())
}

/// A moment of an exchange by the clock on the wall.
fn at(ended: &Ended, since: Duration) -> SystemTime {
    ended.time + since
}
