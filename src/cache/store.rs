//! What is kept, in memory: by key, weighed in bytes, forgotten once it can be of no more use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use serde::Serialize;

use super::{
    entry::{Entry, Kept, Purge},
    key::{ByKey, Key},
};

/// How large a store is, and for how long it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes, all entries together.
    pub size: u64,
    /// From when an entry was complete.
    pub life: Duration,
}

/// The entries.
pub struct Store {
    entries: Cache<Key, Kept, ByKey>,
    bounds: Bounds,
    /// How often something was purged: what was asked before that is not kept after it.
    purges: AtomicU64,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let weigh = |_: &Key, entry: &Kept| u32::try_from(entry.weight()).unwrap_or(u32::MAX);
        Self {
            entries: Cache::builder()
                .name("millgate")
                .weigher(weigh)
                .max_capacity(bounds.size)
                .time_to_live(bounds.life)
                .build_with_hasher(ByKey::default()),
            bounds,
            purges: AtomicU64::new(0),
        }
    }

    /// How large it is, and for how long it keeps.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What is kept under a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Kept> {
        let entry = self.entries.get(key)?;
        (entry.age() <= self.bounds.life).then_some(entry)
    }

    /// Whether anything is kept under a key, of whatever age. Asking does not count as use.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// Keeps an entry, unless something was purged since `purges`.
    pub fn put(&self, key: Key, entry: Kept, purges: u64) -> bool {
        let is_wanted = self.purges() == purges;
        if is_wanted {
            self.entries.insert(key, entry);
            // A purge that ran beside this may have missed it.
            if self.purges() != purges {
                self.entries.invalidate(&key);
            }
        }
        is_wanted
    }

    /// Keeps an entry that was kept elsewhere, where there is none yet and nothing was purged since `purges`.
    pub fn restore(&self, key: Key, entry: Kept, purges: u64) -> bool {
        let is_wanted = self.purges() == purges;
        let is_new = is_wanted && self.entries.entry(key).or_insert(entry).is_fresh();
        if is_new && self.purges() != purges {
            self.entries.invalidate(&key);
        }
        is_new
    }

    /// How often something was purged.
    #[must_use]
    pub fn purges(&self) -> u64 {
        self.purges.load(Ordering::Acquire)
    }

    /// Forgets what is meant; how much that was.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.purges.fetch_add(1, Ordering::AcqRel);
        let is_meant =
            |key: &Key, entry: &Entry| purge.means(key, &entry.labels, &entry.head.model);
        let meant: Vec<Arc<Key>> = self
            .entries
            .iter()
            .filter(|(key, entry)| is_meant(key, entry))
            .map(|(key, _)| key)
            .collect();
        for key in &meant {
            self.entries.invalidate(&**key);
        }
        meant.len()
    }

    /// Takes over what another store keeps.
    pub fn take_over(&self, old: &Self) {
        for (key, entry) in &old.entries {
            self.entries.insert(*key, entry);
        }
    }

    /// How many entries there are and how many bytes they take.
    #[must_use]
    pub fn extent(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

/// What has become of requests so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answered from the store.
    pub hits: AtomicU64,
    /// Answered from the store past their time.
    pub stale: AtomicU64,
    /// Asked of an upstream.
    pub misses: AtomicU64,
    /// Joined a request that was under way.
    pub collapsed: AtomicU64,
    /// None for a cache.
    pub bypassed: AtomicU64,
    /// Answers kept.
    pub stored: AtomicU64,
}

/// How a cache does, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Answers kept in memory.
    pub entries: u64,
    /// Bytes that they take, about.
    pub bytes: u64,
    /// The most that they may take.
    pub max_bytes: u64,
    /// Calls under way that can be shared.
    pub flights: u64,
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests answered from the store past an answer's time.
    pub stale: u64,
    /// Requests asked of an upstream.
    pub misses: u64,
    /// Requests that joined one that was under way.
    pub collapsed: u64,
    /// Requests that were none for a cache.
    pub bypassed: u64,
    /// Answers kept so far.
    pub stored: u64,
    /// Answers kept on disk.
    pub files: u64,
    /// Bytes that they take.
    pub file_bytes: u64,
    /// Answers so far that were kept in memory and not on disk, for want of time or room.
    pub unwritten: u64,
}

impl Counters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts beside the rest of `stats`.
    #[must_use]
    pub fn stats(&self, stats: Stats) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: of(&self.hits),
            stale: of(&self.stale),
            misses: of(&self.misses),
            collapsed: of(&self.collapsed),
            bypassed: of(&self.bypassed),
            stored: of(&self.stored),
            ..stats
        }
    }
}
