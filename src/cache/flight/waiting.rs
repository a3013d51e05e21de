//! Those who wait for the same thing: one waker that wakes all of them.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

use smallvec::SmallVec;

/// Wakers by the place of their owner.
///
/// Its lock is taken while the flight's is held, never the other way round, and nobody is woken under it.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Option<Waker>>>);

impl Waiting {
    /// This one waits.
    pub(super) fn register(&self, place: usize, waker: &Waker) {
        let mut wakers = self.lock();
        if wakers.len() <= place {
            wakers.resize(place + 1, None);
        }
        match &mut wakers[place] {
            Some(known) => known.clone_from(waker),
            free @ None => *free = Some(waker.clone()),
        }
    }

    /// This one waits no longer.
    pub(super) fn forget(&self, place: usize) {
        let forgotten = self.lock().get_mut(place).and_then(Option::take);
        drop(forgotten);
    }

    /// Wakes all but this one, which knows already.
    pub(super) fn wake_others(&self, place: usize) {
        self.wake_where(|at| at != place);
    }

    fn wake_where(&self, wanted: impl Fn(usize) -> bool) {
        let mut wakers = self.lock();
        let woken: SmallVec<[Waker; 8]> = wakers
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| wanted(*at))
            .filter_map(|(_, waker)| mem::take(waker))
            .collect();
        drop(wakers);
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_where(|_| true);
    }
}
