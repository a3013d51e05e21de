//! The budget over whole schedules of tries and retries.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    FirstTry,
    Retry,
    Pass(Duration),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::FirstTry),
        4 => Just(Event::Retry),
        2 => (0..400_000_u64).prop_map(|micros| Event::Pass(Duration::from_micros(micros))),
    ]
}

fn any_settings() -> impl Strategy<Value = BudgetSettings> {
    (0.0..=1.0_f64, 0..20_u32, 0..20_u32).prop_map(|(ratio, min_per_second, cap)| BudgetSettings {
        ratio,
        min_per_second,
        cap,
    })
}

/// How many retries the budget still allows.
fn drain(budget: &RetryBudget, now: Instant) -> u32 {
    let mut granted = 0;
    while budget.withdraw(now) {
        granted += 1;
    }
    granted
}

#[test]
fn first_tries_and_time_earn_retries() {
    let now = Instant::now();
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    assert_eq!(drain(&budget, now), 100);
    (0..50).for_each(|_| budget.deposit());
    assert_eq!(drain(&budget, now), 10);
    assert_eq!(drain(&budget, now + 2 * SECOND), 20);
    assert_eq!(drain(&budget, now + 2 * SECOND), 0);
    // A time before the last one gives nothing.
    assert_eq!(drain(&budget, now), 0);
    assert_eq!(drain(&budget, now + Duration::from_hours(1)), 100);
}

#[test]
fn fractions_of_a_retry_add_up() {
    let now = Instant::now();
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    drain(&budget, now);
    let drained: u32 = (1..=1000)
        .map(|step| drain(&budget, now + step * Duration::from_millis(1)))
        .sum();
    assert_eq!(drained, 10);
}

#[test]
fn odd_ratios_are_brought_into_range() {
    let now = Instant::now();
    for (ratio, earned) in [(f64::NAN, 0), (-1.0, 0), (7.0, 10)] {
        let settings = BudgetSettings {
            ratio,
            ..BudgetSettings::default()
        };
        let budget = RetryBudget::new(settings, now);
        drain(&budget, now);
        (0..10).for_each(|_| budget.deposit());
        assert_eq!(drain(&budget, now), earned, "{ratio}");
    }
}

#[test]
fn threads_share_one_budget() {
    let now = Instant::now();
    let settings = BudgetSettings {
        ratio: 0.25,
        min_per_second: 10,
        cap: 1000,
    };
    let budget = RetryBudget::new(settings, now);
    drain(&budget, now);
    let later = now + 10 * SECOND;
    let granted: u32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..400).for_each(|_| budget.deposit());
                    drain(&budget, later)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    // 4 × 400 first tries at a quarter each, and 10 s at 10 a second: nothing is lost or paid twice.
    assert_eq!(granted + drain(&budget, later), 500);
}

proptest! {
    #[test]
    fn retries_never_exceed_what_was_earned(
        settings in any_settings(), events in prop::collection::vec(any_event(), 0..400),
    ) {
        let began = Instant::now();
        let budget = RetryBudget::new(settings, began);
        let mut now = began;
        let (mut first_tries, mut retries) = (0.0, 0.0);
        for event in events {
            match event {
                Event::FirstTry => {
                    budget.deposit();
                    first_tries += 1.0;
                }
                Event::Retry => retries += f64::from(u8::from(budget.withdraw(now))),
                Event::Pass(time) => now += time,
            }
            let seconds = (now - began).as_secs_f64();
            let earned = settings.ratio * first_tries + f64::from(settings.min_per_second) * seconds;
            prop_assert!(retries <= earned + f64::from(settings.cap) + 1e-6);
        }
    }

    #[test]
    fn what_is_earned_within_the_cap_is_granted(first_tries in 0..400_u32, millis in 0..2_000_u32) {
        let began = Instant::now();
        let settings = BudgetSettings { ratio: 0.2, min_per_second: 10, cap: 100 };
        let budget = RetryBudget::new(settings, began);
        drain(&budget, began);
        (0..first_tries).for_each(|_| budget.deposit());
        let granted = drain(&budget, began + millis * Duration::from_millis(1));
        prop_assert_eq!(granted, ((first_tries * 20 + millis) / 100).min(100));
    }
}
