//! What is counted, in memory: sums that stages add to, and what of them the store does not know yet.
//!
//! A sum is what this process has added since it started (`own`) and what all the rest makes up (`others`): what the
//! store held at the start, and what other processes added since. The store is told by increments, `own` less
//! what was `written` before, so that processes add up; and whatever it answers only ever moves `others`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use millgate_plugin::{Count, Tally};

/// All sums of this process.
#[derive(Default)]
pub struct Tallies {
    sums: Mutex<HashMap<Box<str>, Arc<Sum>>>,
    unwritten: Arc<Unwritten>,
}

/// Sums that have grown since the store was told.
type Unwritten = Mutex<Vec<Arc<Sum>>>;

/// The sum under one key.
pub(super) struct Sum {
    key: Box<str>,
    own: AtomicI64,
    others: AtomicI64,
    /// How much of `own` the store has. Only its writer reads and writes this.
    written: AtomicI64,
    /// Whether it is among `unwritten`.
    is_queued: AtomicBool,
    unwritten: Arc<Unwritten>,
    this: Weak<Sum>,
}

/// What the store is to be told of a sum.
pub(super) struct Increment {
    sum: Arc<Sum>,
    own: i64,
}

impl Tallies {
    /// The sum under `key`; zero, as far as is known, where there was none.
    #[must_use]
    pub fn tally(&self, key: &str) -> Tally {
        Tally::new(self.sum(&mut lock(&self.sums), key))
    }

    fn sum(&self, sums: &mut HashMap<Box<str>, Arc<Sum>>, key: &str) -> Arc<Sum> {
        if let Some(sum) = sums.get(key) {
            return sum.clone();
        }
        let sum = Arc::new_cyclic(|this| Sum {
            key: key.into(),
            own: AtomicI64::new(0),
            others: AtomicI64::new(0),
            written: AtomicI64::new(0),
            is_queued: AtomicBool::new(false),
            unwritten: self.unwritten.clone(),
            this: this.clone(),
        });
        sums.insert(key.into(), sum.clone());
        sum
    }

    /// How many sums the store is behind with.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        lock(&self.unwritten).len()
    }

    /// Takes what the store is to be told. Each is to be [settled](Increment::settle) or
    /// [put back](Increment::put_back).
    pub(super) fn take(&self) -> Vec<Increment> {
        let sums = std::mem::take(&mut *lock(&self.unwritten));
        let increment = |sum: Arc<Sum>| {
            // In this order, with `add`'s the other way round: what is added now is either read or queued again.
            sum.is_queued.store(false, Ordering::SeqCst);
            let own = sum.own.load(Ordering::SeqCst);
            Increment { sum, own }
        };
        sums.into_iter().map(increment).collect()
    }

    /// The store holds so much under these keys: others have added to them.
    pub(super) fn learn(&self, stored: impl IntoIterator<Item = (Box<str>, i64)>) {
        let mut sums = lock(&self.sums);
        for (key, stored) in stored {
            self.sum(&mut sums, &key).learn(stored);
        }
    }

    /// What the store holds as a whole: what is not in it is zero there.
    pub(super) fn learn_all(&self, stored: impl IntoIterator<Item = (Box<str>, i64)>) {
        for sum in lock(&self.sums).values() {
            sum.learn(0);
        }
        self.learn(stored);
    }

    /// Gives back the memory of sums that nobody holds and that tell nothing: those at zero, and those that the
    /// store has just given up.
    pub(super) fn sweep(&self, given_up: &[Box<str>]) {
        let mut sums = lock(&self.sums);
        let is_idle = |sum: &Arc<Sum>| Arc::strong_count(sum) == 1;
        for key in given_up {
            if sums.get(key).is_some_and(is_idle) {
                sums.remove(key);
            } else if let Some(sum) = sums.get(key) {
                sum.learn(0);
            }
        }
        sums.retain(|_, sum| !is_idle(sum) || sum.total() != 0);
    }
}

impl Sum {
    fn learn(&self, stored: i64) {
        let written = self.written.load(Ordering::Relaxed);
        self.others
            .store(stored.wrapping_sub(written), Ordering::Relaxed);
    }

    fn queue(&self) {
        if !self.is_queued.swap(true, Ordering::SeqCst)
            && let Some(this) = self.this.upgrade()
        {
            lock(&self.unwritten).push(this);
        }
    }
}

impl Count for Sum {
    fn total(&self) -> i64 {
        let own = self.own.load(Ordering::Relaxed);
        own.wrapping_add(self.others.load(Ordering::Relaxed))
    }

    fn add(&self, amount: i64) {
        self.own.fetch_add(amount, Ordering::SeqCst);
        if !self.is_queued.load(Ordering::SeqCst) {
            self.queue();
        }
    }
}

impl Increment {
    /// Where it is to be added.
    pub(super) fn key(&self) -> &str {
        &self.sum.key
    }

    /// How much.
    pub(super) fn amount(&self) -> i64 {
        let written = self.sum.written.load(Ordering::Relaxed);
        self.own.wrapping_sub(written)
    }

    /// The store has it, and now holds so much under the key.
    pub(super) fn settle(self, stored: i64) {
        let Self { sum, own } = self;
        sum.written.store(own, Ordering::Relaxed);
        sum.learn(stored);
    }

    /// The store could not be told.
    pub(super) fn put_back(self) {
        self.sum.queue();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
