//! What may be spent in a day or month.

use http::Method;
use millgate::mock::Script;
use serde_json::json;

use super::{Bench, CHAT, body, refused_for};

const BODIES: [(&str, &str); 8] = [
    (
        CHAT,
        r#"{"model":"a","messages":[{"role":"user","content":"hi"}]}"#,
    ),
    (
        CHAT,
        r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    ),
    ("/v1/completions", r#"{"model":"a","prompt":"hi"}"#),
    ("/v1/embeddings", r#"{"model":"a","input":"hi"}"#),
    ("/v1/responses", r#"{"model":"a","input":"hi"}"#),
    (
        "/v1/responses",
        r#"{"model":"a","stream":true,"input":"hi"}"#,
    ),
    (
        "/v1/audio/speech",
        r#"{"model":"a","input":"hi","voice":"x"}"#,
    ),
    ("/v1/images/generations", r#"{"model":"a","prompt":"hi"}"#),
];

#[tokio::test]
async fn every_endpoint_is_refused_once_a_budget_is_used_up() {
    let script = Script {
        prompt_tokens: Some(5000),
        ..Script::default()
    };
    let bench = Bench::start(
        script,
        "budget = { tokens = \"1k/month\", utc_offset = \"+09:00\" }",
    )
    .await;
    let reply = bench.ask("a", 10).await;
    assert_eq!(reply.status, 200);
    bench.ended(&reply).await;
    for (path, body) in BODIES {
        let headers = [("content-type", "application/json")];
        let reply = bench
            .client
            .send(Method::POST, path, &headers, body)
            .await
            .rest()
            .await;
        let wait = refused_for(&reply, "insufficient_quota");
        assert!(wait <= 31 * 86_400_000);
        assert_eq!(reply.json()["error"]["type"], "insufficient_quota");
        assert!(reply.text().contains("month"), "{}", reply.text());
    }
    refused_for(&bench.client.get("/v1/models").await, "insufficient_quota");
    assert_eq!(bench.mock.counts().requests, 1);
}

#[tokio::test]
async fn every_endpoint_that_tells_its_usage_is_charged() {
    for (path, body) in &BODIES[..6] {
        let script = Script {
            prompt_tokens: Some(5000),
            ..Script::default()
        };
        let bench = Bench::start(script, "budget = { tokens = \"1k/day\" }").await;
        let headers = [("content-type", "application/json")];
        let reply = bench
            .client
            .send(Method::POST, path, &headers, *body)
            .await
            .rest()
            .await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        bench.ended(&reply).await;
        let reply = bench
            .client
            .send(Method::POST, path, &headers, *body)
            .await
            .rest()
            .await;
        refused_for(&reply, "insufficient_quota");
    }
}

#[tokio::test]
async fn money_is_counted_by_the_price_of_the_model() {
    // 11 tokens at 0.1 dollars each and 4 at 0.2 are 1.90.
    let prices = "[prices.\"dear*\"]\ninput = 100000\noutput = 200000\n";
    let stage = format!("budget = {{ usd = \"4/day\" }}\n{prices}");
    let bench = Bench::start(Script::default(), &stage).await;
    let ask = |model: &'static str| {
        let body = body(model, 4);
        let bench = &bench;
        async move {
            let reply = bench.client.post(CHAT, &body).await;
            bench.ended(&reply).await;
            reply
        }
    };
    // 8 tokens and 4 are set aside for each: 1.60.
    for _ in 0..2 {
        assert_eq!(ask("dear-1").await.status, 200);
    }
    let reply = ask("dear-1").await;
    refused_for(&reply, "insufficient_quota");
    assert!(
        reply.text().contains("US dollars per caller"),
        "{}",
        reply.text()
    );
    assert_eq!(
        ask("unpriced").await.status,
        200,
        "what has no price is not charged"
    );
    assert_eq!(bench.mock.counts().requests, 3);
}

#[tokio::test]
async fn what_is_under_way_is_set_aside() {
    let bench = Bench::start(
        Script {
            gate: true,
            ..Script::default()
        },
        "budget = { tokens = \"1k/day\" }",
    )
    .await;
    let mut stream = body("a", 900);
    stream["stream"] = json!(true);
    bench.mock.release(2);
    let live = bench.client.open(CHAT, &stream).await;
    assert_eq!(live.status, 200);
    refused_for(
        &bench.client.post(CHAT, &stream).await,
        "insufficient_quota",
    );
    bench.mock.release(1000);
    let reply = live.rest().await;
    bench.ended(&reply).await;
    assert_eq!(bench.client.post(CHAT, &stream).await.status, 200);
}

#[tokio::test]
async fn in_shadow_mode_budgets_are_spent_on() {
    let script = Script {
        prompt_tokens: Some(900),
        ..Script::default()
    };
    let stage = "mode = \"shadow\"\nbudget = { tokens = \"1k/day\" }";
    let bench = Bench::start(script, stage).await;
    for _ in 0..3 {
        let reply = bench.ask("a", 10).await;
        assert_eq!(reply.status, 200);
        bench.ended(&reply).await;
    }
    bench.reload("budget = { tokens = \"2k/day\" }", 2).await;
    refused_for(&bench.ask("a", 10).await, "insufficient_quota");
}
