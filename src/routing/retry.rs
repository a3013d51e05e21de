//! Whether an attempt that failed is tried again, where and when.
//!
//! This is the only retry loop of the gateway. It decides from what it is handed (the failure, the time,
//! a random number) and does nothing by itself, so that whole outages are played through by seed.

mod after;
mod budget;
mod failure;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use after::retry_after;
pub use budget::{BudgetSettings, RetryBudget};
pub use failure::{FailureClass, FallbackOn, status_name};

/// How a route tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Extra tries of the same target before the next one is asked. Default 3.
    pub retries: u32,
    /// Ceiling of the wait before the first extra try; it doubles with each further one. Default 250 ms.
    pub backoff_base: Duration,
    /// Ceiling of all waits that the gateway chooses itself, and the longest wait an upstream may ask for
    /// while another target could answer. Default 8 s.
    pub backoff_max: Duration,
    /// The failures after which anything is tried again at all.
    pub fallback_on: FallbackOn,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 3,
            backoff_base: Duration::from_millis(250),
            backoff_max: Duration::from_secs(8),
            fallback_on: FallbackOn::default(),
        }
    }
}

impl RetryPolicy {
    /// Full jitter: a random part of a ceiling that doubles with each of the `tries` before.
    fn backoff(&self, tries: u32, random: f64) -> Duration {
        let factor = 1_u32.checked_shl(tries).unwrap_or(u32::MAX);
        let ceiling = self
            .backoff_base
            .saturating_mul(factor)
            .min(self.backoff_max);
        let seconds = ceiling.as_secs_f64() * random.clamp(0.0, 1.0);
        // A very long time as a float may be rounded up, even past what a duration holds.
        Duration::try_from_secs_f64(seconds).map_or(ceiling, |wait| wait.min(ceiling))
    }
}

/// An attempt that failed before its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// In which way.
    pub class: FailureClass,
    /// How long the upstream asked to be left alone, see [`retry_after`].
    pub retry_after: Option<Duration>,
    /// Whether the request can be sent once more: it is held in memory, or nothing of it was read yet.
    pub replayable: bool,
}

/// What there is to try again with, at the moment of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Now.
    pub now: Instant,
    /// Time until the deadline of the exchange.
    pub left: Duration,
    /// Targets after the one that failed.
    pub targets_left: usize,
    /// A random number from 0 (included) to 1 (excluded).
    pub random: f64,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the same target again after a wait, which ends before the deadline.
    Again {
        /// How long to wait first.
        after: Duration,
    },
    /// Ask the next target at once.
    NextTarget,
    /// Give up: this failure is the answer.
    Stop,
}

/// The attempts of one exchange. It begins with the first target being asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    failed: u32,
    retried_here: u32,
}

impl Attempts {
    /// Which attempt of the exchange this is, from 1. A target that was skipped as unable does not count.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.failed.saturating_add(1)
    }

    /// Decides what follows a failure. `budget` is that of the failed target's provider; the caller
    /// has [deposited](RetryBudget::deposit) the first try of each target there.
    ///
    /// - A failure outside [`RetryPolicy::fallback_on`] and one of the client's own making end it, and so do
    ///   a request that cannot be sent twice and a deadline that has passed.
    /// - The same target is tried again where that may help ([`FailureClass::may_pass`]), up to
    ///   [`RetryPolicy::retries`] times, if the wait ends before the deadline and the budget allows it.
    /// - An upstream's own word on when to come back replaces the random wait; where it is longer than
    ///   [`RetryPolicy::backoff_max`], another target is asked instead, if there is one.
    /// - Else the next target is asked, if there is one.
    pub fn next(
        &mut self,
        policy: &RetryPolicy,
        failed: &Failed,
        budget: &RetryBudget,
        room: &Room,
    ) -> Step {
        if failed.class != FailureClass::Unsupported {
            self.failed = self.failed.saturating_add(1);
        }
        let can_go_on =
            policy.fallback_on.covers(failed.class) && failed.replayable && !room.left.is_zero();
        if !can_go_on {
            return Step::Stop;
        }
        if let Some(after) = self.wait_here(policy, failed, room)
            && budget.withdraw(room.now)
        {
            self.retried_here += 1;
            return Step::Again { after };
        }
        if room.targets_left == 0 {
            return Step::Stop;
        }
        self.retried_here = 0;
        Step::NextTarget
    }

    /// How long to wait before the same target is tried again; `None` where it should not be.
    fn wait_here(self, policy: &RetryPolicy, failed: &Failed, room: &Room) -> Option<Duration> {
        if !failed.class.may_pass() || self.retried_here >= policy.retries {
            return None;
        }
        // "Come back at once", said to everybody in an outage, is no advice to follow.
        let asked = failed.retry_after.filter(|asked| !asked.is_zero());
        let after = asked.unwrap_or_else(|| policy.backoff(self.retried_here, room.random));
        let too_long_here = room.targets_left > 0 && after > policy.backoff_max;
        (after < room.left && !too_long_here).then_some(after)
    }
}
