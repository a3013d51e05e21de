//! Which script answers, the timing and framing keys, and the controls over HTTP.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Client;
use super::{CHAT, Mock, Plan, chat, chat_to_the_end, mock, quiet_mock, within};

async fn status(mock: &Mock, model: &str) -> u16 {
    let body = json!({ "model": model }).to_string();
    Client::connect(mock)
        .await
        .ask("POST", CHAT, body.as_bytes())
        .await
        .status()
}

#[tokio::test]
async fn a_script_comes_from_the_request_then_the_path_then_the_model_then_the_default() {
    let plan = json!({ "status": 500, "models": { "m": { "status": 501 } }, "paths": { "/v1/completions": { "status": 502 } } });
    let mock = mock(&plan).await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(status(&mock, "other").await, 500);
    assert_eq!(status(&mock, "m").await, 501);
    let completions = "/v1/completions";
    assert_eq!(
        client
            .ask("POST", completions, br#"{"model":"m"}"#)
            .await
            .status(),
        502
    );
    assert_eq!(
        client
            .ask(
                "POST",
                "/v1/completions?a=b&mock=%7B%22status%22%3A503%7D",
                b"{}"
            )
            .await
            .status(),
        503
    );
    client
        .send(
            "POST",
            completions,
            &[("X-Mock", r#"{"status":504}"#)],
            b"{}",
        )
        .await;
    assert_eq!(client.read_reply().await.status(), 504);
    client
        .send(
            "POST",
            completions,
            &[("x-mock", r#"{"statsu":504}"#)],
            b"{}",
        )
        .await;
    let refused = client.read_reply().await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("statsu"));
    // The default is for POST: a probe does not use it up.
    assert_eq!(client.ask("GET", "/v1/models", b"").await.status(), 200);
}

#[tokio::test]
async fn a_list_is_used_up_and_its_last_repeats() {
    let mock =
        mock(&json!([{ "status": 500 }, { "status": 429, "headers": { "retry-after": "7" } }, {}]))
            .await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(status(&mock, "m").await);
    }
    assert_eq!(seen, [500, 429, 200, 200]);
}

#[tokio::test]
async fn the_first_requests_fail_and_the_others_do_not() {
    let mock =
        mock(&json!({ "models": { "m": { "fault": "reset_before_head", "fail_first": 2 } } }))
            .await;
    for _ in 0..2 {
        assert!(chat_to_the_end(&mock, false).await.bytes.is_empty());
    }
    assert_eq!(status(&mock, "m").await, 200);
}

#[tokio::test]
async fn models_beyond_the_list_do_not_exist() {
    let mock = mock(&json!({ "only": ["a"] })).await;
    assert_eq!(
        (status(&mock, "a").await, status(&mock, "b").await),
        (200, 404)
    );
    let mut client = Client::connect(&mock).await;
    let reply = client.ask("POST", "/api/chat", br#"{"model":"b"}"#).await;
    assert_eq!(reply.json(), json!({ "error": "model 'b' not found" }));
    assert_eq!(
        client.ask("GET", "/api/tags", b"").await.json()["models"][0]["name"],
        "a"
    );
    assert_eq!(
        client.ask("GET", "/v1/models", b"").await.json()["data"][0]["id"],
        "a"
    );
}

#[tokio::test]
async fn headers_and_body_are_sent_as_they_stand() {
    let script = json!({
        "status": 429,
        "headers": { "Content-Type": "text/plain", "retry-after-ms": "20", "connection": "close" },
        "body": "slow down",
    });
    let mock = mock(&script).await;
    let mut client = Client::connect(&mock).await;
    client.send("POST", CHAT, &[], chat(true).as_bytes()).await;
    let raw = client.read_to_end().await;
    let (head, body) = raw.parts();
    assert!(
        head.starts_with("HTTP/1.1 429 Too Many Requests\r\n")
            && head.contains("retry-after-ms: 20\r\n")
    );
    assert_eq!(
        (
            head.matches("ontent-").count(),
            head.contains("Content-Type: text/plain\r\n")
        ),
        (2, true)
    );
    assert_eq!(body, b"slow down");
}

#[tokio::test]
async fn a_recorded_stream_is_cut_into_its_events() {
    let recorded = "data: {\"a\":1}\n\n: note\r\n\r\ndata: {\"b\":2}\n\ndata: tail";
    let mock = mock(&json!({ "body": recorded, "fault": "cut_mid_stream", "at": 2 })).await;
    let reply = Client::connect(&mock)
        .await
        .ask("POST", CHAT, chat(true).as_bytes())
        .await;
    assert_eq!(reply.text(), "data: {\"a\":1}\n\n: note\r\n\r\n");
}

#[tokio::test]
async fn a_gated_stream_gives_one_event_per_release() {
    let mock = mock(&json!({ "gate": true })).await;
    let mut client = Client::connect(&mock).await;
    client.send("POST", CHAT, &[], chat(true).as_bytes()).await;
    assert!(client.read_until("\r\n\r\n").await.contains("chunked"));
    for event in ["assistant", "word0", "word1", "word2"] {
        assert!(!client.has_more());
        mock.release_one();
        assert!(client.read_until("\n\n\r\n").await.contains(event));
    }
    assert!(!client.has_more());
    let mut control = Client::connect(&mock).await;
    assert_eq!(
        control.ask("POST", "/mock/gate?n=0", b"").await.status(),
        400
    );
    assert_eq!(
        control.ask("POST", "/mock/gate?n=3", b"").await.status(),
        200
    );
    client.read_until("data: [DONE]\n\n\r\n0\r\n\r\n").await;
    within(mock.wait_for(|counts| counts.completed == 1)).await;
}

#[tokio::test]
async fn waits_take_the_time_that_they_are_given() {
    let mock =
        mock(&json!({ "delay": 20, "first_byte_delay": 20, "interval": 10, "chunks": 2 })).await;
    let begin = Instant::now();
    chat_to_the_end(&mock, true).await;
    // Role, two of content, finish and [DONE]: four intervals.
    assert!(begin.elapsed() >= Duration::from_millis(20 + 20 + 4 * 10));
}

#[tokio::test]
async fn comments_line_ends_and_single_bytes_do_not_change_the_events() {
    let plain = quiet_mock().await;
    let plain = Client::connect(&plain)
        .await
        .ask("POST", CHAT, chat(true).as_bytes())
        .await;
    let odd = mock(&json!({ "comments": 2, "crlf": true, "one_byte": true })).await;
    let odd = Client::connect(&odd)
        .await
        .ask("POST", CHAT, chat(true).as_bytes())
        .await;
    assert!(odd.text().starts_with(": ping\r\n\r\n: ping\r\n\r\ndata: "));
    assert_eq!(
        odd.text()
            .replace("\r\n", "\n")
            .trim_start_matches(": ping\n\n"),
        plain.text()
    );
}

#[tokio::test]
async fn the_controls_work_over_http() {
    let mock = quiet_mock().await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(
        client
            .ask("PUT", "/mock/script", br#"{"text":"set"}"#)
            .await
            .status(),
        200
    );
    assert_eq!(
        client
            .ask("PUT", "/mock/script", br#"{"txet":"set"}"#)
            .await
            .status(),
        400
    );
    client
        .send("POST", CHAT, &[("X-Canary", "c")], chat(false).as_bytes())
        .await;
    assert_eq!(
        client.read_reply().await.json()["choices"][0]["message"]["content"],
        "set"
    );

    let counts = client.ask("GET", "/mock/counts", b"").await.json();
    assert_eq!(
        (&counts["requests"], &counts["paths"][CHAT]),
        (&json!(1), &json!(1))
    );
    let requests = client.ask("GET", "/mock/requests", b"").await.json();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(
        (&requests[0]["method"], &requests[0]["body"]),
        (&json!("POST"), &json!(chat(false)))
    );
    assert!(
        requests[0]["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["X-Canary", "c"]))
    );
    assert_eq!(mock.requests()[0].header("x-canary"), Some("c"));
    assert_eq!(mock.requests()[0].json()["model"], "m");

    client.ask("DELETE", "/mock/requests", b"").await;
    assert!(mock.requests().is_empty());
    mock.set_script("{\"log\": false}".parse::<Plan>().unwrap());
    client.ask("POST", CHAT, chat(false).as_bytes()).await;
    assert!(mock.requests().is_empty());
    assert_eq!(mock.counts().requests, 2);
    assert_eq!(client.ask("GET", "/mock/nothing", b"").await.status(), 404);
}
