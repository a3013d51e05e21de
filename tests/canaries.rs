//! Secrets and what people say: sent through a gateway that keeps account of everything and captures nothing, they are nowhere
//! in what it keeps and tells.
#![cfg(all(feature = "sqlite", feature = "otlp"))]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "it belongs to the tests of traces")]
#[path = "traces/collector.rs"]
mod collector;
mod support;

use std::path::Path;

use collector::Collector;
use http::Method;
use millgate::mock::{Mock, Plan};
use serde_json::{Value, json};
use support::{Client, Gateway};

const CALLER_KEY: &str = "canary-caller-0123456789abcdef";
const WRONG_KEY: &str = "canary-wrong-0123456789abcdef";
const UPSTREAM_KEY: &str = "sk-canary-upstream-0123456789";
/// One that no config knows: only the stage `redact` can tell what it is.
const STRAY_KEY: &str = "sk-proj-c4n4ryStray0123456789abcdefABCDEF";
const STAGE_KEY: &str = "canary-stage-0123456789";
const TICKET: &str = "canary-ticket-0123456789";
const COLLECTOR_KEY: &str = "canary-collector-0123456789";
const ADMIN_TOKEN: &str = "canary-operators-0123456789";
const QUERY: &str = "canary-query-0123456789";
const NUMBER: &str = "900101-1234568";
const PROMPT: &str = "canary prompt: 제 주민등록번호는";
const SYSTEM: &str = "canary system";
const ANSWER: &str = "canary answer: 홍길동의 비밀";
const UPSTREAM_ERROR: &str = "canary upstream error";
const SCHEMA: &str = "canary schema";
const USER: &str = "canary-user@example.com";

/// Nowhere may any of these be.
const CANARIES: [&str; 16] = [
    CALLER_KEY,
    WRONG_KEY,
    UPSTREAM_KEY,
    STAGE_KEY,
    TICKET,
    COLLECTOR_KEY,
    ADMIN_TOKEN,
    QUERY,
    NUMBER,
    PROMPT,
    SYSTEM,
    ANSWER,
    UPSTREAM_ERROR,
    SCHEMA,
    USER,
    "홍길동",
];

/// What is searched: what it is, and its bytes.
type Seen = Vec<(String, Vec<u8>)>;

fn config(mock: &Mock, collector: &Collector, state: &Path, redacts: bool) -> String {
    let (pipeline, table) = if redacts {
        ("\"redact\",", "[stages.redact]")
    } else {
        ("", "")
    };
    format!(
        r#"
pipeline = ["auth", {pipeline} "route", "ticket"]
[server]
state_dir = "{state}"
[log]
level = "debug"
[admin]
token = "{ADMIN_TOKEN}"
[ledger]
interval = "20ms"
[traces]
endpoint = "{collector}"
delay = "20ms"
headers = {{ authorization = "Bearer {COLLECTOR_KEY}" }}
[stages.auth]
{table}
[stages.ticket]
kind = "auth_header"
headers = {{ x-stage = "{STAGE_KEY}" }}
[callers.anna]
key = "{CALLER_KEY}"
[providers.up]
kind = "openai"
base_url = "{mock}/v1"
api_key = "{UPSTREAM_KEY}"
[routes.default]
targets = ["up"]
retries = 1
backoff = "1ms"
"#,
        state = state.display(),
        collector = collector.url,
        mock = mock.url(),
    )
}

fn body(model: &str, stream: bool) -> Value {
    json!({
        "model": model,
        "stream": stream,
        "user": USER,
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": format!("{PROMPT} {NUMBER}")},
        ],
        "stop": ["never"],
        "metadata": {"note": PROMPT},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "description": SCHEMA, "schema": {"type": "object"}},
        },
    })
}

/// One of each: answered, streamed, failed, refused and not understood.
async fn send_all(client: &Client, redacts: bool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut send_by = async |method: &str, path: &str, key: &str, body: String| {
        let id = format!("sent-{}", ids.len());
        let bearer = format!("Bearer {key}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*bearer),
            ("x-dep-ticket", TICKET),
            ("cookie", TICKET),
            ("x-request-id", &*id),
        ];
        let path = format!("{path}?api-key={QUERY}");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let live = client.send(method, &path, &headers, body).await;
        let status = live.rest().await.status.as_u16();
        ids.push(id);
        status
    };
    let chat = "/v1/chat/completions";
    // Keys where other words belong.
    let strays: &[&str] = if redacts {
        &[UPSTREAM_KEY, STRAY_KEY]
    } else {
        &[UPSTREAM_KEY]
    };
    for stray in strays {
        let named = body(stray, false).to_string();
        assert_eq!(send_by("POST", chat, CALLER_KEY, named.clone()).await, 200);
        assert_eq!(send_by("POST", chat, WRONG_KEY, named).await, 401);
        for path in ["/v1/models/", "/v1/audio/speech/", "/v1/files/", "/"] {
            let path = format!("{path}{stray}");
            send_by("GET", &path, CALLER_KEY, String::new()).await;
        }
        send_by(stray, chat, CALLER_KEY, String::new()).await;
    }
    let mut send =
        async |path: &str, key: &str, body: String| send_by("POST", path, key, body).await;
    for stream in [false, true] {
        let well = body("well", stream).to_string();
        assert_eq!(send(chat, CALLER_KEY, well).await, 200);
    }
    let broken = body("broken", false).to_string();
    assert_eq!(send(chat, CALLER_KEY, broken).await, 503);
    let refused = body("well", false).to_string();
    assert_eq!(send(chat, WRONG_KEY, refused).await, 401);
    let garbage = format!("{{\"model\": \"well\", \"messages\": \"{PROMPT} {NUMBER}");
    assert_eq!(send(chat, CALLER_KEY, garbage).await, 400);
    let said =
        json!({"model": "well", "input": format!("{PROMPT} {NUMBER}"), "instructions": SYSTEM});
    send("/v1/responses", CALLER_KEY, said.to_string()).await;
    let said = json!({"model": "well", "input": [format!("{PROMPT} {NUMBER}")], "user": USER});
    assert_eq!(
        send("/v1/embeddings", CALLER_KEY, said.to_string()).await,
        200
    );
    let said = json!({"model": "well", "input": PROMPT, "voice": SYSTEM});
    send("/v1/audio/speech", CALLER_KEY, said.to_string()).await;
    ids
}

/// All that operators are told.
async fn told(gateway: &Gateway) -> Seen {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let open = ("accept", "application/openmetrics-text;version=1.0.0");
    let get = async |path: &str| {
        let headers = [("authorization", &*bearer), open];
        let reply = operators.send(Method::GET, path, &headers, "").await;
        let reply = reply.rest().await;
        assert_eq!(reply.status, 200, "{path}");
        reply
    };
    let mut seen = Seen::new();
    let exchanges = get("/api/exchanges").await.json();
    let rows = exchanges["exchanges"].as_array().unwrap();
    let one = |row: &Value| format!("/api/exchanges/{}", row["id"].as_str().unwrap());
    let mut paths: Vec<_> = rows.iter().map(one).collect();
    let others =
        "/metrics /api/exchanges /api/status /api/history /api/usage /api/config /api/plugins";
    paths.extend(others.split(' ').map(str::to_owned));
    for path in paths {
        let reply = get(&path).await;
        seen.push((path, reply.body.to_vec()));
    }
    seen
}

/// Every file of a folder.
fn files(folder: &Path, seen: &mut Seen) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, seen);
        } else if let Ok(bytes) = std::fs::read(&path) {
            seen.push((path.display().to_string(), bytes));
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[tokio::test]
async fn secrets_and_content_are_in_nothing_that_is_kept_or_told() {
    let error = json!({"error": {"message": UPSTREAM_ERROR, "type": "t", "code": "c"}});
    let plan = json!({"models": {
        "broken": {"status": 503, "body": error.to_string()},
        "well": {"text": ANSWER},
    }});
    // With and without the stage that takes such things out of what is said in a log.
    for redacts in [false, true] {
        let collector = Collector::start().await;
        let mock = Mock::with(plan.to_string().parse::<Plan>().unwrap())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut gateway = Gateway::start(&config(&mock, &collector, &state, redacts)).await;
        let ids = send_all(&Client::new(&gateway), redacts).await;
        for id in &ids {
            gateway.access_line(id).await;
        }
        // It was all there: what is looked for has passed through.
        for request in mock.requests() {
            let bearer = request.header("authorization").unwrap_or_default();
            assert!(bearer.contains(UPSTREAM_KEY), "{request:?}");
            assert_eq!(request.header("x-stage"), Some(STAGE_KEY));
        }
        let mut seen = told(&gateway).await;
        files(&state, &mut seen);
        assert!(
            seen.iter().any(|(name, _)| name.ends_with("-wal")),
            "the ledger is open"
        );
        collector.spans(ids.len()).await;
        gateway.signal("TERM");
        assert!(gateway.ended().await.success());
        let log = gateway.log().into_iter().map(|line| line.to_string());
        seen.push(("log".to_owned(), log.collect::<Vec<_>>().join("\n").into()));
        files(&state, &mut seen);
        let spans = collector.bodies().concat();
        seen.push(("spans".to_owned(), spans));

        // Each of them knows of the exchanges: it would show what it should not know.
        for place in ["log", "spans", "/api/exchanges", "ledger.db"] {
            let mut found = seen.iter().filter(|(name, _)| name.ends_with(place));
            assert!(found.any(|(_, bytes)| holds(bytes, "sent-0")), "{place}");
        }
        for (place, bytes) in &seen {
            for canary in CANARIES {
                assert!(!holds(bytes, canary), "{canary} is in {place} ({redacts})");
            }
            assert!(!holds(bytes, STRAY_KEY), "{STRAY_KEY} is in {place}");
        }
    }
}
