use millgate_plugin::units::Per;
use proptest::prelude::*;

use super::*;

fn pace(count: u64, burst: u64) -> Pace {
    Pace::new(Rate::new(count, Per::Second).unwrap(), Some(burst))
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn it_is_taken_from_and_fills() {
    let pace = pace(10, 20);
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(&pace, at(0), 20), Ok(()));
    assert_eq!(bucket.take(&pace, at(0), 5), Err(Empty::For(at(500))));
    assert_eq!(bucket.take(&pace, at(499), 5), Err(Empty::For(at(1))));
    assert_eq!(bucket.take(&pace, at(500), 5), Ok(()));
    assert_eq!(bucket.left(&pace, at(600)), 1);
    assert_eq!(bucket.full_in(&pace, at(600)), at(1900));
    assert_eq!(bucket.take(&pace, at(600), 21), Err(Empty::TooSmall));
}

#[test]
fn without_a_burst_a_whole_period_may_come_at_once() {
    let pace = Pace::new(Rate::new(600, Per::Minute).unwrap(), None);
    assert_eq!(pace.burst(), 600);
    assert_eq!(Bucket::default().left(&pace, at(0)), 600);
}

#[test]
fn a_debt_is_waited_for_and_what_is_left_over_comes_back() {
    let pace = pace(10, 20);
    let mut bucket = Bucket::default();
    bucket.take(&pace, at(0), 10).unwrap();
    bucket.settle(&pace, at(0), 10, 50);
    assert_eq!(bucket.left(&pace, at(3000)), 0);
    assert_eq!(bucket.take(&pace, at(3000), 1), Err(Empty::For(at(100))));
    let mut bucket = Bucket::default();
    bucket.take(&pace, at(0), 20).unwrap();
    bucket.settle(&pace, at(0), 20, 0);
    assert_eq!(bucket.left(&pace, at(0)), 20);
    bucket.settle(&pace, at(0), 20, 0);
    assert_eq!(bucket.left(&pace, at(0)), 20, "never more than full");
}

#[test]
fn a_new_rate_keeps_what_was_used() {
    let mut bucket = Bucket::default();
    bucket.take(&pace(1, 1000), at(0), 1000).unwrap();
    let faster = pace(1000, 1000);
    assert_eq!(bucket.full_in(&faster, at(0)), at(1000));
}

#[test]
fn rare_tokens_come_though_it_is_asked_all_the_time() {
    let pace = Pace::new(Rate::new(1, Per::Day).unwrap(), None);
    let mut bucket = Bucket::default();
    bucket.take(&pace, at(0), 1).unwrap();
    let day = 86_400_000;
    for second in 1..86_400 {
        assert!(
            bucket.take(&pace, at(second * 1000), 1).is_err(),
            "{second}"
        );
        bucket.settle(&pace, at(second * 1000), 0, 0);
    }
    assert_eq!(bucket.take(&pace, at(day + 1), 1), Ok(()));
}

/// One exchange of a schedule: comes after a pause, takes its estimate, and ends later with what it used. One that is
/// cancelled has used a part of its estimate.
#[derive(Clone, Debug)]
struct Planned {
    pause: u64,
    estimate: u64,
    used: u64,
    lasts: u64,
}

fn planned() -> impl Strategy<Value = Planned> {
    let used = prop_oneof![Just(0), 0..400u64, 0..40u64];
    (0..3000u64, 1..120u64, used, 0..20_000u64).prop_map(|(pause, estimate, used, lasts)| Planned {
        pause: pause.saturating_sub(1000),
        estimate,
        used,
        lasts,
    })
}

/// One that was let in.
struct Passed {
    begun: u64,
    ended: u64,
    estimate: u64,
    used: u64,
}

fn play(pace: &Pace, plan: &[Planned]) -> Vec<Passed> {
    let mut bucket = Bucket::default();
    let mut passed: Vec<Passed> = Vec::new();
    let mut settled = Vec::new();
    let mut now = 0;
    for exchange in plan {
        now += exchange.pause;
        let mut due: Vec<_> = (0..passed.len())
            .filter(|index| passed[*index].ended <= now && !settled.contains(index))
            .collect();
        due.sort_by_key(|index| passed[*index].ended);
        for index in due {
            let done = &passed[index];
            bucket.settle(pace, at(done.ended), done.estimate, done.used);
            settled.push(index);
        }
        if bucket.take(pace, at(now), exchange.estimate).is_ok() {
            passed.push(Passed {
                begun: now,
                ended: now + exchange.lasts,
                estimate: exchange.estimate,
                used: exchange.used,
            });
        }
    }
    passed
}

proptest! {
    /// In no window do more tokens pass than the rate gives in it, the burst, and the error of the estimates of what
    /// was under way: what those let in used on top of theirs, and what those before gave back too late to be missed.
    #[test]
    fn no_schedule_gets_more_than_limit_burst_and_known_overshoot(
        rate in 1..100u64,
        burst in 1..200u64,
        plan in prop::collection::vec(planned(), 1..40),
    ) {
        let pace = pace(rate, burst);
        let passed = play(&pace, &plan);
        for from in passed.iter().map(|exchange| exchange.begun) {
            for to in passed.iter().map(|exchange| exchange.begun).filter(|to| *to >= from) {
                let inside = passed.iter().filter(|one| (from..=to).contains(&one.begun));
                let used: u64 = inside.clone().map(|one| one.used).sum();
                let over: u64 = inside.map(|one| one.used.saturating_sub(one.estimate)).sum();
                let before = passed.iter().filter(|one| one.begun < from && (from..=to).contains(&one.ended));
                let late: u64 = before.map(|one| one.estimate.saturating_sub(one.used)).sum();
                let given = (rate * (to - from)).div_ceil(1000);
                prop_assert!(
                    used <= given + burst + over + late,
                    "{used} in {from}..={to}, of {given} + {burst} + {over} + {late}"
                );
            }
        }
    }

    /// Where estimates are exact there is no overshoot at all, and a patient taker gets what the rate gives.
    #[test]
    fn exact_estimates_are_kept_exactly(rate in 1..100u64, burst in 1..200u64, each in 1..50u64) {
        prop_assume!(each <= burst);
        let pace = pace(rate, burst);
        let mut bucket = Bucket::default();
        let mut passed = 0;
        let mut now = Duration::ZERO;
        let end = Duration::from_mins(10);
        while now < end {
            match bucket.take(&pace, now, each) {
                Ok(()) => passed += each,
                Err(Empty::For(wait)) => now += wait + Duration::from_nanos(1),
                Err(Empty::TooSmall) => unreachable!("each fits the burst"),
            }
        }
        prop_assert!(passed <= burst + rate * 601);
        prop_assert!(passed + each + rate >= rate * 600, "{passed} of {}", rate * 600);
    }
}
