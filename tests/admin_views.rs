//! What the operators' listener tells: numbers that are those of the exchanges, exchanges as they were, and whether any
//! more should be sent.

mod support;

use http::Method;
use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Live, Reply, chat_body, config, nobody, raw::RawClient};

const CHAT: &str = "/v1/chat/completions";

fn operators(gateway: &Gateway) -> Client {
    Client::at(&format!("http://{}", gateway.admin))
}

async fn chat(gateway: &Gateway, id: &str, stream: bool) -> Reply {
    let headers = [("content-type", "application/json"), ("x-request-id", id)];
    let body = chat_body("hi", stream).to_string();
    let client = Client::new(gateway);
    client
        .send(Method::POST, CHAT, &headers, body)
        .await
        .rest()
        .await
}

async fn reload(client: &Client) -> Reply {
    client.post("/api/reload", &json!({})).await
}

/// The next event of this name.
struct Events {
    live: Live,
    text: String,
}

impl Events {
    async fn open(client: &Client, query: &str) -> Self {
        let path = format!("/api/events{query}");
        let live = client.send(Method::GET, &path, &[], "").await;
        assert_eq!(live.status, 200);
        let text = String::new();
        Self { live, text }
    }

    async fn any(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some(name) = field("event: ") {
                    let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
                    return (name.to_owned(), data);
                }
                continue;
            }
            let piece = self.live.next().await.expect("no more events").unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn of(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.any().await;
            if name == wanted {
                return data;
            }
        }
    }
}

/// Over any range, the history tells of all five exchanges.
async fn the_history_adds_up(client: &Client) {
    for range in ["1m", "5m", "1h", "24h", "7d"] {
        let history = client
            .get(&format!("/api/history?range={range}"))
            .await
            .json();
        assert_eq!(history["range"], range);
        let totals = &history["totals"];
        assert_eq!(
            (&totals["exchanges"], &totals["errors"]),
            (&5.into(), &1.into())
        );
        // The mock reports 11 tokens of each prompt and 4 of each answer.
        assert_eq!(totals["input_tokens"], 33);
        assert_eq!(totals["output_tokens"], 12);
        let points = history["points"].as_array().unwrap();
        let sum: u64 = points
            .iter()
            .map(|p| p["exchanges"].as_u64().unwrap())
            .sum();
        assert_eq!(sum, 5);
        assert!(totals["latency"]["p99_ms"].as_f64() >= totals["latency"]["p50_ms"].as_f64());
    }
}

#[tokio::test]
async fn the_numbers_are_those_of_what_was_sent() {
    let good = Mock::with(Script::default()).await.unwrap();
    let bad = Mock::with(Script::status(503)).await.unwrap();
    let config = format!(
        r#"
pipeline = ["limit", "route"]
[stages.limit]
kind = "rate_limit"
requests = "1000/min"
[providers.good]
kind = "openai"
base_url = "{good}"
[providers.bad]
kind = "openai"
base_url = "{bad}"
[prices."gpt*"]
input = 1.0
output = 10.0
[routes.default]
targets = ["bad", "good"]
retries = 0
[routes.broken]
model = "broken"
targets = ["bad"]
retries = 0
"#,
        good = good.url(),
        bad = bad.url()
    );
    let gateway = Gateway::start(&config).await;
    for number in 0..3 {
        assert_eq!(
            chat(&gateway, &format!("good-{number}"), number == 2)
                .await
                .status,
            200
        );
    }
    let client = Client::new(&gateway);
    let body = json!({"model": "broken", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(client.post(CHAT, &body).await.status, 503);
    assert_eq!(client.post(CHAT, &json!({"model": 7})).await.status, 400);

    let client = operators(&gateway);
    the_history_adds_up(&client).await;
    let of = async |query: &str| {
        client.get(&format!("/api/history?{query}")).await.json()["totals"]["exchanges"].clone()
    };
    assert_eq!(of("route=default").await, 3);
    assert_eq!(of("route=default&provider=good").await, 3);
    assert_eq!(of("provider=bad").await, 1);
    assert_eq!(of("route=nothing").await, 0);

    let status = client.get("/api/status").await.json();
    assert_eq!(status["in_flight"], 0);
    let stages: Vec<_> = status["pipeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].clone())
        .collect();
    assert_eq!(stages, ["limit", "route"]);
    assert_eq!(status["pipeline"][0]["time"]["count"], 4);
    let (one, other) = (&status["providers"][0], &status["providers"][1]);
    assert_eq!(
        (&one["name"], &one["attempts"], &one["failures"]),
        (&"good".into(), &3.into(), &0.into())
    );
    assert_eq!(
        (&other["attempts"], &other["failures"]),
        (&4.into(), &4.into())
    );
    assert_eq!(
        (&one["live"], &other["live"], &other["error_rate"]),
        (&true.into(), &false.into(), &1.0.into())
    );
    let targets = status["routes"][0]["targets"].as_array().unwrap();
    assert_eq!(
        (&targets[0]["live"], &targets[1]["live"]),
        (&false.into(), &true.into())
    );
    assert_eq!(status["routes"][0]["minute"]["exchanges"], 3);
    assert_eq!(status["ready"], true);
    assert!(status["memory"]["resident_bytes"].as_u64() > Some(1 << 20));
}

#[tokio::test]
async fn tokens_that_no_upstream_has_counted_stand_apart() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let gateway = Gateway::start(&config(&[("up", "openai", &mock.url())], "")).await;
    chat(&gateway, "counted", false).await;
    let uncounted = json!({"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "one two three"}},
    ]});
    mock.set_script(Script {
        body: Some(uncounted.to_string()),
        ..Script::default()
    });
    assert_eq!(chat(&gateway, "uncounted", false).await.status, 200);
    let client = operators(&gateway);
    let latest =
        client.get("/api/exchanges?limit=1").await.json()["exchanges"][0]["tokens"].clone();
    assert_eq!(latest["estimated"], true);
    let estimated = latest["input"].as_u64().unwrap() + latest["output"].as_u64().unwrap();
    assert!(estimated > 0);
    let history = client.get("/api/history").await.json();
    let status = client.get("/api/status").await.json();
    for figures in [&history["totals"], &status["routes"][0]["minute"]] {
        assert_eq!(
            (&figures["input_tokens"], &figures["output_tokens"]),
            (&11.into(), &4.into())
        );
        assert_eq!(figures["estimated_tokens"], estimated);
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let gateway = Gateway::start(&config(&[("up", "openai", &nobody())], "")).await;
    let client = operators(&gateway);
    for path in [
        "/api/history?range=2h",
        "/api/history?rnage=5m",
        "/api/exchanges?limit=0",
        "/api/exchanges?limit=1001",
        "/api/exchanges?outcome=good",
        "/api/exchanges?limit=1&limit=2",
        "/api/events?status=maybe",
        "/api/usage?by=nobody",
        "/api/usage?since=yesterday",
        "/api/exchanges?q=%ff",
    ] {
        let refused = client.get(path).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (400, "invalid_parameter"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn exchanges_are_told_as_they_were_and_found_by_what_they_were() {
    let good = Mock::with(Script::default()).await.unwrap();
    let bad = Mock::with(Script::status(500)).await.unwrap();
    let providers = [
        ("bad", "openai", &*bad.url()),
        ("good", "openai", &*good.url()),
    ];
    let gateway = Gateway::start(&config(&providers, "retries = 0")).await;
    chat(&gateway, "first", true).await;
    good.set_script(Script::fault(Fault::ResetBeforeHead));
    chat(&gateway, "second", false).await;

    let client = operators(&gateway);
    let list = async |query: &str| -> Vec<Value> {
        let reply = client.get(&format!("/api/exchanges{query}")).await;
        reply.json()["exchanges"].as_array().unwrap().clone()
    };
    let all = list("").await;
    let ids: Vec<_> = all.iter().map(|one| &one["request_id"]).collect();
    assert_eq!(ids, ["second", "first"]);
    let first = &all[1];
    for (member, value) in [
        ("caller", json!("127.0.0.1")),
        ("team", Value::Null),
        ("endpoint", json!("chat")),
        ("method", json!("POST")),
        ("path", json!(CHAT)),
        ("route", json!("default")),
        ("provider", json!("good")),
        ("stream", json!(true)),
        ("status", json!(200)),
        ("outcome", json!("ok")),
        ("error", Value::Null),
    ] {
        assert_eq!(first[member], value, "{member}");
    }
    assert_eq!(first["tokens"]["input"], 11);
    assert_eq!(first["attempts"][0]["provider"], "bad");
    assert_eq!(first["attempts"][1]["failure"], Value::Null);
    assert_ne!(first["attempts"][0]["failure"], Value::Null);
    assert_eq!(all[0]["outcome"], "upstream_error");
    let id = first["id"].as_str().unwrap();
    assert_eq!(
        client.get(&format!("/api/exchanges/{id}")).await.json(),
        *first
    );
    let unknown = client.get("/api/exchanges/0198").await;
    assert_eq!(
        (unknown.status.as_u16(), &*unknown.code()),
        (404, "unknown_exchange")
    );
    for (query, count) in [
        ("?limit=1", 1),
        ("?outcome=ok", 1),
        ("?outcome=upstream_error", 1),
        ("?outcome=timeout", 0),
        ("?caller=127.0.0.1", 2),
        ("?caller=somebody", 0),
        ("?route=default&outcome=ok", 1),
        ("?provider=bad", 2),
        ("?provider=nobody", 0),
        ("?q=sec", 1),
        ("?q=&outcome=", 2),
        (&*format!("?q={id}"), 1),
        ("?model=nothing", 0),
    ] {
        assert_eq!(list(query).await.len(), count, "{query}");
    }
}

#[tokio::test]
async fn events_come_as_exchanges_end() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let gateway = Gateway::start(&config(&[("up", "openai", &mock.url())], "")).await;
    let client = operators(&gateway);
    let mut both = Events::open(&client, "").await;
    let mut exchanges = Events::open(&client, "?status=off").await;
    let mut statuses = Events::open(&client, "?exchanges=off").await;
    assert_eq!(statuses.of("status").await["generation"], 1);
    for id in ["one", "two"] {
        chat(&gateway, id, false).await;
        assert_eq!(both.of("exchange").await["request_id"], id);
        let (name, exchange) = exchanges.any().await;
        assert_eq!((&*name, &exchange["request_id"]), ("exchange", &json!(id)));
        let listed = client.get("/api/exchanges?limit=1").await.json();
        assert_eq!(listed["exchanges"][0], exchange);
    }
    assert_eq!(reload(&client).await.status, 200);
    while both.of("status").await["generation"] != 2 {}
    while statuses.any().await.1["generation"] != 2 {}
}

/// A follower that reads nothing is told what it has missed, and nobody waits for it.
#[tokio::test]
async fn who_reads_too_slowly_is_told_what_was_missed() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let gateway = Gateway::start(&config(&[("up", "openai", &mock.url())], "")).await;
    let client = operators(&gateway);
    let mut slow = Events::open(&client, "?status=off").await;
    // More than what sockets hold.
    let total = 8000;
    let clients = Client::new(&gateway);
    let mut seen = 0;
    let mut missed = 0;
    for _ in 0..total / 100 {
        let some = (0..100).map(|_| {
            let clients = clients.clone();
            async move {
                clients
                    .get(&format!("/v1/models/{}", "x".repeat(300)))
                    .await
                    .status
            }
        });
        let mut all = tokio::task::JoinSet::new();
        for one in some {
            all.spawn(one);
        }
        all.join_all().await;
    }
    while seen + missed < total {
        match slow.any().await {
            (name, data) if name == "missed" => missed += data["count"].as_u64().unwrap(),
            (name, _) if name == "exchange" => seen += 1,
            (name, _) => panic!("{name}"),
        }
    }
    assert_eq!(seen + missed, total);
    assert!(missed > 0, "the sockets took all of it");
}

/// Not while no route has a live target; and what has come to life again is used again.
#[tokio::test]
async fn ready_is_who_may_be_expected_to_answer() {
    let mock = Mock::with(Script::status(503)).await.unwrap();
    let away = nobody();
    let providers = [("away", "openai", &*away), ("up", "openai", &*mock.url())];
    let gateway = Gateway::start(&config(&providers, "retries = 0")).await;
    let client = operators(&gateway);
    let ready = async || {
        let reply = client.get("/readyz").await;
        (
            reply.status.as_u16(),
            reply.json()["status"].as_str().unwrap().to_owned(),
        )
    };
    let yes = (200, "ready".to_owned());
    assert_eq!(ready().await, yes, "nobody has been asked yet");
    for _ in 0..2 {
        chat(&gateway, "x", false).await;
        assert_eq!(ready().await, yes);
    }
    chat(&gateway, "x", false).await;
    assert_eq!(ready().await, (503, "no_live_target".to_owned()));
    assert_eq!(client.get("/healthz").await.status, 200);
    mock.set_script(Script::default());
    assert_eq!(chat(&gateway, "x", false).await.status, 200);
    assert_eq!(ready().await, yes);
    // A client's own fault says nothing of an upstream.
    mock.set_script(Script::status(400));
    for _ in 0..5 {
        chat(&gateway, "x", false).await;
    }
    assert_eq!(ready().await, yes);

    // Draining: a client is still being answered.
    mock.set_script(Script {
        gate: true,
        ..Script::default()
    });
    let _busy = RawClient::post(&gateway, CHAT, "busy", &chat_body("hi", true)).await;
    mock.wait_for(|counts| counts.requests >= 10).await;
    gateway.signal("TERM");
    gateway
        .log_line(|line| {
            line["message"]
                .as_str()
                .is_some_and(|m| m.starts_with("stopping"))
        })
        .await;
    assert_eq!(ready().await, (503, "draining".to_owned()));
    let status = client.get("/api/status").await.json();
    assert_eq!(
        (&status["draining"], &status["ready"]),
        (&true.into(), &false.into())
    );
}

#[tokio::test]
async fn a_reload_tells_what_came_of_it() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("up", "openai", &mock.url())], "");
    let gateway = Gateway::start(&base).await;
    let client = operators(&gateway);
    let reply = reload(&client).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()),
        (200, json!({"generation": 2, "findings": []}))
    );
    gateway.write_config(&format!("{base}[stages.x]\nkind = \"redact\"\n"));
    let warned = reload(&client).await.json();
    assert_eq!(
        (&warned["generation"], &warned["findings"][0]["severity"]),
        (&3.into(), &"warning".into())
    );
    gateway.write_config(&format!("{base}[admin]\nhosts = [\"ops.example.com\"]\n"));
    let held_back = reload(&client).await.json();
    assert_eq!(
        held_back["findings"][0]["message"],
        "`admin.hosts` changed, but read only at start: restart to put it in force"
    );
    gateway.write_config(&base.replace("targets", "tragets"));
    let refused = reload(&client).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (422, "config_refused")
    );
    let refused = refused.json();
    let findings = refused["findings"].as_array().unwrap();
    let mut meant = findings
        .iter()
        .filter(|finding| finding["help"] == "did you mean `targets`?");
    let finding = meant.next().unwrap();
    assert_eq!(
        (&finding["file"], finding["line"].is_u64()),
        (&"config.toml".into(), true)
    );
    assert_eq!(client.get("/api/status").await.json()["generation"], 4);
    // Many at once: each is told of a config that was read after it had asked.
    gateway.write_config(&base);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let client = operators(&gateway);
        all.spawn(async move { reload(&client).await.status.as_u16() });
    }
    assert_eq!(all.join_all().await, [200; 10]);
}

#[tokio::test]
async fn there_is_no_ledger_to_ask() {
    let gateway = Gateway::start(&config(&[("up", "openai", "http://127.0.0.1:9")], "")).await;
    for query in [
        "",
        "?since=24h&by=team",
        "?since=2026-11-22&until=2026-11-23T10:00:00Z&by=day",
    ] {
        let reply = operators(&gateway).get(&format!("/api/usage{query}")).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.code()),
            (503, "ledger_off"),
            "{query}"
        );
    }
}
