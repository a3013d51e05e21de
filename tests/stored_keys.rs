//! Keys of the embedded store at a running gateway: made and revoked by another process, in force within a second.
#![cfg(feature = "sqlite")]

mod support;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use http::Method;
use support::{Client, Gateway, PATIENCE, Reply, chat_body};

const CONFIG: &str = r#"
    pipeline = ["auth", "route", "headers"]
    [server]
    state_dir = "state"
    [stages.auth]
    failures = "100000/s"
    [stages.headers]
    kind = "auth_header"
    headers = {}
    [providers.rehearsal]
    [routes.default]
    targets = ["rehearsal"]
"#;

fn key(gateway: &Gateway, arguments: &[&str]) -> String {
    let config = gateway.config_path();
    let folder = config.parent().unwrap_or(Path::new("."));
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("key")
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

async fn ask(client: &Client, key: &str, id: &str) -> Reply {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
        ("x-request-id", id),
    ];
    let body = chat_body("hi", false).to_string();
    let path = "/v1/chat/completions";
    let coming = client.send(Method::POST, path, &headers, body).await;
    coming.rest().await
}

/// Asks until the answer has this status: how long that took.
async fn until(client: &Client, key: &str, status: u16) -> Duration {
    let begun = Instant::now();
    while ask(client, key, "until").await.status != status {
        assert!(begun.elapsed() < PATIENCE, "{status} never came");
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_key_opens_within_a_second_of_its_making_and_closes_within_one_of_its_revocation() {
    let gateway = Gateway::start(CONFIG).await;
    let client = Client::new(&gateway);
    for id in ["anna", "ben"] {
        let made = key(&gateway, &["new", "--id", id, "--team", "blue"]);
        until(&client, &made, 200).await;
        let line = ask(&client, &made, id).await;
        assert_eq!(line.status, 200);
        assert_eq!(gateway.access_line(id).await["caller"], id);

        key(&gateway, &["revoke", id]);
        let took = until(&client, &made, 401).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(
        !gateway
            .log()
            .iter()
            .any(|line| line.to_string().contains("mg-"))
    );
}

#[tokio::test]
async fn keys_outlive_a_restart_of_the_gateway_and_are_known_to_its_first_request() {
    let gateway = Gateway::start(CONFIG).await;
    let made = key(&gateway, &["new", "--id", "anna"]);
    let state = gateway.config_path().with_file_name("state");
    let config = CONFIG.replace("\"state\"", &format!("{:?}", state.display().to_string()));
    let second = Gateway::start(&config).await;
    assert_eq!(ask(&Client::new(&second), &made, "first").await.status, 200);
}

#[tokio::test]
async fn while_the_store_cannot_be_read_unknown_keys_are_asked_to_come_back_and_known_ones_pass() {
    let config = CONFIG.replace("\"state\"", "\"config.toml\"")
        + "[callers.app]\nkey = \"app-0123456789abcdef0123\"\n";
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let unknown = ask(&client, "mg-0123456789abcdef0123", "unknown").await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    assert_eq!(unknown.code(), "auth_unavailable");
    assert_eq!(unknown.header("retry-after"), "1");
    let known = ask(&client, "app-0123456789abcdef0123", "known").await;
    assert_eq!(known.status, 200);
}
