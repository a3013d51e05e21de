//! How often an address may come without a good key. Only that is limited: whoever has one is not even looked up here.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use millgate_plugin::units::Rate;

/// Addresses that are told apart at a time. Beyond, all others together have what one may.
const MOST: usize = 16_384;

/// Failures by address: for each the time at which it will have been forgiven all of them.
pub(super) struct Failures {
    /// What one failure costs in time.
    each: Duration,
    /// How far ahead of now an address may be.
    most: Duration,
    table: Mutex<Table>,
}

#[derive(Clone, Default)]
struct Table {
    by_address: HashMap<IpAddr, Instant>,
    /// Of those that found no room.
    others: Option<Instant>,
    swept: Option<Instant>,
}

impl Failures {
    pub(super) fn new(limit: Rate) -> Self {
        let most = limit.per().duration();
        let count = u32::try_from(limit.count()).unwrap_or(u32::MAX);
        Self {
            each: most / count,
            most,
            table: Mutex::default(),
        }
    }

    /// Counts a failure of an address. `Err` where it has had all of its own: how long until the next one is.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let forgiven = table.slot(network(address), now);
        let next = (*forgiven).max(now) + self.each;
        let ahead = next.duration_since(now);
        if let Some(wait) = ahead.checked_sub(self.most).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        *forgiven = next;
        Ok(())
    }

    /// Takes over what another one has counted.
    pub(super) fn adopt(&self, old: &Self) {
        let counted = old
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }
}

impl Table {
    fn slot(&mut self, address: IpAddr, now: Instant) -> &mut Instant {
        if self.by_address.len() >= MOST && !self.by_address.contains_key(&address) {
            self.sweep(now);
            if self.by_address.len() >= MOST {
                return self.others.get_or_insert(now);
            }
        }
        self.by_address.entry(address).or_insert(now)
    }

    /// Forgets who has been forgiven; at most once a second, so that a flood of addresses does not pay for it each time.
    fn sweep(&mut self, now: Instant) {
        let is_due = |swept: Instant| now.duration_since(swept) >= Duration::from_secs(1);
        if self.swept.is_none_or(is_due) {
            self.swept = Some(now);
            self.by_address.retain(|_, forgiven| *forgiven > now);
        }
    }
}

/// Who has one IPv6 address mostly has the other 2⁶⁴ of its network too.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failures(rate: &str) -> Failures {
        Failures::new(rate.parse().unwrap())
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn an_address_has_its_limit_and_gets_it_back_in_time() {
        let (failures, start) = (failures("3/min"), Instant::now());
        for _ in 0..3 {
            assert_eq!(failures.count(v4(1), start), Ok(()));
        }
        let second = Duration::from_secs(1);
        assert_eq!(failures.count(v4(1), start), Err(20 * second));
        assert_eq!(failures.count(v4(1), start + 5 * second), Err(15 * second));
        assert_eq!(failures.count(v4(2), start), Ok(()));
        assert_eq!(failures.count(v4(1), start + 20 * second), Ok(()));
        assert!(failures.count(v4(1), start + 20 * second).is_err());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_ipv4_in_ipv6_as_itself() {
        let (failures, now) = (failures("1/min"), Instant::now());
        let count = |address: &str| failures.count(address.parse().unwrap(), now).is_ok();
        assert!(count("2001:db8:0:1::1"));
        assert!(!count("2001:db8:0:1:ffff::9"));
        assert!(count("2001:db8:0:2::1"));
        assert!(count("::ffff:192.0.2.1"));
        assert!(!count("192.0.2.1"));
        assert!(count("::ffff:192.0.2.2"));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_than_its_room() {
        let (failures, start) = (failures("10/s"), Instant::now());
        let flood = 2 * MOST as u32;
        let passed = (0..flood).filter(|at| failures.count(v4(*at), start).is_ok());
        assert_eq!(passed.count(), MOST + 10);
        assert_eq!(failures.table.lock().unwrap().by_address.len(), MOST);
        let later = start + Duration::from_secs(2);
        assert_eq!(failures.count(v4(flood), later), Ok(()));
        assert_eq!(failures.table.lock().unwrap().by_address.len(), 1);
    }

    proptest! {
        #[test]
        fn no_more_fail_in_a_time_than_twice_the_limit(
            limit in 1_u64..20,
            steps in proptest::collection::vec(0_u64..20_000, 1..200),
        ) {
            let failures = failures(&format!("{limit}/min"));
            let mut now = Instant::now();
            let mut passed: Vec<Instant> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                match failures.count(v4(1), now) {
                    Ok(()) => passed.push(now),
                    Err(wait) => {
                        prop_assert!(wait <= Duration::from_mins(1));
                        prop_assert!(passed.len() as u64 >= limit);
                    }
                }
            }
            for (index, from) in passed.iter().enumerate() {
                let within = passed[index..].iter().take_while(|at| at.duration_since(*from) < Duration::from_mins(1));
                prop_assert!(within.count() as u64 <= 2 * limit);
            }
        }
    }
}
