//! How long things took, in buckets that grow by a tenth: a percentile is at most 5 % off what a sorted list would say.

use std::time::Duration;

/// How much wider each bucket is than the one before it. The estimate stands at the geometric middle: √1.1 = 1.049.
const GROWTH: f64 = 1.1;

/// What is shorter falls into one bucket: nobody tells such times apart.
const SHORTEST: f64 = 10e-6;

/// Times, counted. Memory is taken for the buckets that are in use: at most 256.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// By bucket.
    counts: Vec<(u8, u32)>,
    count: u64,
    nanos: u64,
}

impl Buckets {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.nanos = self.nanos.saturating_add(time.as_nanos() as u64);
        self.count += 1;
        self.put(bucket(time), 1);
    }

    /// All of another's.
    pub fn merge(&mut self, other: &Self) {
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.count += other.count;
        for (bucket, count) in &other.counts {
            self.put(*bucket, *count);
        }
    }

    fn put(&mut self, bucket: u8, count: u32) {
        match self.counts.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many buckets are in use.
    #[must_use]
    pub fn extent(&self) -> usize {
        self.counts.len()
    }

    /// Their mean, to the nanosecond; `None` of none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.nanos / self.count))
    }

    /// The time that this share of them, from 0 to 1, does not exceed; `None` of none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let rank = ((all as f64 * share).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0;
        self.counts.iter().find_map(|(bucket, count)| {
            seen += u64::from(*count);
            (seen >= rank).then(|| middle(*bucket))
        })
    }
}

fn bucket(time: Duration) -> u8 {
    let times = time.as_secs_f64() / SHORTEST;
    if times < 1.0 {
        return 0;
    }
    // A number beyond what fits becomes the last: nothing takes that long.
    (1.0 + times.ln() / GROWTH.ln()) as u8
}

fn middle(bucket: u8) -> Duration {
    if bucket == 0 {
        return Duration::from_secs_f64(SHORTEST / 2.0);
    }
    Duration::from_secs_f64(SHORTEST * GROWTH.powf(f64::from(bucket) - 0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_is_five_percent_off_at_most(
            mut micros in proptest::collection::vec(10_u64..10_000_000_000, 1..200),
            share in 0.01..1.0_f64,
            cut in any::<prop::sample::Index>(),
        ) {
            // In two parts, put together.
            let (one, other) = micros.split_at(cut.index(micros.len()));
            let mut buckets = Buckets::default();
            let mut rest = Buckets::default();
            for time in one {
                buckets.add(Duration::from_micros(*time));
            }
            for time in other {
                rest.add(Duration::from_micros(*time));
            }
            buckets.merge(&rest);
            micros.sort_unstable();
            let rank = ((micros.len() as f64 * share).ceil() as usize).clamp(1, micros.len());
            let exact = micros[rank - 1] as f64 * 1e-6;
            let told = buckets.quantile(share).unwrap().as_secs_f64();
            prop_assert!((told / exact - 1.0).abs() <= 0.05, "{told} for {exact}");
            prop_assert_eq!(buckets.count(), micros.len() as u64);
            prop_assert!(buckets.extent() <= 256);
        }
    }

    #[test]
    fn of_none_nothing_is_told_and_of_extremes_something() {
        let mut buckets = Buckets::default();
        assert_eq!((buckets.quantile(0.5), buckets.mean()), (None, None));
        buckets.add(Duration::ZERO);
        assert!(buckets.quantile(0.5).unwrap() < Duration::from_micros(10));
        buckets.add(Duration::MAX);
        assert!(buckets.quantile(1.0).unwrap() > Duration::from_secs(200_000));
    }
}
