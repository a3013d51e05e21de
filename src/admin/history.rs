//! `/api/history`: what has happened since the start, over time.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::query::{Query, invalid};
use crate::{
    calendar,
    runtime::gateway::Gateway,
    telemetry::history::{Buckets, Figures, Range, Wanted},
};

/// `GET /api/history?range=5m&route=…&provider=…`
pub(super) fn history(
    gateway: &Gateway,
    query: &mut Query<'_>,
) -> Result<Value, crate::api::error::ApiError> {
    let name = query.take("range").unwrap_or("5m".into());
    let Some(range) = Range::ALL.into_iter().find(|range| range.name() == name) else {
        let names = Range::ALL.map(Range::name).join(", ");
        return Err(invalid("range", &format!("is one of {names}")));
    };
    let (route, provider) = (query.take("route"), query.take("provider"));
    let wanted = Wanted {
        range,
        route: route.as_deref(),
        provider: provider.as_deref(),
    };
    let observer = &gateway.process().observer;
    let now = Instant::now();
    let series = observer.look(|views| views.history.series(wanted, now));
    let wall = SystemTime::now();
    let time = |at: Instant| timestamp(wall.checked_sub(now.saturating_duration_since(at)));
    let points = series.points.iter().map(|point| {
        let mut members = Map::new();
        members.insert("time".to_owned(), time(point.begin).into());
        members.append(&mut figures(&point.figures, point.covered));
        Value::Object(members)
    });
    Ok(json!({
        "range": range.name(),
        "step_s": series.step.as_secs(),
        "since": time(series.since),
        "points": points.collect::<Vec<_>>(),
        "totals": figures(&series.totals, series.covered),
    }))
}

/// Figures as the API shows them; rates are over the time that they cover.
pub(super) fn figures(figures: &Figures, covered: Duration) -> Map<String, Value> {
    let members = json!({
        "exchanges": figures.exchanges,
        "errors": figures.errors,
        "refused": figures.refused,
        "cancelled": figures.cancelled,
        "rate": rate(figures.exchanges, covered),
        "latency": percentiles(&figures.total),
        "overhead": percentiles(&figures.overhead),
        "first": { "p50_ms": quantile(&figures.first, 0.5), "p95_ms": quantile(&figures.first, 0.95) },
        "input_tokens": figures.input,
        "output_tokens": figures.output,
        "estimated_tokens": figures.estimated,
        "tokens_per_s": rate(figures.output, covered),
        "cost": figures.known_cost().map(dollars),
        "unpriced_exchanges": figures.unpriced,
        "cache_hits": figures.hits,
        "cache_misses": figures.misses,
        "saved": dollars(figures.saved),
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// How many of them in a second. What has just begun is not judged by its first moments.
pub(super) fn rate(count: u64, covered: Duration) -> f64 {
    count as f64 / covered.as_secs_f64().max(1.0)
}

/// The percentiles of times, at most 5 % off; null of none.
pub(super) fn percentiles(times: &Buckets) -> Value {
    json!({
        "p50_ms": quantile(times, 0.5),
        "p95_ms": quantile(times, 0.95),
        "p99_ms": quantile(times, 0.99),
    })
}

/// One percentile, in milliseconds.
pub(super) fn quantile(times: &Buckets, share: f64) -> Option<f64> {
    times.quantile(share).map(millis)
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Billionths of a dollar as dollars.
pub(super) fn dollars(billionths: u64) -> f64 {
    billionths as f64 / 1e9
}

/// `2026-11-22T14:14:39.250Z`
pub(super) fn timestamp(time: Option<SystemTime>) -> String {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let since = since.unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    format!("{}.{millis:03}Z", calendar::timestamp(seconds))
}
