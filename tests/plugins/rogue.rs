//! Plugins that do what they should not: whoever asked is told of a failure, the operators of what it was, and everybody
//! else notices nothing.

use hyper::Method;
use serde_json::Value;

use super::support::{Client, Gateway, Reply, chat_body, plugins::Folder};

fn config(folder: &Folder, table: &str) -> String {
    let library = folder.build("rogue.so", "rogue", &[]);
    format!(
        "pipeline = [\"rogue\", \"route\"]\n\
         [plugins.rogue]\npath = \"{}\"\n\
         [stages.rogue]\nkind = \"rogue/rogue\"\n{table}\n\
         [providers.rehearsal]\nkind = \"rehearsal\"\n\
         [routes.default]\ntargets = [\"rehearsal\"]\ndeadline = \"2s\"\nattempt_timeout = \"1s\"\n",
        library.display()
    )
}

async fn ask(client: &Client, deed: &str, stream: bool) -> Reply {
    let body = serde_json::to_vec(&chat_body("hi", stream)).unwrap();
    let headers = [("content-type", "application/json"), ("x-do", deed)];
    client
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await
        .rest()
        .await
}

/// What is counted of the plugin.
async fn count(gateway: &Gateway, what: &str) -> u64 {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let document = operators.get("/api/plugins").await.json();
    document["plugins"][0][what].as_u64().unwrap()
}

/// What it does, and what the log says of that.
const FAILURES: &[(&str, &str)] = &[
    ("unknown status", "on_request came back with status 4242"),
    ("chunk status", "on_request came back with status 4"),
    (
        "emit",
        "on_request emitted something, but came back with status 0",
    ),
    (
        "reply nothing",
        "on_request came back with REPLY, but set and emitted nothing",
    ),
    (
        "wait for nothing",
        "on_request came back with WAIT, but took no token",
    ),
    ("fail", "on_request failed and did not say why"),
    ("panic", "panicked: it did not say why"),
];

#[tokio::test]
async fn whatever_a_hook_comes_back_with_only_its_own_exchange_fails() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for (deed, words) in FAILURES {
        let reply = ask(&client, deed, false).await;
        assert_eq!(reply.status, 500, "{deed}: {}", reply.text());
        assert_eq!(reply.json()["error"]["type"], "api_error", "{deed}");
        let is_told = |line: &Value| {
            line["stage"] == "rogue"
                && line["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(words))
        };
        gateway.log_line(is_told).await;
        assert_eq!(
            ask(&client, "nothing", false).await.status,
            200,
            "after {deed}"
        );
    }
    assert_eq!(count(&gateway, "failures").await, FAILURES.len() as u64 - 1);
    assert_eq!(count(&gateway, "panics").await, 1);
}

#[tokio::test]
async fn where_failures_are_skipped_nobody_notices() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "on_error = \"skip\"")).await;
    let client = Client::new(&gateway);
    for (deed, _) in FAILURES {
        assert_eq!(ask(&client, deed, false).await.status, 200, "{deed}");
    }
    for deed in ["emit amid a stream", "wait amid a stream"] {
        let reply = ask(&client, deed, true).await;
        assert!(
            reply.text().ends_with("data: [DONE]\n\n"),
            "{deed}: {}",
            reply.text()
        );
        assert!(!reply.text().contains("nobody asked"), "{deed}");
    }
    // A refusal is none, with or without words.
    assert_eq!(ask(&client, "reject nothing", false).await.status, 500);
}

#[tokio::test]
async fn what_goes_wrong_amid_a_stream_ends_it_with_an_error() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for deed in ["emit amid a stream", "wait amid a stream"] {
        let reply = ask(&client, deed, true).await;
        let events = reply.events();
        assert_eq!(reply.status, 200, "{deed}");
        assert!(
            events.len() == 1 && events[0].contains("\"error\""),
            "{deed}: {events:?}"
        );
        assert!(!reply.text().contains("nobody asked"), "{deed}");
    }
}

#[tokio::test]
async fn nothing_can_be_smuggled_in_and_null_is_no_value() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    let reply = ask(&client, "line feeds", false).await;
    assert_eq!(reply.text(), "12 12 12", "MG_INVALID each time");
    assert_eq!(reply.header("x-smuggled"), "");
    // No value; not valid; read only, where there is no exchange.
    assert_eq!(ask(&client, "null", false).await.text(), "0 12 11");
}

#[tokio::test]
async fn where_a_request_to_an_upstream_ends_is_not_a_plugins_to_say() {
    let folder = Folder::new();
    let below = config(&folder, "").replace(r#"["rogue", "route"]"#, r#"["route", "rogue"]"#);
    let gateway = Gateway::start(&below).await;
    let reply = ask(&Client::new(&gateway), "frame", false).await;
    assert_eq!(
        reply.text(),
        "12 12 0",
        "MG_INVALID, and a header that may be set"
    );
}

#[tokio::test]
async fn a_token_is_good_for_one_waking_and_one_that_nobody_wakes_for_the_exchanges_time() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for _ in 0..3 {
        assert_eq!(ask(&client, "wake twice", false).await.text(), "2 calls");
    }
    let reply = ask(&client, "never wake", false).await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    gateway
        .log_line(|line| line["message"] == "nobody woke the token within the exchange's time")
        .await;
    // That token is stale by now, and is woken.
    assert_eq!(ask(&client, "wake twice", false).await.text(), "2 calls");
}

#[tokio::test]
async fn a_hook_that_blocks_is_told_of_and_counted() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    assert_eq!(ask(&client, "block", false).await.status, 200);
    let line = gateway
        .log_line(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("a hook has not come back for a second")
        })
        .await;
    assert_eq!(line["plugin"], "rogue");
    assert_eq!(count(&gateway, "blocked").await, 1);
}
