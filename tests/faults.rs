//! Whatever an upstream does, the client sees a true status, or one error event and the end; and a healthy second
//! target is asked exactly where nothing has been sent yet.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

mod support;
#[path = "faults/table.rs"]
mod table;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use millgate::mock::{Fault, Mock, Plan, Script, Series};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply, chat_body, config};
use table::{Ask, CANARY, Row, Second, Sees, TEXT, Upstream};
use tokio::{sync::Semaphore, task::JoinSet};

/// Headers of every faulty upstream: none of them is a client's business.
const TELLING_HEADERS: [&str; 6] = [
    "server",
    "set-cookie",
    "x-upstream-host",
    "via",
    "openai-organization",
    "x-ratelimit-remaining-requests",
];

/// One gateway and its upstreams for all rows: the model that is asked for picks the script.
struct Bench {
    gateway: Gateway,
    faulty: Mock,
    healthy: Mock,
    dead: SocketAddr,
}

impl Bench {
    async fn start(rows: &[Row]) -> Self {
        let models: BTreeMap<_, _> = rows
            .iter()
            .flat_map(|row| ["alone", "paired"].map(|setting| (model(row, setting), &row.script)))
            .map(|(model, script)| (model, Series::One(Box::new(telling(script)))))
            .collect();
        let faulty = Mock::with(Plan {
            models,
            ..Plan::default()
        })
        .await
        .unwrap();
        let healthy = Mock::with(Script::default()).await.unwrap();
        let dead = unused_address();
        let gateway = Gateway::start(&bench_config(&faulty, &healthy, dead)).await;
        Self {
            gateway,
            faulty,
            healthy,
            dead,
        }
    }
}

/// An address that refuses connections.
fn unused_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn telling(script: &Script) -> Script {
    let mut script = script.clone();
    for name in TELLING_HEADERS {
        script.headers.insert(name.to_owned(), CANARY.to_owned());
    }
    script
}

fn bench_config(faulty: &Mock, healthy: &Mock, dead: SocketAddr) -> String {
    let mut config = format!(
        "pipeline = [\"route\"]
        [providers.openai]\nkind = \"openai\"\nbase_url = \"{0}\"
        [providers.ollama]\nkind = \"ollama\"\nbase_url = \"{0}\"
        [providers.dead]\nkind = \"openai\"\nbase_url = \"http://{dead}\"
        [providers.healthy]\nkind = \"openai\"\nbase_url = \"{1}\"\n",
        faulty.url(),
        healthy.url()
    );
    for upstream in [Upstream::OpenAi, Upstream::Ollama, Upstream::Dead] {
        for (setting, second) in [("alone", ""), ("paired", ", \"healthy\"")] {
            for (pace, limits) in [
                ("", ""),
                ("slow-", "attempt_timeout = \"2s\"\n"),
                ("idle-", "idle_timeout = \"1s\"\n"),
            ] {
                let provider = provider(upstream);
                config.push_str(&format!(
                    "[routes.{provider}-{setting}-{pace}x]\nmodel = \"{provider}:{setting}:{pace}*\"\nretries = 0\n{limits}targets = [\"{provider}\"{second}]\n"
                ));
            }
        }
    }
    config
}

fn provider(upstream: Upstream) -> &'static str {
    match upstream {
        Upstream::OpenAi => "openai",
        Upstream::Ollama => "ollama",
        Upstream::Dead => "dead",
    }
}

/// The model that picks the route and the script. Rows that wait for a time limit are named `slow-…`, behind the
/// provider's name where they have it; their route limits what they wait for, and nothing else.
fn model(row: &Row, setting: &str) -> String {
    let pace = match row.sees {
        _ if !row.name.contains("slow-") => "",
        Sees::Error(..) => "slow-",
        _ => "idle-",
    };
    format!("{}:{setting}:{pace}{}", provider(row.upstream), row.name)
}

fn request(ask: Ask, model: &str) -> (&'static str, Value) {
    match ask {
        Ask::Whole | Ask::Stream => {
            let mut body = chat_body("안녕", ask == Ask::Stream);
            body["model"] = json!(model);
            ("/v1/chat/completions", body)
        }
        Ask::Responses => (
            "/v1/responses",
            json!({"model": model, "input": "안녕", "stream": true}),
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_shows_as_the_table_says() {
    let rows = table::rows();
    let bench = Arc::new(Bench::start(&rows).await);
    // More at a time would measure the machine instead of the time limits.
    let turns = Arc::new(Semaphore::new(16));
    let mut cases = JoinSet::new();
    for row in rows {
        let row = Arc::new(row);
        for &ask in row.asks {
            for setting in ["alone", "paired"] {
                let (bench, row, turns) = (bench.clone(), row.clone(), turns.clone());
                cases.spawn(async move {
                    let _turn = turns.acquire().await.unwrap();
                    let name = format!("{}.{ask:?}.{setting}", row.name);
                    let checked =
                        tokio::spawn(async move { check(&bench, &row, ask, setting).await });
                    checked.await.err().map(|error| (name, error))
                });
            }
        }
    }
    let failed: Vec<_> = cases.join_all().await.into_iter().flatten().collect();
    assert!(
        failed.is_empty(),
        "{} rows differ: {failed:#?}",
        failed.len()
    );
    assert!(
        !bench.faulty.counts().paths.contains_key("/v1/redirected"),
        "redirects are not followed"
    );
    assert!(bench.healthy.counts().requests > 0);
}

async fn check(bench: &Bench, row: &Row, ask: Ask, setting: &str) {
    let id = format!("{}.{ask:?}.{setting}", row.name);
    let (path, body) = request(ask, &model(row, setting));
    let headers = [("content-type", "application/json"), ("x-request-id", &id)];
    let reply = Client::new(&bench.gateway)
        .send(http::Method::POST, path, &headers, body.to_string())
        .await
        .rest()
        .await;
    let access = bench.gateway.access_line(&id).await;
    tell_nothing(bench, &reply);
    assert_eq!(reply.header("x-request-id"), id);
    assert_eq!(access["status"], reply.status.as_u16());

    let rescued = setting == "paired" && row.second == Second::Rescues;
    let attempts = if rescued { 2 } else { 1 };
    assert_eq!(
        reply.header("x-millgate-attempts"),
        attempts.to_string(),
        "{reply:#?}"
    );
    assert_eq!(access["attempts"], attempts);
    if rescued {
        assert_eq!(reply.header("x-millgate-provider"), "healthy", "{reply:#?}");
        assert_eq!(access["provider"], "healthy");
        assert!(
            access["failed"]
                .as_str()
                .unwrap()
                .starts_with(provider(row.upstream))
        );
        is_text(ask, &reply);
        assert_eq!(access["outcome"], "ok");
        return;
    }
    match &row.sees {
        Sees::Text => {
            is_text(ask, &reply);
            assert_eq!(access["outcome"], "ok");
        }
        Sees::Error(status, code, outcome) => {
            assert_eq!(reply.status.as_u16(), *status, "{reply:#?}");
            assert_eq!(reply.header("content-type"), "application/json");
            assert_eq!(reply.code(), *code, "{reply:#?}");
            assert!(
                reply.json()["error"]["message"]
                    .as_str()
                    .is_some_and(|said| !said.is_empty())
            );
            let should_retry = if row.is_final() { "false" } else { "" };
            assert_eq!(reply.header("x-should-retry"), should_retry, "{reply:#?}");
            let retry_after = row
                .script
                .headers
                .get("retry-after")
                .map_or("", String::as_str);
            assert_eq!(reply.header("retry-after"), retry_after);
            if *code == "own_code" {
                assert_eq!(
                    reply.text(),
                    *row.script.body.as_ref().unwrap(),
                    "as it came"
                );
            }
            assert_eq!(access["outcome"], *outcome);
        }
        Sees::ErrorEvent(text, code, outcome) => {
            assert_eq!(reply.status, 200);
            assert!(
                reply.complete,
                "the end of the stream is a proper one: {reply:#?}"
            );
            let events = whole_events(&reply);
            let (last, before) = events.split_last().unwrap();
            assert_eq!(last["error"]["code"], *code, "{reply:#?}");
            assert!(
                before
                    .iter()
                    .all(|event| event.get("error").is_none_or(Value::is_null))
            );
            assert_eq!(text_of(ask, before), *text);
            assert_eq!(access["outcome"], *outcome);
            assert_eq!(access["error"], *code);
        }
        Sees::Cut => {
            assert_eq!(reply.status, 200);
            assert!(!reply.complete, "the client must be able to tell");
            let outcome = access["outcome"].as_str().unwrap();
            assert!(
                ["upstream_error", "timeout"].contains(&outcome),
                "{outcome}"
            );
        }
    }
}

/// Neither the upstream's address nor what it said to the gateway alone.
fn tell_nothing(bench: &Bench, reply: &Reply) {
    let raw = format!("{:?}\n{}", reply.headers, reply.text());
    let port = |mock: &Mock| mock.address().to_string();
    for secret in [
        CANARY.to_owned(),
        "10.1.2.3".into(),
        port(&bench.faulty),
        port(&bench.healthy),
        bench.dead.to_string(),
    ] {
        assert!(!raw.contains(&secret), "{secret} in {raw}");
    }
}

fn is_text(ask: Ask, reply: &Reply) {
    assert_eq!(reply.status, 200, "{reply:#?}");
    assert!(reply.complete, "{reply:#?}");
    assert!(!reply.text().contains("data: {\"error\""), "{reply:#?}");
    let text = match ask {
        Ask::Whole => reply.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned(),
        _ => text_of(ask, &whole_events(reply)),
    };
    assert_eq!(text, TEXT, "{reply:#?}");
}

/// The events of a stream, all of which must be whole, `[DONE]` left out.
fn whole_events(reply: &Reply) -> Vec<Value> {
    let text = reply.text();
    assert!(text.ends_with("\n\n"), "half an event: {text:?}");
    let events = reply.events();
    let done = events
        .iter()
        .position(|event| event == "[DONE]")
        .unwrap_or(events.len());
    assert!(done + 1 >= events.len(), "nothing follows [DONE]: {text}");
    let whole = |event: &String| {
        serde_json::from_str(event).unwrap_or_else(|error| panic!("{error}: {event:?} in {text}"))
    };
    events[..done].iter().map(whole).collect()
}

fn text_of(ask: Ask, events: &[Value]) -> String {
    let delta = |event: &Value| match ask {
        Ask::Responses if event["type"] == "response.output_text.delta" => {
            event["delta"].as_str().map(str::to_owned)
        }
        Ask::Responses => None,
        _ => event["choices"][0]["delta"]["content"]
            .as_str()
            .map(str::to_owned),
    };
    events.iter().filter_map(delta).collect()
}

#[tokio::test]
async fn the_same_target_is_tried_again_where_that_may_help() {
    for fault in [
        Fault::ResetBeforeHead,
        Fault::CloseBeforeHead,
        Fault::Garbage,
        Fault::HalfEvent,
    ] {
        let script = Script {
            fail_first: Some(2),
            at: Some(0),
            ..Script::fault(fault)
        };
        let mock = Mock::with(script).await.unwrap();
        let gateway = Gateway::start(&config(
            &[("upstream", "openai", &mock.url())],
            "retries = 2",
        ))
        .await;
        for stream in [false, true] {
            mock.set_script(Script {
                fail_first: Some(2),
                at: Some(0),
                ..Script::fault(fault)
            });
            let reply = Client::new(&gateway).chat("안녕", stream).await;
            is_text(if stream { Ask::Stream } else { Ask::Whole }, &reply);
        }
    }
}

#[tokio::test]
async fn a_chain_without_any_healthy_target_ends_with_the_failure_that_tells_most() {
    let refusing = Mock::with(Script::status(429)).await.unwrap();
    let dead = format!("http://{}", unused_address());
    let providers = [("busy", "openai", refusing.url()), ("dead", "openai", dead)];
    let providers = providers
        .each_ref()
        .map(|(name, kind, url)| (*name, *kind, &**url));
    let gateway = Gateway::start(&config(&providers, "retries = 0")).await;
    let reply = Client::new(&gateway).chat("안녕", true).await;
    assert_eq!(reply.status, 429, "{reply:#?}");
    assert_eq!(reply.header("x-millgate-attempts"), "2");
    assert_eq!(reply.header("x-should-retry"), "false");
}

/// The reply of an upstream that writes these bytes.
async fn reply_to(bytes: &[u8], path: &str, route: &str) -> Reply {
    let upstream = support::raw::RawUpstream::bind().await;
    let gateway = Gateway::start(&config(&[("a", "openai", &upstream.url())], route)).await;
    let client = Client::new(&gateway);
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.write(bytes).await;
        connection
    };
    let body = chat_body("hi", false);
    let (reply, _connection) = tokio::join!(client.post(path, &body), answering);
    reply
}

#[tokio::test]
async fn a_length_that_is_not_the_body_s_does_not_reach_the_client() {
    let bytes = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n";
    let reply = reply_to(bytes, "/v1/moderations", "").await;
    assert_eq!((reply.status.as_u16(), reply.complete), (204, true));
    assert_eq!(reply.headers.get("content-length"), None);
}

#[tokio::test]
async fn a_document_in_many_small_pieces_costs_no_more_than_its_size() {
    let document = format!(
        "{{\"choices\":[{{\"text\":\"{}\"}}]}}",
        "a".repeat(1_000_000)
    );
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    // Put together anew with each of 250 000 pieces, it would take longer than the attempt may.
    for piece in document.as_bytes().chunks(4) {
        bytes.extend_from_slice(format!("{}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let route = "retries = 0\nattempt_timeout = \"15s\"";
    let reply = reply_to(&bytes, "/v1/chat/completions", route).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == document);
}
