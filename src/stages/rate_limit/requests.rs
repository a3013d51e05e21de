//! Request rates, by governor's cell rate algorithm, on keys of our own: so many only, and forgotten when idle.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter, clock::Clock, clock::Reference, middleware::StateInformationMiddleware,
    nanos::Nanos, state::StateStore,
};
use millgate_plugin::units::Rate;

use super::keys::{Keys, Worth};

/// A limit on requests for each key.
pub(super) struct Requests<C: Clock> {
    limiter: RateLimiter<u64, Arrivals<C>, C, StateInformationMiddleware>,
    arrivals: std::sync::Arc<ArrivalTimes>,
    quota: Quota,
    clock: C,
}

/// What there is of a key after a request has been let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) requests: u64,
    /// Until there are as many as at first.
    pub(super) full_in: Duration,
}

/// For each key the time at which it will be as good as new.
type ArrivalTimes = Keys<Option<Nanos>>;

/// governor's view of them.
#[derive(Clone)]
struct Arrivals<C: Clock> {
    times: std::sync::Arc<ArrivalTimes>,
    clock: C,
    start: C::Instant,
}

impl<C: Clock> StateStore for Arrivals<C> {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let worth = |time: &Option<Nanos>| {
            let now = self.clock.now().duration_since(self.start);
            match time.map_or(0, |time| time.saturating_sub(now).as_u64()) {
                0 => Worth::Nothing,
                left => Worth::Something(left),
            }
        };
        self.times.with(*key, worth, |time| {
            let (outcome, next) = measure(*time)?;
            *time = Some(next);
            Ok(outcome)
        })
    }
}

/// The quota of a rate; `None` where it is beyond what can be counted.
pub(super) fn quota(rate: Rate, burst: Option<u64>) -> Option<Quota> {
    let each = rate.per().duration().as_nanos() / u128::from(rate.count());
    let each = Duration::from_nanos(u64::try_from(each).ok().filter(|each| *each > 0)?);
    let burst = NonZeroU32::new(u32::try_from(burst.unwrap_or(rate.count())).ok()?)?;
    Some(Quota::with_period(each)?.allow_burst(burst))
}

impl<C: Clock + Clone> Requests<C> {
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        let times = std::sync::Arc::new(ArrivalTimes::default());
        let arrivals = Arrivals {
            times: times.clone(),
            clock: clock.clone(),
            start: clock.now(),
        };
        let limiter = RateLimiter::<_, _, _, governor::middleware::NoOpMiddleware<C::Instant>>::new(
            quota,
            arrivals,
            clock.clone(),
        );
        Self {
            limiter: limiter.with_middleware(),
            arrivals: times,
            quota,
            clock,
        }
    }

    pub(super) const fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn key(&self, name: impl std::hash::Hash) -> u64 {
        self.arrivals.key(name)
    }

    /// Lets a request through, or says how long there will be no other.
    pub(super) fn take(&self, key: u64) -> Result<Left, Duration> {
        match self.limiter.check_key(&key) {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                let taken = self.quota.burst_size().get() - left.min(self.quota.burst_size().get());
                Ok(Left {
                    requests: u64::from(left),
                    full_in: self.quota.replenish_interval() * taken,
                })
            }
            Err(not_until) => Err(not_until.wait_time_from(self.clock.now())),
        }
    }

    /// Gives one back that was let through and then refused elsewhere.
    pub(super) fn give_back(&self, key: u64) {
        let each = Nanos::from(self.quota.replenish_interval());
        self.arrivals.with_known(key, |time| {
            *time = time.map(|time| time.saturating_sub(each));
        });
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use millgate_plugin::units::Per;
    use proptest::prelude::*;

    use super::*;

    fn requests(
        count: u64,
        per: Per,
        burst: Option<u64>,
    ) -> (Requests<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = quota(Rate::new(count, per).unwrap(), burst).unwrap();
        (Requests::new(quota, clock.clone()), clock)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (requests, clock) = requests(600, Per::Minute, Some(2));
        let millis = Duration::from_millis;
        let left = |requests, full_in| Left {
            requests,
            full_in: millis(full_in),
        };
        assert_eq!(requests.take(1), Ok(left(1, 100)));
        assert_eq!(requests.take(1), Ok(left(0, 200)));
        assert_eq!(requests.take(1), Err(millis(100)));
        assert_eq!(requests.take(2), Ok(left(1, 100)), "another key");
        clock.advance(millis(99));
        assert_eq!(requests.take(1), Err(millis(1)));
        clock.advance(millis(1));
        assert!(requests.take(1).is_ok());
        requests.give_back(1);
        assert!(requests.take(1).is_ok());
        assert!(requests.take(1).is_err());
    }

    #[test]
    fn what_was_never_taken_or_is_long_past_can_be_given_back_without_gain() {
        let (requests, clock) = requests(1, Per::Second, None);
        requests.give_back(7);
        assert!(requests.take(7).is_ok());
        clock.advance(Duration::from_mins(1));
        requests.give_back(7);
        assert!(requests.take(7).is_ok());
        assert!(requests.take(7).is_err());
    }

    #[test]
    fn keys_that_are_idle_again_are_forgotten() {
        let (requests, clock) = requests(10, Per::Second, None);
        for caller in 0..300_000_u64 {
            requests.take(requests.key(caller)).unwrap();
            clock.advance(Duration::from_millis(1));
        }
        assert!(
            requests.arrivals.len() < 10_000,
            "{}",
            requests.arrivals.len()
        );
    }

    #[test]
    fn a_rate_beyond_counting_is_none() {
        assert!(quota(Rate::new(2_000_000_000, Per::Second).unwrap(), None).is_none());
        assert!(quota(Rate::new(u64::MAX, Per::Day).unwrap(), None).is_none());
    }

    proptest! {
        /// Whatever is refused elsewhere and given back, no window sees more than its rate and the burst.
        #[test]
        fn no_schedule_gets_more_than_limit_and_burst(
            count in 1..50u64,
            burst in 1..20u64,
            plan in prop::collection::vec((0..400u64, any::<bool>()), 1..80),
        ) {
            let (requests, clock) = requests(count, Per::Second, Some(burst));
            let mut now = 0;
            let mut passed = Vec::new();
            for (pause, refused_elsewhere) in plan {
                clock.advance(Duration::from_millis(pause));
                now += pause;
                if requests.take(1).is_ok() {
                    if refused_elsewhere {
                        requests.give_back(1);
                    } else {
                        passed.push(now);
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let given = ((to - from) * count).div_ceil(1000);
                    prop_assert!((last - first + 1) as u64 <= given + burst);
                }
            }
        }
    }
}
