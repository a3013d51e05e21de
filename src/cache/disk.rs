//! What is kept, on disk as well, so that it survives a restart: one file for each entry, written by one thread.
//!
//! Nothing is read from here while requests are served: when a cache is put in force, the thread puts what is still of use
//! into the store in memory. What it cannot keep up with is not written. See `writer` for what it does to the folder and
//! [`file`] for what is in it.

mod file;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use self::writer::Writer;
use super::{
    config::Rules,
    entry::{Kept, Purge},
    key::Key,
    store::Store,
};

/// Bytes of entries that may wait to be written; a larger one may wait alone.
const ROOM: u64 = 16 << 20;

/// Where entries are kept, how much of them, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A folder of its own.
    pub folder: PathBuf,
    /// Bytes, all files together.
    pub size: u64,
    /// From when an entry was complete.
    pub life: Duration,
    /// Those under which entries are kept; others are of no use.
    pub rules: Rules,
}

/// The disk tier of a process: idle until a cache asks for it, and as lasting as the process.
#[derive(Default)]
pub struct Disk {
    jobs: OnceLock<Option<Sender<Job>>>,
    shared: Arc<Shared>,
}

/// What is known of the files outside of the thread.
#[derive(Default)]
struct Shared {
    /// Bytes of entries that wait.
    waiting: AtomicU64,
    /// How often something was purged: what was asked before that is not written after it.
    purges: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    unwritten: AtomicU64,
}

/// What there is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Answers.
    pub files: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Answers so far that were kept in memory and not on disk, for want of time or room.
    pub unwritten: u64,
}

/// An entry to be written.
struct Keep {
    key: Key,
    entry: Kept,
    rules: Rules,
    purges: u64,
}

/// What the thread is to do.
enum Job {
    /// Keep entries here from now on, and put those that are there into this store, unless something was purged from
    /// it since.
    Serve(Place, Arc<Store>, u64),
    /// Keep none from now on; the files stay.
    Rest,
    Keep(Keep),
    Purge(Purge, oneshot::Sender<()>),
    /// Say so once all that came before is done, and end.
    Stop(mpsc::SyncSender<()>),
}

impl Disk {
    /// Keeps entries here from now on, and puts those that are there into `store`. Without a place, none are kept from now
    /// on. Does not wait for either; the log says what goes wrong.
    pub fn serve(&self, place: Option<Place>, store: &Arc<Store>) {
        let Some(place) = place else {
            self.send(Job::Rest);
            return;
        };
        self.jobs.get_or_init(|| {
            let (jobs, work) = mpsc::channel();
            let mut writer = Writer::new(self.shared.clone());
            thread::Builder::new()
                .name("millgate-cache".to_owned())
                .spawn(move || writer.run(&work))
                .inspect_err(|error| tracing::error!(%error, "there is no thread to keep the cache on disk: it is in memory alone"))
                .ok()
                .map(|_| jobs)
        });
        self.send(Job::Serve(place, store.clone(), store.purges()));
    }

    /// How often something was purged.
    #[must_use]
    pub fn purges(&self) -> u64 {
        self.shared.purges.load(Ordering::Acquire)
    }

    /// Keeps an entry of a request that was asked at `purges`, unless something was purged since, or too much is waiting.
    pub fn keep(&self, key: Key, entry: Kept, rules: Rules, purges: u64) {
        let weight = entry.weight() as u64;
        let waiting = self.shared.waiting.fetch_add(weight, Ordering::Relaxed);
        let has_room = waiting == 0 || waiting.saturating_add(weight) <= ROOM;
        let keep = Keep {
            key,
            entry,
            rules,
            purges,
        };
        if !has_room || !self.send(Job::Keep(keep)) {
            self.shared.waiting.fetch_sub(weight, Ordering::Relaxed);
            self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets what is meant. At the end of what is returned no file has it any more.
    #[must_use = "it is done later"]
    pub fn purge(&self, purge: Purge) -> impl Future<Output = ()> + use<> {
        self.shared.purges.fetch_add(1, Ordering::AcqRel);
        let (done, is_done) = oneshot::channel();
        self.send(Job::Purge(purge, done));
        async move {
            // Where there is no thread there is nothing to forget.
            let _ = is_done.await;
        }
    }

    /// What there is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Extent {
            files: of(&self.shared.files),
            bytes: of(&self.shared.bytes),
            unwritten: of(&self.shared.unwritten),
        }
    }

    /// Writes what is waiting, for as long as `patience`, and nothing after it.
    pub fn close(&self, patience: Duration) {
        let (done, is_done) = mpsc::sync_channel(1);
        if self.send(Job::Stop(done)) && is_done.recv_timeout(patience).is_err() {
            tracing::warn!("not all kept answers were written to disk in time");
        }
    }

    /// Whether there is somebody to do it.
    fn send(&self, job: Job) -> bool {
        let jobs = self.jobs.get().and_then(Option::as_ref);
        jobs.is_some_and(|jobs| jobs.send(job).is_ok())
    }
}
