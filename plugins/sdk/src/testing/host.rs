//! A gateway's services without a gateway.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    BoxFuture, CallError, Count, Done, Host, HttpAnswer, HttpCall, Metric, MetricKind, Services,
    Tally,
};

/// The services of a gateway in memory: calls are answered from a script, time passes at once, sums and metrics can be
/// looked at. Clones are the same.
#[derive(Clone, Default)]
pub struct FakeHost(Arc<Mutex<Seen>>);

/// What a test says an HTTP call is answered with.
type Script = dyn FnMut(&HttpCall) -> Result<HttpAnswer, CallError> + Send;

#[derive(Default)]
struct Seen {
    script: Option<Box<Script>>,
    answers_later: bool,
    calls: Vec<HttpCall>,
    slept: Vec<Duration>,
    tallies: BTreeMap<String, Arc<Sum>>,
    metrics: BTreeMap<String, Vec<f64>>,
}

/// An answer without headers.
#[must_use]
pub fn http_answer(status: u16, body: impl Into<Bytes>) -> HttpAnswer {
    HttpAnswer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

impl FakeHost {
    /// A host that answers no call: all fail.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers calls so.
    #[must_use]
    pub fn answering(
        self,
        script: impl FnMut(&HttpCall) -> Result<HttpAnswer, CallError> + Send + 'static,
    ) -> Self {
        self.seen().script = Some(Box::new(script));
        self
    }

    /// Answers from another thread, as a gateway does. Without this a call is answered before it returns.
    #[must_use]
    pub fn later(self) -> Self {
        self.seen().answers_later = true;
        self
    }

    /// What a stage is made with.
    #[must_use]
    pub fn host(&self) -> Host {
        Host::new(self.clone())
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<HttpCall> {
        self.seen().calls.clone()
    }

    /// How long was slept, each time that a future of [`Host::sleep`] was made. No time has passed in truth.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.seen().slept.clone()
    }

    /// The sum under a key.
    #[must_use]
    pub fn total(&self, key: &str) -> i64 {
        self.seen().sum(key).total()
    }

    /// The sum of a counter.
    #[must_use]
    pub fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.recorded(name, labels).iter().sum::<f64>() as u64
    }

    /// The values of a histogram, in order.
    #[must_use]
    pub fn recorded(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let values = self.seen().metrics.get(&series(name, labels)).cloned();
        values.unwrap_or_default()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn sum(&mut self, key: &str) -> Arc<Sum> {
        self.tallies.entry(key.to_owned()).or_default().clone()
    }
}

impl Services for FakeHost {
    fn call(&self, call: HttpCall, done: Done) {
        let mut seen = self.seen();
        let answer = match &mut seen.script {
            Some(script) => script(&call),
            None => Err(CallError("nobody answers in this test".to_owned())),
        };
        seen.calls.push(call);
        let later = seen.answers_later;
        drop(seen);
        if later {
            thread::spawn(move || done(answer));
        } else {
            done(answer);
        }
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        self.seen().slept.push(time);
        Box::pin(std::future::ready(()))
    }

    fn tally(&self, key: &str) -> Tally {
        Tally::new(self.seen().sum(key))
    }

    fn metric(&self, _kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Arc<dyn Metric> {
        let name = series(name, labels);
        self.seen().metrics.entry(name.clone()).or_default();
        Arc::new(Series {
            host: self.clone(),
            name,
        })
    }
}

/// `name{label="value"}`
fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    format!("{name}{labels:?}")
}

#[derive(Default)]
struct Sum(AtomicI64);

impl Count for Sum {
    fn total(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::SeqCst);
    }
}

struct Series {
    host: FakeHost,
    name: String,
}

impl Metric for Series {
    fn record(&self, value: f64) {
        let mut seen = self.host.seen();
        if let Some(values) = seen.metrics.get_mut(&self.name) {
            values.push(value);
        }
    }
}
