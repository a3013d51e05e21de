//! Places for so many requests at a time, and a bounded queue for them that is fair between callers.
//!
//! A place that becomes free goes to the next caller in turn, and within a caller to who came first. Where the queue is
//! full, somebody whose caller waits least takes the place of the last one of the caller that waits most.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::keys::{Keys, Worth};

/// Requests of this process that wait for a place.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// Requests that wait in the queue of a limit, of all of them together.
#[must_use]
pub fn waiting() -> u64 {
    WAITING.load(Ordering::Relaxed)
}

/// A request waits until this is dropped.
pub(super) struct Waits(());

impl Waits {
    pub(super) fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places of one key.
#[derive(Default)]
pub(super) struct Slots {
    taken: u32,
    /// Callers in turn, each with its waiters in the order they came.
    queue: VecDeque<(u64, VecDeque<Arc<Waiter>>)>,
    waiting: u32,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Places.
    pub(super) places: u32,
    /// Waiters beside them.
    pub(super) queue: u32,
}

/// What came of asking for a place.
pub(super) enum Asked {
    /// Here it is.
    Place,
    /// In the queue.
    Queued(Arc<Waiter>),
    /// There is no room even to wait.
    Full,
}

/// Somebody who waits for a place.
pub(super) struct Waiter {
    verdict: AtomicU8,
    told: Notify,
}

/// What a waiter has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    /// Nothing yet.
    Waiting = 0,
    /// It has a place.
    Placed = 1,
    /// It had to leave the queue for another caller.
    Displaced = 2,
}

impl Waiter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            verdict: AtomicU8::new(Verdict::Waiting as u8),
            told: Notify::new(),
        })
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::Acquire) {
            0 => Verdict::Waiting,
            1 => Verdict::Placed,
            _ => Verdict::Displaced,
        }
    }

    /// Until there is a verdict.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    fn tell(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Release);
        self.told.notify_one();
    }
}

impl Slots {
    pub(super) fn ask(&mut self, room: Room, caller: u64) -> Asked {
        if self.taken < room.places && self.waiting == 0 {
            self.taken += 1;
            return Asked::Place;
        }
        if self.waiting >= room.queue && !self.displace_for(caller) {
            return Asked::Full;
        }
        let waiter = Waiter::new();
        let of_caller = self.queue.iter_mut().find(|(known, _)| *known == caller);
        match of_caller {
            Some((_, waiters)) => waiters.push_back(waiter.clone()),
            None => self
                .queue
                .push_back((caller, VecDeque::from([waiter.clone()]))),
        }
        self.waiting += 1;
        // Places may have been added since.
        self.fill(room.places);
        Asked::Queued(waiter)
    }

    /// Takes a place even where there is none: for counting only.
    pub(super) fn take_anyway(&mut self) {
        self.taken += 1;
    }

    pub(super) const fn taken(&self) -> u32 {
        self.taken
    }

    /// A place is given up; it goes to the next in turn.
    pub(super) fn free(&mut self, places: u32) {
        self.taken = self.taken.saturating_sub(1);
        self.fill(places);
    }

    /// A waiter leaves, with what it has.
    pub(super) fn leave(&mut self, waiter: &Arc<Waiter>, places: u32) {
        match waiter.verdict() {
            Verdict::Placed => self.free(places),
            Verdict::Displaced => {}
            Verdict::Waiting => {
                for (_, waiters) in &mut self.queue {
                    let before = waiters.len();
                    waiters.retain(|known| !Arc::ptr_eq(known, waiter));
                    self.waiting -= (before - waiters.len()) as u32;
                }
                self.queue.retain(|(_, waiters)| !waiters.is_empty());
            }
        }
    }

    pub(super) fn worth(&self) -> Worth {
        if self.taken == 0 && self.waiting == 0 {
            Worth::Nothing
        } else {
            Worth::Held
        }
    }

    fn fill(&mut self, places: u32) {
        while self.taken < places
            && let Some((caller, mut waiters)) = self.queue.pop_front()
        {
            if let Some(next) = waiters.pop_front() {
                self.taken += 1;
                self.waiting -= 1;
                next.tell(Verdict::Placed);
            }
            if !waiters.is_empty() {
                self.queue.push_back((caller, waiters));
            }
        }
    }

    /// Whether somebody made room in the queue who belongs to a caller that waits more than `caller` would.
    fn displace_for(&mut self, caller: u64) -> bool {
        let own = self.queue.iter().find(|(known, _)| *known == caller);
        let own = own.map_or(0, |(_, waiters)| waiters.len());
        let longest = self
            .queue
            .iter_mut()
            .max_by_key(|(_, waiters)| waiters.len());
        let Some((_, waiters)) = longest.filter(|(_, waiters)| waiters.len() > own + 1) else {
            return false;
        };
        if let Some(last) = waiters.pop_back() {
            last.tell(Verdict::Displaced);
            self.waiting -= 1;
        }
        true
    }
}

/// The places of all keys.
#[derive(Default)]
pub(super) struct SlotTable {
    keys: Keys<Slots>,
    places: AtomicU32,
}

/// A place, or the hope for one. Given up when dropped.
pub(super) struct Place {
    table: Arc<SlotTable>,
    key: u64,
    /// Where it had to wait for it.
    pub(super) waiter: Option<Arc<Waiter>>,
}

impl SlotTable {
    /// From now on there are so many places for each key.
    pub(super) fn set_places(&self, places: u32) {
        self.places.store(places, Ordering::Relaxed);
    }

    fn places(&self) -> u32 {
        self.places.load(Ordering::Relaxed)
    }

    pub(super) fn key(&self, name: impl std::hash::Hash) -> u64 {
        self.keys.key(name)
    }

    /// Asks for a place; `None` where there is no room even to wait. `queue` is how many may wait.
    pub(super) fn ask(self: &Arc<Self>, key: u64, caller: u64, queue: u32) -> Option<Place> {
        let room = Room {
            places: self.places(),
            queue,
        };
        let waiter = match self
            .keys
            .with(key, Slots::worth, |slots| slots.ask(room, caller))
        {
            Asked::Place => None,
            Asked::Queued(waiter) => Some(waiter),
            Asked::Full => return None,
        };
        Some(Place {
            table: self.clone(),
            key,
            waiter,
        })
    }

    /// Counts a place without holding anybody up; `None` where not even the queue would have had room.
    pub(super) fn count(self: &Arc<Self>, key: u64, queue: u32) -> Option<Place> {
        let most = self.places().saturating_add(queue);
        let taken = self.keys.with(key, Slots::worth, |slots| {
            let fits = slots.taken() < most;
            if fits {
                slots.take_anyway();
            }
            fits
        });
        taken.then(|| Place {
            table: self.clone(),
            key,
            waiter: None,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = self.table.places();
        self.table
            .keys
            .with_known(self.key, |slots| match &self.waiter {
                Some(waiter) => slots.leave(waiter, places),
                None => slots.free(places),
            });
    }
}

#[cfg(test)]
mod tests;
