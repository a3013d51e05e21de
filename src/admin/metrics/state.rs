//! What is read when somebody asks: numbers that rise and fall, and counts that are kept where they come from.

mod plugins;
mod pools;

use std::time::SystemTime;

use crate::{
    admin::status,
    cache::Cache,
    runtime::{Runtime, gateway::Gateway},
    stages::rate_limit,
    telemetry::{
        metrics::{
            family::{Family, Kind},
            process::Usage,
        },
        writer,
    },
};

/// Everything: what was counted of exchanges, and what is so now.
pub(super) fn families(gateway: &Gateway) -> Vec<Family> {
    let observer = &gateway.process().observer;
    let runtime = gateway.runtime();
    // Before anything else: what is not in flight any more has been counted.
    let gauges = gauges(gateway);
    let mut families = observer.look(|views| views.metrics.families());
    families.extend(gauges);
    families.extend(reloads(gateway));
    families.extend(losses(gateway));
    families.extend(ledger(gateway));
    families.extend(traces(gateway));
    families.extend(pools::families(&runtime));
    families.extend(verdicts(&runtime));
    if let Some(cache) = &runtime.pipeline.cache {
        families.extend(cached(cache));
    }
    families.extend(Usage::now().families());
    families.extend(plugins::families(&families));
    families
}

fn gauges(gateway: &Gateway) -> [Family; 5] {
    let process = gateway.process();
    let gauge = |name, help, value: f64| Family::one(name, Kind::Gauge, help, value);
    let build = Family::new("millgate_build", Kind::Info, "Which millgate this is.");
    [
        build.with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        gauge(
            "millgate_in_flight_exchanges",
            "Exchanges that have begun and not ended.",
            process.observer.in_flight() as f64,
        ),
        gauge(
            "millgate_observer_waiting_exchanges",
            "Exchanges that have ended and are not accounted for yet.",
            process.observer.waiting() as f64,
        ),
        gauge(
            "millgate_limit_waiting_requests",
            "Requests that wait in the queue of a limit.",
            rate_limit::waiting() as f64,
        ),
        gauge(
            "millgate_ready",
            "What /readyz says: 1, or 0 while it drains or no route has a live target.",
            f64::from(u8::from(status::unready(gateway).is_none())),
        ),
    ]
}

fn reloads(gateway: &Gateway) -> [Family; 3] {
    let reloads = gateway.reloads();
    let seconds = |time: Option<SystemTime>| {
        let since = time?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64())
    };
    let mut times = Family::new(
        "millgate_config_reload_timestamp_seconds",
        Kind::Gauge,
        "When a config was last put in force, the one of the start included, and when one was last refused.",
    );
    for (result, time) in [
        ("success", reloads.last_success),
        ("failure", reloads.last_failure),
    ] {
        if let Some(seconds) = seconds(time) {
            times = times.with(&[("result", result)], seconds);
        }
    }
    let counts = Family::new(
        "millgate_config_reloads",
        Kind::Counter,
        "Configs that were read again, by whether they were put in force.",
    );
    [
        Family::one(
            "millgate_config_generation",
            Kind::Gauge,
            "Which config since the start is in force, from 1.",
            gateway.runtime().generation as f64,
        ),
        counts
            .with(&[("result", "success")], reloads.successes as f64)
            .with(&[("result", "failure")], reloads.failures as f64),
        times,
    ]
}

/// What stages have said, by the name of each.
fn verdicts(runtime: &Runtime) -> [Family; 2] {
    let mut refusals = Family::new(
        "millgate_stage_refusals",
        Kind::Counter,
        "How often a stage has refused an exchange or an attempt, or would have in shadow mode.",
    );
    let mut failures = Family::new(
        "millgate_stage_failures",
        Kind::Counter,
        "How often a stage has failed, panics included, passed over or not.",
    );
    for stage in runtime.pipeline.stages() {
        let [refused, shadowed, failed] = stage.verdicts.now().map(|count| count as f64);
        let of = |mode| [("stage", &*stage.name), ("mode", mode)];
        refusals = refusals.with(&of("enforce"), refused);
        refusals = refusals.with(&of("shadow"), shadowed);
        failures = failures.with(&[("stage", &*stage.name)], failed);
    }
    [refusals, failures]
}

/// What was lost, or may be.
fn losses(gateway: &Gateway) -> [Family; 3] {
    let store = gateway.process().store.health();
    [
        Family::one(
            "millgate_log_lines_lost",
            Kind::Counter,
            "Log lines that were lost because what reads them does not keep up.",
            writer::lost() as f64,
        ),
        Family::one(
            "millgate_store_failures",
            Kind::Counter,
            "How often the store could not be opened, read or written.",
            store.failures as f64,
        ),
        Family::one(
            "millgate_store_unwritten_sums",
            Kind::Gauge,
            "Sums that are in memory alone, and not in the store yet.",
            store.unwritten as f64,
        ),
    ]
}

/// What has become of the rows of the ledger.
fn ledger(gateway: &Gateway) -> [Family; 4] {
    let ledger = gateway.process().observer.ledger.stats();
    let gauge = |name, help, value: f64| Family::one(name, Kind::Gauge, help, value);
    let count = |name, help, value: u64| Family::one(name, Kind::Counter, help, value as f64);
    [
        gauge(
            "millgate_ledger_ok",
            "Whether the ledger can be written: 1, also where there is none, or 0.",
            f64::from(u8::from(ledger.ok)),
        ),
        gauge(
            "millgate_ledger_waiting_rows",
            "Rows that wait to be written to the ledger.",
            ledger.waiting as f64,
        ),
        count(
            "millgate_ledger_rows_written",
            "Rows that were written to the ledger.",
            ledger.written,
        ),
        count(
            "millgate_ledger_rows_lost",
            "Rows that were lost, because too many waited or the database would not take them.",
            ledger.dropped,
        ),
    ]
}

/// What has become of spans.
fn traces(gateway: &Gateway) -> [Family; 3] {
    let traces = gateway.process().observer.traces.stats();
    let count = |name, help, value: u64| Family::one(name, Kind::Counter, help, value as f64);
    [
        Family::one(
            "millgate_traces_waiting_spans",
            Kind::Gauge,
            "Spans that wait to be sent to the collector.",
            traces.waiting as f64,
        ),
        count(
            "millgate_traces_spans_sent",
            "Spans that the collector has taken.",
            traces.exported,
        ),
        count(
            "millgate_traces_spans_lost",
            "Spans that were lost: the queue was full, or the collector did not take them.",
            traces.dropped,
        ),
    ]
}

fn cached(cache: &Cache) -> Vec<Family> {
    let stats = cache.stats();
    let gauge = |name, help, value: u64| Family::one(name, Kind::Gauge, help, value as f64);
    let count = |name, help, value: u64| Family::one(name, Kind::Counter, help, value as f64);
    let mut requests = Family::new(
        "millgate_cache_requests",
        Kind::Counter,
        "What the cache had to do with requests that came to it.",
    );
    for (result, value) in [
        ("hit", stats.hits),
        ("miss", stats.misses),
        ("collapsed", stats.collapsed),
        ("stale", stats.stale),
        ("bypass", stats.bypassed),
    ] {
        requests = requests.with(&[("result", result)], value as f64);
    }
    vec![
        requests,
        count(
            "millgate_cache_stored",
            "Answers kept so far.",
            stats.stored,
        ),
        gauge(
            "millgate_cache_entries",
            "Answers kept in memory.",
            stats.entries,
        ),
        gauge(
            "millgate_cache_bytes",
            "Bytes that the answers kept in memory take.",
            stats.bytes,
        ),
        gauge(
            "millgate_cache_max_bytes",
            "The most that they may take.",
            stats.max_bytes,
        ),
        gauge(
            "millgate_cache_flights",
            "Calls under way that can be shared.",
            stats.flights,
        ),
        gauge(
            "millgate_cache_disk_entries",
            "Answers kept on disk.",
            stats.files,
        ),
        gauge(
            "millgate_cache_disk_bytes",
            "Bytes that the answers kept on disk take.",
            stats.file_bytes,
        ),
        count(
            "millgate_cache_disk_unwritten",
            "Answers that were kept in memory and not on disk, for want of time or room.",
            stats.unwritten,
        ),
    ]
}
