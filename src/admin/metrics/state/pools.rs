//! Connections to providers.

use crate::{
    routing::pool::{CONNECT_BOUNDS, PoolStats},
    runtime::Runtime,
    telemetry::metrics::family::{Buckets, Family, Kind, Series, Value},
};

pub(super) fn families(runtime: &Runtime) -> Vec<Family> {
    let providers = runtime.providers.iter().map(|provider| &provider.made);
    let pools: Vec<_> = providers
        .filter_map(|provider| Some((&*provider.name, provider.transport.as_ref()?.pool().stats())))
        .collect();
    let family = |name, kind, help, of: fn(&PoolStats) -> u64| {
        pools
            .iter()
            .fold(Family::new(name, kind, help), |family, (name, stats)| {
                family.with(&[("provider", name)], of(stats) as f64)
            })
    };
    let mut connecting = Family::new(
        "millgate_pool_connect_duration_seconds",
        Kind::Histogram,
        "How long connections took to be made, TLS included.",
    );
    connecting
        .series
        .extend(pools.iter().map(|(name, stats)| Series {
            labels: vec![("provider".into(), (*name).to_owned().into())],
            value: connect_times(stats),
        }));
    vec![
        family(
            "millgate_pool_open_connections",
            Kind::Gauge,
            "Connections to a provider that are open.",
            |stats| stats.open,
        ),
        family(
            "millgate_pool_idle_connections",
            Kind::Gauge,
            "Connections to a provider on which no request is.",
            |stats| stats.idle,
        ),
        family(
            "millgate_pool_reused",
            Kind::Counter,
            "Requests that went out on a connection that had brought a reply before.",
            |stats| stats.reused,
        ),
        family(
            "millgate_pool_connect_failures",
            Kind::Counter,
            "Connections that could not be made.",
            |stats| stats.failures,
        ),
        connecting,
    ]
}

fn connect_times(stats: &PoolStats) -> Value {
    let mut count = 0;
    let within = CONNECT_BOUNDS.iter().zip(&stats.made).map(|(bound, more)| {
        count += more;
        (*bound, count)
    });
    Value::Buckets(Buckets {
        within: within.collect(),
        sum: stats.connecting.as_secs_f64(),
        count: stats.connects,
        exemplars: Vec::new(),
    })
}
