//! Metrics as they stand at a moment, ready to be written.

use std::borrow::Cow;

use http::HeaderValue;

use super::histogram::Histogram;
use crate::telemetry::traces::context::TraceContext;

/// All series of one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name, unit included, without the `_total` of a counter and the `_info` of an info.
    pub name: Cow<'static, str>,
    /// What it means, on one line.
    pub help: Cow<'static, str>,
    /// What it is.
    pub kind: Kind,
    /// The series.
    pub series: Vec<Series>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// How often values were how large.
    Histogram,
    /// What does not change; its labels tell it, its value is 1.
    Info,
}

/// One series: labels and what stands under them.
#[derive(Clone, Debug)]
pub struct Series {
    /// Names and values.
    pub labels: Labels,
    /// What was measured.
    pub value: Value,
}

/// Names and values of labels.
pub type Labels = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// What was measured.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of a counter, a gauge or an info.
    Number(f64),
    /// Of a histogram.
    Buckets(Buckets),
}

/// A histogram at a moment.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Upper bounds, and how many values were within each of them; those above all bounds are in `count` alone.
    pub within: Vec<(f64, u64)>,
    /// All values together.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// For each bound, and for what is above all of them, an exchange that is an example; or none at all.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// An exchange whose value fell into a bucket.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// `x-request-id`
    pub request_id: HeaderValue,
    /// The trace that it is in, where spans were made of it.
    pub trace: Option<TraceContext>,
    /// The value.
    pub value: f64,
    /// When, in seconds since 1970.
    pub time: f64,
}

impl Family {
    /// A family without series yet.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            help: help.into(),
            kind,
            series: Vec::new(),
        }
    }

    /// The same with one more number.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        let own =
            |(name, value): &(&'static str, &str)| (Cow::from(*name), (*value).to_owned().into());
        self.series.push(Series {
            labels: labels.iter().map(own).collect(),
            value: Value::Number(value),
        });
        self
    }

    /// One number without labels.
    #[must_use]
    pub fn one(name: &'static str, kind: Kind, help: &'static str, value: f64) -> Self {
        Self::new(name, kind, help).with(&[], value)
    }

    /// What its samples are called, or begin with: `_total` and `_info` belong to their names.
    #[must_use]
    pub fn sample_name(&self) -> Cow<'_, str> {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name).into(),
            Kind::Info => format!("{}_info", self.name).into(),
            Kind::Gauge | Kind::Histogram => Cow::from(&*self.name),
        }
    }

    /// The unit that the name ends in, where it is one of those in use.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            self.name
                .strip_suffix(unit)
                .is_some_and(|rest| rest.ends_with('_'))
        })
    }
}

impl From<&Histogram> for Value {
    fn from(histogram: &Histogram) -> Self {
        Self::Buckets(histogram.buckets())
    }
}
