//! A file that cannot be had: exchanges are served, and what is lost is told.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    database::{Database, LOG, sqlite_rows},
    support::{Client, Gateway},
    usage,
};

fn config(state: &Path, ledger: &str) -> String {
    format!(
        "[server]\nstate_dir = \"{}\"\n[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n{LOG}[ledger]\ninterval = \"50ms\"\n{ledger}\n",
        state.display()
    )
}

async fn serves(gateway: &Gateway, times: usize) {
    let client = Client::new(gateway);
    for _ in 0..times {
        assert_eq!(client.chat("hi", false).await.status, 200);
    }
}

fn says(line: &Value, words: &str) -> bool {
    line["message"]
        .as_str()
        .is_some_and(|message| message.contains(words))
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_a_new_one_begun() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("ledger.db");
    fs::write(&file, "damaged".repeat(1000)).unwrap();
    let gateway = Gateway::start(&config(state.path(), "")).await;
    let line = gateway
        .log_line(|line| says(line, "the ledger is damaged"))
        .await;
    let aside = line["aside"].as_str().unwrap();
    assert!(aside.contains("ledger.db.corrupt-"), "{line}");
    assert_eq!(fs::read_to_string(aside).unwrap(), "damaged".repeat(1000));
    serves(&gateway, 3).await;
    Database::Sqlite(state.path().to_owned())
        .wait_for_rows(&gateway, 3)
        .await;
}

#[tokio::test]
async fn a_locked_file_is_written_once_it_is_free() {
    let state = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&config(state.path(), "")).await;
    serves(&gateway, 1).await;
    let database = Database::Sqlite(state.path().to_owned());
    database.wait_for_rows(&gateway, 1).await;
    let other = rusqlite::Connection::open(state.path().join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    serves(&gateway, 5).await;
    gateway
        .log_line(|line| says(line, "the ledger cannot be written"))
        .await;
    serves(&gateway, 5).await;
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(database.wait_for_rows(&gateway, 11).await.len(), 11);
    gateway
        .log_line(|line| says(line, "the ledger is written again"))
        .await;
}

#[tokio::test]
async fn where_there_can_be_no_file_exchanges_are_served_and_their_rows_counted_as_lost() {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("ledger.db")).unwrap();
    let mut gateway = Gateway::start(&config(state.path(), "queue = 4")).await;
    gateway
        .log_line(|line| says(line, "the ledger cannot be written"))
        .await;
    serves(&gateway, 10).await;
    gateway
        .log_line(|line| says(line, "their rows are lost"))
        .await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let line = gateway
        .log_line(|line| says(line, "the rows that waited are lost"))
        .await;
    assert_eq!(line["lost"], 4);
    let lines = gateway.log();
    let told = lines
        .iter()
        .filter(|line| says(line, "their rows are lost"));
    assert_eq!(told.count(), 1, "it is said once");
}

/// Another process has the folder for a while, then gives it back.
#[tokio::test]
async fn a_file_that_is_taken_away_is_begun_anew() {
    let state = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&config(state.path(), "")).await;
    serves(&gateway, 2).await;
    let database = Database::Sqlite(state.path().to_owned());
    database.wait_for_rows(&gateway, 2).await;
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(state.path().join(name));
    }
    serves(&gateway, 3).await;
    assert_eq!(database.wait_for_rows(&gateway, 3).await.len(), 3);
}

#[tokio::test]
async fn a_reload_moves_the_ledger_and_turns_it_off() {
    let state = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&config(state.path(), "enabled = false")).await;
    serves(&gateway, 1).await;
    gateway.write_config(&config(state.path(), ""));
    gateway.signal("HUP");
    gateway
        .log_line(|line| says(line, "the ledger is open"))
        .await;
    serves(&gateway, 2).await;
    let database = Database::Sqlite(state.path().to_owned());
    assert_eq!(database.wait_for_rows(&gateway, 2).await.len(), 2);
    gateway.write_config(&config(state.path(), "enabled = false"));
    gateway.signal("HUP");
    gateway.log_line(|line| line["generation"] == 3).await;
    serves(&gateway, 1).await;
    assert_eq!(sqlite_rows(&state.path().join("ledger.db")).len(), 2);
}

#[test]
fn usage_says_what_to_do_where_it_has_nothing_to_tell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let refused = |ledger: &str, arguments: &[&str]| {
        fs::write(&file, config(&folder.path().join("state"), ledger)).unwrap();
        let output = usage(&file, arguments);
        assert_eq!(output.stdout, b"");
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = refused("", &[]);
    assert!(code == Some(1) && text.contains("millgate serve"), "{text}");
    let (code, text) = refused("enabled = false", &[]);
    assert!(
        code == Some(1) && text.contains("[ledger] enabled"),
        "{text}"
    );
    let (code, text) = refused("", &["--since", "yesterday"]);
    assert!(code == Some(2) && text.contains("24h"), "{text}");
    let (code, text) = refused("", &["--by", "colour"]);
    assert!(code == Some(2) && text.contains("caller"), "{text}");
    let (code, text) = refused("url = \"mysql://me:canary@db/x\"", &[]);
    assert!(
        code == Some(1) && text.contains("PostgreSQL") && !text.contains("canary"),
        "{text}"
    );
    let (code, text) = refused("capture_key = \"short\"\nmax_size = \"1KiB\"", &[]);
    assert!(
        code == Some(1) && text.contains("openssl rand") && text.contains("1 MiB"),
        "{text}"
    );
}

#[test]
fn usage_says_where_a_service_has_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(
        &file,
        "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n",
    )
    .unwrap();
    let refused = |environment: &[(&str, &str)]| {
        let output = crate::usage_with(&file, &[], environment);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let home = folder.path().to_str().unwrap();
    let text = refused(&[("HOME", home)]);
    assert!(
        text.contains(".local/state/millgate/ledger.db") && text.contains("STATE_DIRECTORY="),
        "{text}"
    );
    let text = refused(&[("HOME", home), ("STATE_DIRECTORY", home)]);
    assert!(
        text.contains("millgate serve") && !text.contains("STATE_DIRECTORY"),
        "{text}"
    );
    let text = refused(&[]);
    assert!(
        text.contains("state_dir") && text.contains("STATE_DIRECTORY"),
        "{text}"
    );
}
