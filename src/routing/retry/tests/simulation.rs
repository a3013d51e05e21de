//! Whole exchanges against upstreams that fail by seed.

use proptest::prelude::*;

use super::*;

const CLASSES: [FailureClass; 10] = [
    FailureClass::Connect,
    FailureClass::Timeout,
    FailureClass::Status(408),
    FailureClass::Status(429),
    FailureClass::Status(503),
    FailureClass::UpstreamAuth,
    FailureClass::ModelMissing,
    FailureClass::Stream,
    FailureClass::Rejected,
    FailureClass::Unsupported,
];

#[derive(Clone, Debug)]
struct Scenario {
    policy: RetryPolicy,
    settings: BudgetSettings,
    targets: usize,
    deadline: Duration,
    /// One in so many failures is the client's, or of a request that cannot be sent twice.
    final_one_in: u32,
    seed: u64,
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let policy = (0..5_u32, 0..2_000_u64, 0..10_000_u64);
    let budget = (0.0..=1.0_f64, 0..20_u32, 0..20_u32);
    let exchange = (1..6_usize, 0..60_000_u64, 2..30_u32, any::<u64>());
    (policy, budget, exchange).prop_map(
        |(
            (retries, base, most),
            (ratio, min_per_second, cap),
            (targets, deadline, one_in, seed),
        )| {
            Scenario {
                policy: RetryPolicy {
                    retries,
                    backoff_base: Duration::from_millis(base),
                    backoff_max: Duration::from_millis(most),
                    fallback_on: FallbackOn::default(),
                },
                settings: BudgetSettings {
                    ratio,
                    min_per_second,
                    cap,
                },
                targets,
                deadline: Duration::from_millis(deadline),
                final_one_in: one_in,
                seed,
            }
        },
    )
}

/// One attempt that failed: of which target, how, and what was decided.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    target: usize,
    failed: Failed,
    step: Step,
}

/// Plays an exchange in which every attempt fails. `took` is the time of one attempt at most.
fn play(scenario: &Scenario, began: Instant, took: Duration) -> Vec<Entry> {
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    let budgets: Vec<RetryBudget> = (0..scenario.targets)
        .map(|_| RetryBudget::new(scenario.settings, began))
        .collect();
    let mut attempts = Attempts::default();
    let mut spent = Duration::ZERO;
    let mut target = 0;
    let mut log = Vec::new();
    budgets[target].deposit();
    loop {
        spent = (spent + took.mul_f64(rng.f64())).min(scenario.deadline);
        let is_final = rng.u32(..scenario.final_one_in) == 0;
        let failed = Failed {
            class: if is_final && rng.bool() {
                FailureClass::Client
            } else {
                CLASSES[rng.usize(..CLASSES.len())]
            },
            retry_after: rng.bool().then(|| Duration::from_millis(rng.u64(..12_000))),
            replayable: !is_final,
        };
        let room = Room {
            now: began + spent,
            left: scenario.deadline.saturating_sub(spent),
            targets_left: scenario.targets - 1 - target,
            random: rng.f64(),
        };
        let step = attempts.next(&scenario.policy, &failed, &budgets[target], &room);
        log.push(Entry {
            target,
            failed,
            step,
        });
        match step {
            Step::Again { after } => spent += after,
            Step::NextTarget => {
                target += 1;
                budgets[target].deposit();
            }
            Step::Stop => return log,
        }
        assert!(log.len() < 1000, "the exchange does not end");
    }
}

fn waits(log: &[Entry]) -> impl Iterator<Item = Duration> {
    log.iter().filter_map(|entry| match entry.step {
        Step::Again { after } => Some(after),
        Step::NextTarget | Step::Stop => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn attempts_are_bounded_and_targets_keep_their_order(scenario in any_scenario()) {
        let log = play(&scenario, Instant::now(), SECOND);
        let tries = scenario.policy.retries as usize + 1;
        prop_assert!(log.len() <= tries * scenario.targets);
        for target in 0..scenario.targets {
            prop_assert!(log.iter().filter(|entry| entry.target == target).count() <= tries);
        }
        for pair in log.windows(2) {
            let moved = usize::from(pair[0].step == Step::NextTarget);
            prop_assert_eq!(pair[1].target, pair[0].target + moved);
        }
    }

    #[test]
    fn waiting_ends_before_the_deadline(scenario in any_scenario()) {
        for took in [Duration::ZERO, SECOND] {
            let log = play(&scenario, Instant::now(), took);
            let waited: Duration = waits(&log).sum();
            prop_assert!(waited <= scenario.deadline);
            prop_assert!(waits(&log).all(|wait| wait < scenario.deadline));
        }
    }

    #[test]
    fn a_final_failure_is_the_last_one(scenario in any_scenario()) {
        let log = play(&scenario, Instant::now(), SECOND);
        for entry in &log {
            let is_final = entry.failed.class == FailureClass::Client || !entry.failed.replayable;
            prop_assert!(!is_final || entry.step == Step::Stop);
        }
    }

    #[test]
    fn with_time_and_budget_the_whole_chain_is_asked_as_often_as_it_may(scenario in any_scenario()) {
        let settings = BudgetSettings { cap: 1000, ..scenario.settings };
        let scenario = Scenario { final_one_in: u32::MAX, deadline: 3600 * SECOND, settings, ..scenario };
        let log = play(&scenario, Instant::now(), SECOND);
        prop_assert_eq!(log.last().unwrap().target, scenario.targets - 1);
        for (index, Entry { target, failed, step }) in log.iter().enumerate() {
            let before = log[..index].iter().filter(|entry| entry.target == *target).count();
            let is_last = *target == scenario.targets - 1;
            let asked = failed.retry_after.filter(|asked| !asked.is_zero());
            let too_long = !is_last && asked.is_some_and(|asked| asked > scenario.policy.backoff_max);
            let has_tries = before < scenario.policy.retries as usize;
            let again = failed.class.may_pass() && has_tries && !too_long;
            match step {
                Step::Again { after } => {
                    prop_assert!(again);
                    prop_assert!(asked.is_none_or(|asked| asked == *after));
                }
                Step::NextTarget => prop_assert!(!again && !is_last),
                Step::Stop => prop_assert!(!again && is_last),
            }
        }
    }

    #[test]
    fn the_same_seed_plays_the_same_exchange(scenario in any_scenario()) {
        let began = Instant::now();
        prop_assert_eq!(play(&scenario, began, SECOND), play(&scenario, began + SECOND, SECOND));
    }
}

#[test]
fn an_outage_is_not_multiplied() {
    let began = Instant::now();
    let policy = RetryPolicy::default();
    let budget = RetryBudget::new(BudgetSettings::default(), began);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut sent = 0_u32;
    // 1000 requests a second for a minute, all of which fail; without a budget that were 240 000.
    for request in 0..60_000_u32 {
        let now = began + request * Duration::from_millis(1);
        let mut attempts = Attempts::default();
        budget.deposit();
        loop {
            sent += 1;
            let room = Room {
                now,
                left: 60 * SECOND,
                targets_left: 0,
                random: rng.f64(),
            };
            let failed = failed(FailureClass::Status(503));
            if attempts.next(&policy, &failed, &budget, &room) == Step::Stop {
                break;
            }
        }
    }
    let allowed = 60_000 / 5 + 60 * 10 + 100;
    assert!(
        (60_000 + allowed - 10..=60_000 + allowed).contains(&sent),
        "{sent}"
    );
}
