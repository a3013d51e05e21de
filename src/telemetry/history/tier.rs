//! What happened, by equal steps of time. Nothing is kept of steps in which nothing happened.

use std::{collections::VecDeque, time::Duration};

/// So many keys are told apart within one step: more than the routes and providers of a config make. What has further ones is
/// counted under the default key, which is nobody's, and so in the totals alone.
const MOST_KEYS: usize = 256;

/// So many buckets a tier may fill; beyond that the oldest step is forgotten. About 8 MB.
const MOST_EXTENT: usize = 1 << 20;

/// What is counted within one step for one key.
pub(super) trait Counted: Default {
    /// How much memory it takes, in any unit.
    fn extent(&self) -> usize;
}

/// The latest steps.
pub(super) struct Tier<K, C> {
    step: Duration,
    kept: u64,
    steps: VecDeque<Step<K, C>>,
    extent: usize,
    /// Before this step nothing is known any more.
    begin: u64,
}

struct Step<K, C> {
    index: u64,
    cells: Vec<(K, C)>,
}

impl<K: Default + PartialEq, C: Counted> Tier<K, C> {
    /// The latest `kept` steps, each this long.
    pub(super) fn new(step: Duration, kept: u64) -> Self {
        Self {
            step,
            kept,
            steps: VecDeque::new(),
            extent: 0,
            begin: 0,
        }
    }

    /// How long a step is.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }

    /// The step in which a moment lies, by the time since the beginning.
    pub(super) fn index(&self, at: Duration) -> u64 {
        (at.as_nanos() / self.step.as_nanos()) as u64
    }

    /// The first step of which all is known.
    pub(super) const fn begin(&self) -> u64 {
        self.begin
    }

    /// Counts something that happened then.
    pub(super) fn count(&mut self, at: Duration, key: K, count: impl FnOnce(&mut C)) {
        let index = self.index(at);
        self.forget_before((index + 1).saturating_sub(self.kept));
        if index < self.begin {
            return;
        }
        let found = self.steps.binary_search_by_key(&index, |step| step.index);
        let at = found.unwrap_or_else(|at| {
            let cells = Vec::new();
            self.steps.insert(at, Step { index, cells });
            at
        });
        let cells = &mut self.steps[at].cells;
        let known = cells.len();
        let at = cell(cells, key);
        let before = if at < known { cells[at].1.extent() } else { 0 };
        let cell = &mut cells[at].1;
        count(cell);
        let after = cell.extent();
        self.extent = self.extent + after - before;
        while self.extent > MOST_EXTENT && self.steps.len() > 1 {
            self.forget_before(self.steps[0].index + 1);
        }
    }

    fn forget_before(&mut self, begin: u64) {
        self.begin = self.begin.max(begin);
        while let Some(oldest) = self.steps.front().filter(|step| step.index < begin) {
            self.extent -= oldest
                .cells
                .iter()
                .map(|(_, cell)| cell.extent())
                .sum::<usize>();
            self.steps.pop_front();
        }
    }

    /// What was counted from one step to before another, in order.
    pub(super) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &K, &C)> {
        let begin = self.steps.partition_point(|step| step.index < from);
        let steps = self.steps.range(begin..);
        steps
            .take_while(move |step| step.index < to)
            .flat_map(|step| step.cells.iter().map(|(key, cell)| (step.index, key, cell)))
    }
}

/// Where a key is counted.
fn cell<K: Default + PartialEq, C: Default>(cells: &mut Vec<(K, C)>, key: K) -> usize {
    let find = |cells: &[(K, C)], key: &K| cells.iter().position(|(known, _)| known == key);
    match find(cells, &key) {
        None if cells.len() < MOST_KEYS => {
            cells.push((key, C::default()));
            cells.len() - 1
        }
        None => find(cells, &K::default()).unwrap_or_else(|| {
            cells.push((K::default(), C::default()));
            cells.len() - 1
        }),
        Some(at) => at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Sum(u64);

    impl Counted for Sum {
        fn extent(&self) -> usize {
            self.0 as usize
        }
    }

    fn counted(tier: &Tier<u16, Sum>, from: u64, to: u64) -> u64 {
        tier.between(from, to).map(|(_, _, sum)| sum.0).sum()
    }

    proptest! {
        /// Whatever comes in whatever order, each step that is kept counts just what fell into it.
        #[test]
        fn each_step_counts_what_fell_into_it(
            events in proptest::collection::vec((0_u64..200, 0_u16..600), 0..300),
        ) {
            let mut tier = Tier::new(Duration::from_secs(5), 20);
            let mut latest = 0;
            let mut exact = [0_u64; 40];
            for (second, key) in &events {
                tier.count(Duration::from_secs(*second), *key, |sum: &mut Sum| sum.0 += 1);
                let index = second / 5;
                latest = latest.max(index);
                // What is older than all that is kept is not counted any more.
                if index + 20 > latest {
                    exact[index as usize] += 1;
                }
            }
            prop_assert_eq!(tier.begin(), (latest + 1).saturating_sub(20));
            for index in tier.begin()..=latest {
                prop_assert_eq!(counted(&tier, index, index + 1), exact[index as usize]);
            }
            prop_assert_eq!(counted(&tier, 0, tier.begin()), 0);
            prop_assert!(tier.steps.len() <= 20);
            prop_assert!(tier.steps.iter().all(|step| step.cells.len() <= MOST_KEYS + 1));
        }
    }

    #[test]
    fn what_takes_too_much_memory_is_forgotten_from_the_oldest_on() {
        let mut tier = Tier::new(Duration::from_secs(1), 1000);
        for second in 0..10 {
            let time = Duration::from_secs(second);
            tier.count(time, 0, |sum: &mut Sum| sum.0 = MOST_EXTENT as u64 / 4);
        }
        assert_eq!((tier.begin(), tier.extent), (6, MOST_EXTENT));
    }

    #[test]
    fn as_many_keys_are_told_apart_as_there_is_room_for_and_the_rest_is_counted_together() {
        let mut tier: Tier<u16, Sum> = Tier::new(Duration::from_secs(5), 20);
        for key in 1..=300 {
            tier.count(Duration::ZERO, key, |sum| sum.0 += 1);
        }
        let of = |wanted: u16| -> u64 {
            let cells = tier.between(0, 1);
            let own = cells.filter(|(_, key, _)| **key == wanted);
            own.map(|(_, _, sum)| sum.0).sum()
        };
        let apart = MOST_KEYS as u16;
        assert!((1..=apart).all(|key| of(key) == 1));
        assert_eq!((of(apart + 1), of(0)), (0, 300 - u64::from(apart)));
        assert_eq!(counted(&tier, 0, 1), 300);
    }
}
