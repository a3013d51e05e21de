//! The stage `rate_limit` over real sockets: what passes, what a client reads when it does not, and what is charged.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

#[path = "rate_limit/budgets.rs"]
mod budgets;
#[path = "rate_limit/places.rs"]
mod places;
#[path = "rate_limit/refused.rs"]
mod refused;
mod support;
#[path = "rate_limit/tokens.rs"]
mod tokens;

use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply};

/// One upstream behind one stage `limit` with these lines in its table.
struct Bench {
    mock: Mock,
    gateway: Gateway,
    client: Client,
}

impl Bench {
    async fn start(script: Script, stage: &str) -> Self {
        let mock = Mock::with(script).await.unwrap();
        let gateway = Gateway::start(&config(&mock, stage)).await;
        let client = Client::new(&gateway);
        Self {
            mock,
            gateway,
            client,
        }
    }

    /// Waits until the exchange of this reply has ended, and has been settled with it.
    async fn ended(&self, reply: &Reply) {
        self.gateway.access_line(reply.header("x-request-id")).await;
    }

    /// Puts another table in force, as the so many-th config.
    async fn reload(&self, stage: &str, generation: u64) {
        self.gateway.write_config(&config(&self.mock, stage));
        self.gateway.signal("HUP");
        let is_it =
            |line: &Value| line["message"] == "config reloaded" && line["generation"] == generation;
        self.gateway.log_line(is_it).await;
    }

    /// A chat completion of this model that may have so many tokens.
    async fn ask(&self, model: &str, most: u64) -> Reply {
        self.client.post(CHAT, &body(model, most)).await
    }
}

const CHAT: &str = "/v1/chat/completions";

fn body(model: &str, most: u64) -> Value {
    json!({"model": model, "max_tokens": most, "messages": [{"role": "user", "content": "안녕하세요"}]})
}

fn config(mock: &Mock, stage: &str) -> String {
    let providers = support::config(&[("up", "openai", &mock.url())], "retries = 0");
    format!("[log]\nlevel = \"debug\"\n[stages.limit]\nkind = \"rate_limit\"\n{stage}\n")
        .replace("[log]", "pipeline = [\"limit\", \"route\"]\n[log]")
        + providers.trim_start_matches("pipeline = [\"route\"]\n")
}

/// Fails unless a reply is our own 429 with this code; how long to wait, in milliseconds.
fn refused_for(reply: &Reply, code: &str) -> u64 {
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.refusal(), code);
    assert_eq!(reply.header("x-should-retry"), "");
    let millis: u64 = reply.header("retry-after-ms").parse().unwrap();
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!(millis > 0 && seconds == millis.div_ceil(1000), "{reply:?}");
    millis
}

#[tokio::test]
async fn requests_pass_at_their_rate_and_replies_say_where_it_stands() {
    let bench = Bench::start(Script::default(), "requests = \"2/h\"").await;
    for (remaining, reset) in [("1", "30m0s"), ("0", "1h0m0s")] {
        let reply = bench.ask("a", 10).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-ratelimit-limit-requests"), "2");
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), remaining);
        let shown = reply.header("x-ratelimit-reset-requests");
        assert!(shown == reset || shown.starts_with("59m5"), "{shown}");
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), "");
    }
    let reply = bench.ask("a", 10).await;
    let wait = refused_for(&reply, "rate_limit_exceeded");
    assert!((1_790_000..=1_800_000).contains(&wait), "{wait}");
    assert_eq!(reply.json()["error"]["type"], "requests");
    assert!(
        reply.text().contains("requests per caller: 2/h"),
        "{}",
        reply.text()
    );
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(bench.mock.counts().requests, 2);
    let access = bench
        .gateway
        .access_line(reply.header("x-request-id"))
        .await;
    assert_eq!(access["outcome"], "rejected");
    assert_eq!(access["error"], "rate_limit_exceeded");
}

#[tokio::test]
async fn what_one_limit_refuses_uses_up_no_other() {
    let limits =
        "limits = [{ per = \"all\", requests = \"3/h\" }, { per = \"model\", requests = \"1/h\" }]";
    let bench = Bench::start(Script::default(), limits).await;
    assert_eq!(bench.ask("a", 10).await.status, 200);
    for _ in 0..5 {
        let reply = bench.ask("a", 10).await;
        refused_for(&reply, "rate_limit_exceeded");
        assert!(reply.text().contains("per model"), "{}", reply.text());
    }
    assert_eq!(bench.ask("b", 10).await.status, 200);
    assert_eq!(bench.ask("c", 10).await.status, 200);
    let reply = bench.ask("d", 10).await;
    refused_for(&reply, "rate_limit_exceeded");
    assert!(
        reply.text().contains("for requests: 3/h"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn the_headers_are_those_of_the_limit_nearest_refusal_over_all_stages() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let stage = "limits = [{ requests = \"100/h\" }, { requests = \"1000/h\", tokens = \"5k/h\" }]\n\
        [stages.inner]\nkind = \"rate_limit\"\nrequests = \"10/h\"\ntokens = \"1M/h\"\n";
    let config = config(&mock, stage).replace(
        "[\"limit\", \"route\"]",
        "[\"limit\", \"inner\", \"route\"]",
    );
    for config in [
        config.clone(),
        config.replace("[\"limit\", \"inner\"", "[\"inner\", \"limit\""),
    ] {
        let gateway = Gateway::start(&config).await;
        let reply = Client::new(&gateway).post(CHAT, &body("a", 100)).await;
        assert_eq!(reply.header("x-ratelimit-limit-requests"), "10");
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), "9");
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), "5000");
    }
}

#[tokio::test]
async fn callers_who_are_not_known_are_told_apart_by_their_address() {
    let bench = Bench::start(Script::default(), "requests = \"1/h\"").await;
    assert_eq!(bench.ask("a", 10).await.status, 200);
    assert_eq!(bench.ask("a", 10).await.status, 429);
    let other = Client::from_address(&bench.gateway, "127.0.0.2");
    assert_eq!(other.post(CHAT, &body("a", 10)).await.status, 200);
    assert_eq!(other.post(CHAT, &body("a", 10)).await.status, 429);
}

#[tokio::test]
async fn shadow_mode_withholds_nothing_and_tells_the_log() {
    let stage = "mode = \"shadow\"\nrequests = \"1/h\"\nconcurrent = 1\nqueue = {}";
    let bench = Bench::start(
        Script {
            gate: true,
            ..Script::default()
        },
        stage,
    )
    .await;
    let mut stream = body("a", 10);
    stream["stream"] = json!(true);
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let (client, stream) = (bench.client.clone(), stream.clone());
            tokio::spawn(async move { client.post(CHAT, &stream).await })
        })
        .collect();
    // All are at the upstream, which has not ended any: nobody waits for a place.
    bench.mock.wait_for(|counts| counts.in_flight == 3).await;
    let would = |line: &Value| line["message"] == "would have refused (shadow mode)";
    let line = bench.gateway.log_line(would).await;
    assert_eq!(line["stage"], "limit");
    bench.mock.release(1000);
    for reply in asked {
        let reply = reply.await.unwrap();
        assert!(reply.status == 200 && reply.complete);
        bench.ended(&reply).await;
        let is_limit = |name: &&http::HeaderName| name.as_str().starts_with("x-ratelimit");
        assert_eq!(reply.headers.keys().filter(is_limit).count(), 0);
    }
    assert_eq!(
        bench
            .gateway
            .log()
            .iter()
            .filter(|line| would(line))
            .count(),
        2
    );
}

#[tokio::test]
async fn below_route_a_refusal_moves_on_to_the_next_target() {
    let mocks = [
        Mock::with(Script::default()).await.unwrap(),
        Mock::with(Script::default()).await.unwrap(),
    ];
    let urls = mocks.each_ref().map(Mock::url);
    let providers = [
        ("first", "openai", &*urls[0]),
        ("second", "openai", &*urls[1]),
    ];
    let config = support::config(&providers, "")
        .replace("[\"route\"]", "[\"route\", \"limit\", \"later\"]")
        + "[stages.limit]\nkind = \"rate_limit\"\nper = \"provider\"\nrequests = \"1/h\"\n\
           [stages.later]\nkind = \"rate_limit\"\nper = \"provider\"\nrequests = \"1/day\"\nwhen = { provider = \"second\" }\n";
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    for provider in ["first", "second"] {
        let reply = client.chat("안녕", false).await;
        assert_eq!(reply.header("x-millgate-provider"), provider);
        assert_eq!(
            reply.header("x-ratelimit-limit-requests"),
            "",
            "that is between us and the provider"
        );
    }
    let reply = client.chat("안녕", false).await;
    let wait = refused_for(&reply, "rate_limit_exceeded");
    assert!(wait <= 3_600_000, "the soonest of the two: {wait}");
    assert_eq!(reply.header("x-millgate-attempts"), "2");
    assert_eq!(mocks.each_ref().map(|mock| mock.counts().requests), [1, 1]);
}

#[tokio::test]
async fn a_reload_keeps_what_was_used() {
    let script = Script {
        prompt_tokens: Some(600),
        ..Script::default()
    };
    let bench = Bench::start(script, "tokens = \"1k/h\"").await;
    let reply = bench.ask("a", 10).await;
    assert_eq!(reply.status, 200);
    bench.ended(&reply).await;
    refused_for(&bench.ask("a", 700).await, "rate_limit_exceeded");
    for (generation, limit, status) in [(2, "1100/h", 429), (3, "2k/h", 200)] {
        bench
            .reload(&format!("tokens = \"{limit}\""), generation)
            .await;
        assert_eq!(bench.ask("a", 700).await.status, status, "{limit}");
    }
}
