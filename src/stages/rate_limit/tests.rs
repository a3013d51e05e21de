use std::{collections::HashMap, task::Context};

use millgate_plugin::{CacheStatus, Endpoint, SetError};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::runtime::host::Process;

/// An exchange as far as this stage looks at it.
#[derive(Clone, Default)]
struct Fake {
    texts: HashMap<(Field, &'static str), String>,
    numbers: HashMap<Field, u64>,
    reply: HashMap<String, String>,
}

impl Exchange for Fake {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        if field == Field::ReplyHeader {
            return self.reply.get(key).map(String::as_bytes);
        }
        let known = self
            .texts
            .iter()
            .find(|(known, _)| known.0 == field && known.1 == key);
        known.map(|(_, text)| text.as_bytes())
    }

    fn number(&self, field: Field) -> Option<u64> {
        self.numbers.get(&field).copied()
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        assert_eq!(field, Field::ReplyHeader);
        let value = String::from_utf8(value.unwrap().to_vec()).unwrap();
        self.reply.insert(key.to_owned(), value);
        Ok(())
    }

    fn each(&self, _field: Field, _visit: &mut dyn FnMut(&str, &[u8]) -> bool) {}
}

/// A chat completion of a caller, whose prompt has so many tokens and whose answer may have so many.
fn chat(caller: &str, input: u64, most: u64) -> Fake {
    let mut fake = Fake::default();
    fake.texts.insert((Field::CallerId, ""), caller.to_owned());
    fake.texts
        .insert((Field::RequestMember, "max_tokens"), most.to_string());
    fake.numbers.insert(Field::Endpoint, Endpoint::Chat as u64);
    fake.numbers.insert(Field::InputEstimate, input);
    fake
}

impl Fake {
    fn used(mut self, input: u64, output: u64) -> Self {
        self.numbers.insert(Field::OutputEstimate, 0);
        self.numbers.insert(Field::InputTokens, input);
        self.numbers.insert(Field::OutputTokens, output);
        self
    }

    fn with_cache(mut self, status: CacheStatus) -> Self {
        self.numbers.insert(Field::CacheStatus, status as u64);
        self
    }
}

fn stage(config: Value) -> RateLimit {
    stage_with(config, &Process::default().host)
}

fn stage_with(config: Value, host: &Host) -> RateLimit {
    RateLimit::new("limit", serde_json::from_value(config).unwrap(), host).unwrap()
}

/// Sends an exchange in; its state where it may pass.
fn enter(limit: &RateLimit, exchange: &mut Fake) -> Result<State, Refusal> {
    let mut state = limit.begin();
    match limit.on_request(&mut state, exchange).unwrap() {
        Flow::Next => Ok(state),
        Flow::Reject(refusal) => {
            limit.on_end(&mut state, exchange, Outcome::Rejected);
            Err(refusal)
        }
        _ => panic!("it waits or replies"),
    }
}

fn left(limit: &RateLimit, caller: &str) -> u64 {
    let rule = &limit.rules.tokens[0];
    let key = rule
        .buckets()
        .key(Subject::of(rule.per, &chat(caller, 0, 0)));
    let left = |bucket: &mut Bucket| bucket.left(&rule.pace, START.elapsed());
    rule.buckets()
        .with_known(key, left)
        .unwrap_or(rule.pace.burst())
}

#[test]
fn what_the_cache_answers_counts_as_a_request_and_costs_no_tokens() {
    let limit = stage(json!({"tokens": "1000/day", "requests": "4/day"}));
    for status in [CacheStatus::Hit, CacheStatus::Collapsed, CacheStatus::Stale] {
        let mut exchange = chat("a", 100, 100).used(150, 50).with_cache(status);
        let mut state = enter(&limit, &mut exchange).unwrap();
        assert_eq!(left(&limit, "a"), 800);
        limit.on_end(&mut state, &mut exchange, Outcome::Ok);
        assert_eq!(left(&limit, "a"), 1000, "{status:?}");
    }
    let mut miss = chat("a", 100, 100)
        .used(150, 50)
        .with_cache(CacheStatus::Miss);
    let mut state = enter(&limit, &mut miss).unwrap();
    limit.on_end(&mut state, &mut miss, Outcome::Ok);
    assert_eq!(left(&limit, "a"), 800);
    assert!(
        enter(&limit, &mut chat("a", 1, 1)).is_err(),
        "four have come"
    );
}

#[test]
fn how_it_ended_decides_what_is_charged_where_nobody_counted() {
    use Outcome::{ClientClosed, ClientError, InternalError, Ok, Rejected, Timeout, UpstreamError};
    for (output, outcome, charged) in [
        (None, Ok, 0),
        (None, ClientClosed, 0),
        (Some(0), ClientClosed, 100),
        (Some(7), ClientClosed, 107),
        (Some(7), Ok, 107),
        (Some(0), Timeout, 100),
        (Some(0), UpstreamError, 0),
        (Some(7), UpstreamError, 107),
        (Some(0), ClientError, 0),
        (Some(0), Rejected, 0),
        (Some(0), InternalError, 0),
    ] {
        let limit = stage(json!({"tokens": "1000/day"}));
        let mut exchange = chat("a", 100, 100);
        let mut state = enter(&limit, &mut exchange).unwrap();
        if let Some(output) = output {
            exchange.numbers.insert(Field::OutputEstimate, output);
        }
        limit.on_end(&mut state, &mut exchange, outcome);
        assert_eq!(left(&limit, "a"), 1000 - charged, "{output:?} {outcome:?}");
    }
}

#[test]
fn each_is_counted_for_itself_and_the_nameless_together() {
    for (per, field) in [
        ("caller", Field::CallerId),
        ("team", Field::CallerTeam),
        ("model", Field::Model),
        ("provider", Field::Provider),
    ] {
        let limit = stage(json!({"requests": "1/day", "per": per}));
        let named = |name: Option<&str>| {
            let mut exchange = Fake::default();
            exchange
                .texts
                .extend(name.map(|name| ((field, ""), name.to_owned())));
            enter(&limit, &mut exchange).is_ok()
        };
        assert!(named(Some("x")) && named(Some("y")) && named(None), "{per}");
        assert!(
            !named(Some("x")) && !named(Some("y")) && !named(None),
            "{per}"
        );
    }
}

#[test]
fn a_caller_called_like_an_address_is_not_that_address() {
    let limit = stage(json!({"requests": "1/day"}));
    let mut nobody = Fake::default();
    nobody
        .texts
        .insert((Field::PeerAddress, ""), "192.0.2.1".to_owned());
    assert!(enter(&limit, &mut nobody).is_ok());
    assert!(enter(&limit, &mut chat("192.0.2.1", 0, 0)).is_ok());
    assert!(enter(&limit, &mut nobody).is_err());
}

#[test]
fn a_refusal_gives_back_what_other_limits_had_let_through() {
    let limit = stage(json!({
        "tokens": "1000/day", "requests": "5/day", "concurrent": 1, "budget": {"tokens": "1k/day"},
    }));
    let mut first = chat("a", 10, 10);
    let mut state = enter(&limit, &mut first).unwrap();
    for _ in 0..50 {
        let refusal = enter(&limit, &mut chat("a", 10, 10)).err().unwrap();
        assert!(refusal.message.contains("at a time"), "{}", refusal.message);
    }
    limit.on_end(&mut state, &mut first.used(10, 10), Outcome::Ok);
    for _ in 0..4 {
        let mut next = chat("a", 10, 10);
        let mut state = enter(&limit, &mut next).unwrap();
        limit.on_end(&mut state, &mut next.used(10, 10), Outcome::Ok);
    }
    assert_eq!(left(&limit, "a"), 900);
    assert!(
        enter(&limit, &mut chat("a", 1, 1)).is_err(),
        "five have passed"
    );
}

#[test]
fn a_waiter_is_placed_when_another_ends_and_its_place_is_freed_once() {
    let limit = stage(json!({"per": "all", "concurrent": 1, "queue": {}}));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let mut first = chat("a", 0, 0);
    let mut held = enter(&limit, &mut first).unwrap();
    let mut second = chat("b", 0, 0);
    let mut waiting = limit.begin();
    let Flow::Wait(mut wait) = limit.on_request(&mut waiting, &mut second).unwrap() else {
        panic!("there is a place");
    };
    assert!(wait.as_mut().poll(&mut context).is_pending());
    limit.on_end(&mut held, &mut first, Outcome::Ok);
    assert!(wait.as_mut().poll(&mut context).is_ready());
    assert!(matches!(
        limit.on_request(&mut waiting, &mut second),
        Ok(Flow::Next)
    ));
    drop(held);
    let mut third = chat("c", 0, 0);
    let mut gone = limit.begin();
    assert!(matches!(
        limit.on_request(&mut gone, &mut third),
        Ok(Flow::Wait(_))
    ));
    // Its client leaves before there is a place.
    limit.on_end(&mut gone, &mut third, Outcome::ClientClosed);
    limit.on_end(&mut waiting, &mut second, Outcome::Ok);
    assert!(enter(&limit, &mut chat("d", 0, 0)).is_ok());
}

#[test]
fn another_table_takes_over_what_was_used() {
    let old = stage(json!({"tokens": "1000/day", "requests": "2/day", "concurrent": 1}));
    let mut exchange = chat("a", 100, 100);
    let mut under_way = enter(&old, &mut exchange).unwrap();
    let new = stage(json!({"tokens": "2000/day", "requests": "2/day", "concurrent": 1}));
    new.adopt(&old);
    assert_eq!(left(&new, "a"), 1800);
    assert!(
        enter(&new, &mut chat("a", 1, 1)).is_err(),
        "its place is taken in the old one"
    );
    old.on_end(&mut under_way, &mut exchange.used(10, 10), Outcome::Ok);
    assert_eq!(left(&new, "a"), 1980);
    let mut second = chat("a", 1, 1);
    let mut state = enter(&new, &mut second).unwrap();
    new.on_end(&mut state, &mut second, Outcome::Ok);
    assert!(
        enter(&new, &mut chat("a", 1, 1)).is_err(),
        "two requests a day"
    );
}

#[test]
fn in_shadow_mode_it_counts_as_it_would_otherwise_and_never_waits() {
    let host = Process::default().host.with_shadow(true);
    let limit = stage_with(
        json!({"tokens": "1000/day", "concurrent": 2, "queue": {"size": 1}, "budget": {"tokens": "500/day"}}),
        &host,
    );
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(enter(&limit, &mut chat("a", 50, 50)).unwrap());
    }
    assert!(
        enter(&limit, &mut chat("a", 50, 50)).is_err(),
        "two places and one who would wait"
    );
    assert_eq!(left(&limit, "a"), 700);
    // The host lets it go on; what it uses is used.
    let mut refused = chat("a", 50, 50);
    let mut state = limit.begin();
    assert!(matches!(
        limit.on_request(&mut state, &mut refused),
        Ok(Flow::Reject(_))
    ));
    limit.on_end(&mut state, &mut refused.used(400, 99), Outcome::Ok);
    drop(held);
    assert!(
        enter(&limit, &mut chat("a", 1, 1)).is_err(),
        "one token is left of the budget"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Comes {
        input: u64,
        most: u64,
    },
    Ends {
        which: prop::sample::Index,
        input: u64,
        output: u64,
        outcome: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let comes = (0..80u64, 0..80u64).prop_map(|(input, most)| Step::Comes { input, most });
    let ends = (
        any::<prop::sample::Index>(),
        0..120u64,
        0..120u64,
        0..4usize,
    )
        .prop_map(|(which, input, output, outcome)| Step::Ends {
            which,
            input,
            output,
            outcome,
        });
    prop_oneof![comes, ends]
}

proptest! {
    /// The stage as a whole, within a time in which next to nothing fills up: whatever comes, is counted, cancelled or
    /// answered by the cache, what passes is the burst and what was used beyond its estimate.
    #[test]
    fn no_schedule_gets_more_than_the_burst_and_the_error_of_the_estimates(
        burst in 50..500u64,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let limits = [json!({"requests": "1000/day", "concurrent": 5})];
        let limit = stage(json!({"tokens": "1/day", "burst": burst, "limits": limits}));
        let mut under_way: Vec<(State, Fake, u64)> = Vec::new();
        let (mut passed, mut over) = (0, 0);
        for step in steps {
            match step {
                Step::Comes { input, most } => {
                    let mut exchange = chat("a", input, most);
                    if let Ok(state) = enter(&limit, &mut exchange) {
                        under_way.push((state, exchange, input + most));
                    }
                    prop_assert!(under_way.len() <= 5);
                }
                Step::Ends { which, input, output, outcome } if !under_way.is_empty() => {
                    let (mut state, exchange, estimate) = under_way.swap_remove(which.index(under_way.len()));
                    let (mut exchange, outcome, used) = match outcome {
                        0 => (exchange.used(input, output).with_cache(CacheStatus::Hit), Outcome::Ok, 0),
                        1 => (exchange, Outcome::Rejected, 0),
                        2 => {
                            let asked = exchange.number(Field::InputEstimate).unwrap();
                            let mut exchange = exchange;
                            exchange.numbers.insert(Field::OutputEstimate, output);
                            (exchange, Outcome::ClientClosed, asked + output)
                        }
                        _ => (exchange.used(input, output), Outcome::Ok, input + output),
                    };
                    limit.on_end(&mut state, &mut exchange, outcome);
                    passed += used;
                    over += used.saturating_sub(estimate);
                }
                Step::Ends { .. } => {}
            }
            let held: u64 = under_way.iter().map(|one| one.2).sum();
            prop_assert!(passed + held <= burst + over + 1, "{passed} + {held} of {burst} + {over}");
        }
    }
}
