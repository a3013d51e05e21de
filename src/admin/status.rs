//! `/readyz` and `/api/status`: how the gateway does now.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Admin,
    history::{figures, millis, percentiles, quantile, rate, timestamp},
    reply::{Reply, json},
};
use crate::{
    pipeline::Phases,
    routing::{pattern::Glob, pool::PoolStats, provider::Provider, route::Route, target::Target},
    runtime::{Runtime, gateway::Gateway},
    telemetry::{
        history::{History, Range, Wanted},
        process,
    },
};

/// `GET /readyz`
pub(super) fn readiness(gateway: &Gateway) -> Reply {
    match unready(gateway) {
        None => json(StatusCode::OK, r#"{"status":"ready"}"#),
        Some(why) => json(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": why }).to_string(),
        ),
    }
}

/// Why no more requests should be sent: it is about to stop, or nobody would answer them.
pub(super) fn unready(gateway: &Gateway) -> Option<&'static str> {
    if gateway.is_draining() {
        return Some("draining");
    }
    let runtime = gateway.runtime();
    let now = Instant::now();
    let is_answered = gateway.process().observer.look(|views| {
        let mut targets = runtime.routes.0.iter().flat_map(|route| &route.targets);
        targets.any(|target| is_live(target, &views.history, now))
    });
    (!is_answered).then_some("no_live_target")
}

fn is_live(target: &Target, history: &History, now: Instant) -> bool {
    history.upstreams.is_live(&target.provider.name, now)
}

/// `GET /api/status`
pub(super) fn status(admin: &Admin) -> Value {
    let gateway = &admin.gateway;
    let runtime = gateway.runtime();
    let observer = &gateway.process().observer;
    let now = Instant::now();
    let draining = gateway.is_draining();
    let ready = unready(gateway).is_none();
    let (uptime, pipeline, routes, providers) = observer.look(|views| {
        let history = &views.history;
        let routes = runtime.routes.0.iter().map(|one| route(one, history, now));
        let providers = runtime.providers.iter();
        let providers = providers.map(|one| provider(&one.made, history, now));
        (
            now.saturating_duration_since(history.beginning()),
            pipeline(&runtime, history),
            routes.collect::<Vec<_>>(),
            providers.collect::<Vec<_>>(),
        )
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "generation": runtime.generation,
        "environment": runtime.environment,
        "started_at": timestamp(Some(admin.started)),
        "uptime_s": uptime.as_secs_f64(),
        "ready": ready,
        "draining": draining,
        "in_flight": observer.in_flight(),
        "admin_auth": if runtime.admin_token.is_some() { "token" } else { "none" },
        "pipeline": pipeline,
        "routes": routes,
        "providers": providers,
        "cache": runtime.pipeline.cache.as_ref().map(|cache| cache.stats()),
        "ledger": observer.ledger.stats(),
        "traces": observer.traces.stats(),
        "memory": {
            "resident_bytes": process::resident_bytes(),
            "open_fds": process::open_fds(),
        },
    })
}

/// The one list of the config, in its order, with the time that each stage takes over a request or an attempt.
fn pipeline(runtime: &Runtime, history: &History) -> Vec<Value> {
    let stage = |name: &Arc<str>, kind: &str, position: &str| {
        let time = history.stage_times(name).map(|times| {
            json!({
                "count": times.count(),
                "mean_ms": times.mean().map(millis),
                "p95_ms": quantile(times, 0.95),
            })
        });
        json!({ "name": &**name, "kind": kind, "position": position, "time": time })
    };
    let mounted = |phases: &Phases, position: &str| {
        let stages = phases.stages().iter();
        stages
            .map(|mounted| stage(&mounted.name, mounted.kind, position))
            .collect::<Vec<_>>()
    };
    let pipeline = &runtime.pipeline;
    let mut all = mounted(&pipeline.above, "above");
    let cache = pipeline.cache.iter();
    all.extend(cache.map(|cache| stage(&cache.name, "cache", "cache")));
    all.push(json!({ "name": "route", "kind": "route", "position": "route", "time": null }));
    all.extend(mounted(&pipeline.below, "below"));
    all
}

/// A rule, and how it did in the last minute.
fn route(route: &Route, history: &History, now: Instant) -> Value {
    let globs = if route.paths.is_empty() {
        &route.models
    } else {
        &route.paths
    };
    let wanted = Wanted {
        range: Range::Minute,
        route: Some(&route.name),
        provider: None,
    };
    let minute = history.series(wanted, now);
    let targets = route.targets.iter().map(|one| target(one, history, now));
    json!({
        "name": &*route.name,
        "patterns": globs.iter().map(Glob::as_str).collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
        "minute": figures(&minute.totals, minute.covered),
    })
}

/// A target, and how it did in the last minute.
fn target(target: &Target, history: &History, now: Instant) -> Value {
    let provider = &target.provider.name;
    let model = target.model.as_deref();
    let (tries, covered) = history.upstreams.minute(provider, Some(model), now);
    json!({
        "label": target.label(),
        "provider": &**provider,
        "model": model.or(target.provider.model.as_deref()),
        "live": is_live(target, history, now),
        "rate": rate(tries.attempts, covered),
        "error_rate": share(tries.failures, tries.attempts),
        "latency": percentiles(&tries.latency),
    })
}

/// A provider: attempts and failures since the start, the rest of the last minute.
fn provider(provider: &Provider, history: &History, now: Instant) -> Value {
    let (attempts, failures) = history.upstreams.since_start(&provider.name);
    let (tries, covered) = history.upstreams.minute(&provider.name, None, now);
    json!({
        "name": &*provider.name,
        "kind": provider.codec.kind(),
        "live": history.upstreams.is_live(&provider.name, now),
        "attempts": attempts,
        "failures": failures,
        "rate": rate(tries.attempts, covered),
        "error_rate": share(tries.failures, tries.attempts),
        "latency": percentiles(&tries.latency),
        "pool": provider.transport.as_ref().map(|transport| pool(&transport.pool().stats())),
    })
}

/// The connections to a provider.
fn pool(stats: &PoolStats) -> Value {
    let mean = stats
        .connecting
        .checked_div(u32::try_from(stats.connects).unwrap_or(u32::MAX));
    json!({
        "open": stats.open,
        "idle": stats.idle,
        "reused": stats.reused,
        "connects": stats.connects,
        "failures": stats.failures,
        "connect_ms": mean.map(millis),
    })
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}
