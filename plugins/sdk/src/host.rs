//! What the gateway does for a stage or a provider beyond the exchange at hand.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::BoxFuture;

/// The services of the gateway, handed to a stage when it is made. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    services: Arc<dyn Services>,
    shadow: bool,
}

/// What a gateway offers; authors use [`Host`].
pub trait Services: Send + Sync {
    /// See [`Host::call`].
    fn call(&self, call: HttpCall, done: Done);
    /// See [`Host::sleep`].
    fn sleep(&self, time: Duration) -> BoxFuture;
    /// See [`Host::tally`].
    fn tally(&self, key: &str) -> Tally;
    /// See [`Host::counter`] and [`Host::histogram`].
    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Arc<dyn Metric>;
}

/// Told of the answer to a call, once, from any thread.
pub type Done = Box<dyn FnOnce(Result<HttpAnswer, CallError>) + Send>;

/// An HTTP request that the gateway makes for a stage.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// `GET`, `POST` …
    pub method: &'static str,
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// How long it may take as a whole.
    pub timeout: Duration,
    /// The most that is read of the answer's body, in bytes.
    pub max_body: usize,
}

impl HttpCall {
    /// A `GET` that may take 5 seconds and answer with 1 MiB.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET",
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(5),
            max_body: 1 << 20,
        }
    }
}

/// The answer to an [`HttpCall`], whatever its status. Redirects are not followed.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers, lower-case names; those that are not UTF-8 are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer: for a log, not for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError(pub String);

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CallError {}

/// A sum that outlives a restart and is shared with other processes of the same store, within a second or so.
/// Cheap to clone; adding is one atomic operation.
#[derive(Clone)]
pub struct Tally(Arc<dyn Count>);

/// What is behind a [`Tally`].
pub trait Count: Send + Sync {
    /// See [`Tally::total`].
    fn total(&self) -> i64;
    /// See [`Tally::add`].
    fn add(&self, amount: i64);
}

impl Tally {
    /// A tally over a gateway's own count.
    #[must_use]
    pub fn new(count: Arc<dyn Count>) -> Self {
        Self(count)
    }

    /// The sum as far as it is known here.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.0.total()
    }

    /// Adds to the sum; a negative amount takes back.
    pub fn add(&self, amount: i64) {
        self.0.add(amount);
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tally({})", self.total())
    }
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum MetricKind {
    /// A sum that only grows.
    Counter = 1,
    /// How often values were how large.
    Histogram = 2,
}

/// What is behind a [`Counter`] or a [`Histogram`].
pub trait Metric: Send + Sync {
    /// Adds to a counter, or a value to a histogram.
    fn record(&self, value: f64);
}

/// A sum that only grows, since the gateway was started. Cheap to clone and to add to.
#[derive(Clone)]
pub struct Counter(Arc<dyn Metric>);

impl Counter {
    /// Adds to the sum.
    pub fn add(&self, amount: u64) {
        self.0.record(amount as f64);
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counter")
    }
}

/// How often values were how large, since the gateway was started. Cheap to clone and to record to.
#[derive(Clone)]
pub struct Histogram(Arc<dyn Metric>);

impl Histogram {
    /// Records a value; of a duration, seconds.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Histogram")
    }
}

impl Host {
    /// A host with these services.
    pub fn new(services: impl Services + 'static) -> Self {
        Self {
            services: Arc::new(services),
            shadow: false,
        }
    }

    /// The same host for a stage whose `mode` is `"shadow"`, or is not.
    #[must_use]
    pub fn with_shadow(&self, shadow: bool) -> Self {
        Self {
            services: self.services.clone(),
            shadow,
        }
    }

    /// Whether the stage that is being made is in shadow mode: the gateway passes over its refusals, and it must not
    /// hold anything up by itself either.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Makes an HTTP call in the background; `done` is told the answer, from any thread, and where there can be none
    /// perhaps before this returns: hold no lock that it takes.
    pub fn call(
        &self,
        call: HttpCall,
        done: impl FnOnce(Result<HttpAnswer, CallError>) + Send + 'static,
    ) {
        self.services.call(call, Box::new(done));
    }

    /// A future that is done after `time`; in a plugin the time is counted from when the future is first polled.
    #[must_use]
    pub fn sleep(&self, time: Duration) -> BoxFuture {
        self.services.sleep(time)
    }

    /// The sum under `key`, zero where nobody has added to it. Keys are for ever: put the period into one that ends.
    #[must_use]
    pub fn tally(&self, key: &str) -> Tally {
        self.services.tally(key)
    }

    /// A counter with these labels, which `/metrics` shows; of a plugin as `millgate_plugin_NAME`. Ask when the stage is
    /// made, not for every exchange. A name or label that Prometheus would not take makes a counter that nobody sees.
    #[must_use]
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.services.metric(MetricKind::Counter, name, labels))
    }

    /// A histogram with these labels; as for [`Host::counter`]. Put the unit at the end of the name: `wait_seconds`.
    #[must_use]
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Histogram {
        Histogram(self.services.metric(MetricKind::Histogram, name, labels))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}
