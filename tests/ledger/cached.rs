//! Rows of what the cache had to do with: nothing is booked as its doing that was not, and nothing that was paid for is missing.

use std::time::Duration;

use http::Method;
use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};

use crate::{
    database::Database,
    support::{
        Client, Gateway, Live, PATIENCE,
        raw::{RawClient, RawUpstream},
    },
    usage_json,
};

const CHAT: &str = "/v1/chat/completions";

struct Bench {
    gateway: Gateway,
    client: Client,
    admin: Client,
    database: Database,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(upstream: &str, cache: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let database = Database::Sqlite(state.clone());
        let gateway = Gateway::start(&format!(
            r#"
pipeline = ["cache", "route"]
[server]
state_dir = "{}"
[stages.cache]
{cache}
[providers.up]
kind = "openai"
base_url = "{upstream}/v1"
[prices."gpt-test"]
input = 2
output = 10
[routes.default]
targets = ["up"]
retries = 0
{}"#,
            state.display(),
            database.config("interval = \"100ms\"")
        ))
        .await;
        Self {
            client: Client::new(&gateway),
            admin: Client::at(&format!("http://{}", gateway.admin)),
            gateway,
            database,
            _folder: folder,
        }
    }

    async fn ask(&self, id: &str) -> Live {
        let headers = [("content-type", "application/json"), ("x-request-id", id)];
        let body = question().to_string();
        self.client.send(Method::POST, CHAT, &headers, body).await
    }

    /// Waits until so many requests have joined another one's call.
    async fn joined(&self, count: u64) {
        let reached = async {
            while self.admin.get("/api/cache").await.json()["collapsed"] != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await;
        in_time.expect("they have not joined");
    }

    async fn count(&self, name: &str) -> u64 {
        self.metric(name).await as u64
    }

    /// The sum of all series of a metric.
    async fn metric(&self, name: &str) -> f64 {
        let text = self.admin.get("/metrics").await.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let of_this = lines.filter(|rest| rest.starts_with(['{', ' ']));
        of_this
            .map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

fn question() -> Value {
    json!({"model": "gpt-test", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]})
}

fn sum(rows: &[Value], column: &str) -> u64 {
    rows.iter().filter_map(|row| row[column].as_u64()).sum()
}

#[tokio::test]
async fn who_joined_a_call_and_got_no_answer_of_it_is_no_hit() {
    let upstream = RawUpstream::bind().await;
    let bench = Bench::start(&upstream.url(), "").await;
    let leader = RawClient::post(&bench.gateway, CHAT, "leader", &question()).await;
    let mut connection = upstream.accept().await;
    assert!(connection.request().await);
    let leaves = RawClient::post(&bench.gateway, CHAT, "leaves", &question()).await;
    let waits = RawClient::post(&bench.gateway, CHAT, "waits", &question()).await;
    bench.joined(2).await;
    drop(leaves);
    bench.gateway.access_line("leaves").await;
    connection
        .write(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .await;
    let rows = bench.database.wait_for_rows(&bench.gateway, 3).await;
    for (id, outcome) in [("leaves", "client_closed"), ("waits", "upstream_error")] {
        let row = rows.iter().find(|row| row["request_id"] == id).unwrap();
        assert_eq!(row["cache"], "collapsed", "{row:#}");
        assert_eq!(row["outcome"], outcome, "{row:#}");
        assert_eq!(row["shared"], false, "{row:#}");
        for nothing in ["input_tokens", "cost", "saved"] {
            assert_eq!(row[nothing], Value::Null, "{nothing} of {row:#}");
        }
    }
    let totals = &usage_json(&bench.gateway.config_path(), "caller")["totals"];
    assert_eq!(
        (
            &totals["cache_hits"],
            &totals["saved"],
            &totals["exchanges"]
        ),
        (&json!(0), &json!(0.0), &json!(3))
    );
    let path = "/api/history?range=1h";
    let history = bench.admin.get(path).await;
    let figures = &history.json()["totals"];
    assert_eq!(figures["cache_hits"], 0, "{}", history.text());
    drop((leader, waits));
}

#[tokio::test]
async fn what_is_fetched_behind_a_stale_answer_has_a_row_of_its_own() {
    let mut scripts = vec![Script::default(); 6];
    scripts[3] = Script::status(503);
    let mock = Mock::with(scripts).await.unwrap();
    // Nothing is fresh for longer than no time.
    let cache = "ttl = \"0s\"\nstale_while_revalidate = \"1h\"";
    let bench = Bench::start(&mock.url(), cache).await;
    for n in 0..6 {
        let id = format!("ask-{n}");
        let reply = bench.ask(&id).await.rest().await;
        assert_eq!(reply.status, 200);
        if n > 0 {
            let is_own = |line: &Value| line["request_id"] == *id && line["cache"] == "revalidate";
            bench.gateway.log_line(is_own).await;
        }
    }
    let rows = bench.database.wait_for_rows(&bench.gateway, 11).await;
    assert_eq!(rows.len(), 11);
    let asked = mock.counts().paths[CHAT];
    assert_eq!(asked, 6);
    assert_eq!(sum(&rows, "attempts"), asked);
    assert_eq!(bench.count("millgate_attempts_total").await, asked);
    assert_eq!(bench.count("millgate_exchanges_total").await, 11);
    assert_eq!(bench.count("millgate_in_flight_exchanges").await, 0);

    // 11 tokens of a prompt and 4 of an answer, by the price list: one call has failed.
    let price = 11 * 2_000 + 4 * 10_000;
    assert_eq!(sum(&rows, "cost"), 5 * price);
    assert_eq!(sum(&rows, "saved"), 5 * price);
    let close = |dollars: f64, nanos: u64| (dollars - nanos as f64 / 1e9).abs() < 1e-12;
    assert!(close(
        bench.metric("millgate_cost_usd_total").await,
        5 * price
    ));
    assert!(close(
        bench.metric("millgate_saved_usd_total").await,
        5 * price
    ));
    let totals = &usage_json(&bench.gateway.config_path(), "caller")["totals"];
    assert!(close(totals["cost"].as_f64().unwrap(), 5 * price));
    assert_eq!(
        (
            &totals["cache_hits"],
            &totals["errors"],
            &totals["input_tokens"]
        ),
        (&json!(5), &json!(1), &json!(55))
    );

    let own: Vec<_> = rows
        .iter()
        .filter(|row| row["cache"] == "revalidate")
        .collect();
    assert_eq!(own.len(), 5);
    for row in own {
        let id = row["request_id"].as_str().unwrap();
        let given = rows
            .iter()
            .find(|row| row["request_id"] == id && row["cache"] == "stale");
        let given = given.unwrap();
        assert_ne!(row["id"], given["id"]);
        for same in ["caller", "route", "endpoint", "asked", "method", "stream"] {
            assert_eq!(row[same], given[same], "{same}");
        }
        assert_eq!(
            (
                &row["shared"],
                &row["saved"],
                &row["attempts"],
                &row["status"]
            ),
            (&json!(false), &Value::Null, &json!(1), &Value::Null)
        );
        assert_eq!(
            (&row["bytes"], &row["request_bytes"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(
            (&given["shared"], &given["saved"]),
            (&json!(true), &json!(price))
        );
        let (outcome, cost) = match id {
            "ask-3" => ("upstream_error", Value::Null),
            _ => ("ok", json!(price)),
        };
        assert_eq!(
            (&row["outcome"], &row["cost"]),
            (&json!(outcome), &cost),
            "{row:#}"
        );
    }
    let listed = bench.admin.get("/api/exchanges?limit=20").await.text();
    assert_eq!(
        listed.matches("\"cache\":\"revalidate\"").count(),
        5,
        "{listed}"
    );
}

#[tokio::test]
async fn what_is_fetched_behind_a_stale_answer_has_its_row_even_if_the_gateway_ends_before() {
    let scripts = vec![Script::default(), Script::fault(Fault::StallBeforeHead)];
    let mock = Mock::with(scripts).await.unwrap();
    let cache = "ttl = \"0s\"\nstale_while_revalidate = \"1h\"";
    let mut bench = Bench::start(&mock.url(), cache).await;
    for id in ["fresh", "stale"] {
        bench.ask(id).await.rest().await;
    }
    mock.wait_for(|counts| counts.paths.get(CHAT) == Some(&2))
        .await;
    // Nobody waits for it, and so does not the end.
    bench.gateway.signal("TERM");
    assert!(bench.gateway.ended().await.success());
    let rows = bench.database.rows().await;
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let own = rows.iter().find(|row| row["cache"] == "revalidate");
    let own = own.unwrap();
    assert_eq!(
        (
            &own["request_id"],
            &own["attempts"],
            &own["outcome"],
            &own["error"]
        ),
        (
            &json!("stale"),
            &json!(1),
            &json!("timeout"),
            &json!("shutting_down")
        )
    );
}

#[tokio::test]
async fn what_is_fetched_behind_a_stale_answer_and_outgrows_the_cache_is_not_read_to_its_end() {
    let large = Script {
        text: Some("large ".repeat(1000)),
        ..Script::default()
    };
    let mock = Mock::with(vec![Script::default(), large]).await.unwrap();
    let cache = "max_entry_size = \"2KiB\"\nttl = \"0s\"\nstale_while_revalidate = \"1h\"";
    let bench = Bench::start(&mock.url(), cache).await;
    for id in ["fresh", "stale"] {
        bench.ask(id).await.rest().await;
    }
    let rows = bench.database.wait_for_rows(&bench.gateway, 3).await;
    let own = rows.iter().find(|row| row["cache"] == "revalidate");
    let own = own.unwrap();
    assert_eq!(own["error"], "too_large_to_keep", "{own:#}");
    assert_eq!(own["attempts"], 1);
}
