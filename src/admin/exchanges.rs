//! `/api/exchanges`: the latest exchanges. No bodies, no headers, no keys.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use millgate_plugin::Outcome;
use serde_json::{Value, json};

use super::{
    history::{dollars, millis, timestamp},
    query::{Query, invalid},
};
use crate::{
    api::error::ApiError,
    runtime::gateway::Gateway,
    telemetry::{
        ended::{Attempted, Ended, Tokens},
        recent::KEPT,
    },
};

/// So many are listed unless the query says so.
const LISTED: usize = 50;

/// What is wanted of them; each filter that is there has to match.
struct Filter<'a> {
    outcome: Option<Outcome>,
    caller: Option<&'a str>,
    route: Option<&'a str>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    q: Option<&'a str>,
}

impl Filter<'_> {
    fn likes(&self, ended: &Ended) -> bool {
        let is = |wanted: Option<&str>, names: &[Option<&str>]| {
            wanted.is_none() || names.contains(&wanted)
        };
        let asked = |name: &str| {
            let mut attempts = ended.attempts.iter();
            attempts.any(|attempt| &*attempt.target.provider.name == name)
        };
        self.outcome.is_none_or(|outcome| ended.outcome == outcome)
            && is(self.caller, &[Some(&caller(ended)), ended.caller.team()])
            && is(self.route, &[ended.route.as_deref()])
            && (is(self.provider, &[ended.provider.as_deref()]) || self.provider.is_some_and(asked))
            && is(self.model, &[Some(&ended.asked), ended.model.as_deref()])
            && self.q.is_none_or(|q| {
                ended.id.to_string().starts_with(&q.to_ascii_lowercase())
                    || request_id(ended).starts_with(q)
            })
    }
}

/// `GET /api/exchanges?limit=50&outcome=&caller=&route=&provider=&model=&q=`
pub(super) fn list(gateway: &Gateway, query: &mut Query<'_>) -> Result<Value, ApiError> {
    let limit = match query.take("limit") {
        None => LISTED,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=KEPT).contains(limit))
            .ok_or_else(|| invalid("limit", &format!("is a number from 1 to {KEPT}")))?,
    };
    let outcome = match query.take("outcome") {
        None => None,
        Some(name) => Some(outcome(&name)?),
    };
    let [caller, route, provider, model, q] =
        ["caller", "route", "provider", "model", "q"].map(|name| query.take(name));
    let filter = Filter {
        outcome,
        caller: caller.as_deref(),
        route: route.as_deref(),
        provider: provider.as_deref(),
        model: model.as_deref(),
        q: q.as_deref(),
    };
    // Only to take hold of them: the rest is done while others may look.
    let recent = recent(gateway);
    let liked = recent.iter().filter(|ended| filter.likes(ended));
    let exchanges: Vec<_> = liked.take(limit).map(|ended| exchange(ended)).collect();
    Ok(json!({ "exchanges": exchanges }))
}

/// `GET /api/exchanges/{id}`
pub(super) fn one(gateway: &Gateway, id: &str) -> Result<Value, ApiError> {
    let recent = recent(gateway);
    let mut named = recent.iter().filter(|ended| ended.id.to_string() == id);
    named.next().map(|ended| exchange(ended)).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_exchange",
            format!("None of the latest {KEPT} exchanges has this id."),
        )
    })
}

fn recent(gateway: &Gateway) -> Vec<Arc<Ended>> {
    let observer = &gateway.process().observer;
    observer.look(|views| views.recent.iter().cloned().collect())
}

fn outcome(name: &str) -> Result<Outcome, ApiError> {
    let all = (1..).map_while(Outcome::from_number);
    let names: Vec<_> = all.clone().map(Outcome::name).collect();
    all.into_iter()
        .find(|outcome| outcome.name() == name)
        .ok_or_else(|| invalid("outcome", &format!("is one of {}", names.join(", "))))
}

/// An exchange as the API shows it.
pub(super) fn exchange(ended: &Ended) -> Value {
    json!({
        "id": ended.id.to_string(),
        "request_id": request_id(ended),
        "time": timestamp(Some(ended.time)),
        "caller": caller(ended),
        "team": ended.caller.team(),
        "endpoint": ended.endpoint.name(),
        "method": ended.method_name(),
        "path": &*ended.path,
        "route": ended.route.as_deref(),
        "asked": (!ended.asked.is_empty()).then_some(&*ended.asked),
        "provider": ended.provider.as_deref(),
        "model": ended.model.as_deref(),
        "stream": ended.stream,
        "status": ended.status,
        "outcome": ended.outcome.name(),
        "error": ended.error.as_deref(),
        "cache": ended.cache_name(),
        "attempts": ended.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "stages": stages(ended.stages.iter().chain(&ended.looked_up)),
        "total_ms": millis(ended.total),
        "reading_ms": millis(ended.reading),
        "upstream_ms": ended.upstream.map(millis),
        "overhead_ms": millis(ended.overhead()),
        "first_ms": ended.first.map(millis),
        "tokens": ended.tokens.map(tokens),
        "cost": ended.cost.map(dollars),
        "saved": ended.saved.map(dollars),
        "request_bytes": ended.request_bytes,
        "bytes": ended.bytes,
        "trace_id": ended.trace_id(),
    })
}

fn attempt(attempt: &Attempted) -> Value {
    json!({
        "provider": &*attempt.target.provider.name,
        "target": attempt.target.label(),
        "model": &*attempt.model,
        "begun_ms": millis(attempt.begun),
        "took_ms": millis(attempt.took),
        "failure": attempt.failure.map(|failure| failure.to_string()),
        "stages": stages(attempt.stages.iter()),
    })
}

fn stages<'a>(stages: impl Iterator<Item = &'a (Arc<str>, Duration)>) -> Value {
    stages
        .map(|(name, took)| json!({ "name": &**name, "ms": millis(*took) }))
        .collect()
}

fn tokens(tokens: Tokens) -> Value {
    json!({
        "input": tokens.usage.input,
        "output": tokens.usage.output,
        "cached": tokens.usage.cached,
        "reasoning": tokens.usage.reasoning,
        "estimated": tokens.is_estimate,
    })
}

fn request_id(ended: &Ended) -> &str {
    ended.request_id.to_str().unwrap_or_default()
}

/// Who called: without an `auth` stage, from where.
fn caller(ended: &Ended) -> String {
    match ended.caller.id() {
        Some(id) => id.to_owned(),
        None => ended.peer.to_string(),
    }
}
