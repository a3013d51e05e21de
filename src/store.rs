//! The embedded store: the keys that `millgate key` makes, and sums that outlive a restart.
//!
//! Requests only ever meet memory: [`StoredKeys`] and [`Tallies`]. One thread owns the SQLite file, writes what was
//! counted, and reads what other processes changed. Where the file cannot be had, memory goes on as it was.

#[cfg(feature = "sqlite")]
pub mod database;
pub mod key;
pub mod place;
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "without a store nobody is told of increments")
)]
pub mod tallies;
#[cfg(feature = "sqlite")]
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use millgate_plugin::Tally;

use self::tallies::Tallies;
use crate::callers::StoredKeys;

#[cfg(not(feature = "sqlite"))]
use self::without::Writer;
#[cfg(feature = "sqlite")]
use self::writer::Writer;

/// The store of this process. It is in memory alone until it is opened.
#[derive(Default)]
pub struct Store {
    memory: Arc<Memory>,
    folder: OnceLock<Result<PathBuf, String>>,
    is_asked_for: AtomicBool,
    writer: Mutex<Option<Writer>>,
}

/// What requests see of the store, and what its writer keeps up to date.
#[derive(Default)]
pub(crate) struct Memory {
    keys: Arc<StoredKeys>,
    tallies: Tallies,
    has_been_read: AtomicBool,
    is_open: AtomicBool,
    failures: AtomicU64,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the file is open; never so for a store that nobody asked for.
    pub is_open: bool,
    /// How often it could not be opened, read or written.
    pub failures: u64,
    /// Sums that are in memory alone.
    pub unwritten: usize,
}

impl Store {
    /// Says which folder the store is in, or why there is none. Nothing is opened yet; the first word counts.
    pub fn keep_in(&self, folder: Result<PathBuf, String>) {
        let _ = self.folder.set(folder);
    }

    /// The folder that was said, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.get()?.as_deref().ok()
    }

    /// Opens the store, and waits as long as `patience` for what it holds to be known; opened once, it is kept so.
    /// True if all is known. Where it is not, the log says why, and opening goes on in the background.
    pub fn open(&self, patience: Duration) -> bool {
        let is_first = !self.is_asked_for.swap(true, Ordering::Relaxed);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match self.folder.get() {
            Some(Ok(folder)) if writer.is_none() => {
                *writer = Writer::start(folder.clone(), self.memory.clone(), patience);
            }
            Some(Err(error)) if is_first => {
                tracing::error!(
                    error,
                    "there are no stored keys, and what is counted lasts as long as this process"
                );
                // Where there is no place for keys, nobody has made any.
                self.memory.has_been_read.store(true, Ordering::Release);
            }
            _ => {}
        }
        self.keys_are_known()
    }

    /// The keys of the store, as they are at any time. Empty until it has been opened.
    #[must_use]
    pub fn keys(&self) -> Arc<StoredKeys> {
        self.memory.keys.clone()
    }

    /// Whether the keys have been read, where anybody wants to know them. Until then, one that is not among them is not
    /// known to be wrong.
    #[must_use]
    pub fn keys_are_known(&self) -> bool {
        self.memory.has_been_read.load(Ordering::Acquire)
            || !self.is_asked_for.load(Ordering::Relaxed)
    }

    /// The sum under `key`. The first one that is asked for opens the store, without waiting.
    #[must_use]
    pub fn tally(&self, key: &str) -> Tally {
        if !self.is_asked_for.load(Ordering::Relaxed) {
            self.open(Duration::ZERO);
        }
        self.memory.tallies.tally(key)
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            is_open: self.memory.is_open.load(Ordering::Relaxed),
            failures: self.memory.failures.load(Ordering::Relaxed),
            unwritten: self.memory.tallies.unwritten(),
        }
    }

    /// Writes what is left and closes, for as long as `patience`. The log says what could not be written.
    pub fn close(&self, patience: Duration) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take() {
            writer.stop(patience);
        }
    }
}

/// What stands in for the writer in a build without SQLite.
#[cfg(not(feature = "sqlite"))]
#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "its functions are called as those of the real one"
)]
mod without {
    use super::{Arc, Duration, Memory, Ordering, PathBuf};

    pub(super) struct Writer;

    impl Writer {
        pub(super) fn start(_: PathBuf, memory: Arc<Memory>, _: Duration) -> Option<Self> {
            tracing::warn!(
                "built without the feature `sqlite`: what is counted lasts as long as this process"
            );
            memory.has_been_read.store(true, Ordering::Release);
            Some(Self)
        }

        pub(super) fn stop(self, _: Duration) {}
    }
}
