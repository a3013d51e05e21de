//! Waiting across the border.

use std::{sync::Barrier, task::Waker, thread};

use millgate_plugin_abi as abi;
use serde_json::json;

use super::{
    driven::{Entered, Made},
    gateway::await_token,
    probe::Probe,
};
use crate::{Field, testing::FakeExchange};

fn asks(url: &str) -> Made {
    Made::new::<Probe>(&json!({"request": format!("ask {url}")}).to_string())
}

fn note(entered: &mut Entered<'_>, key: &str) -> String {
    let note = entered.hook().exchange.text(Field::Var, key);
    note.unwrap_or_default().to_owned()
}

#[test]
fn an_answer_reaches_the_hook_whenever_it_comes() {
    let answer = r#"200 [("x-a", "1"), ("x-b", "2: 3")] GET x-asked: 1"#;
    for (url, expected) in [
        ("now", answer),
        ("later", answer),
        ("fails", "no such host"),
        ("odd", "no such host"),
        ("nothing", "no answer"),
        ("broken", r#"the header "x-asked" cannot be sent"#),
    ] {
        let made = asks(url);
        let mut entered = made.enter(FakeExchange::new());
        assert_eq!(entered.request(), abi::NEXT);
        assert_eq!(note(&mut entered, "answer").trim_end(), expected);
        assert_eq!(note(&mut entered, "request"), "2", "hooks called");
    }
}

#[test]
fn a_hook_may_wait_more_than_once() {
    let made = Made::new::<Probe>(r#"{"request": "sleep", "response": "sleep"}"#);
    let mut entered = made.enter(FakeExchange::new());
    assert_eq!(entered.request(), abi::NEXT);
    assert_eq!(note(&mut entered, "request"), "3");
}

#[test]
fn where_there_is_no_waiting_it_fails_and_does_not_spin() {
    let made = Made::new::<Probe>(r#"{"request": "wait for ever"}"#);
    let mut entered = made.enter(FakeExchange::new());
    entered.hook().may_wait = false;
    assert_eq!(entered.request(), abi::FAILED);
    let why = entered.hook().failure.take().unwrap();
    assert_eq!(why, "it wants to wait where there is no waiting");
}

#[test]
fn a_wait_that_was_given_up_holds_no_other_hook_up() {
    let made = Made::new::<Probe>(r#"{"request": "wait for ever"}"#);
    let mut entered = made.enter(FakeExchange::new());
    assert_eq!(entered.once(made.kind.on_request), abi::WAIT);
    // Its time has run out: the error reply goes out through the stage.
    assert_eq!(entered.response(), abi::NEXT);
    entered.end(abi::OUTCOME_TIMEOUT);
    assert_eq!(note(&mut entered, "end"), "timeout after 2");
}

#[test]
fn a_panic_in_what_is_waited_for_is_the_hooks_own() {
    let made = Made::new::<Probe>(r#"{"request": "panic later"}"#);
    let mut entered = made.enter(FakeExchange::new());
    assert_eq!(entered.request(), abi::PANICKED);
    let why = entered.hook().failure.take().unwrap();
    assert_eq!(why, "in what it waits for");
}

#[test]
fn a_waker_outlives_its_exchange() {
    use std::sync::{Arc, Mutex};

    use super::super::wait;

    let kept: Arc<Mutex<Option<Waker>>> = Arc::default();
    let made = asks("now");
    let mut entered = made.enter(FakeExchange::new());
    let keep = kept.clone();
    let mut future: crate::BoxFuture = Box::pin(std::future::poll_fn(move |context| {
        *keep.lock().unwrap() = Some(context.waker().clone());
        std::task::Poll::Pending
    }));
    let hook: *mut super::gateway::Hook = entered.hook();
    // SAFETY: the hook lives for the call.
    let polled = unsafe { wait::poll(&mut future, hook.cast()) };
    assert!(polled.unwrap().is_pending());
    let token = entered.hook().token;
    let waker = kept.lock().unwrap().take().unwrap();
    waker.clone().wake_by_ref();
    await_token(token);
    drop(entered);
    thread::spawn(move || {
        waker.wake_by_ref();
        waker.wake();
    })
    .join()
    .unwrap();
}

#[test]
fn many_exchanges_wait_at_once_on_many_threads() {
    let made = asks("later");
    let start = Barrier::new(4);
    let made = &made;
    thread::scope(|scope| {
        for _ in 0..4 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..25 {
                    let mut entered = made.enter(FakeExchange::new());
                    assert_eq!(entered.request(), abi::NEXT);
                    assert!(note(&mut entered, "answer").starts_with("200 "));
                }
                for _ in 0..25 {
                    // It leaves while it waits; the answer finds nobody.
                    let mut entered = made.enter(FakeExchange::new());
                    let status = entered.once(made.kind.on_request);
                    assert!(matches!(status, abi::WAIT | abi::NEXT), "{status}");
                }
            });
        }
    });
}
