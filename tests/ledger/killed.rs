//! A gateway that is killed under load.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;

use crate::{
    database::Database,
    support::{Client, Gateway, chat_body},
};

const INTERVAL: Duration = Duration::from_millis(300);

/// From an exchange's end to its being taken account of (100 ms), and a write on a machine that has other things to do.
const SETTLING: Duration = Duration::from_millis(700);

/// Kills it, starts it again on the same ledger, and looks for what is lost and what is there twice.
#[expect(clippy::disallowed_methods, reason = "clients end with the test")]
pub(crate) async fn what_a_killed_gateway_loses(database: Database, state: &str) {
    let config = format!(
        "[server]\nstate_dir = \"{state}\"\n[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n{}",
        database.config("interval = \"300ms\"")
    );
    let mut gateway = Gateway::start(&config).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for number in 0..6 {
        let client = Client::new(&gateway);
        let (done, is_over) = (done.clone(), is_over.clone());
        clients.push(tokio::spawn(async move {
            for n in 0.. {
                let id = format!("{number}-{n}");
                let headers = [("content-type", "application/json"), ("x-request-id", &*id)];
                let body = chat_body("hi", n % 2 == 0).to_string();
                let live = client
                    .send(Method::POST, "/v1/chat/completions", &headers, body)
                    .await;
                if !live.rest().await.complete || is_over.load(Ordering::Relaxed) {
                    return;
                }
                done.lock().unwrap().push((id, Instant::now()));
            }
        }));
    }
    database.wait_for_rows(&gateway, 200).await;
    is_over.store(true, Ordering::Relaxed);
    gateway.signal("KILL");
    let killed = Instant::now();
    gateway.ended().await;
    for client in clients {
        // Most find nobody there any more.
        let _ = client.await;
    }
    let before = database.rows().await.len();
    let mut again = Gateway::start(&config).await;
    let client = Client::new(&again);
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "after"),
    ];
    let body = chat_body("hi", false).to_string();
    let live = client
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await;
    live.rest().await;
    again.signal("TERM");
    assert!(again.ended().await.success());

    let rows = database.rows().await;
    assert_eq!(
        rows.len(),
        before + 1,
        "the new gateway adds its own row alone"
    );
    let ids: Vec<_> = rows
        .iter()
        .map(|row| row["request_id"].as_str().unwrap())
        .collect();
    let known: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len(), "a row is there twice");
    assert!(known.contains("after"));
    let done = done.lock().unwrap();
    let is_due = |at: Instant| killed.saturating_duration_since(at) > INTERVAL + SETTLING;
    let due: Vec<_> = done.iter().filter(|(_, at)| is_due(*at)).collect();
    let lost: Vec<_> = due
        .iter()
        .filter(|(id, _)| !known.contains(&**id))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        due.len()
    );
}

#[tokio::test]
async fn a_killed_gateway_loses_what_ended_last_and_writes_nothing_twice_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let database = Database::Sqlite(state.clone());
    what_a_killed_gateway_loses(database, state.to_str().unwrap()).await;
    let connection = rusqlite::Connection::open(state.join("ledger.db")).unwrap();
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
