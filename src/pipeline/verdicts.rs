//! How often a stage has refused or failed, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counts of one stage, as lasting as its name in the config.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Refusals that counted.
    pub refused: AtomicU64,
    /// Refusals that did not, in shadow mode.
    pub shadowed: AtomicU64,
    /// Failures, panics included, passed over or not.
    pub failed: AtomicU64,
}

impl Verdicts {
    /// One more of them.
    pub(super) fn count(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }

    /// Those that refused, those that would have, and failures.
    #[must_use]
    pub fn now(&self) -> [u64; 3] {
        [&self.refused, &self.shadowed, &self.failed].map(|count| count.load(Relaxed))
    }
}
