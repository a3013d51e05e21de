//! The calls under way that others may join, by key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{
    asking::Asking,
    flight::{Flight, Reader},
    key::{ByKey, Key},
};

/// Locks among which the flights are spread.
const SHARDS: usize = 16;

type Shard = HashMap<Key, Weak<Flight<Asking>>, ByKey>;

/// The flights; whoever reads one keeps it alive, this list does not.
#[derive(Default)]
pub struct Flights([Mutex<Shard>; SHARDS]);

/// What is there for a key.
pub enum Boarding<T> {
    /// A flight that has been joined.
    Joined(Reader<Asking>),
    /// What was found before a flight was begun.
    Found(T),
    /// A flight that has been begun.
    Begun(Arc<Flight<Asking>>, Reader<Asking>),
}

impl Flights {
    /// Joins the flight of a key. Where there is none, and `find` finds nothing in the very moment either, `begin`s one:
    /// two that come at once never both begin one.
    pub fn board<T>(
        self: &Arc<Self>,
        key: Key,
        find: impl Fn() -> Option<T>,
        begin: impl FnOnce() -> (Arc<Flight<Asking>>, Reader<Asking>),
    ) -> Boarding<T> {
        loop {
            let mut shard = self.shard(&key);
            let Some(flight) = shard.get(&key).and_then(Weak::upgrade) else {
                if let Some(found) = find() {
                    return Boarding::Found(found);
                }
                let (flight, reader) = begin();
                shard.insert(key, Arc::downgrade(&flight));
                drop(shard);
                self.forget_at_end(key, &flight);
                return Boarding::Begun(flight, reader);
            };
            // What ends with the last reader must not end under the lock.
            drop(shard);
            if let Some(reader) = flight.join() {
                return Boarding::Joined(reader);
            }
            self.forget(&key, &Arc::downgrade(&flight));
        }
    }

    /// Lists a flight in the place of another one, which goes on for those who read it.
    pub fn replace(self: &Arc<Self>, key: Key, flight: &Arc<Flight<Asking>>) {
        self.shard(&key).insert(key, Arc::downgrade(flight));
        self.forget_at_end(key, flight);
    }

    /// Lets nobody join any more what is under way now.
    pub fn clear(&self) {
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let shards = self.0.iter();
        shards
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    fn forget_at_end(self: &Arc<Self>, key: Key, flight: &Arc<Flight<Asking>>) {
        let (flights, this) = (self.clone(), Arc::downgrade(flight));
        flight.at_end(Box::new(move |_| flights.forget(&key, &this)));
    }

    /// Takes this flight off the list, if it still is the one that is listed.
    fn forget(&self, key: &Key, flight: &Weak<Flight<Asking>>) {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|listed| listed.ptr_eq(flight)) {
            shard.remove(key);
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = usize::from(key.as_bytes()[0]) % SHARDS;
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
