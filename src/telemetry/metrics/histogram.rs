//! Histograms with bounds of their own kind, and an example of each bucket where it is wanted.

use std::time::SystemTime;

use super::family::{Buckets, Exemplar};
use crate::{routing::pace::GAP_BOUNDS, telemetry::ended::Ended};

/// Durations, as the `GenAI` conventions have them: from 10 ms, doubling.
pub const DURATION: &[f64] = &GAP_BOUNDS;

/// `gen_ai.server.time_to_first_token`, as the conventions have it, in seconds.
pub const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// `gen_ai.server.time_per_output_token`, as the conventions have it, in seconds.
pub const PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

/// `gen_ai.client.token.usage`, as the conventions have it: from 1, times four.
pub const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// From a millisecond to two minutes, in seconds: what clients and upstreams take.
pub const WIDE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// From ten microseconds to ten seconds, in seconds: what the gateway itself takes.
pub const FINE: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 1.0, 10.0,
];

/// How often values were how large.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Values within each bound and above the one before, the rest last.
    counts: Box<[u64]>,
    sum: f64,
    exemplars: Box<[Option<Exemplar>]>,
}

impl Histogram {
    /// An empty one of these bounds.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1].into(),
            sum: 0.0,
            exemplars: Box::default(),
        }
    }

    /// One more value.
    pub fn record(&mut self, value: f64) {
        self.count(value);
    }

    /// One more value, of an exchange that is kept as the example of its bucket.
    pub fn record_of(&mut self, value: f64, ended: &Ended) {
        let bucket = self.count(value);
        if self.exemplars.is_empty() {
            self.exemplars = vec![None; self.counts.len()].into();
        }
        let since = ended.time.duration_since(SystemTime::UNIX_EPOCH);
        self.exemplars[bucket] = Some(Exemplar {
            request_id: ended.request_id.clone(),
            trace: ended.trace.filter(|trace| trace.is_sampled()),
            value,
            time: (since.unwrap_or_default() + ended.total).as_secs_f64(),
        });
    }

    /// Values that were counted elsewhere by the same bounds, and their sum.
    pub fn add(&mut self, counts: &[u32], sum: f64) {
        for (count, more) in self.counts.iter_mut().zip(counts) {
            *count += u64::from(*more);
        }
        self.sum += sum;
    }

    fn count(&mut self, value: f64) -> usize {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
        bucket
    }

    /// As it stands.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let mut count = 0;
        let within = self.bounds.iter().zip(&self.counts).map(|(bound, more)| {
            count += more;
            (*bound, count)
        });
        let within: Vec<_> = within.collect();
        Buckets {
            within,
            sum: self.sum,
            count: self.counts.iter().sum(),
            exemplars: self.exemplars.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_within_its_bound_and_all_above() {
        let mut histogram = Histogram::new(PER_TOKEN);
        for value in [0.01, 0.011, 2.5, 100.0] {
            histogram.record(value);
        }
        let buckets = histogram.buckets();
        assert_eq!(buckets.within.first(), Some(&(0.01, 1)));
        assert_eq!(buckets.within[1], (0.025, 2));
        assert_eq!(buckets.within.last(), Some(&(2.5, 3)));
        assert_eq!(buckets.count, 4);
        assert!((buckets.sum - 102.521).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise() {
        for bounds in [DURATION, FIRST_TOKEN, PER_TOKEN, TOKENS, WIDE, FINE] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }
}
