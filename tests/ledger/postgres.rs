//! The same in a real `PostgreSQL`: one that the test starts, or the one that `MILLGATE_TEST_POSTGRES` names, in which every
//! test has a schema of its own.

use std::time::SystemTime;

use millgate::telemetry::ended::id_of;
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::{
    cluster::Cluster,
    database::{Database, wrote},
    killed::what_a_killed_gateway_loses,
    mix::every_exchange_has_its_exact_row,
    support::{Client, Gateway, chat_body},
    usage,
};

/// A database, and what keeps it running.
pub(crate) async fn database() -> (Database, Option<Cluster>) {
    let Ok(url) = std::env::var("MILLGATE_TEST_POSTGRES") else {
        let cluster = Cluster::start().await;
        return (Database::Postgres(cluster.url()), Some(cluster));
    };
    let schema = format!("millgate_test_{}", id_of(SystemTime::now()).simple());
    let client = connect(&url).await;
    let make = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&make).await.unwrap();
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}options=-csearch_path%3D{schema}");
    (Database::Postgres(url), None)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the connection ends with its client"
)]
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// All rows; none where there is no table yet.
pub(crate) async fn rows(url: &str) -> Vec<Value> {
    let client = connect(url).await;
    let read = "SELECT row_to_json(e)::text FROM millgate_exchanges e ORDER BY id";
    let rows = client.query(read, &[]).await.unwrap_or_default();
    rows.iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .collect()
}

fn state() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    (folder, state)
}

#[tokio::test]
async fn every_exchange_has_its_exact_row_in_postgres() {
    let (database, _cluster) = database().await;
    let (_folder, state) = state();
    every_exchange_has_its_exact_row(database, &state).await;
}

#[tokio::test]
async fn a_killed_gateway_loses_what_ended_last_and_writes_nothing_twice_in_postgres() {
    let (database, _cluster) = database().await;
    let (_folder, state) = state();
    what_a_killed_gateway_loses(database, &state).await;
}

pub(crate) fn config(database: &Database, keys: &str) -> String {
    format!(
        "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n{}",
        database.config(keys)
    )
}

pub(crate) async fn serves(gateway: &Gateway, times: usize) {
    let client = Client::new(gateway);
    for _ in 0..times {
        assert_eq!(client.chat("hi", false).await.status, 200);
    }
}

pub(crate) fn says(line: &Value, words: &str) -> bool {
    line["message"]
        .as_str()
        .is_some_and(|message| message.contains(words))
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_costs_what_does_not_fit_the_queue() {
    let mut cluster = Cluster::start().await;
    let database = Database::Postgres(cluster.url());
    let keys = "interval = \"50ms\"\nqueue = 10";
    let gateway = Gateway::start(&config(&database, keys)).await;
    serves(&gateway, 3).await;
    database.wait_for_rows(&gateway, 3).await;
    cluster.stop();
    serves(&gateway, 15).await;
    let line = gateway
        .log_line(|line| says(line, "the ledger cannot be written"))
        .await;
    assert!(!line.to_string().contains("canary-password"), "{line}");
    gateway
        .log_line(|line| says(line, "their rows are lost"))
        .await;
    cluster.run().await;
    assert_eq!(database.wait_for_rows(&gateway, 13).await.len(), 13);
    let line = gateway
        .log_line(|line| says(line, "these rows of exchanges are lost"))
        .await;
    assert_eq!(line["lost"], 5);
    serves(&gateway, 2).await;
    assert_eq!(database.wait_for_rows(&gateway, 15).await.len(), 15);
}

/// A connection is held up in the middle of its work, as by a lock that somebody else has.
#[tokio::test]
async fn a_table_that_is_locked_keeps_nobody_waiting() {
    let cluster = Cluster::start().await;
    let database = Database::Postgres(cluster.url());
    let mut gateway = Gateway::start(&config(&database, "interval = \"50ms\"")).await;
    serves(&gateway, 1).await;
    database.wait_for_rows(&gateway, 1).await;
    let other = connect(&cluster.url()).await;
    let lock = "BEGIN; LOCK TABLE millgate_exchanges IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    serves(&gateway, 5).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(database.rows().await.len(), 6);
}

#[tokio::test]
async fn gateways_that_start_at_once_share_their_tables() {
    let (database, _cluster) = database().await;
    let config = config(&database, "interval = \"50ms\"");
    let (one, two, three) = tokio::join!(
        Gateway::start(&config),
        Gateway::start(&config),
        Gateway::start(&config)
    );
    for gateway in [&one, &two, &three] {
        serves(gateway, 4).await;
    }
    for gateway in [&one, &two, &three] {
        wrote(gateway, 4).await;
    }
    assert_eq!(database.rows().await.len(), 12);
}

const KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn capturing(database: &Database, keys: &str) -> String {
    let keys = format!("capture_key = \"{KEY}\"\n{keys}");
    format!(
        "pipeline = [\"redact\", \"route\"]\n[stages.redact]\ncapture = \"redacted\"\n{}",
        config(database, &keys)
    )
}

async fn asks(gateway: &Gateway, id: &str, prompt: &str) {
    let headers = [("content-type", "application/json"), ("x-request-id", id)];
    let body = chat_body(prompt, false).to_string();
    let path = "/v1/chat/completions";
    let live = Client::new(gateway)
        .send(http::Method::POST, path, &headers, body)
        .await;
    assert_eq!(live.rest().await.status, 200);
}

#[tokio::test]
async fn captured_content_is_encrypted_in_the_server_and_read_by_the_command() {
    let (database, _cluster) = database().await;
    let Database::Postgres(url) = &database else {
        panic!("another database")
    };
    let gateway = Gateway::start(&capturing(&database, "interval = \"50ms\"")).await;
    asks(&gateway, "one", "canary of content").await;
    let rows = database.wait_for_rows(&gateway, 1).await;
    let client = connect(url).await;
    let read = "SELECT content FROM millgate_captured";
    let kept: Vec<u8> = client.query_one(read, &[]).await.unwrap().get(0);
    assert!(!kept.windows(6).any(|window| window == b"canary"));
    let id = rows[0]["id"].as_str().unwrap();
    let told = usage(&gateway.config_path(), &["--exchange", id]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains("canary of content") && told.contains("── reply"),
        "{told}"
    );
    gateway.write_config(&config(&database, ""));
    let told = usage(&gateway.config_path(), &["--exchange", id]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("old_capture_keys"), "{told}");
}

/// A server that takes no more than eight rows in its time, and refuses one of them.
#[tokio::test]
async fn a_batch_that_takes_too_long_is_written_in_parts_and_one_bad_row_is_lost_alone() {
    let cluster = Cluster::start().await;
    let database = Database::Postgres(cluster.url());
    let mut gateway = Gateway::start(&capturing(&database, "interval = \"50ms\"")).await;
    asks(&gateway, "first", "hi").await;
    database.wait_for_rows(&gateway, 1).await;
    let other = connect(&cluster.url()).await;
    let slow = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                IF (SELECT count(*) FROM fresh) > 8 THEN \
                RAISE 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END IF; \
                IF EXISTS (SELECT FROM fresh WHERE request_id = 'never') THEN \
                RAISE 'not this one' USING ERRCODE = '23514'; END IF; RETURN NULL; END $$; \
                CREATE TRIGGER refuse AFTER INSERT ON millgate_exchanges REFERENCING NEW TABLE AS fresh \
                FOR EACH STATEMENT EXECUTE FUNCTION refuse()";
    other.batch_execute(slow).await.unwrap();
    // Others are in the way until enough rows wait.
    let lock = "BEGIN; LOCK TABLE millgate_exchanges IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    for number in 0..20 {
        asks(&gateway, &format!("before-{number}"), "hi").await;
    }
    asks(&gateway, "never", "hi").await;
    for number in 0..20 {
        asks(&gateway, &format!("after-{number}"), "hi").await;
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    let line = gateway
        .log_line(|line| says(line, "the row of this exchange is lost"))
        .await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("not this one"), "{line}");
    let rows = database.wait_for_rows(&gateway, 41).await;
    assert!(rows.iter().all(|row| row["request_id"] != "never"));
    let contents = "SELECT count(*) FROM millgate_captured";
    let contents: i64 = other.query_one(contents, &[]).await.unwrap().get(0);
    assert_eq!(contents, 41);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn reading_makes_no_tables_and_changes_none() {
    let (database, _cluster) = database().await;
    let Database::Postgres(url) = &database else {
        panic!("another database")
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config(&database, "")).unwrap();
    let client = connect(url).await;
    let refusal = || {
        let output = usage(&file, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = refusal();
    assert!(
        text.contains("no ledger") && text.contains("millgate serve"),
        "{text}"
    );
    let is_there = "SELECT to_regclass('millgate_schema') IS NOT NULL";
    let is_there: bool = client.query_one(is_there, &[]).await.unwrap().get(0);
    assert!(!is_there);
    let mut gateway = Gateway::start(&config(&database, "interval = \"50ms\"")).await;
    serves(&gateway, 1).await;
    database.wait_for_rows(&gateway, 1).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let versions = "SELECT max(version), count(*) FROM millgate_schema";
    let versions = async || {
        let row = client.query_one(versions, &[]).await.unwrap();
        (row.get::<_, i32>(0), row.get::<_, i64>(1))
    };
    let last =
        "DELETE FROM millgate_schema WHERE version = (SELECT max(version) FROM millgate_schema)";
    client.batch_execute(last).await.unwrap();
    let before = versions().await;
    let text = refusal();
    assert!(text.contains("older millgate"), "{text}");
    assert_eq!(versions().await, before);
    let later = "INSERT INTO millgate_schema (version) VALUES (99)";
    client.batch_execute(later).await.unwrap();
    let text = refusal();
    assert!(text.contains("newer millgate"), "{text}");
}
