//! Metrics, log, history and the latest exchanges say the same of the same exchange.

use std::future::Future;

use http::Method;
use millgate::{
    mock::{Mock, Plan, Script},
    telemetry::metrics::text::Form,
};
use serde_json::Value;

use super::{CHAT, scrape::Scrape};
use crate::support::{Client, Gateway, PATIENCE, chat_body, config, raw::RawClient};

fn operators(gateway: &Gateway) -> Client {
    Client::at(&format!("http://{}", gateway.admin))
}

async fn scrape(gateway: &Gateway) -> Scrape {
    let text = operators(gateway).get("/metrics").await.text();
    Scrape::read(&text, Form::Classic)
}

/// The latest exchanges, the last one first.
async fn exchanges(gateway: &Gateway) -> Vec<Value> {
    let told = operators(gateway).get("/api/exchanges").await.json();
    told["exchanges"].as_array().unwrap().clone()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

#[tokio::test]
async fn an_exchange_that_nobody_answered_is_of_the_one_that_was_asked_last() {
    let failing = Mock::with(Script::status(503)).await.unwrap();
    let plan = r#"{"models": {"gpt-silent": {"delay": 600000}, "gpt-test": {"status": 500}}}"#;
    let last = Mock::with(plan.parse::<Plan>().unwrap()).await.unwrap();
    let providers = [
        ("first", "openai", &*failing.url()),
        ("last", "openai", &*last.url()),
    ];
    let gateway = Gateway::start(&config(&providers, "retries = 0")).await;
    let client = Client::new(&gateway);
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "failed"),
    ];
    let body = chat_body("hi", false).to_string();
    let sent = client.send(Method::POST, CHAT, &headers, body).await;
    let reply = sent.rest().await;
    assert_eq!(reply.status, 500);
    // Its client is told who answers, and nobody did.
    assert!(!reply.headers.contains_key("x-millgate-provider"));

    let mut body = chat_body("hi", false);
    body["model"] = "gpt-silent".into();
    let leaver = RawClient::post(&gateway, CHAT, "left", &body).await;
    soon(last.wait_for(|counts| counts.requests == 2)).await;
    drop(leaver);

    for (id, model) in [("failed", "gpt-test"), ("left", "gpt-silent")] {
        let line = soon(gateway.access_line(id)).await;
        assert_eq!(line["provider"], "last", "{line}");
        assert_eq!(line["model"], model, "{line}");
    }
    for exchange in exchanges(&gateway).await {
        assert_eq!(exchange["provider"], "last", "{exchange}");
        assert_eq!(exchange["model"], exchange["asked"], "{exchange}");
    }
    let scrape = scrape(&gateway).await;
    let requests = "gen_ai_server_request_duration_seconds_count";
    let kind = [("gen_ai_provider_name", "openai")];
    assert_eq!(scrape.count(requests, &kind), 2);
    let history = operators(&gateway)
        .get("/api/history?range=5m&provider=last")
        .await;
    assert_eq!(history.json()["totals"]["exchanges"], 2);
    // Whom a client did not wait for has neither lived nor failed by that.
    let status = operators(&gateway).get("/api/status").await.json();
    assert_eq!(status["providers"][1]["failures"], 1, "{status}");
}

#[tokio::test]
async fn what_is_only_passed_on_has_no_tokens_and_lacks_no_price() {
    let upstream = Mock::with(Script {
        body: Some("a voice".to_owned()),
        ..Script::default()
    });
    let upstream = upstream.await.unwrap();
    let providers = [("up", "openai", &*upstream.url())];
    let gateway = Gateway::start(&config(&providers, "")).await;
    let said = serde_json::json!({"model": "tts-1", "input": "hello there", "voice": "alloy"});
    let spoken = Client::new(&gateway).post("/v1/audio/speech", &said).await;
    assert_eq!(spoken.status, 200);
    for exchange in exchanges(&gateway).await {
        assert_eq!(exchange["provider"], "up", "{exchange}");
        assert!(exchange["tokens"].is_null(), "{exchange}");
        assert!(exchange["cost"].is_null(), "{exchange}");
    }
    let scrape = scrape(&gateway).await;
    assert_eq!(
        scrape.count("millgate_exchanges_total", &[("endpoint", "forward")]),
        1
    );
    assert_eq!(scrape.count("millgate_unpriced_exchanges_total", &[]), 0);
    assert_eq!(scrape.count("millgate_estimated_tokens_total", &[]), 0);
}

#[tokio::test]
async fn an_upstream_makes_no_labels_by_inventing_statuses() {
    let upstream = Mock::with(Script::default()).await.unwrap();
    let providers = [("up", "openai", &*upstream.url())];
    let route = "retries = 0\nfallback_on = [\"4xx\", \"5xx\"]";
    let gateway = Gateway::start(&config(&providers, route)).await;
    let client = Client::new(&gateway);
    for status in [422, 499, 503, 530, 599] {
        upstream.set_script(Script::status(status));
        client.post(CHAT, &chat_body("hi", false)).await;
    }
    let scrape = scrape(&gateway).await;
    for (result, expected) in [("422", 1), ("4xx", 1), ("503", 1), ("5xx", 2)] {
        assert_eq!(
            scrape.count("millgate_attempts_total", &[("result", result)]),
            expected,
            "{result}"
        );
    }
    assert_eq!(scrape.count("millgate_attempts_total", &[]), 5);
    let errors = "gen_ai_server_request_duration_seconds_count";
    assert_eq!(scrape.count(errors, &[("error_type", "599")]), 0);
    // Whoever looks at one of them sees what it was.
    let last = &exchanges(&gateway).await[0];
    assert_eq!(last["attempts"][0]["failure"], "599", "{last}");
}
