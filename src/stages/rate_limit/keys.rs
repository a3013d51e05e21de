//! What is remembered of each caller, team or address: by the hash of its name, and of so many only.
//!
//! An entry that is as good as a new one is forgotten. That is looked for when a shard has twice as many entries as
//! after the last look, so that a new key costs the same whether there are ten or a million. Where more keys than fit
//! are all in use, those with the least to lose make room.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Of how many keys a limit remembers something at a time: about 10 MB at most.
pub(super) const MOST_KEYS: usize = 1 << 17;
const SHARDS: usize = 16;
/// Looked through from so many entries on.
const FEW: usize = 64;

/// How much it would matter to forget an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// A new one would be the same.
    Nothing,
    /// It is of use; the more the higher.
    Something(u64),
    /// Somebody holds a part of it.
    Held,
}

/// Entries by key.
pub(super) struct Keys<V> {
    hasher: RandomState,
    shards: Box<[Mutex<Shard<V>>]>,
    most: usize,
}

struct Shard<V> {
    entries: HashMap<u64, V, BuildHasherDefault<Hashed>>,
    /// With so many entries it is looked through.
    look_at: usize,
}

impl<V: Default> Default for Keys<V> {
    fn default() -> Self {
        Self::of_at_most(MOST_KEYS)
    }
}

impl<V: Default> Keys<V> {
    pub(super) fn of_at_most(most: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                entries: HashMap::default(),
                look_at: FEW,
            })
        };
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            most: most.div_ceil(SHARDS).max(FEW),
        }
    }

    /// The key of a name. Nobody outside can tell which names share one.
    pub(super) fn key(&self, name: impl Hash) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Works on an entry, a new one if need be. `worth` says of any entry what it is worth now.
    pub(super) fn with<R>(
        &self,
        key: u64,
        worth: impl Fn(&V) -> Worth,
        work: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.entries.get_mut(&key) {
            return work(entry);
        }
        if shard.entries.len() >= shard.look_at {
            shard.make_room(worth, self.most);
        }
        work(shard.entries.entry(key).or_default())
    }

    /// Works on an entry if there is one.
    pub(super) fn with_known<R>(&self, key: u64, work: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.shard(key).entries.get_mut(&key).map(work)
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard<V>> {
        // The map goes by the lowest and the highest bits.
        let index = (key >> 32) as usize % SHARDS;
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard<V>>| shard.lock().unwrap().entries.len();
        self.shards.iter().map(len).sum()
    }
}

impl<V> Shard<V> {
    fn make_room(&mut self, worth: impl Fn(&V) -> Worth, most: usize) {
        self.entries
            .retain(|_, entry| worth(entry) != Worth::Nothing);
        // An eighth at once, so that not every new key has to look through all of them.
        let too_many = (self.entries.len() + most / 8).saturating_sub(most);
        if too_many > 0 {
            let mut worths: Vec<_> = self.entries.values().map(&worth).collect();
            let (_, highest, _) = worths.select_nth_unstable(too_many - 1);
            let highest = (*highest).min(Worth::Something(u64::MAX));
            let mut left = too_many;
            self.entries.retain(|_, entry| {
                let goes = left > 0 && worth(entry) <= highest;
                left -= usize::from(goes);
                !goes
            });
        }
        let kept = self.entries.len();
        // More than fit only where all are held, by exchanges whose number is bounded elsewhere.
        self.look_at = (2 * kept).clamp(FEW, most.max(kept + most / 8));
        self.entries.shrink_to(self.look_at);
    }
}

/// For keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_callers_who_came_once_leave_nothing_behind() {
        let keys: Keys<u64> = Keys::default();
        // An entry is worth something for the next thousand arrivals.
        for now in 0..1_000_000_u64 {
            let worth = |until: &u64| match until.saturating_sub(now) {
                0 => Worth::Nothing,
                left => Worth::Something(left),
            };
            keys.with(keys.key(now), worth, |until| *until = now + 1000);
        }
        assert!(keys.len() < 5000, "{}", keys.len());
    }

    #[test]
    fn a_million_callers_at_once_are_cut_to_those_with_most_to_lose() {
        let keys: Keys<u64> = Keys::of_at_most(4096);
        let worth = |debt: &u64| Worth::Something(*debt);
        for caller in 0..1_000_000_u64 {
            let debt = if caller % 1000 == 0 {
                1_000_000
            } else {
                caller % 7
            };
            keys.with(keys.key(caller), worth, |entry| *entry = debt);
            assert!(caller % 4096 != 0 || keys.len() <= 4096 + SHARDS);
        }
        let known = |caller: u64| keys.with_known(keys.key(caller), |_| ()).is_some();
        assert!((0..1000).all(|nth| known(nth * 1000)), "debtors are kept");
    }

    #[test]
    fn what_is_held_is_never_forgotten() {
        let keys: Keys<bool> = Keys::of_at_most(1024);
        let worth = |held: &bool| if *held { Worth::Held } else { Worth::Nothing };
        for holder in 0..5000 {
            keys.with(keys.key(("held", holder)), worth, |held| *held = true);
            keys.with(keys.key(("other", holder)), worth, |_| ());
        }
        let known = |holder: &i32| {
            keys.with_known(keys.key(("held", *holder)), |_| ())
                .is_some()
        };
        assert_eq!((0..5000).filter(known).count(), 5000);
        assert!(keys.len() < 5000 + 2 * SHARDS * FEW + 1024);
    }
}
