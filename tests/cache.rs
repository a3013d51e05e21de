//! The cache over real sockets: identical requests share one call, whole answers are given again, and nobody gets what
//! is not theirs.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

#[path = "cache/flights.rs"]
mod flights;
#[path = "cache/kept.rs"]
mod kept;
#[path = "cache/operators.rs"]
mod operators;
#[path = "cache/random.rs"]
mod random;
mod support;

use std::time::Duration;

use http::Method;
use millgate::mock::{Counts, Mock, Plan, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Live, PATIENCE, Reply};

const CHAT: &str = "/v1/chat/completions";

/// One scripted upstream behind a gateway with a cache.
struct Bench {
    mock: Mock,
    gateway: Gateway,
    client: Client,
}

/// A config with a cache of these keys before one upstream.
fn config(base: &str, cache: &str, route: &str) -> String {
    format!(
        "pipeline = [\"cache\", \"route\"]\n[stages.cache]\n{cache}\n[providers.up]\nkind = \"openai\"\nbase_url = \"{base}/v1\"\n[routes.default]\ntargets = [\"up\"]\nretries = 0\n{route}\n"
    )
}

impl Bench {
    async fn start(script: impl Into<Plan>, cache: &str) -> Self {
        let mock = Mock::with(script).await.unwrap();
        let gateway = Gateway::start(&config(&mock.url(), cache, "")).await;
        let client = Client::new(&gateway);
        Self {
            mock,
            gateway,
            client,
        }
    }

    fn asked(&self) -> u64 {
        self.mock.counts().requests
    }

    async fn mock_has(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        tokio::time::timeout(PATIENCE, self.mock.wait_for(condition))
            .await
            .unwrap_or_else(|_| panic!("not in time: {:?}", self.mock.counts()))
    }

    async fn stats(&self) -> Value {
        let operators = Client::at(&format!("http://{}", self.gateway.admin));
        operators.get("/api/cache").await.json()
    }

    /// Waits until a number of the cache has this value.
    async fn stat(&self, name: &str, value: u64) {
        let reached = async {
            while self.stats().await[name] != value {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{name} never was {value}"));
    }
}

/// A chat completion of which the answer may be kept.
fn question(content: &str, stream: bool) -> Value {
    json!({
        "model": "gpt-test",
        "temperature": 0,
        "stream": stream,
        "messages": [{ "role": "user", "content": content }],
    })
}

/// Asks with these headers.
async fn ask_with(client: &Client, headers: &[(&str, &str)], body: &Value) -> Reply {
    open_with(client, headers, body).await.rest().await
}

async fn open_with(client: &Client, headers: &[(&str, &str)], body: &Value) -> Live {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    client
        .send(Method::POST, CHAT, &all, body.to_string())
        .await
}

async fn ask(client: &Client, content: &str, stream: bool) -> Reply {
    ask_with(client, &[], &question(content, stream)).await
}

/// The text of an answer in either form.
fn text(reply: &Reply) -> String {
    if reply
        .header("content-type")
        .starts_with("text/event-stream")
    {
        return reply.streamed_text();
    }
    let message = &reply.json()["choices"][0]["message"]["content"];
    message.as_str().unwrap_or_default().to_owned()
}

const WORDS: &str = "word0 word1 word2 word3 ";

fn gated() -> Script {
    Script {
        gate: true,
        ..Script::default()
    }
}
