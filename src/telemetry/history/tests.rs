use millgate_plugin::{CacheStatus, Outcome};
use proptest::prelude::*;
use smallvec::{SmallVec, smallvec};

use super::*;
use crate::{
    routing::{retry::FailureClass, scanner::Usage, target::Target},
    runtime::host::Process,
    telemetry::ended::{Attempted, Tokens, sample::sample},
};

/// An exchange that took a second, from this many seconds after the beginning on.
fn ended(beginning: Instant, second: u64, route: &str) -> Ended {
    Ended {
        started: beginning + Duration::from_secs(second),
        total: Duration::from_secs(1),
        reading: Duration::from_millis(100),
        upstream: Some(Duration::from_millis(800)),
        first: Some(Duration::from_millis(300)),
        route: Some(route.into()),
        provider: Some("up".into()),
        model: Some("gpt-4".into()),
        stages: smallvec::smallvec![("limit".into(), Duration::from_millis(2))],
        cache: Some(CacheStatus::Miss),
        tokens: Some(Tokens {
            usage: Usage::estimated(10, 3),
            is_estimate: false,
        }),
        cost: Some(7),
        request_bytes: 1,
        bytes: 1,
        ..sample()
    }
}

fn of(range: Range) -> Wanted<'static> {
    Wanted {
        range,
        route: None,
        provider: None,
    }
}

#[test]
fn figures_are_those_of_the_exchanges() {
    let beginning = Instant::now();
    let mut history = History::since(beginning);
    history.add(&ended(beginning, 1, "a"));
    history.add(&ended(beginning, 7, "a"));
    let mut hit = ended(beginning, 7, "b");
    hit.cache = Some(CacheStatus::Hit);
    (hit.cost, hit.saved) = (None, Some(7));
    history.add(&hit);
    let mut left = ended(beginning, 7, "b");
    left.tokens.as_mut().unwrap().is_estimate = true;
    left.outcome = Outcome::ClientClosed;
    history.add(&left);
    let mut failed = ended(beginning, 8, "b");
    failed.outcome = Outcome::Timeout;
    history.add(&failed);
    let mut refused = ended(beginning, 8, "b");
    refused.outcome = Outcome::Rejected;
    history.add(&refused);

    let now = beginning + Duration::from_secs(12);
    let series = history.series(of(Range::FiveMinutes), now);
    let exchanges: Vec<_> = series.points.iter().map(|p| p.figures.exchanges).collect();
    assert_eq!(exchanges, [1, 5, 0]);
    assert_eq!(series.points[2].covered, Duration::from_secs(2));
    assert_eq!(series.since, beginning);
    let totals = &series.totals;
    assert_eq!((totals.errors, totals.refused, totals.cancelled), (1, 1, 1));
    // What the cache gave is charged to the exchange that fetched it.
    assert_eq!((totals.input, totals.output), (40, 12));
    assert_eq!(totals.estimated, 13);
    assert_eq!((totals.cost, totals.saved), (35, 7));
    assert_eq!((totals.hits, totals.misses), (1, 5));
    let overhead = totals.overhead.mean().unwrap();
    assert_eq!(overhead, Duration::from_millis(100));
    assert_eq!(history.stage_times("limit").unwrap().count(), 6);

    let count = |route, provider| {
        let wanted = Wanted {
            range: Range::Day,
            route,
            provider,
        };
        history.series(wanted, now).totals.exchanges
    };
    assert_eq!(count(Some("a"), None), 2);
    assert_eq!(count(Some("b"), Some("up")), 4);
    assert_eq!(count(Some("b"), Some("other")), 0);
}

proptest! {
    /// Every range tells of just those exchanges that lie in the points it shows, whichever tier it comes from.
    #[test]
    fn ranges_agree_with_the_exchanges(
        mut seconds in proptest::collection::vec(0_u64..900_000, 1..120),
        later in 0_u64..5000,
    ) {
        seconds.sort_unstable();
        let beginning = Instant::now();
        let mut history = History::since(beginning);
        for second in &seconds {
            history.add(&ended(beginning, *second, "a"));
        }
        let now = seconds.last().unwrap() + 1 + later;
        for range in Range::ALL {
            let series = history.series(of(range), beginning + Duration::from_secs(now));
            let (first, last) = (&series.points[0], series.points.last().unwrap());
            let exact = seconds.iter().filter(|second| {
                beginning + Duration::from_secs(**second + 1) >= first.begin
            });
            prop_assert_eq!(series.totals.exchanges, exact.count() as u64, "{:?}", range);
            let sum: u64 = series.points.iter().map(|point| point.figures.exchanges).sum();
            prop_assert_eq!(sum, series.totals.exchanges);
            prop_assert!(series.points.len() as u64 <= range.shape().0);
            prop_assert!(series.points.windows(2).all(|two| two[0].begin + series.step == two[1].begin));
            prop_assert!(last.begin + last.covered == beginning + Duration::from_secs(now));
        }
    }
}

/// A minute is what the status page and `top` divide by.
#[test]
fn a_minute_is_about_a_minute_and_no_longer_than_the_process_has_lived() {
    let beginning = Instant::now();
    let history = History::since(beginning);
    for (second, covered) in [(0, 0), (3, 3), (59, 59), (60, 55), (64, 59), (600, 55)] {
        let now = beginning + Duration::from_secs(second);
        let series = history.series(of(Range::Minute), now);
        assert_eq!(series.covered.as_secs(), covered, "{second}");
    }
}

/// The one target of a config's one route.
fn target() -> Arc<Target> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = "[providers.up]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9\"\n[routes.default]\ntargets = [\"up\"]\n";
    std::fs::write(&path, text).unwrap();
    let loaded = crate::config::load(&path, &|_| None);
    let runtime = crate::runtime::compile::compile(&loaded, None, &Process::default()).unwrap();
    runtime.routes.0[0].targets[0].clone()
}

fn attempt(target: &Arc<Target>, failure: Option<FailureClass>) -> SmallVec<[Attempted; 1]> {
    smallvec![Attempted {
        target: target.clone(),
        model: "gpt".into(),
        begun: Duration::ZERO,
        took: Duration::from_secs(1),
        failure,
        has_answered: failure.is_none(),
        stages: SmallVec::new(),
        pace: None,
        witness: None,
    }]
}

/// What breaks off after it has begun to answer has failed, whatever a client thinks of it.
#[test]
fn an_upstream_that_breaks_off_every_answer_is_dead_and_one_whose_clients_leave_is_not() {
    let beginning = Instant::now();
    let target = target();
    for (outcome, failures) in [
        (Outcome::UpstreamError, 3),
        (Outcome::Timeout, 3),
        (Outcome::ClientClosed, 0),
        (Outcome::Ok, 0),
    ] {
        let mut history = History::since(beginning);
        let mut broken = ended(beginning, 1, "a");
        broken.provider = Some("up".into());
        broken.outcome = outcome;
        broken.attempts = attempt(&target, None);
        for _ in 0..3 {
            history.add(&broken);
        }
        let upstreams = &history.upstreams;
        let end = beginning + Duration::from_secs(2);
        assert_eq!(upstreams.is_live("up", end), failures == 0, "{outcome:?}");
        assert_eq!(upstreams.since_start("up"), (3, failures), "{outcome:?}");
    }
}

/// Exchanges end long after their attempts have failed: of those, the upstream is known to be dead when they end.
#[test]
fn attempts_are_dated_by_the_end_of_their_exchange_and_an_answer_of_the_cache_hides_none() {
    let beginning = Instant::now();
    let target = target();
    for cache in [CacheStatus::Miss, CacheStatus::Stale] {
        let mut history = History::since(beginning);
        let mut failed = ended(beginning, 1, "a");
        failed.total = Duration::from_mins(5);
        failed.cache = Some(cache);
        failed.attempts = attempt(&target, Some(FailureClass::Status(503)));
        for _ in 0..3 {
            history.add(&failed);
        }
        let end = beginning + Duration::from_secs(301);
        let upstreams = &history.upstreams;
        let rested = end + Duration::from_secs(30);
        assert!(!upstreams.is_live("up", end), "{cache:?}");
        assert!(upstreams.is_live("up", rested), "{cache:?}");
        assert_eq!(upstreams.since_start("up"), (3, 3), "{cache:?}");
        assert_eq!(upstreams.minute("up", None, end).0.failures, 3, "{cache:?}");
    }
}
