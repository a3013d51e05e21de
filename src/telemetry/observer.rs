//! Where exchanges go when they have ended: off the request path, to all who keep account of them.
//!
//! An exchange leaves its [`Ended`] in a queue, which costs it a lock and a push. A thread takes what has come together, ten times a
//! second, and so does whoever looks, so that nobody sees less than what had ended when it asked.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::broadcast;

use super::{ended::Ended, history::History, metrics::Metrics, recent::Recent, traces::Traces};
use crate::ledger::Ledger;

/// How often what has ended is taken account of.
const BEAT: Duration = Duration::from_millis(100);

/// So many may wait. Whoever ends when there are as many takes account of them first: metrics lose none.
const MOST_WAITING: usize = 8192;

/// How far whoever follows exchanges as they end may lag behind before it is told that it has missed some.
const FOLLOWED: usize = 1024;

/// All who keep account of exchanges.
pub struct Observer {
    waiting: Mutex<Vec<Arc<Ended>>>,
    views: Mutex<Views>,
    in_flight: AtomicU64,
    is_cutting_off: AtomicBool,
    followers: broadcast::Sender<Arc<Ended>>,
    /// Where each of them is written down.
    pub ledger: Ledger,
    /// Spans on their way to a collector.
    pub traces: Traces,
}

/// What is known of the exchanges that have ended.
#[derive(Default)]
pub struct Views {
    /// The latest of them.
    pub recent: Recent,
    /// What is counted of them.
    pub metrics: Metrics,
    /// What has happened since the start.
    pub history: History,
}

impl Views {
    fn add(&mut self, ended: &Arc<Ended>) {
        self.recent.add(ended);
        self.metrics.add(ended);
        self.history.add(ended);
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            views: Mutex::default(),
            in_flight: AtomicU64::new(0),
            is_cutting_off: AtomicBool::new(false),
            followers: broadcast::Sender::new(FOLLOWED),
            ledger: Ledger::default(),
            traces: Traces::default(),
        }
    }
}

impl Observer {
    /// An exchange begins.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange that had begun is over.
    pub fn end(&self, ended: Arc<Ended>) {
        let are_many = {
            let mut waiting = lock(&self.waiting);
            waiting.push(ended);
            waiting.len() >= MOST_WAITING
        };
        // Not before it waits: where none is in flight, all are accounted for by whoever looks.
        self.in_flight.fetch_sub(1, Ordering::Release);
        if are_many {
            drop(self.settle());
        }
    }

    /// Exchanges that have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// The gateway waits no longer: what is still under way is cut off by nobody but itself.
    pub fn cut_off(&self) {
        self.is_cutting_off.store(true, Ordering::Release);
    }

    /// Whether it does so.
    #[must_use]
    pub fn is_cutting_off(&self) -> bool {
        self.is_cutting_off.load(Ordering::Acquire)
    }

    /// Exchanges that have ended and are not accounted for yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Looks at what is known of all exchanges that have ended by now. Nothing goes on while it looks: it should be brief.
    pub fn look<T>(&self, look: impl FnOnce(&mut Views) -> T) -> T {
        look(&mut self.settle())
    }

    /// Exchanges as they end, from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Ended>> {
        self.followers.subscribe()
    }

    /// Takes account of what waits.
    fn settle(&self) -> MutexGuard<'_, Views> {
        let mut views = lock(&self.views);
        // Within the lock: what ended earlier is accounted for earlier.
        let ended = std::mem::take(&mut *lock(&self.waiting));
        for ended in ended {
            self.traces.add(&ended);
            self.ledger.offer(&ended);
            let ended = ended.without_content();
            views.add(&ended);
            // Nobody need follow.
            let _ = self.followers.send(ended);
        }
        views
    }

    /// Starts the thread that takes account of what has ended.
    pub fn start(self: &Arc<Self>) -> std::io::Result<Observing> {
        let (stop, stopped) = sync_channel(0);
        let observer = self.clone();
        let work = move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                drop(observer.settle());
            }
            drop(observer.settle());
        };
        let thread = std::thread::Builder::new()
            .name("millgate-observer".to_owned())
            .spawn(work)?;
        Ok(Observing {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The thread, while it runs. Dropped, it takes account of what is left and ends.
pub struct Observing {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Observing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did there would be nothing left to do.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
