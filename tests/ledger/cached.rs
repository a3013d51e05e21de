//! Rows of what the cache had to do with: nothing is booked as its doing that was not, and nothing that was paid for is missing.

use std::time::Duration;

use http::Method;
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
}

fn question() -> Value {
    json!({"model": "gpt-test", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]})
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
