//! Too much of it.

use super::{
    CHAT, answer, gateway, nothing_happened,
    support::wire::{self, Raw},
};

#[tokio::test]
async fn a_body_that_is_too_large() {
    let (gateway, mock) = gateway("max_body_size = \"1KiB\"\nmax_upload_size = \"2KiB\"").await;
    // By its length, before a byte of it is sent, with and without waiting for leave.
    for expect in ["", "expect: 100-continue\r\n"] {
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{expect}content-type: application/json\r\ncontent-length: 1025\r\n\r\n"
        );
        let reply = answer(&gateway, head).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (413, "body_too_large")
        );
        assert_eq!(reply.header("connection"), "close");
    }
    // Chunked: once it is over, without waiting for its end.
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    let reply = answer(&gateway, format!("{head}{chunk}{chunk}1\r\n \r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    // An upload by its length.
    let upload = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n";
    let reply = answer(&gateway, format!("{upload}content-length: 2049\r\n\r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    assert_eq!(mock.counts().requests, 0);
    // A chunked one has begun to pass when it turns out.
    let mut client = Raw::with(
        gateway.address,
        format!("{upload}transfer-encoding: chunked\r\n\r\n"),
    )
    .await;
    for _ in 0..5 {
        client.send(&chunk).await;
    }
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_why_it_was_refused() {
    let (gateway, mock) = gateway("max_body_size = \"64KiB\"").await;
    let length = 16 << 20;
    for path in [CHAT, "/v1/nowhere"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut client = Raw::with(gateway.address, head).await;
        // Clients in a hurry read only when all is sent.
        assert!(client.try_send(vec![b' '; length]).await, "{path}");
        let reply = client.reply().await;
        assert!([404, 413].contains(&reply.status.as_u16()));
        reply.refusal();
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let (gateway, _mock) = gateway("").await;
    let request = String::from_utf8(wire::chat()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut client = Raw::with(
        gateway.address,
        format!("{head}\r\nexpect: 100-continue\r\n\r\n"),
    )
    .await;
    assert_eq!(client.head().await.0, 100);
    client.send(body).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let (gateway, mock) = gateway("max_header_size = \"16KiB\"\nmax_headers = 20").await;
    let start = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n";
    let fields = |count: usize| {
        (0..count).fold(String::new(), |fields, n| fields + &format!("x-{n}: y\r\n"))
    };
    assert_eq!(
        answer(&gateway, format!("{start}{}\r\n", fields(19)))
            .await
            .status,
        200
    );
    let mock_before = mock.counts().requests;
    for request in [
        format!("{start}x: {}\r\n\r\n", "y".repeat(20 << 10)),
        format!("{start}x: {}", "y".repeat(1 << 20)),
        format!("{start}{}\r\n", fields(20)),
        format!("{start}{}\r\n", fields(1000)),
    ] {
        let mut client = Raw::connect(gateway.address).await;
        assert!(client.try_send(request).await);
        let reply = client.reply().await;
        assert_eq!(reply.status, 431);
        assert_eq!(reply.refusal(), "headers_too_large");
        assert_eq!(client.closed().await, "");
    }
    let path = "a".repeat(15 << 10);
    let reply = answer(&gateway, wire::get(&format!("/v1/{path}"))).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (404, "unknown_path")
    );
    assert_eq!(mock.counts().requests, mock_before);
}

#[tokio::test]
async fn a_model_s_name_that_is_too_long() {
    let (gateway, mock) = gateway("").await;
    for path in [CHAT, "/v1/moderations"] {
        let post = async |length: usize| {
            let body = format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(length));
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            answer(&gateway, head + &body).await
        };
        let reply = post(1025).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (400, "invalid_value")
        );
        assert_eq!(mock.counts().paths.get(path), None);
        assert_eq!(post(1024).await.status, 200);
    }
}
