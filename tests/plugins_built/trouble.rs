//! A plugin that panics, fails and blocks where it is told to.

use serde_json::Value;

use super::support::{Client, Gateway, Reply, chat_body, plugins::Folder};

fn config(folder: &Folder, stage: &str) -> String {
    format!(
        "pipeline = [\"maker\", \"route\"]\n\
         [plugins.trouble]\npath = \"{}\"\n\
         [stages.maker]\nkind = \"trouble/maker\"\n{stage}\n\
         [providers.parrot]\nkind = \"trouble/parrot\"\n\
         [routes.default]\ntargets = [\"parrot\"]\nretries = 0\n",
        folder.rust("millgate-trouble").display()
    )
}

/// A chat that asks for trouble: `panic on_request`.
async fn ask(client: &Client, trouble: &str, stream: bool) -> Reply {
    let headers = [("content-type", "application/json"), ("x-trouble", trouble)];
    let body = chat_body("one two three", stream).to_string();
    let sent = client.send(http::Method::POST, "/v1/chat/completions", &headers, body);
    sent.await.rest().await
}

async fn plugin(gateway: &Gateway) -> Value {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    operators.get("/api/plugins").await.json()["plugins"][0].clone()
}

#[tokio::test]
async fn a_provider_that_answers_by_itself() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    let reply = client.chat("one two three", false).await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "one two three"
    );
    let reply = client.chat("one two three", true).await;
    assert_eq!(reply.streamed_text(), "one two three");
    assert_eq!(reply.events().len(), 5, "{}", reply.text());

    let reply = client.chat("panic", false).await;
    assert_eq!(reply.status, 500, "{}", reply.text());
    let reply = client.chat("still here", false).await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "still here"
    );
}

#[tokio::test]
async fn a_reply_of_a_stages_own_takes_the_place_of_the_providers() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for hook in ["on_request", "on_response"] {
        let reply = ask(&client, &format!("reply {hook}"), false).await;
        assert_eq!(reply.status, 203, "{hook}");
        assert_eq!(reply.text(), "a reply of its own");
    }
}

#[tokio::test]
async fn a_panic_costs_one_exchange_and_no_other() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for hook in ["on_request", "on_response"] {
        let reply = ask(&client, &format!("panic {hook}"), false).await;
        assert_eq!(reply.status, 500, "{hook}");
        assert_eq!(reply.refusal(), "stage_failed");
        assert!(
            !reply.text().contains("as it was told to"),
            "that is for the log"
        );
        assert_eq!(ask(&client, "", false).await.status, 200);
    }
    let reply = ask(&client, "panic on_chunk", true).await;
    assert_ne!(reply.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(ask(&client, "panic on_end", true).await.status, 200);
    assert_eq!(
        ask(&client, "", true).await.streamed_text(),
        "one two three"
    );
    let plugin = plugin(&gateway).await;
    assert_eq!(
        (&plugin["panics"], &plugin["failures"]),
        (&4.into(), &0.into()),
        "{plugin}"
    );
    gateway
        .log_line(|line| {
            line.to_string()
                .contains("on_request panics, as it was told to")
        })
        .await;
}

#[tokio::test]
async fn with_on_error_skip_a_panic_is_passed_over() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "on_error = \"skip\"")).await;
    let client = Client::new(&gateway);
    for hook in ["on_request", "on_response", "on_chunk", "on_end"] {
        for what in ["panic", "fail"] {
            let reply = ask(&client, &format!("{what} {hook}"), true).await;
            assert_eq!(reply.status, 200, "{hook}");
            assert_eq!(reply.streamed_text(), "one two three", "{what} {hook}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_keeps_panicking_is_switched_off() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    for _ in 0..10 {
        assert_eq!(ask(&client, "panic on_request", false).await.status, 500);
    }
    gateway
        .log_line(|line| line.to_string().contains("is switched off"))
        .await;
    let reply = ask(&client, "", false).await;
    assert_eq!(
        reply.status, 500,
        "it is not passed over: nobody said that it may be"
    );
    let off = plugin(&gateway).await;
    assert_eq!(off["panics"], 10, "{off}");
}

#[tokio::test]
async fn a_hook_that_blocks_is_told_of() {
    let folder = Folder::new();
    let gateway = Gateway::start(&config(&folder, "")).await;
    let client = Client::new(&gateway);
    assert_eq!(ask(&client, "block on_request", false).await.status, 200);
    gateway
        .log_line(|line| line.to_string().contains("has not come back for a second"))
        .await;
    assert_eq!(plugin(&gateway).await["blocked"], 1);
}

#[tokio::test]
async fn a_wait_that_nobody_ends_ends_with_the_deadline() {
    let folder = Folder::new();
    let config = config(&folder, "").replace("retries = 0", "retries = 0\ndeadline = \"300ms\"");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let reply = ask(&client, "wait on_request", false).await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert_eq!(ask(&client, "", false).await.status, 200);
}
