//! What one caller or team may spend in a day or month, in tokens or in money.
//!
//! What is under way is set aside at its estimate in this process only; what was spent is added to a tally of the
//! gateway, which outlives it and is shared with other processes.

use millgate_plugin::Tally;

use super::{calendar::Span, keys::Worth};

/// One caller's or team's spending.
#[derive(Default)]
pub(super) struct Account {
    current: Option<Current>,
}

struct Current {
    span: Span,
    spent: Tally,
    set_aside: i64,
}

/// What an exchange has set aside of an account.
pub(super) struct SetAside {
    span: Span,
    spent: Tally,
    amount: i64,
}

impl Account {
    /// Sets an amount aside where that leaves the account within `budget`, and nothing where it does not: whether it
    /// did. `tally` is asked for the span's tally where the account is not known, or of another span: clocks may step
    /// back as well as forward.
    pub(super) fn set_aside(
        &mut self,
        budget: u64,
        amount: u64,
        span: Span,
        tally: impl FnOnce() -> Tally,
    ) -> (SetAside, bool) {
        let known = self.current.take().filter(|current| current.span == span);
        let current = self.current.insert(known.unwrap_or_else(|| Current {
            span,
            spent: tally(),
            set_aside: 0,
        }));
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let so_far = current
            .spent
            .total()
            .max(0)
            .saturating_add(current.set_aside);
        let fits = so_far < budget && so_far.saturating_add(amount) <= budget;
        let amount = if fits { amount } else { 0 };
        current.set_aside += amount;
        let aside = SetAside {
            span,
            spent: current.spent.clone(),
            amount,
        };
        (aside, fits)
    }

    /// Nothing is set aside for this exchange any more.
    pub(super) fn release(&mut self, aside: &SetAside) {
        if let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.span == aside.span)
        {
            current.set_aside = (current.set_aside - aside.amount).max(0);
        }
    }

    pub(super) fn worth(&self) -> Worth {
        match &self.current {
            Some(current) if current.set_aside > 0 => Worth::Held,
            _ => Worth::Nothing,
        }
    }
}

impl SetAside {
    /// Adds to what was spent in the span in which it was set aside.
    pub(super) fn spend(&self, amount: u64) {
        if amount > 0 {
            self.spent.add(i64::try_from(amount).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
    };

    use millgate_plugin::Count;
    use proptest::prelude::*;

    use super::{super::calendar::Period, *};

    #[derive(Clone, Default)]
    struct Sum(Arc<AtomicI64>);

    impl Count for Sum {
        fn total(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }

        fn add(&self, amount: i64) {
            self.0.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn day(number: i64) -> Span {
        Period::Day.at(number * 86_400, 0).span
    }

    #[test]
    fn what_is_set_aside_counts_until_it_is_spent_or_not() {
        let (mut account, sum) = (Account::default(), Sum::default());
        let tally = || Tally::new(Arc::new(sum.clone()));
        let (first, fits) = account.set_aside(100, 60, day(1), tally);
        assert!(fits && account.worth() == Worth::Held);
        assert!(!account.set_aside(100, 60, day(1), tally).1);
        account.release(&first);
        first.spend(10);
        assert_eq!(account.worth(), Worth::Nothing);
        assert!(account.set_aside(100, 90, day(1), tally).1);
        assert!(
            !account.set_aside(100, 0, day(1), tally).1,
            "nothing is left"
        );
        assert_eq!(sum.total(), 10);
    }

    #[test]
    fn another_day_is_another_tally_and_late_spending_belongs_to_its_own() {
        let sums = [Sum::default(), Sum::default()];
        let tally = |day: usize| Tally::new(Arc::new(sums[day].clone()));
        let mut account = Account::default();
        let (late, _) = account.set_aside(100, 100, day(0), || tally(0));
        let (next, fits) = account.set_aside(100, 40, day(1), || tally(1));
        assert!(fits);
        account.release(&late);
        late.spend(70);
        account.release(&next);
        next.spend(40);
        assert_eq!((sums[0].total(), sums[1].total()), (70, 40));
        // The clock is set back.
        let (_, fits) = account.set_aside(100, 40, day(0), || tally(0));
        assert!(!fits);
        assert!(account.set_aside(100, 30, day(0), || tally(0)).1);
    }

    proptest! {
        /// Whatever comes, goes and is cancelled, and whatever the clock does: no span sees more than its budget and the
        /// error of the estimates, where those that were under way when the clock stepped count as errors.
        #[test]
        fn no_schedule_spends_more_than_the_budget_and_known_overshoot(
            budget in 1..500u64,
            plan in prop::collection::vec((0..3i64, 0..100u64, 0..150u64, 0..20usize), 1..60),
        ) {
            let mut sums: HashMap<Span, Sum> = HashMap::new();
            let mut overshoot: HashMap<Span, u64> = HashMap::new();
            let mut account = Account::default();
            let mut under_way: Vec<(usize, SetAside, u64, u64)> = Vec::new();
            let mut last = day(0);
            for (at, (number, estimate, used, lasts)) in plan.into_iter().enumerate() {
                let (ended, still): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|one| one.0 <= at);
                under_way = still;
                for (_, aside, used, _) in ended {
                    account.release(&aside);
                    aside.spend(used);
                }
                let span = day(number);
                if span != last {
                    for (_, aside, _, estimate) in &under_way {
                        *overshoot.entry(aside.span).or_default() += estimate;
                    }
                    last = span;
                }
                let sum = sums.entry(span).or_default().clone();
                let (aside, fits) = account.set_aside(budget, estimate, span, || Tally::new(Arc::new(sum)));
                if fits {
                    *overshoot.entry(span).or_default() += used.saturating_sub(estimate);
                    under_way.push((at + 1 + lasts, aside, used, estimate));
                }
            }
            for (_, aside, used, _) in &under_way {
                aside.spend(*used);
            }
            for (span, sum) in &sums {
                let most = budget + overshoot.get(span).copied().unwrap_or(0);
                prop_assert!(sum.total() as u64 <= most, "{} of {most}", sum.total());
            }
        }
    }
}
