//! What waits to be written, and what the writer is told.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::Instant,
};

use super::{Place, Settings, row::Row};

/// Rows of a batch; as many that wait, or half of those that may, wake the writer before its time.
pub(super) const BATCH: usize = 1000;

/// Bytes of captured content that may wait. What is past them is not kept; its row is.
const MOST_CAPTURED: usize = 64 << 20;

/// What both sides see.
#[derive(Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Whether rows are welcome.
    pub(super) is_on: AtomicBool,
    /// Rows written.
    pub(super) written: AtomicU64,
    /// Rows lost.
    pub(super) dropped: AtomicU64,
    /// Rows that the writer has taken and not yet written.
    in_hand: AtomicUsize,
    has_warned: AtomicBool,
    error: Mutex<Option<String>>,
    pruning_error: Mutex<Option<String>>,
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<Row>,
    orders: VecDeque<Order>,
    limit: usize,
    is_capturing: bool,
    captured: usize,
    /// Rows lost since rows were last taken.
    lost: u64,
}

impl Queue {
    /// So many that wait are written before their time: not so many that there is no room meanwhile.
    fn enough(&self) -> usize {
        BATCH.min(self.limit / 2).max(1)
    }
}

/// What the writer is told.
pub(super) enum Order {
    /// Work by these from now on.
    Change(Settings, Option<Place>),
    /// Write what is left, say so, and end.
    Stop(SyncSender<()>),
}

impl Shared {
    /// Whether rows are welcome from now on, and how many.
    pub(super) fn admit(&self, is_on: bool, settings: &Settings) {
        let mut queue = lock(&self.queue);
        queue.limit = settings.queue;
        queue.is_capturing = settings.keys.current.is_some();
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// One more. Where too many wait it is lost.
    pub(super) fn push(&self, mut row: Row) {
        let mut queue = lock(&self.queue);
        if queue.rows.len() + self.in_hand.load(Ordering::Relaxed) >= queue.limit {
            queue.lost += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if queue.lost == 1 {
                let why = if lock(&self.error).is_some() {
                    "the ledger cannot be written and no more rows may wait: exchanges are served, their rows are lost"
                } else {
                    "exchanges end faster than the ledger is written and no more rows may wait: exchanges are served, their rows are \
                     lost; a larger [ledger] queue has room for more"
                };
                tracing::error!(waiting = queue.limit, "{why}");
            }
            return;
        }
        if row.captured.is_some() {
            let bytes = row.captured_bytes();
            if queue.is_capturing && queue.captured + bytes <= MOST_CAPTURED {
                queue.captured += bytes;
            } else {
                row.captured = None;
                self.warn_of_content(queue.is_capturing);
            }
        }
        queue.rows.push_back(row);
        if queue.rows.len() == queue.enough() {
            self.wake.notify_one();
        }
    }

    /// Says once that content is not kept.
    fn warn_of_content(&self, has_key: bool) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        if has_key {
            tracing::warn!(
                "captured content comes faster than the ledger takes it: some is not kept"
            );
        } else {
            tracing::warn!(
                "captured content is not kept: set [ledger] capture_key, with which it is encrypted"
            );
        }
    }

    /// Tells the writer.
    pub(super) fn order(&self, order: Order) {
        lock(&self.queue).orders.push_back(order);
        self.wake.notify_one();
    }

    /// Waits until `until`, for an order, or, where the writer `is_able` to write, for a batch to be full.
    pub(super) fn wait(&self, until: Instant, is_able: bool) -> Option<Order> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(order) = queue.orders.pop_front() {
                return Some(order);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (is_able && queue.rows.len() >= queue.enough()) {
                return None;
            }
            let waited = self.wake.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the next rows. They count as waiting until they are [settled](Self::settle).
    pub(super) fn take(&self, rows: &mut Vec<Row>) {
        let mut queue = lock(&self.queue);
        let count = queue.rows.len().min(BATCH.saturating_sub(rows.len()));
        rows.extend(queue.rows.drain(..count));
        queue.captured = queue.rows.iter().map(Row::captured_bytes).sum();
        self.in_hand.store(rows.len(), Ordering::Relaxed);
    }

    /// So many of those that were taken are written, and so many are left.
    pub(super) fn settle(&self, written: usize, left: usize) {
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        self.in_hand.store(left, Ordering::Relaxed);
        tracing::debug!(rows = written, "rows are written to the ledger");
        let was_wrong = lock(&self.error).take().is_some();
        let lost = std::mem::take(&mut lock(&self.queue).lost);
        if lost > 0 {
            let what = if was_wrong {
                "the ledger is written again; these rows of exchanges are lost"
            } else {
                "there is room for rows of the ledger again; these rows of exchanges are lost"
            };
            tracing::warn!(lost, "{what}");
        }
    }

    /// So many of those that were taken will never be written, and so many are left.
    pub(super) fn give_up(&self, rows: usize, left: usize) {
        self.dropped.fetch_add(rows as u64, Ordering::Relaxed);
        self.in_hand.store(left, Ordering::Relaxed);
    }

    /// Why rows cannot be written; `None` where they can.
    pub(super) fn set_error(&self, error: Option<String>) {
        *lock(&self.error) = error;
    }

    pub(super) fn error(&self) -> Option<String> {
        lock(&self.error).clone()
    }

    /// Why old rows cannot be deleted; `None` where they can.
    pub(super) fn set_pruning_error(&self, error: Option<String>) {
        *lock(&self.pruning_error) = error;
    }

    pub(super) fn pruning_error(&self) -> Option<String> {
        lock(&self.pruning_error).clone()
    }

    /// Rows that the writer has taken and not yet written.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        lock(&self.queue).rows.len() + self.in_hand.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
