//! How fast the events of a streamed answer come, for metrics and traces.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Upper bounds of the times between two events, in seconds, as the `GenAI` conventions have them for
/// `gen_ai.client.operation.time_per_output_chunk`.
pub const GAP_BOUNDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// The times of the events with content of one answer. One writes it, who reads the answer; whoever keeps account of
/// the attempt looks at it afterwards.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    /// Nanoseconds from `begun` to the first event; 0 where there was none.
    first: AtomicU64,
    /// The same to the latest one.
    last: AtomicU64,
    /// Gaps within each bound and above the one before, the rest last.
    gaps: [AtomicU32; GAP_BOUNDS.len() + 1],
}

impl Pace {
    /// Of an attempt that begins now.
    #[must_use]
    pub fn begin(begun: Instant) -> Self {
        Self {
            begun,
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            gaps: Default::default(),
        }
    }

    /// So many events with content came at once.
    pub fn came(&self, events: u32) {
        self.came_at(events, Instant::now());
    }

    fn came_at(&self, events: u32, now: Instant) {
        if events == 0 {
            return;
        }
        let since = now.saturating_duration_since(self.begun).as_nanos() as u64;
        let since = since.max(1);
        let mut together = events;
        if self.first.load(Relaxed) == 0 {
            self.first.store(since, Relaxed);
            together -= 1;
        } else {
            let gap = Duration::from_nanos(since.saturating_sub(self.last.load(Relaxed)));
            let within = GAP_BOUNDS.partition_point(|bound| *bound < gap.as_secs_f64());
            add(&self.gaps[within], 1);
            together -= 1;
        }
        // What came together came without a gap.
        add(&self.gaps[0], together);
        self.last.store(since, Relaxed);
    }

    /// From the beginning of the attempt to the first event with content; `None` where there was none.
    #[must_use]
    pub fn first(&self) -> Option<Duration> {
        let first = self.first.load(Relaxed);
        (first > 0).then(|| Duration::from_nanos(first))
    }

    /// From the first event to the last: all gaps together.
    #[must_use]
    pub fn spread(&self) -> Duration {
        Duration::from_nanos(
            self.last
                .load(Relaxed)
                .saturating_sub(self.first.load(Relaxed)),
        )
    }

    /// How many gaps were within each of [`GAP_BOUNDS`] and above the one before, the rest last.
    #[must_use]
    pub fn gaps(&self) -> [u32; GAP_BOUNDS.len() + 1] {
        std::array::from_fn(|at| self.gaps[at].load(Relaxed))
    }
}

/// There is one writer: no need for an atomic addition.
fn add(count: &AtomicU32, more: u32) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_but_the_first_has_a_gap() {
        let begun = Instant::now();
        let pace = Pace::begin(begun);
        assert_eq!(pace.first(), None);
        let at = |millis| begun + Duration::from_millis(millis);
        pace.came_at(2, at(100));
        pace.came_at(0, at(110));
        pace.came_at(1, at(115));
        pace.came_at(3, at(200_000));
        let mut gaps = [0; 15];
        gaps[0] = 1 + 2;
        gaps[1] = 1;
        gaps[14] = 1;
        assert_eq!(pace.gaps(), gaps);
        assert_eq!(pace.first(), Some(Duration::from_millis(100)));
        assert_eq!(pace.spread(), Duration::from_millis(199_900));
    }
}
