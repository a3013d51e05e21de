//! Heads and framing that cannot be read.

use std::time::Duration;

use millgate::mock::{Mock, Script};
use serde_json::json;

use super::{
    CHAT, gateway, nothing_happened,
    support::{
        Gateway, chat_body, config,
        wire::{self, Raw},
    },
};

#[tokio::test]
async fn heads_that_cannot_be_read() {
    let (gateway, mock) = gateway("").await;
    let host = "host: localhost";
    let cases = [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03 a TLS client says hello\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "hello\r\n\r\n".to_owned(),
        "GET /v1/models\r\n\r\n".to_owned(),
        format!("GET /v1/models HTTP/9.9\r\n{host}\r\n\r\n"),
        format!("GET /v1/ models HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET /v1/m\x01dels HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nbad name: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nname : x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nno colon\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n(){{:;}}: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nx: a\0b\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n folded: x\r\n\r\n"),
        format!(
            "POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"
        ),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: -1\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: +5\r\n\r\nhello"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: 99999999999999999999\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ntransfer-encoding: gzip\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ntransfer-encoding: chunked, gzip\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.0\r\n{host}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];
    for request in cases {
        let mut client = Raw::with(gateway.address, &request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{request:?}");
        assert_eq!(reply.refusal(), "bad_request", "{request:?}");
        assert_eq!(reply.header("connection"), "close");
        assert!(!reply.header("date").is_empty());
        let id = reply.header("x-request-id").to_owned();
        let line = gateway.log_line(|line| line["request_id"] == *id).await;
        assert_eq!(
            (&line["status"], &line["peer"]),
            (&json!(400), &json!("127.0.0.1"))
        );
        // The client sees the end of the reply although the gateway lingers for what it may still send.
        assert_eq!(client.closed().await, "", "{request:?}");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_refusal_after_good_requests_on_the_same_connection() {
    let (gateway, mock) = gateway("").await;
    // One after the other, then all at once.
    let mut client = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    client.send("garbage\r\n\r\n").await;
    assert_eq!(client.reply().await.refusal(), "bad_request");
    assert_eq!(client.closed().await, "");

    let mut all = wire::chat();
    all.extend_from_slice(wire::get("/v1/nowhere").as_bytes());
    all.extend_from_slice(&wire::chat());
    all.extend_from_slice(b"garbage\r\n\r\n");
    all.extend_from_slice(&wire::chat());
    let mut client = Raw::with(gateway.address, all).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.reply().await.refusal(), "unknown_path");
    assert_eq!(client.reply().await.status, 200);
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (400, "bad_request")
    );
    assert_eq!(client.closed().await, "");
    assert_eq!(mock.counts().requests, 3);
}

#[tokio::test]
async fn a_reply_that_looks_like_a_refusal_is_passed_on_as_it_is() {
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\n\r\n";
    let mock = Mock::with(Script {
        body: Some(head.to_owned()),
        headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        // The body comes apart from its head, so that it is a write of its own.
        first_byte_delay: 50,
        ..Script::default()
    })
    .await
    .unwrap();
    let base = format!("{}/v1", mock.url());
    let gateway = Gateway::start(&config(&[("up", "openai", &base)], "")).await;
    let mut client = Raw::connect(gateway.address).await;
    for _ in 0..2 {
        client
            .send(wire::post("/v1/moderations", r#"{"model":"m"}"#))
            .await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), head.len().to_string());
        assert_eq!(reply.text(), head);
    }
    assert!(client.stays_open(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn garbage_behind_a_request_does_not_spoil_a_reply_that_is_read_late() {
    let mock = Mock::with(Script {
        chunks: Some(1),
        chunk_bytes: Some(20 << 20),
        ..Script::default()
    })
    .await
    .unwrap();
    let base = format!("{}/v1", mock.url());
    let gateway = Gateway::start(&config(&[("up", "openai", &base)], "")).await;
    let mut both = wire::chat();
    both.extend_from_slice(b"garbage\r\n\r\n");
    let mut client = Raw::with(gateway.address, both).await;
    // More than the sockets hold: it waits in the gateway until it is read.
    mock.wait_for(|counts| counts.in_flight == 1).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    let text = reply.json()["choices"][0]["message"]["content"].to_string();
    assert_eq!(text.len(), (20 << 20) + 2);
    assert_eq!(client.reply().await.status, 400);
    client.closed().await;
}

#[tokio::test]
async fn conflicting_framing_is_refused_and_ends_the_connection() {
    let (gateway, mock) = gateway("").await;
    // RFC 9112, 6.3. Whichever of the two a server goes by, what another takes for the body is no second request.
    let smuggled = wire::get("/v1/smuggled");
    let body = chat_body("hi", false).to_string();
    let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let fields = "host: localhost\r\ncontent-type: application/json";
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "Transfer-Encoding:chunked\r\nx: y\r\nContent-Length:0",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ] {
        let request =
            format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\n{framing}\r\n\r\n{body}{smuggled}");
        for part in [1, 50, request.len()] {
            let mut client = Raw::connect(gateway.address).await;
            for bytes in request.as_bytes().chunks(part) {
                // Once it has been refused, the rest is not read.
                if !client.try_send(bytes).await {
                    break;
                }
            }
            let reply = client.reply().await;
            assert_eq!(
                (reply.status.as_u16(), &*reply.refusal()),
                (400, "conflicting_framing")
            );
            assert_eq!(reply.header("connection"), "close");
            assert_eq!(client.closed().await, "");
        }
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn conflicting_framing_is_found_behind_good_requests() {
    let (gateway, mock) = gateway("").await;
    let fields = "host: localhost\r\ncontent-type: application/json";
    let body = chat_body("hi", false).to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked =
        format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    let conflict = chunked.replacen(
        "transfer-encoding",
        "content-length: 4\r\ntransfer-encoding",
        1,
    );
    // All at once, so that it comes with the end of what is before it.
    let all = [
        wire::chat(),
        chunked.clone().into(),
        wire::chat(),
        chunked.into(),
        conflict.into(),
    ];
    let mut client = Raw::with(gateway.address, all.concat()).await;
    for _ in 0..4 {
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(client.reply().await.refusal(), "conflicting_framing");
    assert_eq!(client.closed().await, "");
    assert_eq!(mock.counts().requests, 4);
}

#[tokio::test]
async fn chunks_that_make_no_sense() {
    let (gateway, mock) = gateway("").await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}}}}}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut client = Raw::with(gateway.address, format!("{head}{body}")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{body:?}");
        assert_eq!(reply.refusal(), "malformed_body", "{body:?}");
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}
