//! What plugins measure: counters and histograms, of which there may be only so many.
//!
//! A metric is looked up once, when a stage is made, and is a number from then on: recording takes no lock.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use millgate_plugin::{Metric, MetricKind};
use serde::Serialize;

use super::watch::{self, Plugin};

/// Series in all.
const MOST_SERIES: usize = 2048;

/// Series of one name.
const MOST_PER_NAME: usize = 64;

/// Labels of one series.
const MOST_LABELS: usize = 8;

/// The longest name of a metric or a label, in bytes.
const LONGEST_NAME: usize = 64;

/// The longest value of a label, in bytes.
const LONGEST_VALUE: usize = 128;

/// The upper bounds of a histogram's buckets: of seconds, from half a millisecond on; of bytes and tokens, up to a million.
const BOUNDS: [f64; 19] = [
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    1_000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
];

/// Every series, at its number less one.
static SERIES: [OnceLock<Box<Series>>; MOST_SERIES] = [const { OnceLock::new() }; MOST_SERIES];

/// Which there are.
static NAMES: Mutex<Option<HashMap<String, Family>>> = Mutex::new(None);

/// The series of one name.
struct Family {
    kind: MetricKind,
    series: HashMap<Labels, usize>,
}

/// Names and values, in the order of the names.
type Labels = Vec<(String, String)>;

/// A metric with its labels.
struct Series {
    name: String,
    kind: MetricKind,
    labels: Labels,
    /// The bits of an `f64`.
    sum: AtomicU64,
    count: AtomicU64,
    /// How many values were within each bound of [`BOUNDS`], and above the one before; of a counter none.
    buckets: Box<[AtomicU64]>,
}

/// Why a metric is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name of the metric, or of a label, is none.
    #[error(
        "a name has up to {LONGEST_NAME} letters, digits and `_`, and does not begin with a digit"
    )]
    Name,
    /// There are too many labels, or one of them stands for something else.
    #[error(
        "a metric has up to {MOST_LABELS} labels, none of them twice, and none called `plugin` or `le`"
    )]
    Labels,
    /// The value of a label is too long.
    #[error("the value of a label has up to {LONGEST_VALUE} bytes")]
    Value,
    /// There is a metric of that name and another kind.
    #[error("there is a metric of that name and of another kind")]
    Kind,
    /// What is written of it would look like what is written of another one.
    #[error(
        "its name and that of another metric differ only in what is added to names when they are written: `_total` to counters, `_sum`, `_count`, `_bucket` and `_created` to histograms"
    )]
    Like,
    /// There are too many series.
    #[error("there are too many series: {MOST_PER_NAME} of one name and {MOST_SERIES} in all")]
    TooMany,
}

/// A metric as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The whole name.
    pub name: String,
    /// Labels, in the order of their names.
    pub labels: Vec<(String, String)>,
    /// What was recorded.
    pub value: Value,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The sum.
    Counter(f64),
    /// How often values were how large.
    Histogram {
        /// Upper bounds, and how many values were within each of them; those above all bounds are in `count` alone.
        buckets: Vec<(f64, u64)>,
        /// All values together.
        sum: f64,
        /// How many there were.
        count: u64,
    },
}

/// The number of a metric, for [`record`]: an old one, or a new one that stands at 0. Of a plugin its name becomes
/// `millgate_plugin_NAME`, and it has a label `plugin`.
pub fn metric(
    plugin: Option<&Plugin>,
    kind: MetricKind,
    name: &str,
    labels: &[(&str, &str)],
) -> Result<u64, Refused> {
    let labels = checked(name, labels)?;
    let (name, labels) = match plugin {
        Some(plugin) if plugin.name.is_empty() => (format!("millgate_{name}"), labels),
        plugin => (
            format!("millgate_plugin_{name}"),
            with_plugin(labels, plugin),
        ),
    };
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if !names.contains_key(&name) && names.keys().any(|known| are_alike(known, &name)) {
        return Err(Refused::Like);
    }
    let taken: usize = names.values().map(|family| family.series.len()).sum();
    if taken >= MOST_SERIES && !names.contains_key(&name) {
        return Err(Refused::TooMany);
    }
    let family = names.entry(name.clone()).or_insert_with(|| Family {
        kind,
        series: HashMap::new(),
    });
    if family.kind != kind {
        return Err(Refused::Kind);
    }
    if let Some(&at) = family.series.get(&labels) {
        return Ok(at as u64 + 1);
    }
    if family.series.len() >= MOST_PER_NAME || taken >= MOST_SERIES {
        return Err(Refused::TooMany);
    }
    let bounds = match kind {
        MetricKind::Histogram => BOUNDS.len(),
        _ => 0,
    };
    SERIES[taken].get_or_init(|| {
        Box::new(Series {
            name,
            kind,
            labels: labels.clone(),
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
            buckets: (0..bounds).map(|_| AtomicU64::new(0)).collect(),
        })
    });
    family.series.insert(labels, taken);
    Ok(taken as u64 + 1)
}

/// A name as it is written in front of `_total`, which a counter may have in its name already.
#[must_use]
pub fn stem(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

/// Whether two names could be written alike.
fn are_alike(one: &str, other: &str) -> bool {
    let is_written_as = |name: &str, other: &str| {
        let rest = stem(name).strip_prefix(stem(other));
        matches!(
            rest,
            Some("" | "_sum" | "_count" | "_bucket" | "_created" | "_info")
        )
    };
    is_written_as(one, other) || is_written_as(other, one)
}

fn with_plugin(mut labels: Labels, plugin: Option<&Plugin>) -> Labels {
    let plugin = plugin.map_or("unknown", Plugin::shown_name);
    labels.push(("plugin".to_owned(), plugin.to_owned()));
    labels.sort();
    labels
}

fn checked(name: &str, labels: &[(&str, &str)]) -> Result<Labels, Refused> {
    let is_name = |name: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_first = |byte: u8| is_good(byte) && !byte.is_ascii_digit();
        name.bytes().next().is_some_and(is_first)
            && name.len() <= LONGEST_NAME
            && name.bytes().all(is_good)
    };
    if !is_name(name) || !labels.iter().all(|(label, _)| is_name(label)) {
        return Err(Refused::Name);
    }
    let is_taken = |label: &str| matches!(label, "plugin" | "le") || label.starts_with("__");
    if labels.len() > MOST_LABELS || labels.iter().any(|(label, _)| is_taken(label)) {
        return Err(Refused::Labels);
    }
    if labels.iter().any(|(_, value)| value.len() > LONGEST_VALUE) {
        return Err(Refused::Value);
    }
    let own = |&(label, value): &(&str, &str)| (label.to_owned(), value.to_owned());
    let mut labels: Labels = labels.iter().map(own).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Refused::Labels);
    }
    Ok(labels)
}

/// Adds to a counter, or a value to a histogram. A number that is none, and a value that no metric could hold, are
/// passed over.
pub fn record(metric: u64, value: f64) {
    let index = usize::try_from(metric)
        .ok()
        .and_then(|at| at.checked_sub(1));
    let series = index.and_then(|index| SERIES.get(index)?.get());
    if let Some(series) = series
        && value.is_finite()
    {
        series.record(value);
    }
}

impl Series {
    fn record(&self, value: f64) {
        if self.kind == MetricKind::Counter && value < 0.0 {
            return;
        }
        if let Some(at) = BOUNDS.iter().position(|bound| value <= *bound)
            && let Some(bucket) = self.buckets.get(at)
        {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure always has an answer.
        let _ = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn snapshot(&self) -> Snapshot {
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        let value = match self.kind {
            MetricKind::Histogram => {
                let mut within = 0;
                let buckets = BOUNDS.iter().zip(&self.buckets).map(|(bound, bucket)| {
                    within += bucket.load(Ordering::Relaxed);
                    (*bound, within)
                });
                Value::Histogram {
                    buckets: buckets.collect(),
                    sum,
                    count: self.count.load(Ordering::Relaxed),
                }
            }
            _ => Value::Counter(sum),
        };
        Snapshot {
            name: self.name.clone(),
            labels: self.labels.clone(),
            value,
        }
    }
}

/// Every metric as it stands, in the order of names and labels.
#[must_use]
pub fn snapshot() -> Vec<Snapshot> {
    let mut all: Vec<_> = SERIES
        .iter()
        .map_while(OnceLock::get)
        .map(|series| series.snapshot())
        .collect();
    all.sort_by(|one, other| (&one.name, &one.labels).cmp(&(&other.name, &other.labels)));
    all
}

/// The same for a stage that is built in.
#[must_use]
pub fn built_in(kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Arc<dyn Metric> {
    let plugin = watch::built_in();
    let number = metric(Some(plugin), kind, name, labels).unwrap_or_else(|error| {
        tracing::warn!(metric = name, %error, "a metric is refused");
        0
    });
    Arc::new(Numbered(number))
}

struct Numbered(u64);

impl Metric for Numbered {
    fn record(&self, value: f64) {
        record(self.0, value);
    }
}

#[cfg(test)]
mod tests;
