//! What an upstream learns of a caller.

use millgate_plugin::{
    Field, RefusalKind,
    testing::{FakeExchange, FakeHost, Value, Verdict, Visit, json, stage},
};
use millgate_ticket_header::Headers;

fn table(missing: &str) -> Value {
    json!({
        "headers": {
            "X-Dep-Ticket": "{meta.ticket}",
            "user-id": "{caller}@{team}",
            "send-system-name": "millgate {{1}}",
        },
        "missing": missing,
    })
}

fn attempt() -> FakeExchange {
    FakeExchange::chat(&json!({"model": "m", "messages": []})).below_route("internal", "m")
}

fn known() -> FakeExchange {
    attempt()
        .with(Field::CallerId, "kim")
        .with(Field::CallerTeam, "search")
        .with_key(Field::CallerMeta, "ticket", "T-42")
}

/// The verdict, and the exchange behind it.
fn visit(table: &Value, exchange: FakeExchange) -> (Verdict, FakeExchange) {
    let stage: Headers = stage(table, &FakeHost::new().host()).unwrap();
    let mut visit = Visit::new(&stage, exchange);
    let verdict = visit.request().unwrap();
    (verdict, visit.exchange)
}

fn upstream<'a>(exchange: &'a FakeExchange, name: &str) -> Option<&'a str> {
    exchange.text(Field::UpstreamHeader, name)
}

#[test]
fn headers_are_filled_from_what_is_known_of_the_caller() {
    let (verdict, exchange) = visit(&table("refuse"), known());
    assert_eq!(verdict, Verdict::Next);
    assert_eq!(upstream(&exchange, "x-dep-ticket"), Some("T-42"));
    assert_eq!(upstream(&exchange, "user-id"), Some("kim@search"));
    assert_eq!(
        upstream(&exchange, "send-system-name"),
        Some("millgate {1}")
    );
}

#[test]
fn a_caller_without_a_ticket_is_refused_with_what_to_do() {
    let exchange = attempt()
        .with(Field::CallerId, "kim")
        .with(Field::CallerTeam, "search");
    let (verdict, _) = visit(&table("refuse"), exchange);
    let Verdict::Reject(refusal) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(refusal.kind, RefusalKind::Forbidden);
    assert_eq!(refusal.code.as_deref(), Some("ticket_missing"));
    assert!(refusal.message.contains("the ticket of who is calling"));
}

#[test]
fn or_the_header_is_left_out_also_where_the_client_sent_one() {
    let exchange = attempt()
        .with(Field::CallerId, "kim")
        .with_key(Field::UpstreamHeader, "x-dep-ticket", "made up")
        .with_key(Field::UpstreamHeader, "user-id", "made up");
    let host = FakeHost::new();
    let stage: Headers = stage(&table("leave_out"), &host.host()).unwrap();
    let mut visit = Visit::new(&stage, exchange);
    assert_eq!(visit.request(), Ok(Verdict::Next));
    assert_eq!(upstream(&visit.exchange, "x-dep-ticket"), None);
    assert_eq!(
        upstream(&visit.exchange, "user-id"),
        None,
        "half of it is nothing"
    );
    assert_eq!(
        upstream(&visit.exchange, "send-system-name"),
        Some("millgate {1}")
    );
    let counted = host.counted("ticket_header_missing_total", &[("stage", "test")]);
    assert_eq!(counted, 2);
}

#[test]
fn names_in_any_script_fit_into_a_header_and_line_breaks_do_not_end_one() {
    let exchange = known().with(Field::CallerId, "김 철수").with_key(
        Field::CallerMeta,
        "ticket",
        "T\r\nx-admin: yes",
    );
    let (verdict, exchange) = visit(&table("refuse"), exchange);
    assert_eq!(verdict, Verdict::Next);
    assert_eq!(
        upstream(&exchange, "user-id"),
        Some("%EA%B9%80 %EC%B2%A0%EC%88%98@search")
    );
    assert_eq!(
        upstream(&exchange, "x-dep-ticket"),
        Some("T%0D%0Ax-admin: yes")
    );
}

#[test]
fn a_table_that_cannot_be_meant_is_refused_where_it_is_wrong() {
    for (headers, path, says) in [
        (
            json!({"x-a": "{metta.ticket}"}),
            ["headers", "x-a"],
            "there is no {metta.ticket}",
        ),
        (json!({"x-a": "{meta.}"}), ["headers", "x-a"], "{meta.KEY}"),
        (
            json!({"x-a": "{caller"}),
            ["headers", "x-a"],
            "a brace stands alone",
        ),
        (
            json!({"x a": "1"}),
            ["headers", "x a"],
            "not the name of a header",
        ),
    ] {
        let table = json!({"headers": headers});
        let refused = stage::<Headers>(&table, &FakeHost::new().host())
            .err()
            .unwrap();
        assert_eq!(refused.path, path);
        assert!(refused.message.contains(says), "{refused}");
    }
}
