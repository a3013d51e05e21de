//! Which exchanges spans are made of: decided at their start, as the SDK's own samplers decide
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling>).

use http::HeaderMap;

use super::context::{Parent, TraceContext};
use crate::config::traces::Sampler;

/// Decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The rule.
    pub sampler: Sampler,
    /// The share of traces, from 0 to 1, for the rules that take a share.
    pub share: f64,
}

impl Sampling {
    /// The place in a trace of a request with these headers.
    #[must_use]
    pub fn begin(self, headers: &HeaderMap) -> TraceContext {
        let parent = Parent::of(headers);
        let mut context = TraceContext::begin(parent, false);
        context.flags |= u8::from(self.takes(parent, context.trace.get()));
        context
    }

    fn takes(self, parent: Option<Parent>, trace: u128) -> bool {
        let of_parent = parent.map(Parent::is_sampled);
        match self.sampler {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            Sampler::Traceidratio => self.is_among(trace),
            Sampler::ParentbasedAlwaysOn => of_parent.unwrap_or(true),
            Sampler::ParentbasedAlwaysOff => of_parent.unwrap_or(false),
            Sampler::ParentbasedTraceidratio => of_parent.unwrap_or_else(|| self.is_among(trace)),
        }
    }

    /// Whether a trace is among the share: by its id alone, so that all who ask the same agree.
    fn is_among(self, trace: u128) -> bool {
        // The lower 63 bits, as the SDKs do.
        let place = (trace as u64 >> 1) as f64 / (1u64 << 63) as f64;
        self.share >= 1.0 || place < self.share
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::traces::context::TRACEPARENT;

    fn asked(flags: &str) -> HeaderMap {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        [(TRACEPARENT, HeaderValue::from_str(&text).unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn each_rule_decides_by_what_its_name_says() {
        use Sampler::{
            AlwaysOff, AlwaysOn, ParentbasedAlwaysOff, ParentbasedAlwaysOn,
            ParentbasedTraceidratio, Traceidratio,
        };
        // (rule, share, without a parent, of one that is sampled, of one that is not)
        for (sampler, share, alone, sampled, unsampled) in [
            (AlwaysOn, 0.0, true, true, true),
            (AlwaysOff, 1.0, false, false, false),
            (Traceidratio, 1.0, true, true, true),
            (Traceidratio, 0.0, false, false, false),
            (ParentbasedAlwaysOn, 0.0, true, true, false),
            (ParentbasedAlwaysOff, 1.0, false, true, false),
            (ParentbasedTraceidratio, 1.0, true, true, false),
            (ParentbasedTraceidratio, 0.0, false, true, false),
        ] {
            let sampling = Sampling { sampler, share };
            let takes = |headers: &HeaderMap| sampling.begin(headers).is_sampled();
            assert_eq!(takes(&HeaderMap::new()), alone, "{sampling:?} alone");
            assert_eq!(takes(&asked("01")), sampled, "{sampling:?} sampled");
            assert_eq!(takes(&asked("00")), unsampled, "{sampling:?} unsampled");
        }
    }

    proptest! {
        #[test]
        fn a_larger_share_takes_all_that_a_smaller_one_takes(trace: u128, one in 0.0..1.0f64, other in 0.0..1.0f64) {
            let of = |share| Sampling { sampler: Sampler::Traceidratio, share }.is_among(trace);
            prop_assert!(of(one.max(other)) || !of(one.min(other)));
        }
    }

    #[test]
    fn a_share_is_about_that_share() {
        let sampling = Sampling {
            sampler: Sampler::Traceidratio,
            share: 0.25,
        };
        let mut random = fastrand::Rng::with_seed(7);
        let taken = (0..10_000)
            .filter(|_| sampling.is_among(random.u128(..)))
            .count();
        assert!((2300..2700).contains(&taken), "{taken}");
    }
}
