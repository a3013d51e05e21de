//! A known mix of exchanges.

use std::collections::BTreeMap;

use http::Method;
use millgate::mock::{Fault, Mock, Plan, Script, Series};
use serde_json::{Value, json};

use crate::{
    database::Database,
    support::{Client, Gateway, Live, nobody},
    usage, usage_json,
};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "canary-key-0123456789abcdef";
const UPSTREAM_KEY: &str = "canary-upstream-0123456789";
const PROMPT: &str = "canary prompt";

fn one(script: Script) -> Series {
    Series::One(Box::new(script))
}

fn counted(prompt: u64, completion: u64) -> Series {
    one(Script {
        prompt_tokens: Some(prompt),
        completion_tokens: Some(completion),
        ..Script::default()
    })
}

/// Each model with counts of its own, so that no two sums are the same by chance.
fn plan() -> Plan {
    let mut models: BTreeMap<String, Series> = (0..8)
        .map(|n| (format!("m{n}"), counted(1000 + n, 100 + 7 * n)))
        .collect();
    models.insert("priced".to_owned(), counted(1_000_000, 500_000));
    models.insert("fallback".to_owned(), counted(31, 17));
    models.insert("broken".to_owned(), one(Script::status(503)));
    models.insert(
        "gated".to_owned(),
        one(Script {
            gate: true,
            text: Some("한국어 words and more words than anybody waits for, on and on".to_owned()),
            ..Script::default()
        }),
    );
    models.insert(
        "cut".to_owned(),
        one(Script {
            at: Some(3),
            ..Script::fault(Fault::ResetMidStream)
        }),
    );
    Plan {
        models,
        ..Plan::default()
    }
}

fn config(mock: &Mock, database: &Database, state: &str) -> String {
    format!(
        r#"
pipeline = ["auth", "cache", "route"]
[server]
state_dir = "{state}"
[stages.auth]
[stages.cache]
[callers.anna]
key = "{KEY}"
team = "파랑"
meta = {{ ticket = "T-42" }}
[providers.first]
kind = "openai"
base_url = "{}"
[providers.up]
kind = "openai"
base_url = "{}"
api_key = "{UPSTREAM_KEY}"
[prices."priced"]
input = 2
output = 10
[routes.default]
targets = ["up"]
retries = 0
[routes.fallback]
model = "fallback"
targets = ["first", "up"]
retries = 0
{}"#,
        nobody(),
        mock.url(),
        database.config("interval = \"100ms\"")
    )
}

struct Bench {
    client: Client,
    expected: BTreeMap<String, Value>,
}

impl Bench {
    async fn send(
        &mut self,
        id: &str,
        method: Method,
        path: &str,
        key: &str,
        body: String,
        row: Value,
    ) -> Live {
        self.expected.insert(id.to_owned(), row);
        let bearer = format!("Bearer {key}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*bearer),
            ("x-request-id", id),
        ];
        self.client.send(method, path, &headers, body).await
    }

    async fn ask(&mut self, id: &str, path: &str, body: &Value, row: Value) {
        let live = self
            .send(id, Method::POST, path, KEY, body.to_string(), row)
            .await;
        let status = live.status;
        live.rest().await;
        assert_eq!(json!(status.as_u16()), self.expected[id]["status"], "{id}");
    }
}

fn chat(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "temperature": 0, "messages": [{"role": "user", "content": PROMPT}]})
}

fn answered(input: u64, output: u64) -> Value {
    json!({"caller": "anna", "team": "파랑", "ticket": "T-42", "status": 200, "outcome": "ok", "provider": "up",
        "input_tokens": input, "output_tokens": output, "estimated": false, "shared": false, "attempts": 1, "cost": null})
}

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn with(mut row: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

/// Sends the mix, stops the gateway in good order, and compares every row.
#[expect(clippy::too_many_lines, reason = "a list of exchanges")]
pub(crate) async fn every_exchange_has_its_exact_row(database: Database, state: &str) {
    let mock = Mock::with(plan()).await.unwrap();
    let mut gateway = Gateway::start(&config(&mock, &database, state)).await;
    let mut bench = Bench {
        client: Client::new(&gateway),
        expected: BTreeMap::new(),
    };
    for n in 0..8 {
        let model = format!("m{n}");
        let stream = n % 2 == 1;
        let row = with(
            answered(1000 + n, 100 + 7 * n),
            json!({"model": model, "asked": model, "stream": stream, "endpoint": "chat", "cache": "miss"}),
        );
        bench
            .ask(
                &format!("plain-{n}"),
                CHAT,
                &chat(&model, stream),
                row.clone(),
            )
            .await;
        // The same again is the cache's.
        let shared = json!({"shared": true, "attempts": 0, "cache": "hit", "upstream_us": null});
        bench
            .ask(
                &format!("again-{n}"),
                CHAT,
                &chat(&model, stream),
                with(row, shared),
            )
            .await;
    }
    let row = with(
        answered(1_000_000, 500_000),
        json!({"cost": 7_000_000_000_u64}),
    );
    bench
        .ask("priced", CHAT, &chat("priced", false), row.clone())
        .await;
    let shared = json!({"shared": true, "attempts": 0, "cost": null, "saved": 7_000_000_000_u64});
    bench
        .ask(
            "priced-again",
            CHAT,
            &chat("priced", false),
            with(row, shared),
        )
        .await;
    let row = with(
        answered(31, 17),
        json!({"attempts": 2, "route": "fallback"}),
    );
    bench
        .ask("fallback", CHAT, &chat("fallback", true), row)
        .await;
    let failed = json!({"caller": "anna", "status": 503, "outcome": "upstream_error", "provider": "up", "model": "broken", "input_tokens": null,
        "estimated": false, "attempts": 1, "cost": null});
    bench
        .ask("broken", CHAT, &chat("broken", false), failed)
        .await;
    let bad = json!({"status": 400, "outcome": "client_error", "attempts": 0, "input_tokens": null, "cost": null});
    let not_json = bench
        .send(
            "bad",
            Method::POST,
            CHAT,
            KEY,
            "{\"model\": ".to_owned(),
            bad,
        )
        .await;
    not_json.rest().await;
    let stranger = json!({"status": 401, "caller": "127.0.0.1", "team": null, "ticket": null, "input_tokens": null, "attempts": 0});
    let refused = bench
        .send(
            "stranger",
            Method::POST,
            CHAT,
            "canary-of-nobody",
            chat("m1", false).to_string(),
            stranger,
        )
        .await;
    refused.rest().await;
    let models = json!({"status": 200, "outcome": "ok", "endpoint": "models", "method": "GET", "input_tokens": null});
    bench
        .send(
            "models",
            Method::GET,
            "/v1/models",
            KEY,
            String::new(),
            models,
        )
        .await
        .rest()
        .await;
    let head = json!({"status": 405, "method": "HEAD", "bytes": 0});
    bench
        .send("head", Method::HEAD, "/v1/models", KEY, String::new(), head)
        .await
        .rest()
        .await;
    let lost = json!({"status": 404, "outcome": "client_error", "error": "unknown_path"});
    bench
        .send("lost", Method::GET, "/v1/nowhere", KEY, String::new(), lost)
        .await
        .rest()
        .await;
    let embedded = json!({"model": "m2", "input": "text"});
    bench.ask("embeddings", "/v1/embeddings", &embedded, json!({"status": 200, "endpoint": "embeddings", "outcome": "ok", "input_tokens": 1002, "estimated": false})).await;

    // A stream that its upstream breaks, and two that their clients leave, one of them before anything came.
    bench
        .ask(
            "cut",
            CHAT,
            &chat("cut", true),
            json!({"status": 200, "outcome": "upstream_error", "estimated": true, "stream": true}),
        )
        .await;
    let left = json!({"status": 200, "outcome": "client_closed", "estimated": true, "attempts": 1, "provider": "up", "cost": null});
    mock.release(4);
    let mut live = bench
        .send(
            "left",
            Method::POST,
            CHAT,
            KEY,
            chat("gated", true).to_string(),
            left,
        )
        .await;
    let mut seen = String::new();
    while !seen.contains("and") {
        seen += std::str::from_utf8(&live.next().await.unwrap().unwrap()).unwrap();
    }
    drop(live);
    mock.wait_for(|counts| counts.aborted >= 1 && counts.in_flight == 0)
        .await;

    // The list of its models is asked for on the gateway's own account.
    let paths = mock.counts().paths;
    let listed = paths.get("/v1/models").copied().unwrap_or_default();
    let requests = mock.counts().requests - listed;
    let expected = std::mem::take(&mut bench.expected);
    let rows = database.wait_for_rows(&gateway, expected.len()).await;
    let usage_while_running = usage_json(&gateway.config_path(), "caller");
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(
        database.rows().await,
        rows,
        "no row is written twice or late"
    );
    compare(&expected, &rows);

    // The sums are the upstream's own: what it was asked, it has counted.
    let asked: i64 = rows
        .iter()
        .map(|row| row["attempts"].as_i64().unwrap())
        .sum();
    assert_eq!(
        requests.cast_signed(),
        asked - 1,
        "one attempt found nobody"
    );
    assert_sums(&usage_while_running);
    assert_eq!(
        usage_json(&gateway.config_path(), "caller")["totals"],
        usage_while_running["totals"]
    );
    by_every_key(&gateway, rows.len());

    let told = format!("{rows:?}{:?}", gateway.log());
    for secret in [
        KEY,
        UPSTREAM_KEY,
        PROMPT,
        "canary-of-nobody",
        "canary-password",
    ] {
        assert!(!told.contains(secret), "{secret}");
    }
}

fn compare(expected: &BTreeMap<String, Value>, rows: &[Value]) {
    let mut ids = std::collections::BTreeSet::new();
    for row in rows {
        assert!(ids.insert(row["id"].as_str().unwrap()), "{row}");
        assert!(
            row["total_us"].as_i64().unwrap() >= row["overhead_us"].as_i64().unwrap(),
            "{row}"
        );
    }
    let mut by_id: BTreeMap<_, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        by_id
            .entry(row["request_id"].as_str().unwrap())
            .or_default()
            .push(row);
    }
    assert!(
        by_id
            .keys()
            .copied()
            .eq(expected.keys().map(String::as_str)),
        "{:?}",
        by_id.keys()
    );
    for (id, wanted) in expected {
        let [row] = by_id[id.as_str()][..] else {
            panic!("{id} has several rows: {:#?}", by_id[id.as_str()]);
        };
        for (key, value) in wanted.as_object().unwrap() {
            assert_eq!(&row[key], value, "{key} of {row:#}");
        }
    }
    // What a client that left was given: four events, of which the first is the role alone.
    let left = by_id["left"][0];
    let output = left["output_tokens"].as_u64().unwrap();
    let delivered = "한국어 words and more words".len() as u64;
    assert!((1..=delivered.div_ceil(3)).contains(&output), "{left:#}");
    let cut = by_id["cut"][0];
    assert!(cut["output_tokens"].as_u64().unwrap() <= 12, "{cut:#}");
}

fn assert_sums(usage: &Value) {
    let totals = &usage["totals"];
    let input: u64 = (0..8).map(|n| 1000 + n).sum::<u64>() + 1_000_000 + 31 + 1002;
    let output: u64 = (0..8).map(|n| 100 + 7 * n).sum::<u64>() + 500_000 + 17;
    assert_eq!(totals["input_tokens"], input, "{usage:#}");
    assert!(
        totals["output_tokens"].as_u64().unwrap() >= output,
        "{usage:#}"
    );
    assert_eq!(totals["cost"], 7.0);
    assert_eq!(totals["saved"], 7.0);
    assert_eq!(totals["cache_hits"], 9);
    assert_eq!(totals["cancelled"], 1);
    assert_eq!(totals["errors"], 2);
    assert!(totals["estimated_tokens"].as_u64().unwrap() > 0);
    assert!(totals["unpriced_exchanges"].as_u64().unwrap() >= 10);
    let anna = &usage["rows"][0];
    assert_eq!(anna["key"], "anna");
    assert_eq!(anna["input_tokens"], input);
}

/// The same sums, whatever they are told by; and the same numbers in the table and as CSV.
fn by_every_key(gateway: &Gateway, exchanges: usize) {
    let totals = usage_json(&gateway.config_path(), "caller")["totals"].clone();
    for (by, key) in [
        ("team", "파랑"),
        ("model", "m1"),
        ("provider", "up"),
        ("ticket", "T-42"),
    ] {
        let usage = usage_json(&gateway.config_path(), by);
        assert_eq!(usage["totals"], totals, "{by}");
        assert_eq!(usage["totals"]["exchanges"], exchanges, "{by}");
        let rows = usage["rows"].as_array().unwrap();
        assert!(rows.iter().any(|row| row["key"] == key), "{usage:#}");
    }
    let days = usage_json(&gateway.config_path(), "day");
    assert_eq!(days["totals"], totals);
    assert_eq!(
        days["rows"][0]["key"].as_str().unwrap().len(),
        "2026-11-22".len()
    );
    let output = usage(&gateway.config_path(), &["--by", "team"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("\n파랑 ") && table.contains("\ntotal "),
        "{table}"
    );
    let csv = usage(&gateway.config_path(), &["--by", "team", "--csv"]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert!(
        csv.starts_with("team,exchanges,") && csv.contains("\r\n파랑,"),
        "{csv}"
    );
}

#[tokio::test]
async fn every_exchange_has_its_exact_row_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let database = Database::Sqlite(state.clone());
    every_exchange_has_its_exact_row(database, state.to_str().unwrap()).await;
}
