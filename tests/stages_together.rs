//! Several stages over real sockets: what one of them knows, the others act upon.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

#[cfg(feature = "sqlite")]
#[path = "stages_together/budgets.rs"]
mod budgets;
#[path = "stages_together/callers.rs"]
mod callers;
#[path = "stages_together/flights.rs"]
mod flights;
mod support;

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply};

const CHAT: &str = "/v1/chat/completions";

/// A config with this pipeline above `route`, these tables and one upstream.
fn config(mock: &Mock, above: &[&str], tables: &str) -> String {
    let route = support::config(&[("up", "openai", &mock.url())], "retries = 0");
    let pipeline: Vec<_> = above.iter().chain(&["route"]).collect();
    route.replacen("[\"route\"]", &format!("{pipeline:?}"), 1) + tables
}

/// Of this prompt 8 tokens are taken: a quarter of one for each of its 15 bytes and of 15 around them.
fn question(most: u64, stream: bool) -> Value {
    json!({
        "model": "dear-1",
        "temperature": 0,
        "max_tokens": most,
        "stream": stream,
        "messages": [{"role": "user", "content": "안녕하세요"}],
    })
}

const PROMPT: u64 = 8;

/// An upstream that counts so many tokens, prompt and answer together.
fn using(tokens: u64) -> Script {
    Script {
        prompt_tokens: Some(tokens - 20),
        completion_tokens: Some(20),
        ..Script::default()
    }
}

/// How many chat completions have reached an upstream.
fn asked(mock: &Mock) -> u64 {
    mock.counts().paths.get(CHAT).copied().unwrap_or(0)
}

/// A number of a header.
#[track_caller]
fn number(reply: &Reply, name: &str) -> u64 {
    let text = reply.header(name);
    text.parse()
        .unwrap_or_else(|_| panic!("{name}: {text:?} in {reply:?}"))
}

/// Fails unless a reply is 429 with this code.
#[track_caller]
fn assert_limited(reply: &Reply, code: &str) {
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.refusal(), code);
    assert!(number(reply, "retry-after-ms") > 0);
    assert_eq!(reply.header("x-should-retry"), "");
}

/// A reply to this caller, once its exchange has ended.
async fn ask_as(gateway: &Gateway, client: &Client, key: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let live = client.send(Method::POST, CHAT, &headers, body.to_string());
    let reply = live.await.rest().await;
    gateway.access_line(reply.header("x-request-id")).await;
    reply
}
