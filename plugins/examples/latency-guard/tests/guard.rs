//! Whom the guard lets pass.

use std::{sync::mpsc, time::Duration};

use millgate_latency_guard::Guard;
use millgate_plugin::{
    CallError, Field, HttpAnswer, RefusalKind,
    testing::{FakeExchange, FakeHost, Value, Verdict, Visit, http_answer, json, stage},
};

const URL: &str = "http://guard.internal/may-pass";

fn chat() -> FakeExchange {
    FakeExchange::chat(&json!({"model": "gpt-test", "stream": true, "messages": []}))
        .with(Field::CallerId, "shop")
        .with_number(Field::InputEstimate, 12)
        .with_number(Field::DeadlineLeft, 60_000)
}

fn refuses() -> Value {
    json!({"url": URL, "on_unavailable": "refuse"})
}

/// What a guard with this table says of a chat, where this host answers.
fn ask(host: &FakeHost, table: &Value) -> Verdict {
    let guard: Guard = stage(table, &host.host()).unwrap();
    Visit::new(&guard, chat()).request().unwrap()
}

fn answering(answer: HttpAnswer) -> FakeHost {
    FakeHost::new()
        .answering(move |_| Ok(answer.clone()))
        .later()
}

fn counted(host: &FakeHost, answer: &str) -> u64 {
    let labels = [("stage", "test"), ("answer", answer)];
    host.counted("latency_guard_answers_total", &labels)
}

#[test]
fn a_request_waits_for_the_service_and_passes_where_it_says_yes() {
    let host = answering(http_answer(204, ""));
    let table = json!({"url": URL, "token": "secret", "deadline": "2s"});
    assert_eq!(ask(&host, &table), Verdict::Next);
    assert_eq!(counted(&host, "pass"), 1);
    assert_eq!(
        host.recorded("latency_guard_wait_seconds", &[("stage", "test")])
            .len(),
        1
    );

    let calls = host.calls();
    let [call] = calls.as_slice() else {
        panic!("it asks once: {calls:?}");
    };
    assert_eq!((call.method, call.url.as_str()), ("POST", URL));
    assert_eq!(call.timeout, Duration::from_secs(2));
    assert!(
        call.headers
            .contains(&("authorization".to_owned(), "Bearer secret".to_owned()))
    );
    let question: Value = serde_json::from_slice(&call.body).unwrap();
    let expected = json!({
        "request_id": "request-1", "endpoint": "chat", "model": "gpt-test", "stream": true,
        "caller": "shop", "team": null, "route": null, "input_tokens": 12,
    });
    assert_eq!(question, expected);
}

#[test]
fn it_asks_for_no_longer_than_the_exchange_has() {
    let host = answering(http_answer(200, ""));
    let guard: Guard = stage(&json!({"url": URL, "deadline": "5s"}), &host.host()).unwrap();
    let mut visit = Visit::new(&guard, chat().with_number(Field::DeadlineLeft, 70));
    assert_eq!(visit.request(), Ok(Verdict::Next));
    assert_eq!(host.calls()[0].timeout, Duration::from_millis(70));
}

#[test]
fn a_no_is_passed_on_with_when_to_come_back() {
    let mut busy = http_answer(429, "");
    busy.headers
        .push(("retry-after".to_owned(), "7".to_owned()));
    let host = answering(busy);
    let Verdict::Reject(refusal) = ask(&host, &json!({"url": URL})) else {
        panic!("it must be refused");
    };
    assert_eq!(refusal.kind, RefusalKind::RateLimited);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(counted(&host, "refuse"), 1);

    let Verdict::Reject(refusal) = ask(&answering(http_answer(403, "")), &json!({"url": URL}))
    else {
        panic!("it must be refused");
    };
    assert_eq!(refusal.kind, RefusalKind::Forbidden);
    assert_eq!(refusal.retry_after, None);
}

#[test]
fn without_a_yes_or_no_the_table_decides() {
    let silent = || FakeHost::new().answering(|_| Err(CallError("connection refused".to_owned())));
    for host in [silent(), answering(http_answer(500, ""))] {
        assert_eq!(ask(&host, &json!({"url": URL})), Verdict::Next);
        let Verdict::Reject(refusal) = ask(&host, &refuses()) else {
            panic!("it must be refused");
        };
        assert_eq!(refusal.kind, RefusalKind::Unavailable);
        assert!(!refusal.message.contains("guard.internal"));
        assert_eq!(counted(&host, "none"), 2);
    }
}

#[test]
fn in_shadow_mode_nobody_waits_and_the_answer_is_counted() {
    let (say, said) = mpsc::channel();
    let host = FakeHost::new().answering(move |_| {
        say.send(()).unwrap();
        Ok(http_answer(403, ""))
    });
    let guard: Guard = stage(&refuses(), &host.host().with_shadow(true)).unwrap();
    assert_eq!(Visit::new(&guard, chat()).request(), Ok(Verdict::Next));
    said.recv().unwrap();
    assert_eq!(counted(&host, "refuse"), 1);
}

#[test]
fn a_table_that_cannot_work_is_refused() {
    for (table, key) in [
        (json!({"url": "guard.internal"}), "url"),
        (json!({"url": URL, "deadline": "0s"}), "deadline"),
        (
            json!({"url": URL, "on_unavailable": "perhaps"}),
            "on_unavailable",
        ),
    ] {
        let refused = stage::<Guard>(&table, &FakeHost::new().host())
            .err()
            .unwrap();
        assert_eq!(refused.path, [key], "{refused}");
    }
}
