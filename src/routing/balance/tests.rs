use proptest::prelude::*;

use proptest::strategy::Strategy as _;

use super::{Strategy, *};

fn loads(loads: &[(u32, usize)]) -> Vec<TargetLoad> {
    loads
        .iter()
        .map(|&(weight, busy)| TargetLoad { weight, busy })
        .collect()
}

fn seeded(seed: u64) -> impl FnMut() -> f64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    move || rng.f64()
}

/// How often each target comes first in 30 000 exchanges.
fn shares(strategy: Strategy, targets: &[TargetLoad], seed: u64) -> Vec<f64> {
    let mut random = seeded(seed);
    let mut first = vec![0_u32; targets.len()];
    for _ in 0..30_000 {
        first[order(strategy, targets, &mut random)[0]] += 1;
    }
    first.iter().map(|&n| f64::from(n) / 30_000.0).collect()
}

/// Four standard deviations of a share of 30 000 draws are at most 0.0116.
fn close(measured: f64, expected: f64) -> bool {
    (measured - expected).abs() < 0.012
}

#[test]
fn fallback_keeps_the_listed_order_and_draws_nothing() {
    let targets = loads(&[(0, 9), (5, 1), (1, 0)]);
    let order = order(Strategy::Fallback, &targets, || panic!("drew a number"));
    assert_eq!(order.as_slice(), [0, 1, 2]);
}

#[test]
fn weighted_first_choices_follow_the_weights() {
    let targets = loads(&[(7, 100), (2, 0), (1, 0), (0, 0)]);
    for seed in 0..5 {
        let shares = shares(Strategy::Weighted, &targets, seed);
        for (share, expected) in shares.iter().zip([0.7, 0.2, 0.1, 0.0]) {
            assert!(close(*share, expected), "seed {seed}: {shares:?}");
        }
    }
}

#[test]
fn weighted_second_choices_follow_the_weights_of_what_is_left() {
    let targets = loads(&[(6, 0), (3, 0), (1, 0)]);
    let mut random = seeded(1);
    let (mut first, mut then) = (0.0, 0.0);
    for _ in 0..50_000 {
        let order = order(Strategy::Weighted, &targets, &mut random);
        if order[0] == 0 {
            first += 1.0;
            then += f64::from(u8::from(order[1] == 1));
        }
    }
    assert!(close(then / first, 0.75), "{then} of {first}");
}

#[test]
fn last_resorts_come_last_as_listed_whatever_is_drawn() {
    let targets = loads(&[(0, 0), (1, 50), (0, 0), (1, 50)]);
    for strategy in [Strategy::Weighted, Strategy::LeastBusy] {
        for drawn in [0.0, 0.5, 1.0 - f64::EPSILON, 1.0] {
            let order = order(strategy, &targets, || drawn);
            assert_eq!(order.as_slice(), [1, 3, 0, 2], "{strategy:?} {drawn}");
        }
    }
}

#[test]
fn least_busy_weighs_what_is_in_flight() {
    // 4/4 is less than 2/1, and 0/1 is less than both.
    let targets = loads(&[(1, 2), (4, 4), (1, 0)]);
    let order = order(Strategy::LeastBusy, &targets, seeded(0));
    assert_eq!(order.as_slice(), [2, 1, 0]);
}

#[test]
fn equally_busy_targets_share_by_weight() {
    let shares = shares(Strategy::LeastBusy, &loads(&[(3, 3), (1, 1), (1, 5)]), 3);
    assert!(close(shares[0], 0.75), "{shares:?}");
    assert!(close(shares[1], 0.25), "{shares:?}");
    assert!(close(shares[2], 0.0), "{shares:?}");
}

#[test]
fn attempts_count_until_they_are_dropped() {
    let in_flight = InFlight::default();
    let first = in_flight.enter();
    let second = in_flight.clone().enter();
    assert_eq!(in_flight.count(), 2);
    drop(first);
    assert_eq!(in_flight.count(), 1);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _moved = second;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_eq!(in_flight.count(), 0);
}

#[test]
fn a_cancelled_wait_leaves_nothing_in_flight() {
    let in_flight = InFlight::default();
    let counted = in_flight.clone();
    let mut attempt = Box::pin(async move {
        let _guard = counted.enter();
        std::future::pending::<()>().await;
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(attempt.as_mut().poll(&mut context).is_pending());
    assert_eq!(in_flight.count(), 1);
    drop(attempt);
    assert_eq!(in_flight.count(), 0);
}

#[test]
fn threads_count_together() {
    let in_flight = InFlight::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let _guard = in_flight.enter();
                }
            });
        }
    });
    assert_eq!(in_flight.count(), 0);
}

fn any_targets() -> impl proptest::strategy::Strategy<Value = Vec<TargetLoad>> {
    let target = (
        prop_oneof![0..4_u32, any::<u32>()],
        prop_oneof![0..4_usize, any::<usize>()],
    );
    prop::collection::vec(
        target.prop_map(|(weight, busy)| TargetLoad { weight, busy }),
        0..12,
    )
}

proptest! {
    #[test]
    fn every_order_is_a_permutation_and_repeats_by_seed(targets in any_targets(), seed: u64) {
        for strategy in [Strategy::Fallback, Strategy::Weighted, Strategy::LeastBusy] {
            let drawn = order(strategy, &targets, seeded(seed));
            prop_assert_eq!(&drawn, &order(strategy, &targets, seeded(seed)));
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..targets.len()));
        }
    }

    #[test]
    fn least_busy_puts_no_busier_target_first(targets in any_targets(), seed: u64) {
        let order = order(Strategy::LeastBusy, &targets, seeded(seed));
        for pair in order.windows(2) {
            let (a, b) = (targets[pair[0]], targets[pair[1]]);
            if b.weight > 0 {
                prop_assert!(a.weight > 0);
                prop_assert!(
                    a.busy as u128 * u128::from(b.weight) <= b.busy as u128 * u128::from(a.weight)
                );
            }
        }
    }
}
