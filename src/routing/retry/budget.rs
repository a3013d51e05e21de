//! Keeps retries a small part of all requests, so that an outage is not multiplied by them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// One token in the unit of the balance. In millionths, a floor of one token a second is one unit a
/// microsecond, and no fraction is ever lost.
const TOKEN: u64 = 1_000_000;

/// How many retries a provider's budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Retries earned by each first try, from 0 to 1. Default 0.2: one retry for five requests.
    pub ratio: f64,
    /// Retries allowed in each second however few requests there are. Default 10.
    pub min_per_second: u32,
    /// Most retries that can be saved up, and what the budget starts with. Default 100.
    pub cap: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 10,
            cap: 100,
        }
    }
}

/// The retry budget of one provider, shared by all exchanges: a bucket of tokens that first tries
/// and time fill, and that each retry of the same target takes one token from.
///
/// Over any stretch of time, retries ≤ ratio × first tries + floor × seconds + cap.
#[derive(Debug)]
pub struct RetryBudget {
    deposit: u64,
    min_per_second: u64,
    cap: u64,
    /// In units of [`TOKEN`] parts, never above `cap`.
    balance: AtomicU64,
    began: Instant,
    /// Microseconds from `began` that the floor has been paid for.
    paid_until: AtomicU64,
}

impl RetryBudget {
    /// A full budget. `ratio` is brought into 0 to 1.
    #[must_use]
    pub fn new(settings: BudgetSettings, now: Instant) -> Self {
        let cap = u64::from(settings.cap) * TOKEN;
        Self {
            deposit: (settings.ratio.clamp(0.0, 1.0) * TOKEN as f64) as u64,
            min_per_second: u64::from(settings.min_per_second),
            cap,
            balance: AtomicU64::new(cap),
            began: now,
            paid_until: AtomicU64::new(0),
        }
    }

    /// Counts the first try of a target. While the budget is full, as it is when all is well, this
    /// only reads.
    pub fn deposit(&self) {
        self.add(self.deposit);
    }

    /// Takes one retry from the budget; false where it has none left.
    #[must_use = "a retry that the budget does not allow must not be made"]
    pub fn withdraw(&self, now: Instant) -> bool {
        self.pay_floor(now);
        self.balance
            .fetch_update(Relaxed, Relaxed, |balance| balance.checked_sub(TOKEN))
            .is_ok()
    }

    /// Adds what the floor gave since it was last paid. Of several at once, one pays: who moves the mark.
    fn pay_floor(&self, now: Instant) {
        let until = micros(now.saturating_duration_since(self.began));
        let since = self.paid_until.fetch_max(until, Relaxed);
        self.add(
            until
                .saturating_sub(since)
                .saturating_mul(self.min_per_second),
        );
    }

    fn add(&self, gained: u64) {
        // An error means that nothing changes, which saves the write.
        let _ = self.balance.fetch_update(Relaxed, Relaxed, |balance| {
            let filled = balance.saturating_add(gained).min(self.cap);
            (filled != balance).then_some(filled)
        });
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
