//! The thread that makes spans of what waits and sends them.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{
    client::{Client, Verdict},
    queue::Queue,
    settings::Settings,
    spans,
};

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
        runtime.block_on(Sending::new(settings, queue).run());
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
    client: Client,
    told: Option<Instant>,
}

impl Sending {
    fn new(settings: Arc<Settings>, queue: Arc<Queue>) -> Self {
        Self {
            client: Client::new(settings.clone()),
            settings,
            queue,
            told: None,
        }
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
            let spans: Vec<Span> = batch.iter().flat_map(|ended| spans::of(ended)).collect();
            drop(batch);
            let taken = self.deliver(spans).await;
            self.queue.settle(taken);
        }
    }

    /// Sends a batch, more than once if need be; how many of its spans were taken.
    async fn deliver(&mut self, spans: Vec<Span>) -> u64 {
        let count = spans.len() as u64;
        let body = self.client.body(spans);
        let mut pause = PAUSE;
        let mut retries = 0;
        loop {
            match self.client.send(body.clone()).await {
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
