//! Spans of an exchange that is over: one for itself, as the conventions for HTTP servers want it, and one for each attempt, as
//! those for calls of models do. Every text that somebody else has chosen passes the filter of the logs first.

mod attempt;
mod attributes;
mod exchange;

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::{
    Span, SpanFlags, Status,
    span::{Event, SpanKind},
    status::StatusCode,
};

use super::context::TraceContext;
use crate::{routing::flight::StageTimes, telemetry::ended::Ended};
use attributes::Attributes;

/// The spans of an exchange, its own first; none where it is in no trace.
pub(super) fn of(ended: &Ended) -> Vec<Span> {
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
    ) -> Span {
        events.sort_by_key(|event| event.time_unix_nano);
        let mut flags = u32::from(self.trace.flags) | SpanFlags::ContextHasIsRemoteMask as u32;
        if self.is_parent_remote {
            flags |= SpanFlags::ContextIsRemoteMask as u32;
        }
        let parent = self.parent.map(u64::to_be_bytes);
        Span {
            trace_id: self.trace.trace.get().to_be_bytes().to_vec(),
            span_id: self.span.to_be_bytes().to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, Into::into),
            flags,
            name,
            kind: self.kind.into(),
            start_time_unix_nano: nanos(self.begun),
            end_time_unix_nano: nanos(self.ended),
            attributes: attributes.into_list(),
            events,
            status: Some(status),
            ..Span::default()
        }
    }
}

/// Nanoseconds since the epoch.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Something that happened within a span.
fn event(name: &str, at: SystemTime, attributes: Attributes) -> Event {
    Event {
        time_unix_nano: nanos(at),
        name: name.to_owned(),
        attributes: attributes.into_list(),
        dropped_attributes_count: 0,
    }
}

/// What stages took, one event for each. Only how long each took is known: they are put one behind the other, from `begun` on.
fn stages(times: &StageTimes, begun: SystemTime, until: SystemTime) -> Vec<Event> {
    let mut at = begun;
    let mut events = Vec::with_capacity(times.len());
    for (name, took) in times {
        let attributes = stage(name, *took);
        events.push(event("millgate.stage", at.min(until), attributes));
        at += *took;
    }
    events
}

/// A stage, and how long it took.
fn stage(name: &str, took: Duration) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.put("millgate.stage.name", name.to_owned());
    attributes.put("millgate.stage.duration", took.as_secs_f64());
    attributes
}

/// That an exchange, or an attempt, has failed.
fn failed(why: &str) -> Status {
    Status {
        code: StatusCode::Error.into(),
        message: why.to_owned(),
    }
}

/// A moment of an exchange by the clock on the wall.
fn at(ended: &Ended, since: Duration) -> SystemTime {
    ended.time + since
}
