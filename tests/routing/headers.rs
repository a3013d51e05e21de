//! Which headers of a client reach an upstream, and whose key.

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::{Value, json};

use super::{mock, providers};
use crate::support::{Client, Gateway, chat_body};

#[tokio::test]
async fn headers_named_by_the_operator_pass_and_the_connection_s_own_never_do() {
    let mock = mock().await;
    let config = format!(
        "{}forward_headers = [\"x-trace-*\", \"*\"]\n[routes.default]\ntargets = [\"a\"]\n",
        providers(&[("a", &mock)])
    );
    let gateway = Gateway::start(&config).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-trace-id", "t-1"),
        ("connection", "x-hop"),
        ("connection", "close, x-last-hop"),
        ("x-hop", "1"),
        ("x-last-hop", "1"),
        ("cookie", "c=1"),
        ("authorization", "Bearer client"),
        ("accept-encoding", "gzip"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
    ];
    let body = chat_body("hi", false).to_string();
    let client = Client::new(&gateway);
    let live = client
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await;
    assert_eq!(live.rest().await.status, 200);
    let request = &mock.requests()[0];
    assert_eq!(request.header("x-trace-id"), Some("t-1"));
    for name in [
        "x-hop",
        "x-last-hop",
        "cookie",
        "authorization",
        "accept-encoding",
        "proxy-authorization",
        "te",
    ] {
        assert_eq!(request.header(name), None, "{name}");
    }
    let mut names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
    names.sort();
    assert!(names.is_sorted_by(|a, b| a < b), "one twice in {names:?}");
}

#[tokio::test]
async fn the_client_s_key_is_passed_on_where_a_provider_wants_it() {
    let mock = mock().await;
    let config = format!(
        "{}api_key = \"own\"\nforward_auth = true\n[routes.default]\ntargets = [\"a\"]\n",
        providers(&[("a", &mock)])
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let body = chat_body("hi", false).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer client"),
    ];
    let live = client
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await;
    assert_eq!(live.rest().await.status, 200);
    client.chat("hi", false).await;
    let sent: Vec<Value> = mock
        .requests()
        .iter()
        .map(|request| json!(request.header("authorization")))
        .collect();
    assert_eq!(sent, [json!("Bearer client"), json!("Bearer own")]);
}

#[tokio::test]
async fn a_client_s_key_that_an_upstream_quotes_is_in_no_log() {
    let refuses = Script {
        body: Some(json!({"error": {"message": "No such key: sk-of-the-client"}}).to_string()),
        ..Script::status(401)
    };
    let mock = Mock::with(refuses).await.unwrap();
    let config = format!(
        "{}forward_auth = true\n[routes.default]\ntargets = [\"a\"]\n",
        providers(&[("a", &mock)])
    );
    let gateway = Gateway::start(&config).await;
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-of-the-client"),
    ];
    let body = chat_body("hi", false).to_string();
    let live = Client::new(&gateway)
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await;
    let reply = live.rest().await;
    assert_eq!(reply.code(), "upstream_auth");
    gateway.access_line(reply.header("x-request-id")).await;
    let log = json!(gateway.log()).to_string();
    assert!(log.contains("No such key: [secret]"), "{log}");
    assert!(!log.contains("sk-of-the-client"), "{log}");
}
