//! The thread that makes spans of what waits and sends them.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol as Wire, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};

use super::{
    client::{Client, Verdict},
    queue::Queue,
    settings::Settings,
    spans,
};
use crate::config::traces::Protocol;

/// How often a batch is sent again before it is given up.
const RETRIES: u32 = 4;

/// The first pause before that; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is told that spans are lost.
const TELL: Duration = Duration::from_secs(30);

/// Starts the thread. It ends when the queue is closed and what was in it has been sent, or could not be.
pub(super) fn start(settings: Arc<Settings>, queue: Arc<Queue>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = move || {
        let over = Over(queue.clone());
        match runtime.block_on(async { Sending::new(settings, queue) }) {
            Ok(mut sending) => runtime.block_on(sending.run()),
            Err(error) => {
                tracing::error!(%error, "the exporter of spans cannot be made: no traces");
            }
        }
        drop(over);
        runtime.shutdown_background();
    };
    std::thread::Builder::new()
        .name("millgate-traces".to_owned())
        .spawn(work)
        .map(drop)
}

/// However the thread ends, nobody waits for it any longer.
struct Over(Arc<Queue>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Sending {
    settings: Arc<Settings>,
    queue: Arc<Queue>,
    exporter: SpanExporter,
    verdict: Arc<Mutex<Verdict>>,
    told: Option<Instant>,
}

impl Sending {
    fn new(settings: Arc<Settings>, queue: Arc<Queue>) -> Result<Self, ExporterBuildError> {
        let verdict = Arc::new(Mutex::new(Verdict::Refused));
        let mut exporter = exporter(&settings, &verdict)?;
        let attributes = settings.resource.iter();
        let attributes = attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = Resource::builder_empty().with_attributes(attributes);
        exporter.set_resource(&resource.build());
        Ok(Self {
            settings,
            queue,
            exporter,
            verdict,
            told: None,
        })
    }

    async fn run(&mut self) {
        let most = self.settings.max_batch_size;
        loop {
            self.queue.filled(most, self.settings.delay).await;
            let is_closed = self.queue.is_closed();
            let batch = self.queue.take(most);
            if batch.is_empty() {
                if is_closed {
                    return;
                }
                continue;
            }
            let spans: Vec<SpanData> = batch.iter().flat_map(|ended| spans::of(ended)).collect();
            drop(batch);
            let taken = self.deliver(spans).await;
            self.queue.settle(taken);
        }
    }

    /// Sends a batch, more than once if need be; how many of its spans were taken.
    async fn deliver(&mut self, spans: Vec<SpanData>) -> u64 {
        let count = spans.len() as u64;
        let mut pause = PAUSE;
        let mut retries = 0;
        loop {
            match self.send(spans.clone()).await {
                Verdict::Taken { rejected } => {
                    if rejected > 0 {
                        self.tell(rejected, "the collector does not take them");
                    }
                    return count.saturating_sub(rejected);
                }
                Verdict::Refused => {
                    self.tell(count, "the collector refuses them");
                    return 0;
                }
                // At the end nobody waits any longer.
                Verdict::Again(_) if retries == RETRIES || self.queue.is_closed() => {
                    self.tell(count, "the collector does not answer, or has no room");
                    return 0;
                }
                Verdict::Again(after) => {
                    let jitter = pause.mul_f64(fastrand::f64() / 2.0);
                    self.queue.pause(after.unwrap_or(pause) + jitter).await;
                    pause *= 2;
                    retries += 1;
                }
            }
        }
    }

    async fn send(&self, spans: Vec<SpanData>) -> Verdict {
        // Until the client is called, which it is not for what the exporter itself refuses.
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Verdict::Refused;
        let exported = self.exporter.export(spans).await;
        match (exported, self.settings.protocol) {
            (Ok(()), Protocol::Grpc) => Verdict::Taken { rejected: 0 },
            // It has tried again by itself.
            (Err(_), Protocol::Grpc) => Verdict::Refused,
            (_, Protocol::HttpProtobuf) => {
                *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    /// Tells that spans are lost, now and then.
    fn tell(&mut self, spans: u64, why: &str) {
        if self.told.is_some_and(|told| told.elapsed() < TELL) {
            return;
        }
        self.told = Some(Instant::now());
        let dropped = self.queue.counts.stats(true).dropped + spans;
        tracing::warn!(
            collector = %self.settings.endpoint,
            why,
            spans,
            dropped,
            "spans are lost; further losses are counted"
        );
    }
}

fn exporter(
    settings: &Arc<Settings>,
    verdict: &Arc<Mutex<Verdict>>,
) -> Result<SpanExporter, ExporterBuildError> {
    match settings.protocol {
        Protocol::HttpProtobuf => SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(settings.clone(), verdict.clone()))
            .with_endpoint(settings.endpoint.to_string())
            .with_protocol(Wire::HttpBinary)
            .with_timeout(settings.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .build(),
        #[cfg(feature = "otlp-grpc")]
        Protocol::Grpc => super::grpc::exporter(settings),
        #[cfg(not(feature = "otlp-grpc"))]
        Protocol::Grpc => Err(ExporterBuildError::InvalidConfiguration(
            "gRPC is not built in".to_owned(),
        )),
    }
}
