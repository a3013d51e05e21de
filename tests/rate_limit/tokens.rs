//! Token rates: charged by estimate, settled with what was used.

use millgate::mock::{Fault, Script};
use serde_json::json;

use super::{Bench, CHAT, body, refused_for, support::Reply};

fn remaining(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
        .header("x-ratelimit-remaining-tokens")
        .parse()
        .unwrap()
}

/// What is left of the limit, as a request finds it that uses nothing itself.
async fn left(bench: &Bench) -> u64 {
    remaining(&bench.client.get("/v1/models").await)
}

const LIMIT: &str = "tokens = \"1000/day\"";

#[tokio::test]
async fn what_was_taken_by_estimate_is_settled_with_what_was_used() {
    let script = Script {
        prompt_tokens: Some(30),
        completion_tokens: Some(20),
        ..Script::default()
    };
    let bench = Bench::start(script, LIMIT).await;
    for stream in [false, true] {
        let before = left(&bench).await;
        let mut body = body("a", 700);
        body["stream"] = json!(stream);
        let reply = bench.client.post(CHAT, &body).await;
        // 15 bytes of text and 15 around them are 8 tokens.
        assert_eq!(remaining(&reply), before - 708);
        bench.ended(&reply).await;
        assert_eq!(
            left(&bench).await,
            before - 50,
            "30 and 20 were used, stream: {stream}"
        );
    }
}

#[tokio::test]
async fn several_choices_are_several_answers() {
    let bench = Bench::start(Script::default(), LIMIT).await;
    let mut three = body("a", 300);
    three["n"] = json!(3);
    assert_eq!(
        remaining(&bench.client.post(CHAT, &three).await),
        1000 - 908
    );
}

#[tokio::test]
async fn a_debt_is_paid_off_before_anything_passes() {
    let bench = Bench::start(
        Script {
            prompt_tokens: Some(2000),
            ..Script::default()
        },
        LIMIT,
    )
    .await;
    let reply = bench.ask("a", 10).await;
    assert_eq!(reply.status, 200);
    bench.ended(&reply).await;
    let reply = bench.ask("a", 10).await;
    let wait = refused_for(&reply, "rate_limit_exceeded");
    // 1004 tokens of debt and 18 that are asked for, of which 1000 come in a day.
    let day = 86_400_000;
    assert!((day..day + day / 40).contains(&wait), "{wait}");
    assert_eq!(reply.json()["error"]["type"], "tokens");
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), "1000");
    assert_eq!(reply.header("x-ratelimit-remaining-tokens"), "0");
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_its_prompt_and_what_came() {
    let bench = Bench::start(
        Script {
            gate: true,
            chunks: Some(40),
            ..Script::default()
        },
        LIMIT,
    )
    .await;
    let mut body = body("a", 700);
    body["stream"] = json!(true);
    // The role and three words.
    bench.mock.release(4);
    let mut live = bench.client.open(CHAT, &body).await;
    let id = live.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut seen = String::new();
    while !seen.contains("word2") {
        seen += &String::from_utf8_lossy(&live.next().await.unwrap().unwrap());
    }
    drop(live);
    let access = bench.gateway.access_line(&id).await;
    assert_eq!(access["outcome"], "client_closed");
    bench.mock.set_script(Script::default());
    assert_eq!(left(&bench).await, 1000 - 8 - 3);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_costs_nothing() {
    let faults = [
        Script::status(500),
        Script::status(400),
        Script::fault(Fault::CloseBeforeHead),
    ];
    for script in faults {
        let bench = Bench::start(script, LIMIT).await;
        let reply = bench.ask("a", 700).await;
        assert!(reply.status.is_client_error() || reply.status.is_server_error());
        bench.ended(&reply).await;
        bench.mock.set_script(Script::default());
        assert_eq!(left(&bench).await, 1000);
    }
}

#[tokio::test]
async fn a_request_that_never_fits_is_told_so_and_an_assumption_alone_never_refuses() {
    let bench = Bench::start(Script::default(), "tokens = \"100/day\"").await;
    let reply = bench.ask("a", 200).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.refusal(), "rate_limit_exceeded");
    assert_eq!(reply.header("retry-after"), "", "no time helps");
    assert!(reply.text().contains("too large"), "{}", reply.text());
    let reply = bench.client.chat("안녕", false).await;
    assert_eq!(remaining(&reply), 0, "256 are assumed, 100 taken");
}
