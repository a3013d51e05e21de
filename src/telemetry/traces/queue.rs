//! Exchanges that wait for their spans to be made and sent: bounded in number and, where content is captured, in bytes.
//! What does not fit is counted.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::Stats;
use crate::telemetry::ended::Ended;

/// Bytes of captured content that may wait. Of what exchanges hold beside it, the number of spans is bound enough.
const MOST_CONTENT: u64 = 32 << 20;

/// About how many bytes of it are sent at a time: collectors take 4 MiB over gRPC unless they are told otherwise, and
/// quotes and line breaks take twice their room in a span.
const BATCH_CONTENT: u64 = 1 << 20;

/// Spans, by what has become of them.
#[derive(Debug, Default)]
pub struct Counts {
    waiting: AtomicU64,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// So many are lost.
    pub fn drop_spans(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Of so many that waited the collector has taken some, and the rest is lost.
    pub fn settle(&self, waited: u64, taken: u64) {
        self.exported.fetch_add(taken, Ordering::Relaxed);
        self.drop_spans(waited.saturating_sub(taken));
        self.waiting.fetch_sub(waited, Ordering::Relaxed);
    }

    /// All of them.
    pub fn stats(&self, on: bool) -> Stats {
        Stats {
            on,
            waiting: self.waiting.load(Ordering::Relaxed),
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// How many spans are made of an exchange: its own, and one for each attempt.
#[must_use]
pub fn spans_of(ended: &Ended) -> u64 {
    1 + ended.attempts.len() as u64
}

/// Bytes of captured content that an exchange holds.
fn content_of(ended: &Ended) -> u64 {
    let captured = ended.captured.as_ref();
    captured.map_or(0, |all| (all.request.len() + all.reply.len()) as u64)
}

/// What takes up room.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    spans: u64,
    /// Bytes.
    content: u64,
}

impl Load {
    fn of(ended: &Ended) -> Self {
        Self {
            spans: spans_of(ended),
            content: content_of(ended),
        }
    }

    const fn and(self, more: Self) -> Self {
        Self {
            spans: self.spans + more.spans,
            content: self.content + more.content,
        }
    }

    const fn less(self, part: Self) -> Self {
        Self {
            spans: self.spans - part.spans,
            content: self.content - part.content,
        }
    }

    /// Whether it makes a batch of so many spans.
    const fn fills(self, batch: u64) -> bool {
        self.spans >= batch || self.content >= BATCH_CONTENT
    }
}

/// Exchanges that wait.
pub struct Queue {
    state: Mutex<State>,
    /// In spans, those of the batch that is being sent included.
    capacity: u64,
    /// What has become of them, whichever queue they were in.
    pub counts: Arc<Counts>,
    news: Notify,
    over: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Ended>>,
    /// Of those that wait, and of those that are being sent.
    held: Load,
    /// Of those that are being sent.
    taken: Load,
    is_closed: bool,
    is_over: bool,
}

impl Queue {
    /// A queue for so many spans.
    #[must_use]
    pub fn new(capacity: u64, counts: Arc<Counts>) -> Self {
        Self {
            state: Mutex::default(),
            capacity,
            counts,
            news: Notify::new(),
            over: Condvar::new(),
        }
    }

    /// One more. Where its spans or its content do not fit, all of it is lost: half a trace is worse than none.
    pub fn push(&self, ended: Arc<Ended>) {
        let load = Load::of(&ended);
        let mut state = self.lock();
        let held = state.held.and(load);
        let is_full = held.spans > self.capacity || held.content > MOST_CONTENT;
        if state.is_closed || is_full {
            drop(state);
            self.counts.drop_spans(load.spans);
            return;
        }
        state.held = held;
        state.waiting.push_back(ended);
        self.counts.waiting.fetch_add(load.spans, Ordering::Relaxed);
        drop(state);
        self.news.notify_one();
    }

    /// The next ones, of about so many spans together, or fewer where they hold much content; none where none waits. They take
    /// up room until they are [settled](Self::settle).
    pub fn take(&self, most: u64) -> Vec<Arc<Ended>> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        while !state.taken.fills(most) {
            let Some(ended) = state.waiting.pop_front() else {
                break;
            };
            state.taken = state.taken.and(Load::of(&ended));
            batch.push(ended);
        }
        batch
    }

    /// Of the spans that were taken last the collector has so many; the rest is lost.
    pub fn settle(&self, taken: u64) {
        let mut state = self.lock();
        let load = std::mem::take(&mut state.taken);
        state.held = state.held.less(load);
        self.counts.settle(load.spans, taken.min(load.spans));
    }

    /// Waits until there is enough for a batch of so many spans, or for so long, or until it is closed.
    pub async fn filled(&self, batch: u64, patience: Duration) {
        let filled = async {
            loop {
                let news = self.news.notified();
                {
                    let state = self.lock();
                    if state.is_closed || state.held.fills(batch) {
                        return;
                    }
                }
                news.await;
            }
        };
        // Then with what there is.
        let _ = tokio::time::timeout(patience, filled).await;
    }

    /// Waits for so long, or until it is closed.
    pub async fn pause(&self, time: Duration) {
        let closed = async {
            while !self.is_closed() {
                self.news.notified().await;
            }
        };
        // Either way it is time to go on.
        let _ = tokio::time::timeout(time, closed).await;
    }

    /// From now on nothing comes in.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }

    /// Whether nothing comes in any more.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Whoever emptied it is gone; what is left is lost.
    pub fn end(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.is_over = true;
        let held = std::mem::take(&mut state.held);
        state.taken = Load::default();
        state.waiting.clear();
        self.counts.settle(held.spans, 0);
        drop(state);
        self.over.notify_all();
    }

    /// Waits for that, but no longer than so.
    pub fn wait_until_over(&self, patience: Duration) {
        let is_not = |state: &mut State| !state.is_over;
        // Either way there is nothing else to wait for.
        let _ = self.over.wait_timeout_while(self.lock(), patience, is_not);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
