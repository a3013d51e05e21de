//! Plugins: how they do, and what they measure themselves.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::atomic::Ordering::Relaxed,
};

use crate::{
    plugin::{
        metrics::{self, Value as Measured},
        watch,
    },
    telemetry::metrics::family::{Buckets, Family, Kind, Series, Value},
};

/// Those of plugins; of a name that is among `own` there is none.
pub(super) fn families(own: &[Family]) -> Vec<Family> {
    let mut families = health();
    let taken: HashSet<Cow<'static, str>> = own
        .iter()
        .chain(&families)
        .map(|family| family.name.clone())
        .collect();
    families.extend(measured(&taken));
    families
}

/// How often each plugin, by name and version, has gone wrong.
fn health() -> Vec<Family> {
    let mut plugins: BTreeMap<(&str, &str), [u64; 4]> = BTreeMap::new();
    let loaded = watch::loaded().into_iter();
    for plugin in loaded.filter(|plugin| !plugin.name.is_empty()) {
        let sums = plugins.entry((&plugin.name, &plugin.version)).or_default();
        sums[0] += plugin.panics.load(Relaxed);
        sums[1] += plugin.failures.load(Relaxed);
        sums[2] += plugin.blocked.load(Relaxed);
        sums[3] += u64::from(plugin.is_off());
    }
    let family = |at: usize, name, kind, help| {
        let family = Family::new(name, kind, help);
        plugins
            .iter()
            .fold(family, |family, ((name, version), sums)| {
                let labels = [("plugin", *name), ("version", *version)];
                family.with(&labels, sums[at] as f64)
            })
    };
    vec![
        family(
            0,
            "millgate_plugins_panics",
            Kind::Counter,
            "How often a plugin has panicked.",
        ),
        family(
            1,
            "millgate_plugins_failures",
            Kind::Counter,
            "How often a plugin has failed, or done what the interface does not allow.",
        ),
        family(
            2,
            "millgate_plugins_blocked",
            Kind::Counter,
            "How often a hook of a plugin has blocked for a second.",
        ),
        family(
            3,
            "millgate_plugins_off",
            Kind::Gauge,
            "Images of a plugin that are switched off, because they have panicked too often.",
        ),
    ]
}

/// What plugins measure, under the names that they were given when they were made.
fn measured(taken: &HashSet<Cow<'static, str>>) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for snapshot in metrics::snapshot() {
        let kind = match snapshot.value {
            Measured::Counter(_) => Kind::Counter,
            Measured::Histogram { .. } => Kind::Histogram,
        };
        let name = metrics::stem(&snapshot.name);
        if taken.contains(name) {
            continue;
        }
        if families.last().is_none_or(|family| family.name != name) {
            let help = "Measured by a plugin.";
            families.push(Family::new(name.to_owned(), kind, help));
        }
        let Some(family) = families.last_mut() else {
            continue;
        };
        let labels = snapshot.labels.into_iter();
        family.series.push(Series {
            labels: labels
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            value: match snapshot.value {
                Measured::Counter(sum) => Value::Number(sum),
                Measured::Histogram {
                    buckets,
                    sum,
                    count,
                } => Value::Buckets(Buckets {
                    within: buckets,
                    sum,
                    count,
                    exemplars: Vec::new(),
                }),
            },
        });
    }
    families
}

#[cfg(test)]
mod tests {
    use millgate_plugin::MetricKind;

    use super::*;
    use crate::{plugin::watch::Plugin, telemetry::metrics::text::Form};

    #[test]
    fn what_plugins_measure_is_written_and_never_under_a_name_that_is_taken() {
        let plugin = Plugin::leak("turning", "1.2");
        plugin.panics.fetch_add(2, Relaxed);
        let (counter, histogram) = (MetricKind::Counter, MetricKind::Histogram);
        let metric =
            |kind, name| metrics::metric(Some(plugin), kind, name, &[("way", "left")]).unwrap();
        metrics::record(metric(counter, "mill_turns"), 3.0);
        metrics::record(metric(histogram, "mill_turn_seconds"), 0.3);
        metrics::record(metric(counter, "mill_taken_total"), 1.0);
        let own = Family::one("millgate_plugin_mill_taken", Kind::Gauge, "Own.", 7.0);
        let text = Form::Classic.write(families(&[own]));
        for line in [
            "# TYPE millgate_plugin_mill_turns_total counter",
            "millgate_plugin_mill_turns_total{plugin=\"turning\",way=\"left\"} 3",
            "millgate_plugin_mill_turn_seconds_bucket{plugin=\"turning\",way=\"left\",le=\"0.5\"} 1",
            "millgate_plugin_mill_turn_seconds_count{plugin=\"turning\",way=\"left\"} 1",
            "millgate_plugins_panics_total{plugin=\"turning\",version=\"1.2\"} 2",
            "millgate_plugins_off{plugin=\"turning\",version=\"1.2\"} 0",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line}: {text}"
            );
        }
        assert!(!text.contains("millgate_plugin_mill_taken"), "{text}");
    }
}
