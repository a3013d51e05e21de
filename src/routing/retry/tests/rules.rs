//! Single decisions, and what they are made from.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const PASSING: [FailureClass; 5] = [
    FailureClass::Timeout,
    FailureClass::Stream,
    FailureClass::Status(408),
    FailureClass::Status(429),
    FailureClass::Status(503),
];

const LASTING: [FailureClass; 5] = [
    FailureClass::Connect,
    FailureClass::UpstreamAuth,
    FailureClass::ModelMissing,
    FailureClass::Rejected,
    FailureClass::Unsupported,
];

/// The first decision of an exchange with the default policy and a full budget.
fn first(failed: &Failed, change: impl FnOnce(&mut Room)) -> Step {
    let now = Instant::now();
    let mut room = room(now);
    change(&mut room);
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    Attempts::default().next(&RetryPolicy::default(), failed, &budget, &room)
}

fn asked(class: FailureClass, retry_after: Duration) -> Failed {
    Failed {
        retry_after: Some(retry_after),
        ..failed(class)
    }
}

#[test]
fn what_may_pass_is_tried_again_and_then_moved_on_from() {
    for class in PASSING {
        let now = Instant::now();
        let policy = RetryPolicy::default();
        let budget = RetryBudget::new(BudgetSettings::default(), now);
        let mut attempts = Attempts::default();
        let mut next = || attempts.next(&policy, &failed(class), &budget, &room(now));
        // Half of 250 ms, doubled each time; the second target begins anew.
        for target in 0..2 {
            for millis in [125, 250, 500] {
                let after = Duration::from_millis(millis);
                assert_eq!(next(), Step::Again { after }, "{class} at target {target}");
            }
            assert_eq!(next(), Step::NextTarget, "{class} at target {target}");
        }
        assert_eq!(attempts.number(), 9);
    }
}

#[test]
fn what_lasts_is_moved_on_from_at_once() {
    for class in LASTING {
        assert_eq!(first(&failed(class), |_| {}), Step::NextTarget, "{class}");
        let last = first(&failed(class), |room| room.targets_left = 0);
        assert_eq!(last, Step::Stop, "{class}");
    }
}

#[test]
fn what_is_not_covered_stops() {
    for class in [FailureClass::Client, FailureClass::Status(409)] {
        assert_eq!(first(&failed(class), |_| {}), Step::Stop, "{class}");
    }
}

#[test]
fn a_listed_client_error_moves_on_but_is_not_repeated() {
    let now = Instant::now();
    let policy = RetryPolicy {
        fallback_on: FallbackOn::parse(&["413"]).unwrap(),
        ..RetryPolicy::default()
    };
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    let next = |status| {
        let failed = failed(policy.fallback_on.class_of(status));
        Attempts::default().next(&policy, &failed, &budget, &room(now))
    };
    assert_eq!(next(413), Step::NextTarget);
    assert_eq!(next(400), Step::Stop);
    assert_eq!(next(503), Step::Stop);
}

#[test]
fn a_request_that_cannot_be_sent_twice_is_not() {
    for class in PASSING.into_iter().chain(LASTING) {
        let touched = Failed {
            replayable: false,
            ..failed(class)
        };
        assert_eq!(first(&touched, |_| {}), Step::Stop, "{class}");
    }
}

#[test]
fn an_upstream_that_names_a_time_is_asked_again_then() {
    let busy = asked(FailureClass::Status(429), 3 * SECOND);
    assert_eq!(first(&busy, |_| {}), Step::Again { after: 3 * SECOND });
    let past = asked(FailureClass::Status(429), Duration::ZERO);
    let after = Duration::from_millis(125);
    assert_eq!(first(&past, |_| {}), Step::Again { after });
}

#[test]
fn a_time_too_far_off_is_waited_for_only_where_nobody_else_is_left() {
    let busy = asked(FailureClass::Status(429), 9 * SECOND);
    assert_eq!(first(&busy, |_| {}), Step::NextTarget);
    let alone = first(&busy, |room| room.targets_left = 0);
    assert_eq!(alone, Step::Again { after: 9 * SECOND });
}

#[test]
fn no_wait_reaches_the_deadline() {
    let busy = asked(FailureClass::Status(429), 3 * SECOND);
    let until = |left, targets_left| {
        first(&busy, |room| {
            room.left = left;
            room.targets_left = targets_left;
        })
    };
    assert_eq!(until(3 * SECOND, 1), Step::NextTarget);
    assert_eq!(until(3 * SECOND, 0), Step::Stop);
    assert_eq!(until(Duration::ZERO, 1), Step::Stop);
    let just_fits = 3 * SECOND + Duration::from_nanos(1);
    assert_eq!(until(just_fits, 1), Step::Again { after: 3 * SECOND });
}

#[test]
fn an_empty_budget_moves_on() {
    let now = Instant::now();
    let none = BudgetSettings {
        cap: 0,
        ..BudgetSettings::default()
    };
    let budget = RetryBudget::new(none, now);
    let next = |room: &Room| {
        let failed = failed(FailureClass::Timeout);
        Attempts::default().next(&RetryPolicy::default(), &failed, &budget, room)
    };
    assert_eq!(next(&room(now)), Step::NextTarget);
    let last = Room {
        targets_left: 0,
        ..room(now)
    };
    assert_eq!(next(&last), Step::Stop);
}

#[test]
fn no_retries_means_one_try_of_each_target() {
    let now = Instant::now();
    let policy = RetryPolicy {
        retries: 0,
        ..RetryPolicy::default()
    };
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    let timeout = failed(FailureClass::Timeout);
    let step = Attempts::default().next(&policy, &timeout, &budget, &room(now));
    assert_eq!(step, Step::NextTarget);
}

#[test]
fn skipped_targets_are_no_attempts() {
    let now = Instant::now();
    let budget = RetryBudget::new(BudgetSettings::default(), now);
    let mut attempts = Attempts::default();
    let policy = RetryPolicy::default();
    attempts.next(
        &policy,
        &failed(FailureClass::Unsupported),
        &budget,
        &room(now),
    );
    assert_eq!(attempts.number(), 1);
    attempts.next(&policy, &failed(FailureClass::Connect), &budget, &room(now));
    assert_eq!(attempts.number(), 2);
}

#[test]
fn the_default_covers_what_is_documented() {
    let default = FallbackOn::default();
    for class in LASTING.into_iter().chain(PASSING) {
        assert!(default.covers(class), "{class}");
    }
    for status in [400, 404, 409, 422] {
        assert!(!default.covers(FailureClass::Status(status)), "{status}");
        assert!(!default.covers(FailureClass::Client));
    }
    let written = [
        "connect",
        "timeout",
        "upstream_auth",
        "model_missing",
        "stream",
        "rejected",
        "408",
        "429",
        "5xx",
    ];
    assert_eq!(FallbackOn::parse(&written), Ok(default));
}

#[test]
fn only_what_is_listed_is_covered() {
    let listed = FallbackOn::parse(&["timeout", "503"]).unwrap();
    assert!(listed.covers(FailureClass::Timeout));
    assert!(listed.covers(FailureClass::Status(503)));
    assert!(listed.covers(FailureClass::Unsupported));
    assert!(!listed.covers(FailureClass::Status(502)));
    assert!(!listed.covers(FailureClass::Connect));
    assert!(!listed.covers(FailureClass::UpstreamAuth));
    let nothing = FallbackOn::parse(&[""; 0]).unwrap();
    assert!(!nothing.covers(FailureClass::Timeout));
    let family = FallbackOn::parse(&["4xx"]).unwrap();
    assert!(family.covers(FailureClass::UpstreamAuth));
    assert!(family.covers(FailureClass::ModelMissing));
    assert!(family.covers(family.class_of(422)));
    assert!(!family.covers(FailureClass::Client));
}

#[test]
fn entries_that_mean_nothing_are_explained() {
    let problem = |entry: &str| FallbackOn::parse(&["5xx", entry]).unwrap_err();
    assert_eq!(
        problem("time_out"),
        "\"time_out\" is not a kind of failure; did you mean \"timeout\"?"
    );
    assert!(problem("sometimes").contains("connect, timeout, upstream_auth"));
    assert!(problem("200").contains("from 400 to 599"));
    assert!(problem("600").contains("from 400 to 599"));
    assert!(problem("-1").contains("not a kind of failure"));
    assert!(problem("403").contains("write \"upstream_auth\""));
    assert!(problem("").contains("not a kind of failure"));
}

#[test]
fn statuses_are_told_apart() {
    let default = FallbackOn::default();
    for (status, class) in [
        (400, FailureClass::Client),
        (401, FailureClass::UpstreamAuth),
        (403, FailureClass::UpstreamAuth),
        (404, FailureClass::Client),
        (407, FailureClass::UpstreamAuth),
        (408, FailureClass::Status(408)),
        (409, FailureClass::Status(409)),
        (413, FailureClass::Client),
        (429, FailureClass::Status(429)),
        (500, FailureClass::Status(500)),
        (599, FailureClass::Status(599)),
        (302, FailureClass::Status(502)),
        (999, FailureClass::Status(502)),
    ] {
        assert_eq!(default.class_of(status), class, "{status}");
    }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// 1994-11-06 08:49:37 GMT.
fn rfc_example() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn waits(pairs: &[(&str, &str)]) -> Option<Duration> {
    retry_after(&headers(pairs), rfc_example())
}

#[test]
fn times_to_come_back_are_read() {
    let day = Duration::from_hours(24);
    for (value, wait) in [
        ("2", Some(2 * SECOND)),
        (" 2 ", Some(2 * SECOND)),
        ("0", Some(Duration::ZERO)),
        ("1.5", Some(Duration::from_millis(1500))),
        ("86401", Some(day)),
        ("99999999999999999999999999", Some(day)),
        ("1e400", Some(day)),
        ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3 * SECOND)),
        ("Sunday, 06-Nov-94 08:49:40 GMT", Some(3 * SECOND)),
        ("Sun Nov  6 08:49:40 1994", Some(3 * SECOND)),
        ("Sun, 06 Nov 1994 08:49:30 GMT", Some(Duration::ZERO)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(day)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("nan", None),
        ("inf", None),
        (".", None),
        ("1m", None),
        ("soon", None),
    ] {
        assert_eq!(waits(&[("retry-after", value)]), wait, "{value}");
    }
    assert_eq!(waits(&[]), None);
}

#[test]
fn milliseconds_come_first_where_they_make_sense() {
    let seconds = ("retry-after", "2");
    let both = waits(&[("retry-after-ms", "250"), seconds]);
    assert_eq!(both, Some(Duration::from_millis(250)));
    assert_eq!(
        waits(&[("retry-after-ms", "-5"), seconds]),
        Some(2 * SECOND)
    );
    let alone = waits(&[("retry-after-ms", "12.5")]);
    assert_eq!(alone, Some(Duration::from_micros(12_500)));
}

proptest! {
    #[test]
    fn no_header_is_too_odd(value in prop_oneof!["[ -~]{0,40}", "[0-9.eE+-]{0,30}", "[0-9]{1,400}"]) {
        let headers = headers(&[("retry-after", &value), ("retry-after-ms", &value)]);
        let wait = retry_after(&headers, rfc_example());
        prop_assert!(wait.is_none_or(|wait| wait <= Duration::from_hours(24)));
    }

    #[test]
    fn waits_stay_under_their_ceiling(
        base: u64, most: u64, tries: u32, random in prop_oneof![any::<f64>(), 0.0..1.0],
    ) {
        let policy = RetryPolicy {
            backoff_base: Duration::from_millis(base),
            backoff_max: Duration::from_millis(most),
            ..RetryPolicy::default()
        };
        prop_assert!(policy.backoff(tries, random) <= policy.backoff_max);
    }
}
