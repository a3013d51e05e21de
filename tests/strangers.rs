//! What whoever has no key can cost the gateway: a head, and no more. Its body is not read.

#![allow(clippy::format_push_string, reason = "the strings are short")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millgate::mock::{Mock, Script};
use support::{
    Gateway, PATIENCE, Reply, chat_body,
    wire::{self, Raw},
};
use tokio::{net::TcpStream, task::JoinSet};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "good-key-0123456789abcdef";
const SMALL: &str = "[server]\nmax_body_size = \"64KiB\"\nmax_buffered = \"64KiB\"\n";

/// A gateway with these stages above `route`; `extra` is appended.
async fn gateway_with(above: &[&str], extra: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let pipeline: Vec<_> = above.iter().chain(&["route"]).collect();
    let config = format!(
        r#"
        pipeline = {pipeline:?}
        [callers.app]
        key = "{KEY}"
        [callers.listed]
        key = "listed-{KEY}"
        models = ["llama*"]
        [providers.a]
        kind = "openai"
        base_url = "{}"
        [routes.default]
        targets = ["a"]
        [stages.auth]
        failures = "1000/s"
        {extra}
        "#,
        mock.url()
    );
    (Gateway::start(&config).await, mock)
}

async fn gateway(extra: &str) -> (Gateway, Mock) {
    gateway_with(&["auth"], extra).await
}

/// The head of a POST with these further fields.
fn head(path: &str, fields: &[&str]) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
    for field in fields {
        head += field;
        head += "\r\n";
    }
    head + "\r\n"
}

const JSON: &str = "content-type: application/json";

/// A chat whose body has about this many bytes, with a key.
fn chat_of(length: usize, key: &str) -> String {
    let body = chat_body(&"x".repeat(length), false).to_string();
    let key = format!("authorization: Bearer {key}");
    let length = format!("content-length: {}", body.len());
    head(CHAT, &[JSON, &key, &length]) + &body
}

/// The reply to this, on a connection of its own.
async fn answer(gateway: &Gateway, request: impl AsRef<[u8]>) -> Reply {
    Raw::with(gateway.address, request).await.reply().await
}

fn assert_stranger(reply: &Reply) {
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (401, "invalid_api_key")
    );
}

#[tokio::test]
async fn strangers_who_send_no_body_or_not_all_of_it_take_nothing_from_callers() {
    for sent in [0, 60 << 10] {
        let (gateway, mock) = gateway(SMALL).await;
        let mut strangers = Vec::new();
        for _ in 0..50 {
            let head = head(CHAT, &[JSON, "content-length: 65536"]);
            let mut stranger = Raw::with(gateway.address, head).await;
            assert!(stranger.try_send(vec![b' '; sent]).await);
            strangers.push(stranger);
        }
        let largest = chat_of(60 << 10, KEY);
        let mut caller = Raw::with(gateway.address, largest).await;
        assert_eq!(caller.reply().await.status, 200);
        for stranger in &mut strangers {
            let reply = stranger.reply().await;
            assert_stranger(&reply);
            assert_eq!(reply.header("connection"), "close");
        }
        assert_eq!(mock.counts().requests, 1);
    }
}

#[tokio::test]
async fn a_stranger_is_refused_before_a_byte_of_its_body_comes_and_is_not_asked_for_it() {
    let (gateway, mock) = gateway("").await;
    let form = "content-type: multipart/form-data; boundary=b";
    let wrong = "authorization: Bearer wrong-key-0123456789";
    let transcriptions = "/v1/audio/transcriptions";
    for (path, fields) in [
        (CHAT, &[JSON, "content-length: 70"][..]),
        (CHAT, &[JSON, "content-length: 70", "expect: 100-continue"]),
        (CHAT, &[JSON, "transfer-encoding: chunked", wrong]),
        (transcriptions, &[form, "content-length: 1000000"]),
        (transcriptions, &[form, "transfer-encoding: chunked", wrong]),
        ("/v1/moderations", &[JSON, "content-length: 1000000"]),
        // Nothing is told of what it asks for either: neither how large it may be, nor whether there is such a thing.
        (CHAT, &[JSON, "content-length: 100000000000"]),
        (CHAT, &["content-type: text/plain", "content-length: 70"]),
        ("/v1/nowhere", &[JSON, "content-length: 70"]),
        ("/v1/models", &["content-length: 70"]),
        ("/", &[]),
    ] {
        let mut fields = fields.to_vec();
        fields.push("x-request-id: refused-by-its-head");
        let begun = Instant::now();
        let mut stranger = Raw::with(gateway.address, head(path, &fields)).await;
        // The first head that comes, which an interim one would be.
        let reply = stranger.reply().await;
        assert_stranger(&reply);
        assert!(begun.elapsed() < PATIENCE / 2, "{path} {fields:?}");
        if path != "/" {
            assert_eq!(stranger.closed().await, "", "{path} {fields:?}");
        }
    }
    let line = gateway.access_line("refused-by-its-head").await;
    assert_eq!(line["outcome"], "rejected");
    assert_eq!(line["error"], "invalid_api_key");
    assert_eq!(line["request_bytes"], 0);
    assert_eq!(line["endpoint"], "chat");
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn callers_are_told_what_is_wrong_with_their_requests_as_ever() {
    let (gateway, mock) = gateway("[server]\nmax_body_size = \"1KiB\"\n").await;
    let key = format!("authorization: Bearer {KEY}");
    for (path, fields, expected) in [
        ("/v1/nowhere", &[][..], (404, "unknown_path")),
        ("/v1/models", &[], (405, "method_not_allowed")),
        (CHAT, &["content-length: 1025"], (413, "body_too_large")),
        (
            CHAT,
            &["content-type: text/plain", "content-length: 0"],
            (415, "unsupported_media_type"),
        ),
    ] {
        let fields = [&[&*key][..], fields].concat();
        let reply = answer(&gateway, head(path, &fields)).await;
        assert_eq!((reply.status.as_u16(), &*reply.refusal()), expected);
    }
    let listed = format!("listed-{KEY}");
    let reply = answer(&gateway, chat_of(10, &listed)).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (403, "model_not_allowed")
    );
    assert_eq!(mock.counts().requests, 0);
    let reply = answer(&gateway, chat_of(10, KEY)).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_web_page_may_ask_without_a_key_whether_it_may_call() {
    let (gateway, _mock) = gateway("[server]\ncors_origins = [\"https://app.example\"]\n").await;
    let preflight = format!(
        "OPTIONS {CHAT} HTTP/1.1\r\nhost: localhost\r\norigin: https://app.example\r\naccess-control-request-method: POST\r\n\r\n"
    );
    let mut page = Raw::with(gateway.address, preflight).await;
    assert_eq!(page.head().await.0, 204);
}

#[tokio::test]
async fn a_stranger_that_is_still_sending_reads_why_it_was_refused() {
    let (gateway, mock) = gateway("").await;
    let length = 20 << 20;
    let body = vec![b' '; length];
    let form = "content-type: multipart/form-data; boundary=b";
    for (path, media) in [(CHAT, JSON), ("/v1/audio/transcriptions", form)] {
        for _ in 0..3 {
            let head = head(path, &[media, &format!("content-length: {length}")]);
            let mut stranger = Raw::with(gateway.address, head).await;
            // Clients in a hurry read only when all is sent.
            assert!(stranger.try_send(&body).await, "{path}");
            assert_stranger(&stranger.reply().await);
            assert_eq!(stranger.closed().await, "");
        }
        let expecting = head(
            path,
            &[
                media,
                &format!("content-length: {length}"),
                "expect: 100-continue",
            ],
        );
        let mut stranger = Raw::with(gateway.address, expecting).await;
        // Some grow tired of waiting for leave.
        assert!(stranger.try_send(&body).await, "{path}");
        assert_stranger(&stranger.reply().await);
        assert_eq!(stranger.closed().await, "");
    }
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn a_small_body_that_comes_with_its_head_costs_no_connection() {
    let (gateway, _mock) = gateway("").await;
    let mut client = Raw::connect(gateway.address).await;
    for _ in 0..3 {
        client.send(wire::chat()).await;
        assert_stranger(&client.reply().await);
        client.send(chat_of(10, KEY)).await;
        assert_eq!(client.reply().await.status, 200);
    }
    client.send(wire::get("/v1/models")).await;
    assert_stranger(&client.reply().await);
    assert!(client.stays_open(Duration::from_millis(50)).await);
}

/// Many clients send the body by itself, behind the head: in time or not, what the reply says of the connection is so.
#[tokio::test]
async fn a_connection_is_closed_where_the_reply_says_so_and_nowhere_else() {
    let (gateway, _mock) = gateway("").await;
    for length in [10, 7000, 9000, 100_000] {
        for _ in 0..20 {
            let mut client = Raw::connect(gateway.address).await;
            let request = chat_of(length, "wrong");
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            client.send(format!("{head}\r\n\r\n")).await;
            client.try_send(body).await;
            let reply = client.reply().await;
            assert_stranger(&reply);
            if reply.headers.contains_key("connection") {
                assert_eq!(client.closed().await, "");
            } else {
                client.send(chat_of(10, KEY)).await;
                assert_eq!(client.reply().await.status, 200);
            }
        }
    }
}

/// A connection of HTTP/2, for as long as the set is kept.
async fn http2(gateway: &Gateway) -> (SendRequest<Full<Bytes>>, JoinSet<hyper::Result<()>>) {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    (sender, drivers)
}

async fn post2(
    sender: &mut SendRequest<Full<Bytes>>,
    key: &str,
    body: Bytes,
) -> (http::StatusCode, Bytes) {
    let request = Request::post(format!("http://localhost{CHAT}"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(body))
        .unwrap();
    let reply = tokio::time::timeout(PATIENCE, sender.send_request(request));
    let reply = reply.await.expect("no head came").unwrap();
    let status = reply.status();
    (
        status,
        reply.into_body().collect().await.unwrap().to_bytes(),
    )
}

#[tokio::test]
async fn on_http2_a_refused_upload_costs_neither_its_connection_nor_the_room_of_others() {
    let (gateway, mock) = gateway("").await;
    let (mut sender, _drivers) = http2(&gateway).await;
    let upload = Bytes::from(vec![b' '; 20 << 20]);
    // Together they announce, and would fill, many windows.
    for _ in 0..20 {
        let (status, body) = post2(&mut sender, "wrong", upload.clone()).await;
        assert_eq!(status, 401);
        let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(error["error"]["code"], "invalid_api_key");
    }
    let body = chat_body(&"x".repeat(4 << 20), false).to_string();
    assert_eq!(post2(&mut sender, KEY, body.into()).await.0, 200);
    assert_eq!(mock.counts().requests, 1);
}

#[tokio::test]
async fn what_stands_above_auth_counts_strangers_too_and_has_their_bodies_read() {
    let limit = "[stages.limit]\nkind = \"rate_limit\"\nper = \"address\"\nrequests = \"2/day\"\n";
    let (gateway, mock) = gateway_with(&["limit", "auth"], &(limit.to_owned() + SMALL)).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let reply = answer(&gateway, wire::chat()).await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429]);
    // Its turn comes when the body is there.
    let half = head(CHAT, &[JSON, "content-length: 70", "expect: 100-continue"]);
    assert_eq!(Raw::with(gateway.address, half).await.head().await.0, 100);
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn an_auth_that_goes_by_models_asks_when_it_knows_them() {
    let when = "when = { model = \"gpt-*\" }\n";
    let (gateway, _mock) = gateway(when).await;
    let ask = async |model: &str| {
        let mut body = chat_body("hi", false);
        body["model"] = model.into();
        let request = wire::post(CHAT, body.to_string());
        answer(&gateway, request).await
    };
    assert_stranger(&ask("gpt-4o").await);
    assert_eq!(ask("llama3").await.status, 200);
}

#[tokio::test]
async fn in_shadow_mode_strangers_pass_and_so_do_callers_whatever_their_models() {
    let (gateway, mock) = gateway("mode = \"shadow\"\n").await;
    for key in ["wrong", KEY, &format!("listed-{KEY}")] {
        let reply = answer(&gateway, chat_of(10, key)).await;
        assert_eq!(reply.status, 200, "{key}");
    }
    for sent in mock.requests() {
        assert_eq!(sent.header("authorization"), None);
    }
    assert_eq!(mock.counts().requests, 3);
}

#[tokio::test]
async fn a_log_of_contents_holds_callers_alone_and_no_stranger_up() {
    let capture = "[stages.redact]\ncapture = \"redacted\"\n[log]\nlevel = \"debug\"\n";
    let (gateway, _mock) = gateway_with(&["redact", "auth"], capture).await;
    let head = head(CHAT, &[JSON, "content-length: 70000"]);
    assert_stranger(&answer(&gateway, head).await);
    let reply = answer(&gateway, chat_of(10, KEY)).await;
    let id = reply.header("x-request-id").to_owned();
    let captured = |line: &serde_json::Value| line["message"] == "captured";
    let line = gateway.log_line(captured).await;
    assert_eq!(line["request_id"], *id);
}
