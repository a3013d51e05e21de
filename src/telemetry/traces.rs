//! Spans of exchanges, on their way to an OpenTelemetry collector.
//!
//! Nothing of this is made on the request path: an exchange carries its [place in a trace](context::TraceContext), and when
//! its record is settled, it is put into a bounded [queue]. A thread makes spans of what is in it and sends them.

#[cfg(feature = "otlp")]
mod client;
pub mod context;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
pub mod parameters;
pub mod queue;
pub mod sampling;
pub mod settings;
#[cfg(feature = "otlp")]
mod spans;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::ended::Ended;
use queue::{Counts, Queue};
use settings::Settings;

/// The way of spans out of the process, whichever config is in force.
#[derive(Default)]
pub struct Traces {
    current: Mutex<Option<Current>>,
    counts: Arc<Counts>,
}

/// What a config says of traces, in force.
struct Current {
    settings: Arc<Settings>,
    queue: Arc<Queue>,
}

/// What has become of spans since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Whether spans are made.
    pub on: bool,
    /// Spans that wait to be sent.
    pub waiting: u64,
    /// Spans that the collector has taken.
    pub exported: u64,
    /// Spans that were lost: the queue was full, or the collector did not take them.
    pub dropped: u64,
}

impl Traces {
    /// What a config says of traces, put in force. What waits by the one before is still sent by it.
    pub fn put_in_force(&self, settings: Option<&Arc<Settings>>) {
        let mut current = self.lock();
        let is_same = match (&*current, settings) {
            (Some(current), Some(settings)) => Arc::ptr_eq(&current.settings, settings),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        if let Some(old) = current.take() {
            old.queue.close();
        }
        *current = settings.and_then(|settings| self.start(settings));
    }

    #[cfg(feature = "otlp")]
    fn start(&self, settings: &Arc<Settings>) -> Option<Current> {
        let queue = Arc::new(Queue::new(settings.max_queue_size, self.counts.clone()));
        match exporter::start(settings.clone(), queue.clone()) {
            Ok(()) => Some(Current {
                settings: settings.clone(),
                queue,
            }),
            Err(error) => {
                tracing::error!(%error, "cannot start the thread that sends spans: no traces");
                None
            }
        }
    }

    #[cfg(not(feature = "otlp"))]
    #[expect(clippy::unused_self, reason = "nothing is started")]
    fn start(&self, _settings: &Arc<Settings>) -> Option<Current> {
        None
    }

    /// An exchange that has ended, if spans are made of it.
    pub fn add(&self, ended: &Arc<Ended>) {
        if !ended.trace.is_some_and(context::TraceContext::is_sampled) {
            return;
        }
        match &*self.lock() {
            Some(current) => current.queue.push(ended.clone()),
            None => self.counts.drop_spans(queue::spans_of(ended)),
        }
    }

    /// What has become of spans.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let on = self.lock().is_some();
        self.counts.stats(on)
    }

    /// Sends what waits, for no longer than that. What is left then is lost, and counted.
    pub fn stop(&self, patience: Duration) {
        let current = self.lock().take();
        if let Some(Current { queue, .. }) = current {
            queue.close();
            queue.wait_until_over(patience);
            let stats = self.counts.stats(false);
            let lost = stats.dropped + stats.waiting;
            if lost > 0 {
                tracing::warn!(
                    exported = stats.exported,
                    dropped = lost,
                    "some spans were not sent"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
