//! The log: one access line for every exchange, whatever way it ended, and never a secret.

#![allow(clippy::too_many_lines, reason = "tables of cases")]

#[path = "logs/canary.rs"]
mod canary;
#[path = "logs/pretty.rs"]
mod pretty;
mod support;
#[path = "logs/tokens.rs"]
mod tokens;

use http::Method;
use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, Reply, chat_body, config};
use tokio::{io::AsyncWriteExt, net::TcpStream};

async fn alone(script: Script, route: &str) -> (Mock, Gateway, Client) {
    let mock = Mock::with(script).await.unwrap();
    let gateway = Gateway::start(&config(&[("a", "openai", &mock.url())], route)).await;
    let client = Client::new(&gateway);
    (mock, gateway, client)
}

/// The access line of a reply, which is the only one.
async fn line_of(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.header("x-request-id");
    let line = gateway.access_line(id).await;
    assert_eq!(line["status"], reply.status.as_u16(), "{line}");
    assert_eq!(line["bytes"], reply.body.len(), "{line}");
    line
}

#[tokio::test]
async fn a_line_tells_who_asked_whom_for_what_and_what_came_of_it() {
    let (_mock, gateway, client) = alone(Script::default(), "").await;
    for stream in [false, true] {
        let body = chat_body("hi", stream).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", if stream { "mine-2" } else { "mine-1" }),
        ];
        let coming = client
            .send(
                Method::POST,
                "/v1/chat/completions?a=1",
                &headers,
                body.clone(),
            )
            .await;
        let reply = coming.rest().await;
        let line = line_of(&gateway, &reply).await;
        for (name, value) in [
            ("level", json!("INFO")),
            ("peer", json!("127.0.0.1")),
            ("method", json!("POST")),
            ("path", json!("/v1/chat/completions")),
            ("endpoint", json!("chat")),
            ("route", json!("default")),
            ("asked", json!("gpt-test")),
            ("provider", json!("a")),
            ("model", json!("gpt-test")),
            ("stream", json!(stream)),
            ("attempts", json!(1)),
            ("status", json!(200)),
            ("outcome", json!("ok")),
            ("input_tokens", json!(11)),
            ("output_tokens", json!(4)),
            ("request_bytes", json!(body.len())),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        for absent in ["error", "failed", "caller"] {
            assert_eq!(line[absent], Value::Null, "{absent} in {line}");
        }
        assert!(line["ms"].as_f64().unwrap() >= line["first_ms"].as_f64().unwrap());
        assert!(line["timestamp"].is_string());
    }
}

#[tokio::test]
async fn every_way_to_end_has_its_line_and_its_outcome() {
    let (mock, gateway, client) = alone(
        Script::default(),
        "retries = 0\nattempt_timeout = \"250ms\"\nidle_timeout = \"250ms\"",
    )
    .await;
    let mut ids = Vec::new();
    let cut = |fault| Script {
        at: Some(3),
        ..Script::fault(fault)
    };
    for (script, stream, status, outcome, error) in [
        (
            Script::status(400),
            false,
            400,
            "client_error",
            "bad_request",
        ),
        (
            Script::status(401),
            false,
            502,
            "upstream_error",
            "upstream_auth",
        ),
        (
            Script::status(429),
            true,
            429,
            "upstream_error",
            "rate_limit_exceeded",
        ),
        (
            Script::status(500),
            true,
            500,
            "upstream_error",
            "upstream_error",
        ),
        (
            Script::fault(Fault::Garbage),
            false,
            502,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            Script::fault(Fault::StallBeforeHead),
            true,
            504,
            "timeout",
            "upstream_timeout",
        ),
        (
            cut(Fault::ResetMidStream),
            true,
            200,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            cut(Fault::CutMidStream),
            true,
            200,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            cut(Fault::ErrorEvent),
            true,
            200,
            "upstream_error",
            "mock_error",
        ),
        (
            cut(Fault::StallMidStream),
            true,
            200,
            "timeout",
            "upstream_timeout",
        ),
    ] {
        mock.set_script(script.clone());
        let reply = client.chat("hi", stream).await;
        assert_eq!(reply.status, status, "{script:?}");
        let line = line_of(&gateway, &reply).await;
        assert_eq!(
            (&line["outcome"], &line["error"]),
            (&json!(outcome), &json!(error)),
            "{script:?}"
        );
        ids.push(reply.header("x-request-id").to_owned());
    }
    mock.stop().await;
    let invalid = json!({"model": "m"});
    for (reply, outcome, error) in [
        (
            client.chat("hi", false).await,
            "upstream_error",
            "upstream_unreachable",
        ),
        (
            client.post("/v1/chat/completions", &invalid).await,
            "client_error",
            "missing_required_parameter",
        ),
        (
            client.get("/v1/chat/completions").await,
            "client_error",
            "no_route",
        ),
        (client.get("/nowhere").await, "client_error", "unknown_path"),
        (
            client.get("/v1/embeddings").await,
            "client_error",
            "method_not_allowed",
        ),
        (client.get("/v1/models").await, "ok", ""),
        (
            client
                .send(Method::GET, "/v1/models", &[("host", "evil.example")], "")
                .await
                .rest()
                .await,
            "client_error",
            "unknown_host",
        ),
    ] {
        let line = line_of(&gateway, &reply).await;
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["error"].as_str().unwrap_or_default(), error, "{line}");
        ids.push(reply.header("x-request-id").to_owned());
    }
    for id in ids {
        assert_eq!(gateway.access_lines(&id), 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_told_apart_wherever_it_leaves() {
    let gated = Script {
        gate: true,
        ..Script::default()
    };
    let (mock, gateway, _client) = alone(gated, "").await;
    let ask = async |id: &str, part: usize| {
        let body = chat_body("hi", true).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
            .write_all(&body.as_bytes()[..body.len() / part])
            .await
            .unwrap();
        socket
    };
    // In the middle of its own request: nobody was asked.
    drop(ask("in-body", 2).await);
    let line = gateway.access_line("in-body").await;
    assert_eq!(line["outcome"], "client_closed");
    assert_eq!(line["attempts"], 0);
    assert_eq!(mock.counts().requests, 0);

    // Before there was a head.
    let socket = ask("before-head", 1).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;
    drop(socket);
    let line = gateway.access_line("before-head").await;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("client_closed"), &json!(0))
    );

    // In mid-stream.
    mock.wait_for(|counts| counts.aborted == 1).await;
    let socket = ask("in-stream", 1).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;
    mock.release(3);
    let mut seen = vec![0; 4096];
    let mut text = String::new();
    while !text.contains("word0") {
        socket.readable().await.unwrap();
        if let Ok(read) = socket.try_read(&mut seen) {
            assert_ne!(read, 0);
            text.push_str(&String::from_utf8_lossy(&seen[..read]));
        }
    }
    drop(socket);
    let line = gateway.access_line("in-stream").await;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("client_closed"), &json!(200))
    );
    assert_eq!(line["provider"], "a");
    assert!(line["bytes"].as_u64().unwrap() > 0);
    let left = mock.wait_for(|counts| counts.aborted == 2);
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    for id in ["in-body", "before-head", "in-stream"] {
        assert_eq!(gateway.access_lines(id), 1, "{id}");
    }
}
