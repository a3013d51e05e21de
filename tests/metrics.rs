//! `/metrics`: what is counted is exact, in both forms, and clients cannot make series.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

#[path = "metrics/genai.rs"]
mod genai;
#[path = "metrics/pages.rs"]
mod pages;
#[path = "metrics/scrape.rs"]
mod scrape;
mod support;
#[path = "metrics/views.rs"]
mod views;

use http::Method;
use millgate::{
    mock::{Fault, Mock, Plan, Script},
    telemetry::metrics::text::Form,
};
use scrape::Scrape;
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, Reply, chat_body, raw::RawClient};

const CHAT: &str = "/v1/chat/completions";

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

/// A gateway before two scripted upstreams, with a limit for embeddings and a cache.
struct Bench {
    first: Mock,
    _second: Mock,
    gateway: Gateway,
    client: Client,
}

impl Bench {
    async fn start() -> Self {
        let plan = |json: &str| json.parse::<Plan>().unwrap();
        let first = Mock::with(plan(
            r#"{"models": {"gpt-broken": {"status": 503}, "gpt-dead": {"status": 500}, "gpt-stalling": {"fault": "stall_mid_stream", "at": 3}}}"#,
        ));
        let first = first.await.unwrap();
        let second = Mock::with(plan(r#"{"models": {"gpt-dead": {"status": 500}}}"#));
        let second = second.await.unwrap();
        let config = format!(
            r#"
pipeline = ["limit", "cache", "route"]
[stages.limit]
kind = "rate_limit"
when = {{ path = "*embeddings" }}
requests = "1/hour"
[stages.cache]
[prices."gpt-test"]
input = 1
output = 2
[providers.first]
kind = "openai"
base_url = "{}/v1"
[providers.second]
kind = "openai"
base_url = "{}/v1"
[routes.main]
model = "*"
targets = ["first", "second"]
retries = 1
backoff = "1ms"
"#,
            first.url(),
            second.url()
        );
        let gateway = Gateway::start(&config).await;
        let client = Client::new(&gateway);
        Self {
            first,
            _second: second,
            gateway,
            client,
        }
    }

    /// Asks a model, streamed or not.
    async fn ask(&self, model: &str, stream: bool) -> Reply {
        let mut body = chat_body("hi", stream);
        body["model"] = model.into();
        self.client.post(CHAT, &body).await
    }

    async fn text(&self, accept: &str) -> Reply {
        let operators = Client::at(&format!("http://{}", self.gateway.admin));
        let headers = [("accept", accept)];
        let live = operators.send(Method::GET, "/metrics", &headers, "");
        let reply = live.await.rest().await;
        assert_eq!(reply.status, 200);
        reply
    }

    /// What is counted once nothing is in flight any more, nor on a connection.
    async fn scrape(&self) -> Scrape {
        let settled = async {
            loop {
                let scrape = Scrape::read(&self.text("").await.text(), Form::Classic);
                let busy = scrape.sum("millgate_pool_open_connections", &[])
                    - scrape.sum("millgate_pool_idle_connections", &[]);
                if scrape.count("millgate_in_flight_exchanges", &[]) == 0 && busy == 0.0 {
                    return scrape;
                }
                // Asked again at once: a connection comes back to its pool a moment after the reply, and tells nobody.
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("something stays in flight")
    }
}

/// A client that leaves in the middle of a stream.
async fn leave(bench: &Bench) {
    let mut body = chat_body("hi", true);
    body["model"] = "gpt-stalling".into();
    let mut client = RawClient::post(&bench.gateway, CHAT, "leaver", &body).await;
    client.read_until("word1 ").await;
    drop(client);
    let left = bench.first.wait_for(|counts| counts.aborted == 1);
    tokio::time::timeout(PATIENCE, left).await.unwrap();
}

/// A known mix of all that may become of an exchange; how many tokens the embedding took.
async fn mix(bench: &Bench) -> u64 {
    for stream in [false, false, false, true, true] {
        assert_eq!(bench.ask("gpt-test", stream).await.status, 200);
    }
    let mut kept = chat_body("keep this", false);
    kept["temperature"] = 0.into();
    for _ in 0..2 {
        assert_eq!(bench.client.post(CHAT, &kept).await.status, 200);
    }
    let fallen_back = bench.ask("gpt-broken", false).await;
    assert_eq!(fallen_back.header("x-millgate-provider"), "second");
    assert_eq!(bench.ask("gpt-dead", false).await.status, 500);
    let json = [("content-type", "application/json")];
    let garbage = bench.client.send(Method::POST, CHAT, &json, "{\"model\":");
    assert_eq!(garbage.await.rest().await.status, 400);
    leave(bench).await;
    let embedding = json!({"model": "text-embedding-3-small", "input": "hi"});
    let embedded = bench.client.post("/v1/embeddings", &embedding).await;
    assert_eq!(embedded.status, 200);
    let limited = bench.client.post("/v1/embeddings", &embedding).await;
    assert_eq!(limited.status, 429);
    embedded.json()["usage"]["prompt_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_known_mix_is_counted_exactly() {
    let bench = Bench::start().await;
    let embedded = mix(&bench).await;
    let scrape = bench.scrape().await;
    let count = |name: &str, labels: &[(&str, &str)]| scrape.count(name, labels);

    for (outcome, status, expected) in [
        ("ok", "2xx", 9),
        ("upstream_error", "5xx", 1),
        ("client_error", "4xx", 1),
        ("client_closed", "2xx", 1),
        ("rejected", "4xx", 1),
    ] {
        let labels = [("outcome", outcome), ("status", status)];
        assert_eq!(
            count("millgate_exchanges_total", &labels),
            expected,
            "{outcome}"
        );
    }
    assert_eq!(count("millgate_exchanges_total", &[]), 13);
    assert_eq!(
        count(
            "millgate_exchanges_total",
            &[("endpoint", "embeddings"), ("route", "main")]
        ),
        2
    );
    assert_eq!(count("millgate_refusals_total", &[("route", "main")]), 1);
    let limit = [("stage", "limit"), ("mode", "enforce")];
    assert_eq!(count("millgate_stage_refusals_total", &limit), 1);
    assert_eq!(count("millgate_stage_refusals_total", &[]), 1);
    assert_eq!(count("millgate_stage_failures_total", &[]), 0);
    for histogram in [
        "millgate_exchange_duration_seconds",
        "millgate_overhead_seconds",
    ] {
        assert_eq!(count(&format!("{histogram}_count"), &[]), 13, "{histogram}");
    }

    for (provider, result, expected) in [
        ("first", "ok", 7),
        ("first", "503", 2),
        ("first", "500", 2),
        ("first", "client_closed", 1),
        ("second", "ok", 1),
        ("second", "500", 2),
    ] {
        let labels = [("provider", provider), ("result", result)];
        assert_eq!(
            count("millgate_attempts_total", &labels),
            expected,
            "{labels:?}"
        );
    }
    assert_eq!(count("millgate_attempts_total", &[]), 15);
    assert_eq!(count("millgate_retries_total", &[("provider", "first")]), 2);
    assert_eq!(
        count("millgate_retries_total", &[("provider", "second")]),
        1
    );
    assert_eq!(
        count("millgate_fallbacks_total", &[("provider", "second")]),
        2
    );
    assert_eq!(
        count("millgate_fallbacks_total", &[("provider", "first")]),
        0
    );

    for (result, expected) in [
        ("hit", 1),
        ("miss", 2),
        ("bypass", 8),
        ("collapsed", 0),
        ("stale", 0),
    ] {
        assert_eq!(
            count("millgate_cache_requests_total", &[("result", result)]),
            expected,
            "{result}"
        );
    }
    assert_eq!(count("millgate_cache_entries", &[]), 2);

    // The mock counts 11 tokens of every prompt and 4 of every answer.
    let test = [("provider", "first"), ("model", "gpt-test")];
    let of = |kind| [test[0], test[1], ("type", kind)];
    assert_eq!(count("millgate_tokens_total", &of("input")), 6 * 11);
    assert_eq!(count("millgate_tokens_total", &of("output")), 6 * 4);
    assert!((scrape.sum("millgate_cost_usd_total", &test) - 6.0 * 19e-6).abs() < 1e-12);
    assert!((scrape.sum("millgate_saved_usd_total", &test) - 19e-6).abs() < 1e-12);
    let left = [("provider", "first"), ("model", "other")];
    let estimated = |kind| {
        count(
            "millgate_estimated_tokens_total",
            &[left[0], left[1], ("type", kind)],
        )
    };
    assert!(estimated("input") > 0);
    assert!(
        (2..=3).contains(&estimated("output")),
        "{}",
        estimated("output")
    );

    genai::check(&scrape, embedded);
}

#[tokio::test]
async fn a_client_makes_no_series_by_inventing_models() {
    let bench = Bench::start().await;
    bench.ask("invented-first", false).await;
    bench.ask("gpt-test", false).await;
    let before = bench.scrape().await;
    for number in 0..20 {
        let model = format!("invented-{number}");
        assert_eq!(bench.ask(&model, false).await.status, 200);
    }
    let after = bench.scrape().await;
    assert_eq!(before.lines(), after.lines());
    let other = [("model", "other"), ("type", "output")];
    assert_eq!(after.count("millgate_tokens_total", &other), 21 * 4);
    assert!(!bench.text("").await.text().contains("invented"));
    assert!(!bench.text(OPEN_METRICS).await.text().contains("invented"));
}

/// What this upstream answers is told as estimated, and the number it says is told nowhere.
async fn is_estimated(upstream: &Mock, streams: &[bool], said: &str) {
    let config = support::config(&[("a", "openai", &upstream.url())], "");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    for &stream in streams {
        let reply = client.post(CHAT, &chat_body("hi", stream)).await;
        assert_eq!(reply.status, 200);
        // The chunk that nobody has asked for stays away, whatever it says.
        assert!(!stream || !reply.text().contains("prompt_tokens"));
    }
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let text = operators.get("/metrics").await.text();
    let scrape = Scrape::read(&text, Form::Classic);
    assert_eq!(scrape.count("millgate_tokens_total", &[]), 0);
    assert_eq!(scrape.count("gen_ai_client_token_usage_count", &[]), 0);
    assert!(scrape.count("millgate_estimated_tokens_total", &[("type", "output")]) > 0);
    let told = operators.get("/api/exchanges").await.json();
    for exchange in told["exchanges"].as_array().unwrap() {
        assert_eq!(exchange["tokens"]["estimated"], true, "{exchange}");
        assert!(!exchange["tokens"].to_string().contains(said), "{exchange}");
    }
}

#[tokio::test]
async fn what_no_upstream_can_have_counted_is_estimated() {
    let tokens = 1_000_000_000_000_000_000;
    let lying = Mock::with(Script {
        prompt_tokens: Some(tokens),
        ..Script::default()
    });
    is_estimated(&lying.await.unwrap(), &[false, true], &tokens.to_string()).await;
}

#[tokio::test]
async fn half_of_a_count_is_none() {
    let whole = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":110011}}"#;
    let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":110011}}\n\ndata: [DONE]\n\n";
    let upstream = Mock::with(Script::default()).await.unwrap();
    for (stream, body, kind) in [
        (false, whole, "application/json"),
        (true, events, "text/event-stream"),
    ] {
        upstream.set_script(Script {
            body: Some(body.to_owned()),
            headers: [("content-type".to_owned(), kind.to_owned())].into(),
            ..Script::default()
        });
        is_estimated(&upstream, &[stream], "110011").await;
    }
}

#[tokio::test]
async fn openmetrics_names_an_exchange_as_an_example() {
    let bench = Bench::start().await;
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "tell-me-apart"),
    ];
    let body = chat_body("hi", false).to_string();
    let live = bench.client.send(Method::POST, CHAT, &headers, body).await;
    assert_eq!(live.rest().await.status, 200);
    let classic = bench.scrape().await;
    let reply = bench.text(OPEN_METRICS).await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.header("content-type"), content_type);
    let open = Scrape::read(&reply.text(), Form::OpenMetrics);
    for name in [
        "millgate_exchange_duration_seconds",
        "gen_ai_server_request_duration_seconds",
        "gen_ai_client_operation_duration_seconds",
    ] {
        let samples = &open.families[name].samples;
        let examples: Vec<_> = samples
            .iter()
            .filter_map(|sample| sample.exemplar.as_ref())
            .collect();
        let [(labels, _)] = &examples[..] else {
            panic!("{examples:?}");
        };
        assert_eq!(labels["request_id"], "tell-me-apart", "{name}");
    }
    let whole: Vec<_> = open
        .families
        .values()
        .flat_map(|family| &family.samples)
        .collect();
    assert_eq!(whole.len(), classic.lines(), "both forms tell the same");
    let plain = bench.text("text/html, */*;q=0.1").await;
    assert_eq!(
        plain.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

#[tokio::test]
async fn connections_are_counted_while_they_live() {
    let bench = Bench::start().await;
    let first = [("provider", "first")];
    for asked in 0..3 {
        assert_eq!(bench.ask("gpt-test", asked == 1).await.status, 200);
        let scrape = bench.scrape().await;
        assert_eq!(scrape.count("millgate_pool_open_connections", &first), 1);
        assert_eq!(scrape.count("millgate_pool_idle_connections", &first), 1);
        let connects = "millgate_pool_connect_duration_seconds_count";
        assert_eq!(scrape.count(connects, &first), 1);
        assert_eq!(scrape.count("millgate_pool_reused_total", &first), asked);
    }
    leave(&bench).await;
    let scrape = bench.scrape().await;
    assert_eq!(scrape.count("millgate_pool_open_connections", &first), 0);
}

#[tokio::test]
async fn a_stream_under_way_is_in_flight_and_its_connection_busy() {
    let mock = Mock::with(Script {
        at: Some(2),
        ..Script::fault(Fault::StallMidStream)
    });
    let mock = mock.await.unwrap();
    let gateway = Gateway::start(&support::config(&[("up", "openai", &mock.url())], "")).await;
    let mut client = RawClient::post(&gateway, CHAT, "stays", &chat_body("hi", true)).await;
    client.read_until("word0 ").await;
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let text = operators.get("/metrics").await.text();
    let scrape = Scrape::read(&text, Form::Classic);
    assert_eq!(scrape.count("millgate_in_flight_exchanges", &[]), 1);
    assert_eq!(scrape.count("millgate_pool_open_connections", &[]), 1);
    assert_eq!(scrape.count("millgate_pool_idle_connections", &[]), 0);
    assert_eq!(scrape.count("millgate_exchanges_total", &[]), 0);
    assert!(scrape.families.contains_key("millgate_exchanges_total"));
}

#[tokio::test]
async fn the_process_and_its_config_are_told_of() {
    let bench = Bench::start().await;
    let config = std::fs::read_to_string(bench.gateway.config_path()).unwrap();
    let scrape = bench.scrape().await;
    assert_eq!(scrape.count("millgate_config_generation", &[]), 1);
    assert_eq!(scrape.count("millgate_config_reloads_total", &[]), 0);
    assert_eq!(
        scrape.count(
            "millgate_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))]
        ),
        1
    );
    assert_eq!(scrape.count("millgate_ready", &[]), 1);
    if cfg!(target_os = "linux") {
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
        ] {
            assert!(scrape.count(name, &[]) > 1, "{name}");
        }
    }
    let reload = |config: String, logged: &'static str| {
        bench.gateway.write_config(&config);
        bench.gateway.signal("HUP");
        bench
            .gateway
            .log_line(move |line: &Value| line["message"] == logged)
    };
    reload(
        "nonsense = 1\n".to_owned(),
        "the new config has errors: the old one stays in force",
    )
    .await;
    reload(config, "config reloaded").await;
    let scrape = bench.scrape().await;
    assert_eq!(scrape.count("millgate_config_generation", &[]), 2);
    for result in ["success", "failure"] {
        let labels = [("result", result)];
        assert_eq!(
            scrape.count("millgate_config_reloads_total", &labels),
            1,
            "{result}"
        );
        assert!(scrape.sum("millgate_config_reload_timestamp_seconds", &labels) > 1.7e9);
    }
}

#[tokio::test]
async fn it_is_only_read() {
    let bench = Bench::start().await;
    let operators = Client::at(&format!("http://{}", bench.gateway.admin));
    let head = operators
        .send(Method::HEAD, "/metrics", &[], "")
        .await
        .rest()
        .await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let post = operators
        .send(Method::POST, "/metrics", &[], "")
        .await
        .rest()
        .await;
    assert_eq!(
        (post.status.as_u16(), post.header("allow")),
        (405, "GET, HEAD")
    );
}
