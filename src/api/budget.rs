//! How much memory all request bodies together may take. Each body is bounded by itself; many of them at a time need
//! a bound of their own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The bytes of all bodies that are held now. Its limit is not part of it, so that a config may change it while
/// exchanges are under way.
#[derive(Debug, Default)]
pub struct Budget(AtomicU64);

/// What one exchange holds of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    limit: u64,
    held: u64,
}

/// Nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// A share of nothing yet, within a `limit` in bytes on all shares together.
    #[must_use]
    pub fn share(self: &Arc<Self>, limit: u64) -> Share {
        Share {
            budget: self.clone(),
            limit,
            held: 0,
        }
    }
}

impl Share {
    /// Whether so many bytes are free now. Asked before a body is read, by the length that it announces. Nothing is
    /// taken yet: a client that announces much and sends nothing would keep the others out.
    pub fn expect(&self, bytes: u64) -> Result<(), Exhausted> {
        let held = self.budget.0.load(Ordering::Relaxed);
        if held.saturating_add(bytes) > self.limit {
            return Err(Exhausted);
        }
        Ok(())
    }

    /// Takes so many bytes more, or nothing. Never waits, so that bodies that are read at the same time cannot wait
    /// for each other.
    pub fn take(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let held = self.budget.0.fetch_add(bytes, Ordering::Relaxed);
        if held.saturating_add(bytes) > self.limit {
            self.budget.0.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Exhausted);
        }
        self.held += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.0.fetch_sub(self.held, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_announced_is_not_taken() {
        let budget = Arc::new(Budget::default());
        let (first, mut second) = (budget.share(10), budget.share(10));
        assert_eq!(first.expect(10), Ok(()));
        assert_eq!(second.take(10), Ok(()));
        assert_eq!(first.expect(1), Err(Exhausted));
        assert_eq!(first.expect(u64::MAX), Err(Exhausted));
        drop(second);
        assert_eq!(first.expect(10), Ok(()));
    }

    #[test]
    fn a_limit_that_has_become_smaller_holds_for_what_comes() {
        let budget = Arc::new(Budget::default());
        let mut before = budget.share(10);
        assert_eq!(before.take(8), Ok(()));
        let mut after = budget.share(5);
        assert_eq!(after.take(1), Err(Exhausted));
        drop(before);
        assert_eq!(after.take(5), Ok(()));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_nothing_is_lost(
            limit in 0u64..100,
            steps in prop::collection::vec((0usize..4, prop::option::of(0u64..60)), 0..60),
        ) {
            let budget = Arc::new(Budget::default());
            let mut shares: Vec<_> = (0..4).map(|_| budget.share(limit)).collect();
            let mut held = [0u64; 4];
            for (index, step) in steps {
                if let Some(bytes) = step {
                    let fits = held.iter().sum::<u64>() + bytes <= limit;
                    prop_assert_eq!(shares[index].take(bytes).is_ok(), fits);
                    held[index] += if fits { bytes } else { 0 };
                } else {
                    shares[index] = budget.share(limit);
                    held[index] = 0;
                }
                prop_assert_eq!(budget.0.load(Ordering::Relaxed), held.iter().sum::<u64>());
            }
            drop(shares);
            prop_assert_eq!(budget.0.load(Ordering::Relaxed), 0);
        }
    }
}
